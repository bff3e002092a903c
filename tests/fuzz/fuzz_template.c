/* Fuzz target: chat templates, and messages in them.
 *
 * The bytes up to the first NUL are the template, what follows are contents of messages. Oracles: it ends
 * within its steps and memory; what comes out is within the limit; marks are 0 or 1, and no byte of a
 * template without expressions is marked; a second run gives the same.
 *
 * Built with -fsanitize=fuzzer this is a libFuzzer target (FUZZ_ENGINE defined); otherwise main
 * replays the files named on the command line, or without any a generated corpus. */
#include "base/os/hb_os.h"
#include "test_support.h"
#include "tokenizer/hv_chat.h"
#include <stdbool.h>

#define FUZZ_MESSAGES 3
#define FUZZ_STEPS    20000
#define FUZZ_MEMORY   ((size_t)4 << 20)
#define FUZZ_OUTPUT   ((size_t)64 << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_require(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_template: %s\n", what);
    abort();
}

static hearth_status fuzz_render(struct hb_arena *arena, const char *text, size_t len,
                                 const struct hv_chat_input *in, struct hv_marked *out)
{
    struct hv_jinja *jinja;
    hearth_error err = {0};
    hb_arena_init_growing(arena, hb_os_heap());
    *out = (struct hv_marked){.arena = arena, .max = FUZZ_OUTPUT};
    hearth_status status = hv_jinja_parse(arena, text, len, &jinja, &err);
    if (status == HEARTH_OK)
        status = hv_jinja_run(jinja, in, arena, FUZZ_MEMORY, out, &err);
    fuzz_require(status == HEARTH_OK || err.text[0], "a refusal without a sentence");
    fuzz_require(status != HEARTH_E_INTERNAL, "a defect of our own");
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const roles[FUZZ_MESSAGES] = {"system", "user", "assistant"};
    const char *text = (const char *)data;
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    size_t len = end ? (size_t)(end - data) : size;
    size_t rest = end ? size - len - 1 : 0;
    struct hv_message m[FUZZ_MESSAGES];
    for (size_t i = 0; i < FUZZ_MESSAGES; i++)
        m[i] = (struct hv_message){{roles[i], strlen(roles[i])},
                                   {text + (end ? len + 1 : len), rest * i / 2}};
    const struct hv_chat_input in = {.messages = m, .n = FUZZ_MESSAGES, .bos = {"<s>", 3},
                                     .eos = {"</s>", 4}, .add_generation_prompt = true, .now = 1,
                                     .max_steps = FUZZ_STEPS};
    struct hb_arena a, b;
    struct hv_marked out, again;
    hearth_status status = fuzz_render(&a, text, len, &in, &out);
    fuzz_require(out.len <= FUZZ_OUTPUT, "the text is longer than its limit");
    bool plain = true;
    for (size_t i = 0; i + 1 < len; i++)
        plain &= !(text[i] == '{' && (text[i + 1] == '{' || text[i + 1] == '%'));
    for (size_t i = 0; i < out.len; i++)
        fuzz_require(out.mark[i] <= !plain, "a wrong mark");
    fuzz_require(fuzz_render(&b, text, len, &in, &again) == status && again.len == out.len &&
                     (out.len == 0 || (memcmp(again.bytes, out.bytes, out.len) == 0 &&
                                       memcmp(again.mark, out.mark, out.len) == 0)),
                 "two runs differ");
    hb_arena_release(&a);
    hb_arena_release(&b);
    return 0;
}

#ifndef FUZZ_ENGINE
static void replay_generated(void)
{
    static const char *const units[] = {
        "{{ ", " }}", "{% ", " %}", "{%- ", " -%}", "{#", "#}", "{{-", "-}}", "if ", "elif ", "else",
        "endif", "for ", "x in ", "endfor", "set ", "x = ", "endset", "macro m(a, b=1)", "endmacro",
        "m(x)", "messages", "[0]", ".content", ".role", "['role']", "loop.first", "loop", "ns",
        "namespace(a=1)", "ns.a", "'text'", "\"q\\n\"", "1", "2.5", "-", "+", "~", "*", "//", "%", "==",
        "!=", "<", " in ", " not ", " and ", " or ", " is ", "defined", "string", "(", ")", "[", "]",
        "{", "}", ":", ",", ".", "|", "trim", "tojson", "length", "join(',')", "first", "last", "items",
        "replace('a','b')", "selectattr('role','eq','user')", "map(attribute='content')", "list",
        "default('d', true)", "range(9)", "raise_exception('no')", "strftime_now('%d %b %Y')",
        ".split('a')", ".strip()", ".upper()", ".items()", "[1:]", "[::-1]", "raw", "endraw", "break",
        "continue", "generation", "endgeneration", "\n", "   ", "text", "\xC3\xA9", "\xFF", "true",
        "none", "indent(2)", "unique", "int", "abs", "x", "bos_token",
    };
    /* what real templates are made of, so that some of it runs */
    static const char *const wholes[] = {
        "{% for x in messages %}{{ x.role + ': ' + x.content | trim ~ '\\n' }}{% endfor %}",
        "{% if messages[0].role == 'system' %}{% set messages = messages[1:] %}{% endif %}",
        "{% set ns = namespace(a=0) %}{% for x in range(3) %}{% set ns.a = ns.a + x %}{% endfor %}",
        "{{ messages | selectattr('role', 'eq', 'user') | map(attribute='content') | join('|') }}",
        "{% macro m(a, b=1) %}[{{ a }}{{ b }}]{% endmacro %}{{ m(messages[1].content) }}",
    };
    uint64_t seed = 23;
    uint8_t data[8192];
    for (int round = 0; round < 30000; round++) {
        size_t n = 0, count = test_rand(&seed) % 40;
        for (size_t i = 0; i < count; i++) {
            const char *unit = test_rand(&seed) % 6 == 0
                                   ? wholes[test_rand(&seed) % (sizeof wholes / sizeof *wholes)]
                                   : units[test_rand(&seed) % (sizeof units / sizeof *units)];
            memcpy(data + n, unit, strlen(unit));
            n += strlen(unit);
        }
        for (size_t i = 0; round % 3 == 0 && n && i < 3; i++) /* bytes flipped in what may be whole */
            data[test_rand(&seed) % n] = (uint8_t)(test_rand(&seed) >> 40);
        data[n++] = 0;
        for (size_t i = 0; i < 12; i++)
            data[n++] = (uint8_t)("<|im_end|>{{ \xC3\xA9\n"[test_rand(&seed) % 16]);
        LLVMFuzzerTestOneInput(data, n);
    }
}

int main(int argc, char **argv)
{
    static uint8_t bytes[1 << 20];
    if (argc < 2)
        replay_generated();
    for (int i = 1; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        if (!f) {
            fprintf(stderr, "fuzz_template: cannot read %s\n", argv[i]);
            return 2;
        }
        size_t size = fread(bytes, 1, sizeof bytes, f);
        fclose(f);
        LLVMFuzzerTestOneInput(bytes, size);
    }
    return 0;
}
#endif

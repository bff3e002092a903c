/* Fuzz target: grammars, schemas, and texts matched with them.
 *
 * The first byte chooses GBNF (even) or JSON schema (odd), the bytes up to a NUL are it, the rest is a
 * text. Oracles: a status with a sentence or a grammar; matching ends; byte by byte gives what the whole
 * gives; a text that is whole began at every length; masks allow what is allowed one by one.
 *
 * Built with -fsanitize=fuzzer this is a libFuzzer target (FUZZ_ENGINE defined); otherwise main
 * replays the files named on the command line, or without any a generated corpus. */
#include "base/os/hb_os.h"
#include "runtime/hr_grammar.h"
#include "tokenizer/small_vocabs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_require(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_grammar: %s\n", what);
    abort();
}

static hearth_model *fuzz_model(void)
{
    static struct small bpe;
    static hearth_model model;
    if (!model.tokenizer) {
        small_bpe_tokens(&bpe);
        fuzz_require(small_create(&bpe, &bpe.arena) == HEARTH_OK, "no vocabulary");
        model.tokenizer = bpe.tok;
        model.info.vocab_size = (int32_t)hv_vocab_size(bpe.tok);
    }
    return &model;
}

static void fuzz_place(const hearth_grammar *g, const char *text, size_t len)
{
    static float logits[4096];
    static void *mem;
    struct hr_grammar_place p;
    int32_t n = (int32_t)hv_vocab_size(g->model->tokenizer);
    mem = mem ? mem : malloc(hr_place_bytes());
    fuzz_require(mem && n <= 4096, "no memory");
    if (hr_place_init(&p, g, mem, NULL) != HEARTH_OK)
        return;
    for (int step = 0; step < 4; step++) {
        memset(logits, 0, sizeof logits);
        hr_place_mask(&p, logits, n);
        int32_t pick = -1;
        for (int32_t i = 0; i < n && !p.fault; i++) {
            bool allowed = hr_place_allows(&p, i);
            fuzz_require(p.fault || allowed == (logits[i] == 0), "the mask and the check differ");
            if (allowed && !hv_is_eog(g->model->tokenizer, i) && (pick < 0 || (len && text[0] & 1)))
                pick = i;
        }
        if (pick < 0 || p.fault)
            return;
        hr_place_accept(&p, pick);
        fuzz_require(p.fault || hr_place_back(&p, 1), "what was accepted cannot be taken back");
        hr_place_accept(&p, pick);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hearth_grammar *g = NULL;
    hearth_error err = {.text = ""};
    if (size < 2)
        return 0;
    const char *text = (const char *)data + 1;
    const uint8_t *end = memchr(text, 0, size - 1);
    size_t len = end ? (size_t)(end - data) - 1 : size - 1, rest = end ? size - len - 2 : 0;
    const hearth_grammar_config config = {.struct_size = sizeof config,
                                          .gbnf = data[0] & 1 ? NULL : text,
                                          .gbnf_len = len,
                                          .json_schema = data[0] & 1 ? text : NULL,
                                          .json_schema_len = len};
    hearth_status status = hearth_grammar_open(fuzz_model(), &config, &g, &err);
    fuzz_require(status == HEARTH_OK || err.text[0], "a refusal without a sentence");
    fuzz_require(status != HEARTH_E_INTERNAL, "a defect of our own");
    if (status != HEARTH_OK)
        return 0;
    const char *in = text + len + 1;
    hearth_grammar_verdict whole = HEARTH_GRAMMAR_NO, part;
    if (hearth_grammar_match(g, in, rest, &whole, NULL) == HEARTH_OK && whole != HEARTH_GRAMMAR_NO)
        for (size_t i = 0; i < rest && i < 8; i++)
            fuzz_require(hearth_grammar_match(g, in, i, &part, NULL) != HEARTH_OK ||
                             part != HEARTH_GRAMMAR_NO,
                         "a text whose beginning is none");
    fuzz_place(g, in, rest);
    hearth_grammar_close(g);
    return 0;
}

#ifndef FUZZ_ENGINE
static void replay_generated(void)
{
    static const char *const gbnf[] = {
        "root ::= ", "a ::= ", "b ::= ", "root", "a", "b", " | ", "(", ")", "*", "+", "?", "{2}", "{0,3}",
        "{1,}", "\"ab\"", "\"c\"", "\"\"", "[a-c]", "[^a]", ".", "\n", " ", "# x\n", "\\", "\"\\u00e9\"",
        "[\\u0080-\\uFFFF]", "{", "}", "[", "]", "-", "\xC3\xA9", "\xFF",
    };
    static const char *const elements[] = { /* each may follow any other */
        "a ", "b ", "(a | \"c\") ", "\"ab\" ", "\"c\"? ", "[a-c]* ", "[^a]{0,3} ", ". ", "| ", "\"\" ",
        "(\"a\" | \"ab\" b?){1,3} ", "\"\\u00e9\"+ ", "[\\u0080-\\uFFFF] ", "(a* \"x\")? ", "b{2} ",
    };
    static const char *const schema[] = {
        "{", "}", "[", "]", ",", ":", "\"type\":", "\"string\"", "\"object\"", "\"integer\"", "\"array\"",
        "\"properties\":", "\"items\":", "\"enum\":", "\"const\":", "\"minimum\":", "\"maximum\":",
        "\"required\":", "\"$ref\":\"#\"", "\"anyOf\":", "\"pattern\":\"^[a-c]+(x|y)$\"", "\"maxItems\":2",
        "1", "-7", "true", "null", "\"a\"", "\"minLength\":1", "{\"type\":\"integer\",\"maximum\":12}",
        "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{\"enum\":[1,2]}}}",
        "{\"type\":\"array\",\"items\":{\"type\":\"boolean\"}}",
    };
    uint64_t seed = 41;
    uint8_t data[4096];
    for (int round = 0; round < 12000; round++) {
        size_t n = 0, count = 1 + test_rand(&seed) % 14;
        bool json = round % 3 == 0, whole = round % 2 == 0;
        data[n++] = json;
        const char *head = json ? whole ? "{\"items\":" : "" : "root ::= ";
        memcpy(data + n, head, strlen(head));
        n += strlen(head);
        for (size_t i = 0; i < count; i++) {
            const char *unit = json ? schema[test_rand(&seed) % (sizeof schema / sizeof *schema)]
                               : whole
                                   ? elements[test_rand(&seed) % (sizeof elements / sizeof *elements)]
                                   : gbnf[test_rand(&seed) % (sizeof gbnf / sizeof *gbnf)];
            if (json && whole)
                unit = schema[28 + test_rand(&seed) % 3];
            memcpy(data + n, unit, strlen(unit));
            n += strlen(unit);
            if (json && whole)
                break;
        }
        if (!json && whole) {
            static const char tail[] = "\na ::= \"a\" | \"b\" a\nb ::= [a-c]{1,3}";
            memcpy(data + n, tail, sizeof tail - 1);
            n += sizeof tail - 1;
        }
        if (json && whole)
            data[n++] = '}';
        data[n++] = 0;
        for (size_t i = 0; i < 6; i++)
            data[n++] = (uint8_t)"abcab[{\"1]}"[test_rand(&seed) % 11];
        LLVMFuzzerTestOneInput(data, n);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2)
        replay_generated();
    for (int i = 1; i < argc; i++) {
        size_t size = 0;
        char *bytes = vocab_read(argv[i], &size);
        if (!bytes) {
            fprintf(stderr, "fuzz_grammar: cannot read %s\n", argv[i]);
            return 2;
        }
        LLVMFuzzerTestOneInput((uint8_t *)bytes, size);
        free(bytes);
    }
    return 0;
}
#endif

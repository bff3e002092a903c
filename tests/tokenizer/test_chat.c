/* Chat templates: what Jinja makes of the same templates and messages (chat_cases.json, made by
 * tools/make_chat_fixtures.py), families against the templates they stand for, marks, and limits. */
#include "test_support.h"
#include "base/os/hb_os.h"
#include "tokenizer/hv_chat.h"
#include <jansson.h>
#include <stdbool.h>

#define CASES HEARTH_SOURCE_DIR "/tests/tokenizer/chat_cases.json"
#define MAX_MEMORY ((size_t)64 << 20)

static json_t *cases;

static struct hv_text text_of(const json_t *value)
{
    return (struct hv_text){json_string_value(value), json_string_length(value)};
}

/* Messages of a conversation as in the file. */
static size_t messages_of(const json_t *conversation, struct hv_message out[8])
{
    const json_t *list = json_object_get(conversation, "messages");
    size_t n = json_array_size(list);
    assert_true(n <= 8);
    for (size_t i = 0; i < n; i++) {
        out[i].role = text_of(json_array_get(json_array_get(list, i), 0));
        out[i].content = text_of(json_array_get(json_array_get(list, i), 1));
    }
    return n;
}

struct rendering {
    struct hb_arena arena;
    struct hv_marked out;
    hearth_status status;
    hearth_error err;
};

static void rendering_open(struct rendering *r)
{
    memset(r, 0, sizeof *r);
    hb_arena_init_growing(&r->arena, hb_os_heap());
    r->out.arena = &r->arena;
    r->out.max = (size_t)1 << 20;
}

static void render(struct rendering *r, struct hv_text text, const struct hv_chat_input *in)
{
    struct hv_jinja *jinja;
    rendering_open(r);
    r->status = hv_jinja_parse(&r->arena, text.bytes, text.len, &jinja, &r->err);
    if (r->status == HEARTH_OK)
        r->status = hv_jinja_run(jinja, in, &r->arena, MAX_MEMORY, &r->out, &r->err);
}

static void expect(const char *what, const char *where, const struct rendering *r,
                   const json_t *expected)
{
    const json_t *text = json_object_get(expected, "text");
    if (!text) {
        if (r->status == HEARTH_OK)
            fail_msg("%s, %s: Jinja refuses this; here came \"%.*s\"", what, where, (int)r->out.len,
                     r->out.bytes);
        return;
    }
    if (r->status != HEARTH_OK)
        fail_msg("%s, %s: %s", what, where, r->err.text);
    if (r->out.len != json_string_length(text) ||
        memcmp(r->out.bytes, json_string_value(text), r->out.len) != 0)
        fail_msg("%s, %s:\n%.*s\nJinja has:\n%s", what, where, (int)r->out.len, r->out.bytes,
                 json_string_value(text));
}

static void templates_give_what_jinja_gives(void **state)
{
    (void)state;
    size_t i, k, checked = 0;
    json_t *t, *conversation;
    json_array_foreach(json_object_get(cases, "templates"), i, t) {
        json_array_foreach(json_object_get(cases, "conversations"), k, conversation) {
            struct hv_message m[8];
            struct rendering r;
            const struct hv_chat_input in = {
                .messages = m,
                .n = messages_of(conversation, m),
                .bos = text_of(json_object_get(t, "bos")),
                .eos = text_of(json_object_get(t, "eos")),
                .add_generation_prompt = json_is_true(json_object_get(conversation, "answer"))};
            render(&r, text_of(json_object_get(t, "template")), &in);
            expect(json_string_value(json_object_get(t, "name")),
                   json_string_value(json_object_get(conversation, "name")), &r,
                   json_array_get(json_object_get(t, "prompts"), k));
            hb_arena_release(&r.arena);
            checked++;
        }
    }
    assert_true(checked >= 27 * 8);
}

static void snippets_give_what_jinja_gives(void **state)
{
    (void)state;
    struct hv_message m[8];
    const json_t *conversation = json_array_get(json_object_get(cases, "conversations"), 2);
    const struct hv_chat_input in = {.messages = m, .n = messages_of(conversation, m),
                                     .bos = {"<s>", 3}, .eos = {"</s>", 4},
                                     .add_generation_prompt = true};
    size_t i;
    json_t *s;
    json_array_foreach(json_object_get(cases, "snippets"), i, s) {
        struct rendering r;
        render(&r, text_of(json_object_get(s, "template")), &in);
        expect("snippet", json_string_value(json_object_get(s, "template")), &r, s);
        hb_arena_release(&r.arena);
    }
    assert_true(i >= 50);
}

/* Where the template refuses an order of roles, a family writes what it can. */
static void families_write_what_their_templates_give(void **state)
{
    (void)state;
    size_t i, k, checked = 0;
    json_t *t, *conversation;
    json_array_foreach(json_object_get(cases, "templates"), i, t) {
        const char *name = json_string_value(json_object_get(t, "family"));
        struct hv_text text = text_of(json_object_get(t, "template"));
        if (!name)
            continue;
        const struct hv_chatformat *format = hv_chatformat_find(name);
        assert_non_null(format);
        const struct hv_chatformat *seen = hv_chatformat_recognise(text.bytes, text.len);
        assert_non_null(seen);
        assert_string_equal(hv_chatformat_name_of(seen), name);
        json_array_foreach(json_object_get(cases, "conversations"), k, conversation) {
            struct hv_message m[8];
            struct rendering r;
            const json_t *expected = json_array_get(json_object_get(t, "prompts"), k);
            const struct hv_chat_input in = {
                .messages = m,
                .n = messages_of(conversation, m),
                .bos = text_of(json_object_get(t, "bos")),
                .eos = text_of(json_object_get(t, "eos")),
                .add_generation_prompt = json_is_true(json_object_get(conversation, "answer"))};
            rendering_open(&r);
            r.status = hv_chatformat_write(format, &in, &r.out, &r.err);
            if (json_object_get(expected, "text")) {
                expect(name, json_string_value(json_object_get(conversation, "name")), &r, expected);
                checked++;
            }
            hb_arena_release(&r.arena);
        }
    }
    assert_true(checked >= 22 * 7);
    for (i = 0; hv_chatformat_name(i); i++) { /* every row has its template in the file */
        bool found = false;
        json_array_foreach(json_object_get(cases, "templates"), k, t) {
            const char *name = json_string_value(json_object_get(t, "family"));
            found |= name && strcmp(name, hv_chatformat_name(i)) == 0;
        }
        if (!found)
            fail_msg("chatformats.def: %s has no template in chat_cases.json", hv_chatformat_name(i));
    }
}

static struct rendering simple(const char *text, const char *content, size_t n)
{
    struct hv_message *m = calloc(n ? n : 1, sizeof *m);
    struct rendering r;
    assert_non_null(m);
    for (size_t i = 0; i < n; i++)
        m[i] = (struct hv_message){{"user", 4}, {content, strlen(content)}};
    const struct hv_chat_input in = {.messages = m, .n = n, .add_generation_prompt = true};
    render(&r, (struct hv_text){text, strlen(text)}, &in);
    free(m);
    return r;
}

/* Marks after the work of each construct: what came from the message, byte by byte. */
static void contents_stay_marked_through_everything(void **state)
{
    (void)state;
    static const struct {
        const char *text, *content, *out, *marks;
    } rows[] = {
        {"a{{ messages[0].content }}b", "XY", "aXYb", "0110"},
        {"{{ '<' + messages[0].content + '>' }}", "XY", "<XY>", "0110"},
        {"{{ 'a' ~ messages[0]['content'] | trim ~ 'b' }}", " X ", "aXb", "010"},
        {"{{ messages[0].content[1:3] }}", "abcd", "bc", "11"},
        {"{{ ('<' ~ messages[0].content)[0:2] }}", "X", "<X", "01"},
        {"{{ messages[0].content | replace('-', '_') }}", "a-b", "a_b", "101"},
        {"{{ messages[0].content | upper }}", "ab", "AB", "11"},
        {"{{ messages[0].content | tojson }}", "a\"", "\"a\\\"\"", "01110"},
        {"{{ messages[0].content.split(',') | join('|') }}", "a,b", "a|b", "101"},
        {"{{ [messages[0].content] }}", "a", "['a']", "00100"},
        {"{% set x %}<{{ messages[0].content }}>{% endset %}{{ x }}", "a", "<a>", "010"},
        {"{% macro m(t) %}<{{ t }}>{% endmacro %}{{ m(messages[0].content) }}", "a", "<a>", "010"},
        {"{% set ns = namespace(t='') %}{% for m in messages %}{% set ns.t = ns.t ~ '-' ~ m.content %}"
         "{% endfor %}{{ ns.t }}", "ab", "-ab", "011"},
        {"{{ messages[0].content | indent(1, true) }}", "a", " a", "01"},
        {"{% for c in messages[0].content %}{{ c }}.{% endfor %}", "ab", "a.b.", "1010"},
        {"{{ messages[0].role }}", "x", "user", "0000"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rendering r = simple(rows[i].text, rows[i].content, 1);
        if (r.status != HEARTH_OK)
            fail_msg("%s: %s", rows[i].text, r.err.text);
        assert_int_equal(r.out.len, strlen(rows[i].out));
        if (memcmp(r.out.bytes, rows[i].out, r.out.len) != 0)
            fail_msg("%s: %.*s", rows[i].text, (int)r.out.len, r.out.bytes);
        for (size_t k = 0; k < r.out.len; k++)
            if (r.out.mark[k] != rows[i].marks[k] - '0')
                fail_msg("%s: the mark of byte %zu", rows[i].text, k);
        hb_arena_release(&r.arena);
    }
}

/* J-05 and the like: every one ends soon, with a status that says what it was. */
static void hostile_templates_are_refused_with_a_status(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        hearth_status status;
    } rows[] = {
        {"{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
         HEARTH_E_LIMIT},
        {"{% for a in range(2000000000) %}x{% endfor %}", HEARTH_E_LIMIT},
        {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", HEARTH_E_LIMIT},
        {"{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
         HEARTH_E_LIMIT},
        {"{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}"
         "{% endfor %}", HEARTH_E_LIMIT},
        {"{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
         HEARTH_E_LIMIT},
        {"{% set ns = namespace(s=[1]) %}{% for i in range(5000) %}{% set ns.s = [ns.s] %}{% endfor %}"
         "{{ ns.s }}", HEARTH_E_LIMIT},
        {"{{ 'x' * 1000000000 }}", HEARTH_E_LIMIT},
        {"{% for i in range(1000000) %}{{ 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' }}{% endfor %}",
         HEARTH_E_LIMIT},
        {"{{ raise_exception('no') }}", HEARTH_E_ARGUMENT},
        {"{{ x", HEARTH_E_FORMAT},
        {"{{ 'x }}", HEARTH_E_FORMAT},
        {"{% if x %}", HEARTH_E_FORMAT},
        {"{% endif %}", HEARTH_E_UNSUPPORTED},
        {"{# no end", HEARTH_E_FORMAT},
        {"{% raw %}", HEARTH_E_FORMAT},
        {"{% include 'x' %}", HEARTH_E_UNSUPPORTED},
        {"{% extends 'x' %}", HEARTH_E_UNSUPPORTED},
        {"{{ x | nofilter }}", HEARTH_E_UNSUPPORTED},
        {"{{ x is notest }}", HEARTH_E_UNSUPPORTED},
        {"{{ messages.append(1) }}", HEARTH_E_UNSUPPORTED},
        {"{{ messages.__class__.__mro__ }}", HEARTH_E_FORMAT},
        {"{{ 99999999999999999999 }}", HEARTH_E_FORMAT},
        {"{{ 1 ** 2 }}", HEARTH_E_UNSUPPORTED},
        {"{{ 1 // 0 }}", HEARTH_E_FORMAT},
        {"{{ 'a'[::0] }}", HEARTH_E_FORMAT},
        {"{{ 1[::1] }}", HEARTH_E_FORMAT},
        {"{% set messages[0] = 1 %}", HEARTH_E_FORMAT},
        {"{% set messages.x = 1 %}", HEARTH_E_FORMAT},
        {"{% break %}", HEARTH_E_FORMAT},
        {"{{ {1: 2} }}", HEARTH_E_FORMAT},
        {"{{ range }}", HEARTH_E_FORMAT},
        {"{{ 'a' | tojson(indent=9999999) }}", HEARTH_E_LIMIT},
        {"{{ }}", HEARTH_E_FORMAT},
        {"{{ a[1:2:3:4] }}", HEARTH_E_FORMAT},
        {"{% for in x %}{% endfor %}", HEARTH_E_FORMAT},
        {"{{ $ }}", HEARTH_E_FORMAT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rendering r = simple(rows[i].text, "x", 2);
        if (r.status != rows[i].status)
            fail_msg("%s: %s (%s); %s is expected", rows[i].text, hearth_status_text(r.status),
                     r.err.text, hearth_status_text(rows[i].status));
        hb_arena_release(&r.arena);
    }
}

static void nesting_is_bounded_when_parsing(void **state)
{
    (void)state;
    static const char *const units[][2] = {
        {"(", ")"}, {"[", "]"}, {"-", ""}, {"not ", ""}, {"1 + ", ""}, {"x.y.", "z"}, {"{'a':", "}"},
    };
    static char text[400000];
    for (size_t u = 0; u < sizeof units / sizeof *units; u++)
        for (size_t n = 10; n <= 10000; n *= 1000) {
            size_t len = (size_t)sprintf(text, "{{ ");
            for (size_t i = 0; i < n; i++)
                len += (size_t)sprintf(text + len, "%s", units[u][0]);
            len += (size_t)sprintf(text + len, "1");
            for (size_t i = 0; i < n; i++)
                len += (size_t)sprintf(text + len, "%s", units[u][1]);
            sprintf(text + len, " }}");
            struct rendering r = simple(text, "x", 1);
            if (n > 10 && r.status != HEARTH_E_LIMIT && r.status != HEARTH_E_FORMAT)
                fail_msg("%s %zu times: %s", units[u][0], n, hearth_status_text(r.status));
            hb_arena_release(&r.arena);
        }
    size_t len = 0;
    for (int i = 0; i < 10000; i++)
        len += (size_t)sprintf(text + len, "{%% if 1 %%}");
    struct rendering r = simple(text, "x", 1);
    assert_int_equal(r.status, HEARTH_E_LIMIT);
    hb_arena_release(&r.arena);
}

static void the_number_of_messages_has_no_limit_but_steps(void **state)
{
    (void)state;
    static const char loop[] = "{% for m in messages %}{{ m.role ~ m.content }}{% endfor %}";
    struct rendering r = simple(loop, "x", 0);
    assert_int_equal(r.status, HEARTH_OK);
    assert_int_equal(r.out.len, 0);
    hb_arena_release(&r.arena);
    r = simple(loop, "x", 20000);
    assert_int_equal(r.status, HEARTH_OK);
    assert_int_equal(r.out.len, 20000 * 5);
    hb_arena_release(&r.arena);
    r = simple("{% for m in messages %}{{ m.role ~ m.content ~ m.role ~ m.content }}{% endfor %}", "x",
               100000);
    assert_int_equal(r.status, HEARTH_E_LIMIT); /* 2^20 steps */
    hb_arena_release(&r.arena);
}

static void roles_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "us er", "<|im_start|>", "user\n", "\xC3\xA9"};
    size_t bytes;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct hv_message m = {{bad[i], strlen(bad[i])}, {"x", 1}};
        const struct hv_chat_input in = {.messages = &m, .n = 1};
        assert_int_equal(hv_chat_check(&in, &bytes, NULL), HEARTH_E_RANGE);
    }
    char longest[HV_CHAT_MAX_ROLE + 1];
    memset(longest, 'a', sizeof longest);
    for (size_t n = HV_CHAT_MAX_ROLE; n <= HV_CHAT_MAX_ROLE + 1; n++) {
        const struct hv_message m = {{longest, n}, {"x", 1}};
        const struct hv_chat_input in = {.messages = &m, .n = 1};
        assert_int_equal(hv_chat_check(&in, &bytes, NULL),
                         n == HV_CHAT_MAX_ROLE ? HEARTH_OK : HEARTH_E_RANGE);
    }
    const struct hv_message other = {{"tool", 4}, {"x", 1}};
    const struct hv_chat_input in = {.messages = &other, .n = 1};
    struct rendering r;
    rendering_open(&r);
    assert_int_equal(hv_chatformat_write(hv_chatformat_find("chatml"), &in, &r.out, &r.err),
                     HEARTH_E_RANGE);
    assert_non_null(strstr(r.err.text, "tool"));
    hb_arena_release(&r.arena);
}

static void dates_come_from_the_clock_that_is_given(void **state)
{
    (void)state;
    static const struct {
        int64_t now;
        const char *out;
    } rows[] = {{0, "no clock"}, {951782400, "29 Feb 2000 Tue"}, {1721952000, "26 Jul 2024 Fri"}};
    static const char text[] = "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y %a') }}"
                               "{% else %}no clock{% endif %}";
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rendering r;
        const struct hv_chat_input in = {.now = rows[i].now};
        render(&r, (struct hv_text){text, strlen(text)}, &in);
        assert_int_equal(r.status, HEARTH_OK);
        assert_int_equal(r.out.len, strlen(rows[i].out));
        assert_memory_equal(r.out.bytes, rows[i].out, r.out.len);
        hb_arena_release(&r.arena);
    }
}

static int setup(void **state)
{
    (void)state;
    json_error_t err;
    cases = json_load_file(CASES, 0, &err);
    return cases ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    json_decref(cases);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_give_what_jinja_gives),
        cmocka_unit_test(snippets_give_what_jinja_gives),
        cmocka_unit_test(families_write_what_their_templates_give),
        cmocka_unit_test(contents_stay_marked_through_everything),
        cmocka_unit_test(hostile_templates_are_refused_with_a_status),
        cmocka_unit_test(nesting_is_bounded_when_parsing),
        cmocka_unit_test(the_number_of_messages_has_no_limit_but_steps),
        cmocka_unit_test(roles_are_checked),
        cmocka_unit_test(dates_come_from_the_clock_that_is_given),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

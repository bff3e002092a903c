/* The guard: every row of guards.def at, below and above its bounds; rows for every field; hardening J-04. */
#include "test_support.h"
#include "base/os/hb_os.h"
#include "serve/hs_guard.h"
#include "serve/hs_sched.h"
#include <math.h>

#define BIG ((1u << 20) + 1)
#define MANY 65537

enum what { NUMBER, REAL, SIZE, COUNT, EACH, ANY };
enum ends { HS_BOTH, HS_NOT_MOST };
struct row {
    enum hs_index message;
    const char *field;
    enum what what;
    double least, most;
    uint64_t count_least, count_most;
    enum ends ends;
};

static const struct hs_limits *const limits = &hs_limits_default;
static struct hs_guard *guard;
static char *big;
static struct hs_bytes *texts;
static struct hs_turn *turns;
static hearth_error err;

static size_t rows(struct row *out)
{
    size_t n = 0;
#define ROW(m, f, ...) out[n++] = (struct row){HS_M_##m, #f, __VA_ARGS__};
#define HS_NUMBER(m, f, a, b) ROW(m, f, NUMBER, a, b, 0, 0, HS_BOTH)
#define HS_REAL(m, f, a, b, e) ROW(m, f, REAL, a, b, 0, 0, e)
#define HS_SIZE(m, f, a, b) ROW(m, f, SIZE, a, b, 0, 0, HS_BOTH)
#define HS_COUNT(m, f, a, b) ROW(m, f, COUNT, a, b, 0, 0, HS_BOTH)
#define HS_EACH(m, f, a, b, c, d) ROW(m, f, EACH, a, b, c, d, HS_BOTH)
#define HS_ANY(m, f) ROW(m, f, ANY, 0, 0, 0, 0, HS_BOTH)
#include "serve/guards.def"
    return n;
}

static int make(void **state)
{
    static struct hb_arena arena;
    (void)state;
    hb_arena_init_growing(&arena, hb_os_heap());
    big = malloc(BIG);
    texts = calloc(MANY, sizeof *texts);
    turns = calloc(MANY, sizeof *turns);
    memset(big, 'a', BIG);
    for (size_t i = 0; i < MANY; i++) {
        texts[i] = (struct hs_bytes){big, 1};
        HS_SET(&turns[i], turn, role, (struct hs_bytes){"user", 4});
        HS_SET(&turns[i], turn, content, (struct hs_bytes){big, 1});
    }
    return hs_guard_create(NULL, NULL, &arena, &guard, &err) == HEARTH_OK ? 0 : -1;
}

static int done(void **state)
{
    (void)state;
    free(big);
    free(texts);
    free(turns);
    return 0;
}

/* A request that passes. */
static void plain(enum hs_index m, union hs_any *a)
{
    memset(a, 0, sizeof *a);
    const struct hs_list list = {.items = texts, .n = 1};
    if (m == HS_M_generate)
        HS_SET(&a->generate, generate, prompt, (struct hs_bytes){big, 1});
    if (m == HS_M_chat)
        HS_SET(&a->chat, chat, turns, (struct hs_list){.items = turns, .n = 1});
    if (m == HS_M_classify)
        HS_SET(&a->classify, classify, texts, list);
    if (m == HS_M_embed)
        HS_SET(&a->embed, embed, texts, list);
}

static const struct hs_field *field_of(const struct row *r)
{
    const struct hs_message *m = &hs_messages[r->message];
    for (int i = 0; i < m->n_fields; i++)
        if (!strcmp(m->fields[i].name, r->field))
            return &m->fields[i];
    fail_msg("guards.def: %s has no field %s", m->name, r->field);
    return NULL;
}

static hearth_status check(enum hs_index m, const union hs_any *a)
{
    err = (hearth_error){0};
    return hs_guard_check(guard, &hs_messages[m], a, &err);
}

static void *set(const struct row *r, union hs_any *a)
{
    const struct hs_field *f = field_of(r);
    plain(r->message, a);
    if (f->kind == HS_TOKENS) /* in the place of the prompt */
        a->generate.has &= ~(uint32_t)HS_HAS_generate_prompt;
    *(uint32_t *)(void *)a |= 1u << f->number;
    return (uint8_t *)a + f->offset;
}

static void expect(const struct row *r, const union hs_any *a, bool ok, double value)
{
    hearth_status status = check(r->message, a);
    if ((status == HEARTH_OK) != ok)
        fail_msg("%s.%s = %g: %s \"%s\"", hs_messages[r->message].name, r->field, value, hearth_status_text(status), err.text);
    if (!ok && (!strstr(err.text, r->field) || !strstr(err.text, "accepted")))
        fail_msg("%s.%s: the sentence is \"%s\"", hs_messages[r->message].name, r->field, err.text);
}

static void number(const struct row *r)
{
    union hs_any a;
    const uint64_t least = (uint64_t)r->least, most = (uint64_t)r->most;
    const uint64_t values[] = {least, most, most - 1, most + 1, UINT64_MAX, least ? least - 1 : UINT64_MAX - 1,
                               (uint64_t)UINT32_MAX + 1 + least}; /* the last: no truncation */
    for (size_t i = 0; i < HB_COUNT(values); i++) {
        *(uint64_t *)set(r, &a) = values[i];
        expect(r, &a, values[i] >= least && values[i] <= most, (double)values[i]);
    }
}

static void real(const struct row *r)
{
    union hs_any a;
    const float least = (float)r->least, most = (float)r->most;
    const struct {
        float v;
        bool ok;
    } cases[] = {
        {least, true}, {most, r->ends != HS_NOT_MOST}, {nextafterf(least, most), true},
        {nextafterf(most, least), true}, {nextafterf(least, -INFINITY), false}, {nextafterf(most, INFINITY), false},
        {NAN, false}, {-NAN, false}, {INFINITY, false}, {-INFINITY, false}, {1e30f, false}, {-1e30f, false}, {1e38f, false},
        {(least + most) / 2, true},
    };
    for (size_t i = 0; i < HB_COUNT(cases); i++) {
        *(float *)set(r, &a) = cases[i].v;
        expect(r, &a, cases[i].ok, (double)cases[i].v);
    }
}

static void size(const struct row *r)
{
    union hs_any a;
    const size_t least = (size_t)r->least, most = (size_t)r->most;
    const size_t values[] = {least, most, most - 1, most + 1, 0};
    for (size_t i = 0; i < HB_COUNT(values); i++) {
        *(struct hs_bytes *)set(r, &a) = (struct hs_bytes){big, values[i]};
        expect(r, &a, values[i] >= least && values[i] <= most, (double)values[i]);
    }
}

static void count(const struct row *r)
{
    union hs_any a;
    const size_t values[] = {(size_t)r->least, (size_t)r->most, (size_t)r->most + 1, 0};
    for (size_t i = 0; i < HB_COUNT(values); i++) {
        void *at = set(r, &a);
        if (field_of(r)->kind == HS_TOKENS)
            *(struct hs_tokens *)at = (struct hs_tokens){.n = values[i]};
        else
            *(struct hs_list *)at = (struct hs_list){.items = turns, .n = values[i]};
        expect(r, &a, (double)values[i] >= r->least && (double)values[i] <= r->most, (double)values[i]);
    }
}

static void each(const struct row *r)
{
    union hs_any a;
    const size_t lens[] = {(size_t)r->least, (size_t)r->most, (size_t)r->most + 1, 0};
    const size_t counts[] = {r->count_least, r->count_most, r->count_most + 1, 10000, 0};
    for (size_t i = 0; i < HB_COUNT(counts); i++) {
        *(struct hs_list *)set(r, &a) = (struct hs_list){.items = texts, .n = counts[i]};
        expect(r, &a, counts[i] >= r->count_least && counts[i] <= r->count_most, (double)counts[i]);
    }
    for (size_t i = 0; i < HB_COUNT(lens); i++) {
        struct hs_bytes two[2] = {{big, 1}, {big, lens[i]}};
        *(struct hs_list *)set(r, &a) = (struct hs_list){.items = two, .n = 2};
        expect(r, &a, (double)lens[i] >= r->least && (double)lens[i] <= r->most, (double)lens[i]);
    }
}

static void every_bound_is_exact(void **state)
{
    static void (*const of[])(const struct row *) = {number, real, size, count, each};
    static struct row all[128];
    size_t n = rows(all), tested = 0;
    (void)state;
    for (size_t i = 0; i < n; i++)
        if (all[i].what != ANY) {
            of[all[i].what](&all[i]);
            tested++;
        }
    assert_true(tested > 50);
}

static void every_field_has_a_row(void **state)
{
    static struct row all[128];
    size_t n = rows(all);
    (void)state;
    for (size_t m = HS_M_generate; m <= HS_M_manage; m++) {
        if (hs_messages[m].from != HS_FROM_C)
            continue;
        for (int f = 0; f < hs_messages[m].n_fields; f++) {
            size_t found = 0;
            for (size_t i = 0; i < n; i++)
                found += all[i].message == m && !strcmp(all[i].field, hs_messages[m].fields[f].name);
            if (found != 1)
                fail_msg("guards.def has %zu rows for %s.%s; one is right", found, hs_messages[m].name,
                         hs_messages[m].fields[f].name);
        }
    }
}

static void fields_that_exclude_each_other(void **state)
{
    union hs_any a;
    (void)state;
    plain(HS_M_generate, &a);
    assert_int_equal(check(HS_M_generate, &a), HEARTH_OK);
    HS_SET(&a.generate, generate, prompt_tokens, (struct hs_tokens){.n = 1});
    assert_int_equal(check(HS_M_generate, &a), HEARTH_E_ARGUMENT);
    a.generate.has = 0;
    assert_int_equal(check(HS_M_generate, &a), HEARTH_E_ARGUMENT);
    for (enum hs_index m = HS_M_generate; m <= HS_M_chat; m++) {
        if (m != HS_M_generate && m != HS_M_chat)
            continue;
        plain(m, &a);
        if (m == HS_M_generate) {
            HS_SET(&a.generate, generate, grammar, (struct hs_bytes){big, 1});
            HS_SET(&a.generate, generate, json_schema, (struct hs_bytes){big, 1});
        } else {
            HS_SET(&a.chat, chat, grammar, (struct hs_bytes){big, 1});
            HS_SET(&a.chat, chat, json_schema, (struct hs_bytes){big, 1});
        }
        assert_int_equal(check(m, &a), HEARTH_E_ARGUMENT);
    }
}

static void turns_have_known_roles_and_a_size_together(void **state)
{
    static const struct {
        const char *role;
        bool ok;
    } cases[] = {{"system", true}, {"user", true}, {"assistant", true}, {"tool", true}, {"", false}, {"User", false},
                 {"users", false}, {"use", false}, {"developer", false}};
    union hs_any a;
    struct hs_turn two[2];
    (void)state;
    plain(HS_M_chat, &a);
    a.chat.turns = (struct hs_list){.items = two, .n = 2};
    for (size_t i = 0; i < HB_COUNT(cases); i++) {
        two[0] = two[1] = turns[0];
        two[1].role = (struct hs_bytes){cases[i].role, strlen(cases[i].role)};
        assert_int_equal(check(HS_M_chat, &a) == HEARTH_OK, cases[i].ok);
    }
    two[0] = two[1] = turns[0];
    two[0].content.len = HS_MAX_TEXT - 1;
    assert_int_equal(check(HS_M_chat, &a), HEARTH_OK);
    two[1].content.len = 2;
    assert_int_equal(check(HS_M_chat, &a), HEARTH_E_LIMIT);
    two[0].content.len = two[1].content.len = 0;
    assert_int_equal(check(HS_M_chat, &a), HEARTH_E_RANGE);
}

static void limits_can_be_set(void **state)
{
    struct hs_limits small = hs_limits_default;
    struct hb_arena arena;
    struct hs_guard *g;
    union hs_any a;
    (void)state;
    assert_int_equal(hs_limits_set(&small, "text_bytes=10", NULL), HEARTH_OK);
    hb_arena_init_growing(&arena, hb_os_heap());
    assert_int_equal(hs_guard_create(&small, NULL, &arena, &g, NULL), HEARTH_OK);
    for (size_t n = 9; n <= 11; n++) {
        plain(HS_M_generate, &a);
        a.generate.prompt.len = n;
        assert_int_equal(hs_guard_check(g, &hs_messages[HS_M_generate], &a, NULL), n <= 10 ? HEARTH_OK : HEARTH_E_LIMIT);
        struct hs_turn turn = turns[0];
        turn.content.len = n;
        plain(HS_M_chat, &a);
        a.chat.turns.items = &turn;
        assert_int_equal(hs_guard_check(g, &hs_messages[HS_M_chat], &a, NULL), n <= 10 ? HEARTH_OK : HEARTH_E_LIMIT);
    }
    hb_arena_release(&arena);
}

static void blocked_words_do_not_come_in(void **state)
{
    static const struct hs_word words[] = {{"bomb", 4}};
    struct hb_arena arena;
    struct hs_filter *f;
    struct hs_guard *g;
    union hs_any a;
    (void)state;
    hb_arena_init_growing(&arena, hb_os_heap());
    hearth_status status = hs_filter_create(words, 1, "***", 3, &arena, &f, &err);
    if (status == HEARTH_E_UNSUPPORTED)
        skip();
    assert_int_equal(status, HEARTH_OK);
    assert_int_equal(hs_guard_create(NULL, f, &arena, &g, &err), HEARTH_OK);
    for (int i = 0; i < 3; i++) {
        const char *text = i == 1 ? "a BoMb" : "a bom";
        struct hs_bytes bytes = {text, strlen(text)};
        struct hs_turn turn = turns[0];
        turn.content = bytes;
        const hearth_status want = i == 1 ? HEARTH_E_RANGE : HEARTH_OK;
        plain(HS_M_generate, &a);
        a.generate.prompt = bytes;
        assert_int_equal(hs_guard_check(g, &hs_messages[HS_M_generate], &a, &err), want);
        plain(HS_M_chat, &a);
        a.chat.turns.items = &turn;
        assert_int_equal(hs_guard_check(g, &hs_messages[HS_M_chat], &a, &err), want);
        plain(HS_M_embed, &a);
        a.embed.texts.items = &bytes;
        assert_int_equal(hs_guard_check(g, &hs_messages[HS_M_embed], &a, &err), want);
    }
    hb_arena_release(&arena);
}

static void what_it_costs(void **state)
{
    union hs_any text, full;
    (void)state;
    plain(HS_M_tokenize, &text);
    HS_SET(&text.tokenize, tokenize, text, (struct hs_bytes){big, 1000});
    plain(HS_M_generate, &full);
    HS_SET(&full.generate, generate, max_tokens, 100);
    HS_SET(&full.generate, generate, temperature, 0.7f);
    HS_SET(&full.generate, generate, top_p, 0.9f);
    HS_SET(&full.generate, generate, seed, 7);
    HS_SET(&full.generate, generate, stream, 1);
    for (int i = 0; i < 2; i++) {
        const struct hs_message *m = &hs_messages[i ? HS_M_generate : HS_M_tokenize];
        const void *volatile msg = i ? &full : &text;
        uint64_t best = UINT64_MAX;
        for (int k = 0; k < 20; k++) {
            uint64_t start = hb_os_now_ns();
            for (int j = 0; j < 10000; j++)
                assert_true(hs_guard_check(guard, m, msg, NULL) == HEARTH_OK);
            uint64_t took = hb_os_now_ns() - start;
            best = took < best ? took : best;
        }
        print_message("%s: %.1f ns\n", i ? "generate with six fields" : "a length", (double)best / 10000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bound_is_exact),
        cmocka_unit_test(every_field_has_a_row),
        cmocka_unit_test(fields_that_exclude_each_other),
        cmocka_unit_test(turns_have_known_roles_and_a_size_together),
        cmocka_unit_test(limits_can_be_set),
        cmocka_unit_test(blocked_words_do_not_come_in),
        cmocka_unit_test(what_it_costs),
    };
    return cmocka_run_group_tests(tests, make, done);
}

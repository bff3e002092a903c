/* Grammars: what they match, what is refused (J-01, J-02), masks against single tokens, taking back, and
 * texts of generations, which always are texts of their grammar. */
#include "runtime_support.h"
#include "runtime/hr_grammar.h"
#include <math.h>
#if HEARTH_WITH_JSON
#include <jansson.h>
#endif

#define NO     HEARTH_GRAMMAR_NO
#define BEGINS HEARTH_GRAMMAR_BEGINS
#define WHOLE  HEARTH_GRAMMAR_WHOLE

static hearth_file *file;
static hearth_model *model;

static hearth_status open_gbnf(const char *text, size_t len, hearth_grammar **g, hearth_error *err)
{
    const hearth_grammar_config config = {.struct_size = sizeof config, .gbnf = text, .gbnf_len = len};
    return hearth_grammar_open(model, &config, g, err);
}

static hearth_grammar *grammar_of(const char *text)
{
    hearth_error err;
    hearth_grammar *g;
    if (open_gbnf(text, strlen(text), &g, &err) != HEARTH_OK)
        fail_msg("%s: %s", text, err.text);
    return g;
}

static hearth_grammar_verdict verdict_of(const hearth_grammar *g, const char *text)
{
    hearth_error err;
    hearth_grammar_verdict v = NO;
    if (hearth_grammar_match(g, text, strlen(text), &v, &err) != HEARTH_OK)
        fail_msg("%s: %s", text, err.text);
    return v;
}

static void gbnf_matches_what_it_says(void **state)
{
    (void)state;
    static const struct {
        const char *grammar, *text;
        hearth_grammar_verdict verdict;
    } rows[] = {
        {"root ::= \"abc\"", "abc", WHOLE},
        {"root ::= \"abc\"", "ab", BEGINS},
        {"root ::= \"abc\"", "abd", NO},
        {"root ::= \"abc\"", "abcd", NO},
        {"root ::= \"a\" | \"ab\"", "a", WHOLE},
        {"root ::= \"a\" | \"ab\"", "ab", WHOLE},
        {"root ::= \"\"", "", WHOLE},
        {"root ::= \"x\"?", "", WHOLE},
        {"root ::= [a-c]+ \"!\"", "abcab!", WHOLE},
        {"root ::= [a-c]+ \"!\"", "!", NO},
        {"root ::= [^a-c]*", "xyz\xC3\xA9\xF0\x9F\x98\x80", WHOLE},
        {"root ::= [^a-c]*", "xa", NO},
        {"root ::= [\xC3\xA0-\xC3\xBF]", "\xC3\xA9", WHOLE},
        {"root ::= [\xC3\xA0-\xC3\xBF]", "\xC3", BEGINS},
        {"root ::= [\xC3\xA0-\xC3\xBF]", "\xC3\x80", NO},
        {"root ::= \"\\u00e9\\x41\\U0001F600\"", "\xC3\xA9" "A\xF0\x9F\x98\x80", WHOLE},
        {"root ::= .", "\xED\xA0\x80", NO},        /* a surrogate */
        {"root ::= .", "\xC0\x80", NO},            /* overlong */
        {"root ::= .", "\xE0\x80\x80", NO},
        {"root ::= .", "\xF4\x90\x80\x80", NO},    /* beyond U+10FFFF */
        {"root ::= .", "\xF4\x8F\xBF\xBF", WHOLE},
        {"root ::= .", "\x80", NO},
        {"root ::= \"a\"{3}", "aaa", WHOLE},
        {"root ::= \"a\"{3}", "aaaa", NO},
        {"root ::= \"a\"{2,}", "a", BEGINS},
        {"root ::= \"a\"{2,}", "aaaaaa", WHOLE},
        {"root ::= \"a\"{1,3}", "aaa", WHOLE},
        {"root ::= \"a\"{1,3}", "aaaa", NO},
        {"root ::= \"a\"{0,2} \"b\"", "b", WHOLE},
        {"root ::= \"a\"{0}", "", WHOLE},
        {"root ::= (\"ab\" | \"c\"){2}", "abc", WHOLE},
        {"root ::= (\"ab\" | \"c\"){2}", "cabc", NO},
        {"root ::= (\"a\"? \"b\"?)*", "abbaab", WHOLE},
        {"root ::= ((\"a\"*)*)*", "aaa", WHOLE},
        {"root ::= \"(\" root \")\" | \"x\"", "((x))", WHOLE},
        {"root ::= \"(\" root \")\" | \"x\"", "((x)", BEGINS},
        {"root ::= \"(\" root \")\" | \"x\"", "((x)))", NO},
        {"root ::= item (\",\" item)*\nitem ::= [0-9]+ # digits\n", "1,22,3", WHOLE},
        {"root ::= a |\n  b\na ::= \"a\"\nb ::= \"b\"", "b", WHOLE},
        {"root ::= a\n  | b\na ::= \"a\"\nb ::= \"b\"", "b", WHOLE},
        {"root ::= (\n \"a\" # c\n | \"b\"\n)\n", "b", WHOLE},
        {"root ::= \"a\" ws \"b\"\nws ::= | \" \" ws", "a   b", WHOLE},
        {"root ::= [\\]\\\\\\-]+", "]\\-", WHOLE},
        {"root ::= [a-]+", "a-a", WHOLE},
        {"root ::= \"say \\\"hi\\\"\"", "say \"hi\"", WHOLE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hearth_grammar *g = grammar_of(rows[i].grammar);
        hearth_grammar_verdict v = verdict_of(g, rows[i].text);
        if (v != rows[i].verdict)
            fail_msg("%s on \"%s\": %d", rows[i].grammar, rows[i].text, (int)v);
        hearth_grammar_close(g);
    }
}

/* J-01. The sentence names the rule or the line. */
static void bad_grammars_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        hearth_status status;
        const char *says;
    } rows[] = {
        {"root ::= root \"a\" | \"b\"", HEARTH_E_FORMAT, "root is left-recursive"},
        {"root ::= a\na ::= b \"x\"\nb ::= a | \"y\"", HEARTH_E_FORMAT, "is left-recursive"},
        {"root ::= ws root \"a\" | \"b\"\nws ::= \" \"?", HEARTH_E_FORMAT, "root is left-recursive"},
        {"root ::= (\"\" | root)", HEARTH_E_FORMAT, "left-recursive"},
        {"root ::= a\na ::=", HEARTH_E_FORMAT, "rule a is empty"},
        {"root ::= a\na ::= \n", HEARTH_E_FORMAT, "rule a is empty"},
        {"root ::= missing", HEARTH_E_NOT_FOUND, "missing"},
        {"a ::= \"x\"", HEARTH_E_NOT_FOUND, "root"},
        {"", HEARTH_E_NOT_FOUND, "root"},
        {"root ::= \"a\" root", HEARTH_E_FORMAT, "root never ends"},
        {"root ::= \"x\"\na ::= \"(\" b\nb ::= a \")\"", HEARTH_E_FORMAT, "never ends"},
        {"root ::= \"a\"{0,2147483648}", HEARTH_E_LIMIT, "65536"},
        {"root ::= \"a\"{0,65537}", HEARTH_E_LIMIT, "65536"},
        {"root ::= \"a\"{3,2}", HEARTH_E_RANGE, "3"},
        {"root ::= \"a\"{", HEARTH_E_FORMAT, "number"},
        {"root ::= \"a\"{1", HEARTH_E_FORMAT, "}"},
        {"root ::= [z-a]", HEARTH_E_RANGE, "range"},
        {"root ::= []", HEARTH_E_FORMAT, "empty class"},
        {"root ::= [^]", HEARTH_E_FORMAT, "empty class"},
        {"root ::= [^\\U00000000-\\U0010FFFF]", HEARTH_E_FORMAT, "no character"},
        {"root ::= [a", HEARTH_E_FORMAT, "without its end"},
        {"root ::= \"a", HEARTH_E_FORMAT, "without its end"},
        {"root ::= (\"a\"", HEARTH_E_FORMAT, "bracket"},
        {"root ::= \"a\")", HEARTH_E_FORMAT, ")"},
        {"root ::= \"\\q\"", HEARTH_E_FORMAT, "escape"},
        {"root ::= \"\\x4\"", HEARTH_E_FORMAT, "digits"},
        {"root ::= \"\\uD800\"", HEARTH_E_RANGE, "character"},
        {"root ::= \"\xFF\"", HEARTH_E_FORMAT, "UTF-8"},
        {"root ::= *", HEARTH_E_FORMAT, "*"},
        {"root = \"a\"", HEARTH_E_FORMAT, "::="},
        {"root ::= \"a\"\nroot ::= \"b\"", HEARTH_E_FORMAT, "twice"},
        {"root ::= \"a\"????????", HEARTH_E_LIMIT, "repetitions"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hearth_grammar *g = NULL;
        hearth_error err;
        hearth_status status = open_gbnf(rows[i].text, strlen(rows[i].text), &g, &err);
        if (status != rows[i].status || !strstr(err.text, rows[i].says))
            fail_msg("%s: %s (%s)", rows[i].text, hearth_status_text(status), err.text);
        assert_null(g);
    }
}

static hearth_status open_long(const char *head, const char *unit, size_t n, const char *tail)
{
    size_t len = strlen(head) + strlen(unit) * n + strlen(tail), at = strlen(head);
    char *text = malloc(len + 1);
    hearth_grammar *g = NULL;
    assert_non_null(text);
    strcpy(text, head);
    for (size_t i = 0; i < n; i++, at += strlen(unit))
        memcpy(text + at, unit, strlen(unit));
    strcpy(text + at, tail);
    hearth_status status = open_gbnf(text, len, &g, NULL);
    hearth_grammar_close(g);
    free(text);
    return status;
}

static void long_grammars_end_with_a_status(void **state)
{
    (void)state;
    const size_t mib = (size_t)1 << 20;
    assert_int_equal(open_long("root ::= ", "(", 10000, ""), HEARTH_E_LIMIT);
    assert_int_equal(open_long("root ::= ", "(", HR_GRAMMAR_MAX_NESTING + 1, "\"a\""), HEARTH_E_LIMIT);
    assert_int_equal(open_long("root ::= \"", "a", mib, "\""), HEARTH_E_LIMIT);
    assert_int_equal(open_long("root ::= \"", "a", 500000, "\""), HEARTH_OK);
    assert_int_equal(open_long("root ::= \"a\"", "|\"a\"", 100000, ""), HEARTH_OK);
    assert_int_equal(open_long("root ::= ", ".", mib - 10, ""), HEARTH_E_LIMIT);
    assert_int_equal(open_long("root ::= \"a\"", "\"b\"?", 60000, ""), HEARTH_OK);
    assert_int_equal(open_long("root ::= ", "\"ab\"{65536}", 3, ""), HEARTH_OK);
    assert_int_equal(open_long("root ::= ", "\"ab\"{65536}", 9, ""), HEARTH_E_LIMIT);
    char *text = malloc(mib);
    for (int n = HR_GRAMMAR_MAX_RULES; n <= HR_GRAMMAR_MAX_RULES + 1; n++) {
        size_t at = (size_t)sprintf(text, "root ::= \"x\"\n");
        for (int i = 1; i < n; i++)
            at += (size_t)sprintf(text + at, "r%d ::= \"x\"\n", i);
        hearth_grammar *g = NULL;
        assert_int_equal(open_gbnf(text, at, &g, NULL),
                         n == HR_GRAMMAR_MAX_RULES ? HEARTH_OK : HEARTH_E_LIMIT);
        hearth_grammar_close(g);
    }
    free(text);
}

/* Nesting of texts is bounded too: beyond 1024 open calls nothing follows. */
static void deep_texts_are_not_followed(void **state)
{
    (void)state;
    static char text[4000];
    hearth_grammar *g = grammar_of("root ::= \"(\" root \")\" | \"x\"");
    memset(text, '(', 1024);
    strcpy(text + 1024, "x");
    memset(text + 1025, ')', 1024);
    assert_int_equal(verdict_of(g, text), WHOLE);
    memset(text, '(', 1030);
    text[1030] = '\0';
    assert_int_equal(verdict_of(g, text), NO);
    hearth_grammar_close(g);
    g = grammar_of("root ::= \"x\" root | \"y\""); /* a call at the end costs no depth */
    memset(text, 'x', 3000);
    strcpy(text + 3000, "y");
    assert_int_equal(verdict_of(g, text), WHOLE);
    hearth_grammar_close(g);
}

static void ambiguity_is_followed_or_refused_and_ends(void **state)
{
    (void)state;
    static const char *const bombs[] = {
        "root ::= a a a a a a a a a a a a a a a a\na ::= \"x\"*",
        "root ::= (\"x\"? | \"x\"* | \"xx\"*)*",
        "root ::= a*\na ::= b*\nb ::= c*\nc ::= \"x\"?",
        "root ::= \"x\" (root | root root | root root root)?",
    };
    char text[200];
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
        hearth_grammar *g = grammar_of(bombs[i]);
        hearth_grammar_verdict v = NO;
        hearth_status status = hearth_grammar_match(g, text, sizeof text, &v, NULL);
        assert_true((status == HEARTH_OK && v == WHOLE) || status == HEARTH_E_LIMIT);
        hearth_grammar_close(g);
    }
}

/* ---- places ---- */

struct place {
    struct hr_grammar_place p;
    void *mem;
};

static void place_open(struct place *x, const hearth_grammar *g)
{
    x->mem = malloc(hr_place_bytes());
    assert_non_null(x->mem);
    assert_int_equal(hr_place_init(&x->p, g, x->mem, NULL), HEARTH_OK);
}

static const char json_grammar[] =
    "root ::= object\n"
    "value ::= object | array | string | number | (\"true\" | \"false\" | \"null\") ws\n"
    "object ::= \"{\" ws ( string \":\" ws value (\",\" ws string \":\" ws value)* )? \"}\" ws\n"
    "array ::= \"[\" ws ( value (\",\" ws value)* )? \"]\" ws\n"
    "string ::= \"\\\"\" ( [^\"\\\\\\x7F\\x00-\\x1F] | \"\\\\\" ([\"\\\\bfnrt] | \"u\" [0-9a-fA-F]{4}) )* \"\\\"\" ws\n"
    "number ::= (\"-\"? ([0-9] | [1-9] [0-9]{0,15})) (\".\" [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws\n"
    "ws ::= | \" \" | \"\\n\" [ \\t]{0,20}\n";

/* Random walks: at every step the mask allows exactly the tokens that are allowed one by one; taking back
 * and copies lead to the same masks. */
static void masks_agree_with_single_tokens(void **state)
{
    (void)state;
    static float a[VOCAB], b[VOCAB];
    static const char *const grammars[] = {json_grammar, "root ::= [a-z ]* \".\"",
                                           "root ::= ([\\u0080-\\U0010FFFF] | \"it was\" | .)*"};
    for (size_t k = 0; k < sizeof grammars / sizeof *grammars; k++) {
        hearth_grammar *g = grammar_of(grammars[k]);
        struct place x, y;
        uint64_t seed = 5 + k;
        place_open(&x, g);
        place_open(&y, g);
        for (int step = 0; step < 40; step++) {
            int32_t n = 0, pick = -1;
            memset(a, 0, sizeof a);
            hr_place_mask(&x.p, a, VOCAB);
            assert_int_equal(x.p.fault, HEARTH_OK);
            for (int32_t i = 0; i < VOCAB; i++) {
                bool allowed = hr_place_allows(&x.p, i);
                if (allowed != (a[i] == 0))
                    fail_msg("grammar %zu, step %d: token %d", k, step, (int)i);
                if (allowed && !hearth_token_is_end(model, i) && test_rand(&seed) % (uint64_t)++n == 0)
                    pick = i;
            }
            if (pick < 0)
                break;
            hr_place_copy(&y.p, &x.p);
            hr_place_accept(&x.p, pick);
            hr_place_accept(&x.p, pick); /* perhaps it cannot follow itself: then nothing happens */
            if (x.p.fault) {
                x.p.fault = HEARTH_OK;
            } else {
                assert_true(hr_place_back(&x.p, 1));
            }
            hr_place_accept(&y.p, pick);
            memset(a, 0, sizeof a);
            memset(b, 0, sizeof b);
            hr_place_mask(&x.p, a, VOCAB);
            hr_place_mask(&y.p, b, VOCAB);
            assert_memory_equal(a, b, sizeof a);
        }
        free(x.mem);
        free(y.mem);
        hearth_grammar_close(g);
    }
}

static void full_tables_are_emptied_and_change_nothing(void **state)
{
    (void)state;
    static float a[VOCAB], b[VOCAB];
    char *text = malloc(1 << 20);
    size_t at = (size_t)sprintf(text, "root ::= (\"w\"");
    for (int32_t i = 0, n = 0; i < VOCAB && n < 4000; i++) { /* more beginnings than there are states */
        const char *bytes;
        size_t len, letters = 0;
        assert_int_equal(hearth_token_bytes(model, i, 0, &bytes, &len, NULL), HEARTH_OK);
        while (letters < len && bytes[letters] >= 'a' && bytes[letters] <= 'z')
            letters++;
        if (letters == len && len > 4) {
            at += (size_t)sprintf(text + at, "|\"%.*s%d\"", (int)len, bytes, (int)i);
            n++;
        }
    }
    sprintf(text + at, ")*");
    hearth_grammar *g = grammar_of(text);
    struct place x;
    place_open(&x, g);
    hr_place_accept(&x.p, -1);
    for (int round = 0; round < 2; round++) {
        memset(round ? b : a, 0, sizeof a);
        hr_place_mask(&x.p, round ? b : a, VOCAB);
        assert_int_equal(x.p.fault, HEARTH_OK);
    }
    assert_memory_equal(a, b, sizeof a);
    int allowed = 0;
    for (int32_t i = 0; i < VOCAB; i++) {
        assert_int_equal(hr_place_allows(&x.p, i), a[i] == 0);
        allowed += a[i] == 0;
    }
    assert_true(allowed > 500);
    assert_true(x.p.collections > 0);
    free(x.mem);
    hearth_grammar_close(g);
    free(text);
}

/* ---- generations ---- */

struct wish {
    const hearth_grammar *grammar;
    float temperature;
    uint64_t seed;
    int32_t max_tokens;
    bool speculate;
};

static size_t generate(const struct wish *w, char *out, size_t size, hearth_finish *finish)
{
    const hearth_session_config sc = {.struct_size = sizeof sc, .n_ctx = 512, .n_logits = 16};
    const hearth_sampler_config config = {.struct_size = sizeof config, .temperature = w->temperature,
                                          .seed = w->seed};
    const hearth_speculation_config spec = {.struct_size = sizeof spec, .lookup = 1, .flags = HEARTH_SPECULATION_STEADY};
    hearth_session *session = test_session(model, &sc);
    hearth_sampler *sampler;
    hearth_generation *gen;
    hearth_error err;
    size_t len = 0;
    const int32_t prompt[] = {100, 200, 300, 100, 200, 300, 100, 200};
    assert_int_equal(hearth_sampler_open(model, &config, &sampler, &err), HEARTH_OK);
    const hearth_generation_config gc = {.struct_size = sizeof gc, .max_tokens = w->max_tokens,
                                         .sampler = sampler, .grammar = w->grammar,
                                         .speculation = w->speculate ? &spec : NULL};
    if (hearth_generation_open(session, &gc, &gen, &err) != HEARTH_OK)
        fail_msg("%s", err.text);
    assert_int_equal(hearth_generation_prompt(gen, prompt, 8, &err), HEARTH_OK);
    for (*finish = HEARTH_FINISH_NONE; *finish == HEARTH_FINISH_NONE;) {
        hearth_piece piece = {.struct_size = sizeof piece};
        if (hearth_generation_next(gen, &piece, &err) != HEARTH_OK)
            fail_msg("%s after %.*s", err.text, (int)len, out);
        assert_true(len + piece.text_len < size);
        memcpy(out + len, piece.text, piece.text_len);
        len += piece.text_len;
        *finish = piece.finish;
    }
    out[len] = '\0';
    hearth_generation_close(gen);
    hearth_sampler_close(sampler);
    hearth_session_close(session);
    return len;
}

static void texts_of_generations_are_texts_of_the_grammar(void **state)
{
    (void)state;
    static const char *const grammars[] = {
        "root ::= [A-Z] [a-z]{2,10} (\" \" [a-z]{1,8}){0,5} \".\"",
        "root ::= \"yes\" | \"no\" | \"perhaps\"",
        "root ::= (\"\\u4e2d\" | \"\\u00e9\" | \"\\U0001F600\"){3,9} \"!\"",
        "root ::= \"<\" tag \">\" [^<]{0,20} \"</\" tag \">\"\ntag ::= \"b\" | \"it\" | \"pre\"",
    };
    static char text[65536], again[65536];
    hearth_finish finish;
    for (size_t k = 0; k < sizeof grammars / sizeof *grammars; k++) {
        hearth_grammar *g = grammar_of(grammars[k]);
        for (uint64_t seed = 1; seed <= 6; seed++) {
            struct wish w = {g, seed == 6 ? 0.0f : 5.0f, seed, 300, false};
            generate(&w, text, sizeof text, &finish);
            assert_int_equal(finish, HEARTH_FINISH_STOP);
            if (verdict_of(g, text) != WHOLE)
                fail_msg("%s: \"%s\"", grammars[k], text);
            w.speculate = true; /* the same text with guesses, those refused too */
            generate(&w, again, sizeof again, &finish);
            assert_string_equal(text, again);
        }
        hearth_grammar_close(g);
    }
}

/* Three generations with one grammar in the same steps: each has a place of its own. */
static void a_batch_gives_the_texts_that_come_alone(void **state)
{
    (void)state;
    static char alone[3][4096], text[3][4096];
    static const int32_t prompt[] = {100, 200, 300, 100, 200, 300, 100, 200};
    hearth_grammar *g = grammar_of("root ::= [A-Z] [a-z]{2,10} (\" \" [a-z]{1,8}){0,5} \".\"");
    const hearth_session_config sc = {.struct_size = sizeof sc, .n_ctx = 512, .n_seqs = 3};
    hearth_session *session = test_session(model, &sc);
    const hearth_batch_config bc = {.struct_size = sizeof bc, .session = session};
    hearth_sampler *samplers[3];
    hearth_batch *batch;
    hearth_finish finish;
    size_t len[3] = {0};
    assert_int_equal(hearth_batch_open(&bc, &batch, NULL), HEARTH_OK);
    for (uint64_t i = 0; i < 3; i++) {
        const struct wish w = {g, 5.0f, i + 1, 300, false};
        generate(&w, alone[i], sizeof alone[i], &finish);
        const hearth_sampler_config config = {.struct_size = sizeof config, .temperature = 5.0f,
                                              .seed = i + 1};
        assert_int_equal(hearth_sampler_open(model, &config, &samplers[i], NULL), HEARTH_OK);
        const hearth_generation_config gc = {.struct_size = sizeof gc, .max_tokens = 300,
                                             .sampler = samplers[i], .grammar = g};
        uint64_t id;
        hearth_error err;
        if (hearth_batch_add(batch, &gc, prompt, 8, &len[i], &id, &err) != HEARTH_OK)
            fail_msg("%s", err.text);
    }
    while (hearth_batch_count(batch, NULL) > 0) {
        hearth_batch_piece piece = {.struct_size = sizeof piece};
        assert_int_equal(hearth_batch_step(batch, NULL), HEARTH_OK);
        while (hearth_batch_next(batch, &piece)) {
            size_t i = (size_t)((size_t *)piece.user - len);
            memcpy(text[i] + len[i], piece.piece.text, piece.piece.text_len);
            len[i] += piece.piece.text_len;
            assert_true(piece.piece.finish == HEARTH_FINISH_NONE ||
                        piece.piece.finish == HEARTH_FINISH_STOP);
        }
    }
    for (int i = 0; i < 3; i++) {
        assert_string_equal(text[i], alone[i]);
        hearth_sampler_close(samplers[i]);
    }
    hearth_batch_close(batch);
    hearth_session_close(session);
    hearth_grammar_close(g);
}

static void a_grammar_needs_a_sampler(void **state)
{
    (void)state;
    hearth_grammar *g = grammar_of("root ::= \"a\"");
    hearth_session *session = test_session(model, NULL);
    hearth_generation *gen;
    const hearth_generation_config gc = {.struct_size = sizeof gc, .grammar = g};
    assert_int_equal(hearth_generation_open(session, &gc, &gen, NULL), HEARTH_E_ARGUMENT);
    hearth_session_close(session);
    hearth_grammar_close(g);
}

static void allocators_that_refuse_leave_nothing(void **state)
{
    (void)state;
    for (long refuse = 0; refuse < 12; refuse++) {
        struct test_heap heap = {.refuse_at = refuse};
        const hearth_grammar_config config = {.struct_size = sizeof config, .gbnf = json_grammar,
                                              .gbnf_len = strlen(json_grammar),
                                              .allocator = test_heap_hooks(&heap)};
        hearth_grammar *g = NULL;
        hearth_status status = hearth_grammar_open(model, &config, &g, NULL);
        assert_true(status == HEARTH_OK || status == HEARTH_E_MEMORY);
        hearth_grammar_close(g);
        assert_int_equal(heap.blocks, 0);
    }
}

/* ---- JSON schema ---- */

#if HEARTH_WITH_JSON
static hearth_status open_schema(const char *text, hearth_grammar **g, hearth_error *err)
{
    const hearth_grammar_config config = {.struct_size = sizeof config, .json_schema = text,
                                          .json_schema_len = strlen(text)};
    return hearth_grammar_open(model, &config, g, err);
}

static hearth_grammar *schema_of(const char *text)
{
    hearth_error err;
    hearth_grammar *g;
    if (open_schema(text, &g, &err) != HEARTH_OK)
        fail_msg("%s: %s", text, err.text);
    return g;
}

static void schemas_match_what_they_say(void **state)
{
    (void)state;
    static const char object[] =
        "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"string\"},"
        "\"c\":{\"type\":\"null\"}},\"required\":[\"b\"]}";
    static const char tree[] =
        "{\"$defs\":{\"t\":{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"boolean\"},\"kids\":"
        "{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/t\"}}},\"required\":[\"v\"]}},"
        "\"$ref\":\"#/$defs/t\"}";
    static const struct {
        const char *schema, *text;
        hearth_grammar_verdict verdict;
    } rows[] = {
        {object, "{\"a\": 1, \"b\": \"x\", \"c\": null}", WHOLE},
        {object, "{\"b\":\"x\"}", WHOLE},
        {object, "{\"b\":\"\",\"c\":null}", WHOLE},
        {object, "{\"a\":1,\"b\":\"x\"}", WHOLE},
        {object, "{\"a\":1}", NO},
        {object, "{}", NO},
        {object, "{\"b\":\"x\",}", NO},
        {object, "{\"b\":\"x\",\"d\":1}", NO},
        {object, "{\"b\":\"x\"", BEGINS},
        {tree, "{\"v\":true,\"kids\":[{\"v\":false},{\"v\":true,\"kids\":[]}]}", WHOLE},
        {tree, "{\"v\":1}", NO},
        {"true", "[1,{\"a\":\"b\"},null,-1.5e+3]", WHOLE},
        {"{}", "\"any\"", WHOLE},
        {"{\"type\":[\"string\",\"null\"]}", "null", WHOLE},
        {"{\"type\":[\"string\",\"null\"]}", "1", NO},
        {"{\"enum\":[1,\"two\",null,{\"k\":[true]}]}", "{\"k\":[true]}", WHOLE},
        {"{\"enum\":[1,\"two\"]}", "\"two\"", WHOLE},
        {"{\"enum\":[1,\"two\"]}", "2", NO},
        {"{\"const\":\"\\u00e9\\n\\\"\"}", "\"\xC3\xA9\\n\\\"\"", WHOLE},
        {"{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}", "\"ab\"", WHOLE},
        {"{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}", "\"a\"", NO},
        {"{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}", "\"\xC3\xA9\\n\\u00e9\"", WHOLE},
        {"{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}", "\"abcd\"", NO},
        {"{\"type\":\"string\"}", "\"\\ud800\"", NO},
        {"{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"minItems\":1,\"maxItems\":3}", "[1, 2]",
         WHOLE},
        {"{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"minItems\":1,\"maxItems\":3}", "[]", NO},
        {"{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"minItems\":1,\"maxItems\":3}",
         "[1,2,3,4]", NO},
        {"{\"type\":\"array\",\"maxItems\":0}", "[]", WHOLE},
        {"{\"prefixItems\":[{\"type\":\"integer\"},{\"type\":\"string\"}]}", "[1,\"a\"]", WHOLE},
        {"{\"type\":\"integer\",\"minimum\":-5,\"maximum\":120}", "-5", WHOLE},
        {"{\"type\":\"integer\",\"minimum\":-5,\"maximum\":120}", "-6", NO},
        {"{\"type\":\"integer\",\"minimum\":-5,\"maximum\":120}", "120", WHOLE},
        {"{\"type\":\"integer\",\"minimum\":-5,\"maximum\":120}", "121", NO},
        {"{\"type\":\"integer\",\"minimum\":7}", "1234567", WHOLE},
        {"{\"type\":\"integer\",\"minimum\":7}", "6", BEGINS},
        {"{\"type\":\"integer\",\"minimum\":7}", "0", NO},
        {"{\"type\":\"integer\",\"exclusiveMaximum\":0}", "0", NO},
        {"{\"type\":\"integer\",\"exclusiveMaximum\":0}", "-1", WHOLE},
        {"{\"type\":\"number\"}", "-0.25e-7", WHOLE},
        {"{\"type\":\"number\"}", "01", NO},
        {"{\"type\":\"string\",\"pattern\":\"^[a-z]+@[a-z]+\\\\.(com|org)$\"}", "\"me@here.org\"", WHOLE},
        {"{\"type\":\"string\",\"pattern\":\"^[a-z]+@[a-z]+\\\\.(com|org)$\"}", "\"me@here.net\"", NO},
        {"{\"type\":\"string\",\"pattern\":\"^\\\\d{3}-\\\\w*$\"}", "\"123-a_B\"", WHOLE},
        {"{\"type\":\"string\",\"pattern\":\"^[ -~]*$\"}", "\"a b~\"", WHOLE},
        {"{\"type\":\"string\",\"pattern\":\"^[ -~]*$\"}", "\"a\\\"", NO},
        {"{\"type\":\"string\",\"pattern\":\"^[^x]$\"}", "\"x\"", NO},
        {"{\"type\":\"string\",\"pattern\":\"^$\"}", "\"\"", WHOLE},
        {"{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"string\"}]}", "\"a\"", WHOLE},
        {"{\"type\":\"string\",\"enum\":[\"a\",\"b\"],\"title\":\"t\"}", "\"b\"", WHOLE},
        {"{\"type\":[\"number\",\"null\"],\"enum\":[1,2.5,null]}", "2.5", WHOLE},
        {"{\"oneOf\":[{\"const\":1},{\"const\":2}]}", "2", WHOLE},
        {"{\"allOf\":[{\"const\":1}]}", "1", WHOLE},
        {"{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"}}",
         "{\"x\":1, \"y\":2}", WHOLE},
        {"{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"}}", "{\"x\":\"\"}", NO},
        {"{\"type\":\"object\",\"properties\":{\"\\u4e2d\":{\"const\":1}}}", "{\"\xE4\xB8\xAD\":1}", WHOLE},
        {"{\"type\":\"object\",\"properties\":{\"a\\\"b\":{\"const\":1}}}", "{\"a\\\"b\":1}", WHOLE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hearth_grammar *g = schema_of(rows[i].schema);
        hearth_grammar_verdict v = verdict_of(g, rows[i].text);
        if (v != rows[i].verdict)
            fail_msg("%s on %s: %d", rows[i].schema, rows[i].text, (int)v);
        hearth_grammar_close(g);
    }
}

/* Every number of a range and none beside it. */
static void integer_bounds_are_exact(void **state)
{
    (void)state;
    static const int bounds[][2] = {{0, 0}, {0, 9}, {1, 10}, {-3, 3}, {-120, -7}, {5, 1003}, {99, 101},
                                    {-1, 1000}, {10, 99}, {347, 752}, {-999, 999}};
    for (size_t k = 0; k < sizeof bounds / sizeof *bounds; k++) {
        char text[128], number[16];
        sprintf(text, "{\"type\":\"integer\",\"minimum\":%d,\"maximum\":%d}", bounds[k][0], bounds[k][1]);
        hearth_grammar *g = schema_of(text);
        struct place x;
        place_open(&x, g);
        for (int i = -1100; i <= 1100; i++) {
            sprintf(number, "%d", i);
            uint16_t at = x.p.back[x.p.at];
            for (const char *p = number; *p && at != HR_G_DEAD; p++)
                at = hr_place_step(&x.p, at, (uint8_t)*p);
            bool whole = at != HR_G_DEAD && x.p.states[at].ends;
            if (whole != (i >= bounds[k][0] && i <= bounds[k][1]))
                fail_msg("%s: %d", text, i);
        }
        free(x.mem);
        hearth_grammar_close(g);
    }
}

/* J-02 */
static void bad_schemas_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        hearth_status status;
        const char *says;
    } rows[] = {
        {"{\"$ref\":\"#\"}", HEARTH_E_FORMAT, "left-recursive"},
        {"{\"$defs\":{\"a\":{\"$ref\":\"#/$defs/b\"},\"b\":{\"$ref\":\"#/$defs/a\"}},\"$ref\":\"#/$defs/a\"}",
         HEARTH_E_FORMAT, "left-recursive"},
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#\"}},\"required\":[\"a\"]}",
         HEARTH_E_FORMAT, "never ends"},
        {"{\"$ref\":\"#/nowhere\"}", HEARTH_E_NOT_FOUND, "#/nowhere"},
        {"{\"$ref\":\"http://x/y\"}", HEARTH_E_UNSUPPORTED, "http://x/y"},
        {"{\"type\":\"string\",\"minLength\":5,\"maxLength\":2}", HEARTH_E_RANGE, "minLength 5"},
        {"{\"type\":\"array\",\"minItems\":5,\"maxItems\":2}", HEARTH_E_RANGE, "minItems 5"},
        {"{\"type\":\"integer\",\"minimum\":5,\"maximum\":2}", HEARTH_E_RANGE, "minimum of 5"},
        {"{\"type\":\"string\",\"minLength\":4294967296}", HEARTH_E_LIMIT, "minLength"},
        {"{\"type\":\"string\",\"minLength\":-1}", HEARTH_E_RANGE, "minLength"},
        {"{\"type\":\"number\",\"minimum\":1}", HEARTH_E_UNSUPPORTED, "minimum of a number"},
        {"{\"type\":\"integer\",\"minimum\":1.5}", HEARTH_E_UNSUPPORTED, "minimum"},
        {"{\"type\":\"integer\",\"multipleOf\":3}", HEARTH_E_UNSUPPORTED, "multipleOf"},
        {"{\"not\":{}}", HEARTH_E_UNSUPPORTED, "not"},
        {"{\"type\":\"array\",\"uniqueItems\":true}", HEARTH_E_UNSUPPORTED, "uniqueItems"},
        {"{\"patternProperties\":{}}", HEARTH_E_UNSUPPORTED, "patternProperties"},
        {"{\"allOf\":[{},{}]}", HEARTH_E_UNSUPPORTED, "allOf of 2"},
        {"{\"enum\":[\"ab\"],\"maxLength\":1}", HEARTH_E_UNSUPPORTED, "\"maxLength\" beside \"enum\""},
        {"{\"const\":7,\"minimum\":8}", HEARTH_E_UNSUPPORTED, "\"minimum\" beside \"const\""},
        {"{\"anyOf\":[{\"const\":1}],\"type\":\"string\"}", HEARTH_E_UNSUPPORTED, "\"type\" beside \"anyOf\""},
        {"{\"oneOf\":[{\"const\":1}],\"anyOf\":[{\"const\":2}]}", HEARTH_E_UNSUPPORTED, "beside \"anyOf\""},
        {"{\"allOf\":[{\"const\":1}],\"maximum\":0}", HEARTH_E_UNSUPPORTED, "\"maximum\" beside \"allOf\""},
        {"{\"$defs\":{\"a\":{\"type\":\"string\"}},\"$ref\":\"#/$defs/a\",\"maxLength\":3}",
         HEARTH_E_UNSUPPORTED, "\"maxLength\" beside \"$ref\""},
        {"{\"type\":\"string\",\"enum\":[\"a\",1]}", HEARTH_E_RANGE, "not of the type"},
        {"{\"type\":[\"null\",\"boolean\"],\"const\":1}", HEARTH_E_RANGE, "not of the type"},
        {"{\"type\":\"strin\"}", HEARTH_E_FORMAT, "strin"},
        {"{\"type\":3}", HEARTH_E_FORMAT, "type"},
        {"{\"enum\":[]}", HEARTH_E_FORMAT, "enum"},
        {"{\"type\":\"object\",\"properties\":{\"a\":{}},\"required\":[\"z\"]}", HEARTH_E_UNSUPPORTED, "z"},
        {"false", HEARTH_E_FORMAT, "schema"},
        {"{", HEARTH_E_FORMAT, "line 1"},
        {"", HEARTH_E_FORMAT, "schema"},
        {"{\"a\":1,\"a\":2}", HEARTH_E_FORMAT, "duplicate"},
        {"{\"type\":\"string\",\"pattern\":\"abc\"}", HEARTH_E_UNSUPPORTED, "from ^ to $"},
        {"{\"type\":\"string\",\"pattern\":\"^(?=a)$\"}", HEARTH_E_UNSUPPORTED, "look-around"},
        {"{\"type\":\"string\",\"pattern\":\"^(a)\\\\1$\"}", HEARTH_E_UNSUPPORTED, "escape"},
        {"{\"type\":\"string\",\"pattern\":\"^a+?$\"}", HEARTH_E_UNSUPPORTED, "lazy"},
        {"{\"type\":\"string\",\"pattern\":\"^((((a{1000}){1000}){1000}){1000})$\"}", HEARTH_OK, ""},
        {"{\"type\":\"string\",\"pattern\":\"^a{99999999}$\"}", HEARTH_E_LIMIT, "65536"},
        {"{\"type\":\"string\",\"pattern\":\"^(a$\"}", HEARTH_E_FORMAT, "bracket"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hearth_grammar *g = NULL;
        hearth_error err = {.text = ""};
        hearth_status status = open_schema(rows[i].text, &g, &err);
        if (status != rows[i].status || !strstr(err.text, rows[i].says))
            fail_msg("%s: %s (%s)", rows[i].text, hearth_status_text(status), err.text);
        hearth_grammar_close(g);
    }
    const size_t n = 100000;
    char *text = malloc(n * 16 + 100);
    for (int what = 0; what < 3; what++) { /* 100 000 values; depth 10 000; depth 64 and 66 */
        size_t at = 0, depth = what == 1 ? 10000 : 66;
        if (what == 0) {
            at = (size_t)sprintf(text, "{\"enum\":[0");
            for (size_t i = 1; i < n; i++)
                at += (size_t)sprintf(text + at, ",%zu", i);
            sprintf(text + at, "]}");
        } else {
            for (size_t i = 0; i < depth; i++)
                at += (size_t)sprintf(text + at, "{\"items\":");
            at += (size_t)sprintf(text + at, "{}");
            for (size_t i = 0; i < depth; i++)
                text[at++] = '}';
            text[at] = '\0';
        }
        hearth_grammar *g = NULL;
        hearth_error err = {.text = ""};
        hearth_status status = open_schema(text, &g, &err);
        if (status != HEARTH_OK && status != HEARTH_E_LIMIT && status != HEARTH_E_FORMAT)
            fail_msg("%d: %s", what, err.text);
        assert_true(status != HEARTH_OK || what == 0);
        hearth_grammar_close(g);
    }
    free(text);
}

static void texts_of_schemas_are_json(void **state)
{
    (void)state;
    static const char *const schemas[] = {
        "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":12},\"age\":"
        "{\"type\":\"integer\",\"minimum\":0,\"maximum\":150},\"tags\":{\"type\":\"array\",\"items\":{\"enum\":"
        "[\"a\",\"b\",\"\\u00e9\"]},\"maxItems\":4},\"ok\":{\"type\":\"boolean\"}},\"required\":[\"name\","
        "\"age\"]}",
        "{\"type\":\"array\",\"items\":{\"type\":\"number\"},\"minItems\":2,\"maxItems\":5}",
        "{\"type\":\"string\",\"pattern\":\"^[A-Z][a-z]{1,8}( [A-Z][a-z]{1,8})?$\"}",
    };
    static char text[65536];
    hearth_finish finish;
    for (size_t k = 0; k < sizeof schemas / sizeof *schemas; k++) {
        hearth_grammar *g = schema_of(schemas[k]);
        for (uint64_t seed = 1; seed <= 15; seed++) {
            const struct wish w = {g, 8.0f, seed, 400, seed % 2 == 0};
            size_t len = generate(&w, text, sizeof text, &finish);
            assert_int_equal(finish, HEARTH_FINISH_STOP);
            json_error_t why;
            json_t *value = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
            if (!value || verdict_of(g, text) != WHOLE)
                fail_msg("%s: %s", text, why.text);
            json_decref(value);
        }
        hearth_grammar_close(g);
    }
}
#endif

static int setup(void **state)
{
    (void)state;
    model = test_model(&file);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hearth_model_close(model);
    hearth_file_close(file);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gbnf_matches_what_it_says),
        cmocka_unit_test(bad_grammars_are_refused_by_name),
        cmocka_unit_test(long_grammars_end_with_a_status),
        cmocka_unit_test(deep_texts_are_not_followed),
        cmocka_unit_test(ambiguity_is_followed_or_refused_and_ends),
        cmocka_unit_test(masks_agree_with_single_tokens),
        cmocka_unit_test(full_tables_are_emptied_and_change_nothing),
        cmocka_unit_test(texts_of_generations_are_texts_of_the_grammar),
        cmocka_unit_test(a_batch_gives_the_texts_that_come_alone),
        cmocka_unit_test(a_grammar_needs_a_sampler),
        cmocka_unit_test(allocators_that_refuse_leave_nothing),
#if HEARTH_WITH_JSON
        cmocka_unit_test(schemas_match_what_they_say),
        cmocka_unit_test(integer_bounds_are_exact),
        cmocka_unit_test(bad_schemas_are_refused_by_name),
        cmocka_unit_test(texts_of_schemas_are_json),
#endif
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

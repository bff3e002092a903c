/* What a grammar costs per token: checking the token that was chosen, and masking the vocabulary where
 * that one is refused.
 *
 *     bench_grammar MODEL [REPETITIONS]      any file with a vocabulary
 *
 * Random texts of each grammar are grown token by token; every step checks one allowed token and one drawn
 * from the vocabulary, and masks. Checked: the mask allows what was accepted. One JSON line a grammar, times
 * in microseconds: open, check, mask over all steps (p50, p99, longest), and the first mask of a text, when
 * no state is known yet. */
#include "runtime/hr_grammar.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct {
    const char *name, *gbnf, *schema;
} bench_grammars[] = {
    {"json",
     "root ::= value\n"
     "value ::= object | array | string | number | \"true\" | \"false\" | \"null\"\n"
     "object ::= \"{\" ( string \":\" \" \"? value (\",\" \" \"? string \":\" \" \"? value)* )? \"}\"\n"
     "array ::= \"[\" ( value (\",\" \" \"? value)* )? \"]\"\n"
     "string ::= \"\\\"\" ( [^\"\\\\\\x00-\\x1F] | \"\\\\\" [\"\\\\bfnrt] )* \"\\\"\"\n"
     "number ::= \"-\"? ( \"0\" | [1-9] [0-9]{0,15} ) ( \".\" [0-9]{1,16} )?\n", NULL},
    {"schema", NULL,
     "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"age\":{\"type\":\"integer\"},"
     "\"mail\":{\"type\":\"string\",\"pattern\":\"^[a-z]+@[a-z]+[.]com$\"},\"kind\":{\"enum\":[\"cat\","
     "\"dog\",\"bird\"]},\"friends\":{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}}},"
     "\"required\":[\"name\",\"kind\"]}"},
    {"prose", "root ::= [A-Z] [a-z' ]* ( [,;] \" \" [a-z' ]* )* [.!?]\n", NULL},
    {"any", "root ::= .*\n", NULL},
};

static double bench_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec * 1e-3;
}

static int bench_order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double bench_at(const double *sorted, size_t n, double share)
{
    return n ? sorted[(size_t)((double)(n - 1) * share)] : 0;
}

static uint64_t bench_random(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    return *s ^= *s << 17;
}

static void bench_require(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench_grammar: %s\n", what);
    exit(1);
}

struct bench_times {
    double *mask, *check, *first;
    size_t n, n_check, n_first;
    double allowed;
};

static void bench_text(struct hr_grammar_place *p, float *logits, int32_t n_vocab, uint64_t *seed,
                       struct bench_times *t)
{
    bench_require(hr_place_reset(p, NULL) == HEARTH_OK, "no place");
    for (int step = 0; step < 50 && !hr_place_must_end(p); step++) {
        memset(logits, 0, (size_t)n_vocab * sizeof *logits);
        double t0 = bench_us();
        hr_place_mask(p, logits, n_vocab);
        t->mask[t->n] = bench_us() - t0;
        if (step == 0)
            t->first[t->n_first++] = t->mask[t->n];
        t->n++;
        int32_t pick = -1, count = 0;
        for (int32_t i = 0; i < n_vocab; i++)
            if (logits[i] == 0) {
                count++;
                if (!hv_is_eog(p->g->model->tokenizer, i) &&
                    bench_random(seed) % (uint64_t)count == 0)
                    pick = i;
            }
        t->allowed += (double)count / n_vocab;
        if (pick < 0)
            return;
        t0 = bench_us();
        bool yes = hr_place_allows(p, pick);
        hr_place_allows(p, (int32_t)(bench_random(seed) % (uint64_t)n_vocab));
        t->check[t->n_check++] = (bench_us() - t0) / 2;
        bench_require(yes, "the mask allows a token that the check refuses");
        hr_place_accept(p, pick);
        bench_require(p->fault == HEARTH_OK, "a fault");
    }
}

static void bench_one(const hearth_model *model, size_t k, int texts)
{
    hearth_grammar *g;
    hearth_error err;
    const char *gbnf = bench_grammars[k].gbnf, *schema = bench_grammars[k].schema;
    const hearth_grammar_config config = {.struct_size = sizeof config,
                                          .gbnf = gbnf, .gbnf_len = gbnf ? strlen(gbnf) : 0,
                                          .json_schema = schema,
                                          .json_schema_len = schema ? strlen(schema) : 0};
    double t0 = bench_us();
    if (hearth_grammar_open(model, &config, &g, &err) != HEARTH_OK) {
        fprintf(stderr, "bench_grammar: %s\n", err.text);
        return;
    }
    double open_us = bench_us() - t0;
    int32_t n_vocab = (int32_t)hv_vocab_size(model->tokenizer);
    size_t most = (size_t)texts * 50;
    struct bench_times t = {malloc(most * 8), malloc(most * 8), malloc(most * 8), 0, 0, 0, 0};
    float *logits = malloc((size_t)n_vocab * sizeof *logits);
    void *mem = malloc(hr_place_bytes());
    struct hr_grammar_place place;
    uint64_t seed = 88172645463325252u;
    bench_require(t.mask && t.check && t.first && logits && mem, "no memory");
    bench_require(hr_place_init(&place, g, mem, NULL) == HEARTH_OK, "no place");
    for (int i = 0; i < texts; i++)
        bench_text(&place, logits, n_vocab, &seed, &t);
    qsort(t.mask, t.n, sizeof *t.mask, bench_order);
    qsort(t.check, t.n_check, sizeof *t.check, bench_order);
    qsort(t.first, t.n_first, sizeof *t.first, bench_order);
    printf("{\"bench\":\"grammar\",\"grammar\":\"%s\",\"vocab\":%d,\"steps\":%zu,\"allowed_share\":%.3f,"
           "\"open_us\":%.0f,\"check_p50_us\":%.2f,\"check_p99_us\":%.2f,\"mask_p50_us\":%.1f,"
           "\"mask_p99_us\":%.1f,\"mask_max_us\":%.1f,\"first_mask_p50_us\":%.1f,\"place_bytes\":%zu}\n",
           bench_grammars[k].name, (int)n_vocab, t.n, t.allowed / (double)(t.n ? t.n : 1), open_us,
           bench_at(t.check, t.n_check, 0.5), bench_at(t.check, t.n_check, 0.99),
           bench_at(t.mask, t.n, 0.5), bench_at(t.mask, t.n, 0.99), bench_at(t.mask, t.n, 1),
           bench_at(t.first, t.n_first, 0.5), hr_place_bytes());
    free(t.mask);
    free(t.check);
    free(t.first);
    free(logits);
    free(mem);
    hearth_grammar_close(g);
}

int main(int argc, char **argv)
{
    hearth_file *file;
    hearth_model *model;
    hearth_error err;
    const hearth_model_config config = {.struct_size = sizeof config, .flags = HEARTH_MODEL_VOCAB_ONLY};
    if (argc < 2 || hearth_file_open(argv[1], NULL, &file, &err) != HEARTH_OK) {
        fprintf(stderr, "bench_grammar: %s\n", argc < 2 ? "MODEL is missing" : err.text);
        return 2;
    }
    const hearth_bytes bytes = {hearth_file_bytes(file), hearth_file_size(file)};
    if (hearth_model_open(&bytes, 1, &config, &model, &err) != HEARTH_OK) {
        fprintf(stderr, "bench_grammar: %s\n", err.text);
        return 3;
    }
    for (size_t k = 0; k < sizeof bench_grammars / sizeof *bench_grammars; k++)
        bench_one(model, k, argc > 2 ? atoi(argv[2]) : 20);
    hearth_model_close(model);
    hearth_file_close(file);
    return 0;
}

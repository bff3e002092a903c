/* Fuzz target: settings, history and logits of a sampler over a vocabulary of 97 without texts.
 *
 * Oracles: opening is accepted or refused as a range; a token that is chosen exists and was not banned;
 * else the status says that numbers were bad; guessing and taking back leaves the history as it was;
 * the greedy token is the largest score when nothing changes scores; the same input chooses the same.
 *
 * Built with -fsanitize=fuzzer this is a libFuzzer target (FUZZ_ENGINE defined); otherwise main replays
 * the files named on the command line, or without any a generated corpus. */
#include "runtime/hr_chain.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUZZ_VOCAB 97

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_require(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_sampler: %s\n", what);
    abort();
}

struct fuzz_input {
    const uint8_t *at, *end;
};

static uint32_t fuzz_byte(struct fuzz_input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

static float fuzz_float(struct fuzz_input *in)
{
    static const float special[] = {0, 1, -1, 0.5f, 1e-38f, 1e38f, 1e30f, NAN, INFINITY, -INFINITY,
                                    1e-9f, 1000, -1000, 1e6f, 3e38f, -3e38f};
    uint32_t kind = fuzz_byte(in), bits = 0;
    if (kind < 16)
        return special[kind];
    for (int i = 0; i < 4 && kind < 64; i++)
        bits = bits << 8 | fuzz_byte(in);
    float any;
    memcpy(&any, &bits, sizeof any);
    return kind < 64 ? any : (float)(int32_t)(kind - 160) / 16;
}

static int32_t fuzz_int(struct fuzz_input *in)
{
    static const int32_t special[] = {0, 1, -1, INT32_MAX, INT32_MIN, FUZZ_VOCAB, FUZZ_VOCAB + 1, 1 << 20};
    uint32_t kind = fuzz_byte(in);
    return kind < 8 ? special[kind] : (int32_t)kind % 40;
}

static void fuzz_config(struct fuzz_input *in, hearth_sampler_config *c, hearth_logit_bias *bias)
{
    static const char *const orders[] = {NULL, NULL, NULL, "", "temperature;typ_p;xtc;top_p;min_p;top_k",
                                         "dry;top_k", "penalties;top_n_sigma;min_p", "top_k;dry", "x"};
    float *const real[] = {&c->temperature, &c->top_p, &c->min_p, &c->repeat_penalty, &c->presence_penalty,
                           &c->frequency_penalty, &c->typical_p, &c->top_n_sigma, &c->xtc_probability,
                           &c->xtc_threshold, &c->dry_multiplier, &c->dry_base, &c->mirostat_tau,
                           &c->mirostat_eta, &c->dynatemp_range, &c->dynatemp_exponent};
    int32_t *const whole[] = {&c->top_k, &c->penalty_window, &c->dry_allowed_length, &c->dry_last_n,
                              &c->min_keep, &c->mirostat};
    /* most fields stay at their defaults, else hardly anything would be accepted */
    for (uint32_t n = fuzz_byte(in) % 4; n > 0; n--)
        *real[fuzz_byte(in) % 16] = fuzz_float(in);
    for (uint32_t n = fuzz_byte(in) % 3; n > 0; n--)
        *whole[fuzz_byte(in) % 6] = fuzz_int(in);
    c->order = orders[fuzz_byte(in) % 9];
    c->n_bias = fuzz_byte(in) % 3;
    c->bias = bias;
    for (size_t i = 0; i < c->n_bias; i++)
        bias[i] = (hearth_logit_bias){(int32_t)(fuzz_byte(in) % (FUZZ_VOCAB + 1)), fuzz_float(in)};
}

static bool fuzz_finite(const float *logits)
{
    for (int i = 0; i < FUZZ_VOCAB; i++)
        if (logits[i] != logits[i] || logits[i] == INFINITY)
            return false;
    return true;
}

static int32_t fuzz_choose(hearth_sampler *s, const float *logits, const struct hr_guess *guess)
{
    int32_t token = -1;
    hearth_status status = guess ? hr_sampler_verify(s, logits, guess, &token, NULL)
                                 : hearth_sampler_sample(s, logits, &token, NULL);
    fuzz_require(status == HEARTH_OK || status == HEARTH_E_NUMERIC, "a status that is none of ours");
    fuzz_require((status == HEARTH_OK) == (token >= 0), "a token without a choice");
    fuzz_require(token < FUZZ_VOCAB, "a token past the vocabulary");
    if (token < 0)
        return token;
    fuzz_require(fuzz_finite(logits), "bad numbers were accepted");
    fuzz_require(logits[token] > -INFINITY, "a token that was impossible");
    for (size_t i = 0; i < s->config.n_bias; i++)
        fuzz_require(s->bias[i].token != token || s->bias[i].bias > -INFINITY, "a banned token");
    return token;
}

static int fuzz_chosen; /* tokens, of all inputs */

static void fuzz_run(hearth_sampler *s, struct fuzz_input in, int32_t *out)
{
    float logits[FUZZ_VOCAB];
    for (int step = 0; step < 8; step++) {
        struct hr_guess guess;
        for (int i = 0; i < FUZZ_VOCAB; i++)
            logits[i] = fuzz_byte(&in) % 8 == 0 ? fuzz_float(&in) : (float)(i * 37 % 19) / 4;
        int64_t n = s->history.n;
        bool guessed = hr_sampler_guess(s, logits, &guess, NULL) == HEARTH_OK;
        hr_sampler_rewind(s, (int32_t)(s->history.n - n));
        fuzz_require(s->history.n == n, "a guess stays in the history");
        out[step] = fuzz_choose(s, logits, guessed && step % 2 ? &guess : NULL);
        fuzz_chosen += out[step] >= 0;
        if (out[step] >= 0)
            hearth_sampler_accept(s, out[step]);
        for (uint32_t k = fuzz_byte(&in) % 8; k > 0; k--)
            hearth_sampler_accept(s, fuzz_int(&in));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static hearth_model model = {.info = {.vocab_size = FUZZ_VOCAB, .n_ctx_train = 128}};
    struct fuzz_input in = {data, data + size};
    hearth_sampler_config c = {.struct_size = sizeof c, .temperature = 0.8f, .seed = size};
    hearth_logit_bias bias[2];
    hearth_sampler *s;
    hearth_error err = {0};
    int32_t first[8], second[8];
    fuzz_config(&in, &c, bias);
    hearth_status status = hearth_sampler_open(&model, &c, &s, &err);
    if (status != HEARTH_OK) {
        fuzz_require(status == HEARTH_E_RANGE && strncmp(err.text, "sampler: ", 9) == 0,
                     "settings are refused without a sentence");
        return 0;
    }
    fuzz_run(s, in, first);
    hearth_sampler_reset(s);
    fuzz_run(s, in, second);
    fuzz_require(memcmp(first, second, sizeof first) == 0, "the same input chooses differently");
    hearth_sampler_close(s);
    return 0;
}

#ifndef FUZZ_ENGINE
static void fuzz_replay(const char *path)
{
    static uint8_t data[1 << 16];
    FILE *f = fopen(path, "rb");
    fuzz_require(f != NULL, "a corpus file is missing");
    size_t n = fread(data, 1, sizeof data, f);
    fclose(f);
    LLVMFuzzerTestOneInput(data, n);
}

int main(int argc, char **argv)
{
    uint64_t x = 88172645463325252u;
    uint8_t data[600];
    for (int i = 1; i < argc; i++)
        fuzz_replay(argv[i]);
    for (int round = 0; round < 20000 && argc == 1; round++) {
        size_t n = 0;
        for (; n < sizeof data && (n < 40 || x % 400); n++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            data[n] = (uint8_t)(x >> 24);
        }
        LLVMFuzzerTestOneInput(data, n);
    }
    fuzz_require(argc > 1 || fuzz_chosen > 10000, "the corpus hardly reaches the sampler");
    return 0;
}
#endif

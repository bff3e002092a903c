/* What generate and chat share: the options of a generation, taking its pieces, and reporting it. */
#ifndef GENERATING_H
#define GENERATING_H

#include "client.h"

struct hc_generating {
    int32_t n;
    int32_t ctx;
    int32_t batch;
    float temperature;
    int32_t top_k;
    float top_p;
    float min_p;
    float repeat_penalty;
    struct hc_seed seed;
    struct hc_texts stop;
    bool ignore_eos;
    const char *type_k;
    const char *type_v;
    int32_t sink, window;
    bool no_kv_cache;
};

#define HC_GENERATING_DEFAULTS                                                                     \
    {                                                                                              \
        .n = 256, .temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f,                \
        .repeat_penalty = 1.0f                                                                     \
    }

/* Rows for the table of a command whose settings have a struct hc_generating as `member`. */
#define HC_GENERATING_ROW(type, member, field) offsetof(type, member.field)
#define HC_GENERATING_OPTIONS(type, member)                                                        \
    {"-n", HC_INT, HC_GENERATING_ROW(type, member, n), -1, INT32_MAX, "N",                         \
     "most tokens to add; -1: until the context is full (256)"},                                   \
    {"-c", HC_INT, HC_GENERATING_ROW(type, member, ctx), 1, INT32_MAX, "CTX",                      \
     "context in tokens; default: the model's own"},                                               \
    {"-b", HC_INT, HC_GENERATING_ROW(type, member, batch), 1, INT32_MAX, "CHUNK",                  \
     "prompt tokens in one step (512)"},                                                           \
    {"--temp", HC_REAL, HC_GENERATING_ROW(type, member, temperature), 0, 100, "X",                 \
     "temperature; 0 is greedy (0.8)"},                                                            \
    {"--top-k", HC_INT, HC_GENERATING_ROW(type, member, top_k), 0, INT32_MAX, "K",                 \
     "keep the K likeliest; 0: all (40)"},                                                         \
    {"--top-p", HC_REAL, HC_GENERATING_ROW(type, member, top_p), 0, 1, "P",                        \
     "keep the likeliest that make up P; 1: all (0.95)"},                                          \
    {"--min-p", HC_REAL, HC_GENERATING_ROW(type, member, min_p), 0, 1, "P",                        \
     "drop what is below P times the likeliest (0.05)"},                                           \
    {"--repeat-penalty", HC_REAL, HC_GENERATING_ROW(type, member, repeat_penalty), 0, 100, "X",    \
     "divide the score of recent tokens; 1: off (1)"},                                             \
    {"-s", HC_SEED, HC_GENERATING_ROW(type, member, seed), 0, 0, "SEED",                           \
     "seed; default: random, printed to stderr"},                                                  \
    {"--stop", HC_TEXTS, HC_GENERATING_ROW(type, member, stop), 0, 0, "STR",                       \
     "end before this text; may be repeated"},                                                     \
    {"--ignore-eos", HC_FLAG, HC_GENERATING_ROW(type, member, ignore_eos), 0, 0, NULL,             \
     "end tokens do not end the text"},                                                            \
    {"--ctk", HC_TEXT, HC_GENERATING_ROW(type, member, type_k), 0, 0, "TYPE",                      \
     "type of the key cache (f16)"},                                                               \
    {"--ctv", HC_TEXT, HC_GENERATING_ROW(type, member, type_v), 0, 0, "TYPE",                      \
     "type of the value cache (f16)"},                                                             \
    {"--window", HC_INT, HC_GENERATING_ROW(type, member, window), 1, INT32_MAX, "N",               \
     "keep the last N tokens and go on where the context would be full"},                          \
    {"--keep", HC_INT, HC_GENERATING_ROW(type, member, sink), 0, INT32_MAX, "N",                   \
     "with --window: and the first N"},                                                            \
    {"--no-kv-cache", HC_FLAG, HC_GENERATING_ROW(type, member, no_kv_cache), 0, 0, NULL,           \
     "compute every token from the beginning of the text"},                                        \
    {"--draft", HC_LATER, 0, 0, 0, "FILE", "speculative decoding"},                                \
    {"--draft-max", HC_LATER, 0, 0, 0, "N", "speculative decoding"},                               \
    {"--lookup", HC_LATER, 0, 0, 0, NULL, "speculative decoding"}

/* What one run produced. Release with hc_result_free. */
struct hc_result {
    char *text;
    size_t text_len, text_capacity;
    int32_t *tokens;
    size_t n_tokens, tokens_capacity;
    hearth_finish finish;
    size_t matched; /* tokens of the prompt that the session held already */
    double prompt_ms, predicted_ms;
};

void hc_result_free(struct hc_result *r);

/* Grow *ptr to `need` elements of `size` bytes; false: no memory, nothing changed. */
bool hc_grow(void **ptr, size_t *capacity, size_t need, size_t size);

/* Session, sampler and generation of a run as the settings ask; each function returns an exit status,
 * after an error line if it is not HC_OK. Close in any case. */
struct hc_run {
    struct hc_session session;
    hearth_sampler *sampler;
    hearth_generation *gen;
    bool terminal;       /* progress goes there */
    bool shown;
    uint64_t untold_seed; /* chosen here, and not printed yet; 0: none */
    uint64_t started_ns;
};

int hc_run_open(const struct hc_common *common, const struct hc_generating *g,
                const struct hc_model *m, bool match_prompt, struct hc_run *run);
void hc_run_close(struct hc_run *run);

/* Prompt and text. Pieces are kept, and unless `quiet` written to stdout as they come. */
int hc_run_prompt(struct hc_run *run, const struct hc_generating *g, const int32_t *ids, size_t n,
                  bool quiet, struct hc_result *r);

/* To stderr: what it took. To stdout: one JSON object and a line end. */
void hc_result_print_stats(const struct hc_model *m, const struct hc_run *run, size_t n_prompt,
                           const struct hc_result *r);
void hc_result_print_json(const struct hc_model *m, const struct hc_run *run, const int32_t *prompt,
                          size_t n_prompt, const struct hc_result *r);

#endif

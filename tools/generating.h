/* What generate and chat share: the options of a generation, taking its pieces, and reporting it. */
#ifndef GENERATING_H
#define GENERATING_H

#include "client.h"
#include "json_out.h"

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
    const char *draft; /* speculation */
    int32_t draft_max;
    bool lookup;
    int32_t logprobs;
    const char *grammar, *json_schema;
    hearth_sampler_config more; /* the fields of the rarer samplers */
    struct hc_texts bias, dry_breakers;
};

#define HC_GENERATING_DEFAULTS                                                                     \
    {                                                                                              \
        .n = 256, .temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f,                \
        .repeat_penalty = 1.0f, .draft_max = 16, .more = {.xtc_threshold = 0.1f}                   \
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
    {"--grammar", HC_TEXT, HC_GENERATING_ROW(type, member, grammar), 0, 0, "FILE",                 \
     "the text is one of this grammar (GBNF)"},                                                    \
    {"--json-schema", HC_TEXT, HC_GENERATING_ROW(type, member, json_schema), 0, 0, "FILE",         \
     "the text is JSON as this schema says"},                                                      \
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
    {"--repeat-last-n", HC_INT, HC_GENERATING_ROW(type, member, more.penalty_window), 1, 1 << 20, "N",\
     "recent tokens that penalties count (64)"},                                                   \
    {"--presence-penalty", HC_REAL, HC_GENERATING_ROW(type, member, more.presence_penalty), -1e3, 1e3, "X",\
     "subtract from the score of recent tokens (0)"},                                              \
    {"--frequency-penalty", HC_REAL, HC_GENERATING_ROW(type, member, more.frequency_penalty), -1e3, 1e3, "X",\
     "the same for each time they came (0)"},                                                      \
    {"--typical", HC_REAL, HC_GENERATING_ROW(type, member, more.typical_p), 1e-9, 1, "P",          \
     "keep tokens of typical surprise that make up P; 1: all (1)"},                                \
    {"--top-nsigma", HC_REAL, HC_GENERATING_ROW(type, member, more.top_n_sigma), 0, 1e3, "N",      \
     "drop scores N deviations below the largest; 0: off (0)"},                                    \
    {"--xtc-probability", HC_REAL, HC_GENERATING_ROW(type, member, more.xtc_probability), 0, 1, "P",\
     "how often likely tokens are left out (0)"},                                                  \
    {"--xtc-threshold", HC_REAL, HC_GENERATING_ROW(type, member, more.xtc_threshold), 1e-9, 1, "P",\
     "what likely is then; above 0.5: off (0.1)"},                                                 \
    {"--dry-multiplier", HC_REAL, HC_GENERATING_ROW(type, member, more.dry_multiplier), 0, 1e3, "X",\
     "penalty for going on with a repetition; 0: off (0)"},                                        \
    {"--dry-base", HC_REAL, HC_GENERATING_ROW(type, member, more.dry_base), 1, 1e3, "X",           \
     "its growth with every token (1.75)"},                                                        \
    {"--dry-allowed-length", HC_INT, HC_GENERATING_ROW(type, member, more.dry_allowed_length), 1, 1 << 20, "N",\
     "repetitions from this length on (2)"},                                                       \
    {"--dry-penalty-last-n", HC_INT, HC_GENERATING_ROW(type, member, more.dry_last_n), -1, 1 << 20, "N",\
     "tokens it looks back; -1: the context (1024)"},                                              \
    {"--dry-sequence-breaker", HC_TEXTS, HC_GENERATING_ROW(type, member, dry_breakers), 0, 0, "STR",\
     "text that ends a repetition; none: nothing does; may be repeated"},                          \
    {"--mirostat", HC_INT, HC_GENERATING_ROW(type, member, more.mirostat), 0, 2, "V",              \
     "0: off; 2: steer by surprise (0)"},                                                          \
    {"--mirostat-ent", HC_REAL, HC_GENERATING_ROW(type, member, more.mirostat_tau), 1e-3, 1e3, "X",\
     "surprise aimed at, in bits (5)"},                                                            \
    {"--mirostat-lr", HC_REAL, HC_GENERATING_ROW(type, member, more.mirostat_eta), 1e-6, 1, "X",   \
     "how fast it gets there (0.1)"},                                                              \
    {"--dynatemp-range", HC_REAL, HC_GENERATING_ROW(type, member, more.dynatemp_range), 0, 1e3, "X",\
     "temperature moves by this with the entropy; 0: off (0)"},                                    \
    {"--dynatemp-exp", HC_REAL, HC_GENERATING_ROW(type, member, more.dynatemp_exponent), 1e-3, 1e3, "X",\
     "bends that (1)"},                                                                            \
    {"--min-keep", HC_INT, HC_GENERATING_ROW(type, member, more.min_keep), 1, INT32_MAX, "N",      \
     "tokens that every stage leaves at least (1)"},                                               \
    {"--samplers", HC_TEXT, HC_GENERATING_ROW(type, member, more.order), 0, 0, "LIST",             \
     "stages in order, by semicolons; see docs/sampling.md"},                                      \
    {"--logit-bias", HC_TEXTS, HC_GENERATING_ROW(type, member, bias), 0, 0, "ID+X",                \
     "add X to the score of token ID: 42+1.5, 42-2, 42-inf; may be repeated"},                     \
    {"--logprobs", HC_INT, HC_GENERATING_ROW(type, member, logprobs), 0, 64, "N",                  \
     "with --json, log probabilities of the N likeliest tokens"},                                  \
    {"--draft", HC_TEXT, HC_GENERATING_ROW(type, member, draft), 0, 0, "FILE",                     \
     "a small model with the same vocabulary, which guesses ahead"},                               \
    {"--draft-max", HC_INT, HC_GENERATING_ROW(type, member, draft_max), 1, 64, "N",                \
     "most guesses in a step (16)"},                                                               \
    {"--lookup", HC_FLAG, HC_GENERATING_ROW(type, member, lookup), 0, 0, NULL,                     \
     "guess ahead from what the text repeats"}

/* What one run produced. Release with hc_result_free. */
struct hc_result {
    char *text;
    size_t text_len, text_capacity;
    int32_t *tokens;
    size_t n_tokens, tokens_capacity;
    hearth_logprob *logprobs; /* [n_tokens][1 + top_n]: the token's own, then the likeliest */
    size_t logprobs_capacity, n_top;
    hearth_finish finish;
    size_t matched; /* tokens of the prompt that the session held already */
    double prompt_ms, predicted_ms;
};

void hc_result_free(struct hc_result *r);
/* Room for n more tokens; a piece of text, kept, and unless `quiet` written to stdout. Return exit statuses. */
int hc_result_room(struct hc_result *r, size_t n);
int hc_result_take_text(struct hc_result *r, const char *text, size_t len, bool quiet);

/* Grow *ptr to `need` elements of `size` bytes; false: no memory, nothing changed. */
bool hc_grow(void **ptr, size_t *capacity, size_t need, size_t size);

/* Session, sampler and generation of a run as the settings ask; each function returns an exit status,
 * after an error line if it is not HC_OK. Close in any case. */
struct hc_run {
    struct hc_session session;
    struct hc_model draft_model; /* with --draft */
    hearth_session *draft;
    hearth_session_info draft_info;
    hearth_sampler *sampler;
    hearth_grammar *grammar; /* with --grammar or --json-schema */
    hearth_generation *gen;
    bool speculates;
    bool terminal;       /* progress goes there */
    bool shown;
    uint64_t untold_seed; /* chosen here, and not printed yet; 0: none */
    uint64_t started_ns;
};

int hc_run_open(const struct hc_common *common, const struct hc_generating *g,
                const struct hc_model *m, bool match_prompt, struct hc_run *run);
void hc_run_close(struct hc_run *run);
/* hc_planned_bytes, with the draft's model and session. */
uint64_t hc_run_planned_bytes(const struct hc_model *m, const struct hc_run *run);

/* Prompt and text. Pieces are kept, and unless `quiet` written to stdout as they come. */
int hc_run_prompt(struct hc_run *run, const struct hc_generating *g, const int32_t *ids, size_t n,
                  bool quiet, struct hc_result *r);

/* To stderr: what it took. To stdout: one JSON object and a line end. */
void hc_result_print_stats(const struct hc_model *m, const struct hc_run *run, size_t n_prompt,
                           const struct hc_result *r);
/* The members that every generation has; prompt NULL: ids that are not known. */
void hc_result_print_text(struct hj *j, const int32_t *prompt, size_t n_prompt, const struct hc_result *r,
                          const char *finish);
void hc_result_print_json(const struct hc_model *m, const struct hc_run *run, const int32_t *prompt,
                          size_t n_prompt, const struct hc_result *r);

#endif

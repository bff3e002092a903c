/* What the commands share: opening models and sessions as the command line asks, texts, clocks. */
#ifndef CLIENT_H
#define CLIENT_H

#include "cli.h"

/* ---- models ---- */

struct hc_model {
    const char *path;
    hearth_weights weights;
    bool no_simd_tokenizer;
    bool external_data; /* ONNX: tensors may lie in other files of its directory */
    hearth_file **files; /* [n_files], the parts of a split model in order */
    size_t n_files;
    uint64_t file_bytes; /* of all parts */
    uint64_t process_bytes; /* program and libraries, see hc_process_rss */
    hearth_memory *memory;  /* what model and sessions allocate, within the limit */
    hearth_model *model;
    hearth_model_info info;
};

/* Open the model of the common options; flags are HEARTH_MODEL_*. Returns an exit status, after an
 * error line if it is not HC_OK; hc_model_close is due in both cases. */
int hc_model_open(const struct hc_common *common, uint32_t flags, struct hc_model *m);

/* The same in two steps, for who wants to know why a model is refused: the files, with an error line;
 * then the model, without one. */
int hc_files_open(const struct hc_common *common, struct hc_model *m);
hearth_status hc_model_from_files(struct hc_model *m, uint32_t flags, hearth_error *err);
void hc_model_close(struct hc_model *m);

/* Bytes of weights that one token reads: all tensors, but of an embedding table that is not also
 * the output matrix one row. */
uint64_t hc_model_token_bytes(const struct hc_model *m);

/* ---- sessions ---- */

struct hc_session {
    hearth_pool *pool;
    hearth_session *session;
    hearth_session_info info;
};

/* config is taken as it is; pool, level and the memory limit are filled in from the common options.
 * Same rules as hc_model_open. */
int hc_session_open(const struct hc_common *common, const struct hc_model *m,
                    hearth_session_config *config, struct hc_session *s);
/* The same for a graph of tensors. */
int hc_tensor_session_open(const struct hc_common *common, const struct hc_model *m,
                           hearth_session_config *config, struct hc_session *s);
void hc_session_close(struct hc_session *s);

/* Process, file, model and session together: what a run is planned to hold in memory. */
uint64_t hc_planned_bytes(const struct hc_model *m, const struct hc_session *s);

/* Sequence 0 from and to a file. Same rules as hc_model_open. */
int hc_kv_load(struct hc_session *s, const char *path);
int hc_kv_save(const struct hc_session *s, const char *path);

/* ---- texts and tokens ---- */

struct hc_text {
    char *bytes;
    size_t len;
};

/* The whole of a file of any kind, "-" for standard input. Release with free(text->bytes). */
int hc_text_read(const char *path, struct hc_text *text);

/* The text of -p or of the file of -f: exactly one must be given. */
int hc_text_take(const char *p, const char *f, struct hc_text *text);

struct hc_tokens {
    int32_t *ids;
    size_t n;
};

/* flags are HEARTH_TOKENIZE_*. Release with free(tokens->ids). */
int hc_tokenize(const struct hc_model *m, const struct hc_text *text, uint32_t flags,
                struct hc_tokens *tokens);

/* A tokenizer of its own: a tokenizer.json or vocab.txt. */
int hc_tokenizer_open(const char *path, hearth_tokenizer **tokenizer);
/* As hc_tokenize. */
int hc_tokenizer_encode(const hearth_tokenizer *tokenizer, const struct hc_text *text,
                        uint32_t flags, struct hc_tokens *tokens);

/* ---- the machine ---- */

uint64_t hc_now_ns(void);     /* monotonic */
double hc_ms_since(uint64_t start_ns);
uint64_t hc_peak_rss(void);   /* bytes; 0 where the system does not tell */
/* What program and libraries take at most before anything is opened: all of their code, of which a run
 * touches more as it goes, and the private pages there are. */
uint64_t hc_process_rss(void);
uint64_t hc_random_seed(void);

/* From now on Ctrl-C stops the session's step and sets the flag that hc_interrupted returns; a
 * second one ends the process. */
void hc_interrupt_to(hearth_session *session);
/* Ctrl-C only sets the flag, as often as it comes, until hc_interrupt_to(NULL); the flag is cleared. */
void hc_interrupt_flag(void);
bool hc_interrupted(void);

/* End of a command: flush stdout and report what the system says about it. */
int hc_finish_output(void);

#endif

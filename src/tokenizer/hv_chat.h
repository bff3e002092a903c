/* Chat templates: messages to one text in the form a model was trained on.
 *
 *   messages ──► a template of the model, interpreted     (hv_jinja*.c, HEARTH_JINJA)  ──► text
 *            └─► a family known here, by its name or marks (chatformats.def)           ──►   + marks
 *
 * What comes from a message is marked byte by byte all the way, through every concatenation, slice
 * and filter: the tokenizer makes no special token of marked bytes, so nobody can write a turn of
 * somebody else into his own text. */
#ifndef HV_CHAT_H
#define HV_CHAT_H

#include "base/hb_arena.h"
#include "tokenizer/hv_tokenizer.h"

#define HV_CHAT_MAX_ROLE      64                 /* bytes of a role: letters, digits, _ and - */
#define HV_CHAT_MAX_TEMPLATE  ((size_t)1 << 20)
#define HV_CHAT_OUTPUT_FACTOR 4                  /* output is at most 4 x input + 64 KiB */
#define HV_CHAT_OUTPUT_EXTRA  ((size_t)64 << 10)
#define HV_CHAT_MEMORY_FACTOR 64                 /* memory at most 64 x input + 16 MiB */
#define HV_CHAT_MEMORY_EXTRA  ((size_t)16 << 20)
#define HV_CHAT_MAX_STEPS     ((uint64_t)1 << 20)

struct hv_message {
    struct hv_text role, content;
};

struct hv_chat_input {
    const struct hv_message *messages; /* [n] */
    size_t n;
    struct hv_text bos, eos;           /* texts of the model's tokens, empty where it has none */
    bool add_generation_prompt;
    int64_t now;                       /* seconds since 1970 on the user's clock; 0: no clock */
    uint64_t max_steps;                /* 0: HV_CHAT_MAX_STEPS */
};

/* Text with a mark per byte: 1 came from a message, 0 from the template. */
struct hv_marked {
    char *bytes;
    uint8_t *mark;
    size_t len, capacity;
    size_t max;            /* longer is HEARTH_E_LIMIT */
    struct hb_arena *arena;
};

/* Append; the buffer doubles inside its arena. */
hearth_status hv_marked_put(struct hv_marked *out, const char *bytes, const uint8_t *mark, size_t n,
                            hearth_error *err);
/* The same with one mark for all of it. */
hearth_status hv_marked_fill(struct hv_marked *out, const char *bytes, size_t n, uint8_t mark,
                             hearth_error *err);

/* Sum of all texts, what limits are counted from. HEARTH_E_RANGE: a role with other characters or of
 * another length. Roles are not marked: templates write them inside special tokens. */
hearth_status hv_chat_check(const struct hv_chat_input *in, size_t *bytes, hearth_error *err);

/* ---- families (chatformats.def) ---- */

struct hv_chatformat;

/* The names in their order, NULL past the end. */
const char *hv_chatformat_name(size_t index);
/* By name, NULL if it is unknown; by the marks that a template's text carries, NULL if none fits. */
const struct hv_chatformat *hv_chatformat_find(const char *name);
const struct hv_chatformat *hv_chatformat_recognise(const char *text, size_t len);
const char *hv_chatformat_name_of(const struct hv_chatformat *format);
/* All names in one line for sentences, cut to size. */
void hv_chatformat_list(char *text, size_t size);

/* HEARTH_E_RANGE: an order of roles that the family has no form for. */
hearth_status hv_chatformat_write(const struct hv_chatformat *format, const struct hv_chat_input *in,
                                  struct hv_marked *out, hearth_error *err);

/* ---- templates (HEARTH_JINJA) ---- */

struct hv_jinja;

/* Parse; nodes come from the arena, text is borrowed for ever.
 *
 * HEARTH_E_FORMAT       not a template: line and what stands there
 * HEARTH_E_UNSUPPORTED  a statement, filter or test that is not known: named; or a build without
 * HEARTH_E_LIMIT        too long or nested too deep */
hearth_status hv_jinja_parse(struct hb_arena *arena, const char *text, size_t len,
                             struct hv_jinja **out, hearth_error *err);

/* Values come from the arena, up to max_bytes of it.
 *
 * HEARTH_E_ARGUMENT  the template refuses these messages (raise_exception): its own words
 * HEARTH_E_FORMAT    a value of another type than the template needs: line
 * HEARTH_E_LIMIT     steps, depth, memory, length of the output */
hearth_status hv_jinja_run(const struct hv_jinja *jinja, const struct hv_chat_input *in,
                           struct hb_arena *arena, size_t max_bytes, struct hv_marked *out,
                           hearth_error *err);

#endif

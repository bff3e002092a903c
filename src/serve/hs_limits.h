/* What the server takes and how long it waits, all in one place; hs_limits.def lists those that can be set. Tests go
 * to n and n + 1. */
#ifndef HS_LIMITS_H
#define HS_LIMITS_H

#include "base/hb_error.h"

/* ---- connections ---- */
#define HS_MAX_CONNECTIONS      64
#define HS_MAX_STRANGERS        8     /* connections without a token yet; more wait in the listener's queue */
#define HS_STRANGER_MS          10000 /* how long one may stay without a token, whatever it asks */
#define HS_HELLO_MS             2000  /* from accept to the end of hello */
#define HS_HEAD_MS              2000  /* from the first byte of a frame to its fourth */
#define HS_BODY_MS              10000 /* from there to its last */
#define HS_IDLE_MS              300000
#define HS_STALL_MS             5000  /* answers wait and the client takes none */
#define HS_SESSION_MS           3600000
#define HS_LINGER_MS            1000  /* after the last answer of a connection that is being closed */
#define HS_RATE_PER_MINUTE      1000  /* requests of a session */
#define HS_FAILURES             5     /* wrong tokens of a user within */
#define HS_FAILURES_MS          60000
#define HS_BLOCK_MS             30000 /* no token of his is looked at */
#define HS_MAX_TOKEN            256   /* bytes of the secret */
#define HS_MIN_TOKEN            16

/* ---- buffers of a connection ---- */
#define HS_BUFFER_SMALL         4352u        /* HS_HELLO_FRAME with its head, and a little */
#define HS_BUFFER_KEEP          (256u << 10) /* larger ones are given back when they are empty */
#define HS_OUT_FULL             (256u << 10) /* bytes that wait to be sent: then the session's jobs rest */
#define HS_OUT_RESUME           4u   /* a part of it, below which they go on */

/* ---- requests ---- */
#define HS_MAX_WAITING          256
#define HS_MAX_RUNNING          64   /* over all models */
#define HS_MAX_IN_FLIGHT        16   /* of a session */
#define HS_MAX_TEXT             65536u /* bytes of a prompt, a conversation or a text */
#define HS_MAX_TEXTS            32   /* of classify and embed */
#define HS_MAX_TURNS            256
#define HS_PROMPT_TOKENS        4096
#define HS_ANSWER_TOKENS        (1u << 20)
#define HS_ANSWER_CHARS         (1u << 20)
#define HS_MAX_STOPS            16
#define HS_MAX_STOP_BYTES       256
#define HS_MAX_GRAMMAR          (1u << 20)
#define HS_MAX_MODEL_NAME       63
#define HS_MAX_TIMEOUT_MS       3600000
#define HS_BATCH_REQUESTS       8    /* that encoders run together */
#define HS_BATCH_TOKENS         4096
#define HS_STEP_MS              50
#define HS_AGE_MS               2000 /* a request rises by a priority for each of these it has waited */
#define HS_DRAIN_MS             30000
#define HS_JOBS_KEEP            (16u << 20) /* memory that is kept for the next requests */

/* ---- workers ---- */
#define HS_RESTART_MS           20
#define HS_RESTART_MOST_MS      5000
#define HS_CRASHES              8
#define HS_CRASHES_MS           60000
#define HS_BLAMES               3
#define HS_WATCHDOG_MS          10000

/* ---- answers that are given again ---- */
#define HS_CACHE_MS             30000
#define HS_CACHE_ENTRIES        1000
#define HS_CACHE_BYTES          (16u << 20)

struct hs_limits {
#define HS_LIMIT(name, value, least, most, text) uint32_t name;
#include "serve/hs_limits.def"
};
extern const struct hs_limits hs_limits_default;
/* "queue=100". HEARTH_E_NOT_FOUND: no such limit; HEARTH_E_RANGE. */
hearth_status hs_limits_set(struct hs_limits *limits, const char *text, hearth_error *err);
/* Name and meaning for index 0, 1, ...; NULL past the end. */
const char *hs_limits_name(size_t index, const char **text, uint32_t *value);

#endif

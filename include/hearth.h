/* hearth: a CPU inference engine in C11 without dependencies.
 *
 * A model is opened from bytes (a mapped GGUF or ONNX file, or a buffer in ROM), a session holds
 * everything that changes while it runs, and a sequence is a small number inside a session:
 *
 *     hearth_file *file;  hearth_model *model;  hearth_session *session;  hearth_error err;
 *     hearth_file_open("model.gguf", NULL, &file, &err);
 *     hearth_model_open(hearth_file_bytes(file), hearth_file_size(file), NULL, &model, &err);
 *     hearth_session_open(model, NULL, &session, &err);
 *     hearth_session_eval(session, tokens, n_tokens, logits, &err);
 *
 * Conventions
 *   - Functions that can fail return hearth_status, 0 is HEARTH_OK. Results come through trailing
 *     pointers and are untouched on failure.
 *   - `hearth_error *err` is always last and may be NULL. It receives one sentence for a human.
 *   - Config structs begin with `struct_size`; zero everywhere else means the default. Set it to
 *     sizeof the struct: a library newer than its header then knows which fields exist.
 *   - Nothing is allocated after a *_open or *_create has returned, except where said.
 *   - A model may be shared by any number of threads; a session serves one thread at a time.
 */
#ifndef HEARTH_H
#define HEARTH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HEARTH_VERSION_MAJOR 0
#define HEARTH_VERSION_MINOR 1
#define HEARTH_VERSION_PATCH 0

#if defined(_WIN32) && defined(HEARTH_SHARED)
#define HEARTH_API __declspec(dllimport)
#elif defined(__GNUC__)
#define HEARTH_API __attribute__((visibility("default")))
#else
#define HEARTH_API
#endif

/* ---- status -------------------------------------------------------------------------------- */

/* Values are pinned for ever. X(name, value, meaning) */
#define HEARTH_STATUS_LIST(X)                                                                      \
    X(OK, 0, "success")                                                                            \
    X(E_ARGUMENT, 10, "an argument is not allowed")                                                \
    X(E_RANGE, 11, "a value is outside its range")                                                 \
    X(E_STATE, 12, "the object is not in a state that allows this")                                \
    X(E_TRUNCATED, 20, "the data end too early")                                                   \
    X(E_FORMAT, 21, "the data break their format")                                                 \
    X(E_UNSUPPORTED, 22, "a feature is known by name and not supported")                           \
    X(E_MISMATCH, 23, "parts that belong together do not fit")                                     \
    X(E_NOT_FOUND, 24, "something required is missing")                                            \
    X(E_MEMORY, 30, "memory was refused")                                                          \
    X(E_LIMIT, 31, "a limit would be passed")                                                      \
    X(E_FULL, 32, "there is no room left in a fixed-size object")                                  \
    X(E_IO, 40, "the operating system reported an error")                                          \
    X(E_CANCELLED, 50, "stopped by the caller")                                                    \
    X(E_DEADLINE, 51, "a deadline passed")                                                         \
    X(E_NUMERIC, 60, "NaN or infinity where a number is needed")                                   \
    X(E_INTERNAL, 90, "a defect in hearth itself")

typedef enum hearth_status {
#define HEARTH_STATUS_ENUM(name, value, text) HEARTH_##name = value,
    HEARTH_STATUS_LIST(HEARTH_STATUS_ENUM)
#undef HEARTH_STATUS_ENUM
} hearth_status;

/* The short meaning of a status, "unknown status" for other numbers. Static storage. */
HEARTH_API const char *hearth_status_text(hearth_status status);

/* One sentence about what went wrong: the object, the value found, what is accepted.
 * Caller-owned. `text` is NUL-terminated valid UTF-8 without control characters. */
typedef struct hearth_error {
    hearth_status status;
    char text[252];
} hearth_error;

#ifdef __cplusplus
}
#endif
#endif

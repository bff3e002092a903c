/* hearth: a CPU inference engine in C11 without dependencies.
 *
 * A model is opened from bytes (a mapped GGUF or ONNX file, or a buffer in ROM), a session holds
 * everything that changes while it runs, and a sequence is a small number inside a session:
 *
 *     hearth_file *file;  hearth_model *model;  hearth_session *session;  hearth_error err;
 *     hearth_file_open("model.gguf", NULL, &file, &err);
 *     hearth_bytes bytes = {hearth_file_bytes(file), hearth_file_size(file)};
 *     hearth_model_open(&bytes, 1, NULL, &model, &err);
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

/* ---- memory -------------------------------------------------------------------------------- */

/* Allocator hooks. `alloc` returns memory aligned to 16 bytes at least, or NULL; `free` is told the
 * size that alloc was asked for. All-zero hooks mean the C heap, where there is one. */
typedef struct hearth_allocator {
    void *(*alloc)(void *user, size_t size);
    void (*free)(void *user, void *ptr, size_t size);
    void *user;
} hearth_allocator;

/* A limit on memory, and pools that calls take theirs from, shared by any number of models, sessions and
 * threads. Whatever is opened with it (config.memory, or its hooks as config.allocator) counts; mapped
 * files do not. A request that would pass a limit is HEARTH_E_LIMIT with both numbers, before anything
 * is allocated. All functions are lock-free and may be called from any thread, but open and close. */
typedef struct hearth_memory hearth_memory;

#define HEARTH_BUFFER_BYTES 4096

typedef struct hearth_memory_config {
    uint32_t struct_size;
    uint32_t n_calls;        /* calls at the same time, up to 1024; 0: 16 */
    uint32_t n_buffers;      /* up to 1024; 0: 64 */
    uint64_t max_bytes;      /* all that is in use; 0: 2 GiB */
    uint64_t max_call_bytes; /* what one call may take, and the plan of a tensor session; 0: 1 GiB */
    uint64_t call_bytes;     /* kept ready for each call once it was used; 0: 256 KiB */
    hearth_allocator allocator;
} hearth_memory_config;

HEARTH_API hearth_status hearth_memory_open(const hearth_memory_config *config,
                                            hearth_memory **memory, hearth_error *err);
/* Nothing that was opened with it may be alive. NULL is fine. */
HEARTH_API void hearth_memory_close(hearth_memory *memory);

/* Hooks whose memory counts. NULL from them is a refusal by the limit or by the allocator below. */
HEARTH_API hearth_allocator hearth_memory_allocator(hearth_memory *memory);

/* Bytes in use now; one load. */
HEARTH_API uint64_t hearth_memory_used(const hearth_memory *memory);

typedef struct hearth_memory_info {
    uint32_t struct_size;
    uint32_t n_calls, n_buffers; /* in use */
    uint64_t used_bytes, peak_bytes, max_bytes, max_call_bytes;
    uint64_t refusals;           /* by a limit, or because all places were taken */
} hearth_memory_info;
HEARTH_API void hearth_memory_get_info(const hearth_memory *memory, hearth_memory_info *info);

/* HEARTH_BUFFER_BYTES of zeros, aligned to 16 or more. Wiped when given back.
 * HEARTH_E_LIMIT: all are taken. */
HEARTH_API hearth_status hearth_memory_take_buffer(hearth_memory *memory, void **buffer,
                                                   hearth_error *err);
/* HEARTH_E_ARGUMENT: not a buffer of this memory. HEARTH_E_STATE: it is not taken. */
HEARTH_API hearth_status hearth_memory_give_buffer(hearth_memory *memory, void *buffer,
                                                   hearth_error *err);

/* Give the pages that idle calls and buffers keep back to the system; returns the bytes that are no
 * longer counted. Calls in progress are left alone. */
HEARTH_API uint64_t hearth_memory_trim(hearth_memory *memory);

/* ---- files --------------------------------------------------------------------------------- */

/* A file's bytes, for programs with an operating system. Models can as well be opened from any
 * buffer. */
typedef struct hearth_file hearth_file;

#define HEARTH_FILE_POPULATE 1u /* read every page in now */
#define HEARTH_FILE_LOCK     2u /* keep the pages in memory; refusal by the system is an error */
#define HEARTH_FILE_NO_MMAP  4u /* read into private memory instead of mapping */

typedef struct hearth_file_config {
    uint32_t struct_size;
    uint32_t flags;     /* HEARTH_FILE_* */
    uint64_t max_bytes; /* larger files are refused with HEARTH_E_LIMIT; 0 = no limit */
    hearth_allocator allocator; /* for the small handle */
} hearth_file_config;

/* Map a regular file read-only. FIFOs, directories, devices and empty files are refused.
 * config may be NULL. Release with hearth_file_close, after every model opened from it. */
HEARTH_API hearth_status hearth_file_open(const char *path, const hearth_file_config *config,
                                          hearth_file **file, hearth_error *err);
/* The same of a descriptor that is open for reading: for programs that get their files from elsewhere, or
 * look at what they open first. It stays the caller's and may be closed afterwards; its position does not
 * matter. `name` stands in sentences; NULL: "descriptor". */
HEARTH_API hearth_status hearth_file_open_fd(int fd, const char *name,
                                             const hearth_file_config *config, hearth_file **file,
                                             hearth_error *err);
HEARTH_API const void *hearth_file_bytes(const hearth_file *file);
HEARTH_API size_t hearth_file_size(const hearth_file *file);
/* Give the mapping's pages back to the system; what is touched again is read again. For a model whose weights a
 * session has laid out anew (ONNX), so that they do not stay in memory twice. */
HEARTH_API void hearth_file_forget(const hearth_file *file);
HEARTH_API void hearth_file_close(hearth_file *file); /* NULL is fine */

/* ---- models -------------------------------------------------------------------------------- */

/* An opened model: immutable, shared by any number of sessions and threads. Weights are not copied:
 * the bytes must outlive the model. */
typedef struct hearth_model hearth_model;

/* One file's bytes; a split model has several, in order. */
typedef struct hearth_bytes {
    const void *data; /* any alignment; 32 or more is faster */
    size_t size;
} hearth_bytes;

typedef enum hearth_weights {
    HEARTH_WEIGHTS_STORED = 0, /* as the file has them */
    HEARTH_WEIGHTS_Q8_0 = 1,   /* int8, a scale per 32; their inputs become int8 too, a scale per 32 */
    HEARTH_WEIGHTS_BF16 = 2    /* bfloat16; arithmetic stays float32 */
} hearth_weights;

typedef struct hearth_model_config {
    uint32_t struct_size;
    uint32_t flags;
    void *mem;        /* caller's memory for everything the model builds, or NULL for `allocator` */
    size_t mem_bytes; /* see hearth_model_need */
    hearth_allocator allocator;
    /* ONNX: the directory in which tensors may keep their data in other files, normally the model's own.
     * NULL: such models are refused. Nothing outside of it is opened and no link is followed; the
     * files stay mapped until the model is closed. */
    const char *external_dir;
    /* ONNX: rewrites of the graph that are not made, names separated by commas: qdq, attention, gelu,
     * layer_norm, matmul_bias, matmul_act, int_matmul_scale. NULL: all are made. HEARTH_E_NOT_FOUND: another name. */
    const char *no_rewrites;
    /* ONNX: float32 matrices of MatMul and Gemm are converted when a session is made. Results change:
     * hearth_session_info tells by how much the weights did. HEARTH_E_UNSUPPORTED with GGUF. */
    hearth_weights weights;
} hearth_model_config;

#define HEARTH_MODEL_NO_GGUF       1u /* behave as if built without GGUF */
#define HEARTH_MODEL_NO_ONNX       2u
#define HEARTH_MODEL_NO_FUSION     8u /* run a graph of tensors node by node, as it is written */
#define HEARTH_MODEL_NO_SIMD_TOKENIZER 16u /* words are cut by scalar code and merged anew each time */
#define HEARTH_MODEL_VOCAB_ONLY    4u /* tokenizer and metadata only; tensors may be absent */

/* Open a model from bytes (format told by content). Time is proportional to the metadata, not to
 * the weights. On failure nothing is kept.
 *
 * HEARTH_E_FORMAT / _TRUNCATED / _LIMIT   the bytes break the format or pass a limit
 * HEARTH_E_UNSUPPORTED                    a known thing we cannot run: names it and what is known
 * HEARTH_E_NOT_FOUND / _MISMATCH          a tensor or key is missing or has another shape
 * HEARTH_E_MEMORY                         mem_bytes is too small, or the allocator refused */
HEARTH_API hearth_status hearth_model_open(const hearth_bytes *files, size_t n_files,
                                           const hearth_model_config *config, hearth_model **model,
                                           hearth_error *err);

/* How many bytes `mem` must have for this model: opens it once with the allocator of config, and
 * closes it again. The figure depends on the bytes alone, so it may be taken on another machine of
 * the same pointer size. */
HEARTH_API hearth_status hearth_model_need(const hearth_bytes *files, size_t n_files,
                                           const hearth_model_config *config, size_t *bytes,
                                           hearth_error *err);

/* No session of the model may be alive. NULL is fine. */
HEARTH_API void hearth_model_close(hearth_model *model);

typedef enum hearth_model_kind {
    HEARTH_MODEL_GENERATIVE = 1, /* tokens in, next-token logits out */
    HEARTH_MODEL_TENSOR = 2,     /* a graph with named inputs and outputs */
    HEARTH_MODEL_VOCAB = 3       /* tokenizer only */
} hearth_model_kind;

/* Facts about a model. Strings live as long as the model. */
typedef struct hearth_model_info {
    uint32_t struct_size;
    hearth_model_kind kind;
    const char *format;       /* "gguf", "onnx" */
    const char *architecture; /* "llama", ...; "" if none */
    const char *name;         /* general.name; "" if none */
    const char *file_type;    /* the commonest weight type, such as "q4_k"; "" if none */
    uint64_t n_params;
    uint64_t weight_bytes;    /* tensor data, as stored */
    uint64_t model_bytes;     /* memory the open model takes besides the weights */
    int32_t vocab_size;
    int32_t n_ctx_train;      /* longest context the model was made for */
    int32_t n_layers;
    int32_t n_embd;
    int32_t n_heads;
    int32_t n_kv_heads;
    int32_t n_experts;        /* 0: dense */
    int32_t n_experts_used;   /* by each token */
} hearth_model_info;

/* Set info->struct_size before. */
HEARTH_API void hearth_model_get_info(const hearth_model *model, hearth_model_info *info);

/* Tensors and metadata as stored in the file, for inspection. Index past the end gives
 * HEARTH_E_RANGE. Values are printed into text: long arrays show their length and first elements. */
typedef struct hearth_tensor_info {
    uint32_t struct_size;
    const char *name;
    const char *type;
    uint32_t rank;
    int64_t dim[8]; /* slowest first */
    uint64_t bytes;
} hearth_tensor_info;
HEARTH_API size_t hearth_model_tensor_count(const hearth_model *model);
HEARTH_API hearth_status hearth_model_tensor(const hearth_model *model, size_t index,
                                             hearth_tensor_info *info, hearth_error *err);
HEARTH_API size_t hearth_model_meta_count(const hearth_model *model);
HEARTH_API hearth_status hearth_model_meta(const hearth_model *model, size_t index,
                                           const char **key, char *text, size_t text_size,
                                           hearth_error *err);

/* ---- graphs of tensors (HEARTH_MODEL_TENSOR) ------------------------------------------------ */

/* Element types, numbered as in ONNX files; pinned for ever. */
typedef enum hearth_dtype {
    HEARTH_DTYPE_NONE = 0,
    HEARTH_DTYPE_F32 = 1,
    HEARTH_DTYPE_U8 = 2,
    HEARTH_DTYPE_I8 = 3,
    HEARTH_DTYPE_U16 = 4,
    HEARTH_DTYPE_I16 = 5,
    HEARTH_DTYPE_I32 = 6,
    HEARTH_DTYPE_I64 = 7,
    HEARTH_DTYPE_BOOL = 9,
    HEARTH_DTYPE_F16 = 10,
    HEARTH_DTYPE_F64 = 11,
    HEARTH_DTYPE_U32 = 12,
    HEARTH_DTYPE_U64 = 13,
    HEARTH_DTYPE_BF16 = 16
} hearth_dtype;

/* "f32", "i64", ...; "none" for other numbers. Static storage. */
HEARTH_API const char *hearth_dtype_name(hearth_dtype type);
HEARTH_API size_t hearth_dtype_size(hearth_dtype type);

/* An input or output as the model declares it. */
typedef struct hearth_io_info {
    uint32_t struct_size;
    const char *name;       /* lives as long as the model */
    hearth_dtype type;      /* NONE: not declared */
    int32_t rank;           /* -1: not declared */
    int64_t dim[8];         /* slowest first; -1: any */
    const char *symbol[8];  /* name of a dimension that is any, "" if it has none */
} hearth_io_info;

/* Inputs are those a caller must give. Both counts are 0 for models that generate text. */
HEARTH_API size_t hearth_model_input_count(const hearth_model *model);
HEARTH_API size_t hearth_model_output_count(const hearth_model *model);
/* HEARTH_E_RANGE: index past the end. Set info->struct_size before. */
HEARTH_API hearth_status hearth_model_input(const hearth_model *model, size_t index,
                                            hearth_io_info *info, hearth_error *err);
HEARTH_API hearth_status hearth_model_output(const hearth_model *model, size_t index,
                                             hearth_io_info *info, hearth_error *err);

/* A dense tensor, slowest dimension first, little-endian, aligned to its element. */
typedef struct hearth_tensor {
    const char *name;
    hearth_dtype type;
    int32_t rank;
    int64_t dim[8];
    const void *data;
    size_t bytes;
} hearth_tensor;

/* ---- text and tokens ----------------------------------------------------------------------- */

#define HEARTH_TOKENIZE_SPECIAL       1u /* add BOS, EOS, ... as the model asks */
#define HEARTH_TOKENIZE_PARSE_SPECIAL 2u /* texts of special tokens become their ids */
#define HEARTH_TOKENIZE_CONTINUES     4u /* behind other text: no space is put in front of it */

/* Text (any bytes, no terminator) to ids. *n receives the number of ids the text has; when it is
 * larger than `capacity`, the first `capacity` are written and the status is HEARTH_E_FULL.
 * Allocates scratch from the model's allocator only for a text with a very long word, and frees it
 * before it returns; thread-safe. */
HEARTH_API hearth_status hearth_tokenize(const hearth_model *model, const char *text,
                                         size_t text_len, uint32_t flags, int32_t *tokens,
                                         size_t capacity, size_t *n, hearth_error *err);

/* The same for a text with a mark per byte, marks [text_len] or NULL: bytes marked 1 were written by
 * somebody who may not write special tokens. One that touches a marked byte stays plain text, whatever
 * the flags say; marks change nothing else. hearth_chat_render makes such texts. */
HEARTH_API hearth_status hearth_tokenize_marked(const hearth_model *model, const char *text,
                                                const uint8_t *marks, size_t text_len,
                                                uint32_t flags, int32_t *tokens, size_t capacity,
                                                size_t *n, hearth_error *err);

/* The bytes of one token; special tokens give their text when `special` is set, else nothing.
 * Borrowed from the model. */
HEARTH_API hearth_status hearth_token_bytes(const hearth_model *model, int32_t token, int special,
                                            const char **bytes, size_t *len, hearth_error *err);

/* Ids of special tokens, -1 where the model has none. */
HEARTH_API int32_t hearth_token_bos(const hearth_model *model);
HEARTH_API int32_t hearth_token_eos(const hearth_model *model);
/* Does this token end a generation (eos, end of turn, ...)? */
HEARTH_API int hearth_token_is_end(const hearth_model *model, int32_t token);

/* Turns tokens into text as they come and never emits half a UTF-8 character. Plain memory of the
 * caller; zero it to start. */
typedef struct hearth_detokenizer {
    uint8_t held[8];
    uint8_t n_held;
    uint8_t started;
    uint8_t reserved[6];
} hearth_detokenizer;

/* Append one token's text; *len bytes land in text, whose capacity should be 1 KiB or more
 * (HEARTH_E_FULL otherwise, state unchanged). token -1 flushes what is held at the end. */
HEARTH_API hearth_status hearth_detokenize(const hearth_model *model, hearth_detokenizer *d,
                                           int32_t token, char *text, size_t capacity, size_t *len,
                                           hearth_error *err);

/* ---- tokenizers of their own ---------------------------------------------------------------- */

/* A tokenizer that stands beside a model instead of in it: a tokenizer.json, or a vocab.txt of BERT.
 * Immutable; any number of threads may use it. */
typedef struct hearth_tokenizer hearth_tokenizer;

typedef struct hearth_tokenizer_config {
    uint32_t struct_size;
    hearth_allocator allocator; /* for the tokenizer, and for what encoding a text takes */
    hearth_memory *memory;      /* encoding takes a call of it; NULL: from allocator */
    uint32_t flags;             /* HEARTH_TOKENIZER_* */
} hearth_tokenizer_config;

#define HEARTH_TOKENIZER_NO_SIMD 1u /* as HEARTH_MODEL_NO_SIMD_TOKENIZER */

/* From the bytes of the file, told apart by content; they are not needed afterwards. config may be
 * NULL. The JSON library itself uses the C heap while this runs.
 *
 * HEARTH_E_FORMAT / _RANGE / _LIMIT  the bytes break the format or pass a limit
 * HEARTH_E_UNSUPPORTED               a part of an unknown kind, by name; a build without JSON */
HEARTH_API hearth_status hearth_tokenizer_open(const hearth_bytes *file,
                                               const hearth_tokenizer_config *config,
                                               hearth_tokenizer **tokenizer, hearth_error *err);
HEARTH_API void hearth_tokenizer_close(hearth_tokenizer *tokenizer); /* NULL is fine */
HEARTH_API size_t hearth_tokenizer_vocab_size(const hearth_tokenizer *tokenizer);

/* As hearth_tokenize. HEARTH_TOKENIZE_SPECIAL puts the template of the file around the ids. Never
 * truncates. Allocates and frees in proportion to the text. */
HEARTH_API hearth_status hearth_tokenizer_encode(const hearth_tokenizer *tokenizer, const char *text,
                                                 size_t text_len, uint32_t flags, int32_t *tokens,
                                                 size_t capacity, size_t *n, hearth_error *err);

/* ---- threads ------------------------------------------------------------------------------- */

/* Worker threads that sessions share. */
typedef struct hearth_pool hearth_pool;

typedef struct hearth_pool_config {
    uint32_t struct_size;
    int32_t n_threads;          /* including the caller; 0: one for each fast core that affinity and
                                 * cpuset allow, at most the cgroup quota rounded up */
    const uint64_t *cpu_mask;   /* CPUs the workers are bound to, or NULL; copied */
    size_t cpu_mask_words;
    uint32_t spin_us;           /* how long an idle worker spins before it sleeps; 0: 50, or not at
                                 * all with more threads than CPUs */
    /* A parallel-for from outside (RTOS): must call fn(ctx, i) once for each i < n, concurrently,
     * and return when all are done. Then no thread is started here. */
    void (*parallel)(void *user, int32_t n, void (*fn)(void *ctx, int32_t i), void *ctx);
    void *parallel_user;
    hearth_allocator allocator;
    uint32_t flags;             /* HEARTH_POOL_* */
} hearth_pool_config;

#define HEARTH_POOL_STRICT      1u /* one CPU of the mask per worker, in ascending order, not all of it */
#define HEARTH_POOL_BIND_CALLER 2u /* bind the thread that opens the pool too, as worker 0; it stays so */
#define HEARTH_POOL_OFF         4u /* no thread and no hook: jobs run on their caller */

/* A mask with CPUs that are not allowed here is not an error: the rest of it is used, or nothing is
 * bound; hearth_pool_get_info tells.
 *
 * HEARTH_E_RANGE   n_threads below 0 or above 256
 * HEARTH_E_IO      the system refused a thread
 * HEARTH_E_MEMORY  the allocator refused */
HEARTH_API hearth_status hearth_pool_open(const hearth_pool_config *config, hearth_pool **pool,
                                          hearth_error *err);
HEARTH_API int32_t hearth_pool_threads(const hearth_pool *pool);
/* No session of it may be alive. Paused or not; returns when the threads have ended. */
HEARTH_API void hearth_pool_close(hearth_pool *pool);

/* Send the workers to sleep until resume, after the step in progress; steps meanwhile run on their
 * caller's thread and give the same bits. Waits for that step; does nothing when paused already. */
HEARTH_API void hearth_pool_pause(hearth_pool *pool);
HEARTH_API void hearth_pool_resume(hearth_pool *pool);

/* Counters since open. Set struct_size before; may be read while workers run. */
typedef struct hearth_pool_stats {
    uint32_t struct_size;
    uint64_t jobs;       /* runs that had the pool */
    uint64_t jobs_alone; /* runs on their caller: one thread, paused, or another job had the pool */
    uint64_t phases;     /* parallel steps of those jobs */
    uint64_t tasks;      /* units of work */
    uint64_t takes;      /* batches of units that a worker took from its own share */
    uint64_t steals;     /* and from another's */
    uint64_t parks;      /* times a worker spun in vain and slept */
    uint64_t wakes;      /* calls of the system that woke some */
} hearth_pool_stats;
HEARTH_API void hearth_pool_get_stats(const hearth_pool *pool, hearth_pool_stats *stats);

typedef enum hearth_affinity {
    HEARTH_AFFINITY_NONE = 0,    /* none was asked for */
    HEARTH_AFFINITY_BOUND = 1,   /* as asked */
    HEARTH_AFFINITY_REDUCED = 2, /* to those CPUs of the mask that are allowed here */
    HEARTH_AFFINITY_REFUSED = 3  /* no CPU of the mask is allowed, or the system refused: not bound */
} hearth_affinity;

typedef struct hearth_pool_info {
    uint32_t struct_size;
    int32_t n_threads;
    int32_t n_cpus;       /* that affinity and cpuset allowed when the pool was opened */
    int32_t n_cores;      /* of those, without a second one of the same core */
    int32_t n_fast_cores; /* of those, of the fast kinds */
    int32_t quota_milli;  /* cgroup quota in thousandths of a CPU; 0: none */
    hearth_affinity affinity;
    int32_t n_bound;      /* threads that are bound */
    int32_t paused;
} hearth_pool_info;
HEARTH_API void hearth_pool_get_info(const hearth_pool *pool, hearth_pool_info *info);

/* ---- sessions ------------------------------------------------------------------------------ */

/* Everything that changes while a model runs: plan, activations, KV pages. One thread at a time. */
typedef struct hearth_session hearth_session;

/* What a step of the plan computed, for debugging and comparison: name and op of the step, and the
 * rows of its first output, f32 [rows][columns] with `stride` floats from row to row. data is NULL
 * where the output is no f32 matrix. Valid during the call. */
typedef struct hearth_observation {
    uint32_t struct_size;
    const char *name; /* "" if the step has none */
    const char *op;
    const float *data;
    int64_t rows, columns, stride;
} hearth_observation;
typedef void hearth_observe_fn(void *user, const hearth_observation *observation);

/* Idle sequences, see hearth_seq_release, are evicted in this order. */
typedef enum hearth_evict {
    HEARTH_EVICT_LRU = 0,  /* that went longest without running or being shared from */
    HEARTH_EVICT_FIFO = 1, /* that was released first */
    HEARTH_EVICT_LFU = 2   /* that was least often run or shared from; LRU among equals */
} hearth_evict;

typedef struct hearth_session_config {
    uint32_t struct_size;
    int32_t n_ctx;        /* positions per sequence; 0: the model's own, see hearth_model_info */
    int32_t n_batch;      /* most tokens in one step; 0: 512 */
    int32_t n_seqs;       /* most sequences; 0: 1 */
    int32_t n_kv_tokens;  /* positions the KV cache holds over all sequences; 0: n_ctx * n_seqs */
    int32_t n_logits;     /* most logit rows a step may ask for; 0: n_seqs */
    const char *kv_type_k; /* "f16" (default), "f32", "bf16", or blocks of 32 with a scale: "q8_0",
                            * "q4_0" (8.5 and 4.5 bits per value). Of keys, "q4_0+h" and the
                            * like: rotated (Hadamard), which 4 bits keep better */
    const char *kv_type_v;
    hearth_pool *pool;    /* NULL: the caller's thread */
    const char *level;    /* highest kernel level to use, such as "avx2"; NULL: the best */
    void *mem;            /* caller's memory, or NULL for `allocator` */
    size_t mem_bytes;     /* see hearth_session_need */
    uint64_t max_bytes;   /* refuse a session that needs more (HEARTH_E_LIMIT); 0: no limit */
    uint32_t flags;
    hearth_allocator allocator;
    hearth_observe_fn *observe; /* called after every step that ran, or NULL */
    void *observe_user;
    uint64_t kv_max_bytes; /* most bytes of KV pages, in whole pages; 0: what n_kv_tokens takes */
    hearth_evict evict;    /* which idle sequence gives its pages up first */
    /* Go on where a context would be full: keep the first n_sink positions of a sequence and at least the
     * last n_window, and drop those between in whole pages. n_sink is rounded up to 16; together with
     * 128 they must fit into n_ctx, which then counts positions that are held. Both 0: keep all.
     * Positions keep counting, up to 2^24, and keys keep theirs: within the window distances are what
     * the model knows; that to the first tokens grows, which is what shifting would avoid and this does
     * not, to leave every key as it was computed. */
    int32_t n_sink, n_window;
    hearth_memory *memory; /* what the session allocates counts there; used unless `mem` or `allocator`
                            * is given. A plan that does not fit is refused before it is made */
} hearth_session_config;

#define HEARTH_SESSION_PROFILE   1u /* time every step, see hearth_session_profile */
#define HEARTH_SESSION_ANY_SHAPE 2u /* infer: inputs may differ from their declared shapes */
#define HEARTH_SESSION_NO_ARENA  4u /* blocks from the allocator as they are needed instead of one of
                                     * the planned size; ignored when `mem` is given */
#define HEARTH_SESSION_NO_KV_CACHE 256u /* keep tokens only; every step computes its sequences anew */
#define HEARTH_SESSION_NO_PREFIX   512u /* sequences do not share pages because of equal tokens */

HEARTH_API hearth_status hearth_session_need(const hearth_model *model,
                                             const hearth_session_config *config, size_t *bytes,
                                             hearth_error *err);
/* After this nothing is allocated: running, resetting and failing use the session's own memory. */
HEARTH_API hearth_status hearth_session_open(const hearth_model *model,
                                             const hearth_session_config *config,
                                             hearth_session **session, hearth_error *err);
HEARTH_API void hearth_session_close(hearth_session *session); /* NULL is fine */

typedef struct hearth_session_info {
    uint32_t struct_size;
    int32_t n_ctx, n_batch, n_seqs, n_kv_tokens;
    uint64_t planned_bytes;    /* all of it */
    uint64_t kv_bytes;
    uint64_t activation_bytes;
    uint64_t scratch_bytes;    /* of all workers */
    uint64_t kv_token_bytes;   /* per position */
    const char *level;
    int32_t n_threads;
    int32_t n_logits;
    int32_t n_converted;       /* matrices that hearth_model_config.weights converted */
    float converted_error;     /* largest difference between one of their weights and what became of it */
    int32_t n_plans;           /* infer: plans kept, one for each combination of input shapes */
    uint64_t plans_made;       /* infer: so far */
} hearth_session_info;
HEARTH_API void hearth_session_get_info(const hearth_session *session, hearth_session_info *info);

/* One step over a flat list of items: a mix of prompts, continuations and guesses of any number of
 * sequences. Items of a sequence must be consecutive positions that continue it; positions are
 * given by the session.
 *
 *   items   [n], n <= n_batch
 *   logits  rows [count of items with want_logits][vocab_size] in item order are kept in the session
 *           until its next step: hearth_session_logits.
 *
 * The bits of a row depend on its own sequence alone: not on the other items, the chunking, the
 * threads or the kernel level.
 *
 * HEARTH_E_RANGE      token or sequence out of range; nothing changed
 * HEARTH_E_FULL       a sequence would pass n_ctx, or the KV cache is full; nothing changed
 * HEARTH_E_LIMIT      more items or logits than planned; nothing changed
 * HEARTH_E_CANCELLED  hearth_session_cancel was called; the step's positions are taken back
 * HEARTH_E_NUMERIC    a wanted logit row holds NaN or infinity; positions are kept */
typedef struct hearth_item {
    int32_t token;
    int32_t seq;
    int32_t want_logits;
} hearth_item;
HEARTH_API hearth_status hearth_session_step(hearth_session *session, const hearth_item *items,
                                             size_t n, hearth_error *err);
HEARTH_API const float *hearth_session_logits(const hearth_session *session, size_t row);

/* Sugar: advance sequence 0 by n tokens, in chunks of n_batch, and give the scores that follow the
 * last one: logits [vocab_size], natural scale, written only on HEARTH_OK; may be NULL. */
HEARTH_API hearth_status hearth_session_eval(hearth_session *session, const int32_t *tokens,
                                             size_t n, float *logits, hearth_error *err);

/* Run a graph of tensors once (sessions of HEARTH_MODEL_TENSOR).
 *
 *   inputs   [n_inputs], in any order, one for each input of the model; borrowed for the call
 *   outputs  [n_outputs], at most those of the model, in its order; name, shape and data are written.
 *            The data belong to the session and stay until its next call.
 *
 * The session's memory (config.max_bytes; 0: the smaller of 2 GiB and a quarter of the memory limit)
 * holds plans for the 64 combinations of shapes used last, fewer if a quarter of it is too
 * little for them, and all intermediate results. It is reserved when the session is
 * opened and touched as far as calls need it. Nothing is allocated.
 *
 * HEARTH_E_NOT_FOUND    an input is missing, or one has a name the model does not know
 * HEARTH_E_MISMATCH     an input's type or shape is not what the model declares, or shapes that meet
 *                       inside the graph do not fit
 * HEARTH_E_RANGE        an index or axis is out of range
 * HEARTH_E_LIMIT        memory would pass the budget; nothing past it was touched
 * HEARTH_E_UNSUPPORTED  something known by name and not supported
 * HEARTH_E_CANCELLED    hearth_session_cancel was called
 * After any of them the session can be used again. One thread at a time. */
HEARTH_API hearth_status hearth_session_infer(hearth_session *session, const hearth_tensor *inputs,
                                              size_t n_inputs, hearth_tensor *outputs,
                                              size_t n_outputs, hearth_error *err);

/* Sequences. Length counts positions; room is how many more the context takes, -1 for both: no such
 * sequence. Trim keeps the first n positions. Fork makes dst (emptied first) share the first n positions
 * of src; pages are copied when one of them writes.
 *
 * HEARTH_E_RANGE  no such sequence, or it has less than n positions; nothing changed
 * HEARTH_E_STATE  with a window: what the position n would see is gone; nothing changed */
HEARTH_API int32_t hearth_seq_length(const hearth_session *session, int32_t seq);
HEARTH_API int32_t hearth_seq_room(const hearth_session *session, int32_t seq);
HEARTH_API hearth_status hearth_seq_trim(hearth_session *session, int32_t seq, int32_t n,
                                         hearth_error *err);
HEARTH_API hearth_status hearth_seq_fork(hearth_session *session, int32_t src, int32_t dst,
                                         int32_t n, hearth_error *err);
HEARTH_API void hearth_session_reset(hearth_session *session); /* every sequence to length 0 */

/* Sharing by tokens. A sequence is running from its first step on, and idle when it was released: it
 * keeps its positions, and can be continued, until others need its pages. Running sequences are never
 * evicted. Pages of all sequences, running or idle, are found by their tokens:
 *
 *     int32_t seq, done;
 *     hearth_seq_acquire(session, prompt, n, &seq, &done, &err);    beginning of the prompt: there
 *     ... step the items prompt[done .. n) and what follows on seq ...
 *     hearth_seq_release(session, seq, &err);                       for the next one to share
 *
 * Acquire chooses a sequence for the prompt: an idle one that it continues, else an empty one, else the
 * first to be evicted; and matches. Match makes the sequence begin with as many of the tokens as it holds
 * itself, or as others hold in whole pages of 16, and trims the rest; *matched is never more than n - 1,
 * so that a token is left to be run. What follows is the same bit for bit as after a cold run.
 * Time is proportional to n and the number of sequences.
 *
 * HEARTH_E_FULL   acquire: all sequences are running
 * HEARTH_E_RANGE  no such sequence, or a token is out of range; nothing changed */
HEARTH_API hearth_status hearth_seq_acquire(hearth_session *session, const int32_t *tokens, size_t n,
                                            int32_t *seq, int32_t *matched, hearth_error *err);
HEARTH_API hearth_status hearth_seq_match(hearth_session *session, int32_t seq,
                                          const int32_t *tokens, size_t n, int32_t *matched,
                                          hearth_error *err);
HEARTH_API hearth_status hearth_seq_release(hearth_session *session, int32_t seq,
                                            hearth_error *err);

/* A sequence as bytes, to be kept wherever the caller likes and restored in any session of the same model
 * with the same cache types. The bytes carry a version, a fingerprint of the model, and a hash against
 * accidents; they are no proof against somebody who forges them. Equal sequences give equal bytes.
 *
 *   size      bytes that save writes now: a header, and 64 bytes and a page for 16 positions; 0: no such
 *             sequence
 *   save      data [size], at a multiple of 16, as malloc gives it
 *   restore   replaces what the sequence held; it is running then. Tokens are restored too, so that
 *             hearth_seq_match continues it; but nobody else finds its pages.
 *
 * HEARTH_E_FORMAT, _TRUNCATED, _RANGE  the bytes are damaged
 * HEARTH_E_UNSUPPORTED                 of another version
 * HEARTH_E_MISMATCH                    of another model, cache type or window
 * HEARTH_E_FULL                        the context or the cache is too small
 * Whenever it fails the sequence is unchanged. */
HEARTH_API size_t hearth_seq_save_size(const hearth_session *session, int32_t seq);
HEARTH_API hearth_status hearth_seq_save(const hearth_session *session, int32_t seq, void *data,
                                         size_t size, hearth_error *err);
HEARTH_API hearth_status hearth_seq_restore(hearth_session *session, int32_t seq, const void *data,
                                            size_t size, hearth_error *err);

/* The KV cache now, and what happened to it since the session was opened. */
typedef struct hearth_kv_stats {
    uint32_t struct_size;
    int32_t page_positions;
    uint64_t page_bytes;
    uint32_t pages, pages_free;
    uint32_t pages_shared;  /* by two sequences or more */
    uint32_t pages_listed;  /* can be found by their tokens */
    int32_t seqs_running;
    int32_t seqs_idle;      /* that hold something */
    uint64_t evictions;     /* times that an idle sequence lost positions */
    uint64_t evicted_pages;
    uint64_t copied_pages;  /* before a write, because they were shared */
    uint64_t merged_pages;  /* given up for another with the same tokens */
    uint64_t dropped_pages; /* left behind by windows */
    uint64_t lookups;       /* calls of match and acquire */
    uint64_t hits;          /* of them, that found something */
    uint64_t hit_tokens;    /* positions that did not need to be computed */
} hearth_kv_stats;
/* Set stats->struct_size before. Time is proportional to the number of pages. */
HEARTH_API void hearth_session_kv_stats(const hearth_session *session, hearth_kv_stats *stats);

/* Ask a running step to stop; may be called from any thread and signal handlers. The request is
 * taken by the step in progress or the next one. */
HEARTH_API void hearth_session_cancel(hearth_session *session);

/* Time per kind of operation since open or the last call with reset; needs
 * HEARTH_SESSION_PROFILE. Index past the end gives HEARTH_E_RANGE. */
typedef struct hearth_profile_row {
    uint32_t struct_size;
    const char *op;      /* "matmul q4_k", "attention", ... */
    uint64_t calls;
    uint64_t ns;
    uint64_t bytes;      /* weights read */
    uint64_t macs;
} hearth_profile_row;
HEARTH_API hearth_status hearth_session_profile(hearth_session *session, size_t index, int reset,
                                                hearth_profile_row *row, hearth_error *err);

/* ---- encoders: text through a graph of tensors ---------------------------------------------- */

/* A tokenizer in front of a graph and, for embeddings, pooling behind it. The graph comes from an ONNX
 * file, or from a GGUF file of an encoder such as bert. Its inputs are known by their names: input_ids,
 * attention_mask, token_type_ids or segment_ids, position_ids.
 *
 * Every text is a run of its own, so its numbers do not depend on what else is encoded: no padding,
 * and of a dynamically quantised graph one quantisation group per text. */
typedef struct hearth_encoder hearth_encoder;

typedef enum hearth_pooling {
    HEARTH_POOL_MODEL = 0, /* what the model's file says (GGUF); else the mean */
    HEARTH_POOL_MEAN = 1,  /* over the tokens of the text */
    HEARTH_POOL_CLS = 2,   /* the first */
    HEARTH_POOL_LAST = 3
} hearth_pooling;

typedef struct hearth_encoder_config {
    uint32_t struct_size;
    hearth_session *session;           /* of a HEARTH_MODEL_TENSOR model; borrowed */
    const hearth_tokenizer *tokenizer; /* borrowed; NULL: the model's own, which GGUF files have */
    hearth_pooling pooling;
    int32_t no_normalize;              /* embeddings as they are; else of length 1 */
    int32_t max_tokens;  /* 0: as the tokenizer's file and the model's position table allow */
    int32_t truncate;    /* longer texts are cut and marked; else refused */
    hearth_allocator allocator;
    hearth_memory *memory; /* a text takes a call of it; NULL: from allocator */
} hearth_encoder_config;

HEARTH_API hearth_status hearth_encoder_open(const hearth_encoder_config *config,
                                             hearth_encoder **encoder, hearth_error *err);
HEARTH_API void hearth_encoder_close(hearth_encoder *encoder); /* NULL is fine */
/* The most tokens of a text, special ones included; 0 if nothing says so. */
HEARTH_API int32_t hearth_encoder_max_tokens(const hearth_encoder *encoder);

typedef struct hearth_encoding {
    uint32_t struct_size;
    const float *values; /* [n_values], until the next call on this encoder */
    size_t n_values;
    int32_t n_tokens;    /* that were run */
    int32_t truncated;   /* the text had more */
} hearth_encoding;

/* One text. Classify gives the first output of shape [1][labels], as it is: logits. Embed pools the
 * first output of shape [1][tokens][size], or takes one of shape [1][size] as pooled already.
 * encoding->struct_size must be set. Ids, inputs and result lie in memory of the encoder, which grows
 * with the longest text so far (some 100 bytes per byte of it) and is kept until the encoder is closed: a
 * call with a text no longer than those before allocates nothing.
 *
 * HEARTH_E_LIMIT     more tokens than the model takes, both numbers in the sentence
 * HEARTH_E_RANGE     no token at all
 * HEARTH_E_NOT_FOUND the graph has no such output, or an input with an unknown name
 * HEARTH_E_NUMERIC   NaN or infinity came out
 * and those of hearth_session_infer. */
HEARTH_API hearth_status hearth_encoder_classify(hearth_encoder *encoder, const char *text,
                                                 size_t text_len, hearth_encoding *encoding,
                                                 hearth_error *err);
HEARTH_API hearth_status hearth_encoder_embed(hearth_encoder *encoder, const char *text,
                                              size_t text_len, hearth_encoding *encoding,
                                              hearth_error *err);

/* Names of a classifier's classes, as the config.json beside a model has them: its member id2label, an object of
 * names by number. Immutable. */
typedef struct hearth_labels hearth_labels;

/* From the bytes of a config.json, which are not needed afterwards; allocator may be NULL. A file without id2label
 * has no names. The JSON library itself uses the C heap while this runs.
 *
 * HEARTH_E_FORMAT       no JSON object, or a number above 65535 or a name that is no text in id2label
 * HEARTH_E_UNSUPPORTED  a build without JSON */
HEARTH_API hearth_status hearth_labels_open(const hearth_bytes *file, const hearth_allocator *allocator,
                                            hearth_labels **labels, hearth_error *err);
HEARTH_API void hearth_labels_close(hearth_labels *labels); /* NULL is fine */
/* One more than the largest number that has a name. */
HEARTH_API size_t hearth_labels_count(const hearth_labels *labels);
/* NULL: that number has none. */
HEARTH_API const char *hearth_labels_name(const hearth_labels *labels, size_t index);

/* ---- sampling ------------------------------------------------------------------------------ */

/* How a token is chosen: logit bias first; then the stages of `order`, which by default is
 *
 *     penalties;dry;top_n_sigma;top_k;typ_p;top_p;min_p;xtc;temperature
 *
 * and one draw from what is left. A stage that is not named is left out; penalties and dry, where named,
 * come before all others. temperature <= 0 takes the largest logit behind bias, penalties and dry (lowest
 * id among equals) and touches neither softmax nor random numbers. mirostat 2 takes the place of all
 * stages behind penalties and dry but the temperature.
 *
 * Probabilities are those of the candidates that the stages before left, at the temperature there, so
 * with the default order they are those of the logits before temperature. Each stage leaves min_keep
 * candidates at least.
 * Random numbers: Philox4x32-10 (Salmon et al., SC 2011), key = seed, counter = (draw, stream); a seed gives the
 * same text on every machine and for any number of threads. */
typedef struct hearth_logit_bias {
    int32_t token;
    float bias; /* -INFINITY bans the token */
} hearth_logit_bias;

typedef struct hearth_sampler_config {
    uint32_t struct_size;
    float temperature;       /* <= 0: greedy */
    int32_t top_k;           /* 0: off */
    float top_p;             /* (0, 1]; 0 means 1, off */
    float min_p;             /* [0, 1) */
    float repeat_penalty;    /* >= 1 ... ; 0 means 1, off */
    float presence_penalty;
    float frequency_penalty;
    int32_t penalty_window;  /* last tokens that count; 0: 64 */
    uint64_t seed;
    uint64_t stream;         /* a second number that separates requests with one seed */
    const hearth_logit_bias *bias; /* copied */
    size_t n_bias;
    hearth_allocator allocator;
    float typical_p;         /* (0, 1]; 0 means 1, off */
    float top_n_sigma;       /* 0: off */
    float xtc_probability;   /* [0, 1]; 0: off */
    float xtc_threshold;     /* (0, 1], off above 0.5; 0 means 0.1 */
    float dry_multiplier;    /* 0: off */
    float dry_base;          /* >= 1; 0 means 1.75 */
    int32_t dry_allowed_length; /* longest repetition without penalty is one less; 0 means 2 */
    int32_t dry_last_n;      /* tokens it looks back; 0 means 1024, -1 the model's context */
    const char *const *dry_breakers; /* a token whose text holds one of them ends a repetition; not
                                      * kept. None: line end : " and *; one empty string: no breaker */
    size_t n_dry_breakers;   /* at most 64 */
    int32_t mirostat;        /* 0: off; 2 */
    float mirostat_tau;      /* surprise aimed at, in bits; 0 means 5 */
    float mirostat_eta;      /* (0, 1], how fast it gets there; 0 means 0.1 */
    float dynatemp_range;    /* temperature +- range, by the entropy; 0: off */
    float dynatemp_exponent; /* 0 means 1 */
    int32_t min_keep;        /* 0 means 1 */
    const char *order;       /* names of stages, separated by semicolons; NULL: the default; not kept */
} hearth_sampler_config;

typedef struct hearth_sampler hearth_sampler;

HEARTH_API hearth_status hearth_sampler_open(const hearth_model *model,
                                             const hearth_sampler_config *config,
                                             hearth_sampler **sampler, hearth_error *err);
HEARTH_API void hearth_sampler_close(hearth_sampler *sampler);
/* Choose from logits [vocab_size]; does not change them. HEARTH_E_NUMERIC when they hold NaN or
 * +infinity, or when nothing is left to choose from. */
HEARTH_API hearth_status hearth_sampler_sample(hearth_sampler *sampler, const float *logits,
                                               int32_t *token, hearth_error *err);
/* Tell the sampler which token was taken: prompt tokens too, they count for the penalties. */
HEARTH_API void hearth_sampler_accept(hearth_sampler *sampler, int32_t token);
HEARTH_API void hearth_sampler_reset(hearth_sampler *sampler);

/* ---- grammars ------------------------------------------------------------------------------ */

/* What a generated text may be: a grammar in GBNF (the form of llama.cpp), or a JSON schema. Tokens that
 * cannot follow are not chosen, and end tokens only where the text is complete. Immutable; one grammar
 * serves any number of generations on one model.
 *
 * Of JSON schema: type, enum, const, properties, required, additionalProperties, items, prefixItems,
 * minItems, maxItems, minLength, maxLength, pattern (anchored, without look-around), minimum and
 * maximum of integers, anyOf, oneOf (as anyOf), allOf of one, $ref into the schema itself. Titles,
 * descriptions, defaults, examples and format say nothing here. Any other word is refused by its name, and so
 * is one that would be ignored: beside $ref, anyOf, oneOf or allOf none may stand, beside const and enum type. An
 * object with properties has no others unless additionalProperties says so; properties come in the order
 * of the schema. */
typedef struct hearth_grammar hearth_grammar;

typedef struct hearth_grammar_config {
    uint32_t struct_size;
    const char *gbnf;        /* one of the two; neither is kept */
    size_t gbnf_len;         /* at most 1 MiB */
    const char *json_schema;
    size_t json_schema_len;
    hearth_allocator allocator;
} hearth_grammar_config;

/* Time: in proportion to the grammar, and n log n in the vocabulary, which is put in order.
 *
 * HEARTH_E_FORMAT       line and what stands there; a rule that is left-recursive, empty or without an
 *                       end; a text that is no JSON
 * HEARTH_E_NOT_FOUND    a rule that is used and not defined, or no rule root; a $ref to nothing
 * HEARTH_E_UNSUPPORTED  a word of JSON schema, by its name; a build without JSON
 * HEARTH_E_RANGE        bounds that exclude each other
 * HEARTH_E_LIMIT        4096 rules, nesting 128, repetitions of 65536, depth 64 of a schema, size */
HEARTH_API hearth_status hearth_grammar_open(const hearth_model *model,
                                             const hearth_grammar_config *config,
                                             hearth_grammar **grammar, hearth_error *err);
/* No generation of it may be open. NULL is fine. */
HEARTH_API void hearth_grammar_close(hearth_grammar *grammar);

typedef enum hearth_grammar_verdict {
    HEARTH_GRAMMAR_NO = 0,
    HEARTH_GRAMMAR_BEGINS = 1, /* more has to follow */
    HEARTH_GRAMMAR_WHOLE = 2
} hearth_grammar_verdict;

/* Is this a text of the grammar? Allocates and frees memory of fixed size. HEARTH_E_LIMIT: too many
 * ways to read it. */
HEARTH_API hearth_status hearth_grammar_match(const hearth_grammar *grammar, const char *text,
                                              size_t len, hearth_grammar_verdict *verdict,
                                              hearth_error *err);

/* ---- generating text ----------------------------------------------------------------------- */

typedef enum hearth_finish {
    HEARTH_FINISH_NONE = 0,
    HEARTH_FINISH_STOP = 1,      /* an end token or a stop string */
    HEARTH_FINISH_LENGTH = 2,    /* max_tokens */
    HEARTH_FINISH_CONTEXT = 3,   /* the context is full */
    HEARTH_FINISH_CANCELLED = 4,
    HEARTH_FINISH_DEADLINE = 5,
    HEARTH_FINISH_ERROR = 6
} hearth_finish;
HEARTH_API const char *hearth_finish_text(hearth_finish finish); /* "stop", "length", ... */

/* Speculation: tokens are guessed and run in one step beside the one that has to run anyway; those that
 * the model would have chosen cost nothing more. Who guesses: a lookup of the text's own repetitions,
 * a function of the caller's, or a draft model, tried in this order.
 *
 * What is guaranteed: greedy text is the same, byte by byte, as without; so is sampled text when
 * guesses come from lookup or a function. With a draft model sampled text has the same distribution; a
 * seed repeats it only with HEARTH_SPECULATION_STEADY, for else times decide how much is guessed.
 *
 * How much is guessed follows from what steps and guesses are measured to cost and how often they
 * are right; where they cost more than they give, guessing pauses. */
#define HEARTH_SPECULATION_STEADY 1u /* always max_guesses, whatever they cost */

typedef struct hearth_speculation_config {
    uint32_t struct_size;
    uint32_t flags;
    /* A session of a draft model with the same vocabulary (else HEARTH_E_MISMATCH), borrowed, and an
     * empty sequence of it, which the generation fills and empties again. Guessing stops when its
     * context is full. */
    hearth_session *draft;
    int32_t draft_seq;
    int32_t lookup;       /* guess what followed where the text read like its end before */
    int32_t max_guesses;  /* in one step: 1 to 64; 0: 16. The session must keep logits of at least one
                           * guess and one more (n_logits); what it keeps bounds the guesses too. */
    /* Write up to n tokens that may follow tokens[0..n_tokens), all of the sequence that the generation
     * knows, and return their number. */
    int32_t (*guess)(void *user, const int32_t *tokens, size_t n_tokens, int32_t *guess, int32_t n);
    void *guess_user;
} hearth_speculation_config;

typedef struct hearth_generation_config {
    uint32_t struct_size;
    int32_t seq;                 /* the sequence of the session to continue */
    int32_t max_tokens;          /* 0: until the context is full */
    const char *const *stop;     /* strings that end the text and are not part of it; copied */
    size_t n_stop;               /* at most 16, each at most 256 bytes */
    int32_t ignore_end;          /* end tokens do not end the text */
    hearth_sampler *sampler;     /* borrowed; NULL: greedy */
    /* Called between prefill chunks and tokens; nonzero stops with HEARTH_FINISH_CANCELLED
     * (1) or HEARTH_FINISH_DEADLINE (2). */
    int (*poll)(void *user, size_t prompt_done, size_t prompt_total);
    void *poll_user;
    hearth_allocator allocator;
    int32_t match_prompt;        /* a prompt is the whole text of the sequence: what the session holds
                                  * of it is not computed again, see hearth_seq_match */
    hearth_memory *memory;       /* the generation is a call of it from open to close; or NULL */
    const hearth_speculation_config *speculation; /* copied; NULL: none */
    int32_t n_logprobs;          /* likeliest tokens that pieces tell of, at most 64; 0: none, nor their own */
    const hearth_grammar *grammar; /* borrowed; NULL: any text. Needs a sampler of its own: it is asked
                                    * until the generation is closed. Each prompt begins a new text of
                                    * the grammar. HEARTH_E_NUMERIC from next: no token can follow;
                                    * HEARTH_E_LIMIT: too many ways to read the text */
} hearth_generation_config;

/* One running generation: borrow a session, feed a prompt, then take text piece by piece. */
typedef struct hearth_generation hearth_generation;

HEARTH_API hearth_status hearth_generation_open(hearth_session *session,
                                                const hearth_generation_config *config,
                                                hearth_generation **gen, hearth_error *err);
/* The prompt, in chunks of n_batch. May be called again to add a turn, also when the text is over: the
 * token chosen last goes in front of it, and max_tokens counts anew. A prompt that does not fit is
 * HEARTH_E_FULL with both numbers, and nothing of it is taken; one that is cancelled leaves the
 * chunks that ran in the sequence, and the next piece says so. */
HEARTH_API hearth_status hearth_generation_prompt(hearth_generation *gen, const int32_t *tokens,
                                                  size_t n, hearth_error *err);

typedef struct hearth_logprob {
    int32_t token;
    float logprob;
} hearth_logprob;

typedef struct hearth_piece {
    uint32_t struct_size;
    int32_t token;       /* the token that was chosen, -1 in the last piece */
    const char *text;    /* whole characters, possibly none; valid until the next call */
    size_t text_len;
    hearth_finish finish; /* not NONE: this was the last piece */
    /* With n_logprobs, for pieces with a token: natural logarithms of the model's own probabilities,
     * before bias, penalties and every stage of the sampler. Borrowed until the next call. */
    float logprob;        /* of the token */
    const hearth_logprob *top; /* [n_top] largest first, lower id first among equals */
    size_t n_top;
} hearth_piece;
HEARTH_API hearth_status hearth_generation_next(hearth_generation *gen, hearth_piece *piece,
                                                hearth_error *err);

/* What it took since open. */
typedef struct hearth_generation_stats {
    uint32_t struct_size;
    uint64_t passes;   /* steps that gave tokens */
    uint64_t drafted;  /* guesses that ran */
    uint64_t accepted; /* of them, those that were chosen */
    const char *off;   /* why nothing is guessed at the moment; "" while it is. Static storage */
} hearth_generation_stats;
HEARTH_API void hearth_generation_get_stats(const hearth_generation *gen,
                                            hearth_generation_stats *stats);

/* Before the session's sequence is used further: guesses that were not looked at are taken back. Close
 * before the session. NULL is fine. */
HEARTH_API void hearth_generation_close(hearth_generation *gen);

/* Many generations on one session. A step runs the next token of every running generation and, with
 * what is left of n_batch, chunks of prompts. Generations join and leave between steps. Each has a
 * sequence of its own while it runs, chosen as by hearth_seq_acquire, so beginnings of prompts are shared.
 * The text of a generation is what it would be alone, whatever the others do.
 *
 *     hearth_batch_add(batch, &config, prompt, n, user, &id, &err);       at any time
 *     while (hearth_batch_count(batch, NULL) > 0) {
 *         hearth_batch_step(batch, &err);
 *         while (hearth_batch_next(batch, &piece) && use(&piece)) {
 *         }
 *     }
 *
 * A generation waits until there is a sequence for it and pages for all that it may come to, so running
 * ones never lack any. First come, first served. The session's sequences that are running otherwise stay
 * as they are. One thread at a time. */
typedef struct hearth_batch hearth_batch;

typedef struct hearth_batch_config {
    uint32_t struct_size;
    hearth_session *session;   /* borrowed */
    int32_t max_generations;   /* running and waiting; 0: 4 * n_seqs */
    int32_t prompt_chunk;      /* most prompt tokens in one step; 0: n_batch */
    hearth_allocator allocator;
} hearth_batch_config;

HEARTH_API hearth_status hearth_batch_open(const hearth_batch_config *config, hearth_batch **batch,
                                           hearth_error *err);
/* What runs is given up; its sequences are idle then. NULL is fine. */
HEARTH_API void hearth_batch_close(hearth_batch *batch);

/* Queue a generation. config->seq and match_prompt are not used; poll is called once a step, also while
 * the generation waits. tokens are borrowed until the first piece with a token, or the last piece. *id is
 * never 0 and not used again. Allocates the generation (config->allocator), which is freed after its last
 * piece.
 *
 * HEARTH_E_FULL   max_generations are there; or prompt and max_tokens are more than the context or the KV
 *                 cache take, both numbers in the sentence
 * HEARTH_E_RANGE  no token, or one out of range */
HEARTH_API hearth_status hearth_batch_add(hearth_batch *batch,
                                          const hearth_generation_config *config,
                                          const int32_t *tokens, size_t n, void *user, uint64_t *id,
                                          hearth_error *err);
/* Its next piece is the last, and says so; it takes part in no further step. Idempotent.
 * HEARTH_E_NOT_FOUND: it is over, or never was. */
HEARTH_API hearth_status hearth_batch_cancel(hearth_batch *batch, uint64_t id, hearth_error *err);
/* A generation that rests keeps its place and takes part in no step; rest 0: it goes on. Idempotent.
 * HEARTH_E_NOT_FOUND: it is over, or never was. */
HEARTH_API hearth_status hearth_batch_rest(hearth_batch *batch, uint64_t id, int rest, hearth_error *err);
/* Most prompt tokens in a step from now on, to bound its time: 1 to n_batch; beyond, what is nearest. */
HEARTH_API void hearth_batch_set_prompt_chunk(hearth_batch *batch, int32_t n);
/* Generations that are not over; of them, *running have a sequence. running may be NULL. */
HEARTH_API size_t hearth_batch_count(const hearth_batch *batch, size_t *running);

/* One step, if there is something to run. What goes wrong with one generation ends that one, with a piece
 * that says why. Does not allocate.
 * HEARTH_E_STATE  pieces of the last step were not taken; nothing was done */
HEARTH_API hearth_status hearth_batch_step(hearth_batch *batch, hearth_error *err);

typedef struct hearth_batch_piece {
    uint32_t struct_size;
    uint64_t id;
    void *user;             /* as given */
    hearth_piece piece;
    hearth_status status;   /* with HEARTH_FINISH_ERROR: what went wrong */
    const char *text;       /* and a sentence about it; both until the next call */
    size_t matched;         /* tokens of the prompt that were not computed again */
} hearth_batch_piece;
/* The next piece of any generation; 0: there is none before the next step. Set piece->struct_size
 * before. */
HEARTH_API int hearth_batch_next(hearth_batch *batch, hearth_batch_piece *piece);

/* ---- chat ---------------------------------------------------------------------------------- */

/* A model's chat template, ready to turn messages into its prompt. Where it comes from, first that is
 * there: config.format, config.jinja, the model's file. A file's template is interpreted (a bounded
 * subset of Jinja); in a build without the interpreter, or when it uses something unknown, the family
 * is recognised by marks in its text. */
typedef struct hearth_chat hearth_chat;

typedef struct hearth_message {
    const char *role;    /* "system", "user", "assistant": letters, digits, _ and - */
    const char *content; /* any bytes */
    size_t content_len;
} hearth_message;

typedef struct hearth_chat_config {
    uint32_t struct_size;
    uint32_t flags;      /* HEARTH_CHAT_NO_JINJA */
    const char *format;  /* a family by its name (hearth_chat_format_name), or NULL */
    const char *jinja;   /* a template's text instead of the model's, or NULL; copied */
    size_t jinja_len;
    int64_t now;         /* seconds since 1970 on the user's clock, for templates that print the
                          * date; 0: they see no clock */
    uint64_t max_steps;  /* of the interpreter for one prompt; 0: 2^20 */
    hearth_allocator allocator;
} hearth_chat_config;

#define HEARTH_CHAT_NO_JINJA 1u /* recognise families only */

/* HEARTH_E_NOT_FOUND    the model has no template and none is given: the names are in the sentence
 * HEARTH_E_UNSUPPORTED  an unknown name, or a template that is neither understood nor recognised
 * HEARTH_E_FORMAT, _LIMIT  config.jinja is no template, or passes a limit */
HEARTH_API hearth_status hearth_chat_open(const hearth_model *model,
                                          const hearth_chat_config *config, hearth_chat **chat,
                                          hearth_error *err);
HEARTH_API void hearth_chat_close(hearth_chat *chat); /* NULL is fine */
/* "jinja", or the family's name. */
HEARTH_API const char *hearth_chat_format(const hearth_chat *chat);
/* Names of the families for index 0, 1, ...; NULL past the end. */
HEARTH_API const char *hearth_chat_format_name(size_t index);

typedef struct hearth_prompt {
    uint32_t struct_size;
    const char *text;     /* [text_len], terminated; until the next call on this chat */
    const uint8_t *marks; /* [text_len] 1 where a byte comes from a message's content */
    size_t text_len;
} hearth_prompt;

#define HEARTH_CHAT_ANSWER 1u /* end with what opens the assistant's answer */

/* The prompt of n messages; prompt->struct_size must be set. Memory is allocated in proportion to the
 * messages and kept until the next call. At most 4 x input + 64 KiB come out.
 *
 * HEARTH_E_RANGE     a role of other characters; a family has no form for a role
 * HEARTH_E_ARGUMENT  the template refuses the messages, in its own words
 * HEARTH_E_LIMIT     steps, depth, memory or length: a template that does not come to an end */
HEARTH_API hearth_status hearth_chat_render(hearth_chat *chat, const hearth_message *messages,
                                            size_t n, uint32_t flags, hearth_prompt *prompt,
                                            hearth_error *err);

/* Ids of prompt->text from byte `from` on: special tokens are parsed in what the template wrote and in
 * nothing that came from a message. From 0 on a BOS is put in front if the model asks for one and the
 * template wrote none. *n and HEARTH_E_FULL as in hearth_tokenize. */
HEARTH_API hearth_status hearth_chat_tokenize(const hearth_chat *chat, const hearth_prompt *prompt,
                                              size_t from, int32_t *tokens, size_t capacity,
                                              size_t *n, hearth_error *err);

/* ---- the build ----------------------------------------------------------------------------- */

HEARTH_API const char *hearth_version(void);
/* Kernel levels this machine runs, lowest first, for index 0, 1, ...; NULL past the end. */
HEARTH_API const char *hearth_level_name(size_t index);

/* ---- machines without an operating system --------------------------------------------------- */

/* A build with HEARTH_OS=bare calls these two and nothing else of the machine. Both are weak there: without
 * the product's own, time stands still (profiles show 0, a draft model guesses as many tokens as it may)
 * and seeds that are asked for are 0. Other builds do not have them. */
uint64_t hearth_bare_now_ns(void); /* monotonic nanoseconds; from any thread */
void hearth_bare_random(void *dst, size_t n); /* for default seeds; not for secrets */

#ifdef __cplusplus
}
#endif
#endif

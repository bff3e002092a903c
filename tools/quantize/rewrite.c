#include "tools/quantize/rewrite.h"
#include "tools/quantize/encode.h"
#include "base/os/hb_os.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define REWRITE_ALIGN   32u
#define REWRITE_CHUNK   65536 /* elements that a thread takes at a time, in whole rows */
#define REWRITE_THREADS 256

/* ---- the plan */

static uint64_t rewrite_bytes(enum hk_qtype type, const struct hg_tensor *t)
{
    const struct hk_qtype_info *info = &hk_qtype_info[type];
    uint64_t n = 1;
    for (int d = 0; d < t->rank; d++)
        n *= (uint64_t)t->dim[d];
    return n / info->block_elements * info->block_bytes;
}

static uint64_t rewrite_up(uint64_t n, uint64_t align)
{
    return (n + align - 1) / align * align;
}

static uint64_t rewrite_alignment(const struct hg_file *file)
{
    int64_t align = REWRITE_ALIGN;
    hg_meta_int(file, "general.alignment", false, HG_MIN_ALIGNMENT, HG_MAX_ALIGNMENT, &align, NULL);
    return (uint64_t)align;
}

/* Does a tensor of this type hold what training left, so that encoding it loses nothing twice? */
static bool rewrite_is_float(enum hk_qtype type)
{
    return hk_qtype_info[type].family == HK_FAMILY_FLOAT;
}

hearth_status hq_plan(const struct hq_rewrite *r, struct hq_tensor *tensors, struct hq_result *result, hearth_error *err)
{
    struct hq_model model;
    uint64_t offset = 0, align = rewrite_alignment(r->file);
    struct hq_mix mix = *r->mix;
    if (r->pure) {
        const struct hq_choice base = {HQ_ALL, (uint8_t)mix.base, (uint8_t)mix.base, 1};
        mix.output = mix.base;
        mix.v = mix.down = mix.out = mix.qkv = base;
    }
    hq_model_read(r->file, &model);
    *result = (struct hq_result){0};
    for (size_t i = 0; i < r->file->n_tensors; i++) {
        const struct hg_tensor *t = &r->file->tensors[i];
        enum hk_qtype type = hq_mix_type(&mix, &model, t);
        if (type != t->type && !rewrite_is_float(t->type) && !r->requantize)
            return hb_fail(err, HEARTH_E_STATE, "%s is %s already; floats are accepted, or --allow-requantize, which "
                           "adds the errors of both", t->name, hk_qtype_info[t->type].name);
        tensors[i] = (struct hq_tensor){t, type, rewrite_bytes(type, t), offset};
        offset = rewrite_up(offset + tensors[i].bytes, align);
        result->elements += rewrite_bytes(HK_F32, t) / sizeof(float);
        if (type == t->type)
            result->n_copied++;
        else
            result->n_encoded++;
    }
    result->bytes = offset;
    return HEARTH_OK;
}

/* ---- the header */

struct rewrite_out {
    FILE *to;
    uint64_t at;
    bool failed;
};

static void rewrite_put(struct rewrite_out *o, const void *bytes, size_t n)
{
    o->failed |= n > 0 && fwrite(bytes, 1, n, o->to) != n;
    o->at += n;
}

/* Little-endian, as many bytes as asked for. */
static void rewrite_number(struct rewrite_out *o, uint64_t value, int n)
{
    uint8_t bytes[8];
    for (int i = 0; i < n; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
    rewrite_put(o, bytes, (size_t)n);
}

static void rewrite_text(struct rewrite_out *o, const char *text, size_t len)
{
    rewrite_number(o, len, 8);
    rewrite_put(o, text, len);
}

static void rewrite_pad(struct rewrite_out *o, uint64_t align)
{
    static const uint8_t zeros[HG_MAX_ALIGNMENT];
    rewrite_put(o, zeros, (size_t)(rewrite_up(o->at, align) - o->at));
}

static const char file_type_key[] = "general.file_type", version_key[] = "general.quantization_version";

static bool rewrite_keeps(const struct hg_meta *m)
{
    return strcmp(m->key, file_type_key) != 0 && strcmp(m->key, version_key) != 0 && strncmp(m->key, "split.", 6) != 0;
}

static void rewrite_meta(struct rewrite_out *o, const struct hg_meta *m)
{
    rewrite_text(o, m->key, m->key_len);
    if (m->array) {
        rewrite_number(o, HG_ARRAY, 4);
        rewrite_number(o, m->type, 4);
        rewrite_number(o, m->count, 8);
    } else
        rewrite_number(o, m->type, 4);
    rewrite_put(o, m->data, m->bytes);
}

static void rewrite_u32(struct rewrite_out *o, const char *key, uint32_t value)
{
    rewrite_text(o, key, strlen(key));
    rewrite_number(o, HG_U32, 4);
    rewrite_number(o, value, 4);
}

static void rewrite_header(const struct hq_rewrite *r, const struct hq_tensor *tensors, struct rewrite_out *o)
{
    const struct hg_file *file = r->file;
    size_t n_meta = 2;
    for (size_t i = 0; i < file->meta.n; i++)
        n_meta += rewrite_keeps(&file->meta.at[i]);
    rewrite_put(o, "GGUF", 4);
    rewrite_number(o, 3, 4);
    rewrite_number(o, file->n_tensors, 8);
    rewrite_number(o, n_meta, 8);
    for (size_t i = 0; i < file->meta.n; i++)
        if (rewrite_keeps(&file->meta.at[i]))
            rewrite_meta(o, &file->meta.at[i]);
    rewrite_u32(o, file_type_key, r->mix->file_type);
    rewrite_u32(o, version_key, 2); /* of the block layouts */
    for (size_t i = 0; i < file->n_tensors; i++) {
        const struct hg_tensor *t = tensors[i].from;
        rewrite_text(o, t->name, strlen(t->name));
        rewrite_number(o, t->rank, 4);
        for (int d = t->rank; d-- > 0;)
            rewrite_number(o, (uint64_t)t->dim[d], 8);
        rewrite_number(o, (uint64_t)hk_qtype_info[tensors[i].type].gguf, 4);
        rewrite_number(o, tensors[i].offset, 8);
    }
    rewrite_pad(o, rewrite_alignment(file));
}

/* ---- one tensor on several threads */

struct rewrite_tensor {
    const struct hk_table *kernels;
    const struct hq_tensor *tensor;
    uint8_t *out;
    const float *importance; /* [matrices][row] or [row]; NULL */
    size_t per_matrix, rows_per_matrix;
    size_t row, n_rows, chunk; /* elements of a row; rows; rows at a time */
    atomic_size_t next;        /* row */
    atomic_bool no_memory, not_a_weight;
};

struct rewrite_worker {
    struct rewrite_tensor *t;
    pthread_t thread;
    double square, square_error;
};

static void rewrite_row(struct rewrite_worker *w, size_t row, float *x, float *y)
{
    struct rewrite_tensor *t = w->t;
    enum hk_qtype from = t->tensor->from->type, to = t->tensor->type;
    size_t from_bytes = t->row / hk_qtype_info[from].block_elements * hk_qtype_info[from].block_bytes;
    size_t to_bytes = t->row / hk_qtype_info[to].block_elements * hk_qtype_info[to].block_bytes;
    uint8_t *blocks = t->out + row * to_bytes;
    const float *importance =
        t->importance ? t->importance + row / t->rows_per_matrix * t->per_matrix : NULL;
    t->kernels->quant[from].unpack(x, (const uint8_t *)t->tensor->from->data + row * from_bytes, t->row);
    double square = 0;
    bool fine = true;
    for (size_t i = 0; i < t->row; i++) {
        square += (double)x[i] * x[i];
        fine &= x[i] >= -HQ_MOST_WEIGHT && x[i] <= HQ_MOST_WEIGHT;
    }
    if (!fine) {
        atomic_store(&t->not_a_weight, true);
        return;
    }
    hq_encoder(to)(blocks, x, importance, t->row);
    t->kernels->quant[to].unpack(y, blocks, t->row);
    w->square += square;
    for (size_t i = 0; i < t->row; i++) {
        double off = (double)x[i] - y[i];
        w->square_error += off * off;
    }
}

static void *rewrite_work(void *user)
{
    struct rewrite_worker *w = user;
    struct rewrite_tensor *t = w->t;
    float *x = malloc(2 * t->row * sizeof *x);
    if (!x)
        atomic_store(&t->no_memory, true);
    while (x && !atomic_load(&t->not_a_weight)) {
        size_t row = atomic_fetch_add(&t->next, t->chunk);
        if (row >= t->n_rows)
            break;
        size_t end = row + t->chunk < t->n_rows ? row + t->chunk : t->n_rows;
        for (; row < end; row++)
            rewrite_row(w, row, x, x + t->row);
    }
    free(x);
    return NULL;
}

/* The caller works too; a thread that cannot be made is one less. */
static void rewrite_on_threads(struct rewrite_tensor *t, int threads, struct hq_result *result)
{
    struct rewrite_worker workers[REWRITE_THREADS];
    int made = 0;
    threads = threads < 1 ? 1 : threads > REWRITE_THREADS ? REWRITE_THREADS : threads;
    for (int i = 0; i < threads; i++)
        workers[i] = (struct rewrite_worker){.t = t};
    while (made + 1 < threads && pthread_create(&workers[made + 1].thread, NULL, rewrite_work, &workers[made + 1]) == 0)
        made++;
    rewrite_work(&workers[0]);
    for (int i = 1; i <= made; i++)
        pthread_join(workers[i].thread, NULL);
    for (int i = 0; i <= made; i++) {
        result->square += workers[i].square;
        result->square_error += workers[i].square_error;
    }
}

static hearth_status rewrite_encode(const struct hq_rewrite *r, const struct hk_table *kernels,
                                    const struct hq_tensor *tensor, uint8_t *out, struct hq_result *result,
                                    hearth_error *err)
{
    const struct hg_tensor *from = tensor->from;
    struct rewrite_tensor t = {.kernels = kernels, .tensor = tensor, .out = out};
    t.row = (size_t)from->dim[from->rank - 1];
    t.rows_per_matrix = (size_t)from->dim[from->rank - 2];
    t.n_rows = (size_t)(rewrite_bytes(HK_F32, from) / sizeof(float)) / t.row;
    t.chunk = t.row < REWRITE_CHUNK ? REWRITE_CHUNK / t.row : 1;
    HB_TRY(hq_imatrix_find(r->imatrix, from->name, t.row, t.n_rows / t.rows_per_matrix, &t.importance, &t.per_matrix,
                           err));
    result->n_without += r->imatrix && !t.importance;
    rewrite_on_threads(&t, r->threads, result);
    if (atomic_load(&t.no_memory))
        return hb_fail(err, HEARTH_E_MEMORY, "%s: no memory for a row of %zu", from->name, t.row);
    if (atomic_load(&t.not_a_weight))
        return hb_fail(err, HEARTH_E_NUMERIC, "%s: an element is NaN or beyond %g; weights up to that are accepted",
                       from->name, (double)HQ_MOST_WEIGHT);
    return HEARTH_OK;
}

static hearth_status rewrite_data(const struct hq_rewrite *r, const struct hq_tensor *tensors, uint8_t *room,
                                  struct rewrite_out *o, struct hq_result *result, hearth_error *err)
{
    struct hk_table kernels;
    uint64_t align = rewrite_alignment(r->file), done = 0;
    hk_select(&kernels, hb_os_cpu_features(), HK_LEVEL_COUNT);
    for (size_t i = 0; i < r->file->n_tensors; i++) {
        const struct hq_tensor *t = &tensors[i];
        double square = result->square, error = result->square_error;
        const void *data = t->from->data;
        if (t->type != t->from->type) {
            HB_TRY(rewrite_encode(r, &kernels, t, room, result, err));
            data = room;
        }
        rewrite_put(o, data, (size_t)t->bytes);
        rewrite_pad(o, align);
        uint64_t elements = rewrite_bytes(HK_F32, t->from) / sizeof(float);
        done += elements;
        struct hq_progress p = {t, i, r->file->n_tensors, (result->square - square) / (double)elements,
                                (result->square_error - error) / (double)elements, done, result->elements};
        if (r->progress)
            r->progress(r->user, &p);
        if (o->failed)
            return hb_fail(err, HEARTH_E_IO, "%s: could not be written", t->from->name);
    }
    return HEARTH_OK;
}

hearth_status hq_write(const struct hq_rewrite *r, const struct hq_tensor *tensors, FILE *to, struct hq_result *result,
                       hearth_error *err)
{
    struct rewrite_out o = {.to = to};
    uint64_t most = 1;
    for (size_t i = 0; i < r->file->n_tensors; i++)
        if (tensors[i].type != tensors[i].from->type && tensors[i].bytes > most)
            most = tensors[i].bytes;
    uint8_t *room = malloc(most);
    if (!room)
        return hb_fail(err, HEARTH_E_MEMORY, "no memory for a tensor of %llu bytes", (unsigned long long)most);
    rewrite_header(r, tensors, &o);
    hearth_status status = rewrite_data(r, tensors, room, &o, result, err);
    free(room);
    result->bytes = o.at;
    if (status == HEARTH_OK && (o.failed || fflush(to) != 0))
        status = hb_fail(err, HEARTH_E_IO, "the header could not be written");
    return status;
}

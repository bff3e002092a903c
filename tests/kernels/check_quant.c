/* Cases and benches for the block formats, the tiles and the int8 activation rows. Whatever a level
 * does, the result has the bits of the scalar `stream`. */
#include "check.h"

#define AS(type, f) ((type *)(f))
#define MAX_N       2048

/* A row length of the type: few blocks, stretches cut short, odd numbers for FLOAT. */
static size_t row_length(struct ck *c)
{
    static const size_t floats[] = {1,  3,  8,  15, 16,  17,  31,  32,
                                    33, 64, 65, 96, 100, 127, 256, 300};
    static const size_t blocks[] = {1, 2, 3, 4, 7, 8, 9, 10, 16, 27};
    switch (c->qtype->family) {
    case HK_FAMILY_FLOAT:
        return floats[ck_below(c, HB_COUNT(floats))];
    case HK_FAMILY_B32:
        return 32 * blocks[ck_below(c, HB_COUNT(blocks))];
    default:
        return 256 * (1 + ck_below(c, 5));
    }
}

static size_t row_bytes(const struct hk_qtype_info *info, size_t n)
{
    return n / info->block_elements * info->block_bytes;
}

/* Random blocks. Unless `raw`, a block whose values are not finite or leave [2^-7, 16] is drawn
 * again, so that no block drowns the others. */
static void make_blocks(struct ck *c, uint8_t *w, size_t bytes, bool raw)
{
    const struct hk_qtype_info *info = c->qtype;
    hk_unpack_fn *unpack = c->ref_table->quant[info - hk_qtype_info].unpack;
    static float y[256];
    for (uint8_t *block = w; block < w + bytes; block += info->block_bytes)
        for (;;) {
            for (size_t i = 0; i < info->block_bytes; i++)
                block[i] = (uint8_t)(ck_rand(c) >> 40);
            unpack(y, block, info->block_elements);
            float largest = 0;
            for (size_t i = 0; i < info->block_elements; i++)
                largest = fabsf(y[i]) <= largest ? largest : fabsf(y[i]);
            if (raw || (largest >= 0x1p-7f && largest <= 16.0f))
                break;
        }
}

static uint8_t *weights(struct ck *c, size_t n_rows, size_t n, bool raw)
{
    size_t bytes = n_rows * row_bytes(c->qtype, n);
    uint8_t *w = ck_buffer(c, bytes, 1);
    make_blocks(c, w, bytes, raw);
    return w;
}

static size_t x_bytes(const struct ck *c, size_t n)
{
    return c->qtype->family == HK_FAMILY_FLOAT ? n * 4 : hk_act_row_bytes(n, hk_act_stretch(c->qtype));
}

/* n_cols columns in the form the type multiplies with, x_stride apart. */
static uint8_t *columns(struct ck *c, size_t n_cols, size_t n, size_t stride, enum ck_data data)
{
    static float row[MAX_N];
    bool is_float = c->qtype->family == HK_FAMILY_FLOAT;
    uint8_t *x = ck_buffer(c, (n_cols - 1) * stride + x_bytes(c, n), is_float ? 4 : 64);
    for (size_t i = 0; i < n_cols; i++) {
        ck_fill(c, row, n, data);
        if (is_float)
            memcpy(x + i * stride, row, n * 4);
        else
            c->ref_table->act_quantize(x + i * stride, row, n, hk_act_stretch(c->qtype));
    }
    return x;
}

static hk_stream_fn *scalar_stream(const struct ck *c)
{
    return c->ref_table->quant[c->qtype - hk_qtype_info].stream;
}

static enum ck_data some_data(int k)
{
    static const enum ck_data kinds[] = {CK_RANDOM, CK_RANDOM,    CK_ALTERNATING, CK_RANDOM,
                                         CK_ZEROS,  CK_DENORMALS, CK_LARGEST,     CK_SPECIAL};
    return kinds[k % 8];
}

static void announce(struct ck *c, int k, size_t n, size_t n_rows, size_t n_cols)
{
    c->place = k & 1;
    ck_case(c, "case %d: n=%zu, %zu rows, %zu columns, %s data", k, n, n_rows, n_cols,
            ck_data_name(some_data(k / 2)));
}

/* ---- unpack ---- */

static void check_unpack(struct ck *c)
{
    for (int k = 0; k < 80; k++) {
        size_t n = row_length(c);
        announce(c, k, n, 1, 0);
        uint8_t *w = weights(c, 1, n, k % 4 == 0);
        float *a = ck_buffer(c, n * 4, 4), *b = ck_buffer(c, n * 4, 4);
        AS(hk_unpack_fn, c->ref)(a, w, n);
        AS(hk_unpack_fn, c->fn)(b, w, n);
        ck_same_floats(c, "y", a, b, n, NULL);
        ck_guards(c);
    }
}

#define BENCH_N    2048
#define BENCH_ROWS 256

static void bench_unpack(struct ck *c)
{
    c->place = 0;
    ck_case(c, "bench");
    uint8_t *w = weights(c, 1, BENCH_N, false);
    float *y = ck_buffer(c, BENCH_N * 4, 64);
    CK_BENCH(c, "n=2048", (double)row_bytes(c->qtype, BENCH_N), BENCH_N,
             AS(hk_unpack_fn, c->fn)(y, w, BENCH_N));
}

const struct ck_type ck_hk_unpack_fn = {check_unpack, bench_unpack};

/* ---- stream, few ---- */

/* Float rows whose products all underflow to -0: chains that a tail does not reach stay -0, and so
 * does their sum. */
static void check_minus_zero(struct ck *c)
{
    static const uint32_t tiny = 0xB3800000u; /* -2^-24 */
    enum { ROWS = 5, N = 17 };
    size_t size = c->qtype->block_bytes;
    c->place = 0;
    ck_case(c, "n=%d, products that underflow to -0", N);
    uint8_t *w = ck_buffer(c, ROWS * N * size, 1);
    float *x = ck_buffer(c, N * 4, 4), *a = ck_buffer(c, ROWS * 4, 4), *b = ck_buffer(c, ROWS * 4, 4);
    for (size_t i = 0; i < ROWS * N; i++) {
        uint16_t half = c->qtype == &hk_qtype_info[HK_F16] ? 0x8001 : (uint16_t)(tiny >> 16);
        memcpy(w + i * size, size == 4 ? (const void *)&tiny : &half, size);
    }
    for (size_t i = 0; i < N; i++)
        x[i] = 0x1p-140f;
    AS(hk_stream_fn, c->ref)(a, w, N * size, ROWS, x, N);
    AS(hk_stream_fn, c->fn)(b, w, N * size, ROWS, x, N);
    ck_same_floats(c, "y", a, b, ROWS, NULL);
}

static void check_stream(struct ck *c)
{
    if (c->qtype->family == HK_FAMILY_FLOAT)
        check_minus_zero(c);
    static const size_t rows[] = {1, 2, 3, 4, 5, 7, 8, 9, 16, 17};
    for (int k = 0; k < 120; k++) {
        size_t n = row_length(c), n_rows = rows[ck_below(c, HB_COUNT(rows))];
        announce(c, k, n, n_rows, 1);
        uint8_t *w = weights(c, n_rows, n, k % 16 == 5);
        const void *x = columns(c, 1, n, 0, some_data(k / 2));
        float *a = ck_buffer(c, n_rows * 4, 4), *b = ck_buffer(c, n_rows * 4, 4);
        AS(hk_stream_fn, c->ref)(a, w, row_bytes(c->qtype, n), n_rows, x, n);
        AS(hk_stream_fn, c->fn)(b, w, row_bytes(c->qtype, n), n_rows, x, n);
        ck_same_floats(c, "y", a, b, n_rows, NULL);
        ck_guards(c);
    }
}

/* 16384 rows from memory, then 64 rows from cache. */
static void bench_stream(struct ck *c)
{
    const size_t stored = row_bytes(c->qtype, BENCH_N), many = 16384;
    c->place = 0;
    ck_case(c, "bench");
    const void *x = columns(c, 1, BENCH_N, 0, CK_RANDOM);
    uint8_t *w = aligned_alloc(4096, stored * many), *first = weights(c, 64, BENCH_N, false);
    float *y = malloc(many * sizeof *y);
    for (size_t i = 0; i < many; i += 64)
        memcpy(w + i * stored, first, 64 * stored);
    CK_BENCH(c, "n=2048, rows from memory", (double)(stored * many), 2.0 * BENCH_N * (double)many,
             AS(hk_stream_fn, c->fn)(y, w, stored, many, x, BENCH_N));
    CK_BENCH(c, "n=2048, 64 rows from cache", (double)(stored * 64), 2.0 * BENCH_N * 64,
             AS(hk_stream_fn, c->fn)(y, first, stored, 64, x, BENCH_N));
    free(w);
    free(y);
}

/* Columns against the scalar stream, one by one. The rest of y must stay as it was. */
static void expect_columns(struct ck *c, const float *y, size_t ldy, const uint8_t *w,
                           size_t n_rows, const uint8_t *x, size_t stride, size_t n_cols, size_t n)
{
    size_t count = (n_cols - 1) * ldy + n_rows;
    float *a = ck_buffer(c, count * 4, 4);
    for (size_t i = 0; i < n_cols; i++)
        scalar_stream(c)(a + i * ldy, w, row_bytes(c->qtype, n), n_rows, x + i * stride, n);
    ck_same_floats(c, "y", a, y, count, NULL);
}

static void check_few(struct ck *c)
{
    for (int k = 0; k < 80; k++) {
        size_t n = row_length(c), n_rows = 1 + ck_below(c, 18), n_cols = 1 + ck_below(c, 16);
        size_t stride = x_bytes(c, n) + 64 * ck_below(c, 2), ldy = n_rows + ck_below(c, 3);
        announce(c, k, n, n_rows, n_cols);
        uint8_t *w = weights(c, n_rows, n, k % 16 == 5);
        uint8_t *x = columns(c, n_cols, n, stride, some_data(k / 2));
        float *y = ck_buffer(c, ((n_cols - 1) * ldy + n_rows) * 4, 4);
        AS(hk_few_fn, c->fn)(y, ldy, w, row_bytes(c->qtype, n), n_rows, x, stride, n_cols, n);
        expect_columns(c, y, ldy, w, n_rows, x, stride, n_cols, n);
        ck_guards(c);
    }
}

static void bench_few(struct ck *c)
{
    static const size_t counts[] = {2, 4, 8, 16};
    const size_t stored = row_bytes(c->qtype, BENCH_N), many = 8192;
    c->place = 0;
    ck_case(c, "bench");
    size_t stride = x_bytes(c, BENCH_N);
    const void *x = columns(c, 16, BENCH_N, stride, CK_RANDOM);
    uint8_t *w = aligned_alloc(4096, stored * many), *first = weights(c, 64, BENCH_N, false);
    float *y = malloc(many * 16 * sizeof *y);
    for (size_t i = 0; i < many; i += 64)
        memcpy(w + i * stored, first, 64 * stored);
    for (size_t i = 0; i < HB_COUNT(counts); i++) {
        char shape[64];
        snprintf(shape, sizeof shape, "n=2048, %zu columns", counts[i]);
        CK_BENCH(c, shape, (double)(stored * many),
                 2.0 * BENCH_N * (double)many * (double)counts[i],
                 AS(hk_few_fn, c->fn)(y, many, w, stored, many, x, stride, counts[i], BENCH_N));
    }
    free(w);
    free(y);
}

const struct ck_type ck_hk_stream_fn = {check_stream, bench_stream};
const struct ck_type ck_hk_few_fn = {check_few, bench_few};

/* ---- pack, tile ---- */

static hk_tile_fn *scalar_tile(const struct ck *c)
{
    switch (c->qtype->family) {
    case HK_FAMILY_FLOAT:
        return c->ref_table->tile_float;
    case HK_FAMILY_B32:
        return c->ref_table->tile_b32;
    case HK_FAMILY_K32:
        return c->ref_table->tile_k32;
    default:
        return c->ref_table->tile_k16;
    }
}

/* The packed bytes are one layout for all levels, and multiply to the bits of `stream`. */
static void check_pack(struct ck *c)
{
    for (int k = 0; k < 60; k++) {
        size_t n = row_length(c), n_rows = k & 2 ? 16 : 1 + ck_below(c, 16);
        size_t bytes = hk_tile_layout(c->qtype, n).bytes;
        announce(c, k, n, n_rows, 1);
        uint8_t *w = weights(c, n_rows, n, false), *x = columns(c, 1, n, 0, some_data(k / 2));
        uint8_t *a = ck_buffer(c, bytes, 64), *b = ck_buffer(c, bytes, 64);
        AS(hk_pack_fn, c->ref)(a, w, row_bytes(c->qtype, n), n_rows, n);
        AS(hk_pack_fn, c->fn)(b, w, row_bytes(c->qtype, n), n_rows, n);
        ck_same_bytes(c, "tile", a, b, bytes);
        float *y = ck_buffer(c, n_rows * 4, 4);
        scalar_tile(c)(y, n_rows, n_rows, b, x, 0, 1, n, c->qtype);
        expect_columns(c, y, n_rows, w, n_rows, x, 0, 1, n);
        ck_guards(c);
    }
}

static void bench_pack(struct ck *c)
{
    c->place = 0;
    ck_case(c, "bench");
    uint8_t *w = weights(c, 16, BENCH_N, false);
    void *tile = ck_buffer(c, hk_tile_layout(c->qtype, BENCH_N).bytes, 64);
    CK_BENCH(c, "16 rows, n=2048", 16.0 * (double)row_bytes(c->qtype, BENCH_N), 16.0 * BENCH_N,
             AS(hk_pack_fn, c->fn)(tile, w, row_bytes(c->qtype, BENCH_N), 16, BENCH_N));
}

const struct ck_type ck_hk_pack_fn = {check_pack, bench_pack};

static void check_tile_of_type(struct ck *c)
{
    static const size_t cols[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 16, 17, 24, 31, 33};
    hk_pack_fn *pack = c->ref_table->quant[c->qtype - hk_qtype_info].pack;
    for (int k = 0; k < 50; k++) {
        size_t n = row_length(c), n_rows = k & 2 ? 16 : 1 + ck_below(c, 16);
        size_t n_cols = cols[ck_below(c, HB_COUNT(cols))], ldy = n_rows + ck_below(c, 3);
        size_t stride = x_bytes(c, n) + 64 * ck_below(c, 2);
        announce(c, k, n, n_rows, n_cols);
        uint8_t *w = weights(c, n_rows, n, k % 16 == 5);
        uint8_t *x = columns(c, n_cols, n, stride, some_data(k / 2));
        uint8_t *tile = ck_buffer(c, hk_tile_layout(c->qtype, n).bytes, 64);
        float *y = ck_buffer(c, ((n_cols - 1) * ldy + n_rows) * 4, 4);
        pack(tile, w, row_bytes(c->qtype, n), n_rows, n);
        AS(hk_tile_fn, c->fn)(y, ldy, n_rows, tile, x, stride, n_cols, n, c->qtype);
        expect_columns(c, y, ldy, w, n_rows, x, stride, n_cols, n);
        ck_guards(c);
    }
}

static void bench_tile_of_type(struct ck *c)
{
    static const size_t counts[] = {8, 32, 128};
    c->place = 0;
    ck_case(c, "bench");
    size_t stride = x_bytes(c, BENCH_N);
    uint8_t *w = weights(c, 16, BENCH_N, false), *x = columns(c, 128, BENCH_N, stride, CK_RANDOM);
    void *tile = ck_buffer(c, hk_tile_layout(c->qtype, BENCH_N).bytes, 64);
    float *y = ck_buffer(c, 128 * 16 * 4, 64);
    c->ref_table->quant[c->qtype - hk_qtype_info].pack(tile, w, row_bytes(c->qtype, BENCH_N), 16,
                                                       BENCH_N);
    for (size_t i = 0; i < HB_COUNT(counts); i++) {
        char shape[64];
        snprintf(shape, sizeof shape, "%s, n=2048, %zu columns", c->qtype->name, counts[i]);
        CK_BENCH(c, shape, 16.0 * (double)row_bytes(c->qtype, BENCH_N),
                 2.0 * 16 * BENCH_N * (double)counts[i],
                 AS(hk_tile_fn, c->fn)(y, 16, 16, tile, x, stride, counts[i], BENCH_N, c->qtype));
    }
}

/* The tile kernel of a family meets every type of the family. */
static void each_type_of_family(struct ck *c, void (*run)(struct ck *), bool one)
{
    int family = c->ref == (ck_fn *)c->ref_table->tile_float ? HK_FAMILY_FLOAT
                 : c->ref == (ck_fn *)c->ref_table->tile_b32 ? HK_FAMILY_B32
                 : c->ref == (ck_fn *)c->ref_table->tile_k32 ? HK_FAMILY_K32
                                                             : HK_FAMILY_K16;
    bool with_min[2] = {false, false};
    for (int i = 0; i < HK_QTYPE_COUNT; i++)
        if (hk_qtype_info[i].family == family && !(one && with_min[hk_qtype_info[i].has_min])) {
            with_min[hk_qtype_info[i].has_min] = true;
            c->qtype = &hk_qtype_info[i];
            run(c);
        }
    c->qtype = NULL;
}

static void check_tile(struct ck *c)
{
    each_type_of_family(c, check_tile_of_type, false);
}

static void bench_tile(struct ck *c)
{
    each_type_of_family(c, bench_tile_of_type, true);
}

const struct ck_type ck_hk_tile_fn = {check_tile, bench_tile};

/* ---- activation rows ---- */

static void check_act_quantize(struct ck *c)
{
    for (int k = 0; k < 14 * CK_DATA_COUNT; k++) {
        static const size_t blocks[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 28, 30, 32, 33};
        enum ck_data data = (enum ck_data)(k % CK_DATA_COUNT);
        size_t n = 32 * blocks[k / CK_DATA_COUNT];
        size_t stretch = n % HK_STRETCH == 0 && k / CK_DATA_COUNT % 2 ? HK_STRETCH : HK_STRETCH_B32;
        c->place = k & 1;
        ck_case(c, "n=%zu, stretch=%zu, %s data", n, stretch, ck_data_name(data));
        float *x = ck_floats(c, n, data);
        if (data == CK_RANDOM) /* ties: multiples of half a step */
            for (size_t i = 0; i < n; i++)
                x[i] = i % stretch == 3 ? 127.0f : rintf(x[i] * 250) * 0.5f;
        uint8_t *a = ck_buffer(c, hk_act_row_bytes(n, stretch), 64),
                *b = ck_buffer(c, hk_act_row_bytes(n, stretch), 64);
        AS(hk_act_quantize_fn, c->ref)(a, x, n, stretch);
        AS(hk_act_quantize_fn, c->fn)(b, x, n, stretch);
        ck_same_bytes(c, "q", a, b, n);
        ck_same_floats(c, "scale", (const float *)(a + hk_act_scale_off(n)),
                       (const float *)(b + hk_act_scale_off(n)), n / stretch, NULL);
        ck_same_bytes(c, "sum", a + hk_act_sum_off(n, stretch), b + hk_act_sum_off(n, stretch),
                      n / 16 * 2);
        ck_guards(c);
    }
    c->place = 0;
}

static void bench_act_quantize(struct ck *c)
{
    float *x = ck_floats(c, BENCH_N, CK_RANDOM);
    void *row = ck_buffer(c, hk_act_row_bytes(BENCH_N, HK_STRETCH_B32), 64);
    CK_BENCH(c, "n=2048, stretch=32", BENCH_N * 5.0, BENCH_N,
             AS(hk_act_quantize_fn, c->fn)(row, x, BENCH_N, HK_STRETCH_B32));
}

const struct ck_type ck_hk_act_quantize_fn = {check_act_quantize, bench_act_quantize};

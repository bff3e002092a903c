/* Block formats at every level of this machine: unpacking against an independent decoder, stream
 * against double precision, stream = few = pack + tile bit for bit, the edges of act_quantize, and
 * the largest products that the formats can make. */
#include "test_support.h"
#include "base/os/hb_os.h"
#include "kernels/kernels.h"
#include <math.h>

#define MAX_N         960
#define MAX_ROWS      40
#define MAX_COLS      37 /* more than a panel of any level */
#define MAX_ROW_BYTES (MAX_N / 32 * 34 + 64)

static struct hk_table tables[HK_LEVEL_COUNT];
static size_t n_tables;

static int levels_setup(void **state)
{
    (void)state;
    uint32_t features = hb_os_cpu_features();
    for (int level = 0; level < HK_LEVEL_COUNT; level++)
        if (hk_level_runs((enum hk_level)level, features))
            hk_select(&tables[n_tables++], features, (enum hk_level)level);
    return 0;
}

static bool is_block_type(size_t type)
{
    int family = hk_qtype_info[type].family;
    return family == HK_FAMILY_B32 || family == HK_FAMILY_K32 || family == HK_FAMILY_K16;
}

static uint32_t bits_of(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static void assert_same_float(float got, float want, const char *what, const char *level, size_t i)
{
    if (isnan(want) ? !isnan(got) : bits_of(got) != bits_of(want))
        fail_msg("%s at %s, element %zu: %.9g, expected %.9g", what, level, i, (double)got,
                 (double)want);
}

/* ---- unpack ---- */

static uint8_t *file_bytes(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    uint8_t *bytes = malloc(*size);
    assert_int_equal(fread(bytes, 1, *size, f), *size);
    fclose(f);
    return bytes;
}

static void unpacked_blocks_are_those_of_an_independent_decoder(void **state)
{
    (void)state;
    size_t size, seen = 0;
    uint8_t *bytes = file_bytes(HEARTH_SOURCE_DIR "/fixtures/quant/blocks.bin", &size);
    for (size_t at = 0; at < size; seen++) {
        uint32_t head[3]; /* type, elements, bytes */
        memcpy(head, bytes + at, sizeof head);
        enum hk_qtype type = hk_qtype_from_gguf(head[0]);
        assert_true(type < HK_QTYPE_COUNT);
        const uint8_t *blocks = bytes + at + sizeof head;
        float *got = malloc(head[1] * sizeof(float));
        for (size_t t = 0; t < n_tables; t++) {
            tables[t].quant[type].unpack(got, blocks, head[1]);
            for (size_t i = 0; i < head[1]; i++) {
                float want;
                memcpy(&want, blocks + head[2] + i * sizeof want, sizeof want);
                assert_same_float(got[i], want, hk_qtype_info[type].name, tables[t].level, i);
            }
        }
        free(got);
        at += sizeof head + head[2] + head[1] * sizeof(float);
    }
    free(bytes);
    assert_int_equal(seen, 13);
}

/* ---- matmul ---- */

/* Where the half-precision fields of a block are, -1: none; MXFP4 has an exponent byte instead. */
static const struct {
    int type, at[2];
} half_fields[] = {
    {HK_Q4_0, {0, -1}},   {HK_Q4_1, {0, 2}},    {HK_Q5_0, {0, -1}},   {HK_Q5_1, {0, 2}},
    {HK_Q8_0, {0, -1}},   {HK_IQ4_NL, {0, -1}}, {HK_MXFP4, {-1, -1}}, {HK_Q2_K, {80, 82}},
    {HK_Q3_K, {108, -1}}, {HK_Q4_K, {0, 2}},    {HK_Q5_K, {0, 2}},    {HK_Q6_K, {208, -1}},
    {HK_IQ4_XS, {0, -1}},
};

static void make_blocks(uint8_t *w, size_t bytes, size_t type, uint64_t *seed)
{
    const struct hk_qtype_info *info = &hk_qtype_info[type];
    for (size_t i = 0; i < bytes; i++)
        w[i] = (uint8_t)test_rand(seed);
    for (size_t b = 0; b < bytes; b += info->block_bytes) {
        if (type == HK_MXFP4)
            w[b] = (uint8_t)(118 + w[b] % 8);
        for (size_t f = 0; f < HB_COUNT(half_fields); f++)
            for (int i = 0; i < 2; i++)
                if (half_fields[f].type == (int)type && half_fields[f].at[i] >= 0) {
                    uint8_t *high = w + b + half_fields[f].at[i] + 1;
                    *high =
                        (uint8_t)((*high & 0x83) | 0x20 | (test_rand(seed) & 8)); /* 2^-7, 2^-5 */
                }
    }
}

static hk_tile_fn *tile_of(const struct hk_table *t, int family)
{
    return family == HK_FAMILY_B32   ? t->tile_b32
           : family == HK_FAMILY_K32 ? t->tile_k32
                                     : t->tile_k16;
}

struct matmul {
    size_t type, n, row_bytes, stretch, x_stride;
    const struct hk_qtype_info *info;
    uint8_t *w;    /* MAX_ROWS rows at an odd address */
    uint8_t *x;    /* MAX_COLS activation rows */
    float *y, *yt; /* [MAX_COLS][MAX_ROWS] */
    uint8_t *tile;
};

static void *aligned(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
    assert_non_null(p);
    memset(p, 0, (bytes + 63) & ~(size_t)63);
    return p;
}

static void matmul_make(struct matmul *m, size_t type, size_t n, uint64_t *seed)
{
    m->type = type;
    m->n = n;
    m->info = &hk_qtype_info[type];
    m->row_bytes = n / m->info->block_elements * m->info->block_bytes;
    m->stretch = hk_act_stretch(m->info);
    m->x_stride = hk_act_row_bytes(n, m->stretch);
    m->w = (uint8_t *)malloc(MAX_ROWS * m->row_bytes + 1) + 1;
    make_blocks(m->w, MAX_ROWS * m->row_bytes, type, seed);
    m->x = aligned(MAX_COLS * m->x_stride);
    float *x = malloc(n * sizeof(float));
    for (size_t c = 0; c < MAX_COLS; c++) {
        for (size_t i = 0; i < n; i++)
            x[i] = test_rand_float(seed) * (1 + (float)(i / m->stretch));
        tables[0].act_quantize(m->x + c * m->x_stride, x, n, m->stretch);
    }
    free(x);
    m->y = malloc(MAX_ROWS * MAX_COLS * sizeof(float));
    m->yt = malloc(MAX_ROWS * MAX_COLS * sizeof(float));
    m->tile = aligned(HK_TILE_GROUP * hk_tile_layout(m->info, n).bytes);
}

static void matmul_free(struct matmul *m)
{
    free(m->w - 1);
    free(m->x);
    free(m->y);
    free(m->yt);
    free(m->tile);
}

static size_t length_at(size_t type, size_t i) /* 0: no more */
{
    static const size_t b32[] = {32, 64, 256, 288, 896, 960, 0}, k[] = {256, 512, 768, 0};
    return hk_qtype_info[type].family == HK_FAMILY_B32 ? b32[i] : k[i];
}

static void stream_is_near_the_exact_sum(void **state)
{
    (void)state;
    uint64_t seed = 11;
    for (size_t type = 0; type < HK_QTYPE_COUNT; type++) {
        for (size_t i = 0; is_block_type(type) && length_at(type, i); i++) {
            struct matmul m;
            size_t n = length_at(type, i);
            matmul_make(&m, type, n, &seed);
            float *w = malloc(n * sizeof(float));
            const float *scale = (const float *)(m.x + hk_act_scale_off(n));
            tables[0].quant[type].stream(m.y, m.w, m.row_bytes, MAX_ROWS, m.x, n);
            for (size_t r = 0; r < MAX_ROWS; r++) {
                double sum = 0, size = 0;
                tables[0].quant[type].unpack(w, m.w + r * m.row_bytes, n);
                for (size_t k = 0; k < n; k++) {
                    double term =
                        (double)w[k] * (double)scale[k / m.stretch] * (double)((int8_t *)m.x)[k];
                    sum += term;
                    size += fabs(term);
                }
                /* d * u + m is computed as two terms, which may be larger than their sum */
                double bound = (m.info->has_min ? 0x1p-16 : 0x1p-20) * size + 1e-30;
                if (!(fabs((double)m.y[r] - sum) <= bound))
                    fail_msg("%s, n %zu, row %zu: %.9g, exactly %.9g, bound %g", m.info->name, n, r,
                             (double)m.y[r], sum, bound);
            }
            free(w);
            matmul_free(&m);
        }
    }
}

/* Everything a level has for m, against the scalar stream. */
static void check_level(const struct hk_table *t, struct matmul *m, size_t n_rows, size_t n_cols)
{
    const struct hk_quant *q = &t->quant[m->type], *spec = &tables[0].quant[m->type];
    for (size_t c = 0; c < n_cols; c++) {
        float got[MAX_ROWS];
        spec->stream(m->y + c * MAX_ROWS, m->w, m->row_bytes, n_rows, m->x + c * m->x_stride, m->n);
        q->stream(got, m->w, m->row_bytes, n_rows, m->x + c * m->x_stride, m->n);
        for (size_t r = 0; r < n_rows; r++)
            assert_same_float(got[r], m->y[c * MAX_ROWS + r], m->info->name, t->level, r);
    }
    const size_t group = HK_TILE_GROUP * HK_TILE_ROWS, bytes = hk_tile_layout(m->info, m->n).bytes;
    for (size_t r0 = 0; r0 < n_rows; r0 += group) {
        size_t rows = n_rows - r0 < group ? n_rows - r0 : group;
        for (size_t r = 0; r < rows; r += HK_TILE_ROWS)
            q->pack(m->tile + r / HK_TILE_ROWS * bytes, m->w + (r0 + r) * m->row_bytes, m->row_bytes,
                    rows - r < HK_TILE_ROWS ? rows - r : HK_TILE_ROWS, m->n);
        tile_of(t, m->info->family)(m->yt + r0, MAX_ROWS, rows, m->tile, m->x, m->x_stride, n_cols,
                                    m->n, m->info);
    }
    for (int few = 0; few < 2; few++) {
        for (size_t c = 0; c < n_cols; c++)
            for (size_t r = 0; r < n_rows; r++)
                assert_same_float(m->yt[c * MAX_ROWS + r], m->y[c * MAX_ROWS + r], m->info->name,
                                  t->level, r);
        if (!q->few || n_cols > 16)
            break;
        memset(m->yt, 0x55, MAX_COLS * MAX_ROWS * sizeof(float));
        q->few(m->yt, MAX_ROWS, m->w, m->row_bytes, n_rows, m->x, m->x_stride, n_cols, m->n);
    }
}

static void stream_few_and_tile_are_one_result(void **state)
{
    (void)state;
    uint64_t seed = 12;
    for (size_t type = 0; type < HK_QTYPE_COUNT; type++) {
        for (size_t i = 0; is_block_type(type) && length_at(type, i); i++) {
            struct matmul m;
            matmul_make(&m, type, length_at(type, i), &seed);
            for (size_t t = 0; t < n_tables; t++) {
                for (size_t rows = 1; rows <= MAX_ROWS; rows++)
                    check_level(&tables[t], &m, rows, 1 + rows % 3);
                for (size_t cols = 1; cols <= MAX_COLS; cols++)
                    check_level(&tables[t], &m, cols % 2 ? 16 : 17, cols);
            }
            matmul_free(&m);
        }
    }
}

/* Codes of all ones and all zeros times activations of +-127: sums of 16-bit pairs saturate here. */
static void the_largest_products_are_exact(void **state)
{
    (void)state;
    static const uint8_t patterns[] = {0x00, 0xFF, 0x80, 0x7F, 0x88, 0x81};
    uint64_t seed = 13;
    for (size_t type = 0; type < HK_QTYPE_COUNT; type++) {
        if (!is_block_type(type))
            continue;
        struct matmul m;
        matmul_make(&m, type, 768, &seed);
        for (size_t p = 0; p < HB_COUNT(patterns); p++) {
            size_t block = m.info->block_bytes;
            for (size_t b = 0; b < MAX_ROWS * m.row_bytes; b += block)
                memset(m.w + b, patterns[p], block);
            for (size_t b = 0; b < MAX_ROWS * m.row_bytes; b += block)
                for (size_t f = 0; f < HB_COUNT(half_fields); f++)
                    for (int i = 0; i < 2; i++)
                        if (half_fields[f].type == (int)type && half_fields[f].at[i] >= 0)
                            memcpy(m.w + b + half_fields[f].at[i], "\x00\x3C", 2); /* 1.0 */
            for (size_t c = 0; c < MAX_COLS; c++) {
                float x[768];
                for (size_t k = 0; k < 768; k++)
                    x[k] = c % 3 == 0 ? 1.0f : c % 3 == 1 ? -1.0f : k / (c + 1) % 2 ? 1.0f : -1.0f;
                tables[0].act_quantize(m.x + c * m.x_stride, x, 768, m.stretch);
            }
            for (size_t t = 0; t < n_tables; t++)
                check_level(&tables[t], &m, 17, MAX_COLS - 4);
        }
        matmul_free(&m);
    }
}

/* ---- activations ---- */

struct act_case {
    const char *name;
    float first, rest; /* x[0] and the other elements of stretch 1; stretch 0 is ordinary */
    float scale;       /* expected, NaN included */
    int q_first, q_rest;
};

static const struct act_case act_cases[] = {
    {"zeros", 0, 0, 0, 0, 0},
    {"minus zeros", -0.0f, -0.0f, 0, 0, 0},
    {"one outlier", -1270, 5, 10, -127, 0}, /* 0.5 goes to even */
    {"ties to even", 127, 1.5f, 1, 127, 2},
    {"tiny", 0x1p-101f, 0x1p-102f, 0, 0, 0},
    {"subnormal", 0x1p-149f, 0, 0, 0, 0},
    {"just large enough", 0x1p-100f, -0x1p-100f, 0x1p-100f / 127, 127, -127},
    {"beyond half precision", 131072, 65536, 131072.0f / 127, 127, 64}, /* 63.5 */
    {"largest", 0x1.fffffep127f, -0x1.fffffep127f, 0x1.fffffep127f / 127, 127, -127},
    {"not a number", NAN, 1, NAN, 0, 0},
    {"infinity", INFINITY, 1, NAN, 0, 0},
    {"minus infinity", -INFINITY, 1, NAN, 0, 0},
};

static void activation_edges_follow_the_contract(void **state)
{
    (void)state;
    static const size_t stretches[2] = {HK_STRETCH_B32, HK_STRETCH};
    size_t n = 512;
    uint8_t *row = aligned(hk_act_row_bytes(n, HK_STRETCH_B32));
    for (size_t t = 0; t < n_tables; t++) {
        for (size_t i = 0; i < HB_COUNT(act_cases); i++) {
            const struct act_case *a = &act_cases[i];
            size_t stretch = stretches[i % 2], first = 256 + (i % 3) * 64 / stretch * stretch;
            float x[512];
            for (size_t k = 0; k < n; k++)
                x[k] = k < first ? (float)k - 128 : a->rest;
            x[first] = a->first;
            tables[t].act_quantize(row, x, n, stretch);
            const int8_t *q = (const int8_t *)row;
            const int16_t *sum = (const int16_t *)(row + hk_act_sum_off(n, stretch));
            assert_same_float(((const float *)(row + hk_act_scale_off(n)))[first / stretch],
                              a->scale, a->name, tables[t].level, i);
            assert_int_equal(q[0], -127);
            assert_int_equal(q[first], a->q_first);
            for (size_t k = first + 1; k < first + stretch; k++)
                assert_int_equal(q[k], a->q_rest);
            for (size_t j = 0; j < n / 16; j++) {
                int want = 0;
                for (size_t k = 0; k < 16; k++)
                    want += q[16 * j + k];
                assert_int_equal(sum[j], want);
            }
        }
    }
    free(row);
}

static void a_bad_activation_stretch_makes_every_output_nan(void **state)
{
    (void)state;
    uint64_t seed = 14;
    for (size_t type = 0; type < HK_QTYPE_COUNT; type++) {
        if (!is_block_type(type))
            continue;
        struct matmul m;
        matmul_make(&m, type, 512, &seed);
        float x[512];
        for (size_t k = 0; k < 512; k++)
            x[k] = k == 300 ? NAN : 1;
        for (size_t t = 0; t < n_tables; t++) {
            tables[t].act_quantize(m.x, x, 512, m.stretch);
            tables[t].quant[type].stream(m.y, m.w, m.row_bytes, 20, m.x, 512);
            for (size_t r = 0; r < 20; r++)
                assert_true(isnan(m.y[r]));
        }
        matmul_free(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unpacked_blocks_are_those_of_an_independent_decoder),
        cmocka_unit_test(stream_is_near_the_exact_sum),
        cmocka_unit_test(stream_few_and_tile_are_one_result),
        cmocka_unit_test(the_largest_products_are_exact),
        cmocka_unit_test(activation_edges_follow_the_contract),
        cmocka_unit_test(a_bad_activation_stretch_makes_every_output_nan),
    };
    return cmocka_run_group_tests(tests, levels_setup, NULL);
}

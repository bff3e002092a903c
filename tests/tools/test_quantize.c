/* Encoders, mixes and importance matrices of hearth quantize. */
#include "gguf/gguf_writer.h"
#include "tools/quantize/encode.h"
#include "tools/quantize/imatrix.h"
#include "tools/quantize/mix.h"
#include <math.h>

#define N 2048

static const struct {
    enum hk_qtype type;
    double most; /* relative rms error of normal weights */
} encoders[] = {
    {HK_F32, 0},       {HK_F16, 0.0003},  {HK_BF16, 0.003},  {HK_Q8_0, 0.006},  {HK_Q4_0, 0.09},
    {HK_Q4_1, 0.08},   {HK_Q5_0, 0.045},  {HK_Q5_1, 0.04},   {HK_IQ4_NL, 0.08}, {HK_Q2_K, 0.31},
    {HK_Q3_K, 0.16},   {HK_Q4_K, 0.08},   {HK_Q5_K, 0.04},   {HK_Q6_K, 0.02},   {HK_IQ4_XS, 0.085},
};

static struct hk_table kernels;

static double rms(const float *x, const float *y, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)x[i] - (y ? y[i] : 0)) * ((double)x[i] - (y ? y[i] : 0));
    return sqrt(sum / (double)n);
}

static void through(enum hk_qtype type, const float *x, const float *importance, float *y)
{
    static uint8_t blocks[N * 4];
    memset(blocks, 0xEE, sizeof blocks);
    hq_encoder(type)(blocks, x, importance, N);
    kernels.quant[type].unpack(y, blocks, N);
}

/* Near enough to the normal distribution. */
static void normal(float *x, uint64_t seed, float scale)
{
    for (size_t i = 0; i < N; i++) {
        x[i] = 0;
        for (int k = 0; k < 12; k++)
            x[i] += 0.5f * scale * test_rand_float(&seed);
    }
}

static void weights_come_back_within_the_types_error(void **state)
{
    static float x[N], y[N];
    for (size_t e = 0; e < HB_COUNT(encoders); e++)
        for (uint64_t seed = 1; seed < 4; seed++) {
            normal(x, seed, 0.02f);
            through(encoders[e].type, x, NULL, y);
            double error = rms(x, y, N) / rms(x, NULL, N);
            if (error > encoders[e].most)
                fail_msg("%s: error %.4f, at most %.4f", hk_qtype_info[encoders[e].type].name, error, encoders[e].most);
            if (encoders[e].most > 0.01 && error < encoders[e].most / 3) /* the bound is no decoration */
                fail_msg("%s: error %.4f is too good for %.4f", hk_qtype_info[encoders[e].type].name, error,
                         encoders[e].most);
        }
}

/* What blocks hold exactly is found again but for the rounding of a least-squares scale. */
static void what_blocks_hold_is_found_again(void **state)
{
    static float x[N], y[N], z[N];
    for (size_t e = 0; e < HB_COUNT(encoders); e++) {
        normal(x, 7, 1);
        through(encoders[e].type, x, NULL, y);
        through(encoders[e].type, y, NULL, z);
        double error = rms(y, z, N) / rms(y, NULL, N);
        double most = encoders[e].type == HK_Q2_K ? 0.12 : 0.02; /* 2 bits: many scales fit as well */
        if (error > most)
            fail_msg("%s: %.5f", hk_qtype_info[encoders[e].type].name, error);
    }
}

/* The largest element on the end of the range, everything rounded: what a format does without a search. */
static double plain_error(const float *x, int hi, bool min)
{
    double sum = 0;
    for (size_t b = 0; b < N; b += 32) {
        float far = 0, low = x[b], high = x[b];
        for (int i = 0; i < 32; i++) {
            far = fabsf(x[b + (size_t)i]) > fabsf(far) ? x[b + (size_t)i] : far;
            low = fminf(low, x[b + (size_t)i]);
            high = fmaxf(high, x[b + (size_t)i]);
        }
        float d = min ? (high - low) / (float)hi : far / (float)(-(hi + 1) / 2);
        for (int i = 0; i < 32; i++) {
            float v = x[b + (size_t)i];
            float q = roundf((min ? v - low : v) / d);
            q = min ? fminf(q, (float)hi) : fmaxf(fminf(q, (float)(hi / 2)), (float)(-(hi + 1) / 2));
            double off = (double)v - (double)(d * q + (min ? low : 0));
            sum += off * off;
        }
    }
    return sqrt(sum / N);
}

static void a_search_beats_plain_rounding(void **state)
{
    static const struct {
        enum hk_qtype type;
        int hi;
        bool min;
    } rows[] = {{HK_Q4_0, 15, false}, {HK_Q5_0, 31, false}, {HK_Q4_1, 15, true}, {HK_Q5_1, 31, true}};
    static float x[N], y[N];
    for (size_t r = 0; r < HB_COUNT(rows); r++) {
        normal(x, 11, 0.1f);
        through(rows[r].type, x, NULL, y);
        assert_true(rms(x, y, N) < 0.97 * plain_error(x, rows[r].hi, rows[r].min));
    }
}

static void what_matters_more_is_closer(void **state)
{
    static float x[N], y[N], z[N], importance[N];
    for (size_t e = 0; e < HB_COUNT(encoders); e++) {
        if (encoders[e].most < 0.01)
            continue; /* these have nothing to choose */
        double with = 0, without = 0;
        normal(x, 13, 0.1f);
        for (size_t i = 0; i < N; i++)
            importance[i] = i % 4 == 0 ? 100.0f : 0.5f;
        through(encoders[e].type, x, NULL, y);
        through(encoders[e].type, x, importance, z);
        for (size_t i = 0; i < N; i++) {
            without += (double)importance[i] * (x[i] - y[i]) * (x[i] - y[i]);
            with += (double)importance[i] * (x[i] - z[i]) * (x[i] - z[i]);
        }
        if (!(with < 0.95 * without))
            fail_msg("%s: %g with, %g without", hk_qtype_info[encoders[e].type].name, with, without);
    }
}

static void hostile_weights_give_finite_blocks(void **state)
{
    static const float kinds[] = {0, 1e-38f, 1e-45f, HQ_MOST_WEIGHT, -HQ_MOST_WEIGHT, 1, -1, 65504, 1e6f};
    static float x[N], y[N];
    for (size_t e = 0; e < HB_COUNT(encoders); e++)
        for (size_t k = 0; k < HB_COUNT(kinds); k++)
            for (int shape = 0; shape < 3; shape++) {
                for (size_t i = 0; i < N; i++) /* all; one in each 32; alternating signs */
                    x[i] = shape == 0 ? kinds[k] : shape == 1 ? (i % 32 == 5 ? kinds[k] : 0) : i % 2 ? kinds[k] : -kinds[k];
                through(encoders[e].type, x, NULL, y);
                for (size_t i = 0; i < N; i++) {
                    bool overflow = encoders[e].type == HK_F16 && fabsf(kinds[k]) > 65504;
                    if (!isfinite(y[i]) && !overflow)
                        fail_msg("%s of %g, shape %d: %g", hk_qtype_info[encoders[e].type].name, (double)kinds[k], shape,
                                 (double)y[i]);
                    assert_true(kinds[k] != 0 || y[i] == 0);
                    if (kinds[k] == 1 && fabsf(y[i] - x[i]) > 0.05f)
                        fail_msg("%s, shape %d: %g", hk_qtype_info[encoders[e].type].name, shape, (double)y[i]);
                }
            }
}

static void a_mix_gives_each_tensor_its_type(void **state)
{
    static const struct {
        const char *mix, *name;
        int rank;
        int64_t row;
        enum hk_qtype type;
    } rows[] = {
        {"q4_k_m", "blk.0.attn_v.weight", 2, 2048, HK_Q6_K},  {"q4_k_m", "blk.5.attn_v.weight", 2, 2048, HK_Q4_K},
        {"Q4_K_M", "blk.6.ffn_down.weight", 2, 2048, HK_Q6_K}, {"q4_k_m", "blk.31.ffn_down.weight", 2, 2048, HK_Q6_K},
        {"q4_k_m", "blk.0.attn_q.weight", 2, 2048, HK_Q4_K},  {"q4_k_m", "blk.0.attn_q.weight", 2, 960, HK_Q5_0},
        {"q4_k_m", "blk.0.attn_v.weight", 2, 960, HK_Q8_0},   {"q4_k_m", "blk.0.attn_q.weight", 2, 72, HK_F16},
        {"q4_k_m", "output.weight", 2, 2048, HK_Q6_K},        {"q4_k_m", "token_embd.weight", 2, 2048, HK_Q4_K},
        {"q4_k_m", "blk.0.attn_qkv.weight", 2, 2048, HK_Q5_K}, {"q4_k_m", "blk.0.attn_norm.weight", 1, 2048, HK_F32},
        {"q4_k_m", "blk.0.attn_q.bias", 1, 2048, HK_F32},     {"q4_k_m", "blk.0.ffn_gate_inp.weight", 2, 2048, HK_F32},
        {"q4_k_m", "blk.0.ffn_down_exps.weight", 3, 2048, HK_Q6_K},
        {"q4_k_s", "blk.3.attn_v.weight", 2, 2048, HK_Q5_K},  {"q4_k_s", "blk.4.attn_v.weight", 2, 2048, HK_Q4_K},
        {"q3_k_m", "blk.1.attn_v.weight", 2, 2048, HK_Q5_K},  {"q3_k_m", "blk.2.attn_v.weight", 2, 2048, HK_Q4_K},
        {"q2_k", "blk.9.attn_output.weight", 2, 2048, HK_Q3_K}, {"q8_0", "output.weight", 2, 2048, HK_Q8_0},
        {"f16", "blk.0.ffn_up.weight", 2, 2048, HK_F16},
    };
    const struct hq_model model = {32, false}, tied = {32, true};
    for (size_t r = 0; r < HB_COUNT(rows); r++) {
        struct hg_tensor t = {.name = rows[r].name, .type = HK_F32, .rank = (uint8_t)rows[r].rank};
        for (int d = 0; d < t.rank; d++)
            t.dim[d] = d + 1 == t.rank ? rows[r].row : 64;
        enum hk_qtype type = hq_mix_type(hq_mix_find(rows[r].mix), &model, &t);
        if (type != rows[r].type)
            fail_msg("%s of %s: %s", rows[r].name, rows[r].mix, hk_qtype_info[type].name);
    }
    struct hg_tensor embedding = {.name = "token_embd.weight", .type = HK_F32, .rank = 2, .dim = {64, 2048}};
    assert_int_equal(hq_mix_type(hq_mix_find("q4_k_m"), &tied, &embedding), HK_Q6_K);
    assert_null(hq_mix_find("q4_k_x"));
}

/* ---- importance matrices */

static void legacy(struct gw *w, uint32_t n, const char *name, uint32_t calls, uint32_t count)
{
    gw_u32(w, n);
    gw_u32(w, (uint32_t)strlen(name));
    gw_bytes(w, name, strlen(name));
    gw_u32(w, calls);
    gw_u32(w, count);
    for (uint32_t i = 0; i < count && i < 8; i++)
        gw_f32(w, 2.0f * (float)i);
}

static hearth_status read_imatrix(const struct gw *w, size_t len, struct hb_arena *arena, struct hq_imatrix *m)
{
    hb_arena_init_growing(arena, hb_os_heap());
    return hq_imatrix_read(w->at, len, arena, m, NULL);
}

static void a_legacy_matrix_is_read(void **state)
{
    struct gw w = {0};
    struct hb_arena arena;
    struct hq_imatrix m;
    const float *mean;
    size_t stride;
    legacy(&w, 1, "blk.0.attn_q.weight", 4, 8);
    assert_int_equal(read_imatrix(&w, w.len, &arena, &m), HEARTH_OK);
    assert_int_equal(hq_imatrix_find(&m, "blk.0.attn_q.weight", 8, 1, &mean, &stride, NULL), HEARTH_OK);
    assert_true(mean[3] == 1.5f && stride == 0);
    assert_int_equal(hq_imatrix_find(&m, "blk.0.attn_q.weight", 4, 2, &mean, &stride, NULL), HEARTH_OK);
    assert_int_equal(stride, 4);
    assert_int_equal(hq_imatrix_find(&m, "blk.0.attn_q.weight", 7, 1, &mean, &stride, NULL), HEARTH_E_MISMATCH);
    assert_int_equal(hq_imatrix_find(&m, "blk.1.attn_q.weight", 8, 1, &mean, &stride, NULL), HEARTH_OK);
    assert_null(mean);
    hb_arena_release(&arena);
    for (size_t len = 0; len < w.len; len++) { /* every truncation */
        assert_int_not_equal(read_imatrix(&w, len, &arena, &m), HEARTH_OK);
        hb_arena_release(&arena);
    }
    gw_free(&w);
}

static void a_hostile_matrix_is_refused(void **state)
{
    static const struct {
        uint32_t n, calls, count;
        const char *name;
    } rows[] = {{0, 1, 8, "a"}, {65537, 1, 8, "a"}, {2, 1, 8, "a"}, {1, 1, 0, "a"}, {1, 1, UINT32_MAX, "a"},
                {1, 1, 1u << 30, "a"}, {1, 1, 8, ""}, {UINT32_MAX, 1, 8, "a"}};
    for (size_t r = 0; r < HB_COUNT(rows); r++) {
        struct gw w = {0};
        struct hb_arena arena;
        struct hq_imatrix m;
        legacy(&w, rows[r].n, rows[r].name, rows[r].calls, rows[r].count);
        if (read_imatrix(&w, w.len, &arena, &m) == HEARTH_OK)
            fail_msg("row %zu is accepted", r);
        hb_arena_release(&arena);
        gw_free(&w);
    }
}

int main(void)
{
    hk_select(&kernels, hb_os_cpu_features(), HK_LEVEL_COUNT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_come_back_within_the_types_error),
        cmocka_unit_test(what_blocks_hold_is_found_again),
        cmocka_unit_test(a_search_beats_plain_rounding),
        cmocka_unit_test(what_matters_more_is_closer),
        cmocka_unit_test(hostile_weights_give_finite_blocks),
        cmocka_unit_test(a_mix_gives_each_tensor_its_type),
        cmocka_unit_test(a_legacy_matrix_is_read),
        cmocka_unit_test(a_hostile_matrix_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Attention through the graph against a two-pass softmax in double precision: grouped heads,
 * windows, soft-caps, huge scores, many lengths; and the same bits for any cut of the work. */
#include "test_support.h"
#include "graph/ht_lm.h"
#include "graph/ht_plan.h"
#include "graph/ht_pool.h"
#include "base/os/hb_os.h"
#include <math.h>

#define MAX_POS 2112

struct attn_case {
    int32_t heads, kv_heads, d, n_pos, window;
    float softcap, size;
    enum hk_kvtype type, type_v;
    bool sinks;
};

struct attn_world {
    struct attn_case c;
    struct hb_arena arena;
    struct hk_table kernels;
    struct ht_graph g;
    struct ht_plan *plan;
    ht_id q, k, v, y;
    uint8_t *block;
    struct ht_kv_layer_view layer;
    struct ht_kv_view kv;
    uint32_t pages[MAX_POS / HK_KV_PAGE];
    int32_t sink, keep; /* window of the sequence; 0: all */
    float *qs, *ks, *vs, *out; /* [n_pos][...] */
    float *sinks;              /* [heads] */
};

static void world_graph(struct attn_world *w, int32_t n_batch, int32_t n_workers)
{
    const struct attn_case *c = &w->c;
    int64_t q[2] = {0, (int64_t)c->heads * c->d}, k[2] = {0, (int64_t)c->kv_heads * c->d};
    const struct ht_attention p = {.n_heads = c->heads, .n_kv_heads = c->kv_heads, .d_k = c->d,
                                   .d_v = c->d, .window = c->window, .softcap = c->softcap};
    const int64_t sym[HT_MAX_SYMBOLS] = {n_batch};
    hb_arena_init_growing(&w->arena, hb_os_heap());
    ht_graph_init(&w->g, &w->arena, NULL);
    ht_graph_symbol(&w->g, "tokens", true, &q[0], NULL);
    k[0] = q[0];
    ht_graph_input(&w->g, "q", HK_F32, 2, q, &w->q, NULL);
    ht_graph_input(&w->g, "k", HK_F32, 2, k, &w->k, NULL);
    ht_graph_input(&w->g, "v", HK_F32, 2, k, &w->v, NULL);
    ht_id sinks = HT_NONE;
    const int64_t heads = c->heads;
    if (c->sinks)
        ht_graph_const(&w->g, "sinks", HK_F32, 1, &heads, w->sinks, &sinks, NULL);
    assert_int_equal(ht_emit_attention(&w->g, &p, w->q, w->k, w->v, sinks, &w->y, NULL), HEARTH_OK);
    ht_graph_output(&w->g, w->y, "y", NULL);
    assert_int_equal(ht_plan_create(&w->g, &w->kernels, sym, n_workers, &w->arena, &w->plan, NULL),
                     HEARTH_OK);
    size_t bytes = w->plan->activation_bytes + w->plan->scratch_bytes * (size_t)n_workers;
    w->block = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
    ht_plan_place(w->plan, w->block, w->block + w->plan->activation_bytes);
}

static void world_cache(struct attn_world *w)
{
    uint32_t n = MAX_POS / HK_KV_PAGE;
    w->layer.v_off = hk_kv_page_bytes(w->c.type, (size_t)w->c.d);
    w->layer.page_stride = w->layer.v_off + hk_kv_page_bytes(w->c.type_v, (size_t)w->c.d);
    w->layer.head_stride = w->layer.page_stride * n;
    w->layer.base = aligned_alloc(64, w->layer.head_stride * (size_t)w->c.kv_heads);
    memset(w->layer.base, 0xFF, w->layer.head_stride * (size_t)w->c.kv_heads); /* NaN everywhere */
    for (uint32_t i = 0; i < n; i++)
        w->pages[i] = (i * 37 + 11) % n; /* scattered, each once: 37 is prime to n */
    w->kv = (struct ht_kv_view){
        .layers = &w->layer, .type_k = (uint8_t)w->c.type, .type_v = (uint8_t)w->c.type_v};
}

static float *world_random(size_t n, float size, uint64_t *seed)
{
    float *p = malloc(n * sizeof *p);
    for (size_t i = 0; i < n; i++)
        p[i] = size * test_rand_float(seed);
    return p;
}

static void world_make(struct attn_world *w, const struct attn_case *c)
{
    uint64_t seed = 42;
    memset(w, 0, sizeof *w);
    w->c = *c;
    hk_select(&w->kernels, hb_os_cpu_features(), HK_LEVEL_COUNT);
    size_t n = (size_t)c->n_pos;
    w->qs = world_random(n * (size_t)(c->heads * c->d), c->size, &seed);
    w->ks = world_random(n * (size_t)(c->kv_heads * c->d), 1, &seed);
    w->vs = world_random(n * (size_t)(c->kv_heads * c->d), 1, &seed);
    w->sinks = world_random((size_t)c->heads, 3, &seed);
    w->out = calloc(n * (size_t)(c->heads * c->d), sizeof(float));
    world_cache(w);
}

static void world_free(struct attn_world *w)
{
    free(w->qs);
    free(w->ks);
    free(w->vs);
    free(w->sinks);
    free(w->out);
    free(w->layer.base);
}

/* All positions through the graph, `chunk` at a time. */
static void world_run(struct attn_world *w, int32_t chunk, int32_t n_threads)
{
    hearth_pool_config config = {.struct_size = sizeof config, .n_threads = n_threads};
    hearth_pool *pool;
    size_t nq = (size_t)(w->c.heads * w->c.d), nk = (size_t)(w->c.kv_heads * w->c.d);
    assert_int_equal(hearth_pool_open(&config, &pool, NULL), HEARTH_OK);
    world_graph(w, chunk, n_threads);
    for (int32_t at = 0; at < w->c.n_pos; at += chunk) {
        int32_t n = w->c.n_pos - at < chunk ? w->c.n_pos - at : chunk;
        const struct ht_segment seg = {.n = n, .pos = at, .pages = w->pages, .sink = w->sink,
                                       .window = w->keep};
        const struct ht_batch batch = {&seg, 1, n, at + n - 1, &w->kv};
        struct ht_run run = {.count = {n}, .batch = &batch};
        memcpy(ht_plan_tensor(w->plan, w->q)->data, w->qs + (size_t)at * nq, (size_t)n * nq * 4);
        memcpy(ht_plan_tensor(w->plan, w->k)->data, w->ks + (size_t)at * nk, (size_t)n * nk * 4);
        memcpy(ht_plan_tensor(w->plan, w->v)->data, w->vs + (size_t)at * nk, (size_t)n * nk * 4);
        assert_int_equal(ht_plan_run(w->plan, &run, (struct ht_pool *)pool, NULL, NULL),
                         HEARTH_OK);
        memcpy(w->out + (size_t)at * nq, ht_plan_tensor(w->plan, w->y)->data, (size_t)n * nq * 4);
    }
    hearth_pool_close(pool);
    free(w->block);
    hb_arena_release(&w->arena);
}

/* ---- what the cache holds, read as kernels.h draws its pages ---- */

static double half_at(const struct attn_world *w, enum hk_kvtype type, const uint8_t *p)
{
    uint16_t h;
    float y;
    memcpy(&h, p, sizeof h);
    w->kernels.quant[type == HK_KV_F16 ? HK_F16 : HK_BF16].unpack(&y, &h, 1);
    return (double)y;
}

static double float_at(const struct attn_world *w, enum hk_kvtype type, const uint8_t *page,
                       size_t i)
{
    float x;
    if (type != HK_KV_F32)
        return half_at(w, type, page + 2 * i);
    memcpy(&x, page + 4 * i, sizeof x);
    return (double)x;
}

static const uint8_t *page_of(const struct attn_world *w, int32_t head, int32_t pos)
{
    return ht_kv_page(&w->layer, head, w->pages[pos / HK_KV_PAGE]);
}

static double key_at(const struct attn_world *w, int32_t head, int32_t pos, size_t i)
{
    const uint8_t *page = page_of(w, head, pos);
    size_t p = (size_t)pos % 16, e = hk_kv_elements(w->c.type, (size_t)w->c.d), g = i % 32 / 4;
    int q;
    if (!hk_kv_is_block(w->c.type))
        return float_at(w, w->c.type, page, i * 16 + p);
    if (w->c.type == HK_KV_Q8_0)
        q = page[i / 4 * 64 + p * 4 + i % 4] - 128;
    else
        q = (page[i / 32 * 256 + g % 4 * 64 + p * 4 + i % 4] >> (g < 4 ? 0 : 4) & 15) - 8;
    const uint8_t *scales = page + (w->c.type == HK_KV_Q8_0 ? 16 * e : 8 * e);
    return q * half_at(w, HK_KV_BF16, scales + (i / 32 * 16 + p) * 2);
}

static double value_at(const struct attn_world *w, int32_t head, int32_t pos, size_t i)
{
    const uint8_t *page = page_of(w, head, pos) + w->layer.v_off;
    size_t p = (size_t)pos % 16, d = (size_t)w->c.d, e = hk_kv_elements(w->c.type_v, d);
    int q;
    if (!hk_kv_is_block(w->c.type_v))
        return float_at(w, w->c.type_v, page, p * d + i);
    if (w->c.type_v == HK_KV_Q8_0)
        q = (int8_t)page[p * e + i];
    else
        q = (page[p * e / 2 + i / 32 * 16 + i % 16] >> (i % 32 < 16 ? 0 : 4) & 15) - 8;
    const uint8_t *scales = page + (w->c.type_v == HK_KV_Q8_0 ? 16 * e : 8 * e);
    return q * half_at(w, HK_KV_BF16, scales + (p * e / 32 + i / 32) * 2);
}

/* The query as the scores see it: block types of K round it to an int8 row. */
static void query_of(const struct attn_world *w, const float *q, double *to)
{
    static HB_ALIGNAS(64) uint8_t row[2048];
    float x[512] = {0};
    size_t d = (size_t)w->c.d, e = hk_kv_elements(w->c.type, d);
    memcpy(x, q, d * sizeof *x);
    w->kernels.act_quantize(row, x, e, HK_STRETCH_B32);
    for (size_t i = 0; i < d; i++) {
        float scale;
        memcpy(&scale, row + hk_act_scale_off(e) + i / 32 * 4, sizeof scale);
        to[i] = hk_kv_is_block(w->c.type) ? (int8_t)row[i] * (double)scale : (double)x[i];
    }
}

/* The window of the layer, and the hole of the sequence: from the sink to a whole stretch. */
static bool visible(const struct attn_world *w, int32_t pos, int32_t j)
{
    if (w->c.window && j <= pos - w->c.window)
        return false;
    return !w->keep || j < w->sink || j / HK_KV_STRETCH >= (pos + 1 - w->keep) / HK_KV_STRETCH;
}

/* Largest difference of one position's output to softmax in double. */
static double world_error(const struct attn_world *w, int32_t pos)
{
    const struct attn_case *c = &w->c;
    static double p[MAX_POS], q[512];
    double worst = 0;
    for (int32_t h = 0; h < c->heads; h++) {
        int32_t kvh = h / (c->heads / c->kv_heads);
        query_of(w, w->qs + ((size_t)pos * (size_t)c->heads + (size_t)h) * (size_t)c->d, q);
        double max = -INFINITY, sum = 0;
        for (int32_t j = 0; j <= pos; j++) {
            if (!visible(w, pos, j)) {
                p[j] = -INFINITY;
                continue;
            }
            double s = 0;
            for (int32_t i = 0; i < c->d; i++)
                s += q[i] * key_at(w, kvh, j, (size_t)i);
            if (c->softcap > 0)
                s = (double)c->softcap * tanh(s / (double)c->softcap);
            p[j] = s;
            max = s > max ? s : max;
        }
        if (c->sinks) {
            max = fmax(max, (double)w->sinks[h]);
            sum = exp((double)w->sinks[h] - max);
        }
        for (int32_t j = 0; j <= pos; j++)
            sum += p[j] = exp(p[j] - max);
        for (int32_t i = 0; i < c->d; i++) {
            double want = 0;
            for (int32_t j = 0; j <= pos; j++)
                if (p[j] > 0)
                    want += p[j] / sum * value_at(w, kvh, j, (size_t)i);
            double got = (double)w->out[((size_t)pos * (size_t)c->heads + (size_t)h) * (size_t)c->d + (size_t)i];
            worst = fmax(worst, got == got ? fabs(got - want) : INFINITY);
        }
    }
    return worst;
}

/* Largest distance of what the cache holds to what was put in. */
static double world_rounding(const struct attn_world *w)
{
    const struct attn_case *c = &w->c;
    double worst = 0;
    for (int32_t j = 0; j < c->n_pos; j += 7)
        for (int32_t h = 0; h < c->kv_heads; h++)
            for (size_t i = 0; i < (size_t)c->d; i++) {
                size_t at = ((size_t)j * (size_t)c->kv_heads + (size_t)h) * (size_t)c->d + i;
                worst = fmax(worst, fabs(key_at(w, h, j, i) - (double)w->ks[at]));
                worst = fmax(worst, fabs(value_at(w, h, j, i) - (double)w->vs[at]));
            }
    return worst;
}

static const struct attn_case attn_cases[] = {
    {1, 1, 16, 1, 0, 0, 1, HK_KV_F32, HK_KV_F32, false},
    {4, 4, 16, 65, 0, 0, 1, HK_KV_F32, HK_KV_F32, false},
    {15, 5, 64, 130, 0, 0, 1, HK_KV_F16, HK_KV_F16, false},
    {8, 2, 32, 600, 0, 0, 1, HK_KV_F16, HK_KV_F16, false},
    {4, 1, 96, 150, 0, 0, 1, HK_KV_F16, HK_KV_F16, false},
    {4, 2, 16, 300, 33, 0, 1, HK_KV_F16, HK_KV_F16, false},
    {2, 1, 16, 1100, 64, 0, 1, HK_KV_F32, HK_KV_F32, false},
    {2, 2, 16, 1100, 700, 0, 1, HK_KV_F16, HK_KV_F16, false},
    {4, 2, 32, 200, 0, 30, 8, HK_KV_F16, HK_KV_F16, false},
    {2, 1, 16, 100, 0, 0, 1e4f, HK_KV_F32, HK_KV_F32, false},
    {2, 1, 16, 100, 0, 0, 1e30f, HK_KV_F32, HK_KV_F32, false},
    {71, 1, 8, 40, 0, 0, 1, HK_KV_F32, HK_KV_F32, false},
    {4, 2, 16, 300, 33, 0, 1, HK_KV_F16, HK_KV_F16, true},
    {8, 1, 64, 900, 0, 0, 2, HK_KV_F32, HK_KV_F32, true},
    {15, 5, 64, 130, 0, 0, 1, HK_KV_BF16, HK_KV_BF16, false},
    {15, 5, 64, 200, 0, 0, 1, HK_KV_Q8_0, HK_KV_Q8_0, false},
    {8, 2, 128, 300, 0, 0, 1, HK_KV_Q4_0, HK_KV_Q4_0, false},
    {4, 2, 80, 300, 0, 0, 1, HK_KV_Q8_0, HK_KV_Q4_0, false}, /* two and a half blocks */
    {3, 1, 20, 100, 0, 0, 1, HK_KV_Q4_0, HK_KV_F16, true},
    {2, 2, 33, 100, 0, 0, 1, HK_KV_F32, HK_KV_Q8_0, false},
    {4, 2, 64, 700, 100, 0, 1, HK_KV_Q8_0, HK_KV_Q8_0, false},
};

static void attention_equals_softmax_in_double(void **state)
{
    (void)state;
    for (size_t i = 0; i < HB_COUNT(attn_cases); i++) {
        const struct attn_case *c = &attn_cases[i];
        struct attn_world w;
        world_make(&w, c);
        world_run(&w, 64, 1);
        double worst = 0;
        for (int32_t pos = 0; pos < c->n_pos; pos += c->n_pos > 100 ? 61 : 7)
            worst = fmax(worst, world_error(&w, pos));
        worst = fmax(worst, world_error(&w, c->n_pos - 1));
        double rounding = world_rounding(&w);
        print_message("heads %d/%d d %d positions %d window %d cap %g k %s v %s%s: max error %.2g, "
                      "rounding %.2g\n",
                      c->heads, c->kv_heads, c->d, c->n_pos, c->window, (double)c->softcap,
                      hk_qtype_info[hk_kv_qtype[c->type]].name,
                      hk_qtype_info[hk_kv_qtype[c->type_v]].name, c->sinks ? " sinks" : "", worst,
                      rounding);
        /* half a step of 1/127 or 1/8, and what a bf16 scale is off */
        bool coarse = c->type == HK_KV_Q4_0 || c->type_v == HK_KV_Q4_0;
        assert_true(rounding <= (coarse ? 0.13 : 0.0042));
        /* scores carry an error of about eps * |q|*|k|*d, which large ones turn into weight */
        assert_true(worst <= 4e-6 * fmax(1, (double)c->size) || c->size > 1000);
        assert_true(worst < 3);
        world_free(&w);
    }
}

static void cuts_are_equal(const struct attn_case *c)
{
    static const int32_t chunks[] = {1, 7, 32, 512}, threads[] = {1, 2, 3, 8};
    size_t bytes = (size_t)(c->n_pos * c->heads * c->d) * sizeof(float);
    float *first = NULL;
    struct attn_world w;
    world_make(&w, c);
    for (size_t i = 0; i < HB_COUNT(chunks); i++)
        for (size_t j = 0; j < HB_COUNT(threads); j++) {
            memset(w.out, 0, bytes);
            world_run(&w, chunks[i], threads[j]);
            if (!first) {
                first = malloc(bytes);
                memcpy(first, w.out, bytes);
            }
            assert_memory_equal(first, w.out, bytes);
        }
    free(first);
    world_free(&w);
}

static void any_chunk_and_thread_count_gives_the_same_bits(void **state)
{
    (void)state;
    for (int type = 0; type < HK_KVTYPE_COUNT; type++) {
        const struct attn_case c = {6, 2, 32, 600, 0, 0, 1, (enum hk_kvtype)type,
                                    (enum hk_kvtype)type, true};
        cuts_are_equal(&c);
    }
}

static void a_hole_behind_the_sink_is_not_seen(void **state)
{
    (void)state;
    static const int32_t sink_keep[][2] = {{16, 100}, {0, 64}, {80, 33}, {64, 1}, {16, 700}};
    static const struct attn_case cases[] = {{4, 2, 16, 1100, 0, 0, 1, HK_KV_F16, HK_KV_F16, false},
                                             {4, 2, 16, 1100, 150, 0, 1, HK_KV_Q8_0, HK_KV_F16, false}};
    size_t bytes = (size_t)1100 * 4 * 16 * sizeof(float);
    float *first = malloc(bytes);
    for (size_t i = 0; i < HB_COUNT(sink_keep) * HB_COUNT(cases); i++) {
        struct attn_world w;
        world_make(&w, &cases[i % HB_COUNT(cases)]);
        w.sink = sink_keep[i / HB_COUNT(cases)][0];
        w.keep = sink_keep[i / HB_COUNT(cases)][1];
        world_run(&w, 64, 1);
        memcpy(first, w.out, bytes);
        for (int32_t pos = 0; pos < 1100; pos += 31)
            assert_true(world_error(&w, pos) <= 4e-6);
        world_run(&w, 7, 3);
        assert_memory_equal(first, w.out, bytes);
        world_run(&w, 1, 2);
        assert_memory_equal(first, w.out, bytes);
        world_free(&w);
    }
    free(first);
}

static void levels_are_equal(const struct attn_case *c)
{
    size_t bytes = (size_t)(c->n_pos * c->heads * c->d) * sizeof(float);
    struct attn_world w;
    world_make(&w, c);
    float *first = malloc(bytes);
    hk_select(&w.kernels, 0, HK_LEVEL_scalar);
    world_run(&w, 32, 1);
    memcpy(first, w.out, bytes);
    for (int level = 1; level < HK_LEVEL_COUNT; level++) {
        if (!hk_level_runs((enum hk_level)level, hb_os_cpu_features()))
            continue;
        hk_select(&w.kernels, hb_os_cpu_features(), (enum hk_level)level);
        world_run(&w, 32, 1);
        assert_memory_equal(first, w.out, bytes);
    }
    free(first);
    world_free(&w);
}

static void every_level_gives_the_same_bits(void **state)
{
    (void)state;
    for (int type = 0; type < HK_KVTYPE_COUNT; type++) {
        const struct attn_case c = {6, 3, 64, 200, 50, 20, 2, (enum hk_kvtype)type,
                                    (enum hk_kvtype)type, false};
        levels_are_equal(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_equals_softmax_in_double),
        cmocka_unit_test(any_chunk_and_thread_count_gives_the_same_bits),
        cmocka_unit_test(a_hole_behind_the_sink_is_not_seen),
        cmocka_unit_test(every_level_gives_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

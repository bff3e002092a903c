/* Plans: lifetimes never overlap in memory, views follow their base, bad graphs are refused. */
#include "test_support.h"
#include "graph/ht_lm.h"
#include "graph/ht_plan.h"
#include "base/os/hb_os.h"
#include <math.h>

#define WIDTH 64

struct fixture {
    struct hb_arena arena;
    struct ht_graph graph;
    struct hk_table kernels;
    struct ht_plan *plan;
    uint8_t *block;
};

static void fixture_make(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    hb_arena_init_growing(&f->arena, hb_os_heap());
    assert_int_equal(ht_graph_init(&f->graph, &f->arena, NULL), HEARTH_OK);
    hk_select(&f->kernels, hb_os_cpu_features(), HK_LEVEL_COUNT);
}

static void fixture_plan(struct fixture *f, int64_t rows)
{
    const int64_t sym[HT_MAX_SYMBOLS] = {rows};
    assert_int_equal(ht_plan_create(&f->graph, &f->kernels, sym, 1, &f->arena, &f->plan, NULL),
                     HEARTH_OK);
    f->block = aligned_alloc(64, f->plan->activation_bytes + f->plan->scratch_bytes + 64);
    ht_plan_place(f->plan, f->block, f->block + f->plan->activation_bytes);
}

static void fixture_free(struct fixture *f)
{
    free(f->block);
    hb_arena_release(&f->arena);
}

static ht_id fixture_input(struct fixture *f)
{
    int64_t dim[2] = {0, WIDTH};
    ht_id x;
    assert_int_equal(ht_graph_symbol(&f->graph, "rows", true, &dim[0], NULL), HEARTH_OK);
    assert_int_equal(ht_graph_input(&f->graph, "x", HK_F32, 2, dim, &x, NULL), HEARTH_OK);
    return x;
}

static void a_long_chain_reuses_memory_and_keeps_its_values(void **state)
{
    (void)state;
    struct fixture f;
    fixture_make(&f);
    ht_id x = fixture_input(&f), y = x, sum = x;
    for (int i = 0; i < 100; i++) { /* y = 2 y; sum = sum + y: two live values at a time */
        assert_int_equal(ht_emit_unary(&f.graph, HT_SCALE, 0.5f, y, &y, NULL), HEARTH_OK);
        assert_int_equal(ht_emit_binary(&f.graph, HT_ADD, sum, y, &sum, NULL), HEARTH_OK);
    }
    ht_graph_output(&f.graph, sum, "sum", NULL);
    fixture_plan(&f, 8);
    /* input for ever, and at most sum, y and their successors at once */
    assert_true(f.plan->activation_bytes <= 5 * 8 * WIDTH * sizeof(float));
    float *in = ht_row_f32(ht_plan_tensor(f.plan, x), 0);
    for (int i = 0; i < 8 * WIDTH; i++)
        in[i] = (float)i;
    struct ht_run run = {.count = {3}};
    assert_int_equal(ht_plan_run(f.plan, &run, NULL, NULL, NULL), HEARTH_OK);
    const float *out = ht_row_f32(ht_plan_tensor(f.plan, sum), 0);
    for (int i = 0; i < 3 * WIDTH; i++)
        assert_true(fabsf(out[i] - 2 * (float)i) <= 1e-4f * (float)i);
    fixture_free(&f);
}

static void columns_are_views_and_keep_their_base_alive(void **state)
{
    (void)state;
    struct fixture f;
    ht_id x, doubled, right, t, out;
    fixture_make(&f);
    x = fixture_input(&f);
    ht_emit_unary(&f.graph, HT_SCALE, 2, x, &doubled, NULL);
    ht_emit_columns(&f.graph, doubled, WIDTH / 2, WIDTH / 2, &right, NULL);
    t = x;
    for (int i = 0; i < 10; i++) /* work that would overwrite `doubled` were it thought dead */
        ht_emit_unary(&f.graph, HT_SCALE, 3, t, &t, NULL);
    ht_emit_columns(&f.graph, t, 0, WIDTH / 2, &t, NULL);
    ht_emit_binary(&f.graph, HT_ADD, right, t, &out, NULL);
    ht_graph_output(&f.graph, out, NULL, NULL);
    fixture_plan(&f, 4);
    float *in = ht_row_f32(ht_plan_tensor(f.plan, x), 0);
    for (int i = 0; i < 4 * WIDTH; i++)
        in[i] = 1;
    struct ht_run run = {.count = {4}};
    assert_int_equal(ht_plan_run(f.plan, &run, NULL, NULL, NULL), HEARTH_OK);
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < WIDTH / 2; c++)
            assert_true(ht_row_f32(ht_plan_tensor(f.plan, out), r)[c] == 2 + 59049);
    fixture_free(&f);
}

static void shapes_that_do_not_fit_are_refused_by_name(void **state)
{
    (void)state;
    struct fixture f;
    hearth_error err;
    ht_id x, half, out;
    const int64_t sym[HT_MAX_SYMBOLS] = {4};
    fixture_make(&f);
    x = fixture_input(&f);
    ht_emit_columns(&f.graph, x, 0, WIDTH / 2, &half, NULL);
    ht_emit_binary(&f.graph, HT_ADD, x, half, &out, NULL);
    ht_graph_output(&f.graph, out, NULL, NULL);
    assert_int_equal(ht_plan_create(&f.graph, &f.kernels, sym, 1, &f.arena, &f.plan, &err),
                     HEARTH_E_MISMATCH);
    assert_string_equal(err.text, "node (binary): wants two f32 matrices of one shape");
    fixture_free(&f);
}

static void a_plan_that_overflows_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    ht_id x, out;
    const int64_t sym[HT_MAX_SYMBOLS] = {INT64_MAX / 8};
    fixture_make(&f);
    x = fixture_input(&f);
    ht_emit_unary(&f.graph, HT_SCALE, 2, x, &out, NULL);
    ht_graph_output(&f.graph, out, NULL, NULL);
    assert_int_not_equal(ht_plan_create(&f.graph, &f.kernels, sym, 1, &f.arena, &f.plan, NULL),
                         HEARTH_OK);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_chain_reuses_memory_and_keeps_its_values),
        cmocka_unit_test(columns_are_views_and_keep_their_base_alive),
        cmocka_unit_test(shapes_that_do_not_fit_are_refused_by_name),
        cmocka_unit_test(a_plan_that_overflows_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Graphs of tensors, built by hand: folding, views, broadcasting, segments, budgets, refusals. */
#include "../test_support.h"
#include "base/os/hb_os.h"
#include "graph/ht_exec.h"
#include "graph/ht_ops.h"

struct rig {
    struct hb_arena arena, plan;
    struct ht_graph g;
    struct ht_exec x;
    struct hk_table kernels;
    struct ht_frame *frame;
    void *plan_mem, *block;
    hearth_error err;
};

static void rig_open(struct rig *r, size_t block)
{
    memset(r, 0, sizeof *r);
    hb_arena_init_growing(&r->arena, hb_os_heap());
    r->plan_mem = malloc(1 << 20);
    hb_arena_init_fixed(&r->plan, r->plan_mem, 1 << 20);
    r->block = aligned_alloc(64, block);
    hk_select(&r->kernels, hb_os_cpu_features(), HK_LEVEL_COUNT);
    r->x = (struct ht_exec){.kernels = &r->kernels, .n_workers = 1, .arena = &r->plan, .block = r->block,
                            .block_bytes = block};
    assert_int_equal(ht_graph_init(&r->g, &r->arena, &r->err), HEARTH_OK);
}

static void rig_close(struct rig *r)
{
    hb_arena_release(&r->arena);
    free(r->plan_mem);
    free(r->block);
}

static ht_id rig_input(struct rig *r, const char *name, enum hk_qtype type)
{
    ht_id id;
    assert_int_equal(ht_graph_input(&r->g, name, type, 0, NULL, &id, &r->err), HEARTH_OK);
    return id;
}

static ht_id rig_const(struct rig *r, enum hk_qtype type, int rank, const int64_t *dim, const void *data)
{
    ht_id id;
    assert_int_equal(ht_graph_const(&r->g, "const", type, rank, dim, data, &id, &r->err), HEARTH_OK);
    return id;
}

static ht_id rig_emit(struct rig *r, const struct ht_op *op, const void *params, const ht_id *in, uint32_t n)
{
    ht_id out;
    assert_int_equal(ht_graph_emit(&r->g, op, "node", params, in, n, &out, 1, &r->err), HEARTH_OK);
    return out;
}

static struct ht_tensor rig_shape(enum hk_qtype type, int rank, const int64_t *dim)
{
    struct ht_tensor t = ht_known_tensor(type, rank, dim, NULL);
    t.known = HT_UNKNOWN;
    return t;
}

static hearth_status rig_run(struct rig *r, const struct ht_tensor *in, const void *const *data)
{
    bool done;
    r->x.block_used = 0;
    hearth_status status = ht_frame_open(&r->x, NULL, &r->g, in, &r->frame, &r->err);
    if (status == HEARTH_OK)
        status = ht_frame_bind(r->frame, &done, &r->err);
    return status == HEARTH_OK ? ht_frame_run(r->frame, data, &r->err) : status;
}

static const struct ht_map rig_add = {.kind = HT_MAP_ADD};

static void broadcasting_follows_numpy(void **state)
{
    struct rig r;
    rig_open(&r, 1 << 16);
    const ht_id in[2] = {rig_input(&r, "a", HK_F32), rig_input(&r, "b", HK_F32)};
    ht_id y = rig_emit(&r, &ht_op_map, &rig_add, in, 2);
    assert_int_equal(ht_graph_output(&r.g, y, "y", &r.err), HEARTH_OK);
    const struct ht_tensor shapes[2] = {rig_shape(HK_F32, 3, (const int64_t[]){2, 1, 3}),
                                        rig_shape(HK_F32, 2, (const int64_t[]){4, 1})};
    const float a[6] = {0, 1, 2, 10, 11, 12}, b[4] = {100, 200, 300, 400};
    assert_int_equal(rig_run(&r, shapes, (const void *const[]){a, b}), HEARTH_OK);
    const struct ht_tensor *t = &r.frame->outputs[0];
    assert_int_equal(t->rank, 3);
    assert_int_equal(ht_elements(t), 24);
    for (int i = 0; i < 24; i++)
        assert_true(((const float *)(const void *)t->data)[i] == a[i / 12 * 3 + i % 3] + b[i / 3 % 4]);
    rig_close(&r);
}

static void shapes_that_do_not_fit_are_refused_by_name(void **state)
{
    struct rig r;
    rig_open(&r, 1 << 16);
    const ht_id in[2] = {rig_input(&r, "a", HK_F32), rig_input(&r, "b", HK_F32)};
    ht_id y = rig_emit(&r, &ht_op_map, &rig_add, in, 2);
    assert_int_equal(ht_graph_output(&r.g, y, "y", &r.err), HEARTH_OK);
    const struct ht_tensor shapes[2] = {rig_shape(HK_F32, 1, (const int64_t[]){2}),
                                        rig_shape(HK_F32, 1, (const int64_t[]){3})};
    const float a[3] = {0};
    assert_int_equal(rig_run(&r, shapes, (const void *const[]){a, a}), HEARTH_E_MISMATCH);
    assert_non_null(strstr(r.err.text, "node"));
    rig_close(&r);
}

/* reshape(x, concat(shape(x)[0:1], [-1])): nothing of it is left at run time */
static void shape_arithmetic_leaves_no_step(void **state)
{
    struct rig r;
    rig_open(&r, 1 << 16);
    static const int64_t zero = 0, one = 1, rest = -1, dim1 = 1;
    ht_id x = rig_input(&r, "x", HK_F32);
    const struct ht_shape whole = {.has_end = false};
    const struct ht_slice slice = {0};
    const struct ht_axis_params axis = {0};
    const struct ht_reshape reshape = {0};
    const ht_id cut[3] = {rig_emit(&r, &ht_op_shape, &whole, &x, 1), rig_const(&r, HK_I64, 1, &dim1, &zero),
                          rig_const(&r, HK_I64, 1, &dim1, &one)};
    const ht_id parts[2] = {rig_emit(&r, &ht_op_slice, &slice, cut, 3), rig_const(&r, HK_I64, 1, &dim1, &rest)};
    const ht_id in[2] = {x, rig_emit(&r, &ht_op_concat, &axis, parts, 2)};
    ht_id y = rig_emit(&r, &ht_op_reshape, &reshape, in, 2);
    assert_int_equal(ht_graph_output(&r.g, y, "y", &r.err), HEARTH_OK);
    const struct ht_tensor shape = rig_shape(HK_F32, 3, (const int64_t[]){2, 3, 4});
    float data[24];
    assert_int_equal(rig_run(&r, &shape, (const void *const[]){data}), HEARTH_OK);
    assert_int_equal(r.frame->plan.n_steps, 0);
    assert_false(r.frame->cut);
    assert_int_equal(r.frame->outputs[0].dim[1], 12);
    assert_ptr_equal(r.frame->outputs[0].data, data);
    rig_close(&r);
}

/* A transposed view is copied where a consumer wants it dense, and slices step backwards. */
static void views_are_copied_only_where_needed(void **state)
{
    struct rig r;
    rig_open(&r, 1 << 16);
    static const int64_t last = -1, first = INT64_MIN, axis0 = 0, back = -1, dim1 = 1;
    ht_id x = rig_input(&r, "x", HK_F32);
    const struct ht_axes perm = {.n = 2, .axes = {1, 0}};
    const struct ht_slice slice = {0};
    ht_id t = rig_emit(&r, &ht_op_transpose, &perm, &x, 1);
    const ht_id in[5] = {t, rig_const(&r, HK_I64, 1, &dim1, &last), rig_const(&r, HK_I64, 1, &dim1, &first),
                         rig_const(&r, HK_I64, 1, &dim1, &axis0), rig_const(&r, HK_I64, 1, &dim1, &back)};
    ht_id y = rig_emit(&r, &ht_op_slice, &slice, in, 5);
    assert_int_equal(ht_graph_output(&r.g, y, "y", &r.err), HEARTH_OK);
    const struct ht_tensor shape = rig_shape(HK_F32, 2, (const int64_t[]){2, 3});
    const float data[6] = {0, 1, 2, 3, 4, 5}, want[6] = {2, 5, 1, 4, 0, 3};
    assert_int_equal(rig_run(&r, &shape, (const void *const[]){data}), HEARTH_OK);
    assert_int_equal(r.frame->plan.n_steps, 1); /* the copy of the output */
    assert_memory_equal(r.frame->outputs[0].data, want, sizeof want);
    rig_close(&r);
}

/* nonzero's shape depends on data: the graph is cut, and the next node sees the count. */
static void data_dependent_shapes_cut_the_graph(void **state)
{
    struct rig r;
    rig_open(&r, 1 << 16);
    ht_id x = rig_input(&r, "x", HK_F32);
    ht_id nz = rig_emit(&r, &ht_op_nonzero, NULL, &x, 1);
    const struct ht_shape size = {.size = true};
    ht_id y = rig_emit(&r, &ht_op_shape, &size, &nz, 1);
    assert_int_equal(ht_graph_output(&r.g, y, "y", &r.err), HEARTH_OK);
    const struct ht_tensor shape = rig_shape(HK_F32, 1, (const int64_t[]){5});
    const float data[5] = {0, 1, 0, 2, 3};
    assert_int_equal(rig_run(&r, &shape, (const void *const[]){data}), HEARTH_OK);
    assert_true(r.frame->cut);
    assert_int_equal(*(const int64_t *)(const void *)r.frame->outputs[0].data, 3);
    rig_close(&r);
}

/* 2^40 elements from a list of dimensions: refused before a byte is touched. */
static void a_large_result_is_refused_by_the_budget(void **state)
{
    struct rig r;
    rig_open(&r, 1 << 16);
    static const int64_t dims[2] = {1 << 20, 1 << 20}, two = 2;
    ht_id x = rig_input(&r, "x", HK_F32);
    const ht_id in[2] = {x, rig_const(&r, HK_I64, 1, &two, dims)};
    ht_id wide = rig_emit(&r, &ht_op_expand, NULL, in, 2);
    const struct ht_map neg = {.kind = HT_MAP_NEG};
    ht_id y = rig_emit(&r, &ht_op_map, &neg, &wide, 1);
    assert_int_equal(ht_graph_output(&r.g, y, "y", &r.err), HEARTH_OK);
    const struct ht_tensor shape = rig_shape(HK_F32, 1, (const int64_t[]){1});
    const float data[1] = {1};
    assert_int_equal(rig_run(&r, &shape, (const void *const[]){data}), HEARTH_E_LIMIT);
    rig_close(&r);
}

static void an_index_out_of_range_is_an_error_of_the_run(void **state)
{
    struct rig r;
    rig_open(&r, 1 << 16);
    const ht_id in[2] = {rig_input(&r, "x", HK_F32), rig_input(&r, "i", HK_I64)};
    const struct ht_gather p = {0};
    ht_id y = rig_emit(&r, &ht_op_gather, &p, in, 2);
    assert_int_equal(ht_graph_output(&r.g, y, "y", &r.err), HEARTH_OK);
    const struct ht_tensor shapes[2] = {rig_shape(HK_F32, 2, (const int64_t[]){3, 2}),
                                        rig_shape(HK_I64, 1, (const int64_t[]){2})};
    const float x[6] = {0, 1, 2, 3, 4, 5}, want[4] = {4, 5, 0, 1};
    const int64_t good[2] = {-1, 0}, above[2] = {0, 3}, low[2] = {INT64_MIN, 0};
    assert_int_equal(rig_run(&r, shapes, (const void *const[]){x, good}), HEARTH_OK);
    assert_memory_equal(r.frame->outputs[0].data, want, sizeof want);
    assert_int_equal(rig_run(&r, shapes, (const void *const[]){x, above}), HEARTH_E_RANGE);
    assert_int_equal(rig_run(&r, shapes, (const void *const[]){x, low}), HEARTH_E_RANGE);
    rig_close(&r);
}

static void integer_division_never_traps(void **state)
{
    struct rig r;
    rig_open(&r, 1 << 16);
    const ht_id in[2] = {rig_input(&r, "a", HK_I32), rig_input(&r, "b", HK_I32)};
    const struct ht_map div = {.kind = HT_MAP_DIV}, mod = {.kind = HT_MAP_MOD};
    ht_id q = rig_emit(&r, &ht_op_map, &div, in, 2), m = rig_emit(&r, &ht_op_map, &mod, in, 2);
    assert_int_equal(ht_graph_output(&r.g, q, "q", &r.err), HEARTH_OK);
    assert_int_equal(ht_graph_output(&r.g, m, "m", &r.err), HEARTH_OK);
    const struct ht_tensor shapes[2] = {rig_shape(HK_I32, 1, (const int64_t[]){4}),
                                        rig_shape(HK_I32, 1, (const int64_t[]){4})};
    const int32_t a[4] = {7, INT32_MIN, -7, -7}, b[4] = {0, -1, 2, 2};
    const int32_t want_q[4] = {0, INT32_MIN, -3, -3}, want_m[4] = {0, 0, 1, 1};
    assert_int_equal(rig_run(&r, shapes, (const void *const[]){a, b}), HEARTH_OK);
    assert_memory_equal(r.frame->outputs[0].data, want_q, sizeof want_q);
    assert_memory_equal(r.frame->outputs[1].data, want_m, sizeof want_m);
    rig_close(&r);
}

/* Products over an empty dimension are zeros; inner dimensions that differ are refused. */
static void matmul_edges(void **state)
{
    struct rig r;
    rig_open(&r, 1 << 16);
    const ht_id in[2] = {rig_input(&r, "a", HK_F32), rig_input(&r, "b", HK_F32)};
    const struct ht_gemm p = {.alpha = 1, .beta = 1, .act = HT_MAP_COPY};
    ht_id y = rig_emit(&r, &ht_op_gemm, &p, in, 2);
    assert_int_equal(ht_graph_output(&r.g, y, "y", &r.err), HEARTH_OK);
    struct ht_tensor shapes[2] = {rig_shape(HK_F32, 2, (const int64_t[]){2, 0}),
                                  rig_shape(HK_F32, 2, (const int64_t[]){0, 3})};
    const float none[1] = {7}, zeros[6] = {0};
    assert_int_equal(rig_run(&r, shapes, (const void *const[]){none, none}), HEARTH_OK);
    assert_memory_equal(r.frame->outputs[0].data, zeros, sizeof zeros);
    shapes[1] = rig_shape(HK_F32, 2, (const int64_t[]){4, 3});
    assert_int_equal(rig_run(&r, shapes, (const void *const[]){none, none}), HEARTH_E_MISMATCH);
    shapes[1] = rig_shape(HK_F32, 0, NULL);
    assert_int_equal(rig_run(&r, shapes, (const void *const[]){none, none}), HEARTH_E_MISMATCH);
    rig_close(&r);
}

/* Bits of a matmul do not depend on the number of rows computed with it. */
static void matmul_rows_do_not_depend_on_their_neighbours(void **state)
{
    enum { M = 37, K = 700, N = 45 };
    static float a[M * K], w[K * N], all[M * N];
    uint64_t seed = 5;
    for (int i = 0; i < M * K; i++)
        a[i] = test_rand_float(&seed);
    for (int i = 0; i < K * N; i++)
        w[i] = test_rand_float(&seed);
    for (int64_t rows = M; rows >= 1; rows -= 36) {
        struct rig r;
        rig_open(&r, 1 << 20);
        const ht_id in[2] = {rig_input(&r, "a", HK_F32), rig_input(&r, "b", HK_F32)};
        const struct ht_gemm p = {.alpha = 1, .beta = 1, .act = HT_MAP_COPY};
        ht_id y = rig_emit(&r, &ht_op_gemm, &p, in, 2);
        assert_int_equal(ht_graph_output(&r.g, y, "y", &r.err), HEARTH_OK);
        const struct ht_tensor shapes[2] = {rig_shape(HK_F32, 2, (const int64_t[]){rows, K}),
                                            rig_shape(HK_F32, 2, (const int64_t[]){K, N})};
        assert_int_equal(rig_run(&r, shapes, (const void *const[]){a, w}), HEARTH_OK);
        if (rows == M)
            memcpy(all, r.frame->outputs[0].data, sizeof all);
        assert_memory_equal(r.frame->outputs[0].data, all, (size_t)rows * N * sizeof(float));
        rig_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broadcasting_follows_numpy),
        cmocka_unit_test(shapes_that_do_not_fit_are_refused_by_name),
        cmocka_unit_test(shape_arithmetic_leaves_no_step),
        cmocka_unit_test(views_are_copied_only_where_needed),
        cmocka_unit_test(data_dependent_shapes_cut_the_graph),
        cmocka_unit_test(a_large_result_is_refused_by_the_budget),
        cmocka_unit_test(an_index_out_of_range_is_an_error_of_the_run),
        cmocka_unit_test(integer_division_never_traps),
        cmocka_unit_test(matmul_edges),
        cmocka_unit_test(matmul_rows_do_not_depend_on_their_neighbours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* hearth_session_infer: refusals by type, shape and name, shapes that change, budgets, and the rewrites
 * against the graph as written. */
#include "onnx/mini_onnx.h"
#include <math.h>

struct rig {
    hearth_file *file;
    hearth_model *model;
    hearth_session *session;
    hearth_pool *pool;
    hearth_error err;
};

static hearth_weights rig_weights;

static hearth_status rig_open_without(struct rig *r, const char *path, uint32_t flags, uint64_t budget,
                                      const char *no_rewrites, int32_t threads)
{
    memset(r, 0, sizeof *r);
    const hearth_pool_config pool = {.struct_size = sizeof pool, .n_threads = threads};
    if (threads > 1)
        assert_int_equal(hearth_pool_open(&pool, &r->pool, &r->err), HEARTH_OK);
    hearth_status status = hearth_file_open(path, NULL, &r->file, &r->err);
    if (status != HEARTH_OK)
        return status;
    const hearth_bytes bytes = {hearth_file_bytes(r->file), hearth_file_size(r->file)};
    const hearth_model_config model = {.struct_size = sizeof model, .flags = flags, .no_rewrites = no_rewrites,
                                       .weights = rig_weights};
    const hearth_session_config session = {.struct_size = sizeof session, .max_bytes = budget, .pool = r->pool};
    status = hearth_model_open(&bytes, 1, &model, &r->model, &r->err);
    return status == HEARTH_OK ? hearth_session_open(r->model, &session, &r->session, &r->err) : status;
}

static hearth_status rig_open(struct rig *r, const char *path, uint32_t flags, uint64_t budget)
{
    return rig_open_without(r, path, flags, budget, NULL, 1);
}

static void rig_close(struct rig *r)
{
    hearth_session_close(r->session);
    hearth_model_close(r->model);
    hearth_file_close(r->file);
    hearth_pool_close(r->pool);
}

#define CASE(name) HEARTH_SOURCE_DIR "/tests/onnx/cases/" name "/model.onnx"

static float x_data[2 * 7 * 24];
static const hearth_tensor good = {"x", HEARTH_DTYPE_F32, 3, {2, 7, 24}, x_data, sizeof x_data};

static void inputs_are_checked_before_anything_runs(void **state)
{
    struct rig r;
    hearth_tensor in[2] = {good, good}, out;
    assert_int_equal(rig_open(&r, CASE("biasgelu"), 0, 1 << 20), HEARTH_OK);
    assert_int_equal(hearth_model_input_count(r.model), 1);
    assert_int_equal(hearth_session_infer(r.session, in, 1, &out, 1, &r.err), HEARTH_OK);
    assert_int_equal(out.rank, 3);
    assert_int_equal(hearth_session_infer(r.session, in, 0, &out, 1, &r.err), HEARTH_E_NOT_FOUND);
    assert_int_equal(hearth_session_infer(r.session, in, 2, &out, 1, &r.err), HEARTH_E_ARGUMENT);
    in[1].name = "nobody";
    assert_int_equal(hearth_session_infer(r.session, in, 2, &out, 1, &r.err), HEARTH_E_NOT_FOUND);
    in[0].type = HEARTH_DTYPE_I32;
    assert_int_equal(hearth_session_infer(r.session, in, 1, &out, 1, &r.err), HEARTH_E_MISMATCH);
    in[0] = good;
    in[0].rank = 2;
    assert_int_equal(hearth_session_infer(r.session, in, 1, &out, 1, &r.err), HEARTH_E_MISMATCH);
    in[0] = good;
    in[0].dim[1] = 8;
    assert_int_equal(hearth_session_infer(r.session, in, 1, &out, 1, &r.err), HEARTH_E_MISMATCH);
    in[0] = good;
    in[0].bytes -= 4;
    assert_int_equal(hearth_session_infer(r.session, in, 1, &out, 1, &r.err), HEARTH_E_MISMATCH);
    in[0] = good;
    in[0].data = (const char *)x_data + 1;
    assert_int_equal(hearth_session_infer(r.session, in, 1, &out, 1, &r.err), HEARTH_E_ARGUMENT);
    in[0] = good;
    assert_int_equal(hearth_session_infer(r.session, in, 1, &out, 1, &r.err), HEARTH_OK);
    rig_close(&r);
}

static void a_session_of_tensors_generates_no_text(void **state)
{
    struct rig r;
    assert_int_equal(rig_open(&r, CASE("biasgelu"), 0, 1 << 20), HEARTH_OK);
    const hearth_item item = {0, 0, 1};
    assert_int_equal(hearth_session_step(r.session, &item, 1, &r.err), HEARTH_E_STATE);
    assert_int_equal(hearth_seq_length(r.session, 0), -1);
    rig_close(&r);
}

static void onnx_can_be_switched_off(void **state)
{
    struct rig r;
    assert_int_equal(rig_open(&r, CASE("biasgelu"), HEARTH_MODEL_NO_ONNX, 1 << 20), HEARTH_E_UNSUPPORTED);
    rig_close(&r);
}

static void a_budget_too_small_is_a_limit_and_leaves_the_session_usable(void **state)
{
    struct rig r;
    hearth_tensor out;
    assert_int_equal(rig_open(&r, CASE("biasgelu"), 0, 16384), HEARTH_OK);
    assert_int_equal(hearth_session_infer(r.session, &good, 1, &out, 1, &r.err), HEARTH_E_LIMIT);
    assert_int_equal(hearth_session_infer(r.session, &good, 1, &out, 1, &r.err), HEARTH_E_LIMIT);
    rig_close(&r);
}

static int64_t ids[3][64];

static void bert_inputs(const struct rig *r, hearth_tensor *in, int64_t length)
{
    for (size_t i = 0; i < 3; i++) {
        hearth_io_info io = {.struct_size = sizeof io};
        assert_int_equal(hearth_model_input(r->model, i, &io, NULL), HEARTH_OK);
        for (int64_t k = 0; k < length; k++)
            ids[i][k] = strcmp(io.name, "input_ids") == 0 ? 1000 + 37 * k : strcmp(io.name, "attention_mask") == 0;
        in[i] = (hearth_tensor){io.name, HEARTH_DTYPE_I64, 2, {1, length}, ids[i], (size_t)length * 8};
    }
}

/* Every length has its own plan; coming back to one gives the same bits. Rewrites change rounding alone. */
static void rewrites_keep_the_values_of_bert(void **state)
{
    struct rig fused, plain;
    hearth_tensor in[3], a, b;
    float first[2];
    const char *path = HEARTH_SHARED_DIR "/fixtures/models/tinybert-classifier.onnx";
    if (rig_open(&fused, path, 0, 0) != HEARTH_OK) {
        rig_close(&fused);
        skip();
    }
    assert_int_equal(rig_open(&plain, path, HEARTH_MODEL_NO_FUSION, 0), HEARTH_OK);
    for (int64_t round = 0; round < 140; round++) { /* more shapes than plans are kept */
        bert_inputs(&fused, in, 1 + round % 64);
        assert_int_equal(hearth_session_infer(fused.session, in, 3, &a, 1, &fused.err), HEARTH_OK);
        if (round == 5)
            memcpy(first, a.data, sizeof first);
        if (round == 69 || round == 133)
            assert_memory_equal(first, a.data, sizeof first);
        if (round % 16)
            continue;
        bert_inputs(&plain, in, 1 + round % 64);
        assert_int_equal(hearth_session_infer(plain.session, in, 3, &b, 1, &plain.err), HEARTH_OK);
        assert_int_equal(a.bytes, b.bytes);
        for (size_t i = 0; i < a.bytes / 4; i++)
            assert_true(fabsf(((const float *)a.data)[i] - ((const float *)b.data)[i]) < 1e-4f);
    }
    bert_inputs(&fused, in, 4);
    ids[0][2] = ids[1][2] = ids[2][2] = 1 << 30; /* a token outside the table */
    assert_int_equal(hearth_session_infer(fused.session, in, 3, &a, 1, &fused.err), HEARTH_E_RANGE);
    rig_close(&plain);
    rig_close(&fused);
}

/* Some rewrites give the bits of the graph without them, with any number of threads; a mask hides the last keys. */
static void exact_rewrites_keep_every_bit(void **state)
{
    static const char *const models[] = {"tinybert-classifier", "tinybert-classifier-int8", "sentence-embedder-int8"};
    for (size_t m = 0; m < 3; m++) {
        struct rig fused, plain;
        hearth_tensor in[3], a, b;
        char path[512];
        snprintf(path, sizeof path, HEARTH_SHARED_DIR "/fixtures/models/%s.onnx", models[m]);
        if (rig_open_without(&fused, path, 0, 0, NULL, 3) != HEARTH_OK) {
            rig_close(&fused);
            skip();
        }
        assert_int_equal(rig_open_without(&plain, path, 0, 0, "attention,int_matmul_scale,matmul_bias,matmul_act", 1),
                         HEARTH_OK);
        for (int64_t length = 1; length <= 64; length += 9) {
            bert_inputs(&fused, in, length);
            for (size_t i = 0; i < 3 && length > 20; i++)
                if (strcmp(in[i].name, "attention_mask") == 0)
                    memset((int64_t *)ids[i] + length - 7, 0, 7 * sizeof(int64_t));
            assert_int_equal(hearth_session_infer(fused.session, in, 3, &a, 1, &fused.err), HEARTH_OK);
            assert_int_equal(hearth_session_infer(plain.session, in, 3, &b, 1, &plain.err), HEARTH_OK);
            assert_int_equal(a.bytes, b.bytes);
            assert_memory_equal(a.data, b.data, a.bytes);
        }
        rig_close(&plain);
        rig_close(&fused);
    }
}

/* Converted weights: close to the float graph, the difference of the weights told, every bit the same with any
 * number of threads and whatever the neighbours of a row. */
static void weights_are_converted_when_asked(void **state)
{
    static const struct {
        hearth_weights form;
        int32_t count; /* the classifier of two columns is too small to be laid out as q8_0 */
        float logits, weights;
    } rows[] = {{HEARTH_WEIGHTS_Q8_0, 25, 0.05f, 0.005f}, {HEARTH_WEIGHTS_BF16, 26, 0.05f, 0.005f}};
    const char *path = HEARTH_SHARED_DIR "/fixtures/models/tinybert-classifier.onnx";
    for (size_t k = 0; k < 2; k++) {
        struct rig plain, one, three;
        hearth_tensor in[3], a, b, c;
        float worst = 0;
        rig_weights = HEARTH_WEIGHTS_STORED;
        if (rig_open(&plain, path, 0, 0) != HEARTH_OK) {
            rig_close(&plain);
            skip();
        }
        rig_weights = rows[k].form;
        assert_int_equal(rig_open(&one, path, 0, 0), HEARTH_OK);
        assert_int_equal(rig_open_without(&three, path, 0, 0, NULL, 3), HEARTH_OK);
        rig_weights = HEARTH_WEIGHTS_STORED;
        hearth_session_info info = {.struct_size = sizeof info};
        hearth_session_get_info(one.session, &info);
        assert_int_equal(info.n_converted, rows[k].count);
        assert_true(info.converted_error > 0 && info.converted_error < rows[k].weights);
        for (int64_t length = 2; length <= 64; length += 31) {
            bert_inputs(&one, in, length);
            assert_int_equal(hearth_session_infer(plain.session, in, 3, &a, 1, &plain.err), HEARTH_OK);
            assert_int_equal(hearth_session_infer(one.session, in, 3, &b, 1, &one.err), HEARTH_OK);
            assert_int_equal(hearth_session_infer(three.session, in, 3, &c, 1, &three.err), HEARTH_OK);
            assert_memory_equal(b.data, c.data, b.bytes);
            for (size_t i = 0; i < a.bytes / 4; i++) {
                float d = fabsf(((const float *)a.data)[i] - ((const float *)b.data)[i]);
                worst = d > worst ? d : worst;
            }
        }
        print_message("weights %s: %d matrices, largest difference of a weight %g, of a logit %g\n",
                      k ? "bf16" : "q8_0", (int)info.n_converted, (double)info.converted_error, (double)worst);
        assert_true(worst > 0 && worst < rows[k].logits);
        rig_close(&three);
        rig_close(&one);
        rig_close(&plain);
    }
}

/* A matmul between dequantised tensors in integers: the graph as written up to its rounding, and not its very bits
 * (else the rewrite was not made). */
static void quantised_islands_become_integer_matmuls(void **state)
{
    struct rig fused, plain;
    hearth_tensor a, b;
    uint64_t seed = 11;
    int differs = 0;
    for (size_t i = 0; i < sizeof x_data / sizeof *x_data; i++)
        x_data[i] = 2 * test_rand_float(&seed);
    assert_int_equal(rig_open(&fused, CASE("qdq"), 0, 1 << 22), HEARTH_OK);
    assert_int_equal(rig_open_without(&plain, CASE("qdq"), 0, 1 << 22, "qdq", 1), HEARTH_OK);
    assert_int_equal(hearth_session_infer(fused.session, &good, 1, &a, 1, &fused.err), HEARTH_OK);
    assert_int_equal(hearth_session_infer(plain.session, &good, 1, &b, 1, &plain.err), HEARTH_OK);
    assert_int_equal(a.bytes, 2 * 7 * 8 * sizeof(float));
    assert_int_equal(a.bytes, b.bytes);
    for (size_t i = 0; i < a.bytes / 4; i++) {
        float x = ((const float *)a.data)[i], y = ((const float *)b.data)[i];
        assert_true(fabsf(x - y) <= 1e-5f * (1 + fabsf(y)));
        differs += x != y;
    }
    assert_true(differs > 0);
    rig_close(&plain);
    rig_close(&fused);
}

static void rewrites_are_switched_off_by_name(void **state)
{
    struct rig r;
    assert_int_equal(rig_open_without(&r, CASE("biasgelu"), 0, 1 << 20, "gelu,nonsense", 1), HEARTH_E_NOT_FOUND);
    assert_non_null(strstr(r.err.text, "nonsense"));
    rig_close(&r);
    assert_int_equal(rig_open_without(&r, CASE("biasgelu"), 0, 1 << 20, "gelu,matmul_act", 1), HEARTH_OK);
    rig_close(&r);
}

/* ---- the cache of plans */

static uint64_t plans_made(const struct mini_run *r, int32_t *kept)
{
    hearth_session_info info = {.struct_size = sizeof info};
    hearth_session_get_info(r->session, &info);
    *kept = info.n_plans;
    return info.plans_made;
}

static void infer_length(struct mini_run *r, int64_t n)
{
    r->in[0].dim[0] = n;
    r->in[0].bytes = (size_t)n * 3 * 4;
    for (int64_t i = 0; i < 3 * n; i++)
        mini_store(r->data[0] + 4 * i, HEARTH_DTYPE_F32, (double)i, i);
    if (mini_infer(r) != HEARTH_OK)
        fail_msg("%s", r->err.text);
    assert_int_equal(r->out[0].dim[0], n);
    for (int64_t i = 0; i < n; i++) { /* of a ramp: 3i + 3i+1 + 3i+2 */
        float sum = ((const float *)r->out[0].data)[i];
        assert_true(sum == (float)(9 * i + 3));
    }
}

static const char rows_sum[] = "in x f32[n,3]; t = Transpose(x); a = Add(t, f32:0); y = ReduceSum(a, i64[0]) {keepdims=0}";

static void the_plan_unused_for_longest_makes_room(void **state)
{
    struct mini_run r = {.session_config = {.max_bytes = 8 << 20}};
    struct pb m = mini_model(rows_sum);
    int32_t kept;
    assert_int_equal(mini_open(&r, m.at, m.n), HEARTH_OK);
    for (int64_t n = 1; n <= 64; n++)
        infer_length(&r, n);
    assert_int_equal(plans_made(&r, &kept), 64);
    assert_int_equal(kept, 64);
    for (int64_t n = 64; n >= 1; n--)
        infer_length(&r, n);
    assert_int_equal(plans_made(&r, &kept), 64);
    infer_length(&r, 65); /* for 64, which was used before all others */
    infer_length(&r, 1);
    infer_length(&r, 63);
    assert_int_equal(plans_made(&r, &kept), 65);
    assert_int_equal(kept, 64);
    infer_length(&r, 64); /* for 62: 63 has been used since */
    infer_length(&r, 63);
    assert_int_equal(plans_made(&r, &kept), 66);
    infer_length(&r, 62);
    assert_int_equal(plans_made(&r, &kept), 67);
    mini_close(&r);
    pb_free(&m);
}

/* Little memory: fewer plans are kept, in stretches of other sizes; what is kept is found. */
static void plans_share_a_small_budget(void **state)
{
    struct mini_run r = {.session_config = {.max_bytes = 512 << 10}};
    struct pb m = mini_model(rows_sum);
    int32_t kept;
    uint64_t seed = 5;
    assert_int_equal(mini_open(&r, m.at, m.n), HEARTH_OK);
    for (int i = 0; i < 3000; i++)
        infer_length(&r, (int64_t)(test_rand(&seed) % 40));
    uint64_t made = plans_made(&r, &kept);
    assert_in_range(kept, 2, 39);
    assert_in_range(made, 1000, 2999);
    infer_length(&r, 7);
    made = plans_made(&r, &kept);
    infer_length(&r, 7);
    assert_int_equal(plans_made(&r, &kept), made);
    mini_close(&r);
    pb_free(&m);
}

/* A decided If leaves a graph that is planned once. */
static void a_decided_if_is_part_of_the_plan(void **state)
{
    static const struct {
        const char *model;
        uint64_t made;
    } cases[] = {
        {"in x f32[2]; y = If(bool:1) {then_branch=< a = Neg(x); out a >, else_branch=< b = Abs(x); out b >}", 1},
        {"in x f32[2]; y = If(bool[0]) {then_branch=< a = NoSuchOp(x); out a >, else_branch=< b = Abs(x); out b >}", 1},
        {"in x f32[2]; c = ReduceSum(x); d = Greater(c, f32[5]); y = If(d) {then_branch=< a = Neg(x); out a >, "
         "else_branch=< b = Abs(x); out b >}", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mini_run r = {0};
        struct pb m = mini_model(cases[i].model);
        int32_t kept;
        assert_int_equal(mini_open(&r, m.at, m.n), HEARTH_OK);
        for (int k = 0; k < 3; k++)
            assert_int_equal(mini_infer(&r), HEARTH_OK);
        assert_int_equal(plans_made(&r, &kept), cases[i].made);
        mini_close(&r);
        pb_free(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inputs_are_checked_before_anything_runs),
        cmocka_unit_test(a_session_of_tensors_generates_no_text),
        cmocka_unit_test(onnx_can_be_switched_off),
        cmocka_unit_test(a_budget_too_small_is_a_limit_and_leaves_the_session_usable),
        cmocka_unit_test(rewrites_keep_the_values_of_bert),
        cmocka_unit_test(exact_rewrites_keep_every_bit),
        cmocka_unit_test(quantised_islands_become_integer_matmuls),
        cmocka_unit_test(rewrites_are_switched_off_by_name),
        cmocka_unit_test(weights_are_converted_when_asked),
        cmocka_unit_test(the_plan_unused_for_longest_makes_room),
        cmocka_unit_test(plans_share_a_small_budget),
        cmocka_unit_test(a_decided_if_is_part_of_the_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Hostile graphs that load: what planning and running answer. Rows are numbered as in rows.md. A row with
 * HEARTH_OK says the exact output. */
#include "onnx/mini_onnx.h"
#include <sys/resource.h>

static const struct {
    const char *row, *model;
    hearth_status status;
    const char *says;
} rows[] = {
#define OK(row, model, says) {row, model, HEARTH_OK, says},
#define NO(row, model, status, says) {row, model, HEARTH_E_##status, says},
#include "onnx/run_rows.def"
#undef OK
#undef NO
};

static void each_row_gives_what_it_says(void **state)
{
    char text[1024];
    int bad = 0;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hearth_status status = mini_once(rows[i].model, text, sizeof text);
        bool ok = status == rows[i].status &&
                  (status == HEARTH_OK ? strcmp(text, rows[i].says) == 0 : strstr(text, rows[i].says) != NULL);
        if (!ok)
            print_message("%s \"%s\"\n  gave %d \"%s\"\n  not  %d \"%s\"\n", rows[i].row, rows[i].model, status,
                          text, rows[i].status, rows[i].says);
        bad += !ok;
    }
    print_message("%zu rows\n", sizeof rows / sizeof *rows);
    assert_int_equal(bad, 0);
}

/* O-15: what is refused was never touched: the process is as large as before, within 16 MiB. */
static void a_refused_size_costs_no_memory(void **state)
{
    char text[256];
    struct rusage before, after;
    (void)state;
    assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].row, "O-15") == 0)
            mini_once(rows[i].model, text, sizeof text);
    assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
    assert_true(after.ru_maxrss - before.ru_maxrss < 16 << 10); /* KiB */
}

/* O-25: an input with an initializer is a constant here; giving it is refused by name. */
static void initialized_inputs_cannot_be_overridden(void **state)
{
    static const float one[3] = {1, 1, 1};
    struct mini_run r = {0};
    struct pb m = mini_model("in x f32[2]; in literal0 f32[2]; y = Add(x, f32[5,6])");
    (void)state;
    assert_int_equal(mini_open(&r, m.at, m.n), HEARTH_OK);
    assert_int_equal(r.n_in, 1);
    r.in[1] = (hearth_tensor){"literal0", HEARTH_DTYPE_F32, 1, {3}, one, sizeof one};
    assert_int_equal(hearth_session_infer(r.session, r.in, 2, r.out, 1, &r.err), HEARTH_E_NOT_FOUND);
    assert_non_null(strstr(r.err.text, "literal0"));
    assert_int_equal(mini_infer(&r), HEARTH_OK);
    assert_true(((const float *)r.out[0].data)[1] == 7);
    mini_close(&r);
    pb_free(&m);
}

/* O-26: what a caller may get wrong. After each refusal the session works. */
static void inputs_of_a_run_are_checked(void **state)
{
    static const struct {
        const char *what;
        hearth_tensor in; /* instead of ids, when it has a name */
        int64_t id;
        size_t n_in;
        hearth_status status;
    } cases[] = {
        {"good", {0}, 3, 2, HEARTH_OK},
        {"type", {"ids", HEARTH_DTYPE_I32, 2, {1, 4}, NULL, 16}, 0, 2, HEARTH_E_MISMATCH},
        {"type 99", {"ids", (hearth_dtype)99, 2, {1, 4}, NULL, 32}, 0, 2, HEARTH_E_MISMATCH},
        {"rank", {"ids", HEARTH_DTYPE_I64, 1, {4}, NULL, 32}, 0, 2, HEARTH_E_MISMATCH},
        {"rank -1", {"ids", HEARTH_DTYPE_I64, -1, {4}, NULL, 32}, 0, 2, HEARTH_E_MISMATCH},
        {"rank 99", {"ids", HEARTH_DTYPE_I64, 99, {1, 4}, NULL, 32}, 0, 2, HEARTH_E_MISMATCH},
        {"negative dimension", {"ids", HEARTH_DTYPE_I64, 2, {1, -4}, NULL, 32}, 0, 2, HEARTH_E_MISMATCH},
        {"dimensions that wrap", {"ids", HEARTH_DTYPE_I64, 2, {1LL << 62, 4}, NULL, 32}, 0, 2, HEARTH_E_MISMATCH},
        {"bytes", {"ids", HEARTH_DTYPE_I64, 2, {1, 4}, NULL, 31}, 0, 2, HEARTH_E_MISMATCH},
        {"two symbols that differ", {"ids", HEARTH_DTYPE_I64, 2, {1, 3}, NULL, 24}, 0, 2, HEARTH_E_MISMATCH},
        {"name", {"idz", HEARTH_DTYPE_I64, 2, {1, 4}, NULL, 32}, 0, 2, HEARTH_E_NOT_FOUND},
        {"missing", {0}, 0, 1, HEARTH_E_NOT_FOUND},
        {"twice", {"mask", HEARTH_DTYPE_I64, 2, {1, 4}, NULL, 32}, 0, 2, HEARTH_E_ARGUMENT},
        {"id of the vocabulary's size", {0}, 5, 2, HEARTH_E_RANGE},
        {"negative id beyond the table", {0}, -6, 2, HEARTH_E_RANGE},
        {"smallest id", {0}, INT64_MIN, 2, HEARTH_E_RANGE},
    };
    struct mini_run r = {0};
    int64_t ids[4], mask[4] = {1, 1, 1, 1};
    struct pb m = mini_model("in ids i64[b,n]; in mask i64[b,n]; g = Gather(f32(5,2), ids); y = ReduceSum(g, i64[1])");
    (void)state;
    assert_int_equal(mini_open(&r, m.at, m.n), HEARTH_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int again = 0; again < 2; again++) {
            const hearth_tensor good = {"ids", HEARTH_DTYPE_I64, 2, {1, 4}, ids, 32};
            bool bad = !again && cases[i].status != HEARTH_OK;
            memset(ids, 0, sizeof ids);
            ids[2] = bad ? cases[i].id : 4;
            r.in[0] = (hearth_tensor){"mask", HEARTH_DTYPE_I64, 2, {1, 4}, mask, 32};
            r.in[1] = bad && cases[i].in.name ? cases[i].in : good;
            r.in[1].data = ids;
            hearth_status status = hearth_session_infer(r.session, r.in, bad ? cases[i].n_in : 2, r.out, 1, &r.err);
            if (status != (bad ? cases[i].status : HEARTH_OK))
                fail_msg("%s: %d %s", cases[i].what, status, r.err.text);
        }
    r.in[1].dim[0] = r.in[0].dim[0] = 0; /* an empty batch is fine */
    r.in[1].bytes = r.in[0].bytes = 0;
    assert_int_equal(mini_infer(&r), HEARTH_OK);
    assert_int_equal(r.out[0].bytes, 0);
    mini_close(&r);
    pb_free(&m);
}

/* O-26: more tokens than a table of positions has rows. */
static void a_sequence_past_the_position_table_is_refused(void **state)
{
    struct mini_run r = {0};
    static const int64_t ids[6];
    struct pb m = mini_model("in ids i64[n]; s = Shape(ids); k = Squeeze(s); p = Range(i64:0, k, i64:1);"
                             "e = Gather(f32(9,2), ids); q = Gather(f32(5,2), p); y = Add(e, q)");
    (void)state;
    assert_int_equal(mini_open(&r, m.at, m.n), HEARTH_OK);
    r.in[0].data = ids;
    for (int64_t n = 0; n <= 6; n++) {
        r.in[0].dim[0] = n;
        r.in[0].bytes = (size_t)n * 8;
        assert_int_equal(mini_infer(&r), n <= 5 ? HEARTH_OK : HEARTH_E_RANGE);
    }
    mini_close(&r);
    pb_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_size_costs_no_memory),
        cmocka_unit_test(each_row_gives_what_it_says),
        cmocka_unit_test(initialized_inputs_cannot_be_overridden),
        cmocka_unit_test(inputs_of_a_run_are_checked),
        cmocka_unit_test(a_sequence_past_the_position_table_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

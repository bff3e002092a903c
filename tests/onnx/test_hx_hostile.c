/* The ONNX loader on files as they should not be: each row of the table makes its bytes with a small
 * writer and names the refusal it expects. Rows that are accepted stand beside those that are just past
 * a limit. */
#include "onnx/model_writer.h"

typedef struct pb make_fn(void);

/* O-01 */
static struct pb long_varint(void)
{
    struct pb m = {0};
    pb_raw(&m, "\x08\x88\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 13);
    return m;
}
static struct pb big_varint(void)
{
    struct pb m = {0};
    pb_raw(&m, "\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02", 11);
    return m;
}
static struct pb open_varint(void)
{
    struct pb m = {0};
    pb_raw(&m, "\x08\x88", 2);
    return m;
}
static struct pb padded_varint(void)
{
    struct pb m = {0};
    pb_raw(&m, "\x08\x88\x00", 3);
    return m;
}
/* O-02 */
static struct pb after_model(const char *bytes, size_t n)
{
    struct pb m = model_add();
    pb_raw(&m, bytes, n);
    return m;
}
static struct pb field_zero(void)
{
    return after_model("\x00\x00", 2);
}
static struct pb field_too_large(void)
{
    return after_model("\x80\x80\x80\x80\x10\x00", 6);
}
static struct pb wire_type_6(void)
{
    return after_model("\xF6\x07", 2);
}
static struct pb wire_type_7(void)
{
    return after_model("\xF7\x07", 2);
}
static struct pb group_without_end(void)
{
    return after_model("\xF3\x07\x08\x01", 4);
}
static struct pb end_without_group(void)
{
    return after_model("\xF4\x07", 2);
}
static struct pb nested_groups(void)
{
    struct pb m = model_add();
    for (int i = 0; i < 10000; i++)
        pb_raw(&m, "\xF3\x07", 2);
    return m;
}
static struct pb group_in_the_way(void) /* accepted: an unknown field */
{
    return after_model("\xF3\x07\x08\x01\xF4\x07", 6);
}
/* O-03 */
static struct pb length_of(uint64_t length)
{
    struct pb m = model_add();
    pb_tag(&m, 2, 2);
    pb_varint(&m, length);
    pb_raw(&m, "abc", 3);
    return m;
}
static struct pb length_4(void)
{
    return length_of(4);
}
static struct pb length_2g(void)
{
    return length_of((uint64_t)1 << 31);
}
static struct pb length_4g(void)
{
    return length_of((uint64_t)1 << 32);
}
static struct pb length_huge(void)
{
    return length_of((uint64_t)1 << 63);
}
static struct pb length_negative(void)
{
    return length_of((uint64_t)-1);
}
static struct pb child_longer_than_parent(void)
{
    struct pb g = {0};
    pb_raw(&g, "\x0A\x05\x12", 3); /* a node of 5 bytes in a graph of 3 */
    return model_of(g);
}
/* O-05 */
static struct pb two_graphs(void)
{
    struct pb m = model_add();
    pb_put(&m, 7, graph_add());
    return m;
}
static struct pb no_graph(void)
{
    struct pb m = {0};
    pb_int(&m, 1, 8);
    opset(&m, "", 17);
    return m;
}
static struct pb no_opset(void)
{
    struct pb m = {0};
    pb_int(&m, 1, 8);
    pb_put(&m, 7, graph_add());
    return m;
}
static struct pb with_opset(int64_t version)
{
    struct pb m = {0};
    pb_int(&m, 1, 8);
    opset(&m, NULL, version);
    pb_put(&m, 7, graph_add());
    return m;
}
static struct pb opset_0(void)
{
    return with_opset(0);
}
static struct pb opset_1(void)
{
    return with_opset(1);
}
static struct pb opset_29(void)
{
    return with_opset(29);
}
static struct pb opset_million(void)
{
    return with_opset(1000000);
}
static struct pb opset_negative(void)
{
    return with_opset(-1);
}
static struct pb opset_7(void)
{
    return with_opset(7);
}
static struct pb two_opsets(void)
{
    struct pb m = model_add();
    opset(&m, "ai.onnx", 13);
    return m;
}
static struct pb same_opset_twice(void)
{
    struct pb m = model_add();
    opset(&m, "ai.onnx", 17);
    return m;
}
static struct pb unknown_domain(void)
{
    struct pb g = graph_ends(), n = node("Add", "x", "x", "y");
    pb_text(&n, 7, "org.example");
    pb_put(&g, 1, n);
    return model_of(g);
}
/* O-06 */
static struct pb with_ir(int64_t ir)
{
    struct pb m = model_add();
    pb_int(&m, 1, ir);
    return m;
}
static struct pb ir_0(void)
{
    return with_ir(0);
}
static struct pb ir_2(void)
{
    return with_ir(2);
}
static struct pb ir_3(void)
{
    return with_ir(3);
}
static struct pb ir_15(void)
{
    return with_ir(15);
}
static struct pb ir_negative(void)
{
    return with_ir(INT64_MIN);
}
/* O-07 */
static struct pb with_dims(int64_t a, int64_t b, size_t bytes)
{
    static const uint8_t data[64];
    const int64_t dims[2] = {a, b};
    struct pb t = tensor_of("t", HX_FLOAT, dims, 2);
    if (bytes)
        pb_bytes(&t, 9, data, bytes);
    return model_with_tensor(t);
}
static struct pb dim_negative(void)
{
    return with_dims(-1, 2, 8);
}
static struct pb dim_huge(void)
{
    return with_dims((int64_t)1 << 62, 2, 8);
}
static struct pb dims_wrap(void)
{
    return with_dims((int64_t)1 << 32, (int64_t)1 << 32, 0);
}
static struct pb dims_hidden_by_zero(void)
{
    const int64_t dims[3] = {(int64_t)1 << 62, (int64_t)1 << 62, 0};
    return model_with_tensor(tensor_of("t", HX_FLOAT, dims, 3));
}
static struct pb data_missing(void)
{
    return with_dims(64, 2, 0);
}
static struct pb data_one_less(void)
{
    return with_dims(2, 2, 12);
}
static struct pb data_one_more(void)
{
    return with_dims(2, 2, 20);
}
static struct pb zero_dim(void)
{
    return with_dims(0, 5, 0);
}
static struct pb rank_9(void)
{
    const int64_t dims[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    return model_with_tensor(tensor_of("t", HX_FLOAT, dims, 9));
}
static struct pb rank_9_merged(void)
{
    struct pb a = {0}, n = node("Add", "x", "w", "y"), g = graph_ends();
    const int64_t dims[5] = {1, 1, 1, 1, 1};
    pb_text(&a, 1, "v");
    pb_int(&a, 20, HX_ATTR_TENSOR);
    pb_put(&a, 5, tensor_of("t", HX_FLOAT, dims, 5));
    pb_put(&a, 5, tensor_of("t", HX_FLOAT, dims, 5));
    pb_put(&n, 5, a);
    pb_put(&g, 5, weights("w"));
    pb_put(&g, 1, n);
    return model_of(g);
}
/* O-08 */
static struct pb raw_and_typed(void)
{
    struct pb t = weights("t");
    pb_float(&t, 4, 1);
    pb_float(&t, 4, 2);
    return model_with_tensor(t);
}
static struct pb raw_odd(void)
{
    return with_dims(2, 1, 7);
}
static struct pb typed_of_other_type(void)
{
    const int64_t dims[1] = {1};
    struct pb t = tensor_of("t", HX_INT64, dims, 1);
    pb_int(&t, 5, 3);
    return model_with_tensor(t);
}
static struct pb value_does_not_fit(void)
{
    const int64_t dims[1] = {1};
    struct pb t = tensor_of("t", HX_UINT8, dims, 1);
    pb_int(&t, 5, 300);
    return model_with_tensor(t);
}
/* O-09 */
static struct pb with_type(int64_t type)
{
    const int64_t dims[1] = {0};
    return model_with_tensor(tensor_of("t", type, dims, 1));
}
static struct pb type_0(void)
{
    return with_type(0);
}
static struct pb type_24(void)
{
    return with_type(24);
}
static struct pb type_99(void)
{
    return with_type(99);
}
/* O-11, O-12 */
static struct pb with_nodes(struct pb a, struct pb b)
{
    struct pb g = graph_ends();
    pb_put(&g, 1, a);
    if (b.n)
        pb_put(&g, 1, b);
    return model_of(g);
}
static struct pb cycle_1(void)
{
    return with_nodes(node("Add", "x", "y", "y"), (struct pb){0});
}
static struct pb cycle_2(void)
{
    return with_nodes(node("Add", "x", "b", "y"), node("Add", "x", "y", "b"));
}
static struct pb cycle_1000(void)
{
    struct pb g = graph_ends();
    char in[16], out[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(in, sizeof in, "v%d", (i + 999) % 1000);
        snprintf(out, sizeof out, "v%d", i);
        pb_put(&g, 1, node("Relu", in, NULL, out));
    }
    pb_put(&g, 1, node("Relu", "x", NULL, "y"));
    return model_of(g);
}
static struct pb output_twice(void)
{
    return with_nodes(node("Relu", "x", NULL, "y"), node("Relu", "x", NULL, "y"));
}
static struct pb output_is_input(void)
{
    return with_nodes(node("Relu", "x", NULL, "x"), node("Relu", "x", NULL, "y"));
}
static struct pb output_missing(void)
{
    return with_nodes(node("Relu", "x", NULL, "z"), (struct pb){0});
}
static struct pb input_undefined(void)
{
    return with_nodes(node("Add", "x", "nowhere", "y"), (struct pb){0});
}
static struct pb no_operator(void)
{
    return with_nodes(node("", "x", NULL, "y"), (struct pb){0});
}
static struct pb input_without_name(void)
{
    struct pb g = graph_add();
    pb_put(&g, 11, value(""));
    return model_of(g);
}
static struct pb initializer_without_name(void)
{
    return model_with_tensor(weights(""));
}
static struct pb initializer_twice(void)
{
    return model_with_tensor(weights("w"));
}
static struct pb initializer_of_input(void) /* accepted: a default */
{
    return model_with_tensor(weights("x"));
}
static struct pb name_with_nul(void)
{
    struct pb n = node("Relu", "x", NULL, NULL), g = graph_ends();
    pb_bytes(&n, 2, "y\0z", 3);
    pb_put(&g, 1, n);
    return model_of(g);
}
static struct pb name_not_utf8(void)
{
    return with_nodes(node("Relu", "x", NULL, "y\xFF"), (struct pb){0});
}
/* O-13 */
static struct pb function_of(const char *name, const char *calls, int times)
{
    struct pb f = {0};
    char in[16], out[16];
    pb_text(&f, 1, name);
    pb_text(&f, 10, "f");
    pb_text(&f, 4, "v0");
    for (int i = 0; i < times; i++) {
        snprintf(in, sizeof in, "v%d", i);
        snprintf(out, sizeof out, "v%d", i + 1);
        struct pb n = node(calls, in, NULL, out);
        if (strcmp(calls, "Relu") != 0)
            pb_text(&n, 7, "f");
        pb_put(&f, 7, n);
    }
    snprintf(out, sizeof out, "v%d", times);
    pb_text(&f, 5, out);
    return f;
}
static struct pb model_calling(const char *name)
{
    struct pb g = graph_ends(), n = node(name, "x", NULL, "y");
    pb_text(&n, 7, "f");
    pb_put(&g, 1, n);
    struct pb m = model_of(g);
    opset(&m, "f", 1);
    return m;
}
static struct pb function_calls_itself(void)
{
    struct pb m = model_calling("A");
    pb_put(&m, 25, function_of("A", "A", 1));
    return m;
}
static struct pb functions_call_each_other(void)
{
    struct pb m = model_calling("A");
    pb_put(&m, 25, function_of("A", "B", 1));
    pb_put(&m, 25, function_of("B", "A", 1));
    return m;
}
static struct pb call_chain(int length, int times)
{
    struct pb m = model_calling("F0");
    char name[16], calls[16];
    for (int i = 0; i < length; i++) {
        snprintf(name, sizeof name, "F%d", i);
        snprintf(calls, sizeof calls, "F%d", i + 1);
        pb_put(&m, 25, function_of(name, i + 1 < length ? calls : "Relu", times));
    }
    return m;
}
static struct pb call_chain_16(void) /* accepted */
{
    return call_chain(16, 1);
}
static struct pb call_chain_17(void)
{
    return call_chain(17, 1);
}
static struct pb call_chain_100000(void)
{
    return call_chain(100000, 1);
}
static struct pb expansion(void) /* 8^16 nodes */
{
    return call_chain(16, 8);
}
static struct pb function_twice(void)
{
    struct pb m = model_calling("A");
    pb_put(&m, 25, function_of("A", "Relu", 1));
    pb_put(&m, 25, function_of("A", "Relu", 2));
    return m;
}
/* O-14 */
static struct pb nested_graphs(int depth)
{
    struct pb inner = {0};
    pb_put(&inner, 1, node("Relu", "x", NULL, "o"));
    pb_put(&inner, 12, value("o"));
    for (int i = 0; i < depth; i++) {
        struct pb n = node("If", "x", NULL, "o"), a = {0}, outer = {0};
        pb_text(&a, 1, "then_branch");
        pb_put(&a, 6, inner);
        pb_int(&a, 20, HX_ATTR_GRAPH);
        pb_put(&n, 5, a);
        pb_put(&outer, 1, n);
        pb_put(&outer, 12, value("o"));
        inner = outer;
    }
    pb_put(&inner, 11, value("x"));
    return model_of(inner);
}
static struct pb graphs_16(void) /* accepted */
{
    return nested_graphs(16);
}
static struct pb graphs_17(void)
{
    return nested_graphs(17);
}
static struct pb graphs_1000(void)
{
    return nested_graphs(1000);
}
static struct pb capture_undefined(void)
{
    struct pb inner = {0}, n = node("If", "x", NULL, "y"), a = {0};
    pb_put(&inner, 1, node("Relu", "later", NULL, "o"));
    pb_put(&inner, 12, value("o"));
    pb_text(&a, 1, "then_branch");
    pb_put(&a, 6, inner);
    pb_put(&n, 5, a);
    return with_nodes(n, node("Relu", "x", NULL, "later"));
}
static struct pb name_of_inner_graph_outside(void)
{
    struct pb inner = {0}, n = node("If", "x", NULL, "z"), a = {0};
    pb_put(&inner, 1, node("Relu", "x", NULL, "inside"));
    pb_put(&inner, 12, value("inside"));
    pb_text(&a, 1, "then_branch");
    pb_put(&a, 6, inner);
    pb_put(&n, 5, a);
    return with_nodes(n, node("Relu", "inside", NULL, "y"));
}
/* O-23 */
static struct pb with_attr(struct pb a, struct pb b)
{
    struct pb n = node("Relu", "x", NULL, "y"), g = graph_ends();
    pb_put(&n, 5, a);
    if (b.n)
        pb_put(&n, 5, b);
    pb_put(&g, 1, n);
    return model_of(g);
}
static struct pb attr_named(const char *name)
{
    struct pb a = {0};
    pb_text(&a, 1, name);
    pb_int(&a, 3, 1);
    return a;
}
static struct pb attr_twice(void)
{
    return with_attr(attr_named("axis"), attr_named("axis"));
}
static struct pb attr_without_name(void)
{
    return with_attr(attr_named(""), (struct pb){0});
}
static struct pb attr_type_99(void)
{
    struct pb a = attr_named("axis");
    pb_int(&a, 20, 99);
    return with_attr(a, (struct pb){0});
}
static struct pb attr_tensor_missing(void)
{
    struct pb a = attr_named("value");
    pb_int(&a, 20, HX_ATTR_TENSOR);
    return with_attr(a, (struct pb){0});
}
static struct pb attrs(int count)
{
    struct pb n = node("Relu", "x", NULL, "y"), g = graph_ends();
    char name[16];
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "a%d", i);
        pb_put(&n, 5, attr_named(name));
    }
    pb_put(&g, 1, n);
    return model_of(g);
}
static struct pb attrs_1024(void) /* accepted */
{
    return attrs(1024);
}
static struct pb attrs_1025(void)
{
    return attrs(1025);
}
static struct pb many_nodes(void)
{
    struct pb g = graph_add();
    for (size_t i = 0; i < HX_MAX_NODES; i++)
        pb_raw(&g, "\x0A\x00", 2);
    return model_of(g);
}
static struct pb many_initializers(void)
{
    struct pb g = graph_add();
    for (size_t i = 0; i < HX_MAX_INITS; i++)
        pb_raw(&g, "\x2A\x00", 2);
    return model_of(g);
}
/* O-27 */
static struct pb sparse_of(int64_t index)
{
    struct pb s = {0}, g = graph_add();
    const int64_t dims[1] = {1};
    struct pb v = tensor_of("s", HX_FLOAT, dims, 1), i = tensor_of("", HX_INT64, dims, 1);
    pb_float(&v, 4, 1);
    pb_int(&i, 7, index);
    pb_put(&s, 1, v);
    pb_put(&s, 2, i);
    pb_int(&s, 3, 4);
    pb_put(&g, 15, s);
    return model_of(g);
}
static struct pb sparse_inside(void)
{
    return sparse_of(3);
}
static struct pb sparse_outside(void)
{
    return sparse_of(4);
}
static struct pb sparse_negative(void)
{
    return sparse_of(-1);
}
/* O-28 */
static struct pb bytes_of(const char *bytes, size_t n)
{
    struct pb m = {0};
    pb_raw(&m, bytes, n);
    return m;
}
static struct pb a_gguf(void)
{
    return bytes_of("GGUF\3\0\0\0\0\0\0\0", 12);
}
static struct pb a_zip(void)
{
    return bytes_of("PK\3\4\x14\0\0\0", 8);
}
static struct pb a_text(void)
{
    return bytes_of("once upon a time\n", 17);
}
static struct pb an_ort(void)
{
    return bytes_of("\x18\0\0\0ORTM\0\0\0\0", 12);
}
static struct pb a_json(void)
{
    return bytes_of("{\"irVersion\": 8}", 16);
}

static const struct {
    const char *name;
    make_fn *make;
    hearth_status status;
    const char *says;
} rows[] = {
#define ROW(name, status, says) {#name, name, HEARTH_##status, says}
    ROW(long_varint, E_FORMAT, "64 bits"),
    ROW(big_varint, E_FORMAT, "64 bits"),
    ROW(open_varint, E_TRUNCATED, "passes the end"),
    ROW(padded_varint, E_FORMAT, "fewest bytes"),
    ROW(field_zero, E_FORMAT, "field number"),
    ROW(field_too_large, E_FORMAT, "field number"),
    ROW(wire_type_6, E_FORMAT, "wire type"),
    ROW(wire_type_7, E_FORMAT, "wire type"),
    ROW(group_without_end, E_TRUNCATED, "without an end"),
    ROW(end_without_group, E_FORMAT, "did not begin"),
    ROW(nested_groups, E_LIMIT, "deeper than 64"),
    ROW(group_in_the_way, OK, ""),
    ROW(length_4, E_TRUNCATED, "4 bytes long"),
    ROW(length_2g, E_TRUNCATED, "2147483648"),
    ROW(length_4g, E_TRUNCATED, "4294967296"),
    ROW(length_huge, E_TRUNCATED, "9223372036854775808"),
    ROW(length_negative, E_TRUNCATED, "18446744073709551615"),
    ROW(child_longer_than_parent, E_TRUNCATED, "5 bytes long"),
    ROW(two_graphs, E_FORMAT, "second graph"),
    ROW(no_graph, E_FORMAT, "no graph"),
    ROW(no_opset, E_FORMAT, "no opset"),
    ROW(opset_0, E_UNSUPPORTED, "opset 0"),
    ROW(opset_1, E_UNSUPPORTED, "opset 1 "),
    ROW(opset_7, OK, ""),
    ROW(opset_29, E_UNSUPPORTED, "opset 29"),
    ROW(opset_million, E_UNSUPPORTED, "opset 1000000"),
    ROW(opset_negative, E_UNSUPPORTED, "opset -1"),
    ROW(two_opsets, E_FORMAT, "17 and as 13"),
    ROW(same_opset_twice, OK, ""),
    ROW(unknown_domain, E_UNSUPPORTED, "org.example"),
    ROW(ir_0, E_UNSUPPORTED, "IR version 0"),
    ROW(ir_2, E_UNSUPPORTED, "IR version 2"),
    ROW(ir_3, OK, ""),
    ROW(ir_15, E_UNSUPPORTED, "IR version 15"),
    ROW(ir_negative, E_UNSUPPORTED, "IR version -"),
    ROW(dim_negative, E_FORMAT, "dimension 0 is -1"),
    ROW(dim_huge, E_LIMIT, "multiply"),
    ROW(dims_wrap, E_LIMIT, "multiply"),
    ROW(dims_hidden_by_zero, E_LIMIT, "multiply"),
    ROW(data_missing, E_MISMATCH, "has 0 elements"),
    ROW(data_one_less, E_MISMATCH, "12 bytes"),
    ROW(data_one_more, E_MISMATCH, "20 bytes"),
    ROW(zero_dim, OK, ""),
    ROW(rank_9, E_LIMIT, "dimensions"),
    ROW(rank_9_merged, E_LIMIT, "10 dimensions"),
    ROW(raw_and_typed, E_FORMAT, "raw_data and in float_data"),
    ROW(raw_odd, E_MISMATCH, "7 bytes"),
    ROW(typed_of_other_type, E_MISMATCH, "int64_data or raw_data"),
    ROW(value_does_not_fit, E_RANGE, "uint8"),
    ROW(type_0, E_UNSUPPORTED, "element type 0"),
    ROW(type_24, E_UNSUPPORTED, "element type 24"),
    ROW(type_99, E_UNSUPPORTED, "element type 99"),
    ROW(cycle_1, E_FORMAT, "'y', which nothing before it"),
    ROW(cycle_2, E_FORMAT, "'b', which nothing before it"),
    ROW(cycle_1000, E_FORMAT, "'v999', which nothing before it"),
    ROW(output_twice, E_FORMAT, "'y' is defined twice"),
    ROW(output_is_input, E_FORMAT, "'x' is defined twice"),
    ROW(output_missing, E_FORMAT, "output 'y' is never produced"),
    ROW(input_undefined, E_FORMAT, "'nowhere'"),
    ROW(no_operator, E_FORMAT, "no operator"),
    ROW(input_without_name, E_FORMAT, "without a name"),
    ROW(initializer_without_name, E_FORMAT, "without a name"),
    ROW(initializer_twice, E_FORMAT, "'w' is defined twice"),
    ROW(initializer_of_input, OK, ""),
    ROW(name_with_nul, E_FORMAT, "NUL"),
    ROW(name_not_utf8, E_FORMAT, "not UTF-8"),
    ROW(function_calls_itself, E_FORMAT, "calls itself"),
    ROW(functions_call_each_other, E_FORMAT, "calls itself"),
    ROW(call_chain_16, OK, ""),
    ROW(call_chain_17, E_LIMIT, "deeper than 16"),
    ROW(call_chain_100000, E_LIMIT, "deeper than 16"),
    ROW(expansion, E_LIMIT, "expand to more"),
    ROW(function_twice, E_FORMAT, "defined twice"),
    ROW(graphs_16, OK, ""),
    ROW(graphs_17, E_LIMIT, "deeper than 16"),
    ROW(graphs_1000, E_LIMIT, "deeper than"),
    ROW(capture_undefined, E_FORMAT, "'later'"),
    ROW(name_of_inner_graph_outside, E_FORMAT, "'inside'"),
    ROW(attr_twice, E_FORMAT, "'axis' is given twice"),
    ROW(attr_without_name, E_FORMAT, "has no name"),
    ROW(attr_type_99, E_UNSUPPORTED, "type 99"),
    ROW(attr_tensor_missing, E_FORMAT, "has none"),
    ROW(attrs_1024, OK, ""),
    ROW(attrs_1025, E_LIMIT, "1024 attributes"),
    ROW(many_nodes, E_LIMIT, "1048576 nodes"),
    ROW(many_initializers, E_LIMIT, "1048576 initializers"),
    ROW(sparse_inside, OK, ""),
    ROW(sparse_outside, E_RANGE, "index 4"),
    ROW(sparse_negative, E_RANGE, "index -1"),
    ROW(a_gguf, E_FORMAT, "GGUF"),
    ROW(a_zip, E_FORMAT, "ZIP"),
    ROW(a_text, E_FORMAT, "text"),
    ROW(an_ort, E_FORMAT, "ORT"),
    ROW(a_json, E_FORMAT, "text"),
#undef ROW
};

static void each_hostile_file_is_refused_by_name(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pb m = rows[i].make();
        struct loaded l;
        hearth_status status = load_bytes(&l, m.at, m.n, NULL);
        if (status == HEARTH_OK)
            close_loaded(&l);
        if (status != rows[i].status || !strstr(l.err.text, rows[i].says))
            fail_msg("%s: status %d '%s', expected %d '%s'", rows[i].name, status, l.err.text,
                     rows[i].status, rows[i].says);
        pb_free(&m);
    }
    printf("%zu files\n", sizeof rows / sizeof *rows);
}

static void an_empty_file_is_refused(void **state)
{
    struct loaded l;
    assert_int_equal(load_bytes(&l, "", 0, NULL), HEARTH_E_TRUNCATED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_hostile_file_is_refused_by_name),
        cmocka_unit_test(an_empty_file_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

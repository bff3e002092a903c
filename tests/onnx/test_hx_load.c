/* The ONNX loader on files as they should be: what the format leaves free, external data, a real graph
 * with every bit changed, every length cut and every allocation refused. */
#include "onnx/model_writer.h"

#define TOY HEARTH_SOURCE_DIR "/tests/onnx/toy_bert.onnx"

static void a_plain_model_loads(void **state)
{
    struct loaded l;
    struct pb m = model_add();
    load_or_fail(&l, &m);
    assert_int_equal(l.model.ir_version, 8);
    assert_int_equal(l.model.graph.n_nodes, 1);
    assert_string_equal(l.model.graph.nodes[0].op_type, "Add");
    assert_string_equal(l.model.graph.nodes[0].inputs[1], "w");
    assert_int_equal(l.model.graph.inputs[0].dim[0].value, 2);
    const struct hx_tensor *w = &l.model.graph.initializers[0];
    assert_true(w->borrowed);
    assert_true((const uint8_t *)w->data > m.at && (const uint8_t *)w->data < m.at + m.n);
    assert_int_equal(l.model.weight_bytes, 8);
    close_loaded(&l);
    pb_free(&m);
}

/* ---- O-04: the format's own freedoms */

static void packed_and_single_numbers_mix(void **state)
{
    struct loaded l;
    const int64_t dims[1] = {6};
    struct pb t = tensor_of("t", HX_INT32, dims, 1), packed = {0};
    pb_int(&t, 5, 1);
    pb_int(&t, 5, -2);
    pb_varint(&packed, 3);
    pb_varint(&packed, (uint64_t)-4);
    pb_put(&t, 5, packed);
    pb_int(&t, 5, 5);
    pb_text(&t, 12, "a doc_string between them");
    pb_int(&t, 5, INT32_MIN);
    struct pb m = model_with_tensor(t);
    load_or_fail(&l, &m);
    static const int32_t want[6] = {1, -2, 3, -4, 5, INT32_MIN};
    assert_memory_equal(l.model.graph.initializers[1].data, want, sizeof want);
    close_loaded(&l);
    pb_free(&m);
}

static void packed_floats_are_borrowed_and_pieces_joined(void **state)
{
    static const float data[3] = {1.5f, -2.5f, 3.5f};
    const int64_t dims[1] = {3};
    for (int split = 0; split < 3; split++) {
        struct loaded l;
        struct pb t = tensor_of("t", HX_FLOAT, dims, 1);
        if (split == 0) {
            pb_bytes(&t, 4, data, sizeof data);
        } else if (split == 1) {
            pb_bytes(&t, 4, data, 4);
            pb_bytes(&t, 4, data + 1, 8);
        } else {
            for (int i = 0; i < 3; i++)
                pb_float(&t, 4, data[i]);
        }
        struct pb m = model_with_tensor(t);
        load_or_fail(&l, &m);
        assert_memory_equal(l.model.graph.initializers[1].data, data, sizeof data);
        assert_int_equal(l.model.graph.initializers[1].borrowed, split == 0);
        close_loaded(&l);
        pb_free(&m);
    }
}

static void the_last_of_a_field_counts_and_messages_merge(void **state)
{
    struct loaded l;
    struct pb n = node("Sub", "x", "w", NULL), a = {0}, t = {0}, g = graph_ends();
    pb_text(&n, 4, "Add"); /* again: the last one counts */
    pb_text(&n, 2, "y");
    pb_text(&a, 1, "v");
    pb_int(&a, 20, HX_ATTR_TENSOR);
    pb_int(&t, 2, HX_INT8); /* two halves of one tensor */
    pb_int(&t, 1, 1);
    pb_put(&a, 5, t);
    t = (struct pb){0};
    pb_bytes(&t, 9, "\x2A", 1);
    pb_put(&a, 5, t);
    pb_put(&n, 5, a);
    pb_put(&g, 5, weights("w"));
    pb_put(&g, 1, n);
    struct pb m = model_of(g);
    pb_int(&m, 1, 9);
    load_or_fail(&l, &m);
    assert_int_equal(l.model.ir_version, 9);
    assert_string_equal(l.model.graph.nodes[0].op_type, "Add");
    assert_int_equal(*(const int8_t *)l.model.graph.nodes[0].attrs[0].tensor->data, 42);
    close_loaded(&l);
    pb_free(&m);
}

static void every_kind_of_attribute_is_read(void **state)
{
    struct loaded l;
    struct pb n = node("Add", "x", "w", "y"), g = graph_ends(), a = {0};
    pb_text(&a, 1, "f"), pb_float(&a, 2, 0.5f), pb_put(&n, 5, a), a = (struct pb){0};
    pb_text(&a, 1, "i"), pb_int(&a, 3, -7), pb_int(&a, 20, HX_ATTR_INT), pb_put(&n, 5, a);
    a = (struct pb){0};
    pb_text(&a, 1, "s"), pb_bytes(&a, 4, "a\0b", 3), pb_int(&a, 20, HX_ATTR_STRING);
    pb_put(&n, 5, a), a = (struct pb){0};
    pb_text(&a, 1, "ints"), pb_int(&a, 8, 1), pb_int(&a, 8, 2), pb_int(&a, 20, HX_ATTR_INTS);
    pb_put(&n, 5, a), a = (struct pb){0};
    pb_text(&a, 1, "strings"), pb_text(&a, 9, "p"), pb_text(&a, 9, ""), pb_put(&n, 5, a);
    pb_put(&g, 5, weights("w"));
    pb_put(&g, 1, n);
    struct pb m = model_of(g);
    load_or_fail(&l, &m);
    const struct hx_attr *at = l.model.graph.nodes[0].attrs;
    assert_int_equal(l.model.graph.nodes[0].n_attrs, 5);
    assert_int_equal(at[0].type, HX_ATTR_FLOAT); /* told from the field */
    assert_true(at[0].f == 0.5f);
    assert_int_equal(at[1].i, -7);
    assert_int_equal(at[2].s_len, 3);
    assert_memory_equal(at[2].s, "a\0b", 4);
    assert_int_equal(at[3].n, 2);
    assert_int_equal(at[3].ints[1], 2);
    assert_int_equal(at[4].type, HX_ATTR_STRINGS);
    assert_string_equal(at[4].strings[0], "p");
    close_loaded(&l);
    pb_free(&m);
}

/* O-24: documentation and unknown fields cost nothing. */
static void unknown_bulk_is_skipped_without_copies(void **state)
{
    struct loaded l;
    size_t n = (size_t)64 << 20;
    char *bulk = malloc(n);
    struct pb m = model_add();
    memset(bulk, 'd', n);
    pb_bytes(&m, 6, bulk, n);     /* doc_string */
    pb_bytes(&m, 1999, bulk, n / 2);
    load_or_fail(&l, &m);
    assert_true(hb_arena_high(&l.arena) < (size_t)1 << 20);
    close_loaded(&l);
    pb_free(&m);
    free(bulk);
}

/* ---- O-10: external data */

struct external {
    char asked[64];
    int calls;
};

static hearth_status external_open(void *user, const char *location, const void **bytes,
                                   size_t *size, hearth_error *err)
{
    struct external *x = user;
    static const float data[4] = {5, 6, 7, 8};
    snprintf(x->asked, sizeof x->asked, "%s", location);
    x->calls++;
    *bytes = data;
    *size = sizeof data;
    return HEARTH_OK;
}

static struct pb external_model(const char *location, const char *offset, const char *length)
{
    const int64_t dims[1] = {2};
    const char *const keys[] = {"location", "offset", "length"};
    const char *const values[] = {location, offset, length};
    struct pb t = tensor_of("t", HX_FLOAT, dims, 1);
    pb_int(&t, 14, 1);
    for (int i = 0; i < 3; i++) {
        struct pb e = {0};
        if (!values[i])
            continue;
        pb_text(&e, 1, keys[i]);
        pb_text(&e, 2, values[i]);
        pb_put(&t, 13, e);
    }
    return model_with_tensor(t);
}

static void external_data_are_asked_for_and_bounded(void **state)
{
    static const struct {
        const char *location, *offset, *length;
        hearth_status status;
    } cases[] = {
        {"w.bin", "8", "8", HEARTH_OK},
        {"dir/w.bin", NULL, NULL, HEARTH_OK},
        {"w.bin", "9", "8", HEARTH_E_TRUNCATED},
        {"w.bin", "18446744073709551615", "8", HEARTH_E_TRUNCATED},
        {"w.bin", "18446744073709551616", "8", HEARTH_E_FORMAT},
        {"w.bin", "-1", "8", HEARTH_E_FORMAT},
        {"w.bin", "0x8", "8", HEARTH_E_FORMAT},
        {"w.bin", "", "8", HEARTH_E_FORMAT},
        {"w.bin", "0", "4", HEARTH_E_MISMATCH},
        {"/etc/passwd", "0", "8", HEARTH_E_FORMAT},
        {"..", "0", "8", HEARTH_E_FORMAT},
        {"../w", "0", "8", HEARTH_E_FORMAT},
        {"a/../../b", "0", "8", HEARTH_E_FORMAT},
        {"a\\b", "0", "8", HEARTH_E_FORMAT},
        {"", "0", "8", HEARTH_E_FORMAT},
        {".", "0", "8", HEARTH_E_FORMAT},
        {"./w", "0", "8", HEARTH_E_FORMAT},
        {"a//b", "0", "8", HEARTH_E_FORMAT},
        {"w/", "0", "8", HEARTH_E_FORMAT},
        {"c:w", "0", "8", HEARTH_E_FORMAT},
        {"a\nb", "0", "8", HEARTH_E_FORMAT},
        {NULL, "0", "8", HEARTH_E_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct external x = {0};
        struct hx_external hooks = {external_open, &x};
        struct loaded l;
        struct pb m = external_model(cases[i].location, cases[i].offset, cases[i].length);
        hearth_status status = load_bytes(&l, m.at, m.n, &hooks);
        if (status != cases[i].status)
            fail_msg("%s: %d %s", cases[i].location ? cases[i].location : "(none)", status, l.err.text);
        if (status == HEARTH_OK) {
            assert_string_equal(x.asked, cases[i].location);
            float first;
            memcpy(&first, l.model.graph.initializers[1].data, 4);
            assert_true(first == (cases[i].offset ? 7 : 5));
            close_loaded(&l);
        }
        status = load_bytes(&l, m.at, m.n, NULL); /* not switched on */
        assert_int_not_equal(status, HEARTH_OK);
        pb_free(&m);
    }
    struct external x = {0};
    struct hx_external hooks = {external_open, &x};
    struct loaded l;
    const int64_t dims[1] = {2};
    struct pb t = tensor_of("t", HX_FLOAT, dims, 1), e = {0};
    pb_text(&e, 1, "location"), pb_text(&e, 2, "w");
    pb_bytes(&t, 13, e.at, e.n);
    pb_put(&t, 13, e); /* the key twice */
    pb_int(&t, 14, 1);
    struct pb m = model_with_tensor(t);
    assert_int_equal(load_bytes(&l, m.at, m.n, &hooks), HEARTH_E_FORMAT);
    assert_int_equal(x.calls, 0);
    pb_free(&m);
}

/* ---- a real graph: every bit, every length, every allocation. With the argument `full` all of the file;
 * else one bit in eight of it, in an order that takes every place of a byte in turn. */

static bool full;

static void toy_open(struct hb_file *file)
{
    hearth_error err;
    if (hb_os_file_open(TOY, HB_MAP_NO_MMAP, 0, file, &err) != HEARTH_OK)
        fail_msg("%s", err.text);
}

static void toy_bert_loads(void **state)
{
    struct hb_file file;
    struct loaded l;
    toy_open(&file);
    if (load_bytes(&l, file.bytes, file.size, NULL) != HEARTH_OK)
        fail_msg("%s", l.err.text);
    printf("%u nodes, %u initializers, %zu of %zu bytes kept outside of the file\n",
           l.model.graph.n_nodes, l.model.graph.n_initializers, hb_arena_used(&l.arena), file.size);
    assert_true(l.model.graph.n_nodes > 50);
    close_loaded(&l);
    hb_os_file_close(&file);
}

/* What the walk lets through, the decoder takes: of the slim copy always, and of the file too, but for
 * groups in unknown fields, which the walk drops and protobuf-c does not know. */
static void check_against_decoder(const void *bytes, size_t n, int *walked, int *decoded,
                                  int *groups)
{
    struct hb_arena arena;
    struct hx_wire wire;
    hb_arena_init_growing(&arena, hb_os_heap());
    hearth_status status = hx_wire_walk(bytes, n, &arena, &wire, NULL);
    HxPb__Model *whole = hx_pb__model__unpack(NULL, n, bytes);
    *decoded += whole != NULL;
    if (status == HEARTH_OK) {
        HxPb__Model *slim = hx_pb__model__unpack(NULL, wire.slim_bytes, wire.slim);
        assert_non_null(slim);
        *groups += whole == NULL;
        if (whole) {
            assert_int_equal(slim->graph ? slim->graph->n_node : 0,
                             whole->graph ? whole->graph->n_node : 0);
            assert_int_equal(slim->graph ? slim->graph->n_initializer : 0,
                             whole->graph ? whole->graph->n_initializer : 0);
            assert_int_equal(slim->ir_version, whole->ir_version);
        }
        hx_pb__model__free_unpacked(slim, NULL);
        ++*walked;
    }
    if (whole)
        hx_pb__model__free_unpacked(whole, NULL);
    hb_arena_release(&arena);
}

static void changed_and_cut_files_never_crash(void **state)
{
    struct hb_file file;
    int loaded = 0, walked = 0, decoded = 0, groups = 0, tried = 0;
    uint64_t seed = 3;
    toy_open(&file);
    uint8_t *bytes = malloc(file.size);
    memcpy(bytes, file.bytes, file.size);
    for (size_t bit = 0; bit < 8 * file.size; bit += full ? 1 : 7 + test_rand(&seed) % 3) {
        struct loaded l;
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (load_bytes(&l, bytes, file.size, NULL) == HEARTH_OK) {
            loaded++;
            close_loaded(&l);
        }
        if (tried % 5 == 0)
            check_against_decoder(bytes, file.size, &walked, &decoded, &groups);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        tried++;
    }
    int cut = 0;
    for (size_t len = 0; len < file.size; len += full ? 1 : 1 + test_rand(&seed) % 31, cut++) {
        struct loaded l;
        uint8_t *exact = malloc(len ? len : 1); /* so that a byte too far is seen */
        memcpy(exact, file.bytes, len);
        if (load_bytes(&l, exact, len, NULL) == HEARTH_OK)
            fail_msg("%zu of %zu bytes load", len, file.size);
        free(exact);
    }
    printf("%d bits changed: %d load; walk lets %d through, the decoder alone %d; %d have "
           "groups; %d lengths refused\n", tried, loaded, walked, decoded, groups, cut);
    assert_true(groups < walked / 100);
    free(bytes);
    hb_os_file_close(&file);
}

struct counted {
    int left;
};

static void *counted_alloc(void *user, size_t size)
{
    struct counted *c = user;
    return c->left-- > 0 ? malloc(size) : NULL;
}

static void counted_free(void *user, void *p, size_t size)
{
    free(p);
}

static void every_refused_allocation_is_reported(void **state)
{
    struct hb_file file;
    int refused = 0;
    toy_open(&file);
    for (int nth = 0;; nth++, refused++) {
        struct counted c = {nth};
        struct hb_alloc hooks = {counted_alloc, counted_free, &c};
        struct hb_arena arena;
        struct hx_model model;
        hb_arena_init_growing(&arena, &hooks);
        hearth_status status = hx_load(file.bytes, file.size, &arena, NULL, &model, NULL);
        hb_arena_release(&arena);
        if (status == HEARTH_OK)
            break;
        assert_int_equal(status, HEARTH_E_MEMORY);
    }
    assert_true(refused > 0);
    struct loaded l;
    assert_int_equal(load_bytes(&l, file.bytes, file.size, NULL), HEARTH_OK);
    size_t need = hb_arena_used(&l.arena);
    close_loaded(&l);
    int sizes = 0;
    for (size_t size = 0; size < need + 4096; size += 1 + need / 199, sizes++) {
        struct hb_arena arena;
        struct hx_model model;
        uint8_t *mem = malloc(size ? size : 1);
        hb_arena_init_fixed(&arena, mem, size);
        hearth_status status = hx_load(file.bytes, file.size, &arena, NULL, &model, NULL);
        assert_true(status == HEARTH_OK || status == HEARTH_E_MEMORY);
        free(mem);
    }
    printf("%d allocations refused, %d sizes of a fixed arena\n", refused, sizes);
    hb_os_file_close(&file);
}

static void a_tensor_file_is_read(void **state)
{
    struct hb_arena arena;
    struct hx_tensor t;
    struct pb m = weights("w");
    hb_arena_init_growing(&arena, hb_os_heap());
    assert_int_equal(hx_load_tensor(m.at, m.n, &arena, &t, NULL), HEARTH_OK);
    assert_string_equal(t.name, "w");
    assert_int_equal(t.dim[0], 2);
    for (size_t n = 0; n < m.n; n++) {
        hearth_status status = hx_load_tensor(m.at, n, &arena, &t, NULL);
        assert_int_not_equal(status, HEARTH_OK);
    }
    hb_arena_release(&arena);
    pb_free(&m);
}

static void files_are_told_by_their_first_bytes(void **state)
{
    struct pb m = model_add();
    assert_true(hx_looks_like(m.at, m.n));
    assert_false(hx_looks_like("GGUF\3\0\0\0", 8));
    assert_false(hx_looks_like("PK\3\4", 4));
    assert_false(hx_looks_like("{\"a\": 1}", 8));
    assert_false(hx_looks_like("", 0));
    pb_free(&m);
}

int main(int argc, char **argv)
{
    full = argc > 1 && strcmp(argv[1], "full") == 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_model_loads),
        cmocka_unit_test(packed_and_single_numbers_mix),
        cmocka_unit_test(packed_floats_are_borrowed_and_pieces_joined),
        cmocka_unit_test(the_last_of_a_field_counts_and_messages_merge),
        cmocka_unit_test(every_kind_of_attribute_is_read),
        cmocka_unit_test(unknown_bulk_is_skipped_without_copies),
        cmocka_unit_test(external_data_are_asked_for_and_bounded),
        cmocka_unit_test(toy_bert_loads),
        cmocka_unit_test(changed_and_cut_files_never_crash),
        cmocka_unit_test(every_refused_allocation_is_reported),
        cmocka_unit_test(a_tensor_file_is_read),
        cmocka_unit_test(files_are_told_by_their_first_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* External data through the library: only where a directory is given, only downwards, no links, and only
 * regular files. */
#define _GNU_SOURCE
#include "onnx/pb_writer.h"
#include <sys/stat.h>
#include <unistd.h>

/* y = x + w, w in another file */
static struct pb model_of(const char *location)
{
    struct pb m = {0}, g = {0}, w = {0}, e = {0}, n = {0}, o = {0};
    pb_int(&w, 1, 2);
    pb_int(&w, 2, 1);
    pb_text(&w, 8, "w");
    pb_text(&e, 1, "location");
    pb_text(&e, 2, location);
    pb_put(&w, 13, e);
    pb_int(&w, 14, 1);
    pb_text(&n, 1, "x");
    pb_text(&n, 1, "w");
    pb_text(&n, 2, "y");
    pb_text(&n, 4, "Add");
    pb_put(&g, 1, n);
    pb_put(&g, 5, w);
    for (uint32_t field = 11; field <= 12; field++) {
        struct pb v = {0}, type = {0}, tensor = {0}, shape = {0}, dim = {0};
        pb_int(&dim, 1, 2);
        pb_put(&shape, 1, dim);
        pb_int(&tensor, 1, 1);
        pb_put(&tensor, 2, shape);
        pb_put(&type, 1, tensor);
        pb_text(&v, 1, field == 11 ? "x" : "y");
        pb_put(&v, 2, type);
        pb_put(&g, field, v);
    }
    pb_int(&o, 2, 17);
    pb_int(&m, 1, 8);
    pb_put(&m, 8, o);
    pb_put(&m, 7, g);
    return m;
}

static char root[64];

static void in_root(const char *name, char *path, size_t size)
{
    snprintf(path, size, "%s/%s", root, name);
}

static void put_file(const char *name, const void *bytes, size_t n)
{
    char path[128];
    in_root(name, path, sizeof path);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static int make_root(void **state)
{
    static const float w[2] = {10, 20};
    char path[128], target[128];
    strcpy(root, "/tmp/hearth-external-XXXXXX");
    assert_non_null(mkdtemp(root));
    in_root("inside", path, sizeof path);
    assert_int_equal(mkdir(path, 0700), 0);
    put_file("w.bin", w, sizeof w);
    put_file("inside/w.bin", w, sizeof w);
    put_file("short.bin", w, 4);
    put_file("empty.bin", w, 0);
    in_root("w.bin", target, sizeof target);
    in_root("link.bin", path, sizeof path);
    assert_int_equal(symlink(target, path), 0);
    in_root("inside", target, sizeof target);
    in_root("linked", path, sizeof path);
    assert_int_equal(symlink(target, path), 0);
    in_root("pipe", path, sizeof path);
    assert_int_equal(mkfifo(path, 0600), 0);
    return 0;
}

static int remove_root(void **state)
{
    static const char *const names[] = {"inside/w.bin", "inside", "w.bin", "short.bin", "empty.bin",
                                        "link.bin", "linked", "pipe", ""};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        in_root(names[i], path, sizeof path);
        if (remove(path) != 0)
            printf("left behind: %s\n", path);
    }
    return 0;
}

static hearth_status open_model(const char *location, const char *dir, struct pb *m,
                                hearth_model **model, hearth_error *err)
{
    *m = model_of(location);
    hearth_bytes bytes = {m->at, m->n};
    hearth_model_config config = {.struct_size = sizeof config, .external_dir = dir};
    return hearth_model_open(&bytes, 1, &config, model, err);
}

static void files_inside_the_directory_are_read(void **state)
{
    static const char *const names[] = {"w.bin", "inside/w.bin"};
    for (int i = 0; i < 2; i++) {
        hearth_model *model;
        hearth_session *session;
        hearth_error err = {0};
        struct pb m;
        if (open_model(names[i], root, &m, &model, &err) != HEARTH_OK)
            fail_msg("%s: %s", names[i], err.text);
        assert_int_equal(hearth_session_open(model, NULL, &session, &err), HEARTH_OK);
        const float x[2] = {1, 2};
        hearth_tensor in = {.name = "x", .type = HEARTH_DTYPE_F32, .rank = 1, .dim = {2}, .data = x,
                            .bytes = sizeof x}, out;
        assert_int_equal(hearth_session_infer(session, &in, 1, &out, 1, &err), HEARTH_OK);
        const float want[2] = {11, 22};
        assert_memory_equal(out.data, want, sizeof want);
        hearth_session_close(session);
        hearth_model_close(model);
        pb_free(&m);
    }
}

static void everything_else_is_refused(void **state)
{
    static const struct {
        const char *location;
        hearth_status status;
        const char *says;
    } cases[] = {
        {"link.bin", HEARTH_E_IO, "link"},
        {"linked/w.bin", HEARTH_E_IO, "link"},
        {"missing.bin", HEARTH_E_NOT_FOUND, "missing.bin"},
        {"inside", HEARTH_E_FORMAT, "directory"},
        {"pipe", HEARTH_E_FORMAT, "regular file"},
        {"empty.bin", HEARTH_E_TRUNCATED, "empty"},
        {"short.bin", HEARTH_E_TRUNCATED, "4 bytes"},
        {"w.bin/x", HEARTH_E_IO, "no directory"},
        {"../w.bin", HEARTH_E_FORMAT, "downwards"},
        {"/etc/hostname", HEARTH_E_FORMAT, "downwards"},
    };
    hearth_model *model;
    hearth_error err;
    struct pb m;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hearth_status status = open_model(cases[i].location, root, &m, &model, &err);
        if (status != cases[i].status || !strstr(err.text, cases[i].says))
            fail_msg("%s: %d %s", cases[i].location, status, err.text);
        pb_free(&m);
    }
    assert_int_equal(open_model("w.bin", NULL, &m, &model, &err), HEARTH_E_UNSUPPORTED);
    pb_free(&m);
    assert_int_equal(open_model("w.bin", "/nowhere", &m, &model, &err), HEARTH_E_NOT_FOUND);
    pb_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_inside_the_directory_are_read),
        cmocka_unit_test(everything_else_is_refused),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}

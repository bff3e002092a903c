/* Row G-40: every single-bit flip in the first 4 KiB of a model, and every length it can be cut to,
 * through open, plan and one token. Nothing may crash, hang or leak; outcomes are counted and printed.
 * Then the allocations: each in turn is refused. With a model file as argument, that one is swept. */
#include "toy_gguf.h"

#define SWEEP_BYTES 4096
#define SWEEP_STATUSES 100

struct sweep {
    size_t by_stage[TOY_DONE + 1];
    size_t by_status[SWEEP_STATUSES];
    size_t variants, peak;
    double slowest_ms;
};

static void sweep_one(struct sweep *s, const uint8_t *bytes, size_t n)
{
    struct gw_heap heap = {.refuse_at = -1};
    hearth_error err;
    hearth_status status;
    /* a copy of exactly this size, so that a read past the end is seen */
    uint8_t *copy = malloc(n ? n : 1);
    memcpy(copy, bytes, n);
    double start = gw_now_ms();
    enum toy_stage stage = toy_through(copy, n, &heap, &status, &err);
    double ms = gw_now_ms() - start;
    free(copy);
    assert_int_equal(heap.live, 0);
    assert_true(status >= 0 && status < SWEEP_STATUSES);
    if (status != HEARTH_OK) {
        assert_int_equal(err.status, status);
        assert_true(err.text[0] != 0);
    }
    assert_int_not_equal(status, HEARTH_E_INTERNAL);
    assert_int_not_equal(status, HEARTH_E_MEMORY);
    s->variants++;
    s->by_stage[stage]++;
    s->by_status[status]++;
    s->slowest_ms = ms > s->slowest_ms ? ms : s->slowest_ms;
    s->peak = heap.peak > s->peak ? heap.peak : s->peak;
}

static void sweep_print(const struct sweep *s, const char *what)
{
    print_message("%s: %zu variants; refused at open %zu, at plan %zu, at run %zu; ran %zu\n", what,
                  s->variants, s->by_stage[TOY_OPEN], s->by_stage[TOY_PLAN], s->by_stage[TOY_RUN],
                  s->by_stage[TOY_DONE]);
    for (int i = 0; i < SWEEP_STATUSES; i++)
        if (s->by_status[i])
            print_message("    %7zu  %s\n", s->by_status[i], hearth_status_text((hearth_status)i));
    print_message("    slowest %.1f ms, most memory %zu KiB\n", s->slowest_ms, s->peak >> 10);
    assert_true(s->slowest_ms < 5000);
    assert_true(s->peak < (96u << 20));
}

static void sweep_model(struct gw *w, const char *name)
{
    struct sweep flips = {0}, cuts = {0};
    size_t n = w->len < SWEEP_BYTES ? w->len : SWEEP_BYTES;
    for (size_t bit = 0; bit < 8 * n; bit++) {
        w->at[bit / 8] ^= (uint8_t)(1u << (bit & 7));
        sweep_one(&flips, w->at, w->len);
        w->at[bit / 8] ^= (uint8_t)(1u << (bit & 7));
    }
    for (size_t len = 0; len < w->len; len++)
        sweep_one(&cuts, w->at, len);
    print_message("%s, %zu bytes\n", name, w->len);
    sweep_print(&flips, "  bit flips");
    sweep_print(&cuts, "  truncations");
    assert_int_equal(cuts.by_stage[TOY_DONE], 0);
}

static void every_flip_and_every_length_of_a_toy(void **state)
{
    (void)state;
    const struct toy_patch patch = {0};
    struct gw w = {0};
    toy_write(&w, &patch);
    sweep_model(&w, "toy");
    gw_free(&w);
}

/* The n-th allocation is refused, for every n; then every one from the n-th on. */
static void every_refused_allocation_is_a_status(void **state)
{
    (void)state;
    const struct toy_patch patch = {0};
    struct gw w = {0};
    toy_write(&w, &patch);
    for (int for_ever = 0; for_ever <= 1; for_ever++) {
        size_t by_stage[TOY_DONE + 1] = {0};
        long n = 0;
        for (;; n++) {
            struct gw_heap heap = {.refuse_at = n, .refuse_for_ever = for_ever};
            hearth_error err;
            hearth_status status;
            enum toy_stage stage = toy_through(w.at, w.len, &heap, &status, &err);
            assert_int_equal(heap.live, 0);
            if (heap.calls <= (size_t)n) {
                assert_int_equal(status, HEARTH_OK);
                break;
            }
            by_stage[stage]++;
            /* a growing arena asks again for less when a wish is refused: then all may be well */
            assert_true(status == HEARTH_E_MEMORY || (status == HEARTH_OK && !for_ever));
            assert_true(n < 10000);
        }
        print_message("%ld allocations refused in turn%s: %zu ends at open, %zu at plan, %zu went on\n",
                      n, for_ever ? ", with all after it" : "", by_stage[TOY_OPEN],
                      by_stage[TOY_PLAN], by_stage[TOY_DONE]);
    }
    gw_free(&w);
}

/* The same with the caller's memory, where every piece of it is a place to run out. */
static void every_smaller_block_is_refused(void **state)
{
    (void)state;
    const struct toy_patch patch = {0};
    struct gw w = {0};
    hearth_error err;
    hearth_model *model;
    size_t need = 0, refused = 0;
    toy_write(&w, &patch);
    hearth_bytes part = {w.at, w.len};
    assert_int_equal(hearth_model_need(&part, 1, NULL, &need, &err), HEARTH_OK);
    uint8_t *mem = malloc(need);
    for (size_t n = 0; n < need; n += 8) {
        hearth_model_config config = {.struct_size = sizeof config, .mem = mem, .mem_bytes = n};
        hearth_status s = hearth_model_open(&part, 1, &config, &model, &err);
        if (s == HEARTH_OK) {
            hearth_model_close(model);
            continue;
        }
        assert_int_equal(s, HEARTH_E_MEMORY);
        refused++;
    }
    hearth_model_config config = {.struct_size = sizeof config, .mem = mem, .mem_bytes = need};
    assert_int_equal(hearth_model_open(&part, 1, &config, &model, &err), HEARTH_OK);
    hearth_model_close(model);
    print_message("a block of %zu bytes is enough; %zu smaller ones were refused\n", need, refused);
    free(mem);
    gw_free(&w);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flip_and_every_length_of_a_toy),
        cmocka_unit_test(every_refused_allocation_is_a_status),
        cmocka_unit_test(every_smaller_block_is_refused),
    };
    for (int i = 1; i < argc; i++) {
        struct gw w = {0};
        if (!gw_read(&w, argv[i]))
            return 1;
        sweep_model(&w, argv[i]);
        gw_free(&w);
    }
    return argc > 1 ? 0 : cmocka_run_group_tests(tests, NULL, NULL);
}

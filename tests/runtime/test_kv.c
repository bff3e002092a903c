/* The KV cache against a naive model: random appends, forks, trims; contents, sharing and the page
 * balance are compared after every operation. */
#include "test_support.h"
#include "runtime/hr_kv.h"
#include "base/os/hb_os.h"

#define SEQS    6
#define CTX     200
#define TOKENS  640
#define OPS     20000

struct naive_seq {
    int32_t length;
    uint32_t mark[CTX]; /* what was written at each position */
};

struct world {
    struct hb_arena arena;
    struct hr_kv kv;
    struct naive_seq naive[SEQS];
    uint8_t *block;
    uint32_t next_mark;
};

static const struct ht_kv_layer world_layers[2] = {{2, 4, 4}, {1, 8, 4}};
static const struct ht_lm world_lm = {.kv = world_layers, .n_layers = 2};

static void world_make(struct world *w)
{
    memset(w, 0, sizeof *w);
    hb_arena_init_growing(&w->arena, hb_os_heap());
    assert_int_equal(hr_kv_init(&w->kv, &world_lm, HK_KV_F32, HK_KV_F32, CTX, SEQS, TOKENS,
                                &w->arena, NULL),
                     HEARTH_OK);
    w->block = calloc(1, w->kv.bytes);
    hr_kv_place(&w->kv, w->block);
}

static void world_free(struct world *w)
{
    free(w->block);
    hb_arena_release(&w->arena);
}

/* One word per position in every head's V page of every layer, where attention would look. */
static uint32_t *world_slot(struct world *w, int32_t layer, int32_t head, int32_t seq, int32_t pos)
{
    const struct ht_kv_layer_view *l = &w->kv.layers[layer];
    uint32_t page = w->kv.seqs[seq].pages[pos / HK_KV_PAGE];
    size_t d_v = (size_t)world_layers[layer].d_v;
    uint8_t *v = ht_kv_page(l, head, page) + l->v_off;
    return (uint32_t *)(void *)(v + (size_t)(pos % HK_KV_PAGE) * d_v * sizeof(float));
}

static void world_append(struct world *w, int32_t seq, int32_t n)
{
    struct naive_seq *s = &w->naive[seq];
    if (n > CTX - s->length || hr_kv_count(&w->kv, seq, n) > w->kv.n_free)
        return;
    uint32_t before = w->kv.n_free, want = hr_kv_count(&w->kv, seq, n);
    hr_kv_extend(&w->kv, seq, n);
    assert_int_equal(before - w->kv.n_free, want);
    for (int32_t i = 0; i < n; i++, s->length++) {
        s->mark[s->length] = ++w->next_mark;
        for (int32_t layer = 0; layer < 2; layer++)
            for (int32_t h = 0; h < world_layers[layer].n_kv_heads; h++)
                *world_slot(w, layer, h, seq, s->length) = w->next_mark;
    }
}

static void world_check(struct world *w)
{
    uint32_t owned[TOKENS / HK_KV_PAGE] = {0}, used = 0;
    for (int32_t q = 0; q < SEQS; q++) {
        assert_int_equal(w->kv.seqs[q].length, w->naive[q].length);
        for (int32_t p = 0; p < w->naive[q].length; p++)
            for (int32_t layer = 0; layer < 2; layer++)
                for (int32_t h = 0; h < world_layers[layer].n_kv_heads; h++)
                    if (*world_slot(w, layer, h, q, p) != w->naive[q].mark[p])
                        fail_msg("sequence %d position %d", q, p);
        for (int32_t p = 0; p < w->naive[q].length; p += HK_KV_PAGE)
            owned[w->kv.seqs[q].pages[p / HK_KV_PAGE]]++;
    }
    for (uint32_t i = 0; i < w->kv.n_pages; i++) {
        assert_int_equal(owned[i], w->kv.owners[i]);
        used += owned[i] > 0;
    }
    assert_int_equal(used + w->kv.n_free, w->kv.n_pages);
}

static void random_operations_equal_a_naive_cache(void **state)
{
    (void)state;
    struct world w;
    uint64_t seed = 20;
    world_make(&w);
    for (int i = 0; i < OPS; i++) {
        int32_t a = (int32_t)(test_rand(&seed) % SEQS), b = (int32_t)(test_rand(&seed) % SEQS);
        int32_t n = w.naive[a].length ? (int32_t)(test_rand(&seed) % (uint64_t)(w.naive[a].length + 1)) : 0;
        switch (test_rand(&seed) % 4) {
        case 0:
        case 1:
            world_append(&w, a, 1 + (int32_t)(test_rand(&seed) % 40));
            break;
        case 2:
            hr_kv_trim(&w.kv, a, n);
            w.naive[a].length = n;
            break;
        default:
            hr_kv_fork(&w.kv, a, b, n);
            if (a != b)
                w.naive[b] = w.naive[a];
            w.naive[b].length = n;
        }
        world_check(&w);
    }
    for (int32_t q = 0; q < SEQS; q++)
        hr_kv_trim(&w.kv, q, 0);
    assert_int_equal(w.kv.n_free, w.kv.n_pages);
    world_free(&w);
}

static void a_fork_shares_pages_and_copies_on_write(void **state)
{
    (void)state;
    struct world w;
    world_make(&w);
    world_append(&w, 0, 40); /* 2 full pages and a half */
    uint32_t used = w.kv.n_pages - w.kv.n_free;
    hr_kv_fork(&w.kv, 0, 1, 40);
    w.naive[1] = w.naive[0];
    assert_int_equal(w.kv.n_pages - w.kv.n_free, used);
    assert_int_equal(hr_kv_count(&w.kv, 1, 1), 1); /* the shared half page is copied */
    world_append(&w, 1, 1);
    assert_int_equal(w.kv.n_pages - w.kv.n_free, used + 1);
    assert_int_equal(hr_kv_count(&w.kv, 0, 1), 0); /* seq 0 owns its half page alone again */
    world_append(&w, 0, 1);
    world_check(&w);
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_equal_a_naive_cache),
        cmocka_unit_test(a_fork_shares_pages_and_copies_on_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

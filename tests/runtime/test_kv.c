/* The KV cache against a naive model of it (kv_world.h), and what it promises about budgets, sharing and
 * eviction. `test_kv N` runs the random part with N operations. */
#include "kv_world.h"

#define QUICK_OPS 40000

static long n_ops = QUICK_OPS;

static void run_random(const struct world_config *c, long ops, uint64_t seed)
{
    static struct world w;
    world_make(&w, c);
    for (long i = 0; i < ops; i++) {
        uint64_t r = test_rand(&seed);
        uint8_t op[4];
        memcpy(op, &r, 4);
        world_op(&w, op);
        world_check(&w);
    }
    for (int i = 0; i < 8; i++)
        assert_true(w.ops[i] > 0);
    if (ops >= QUICK_OPS / 8 && !c->no_prefix)
        assert_true(w.kv.count.hit_tokens > 0 && w.kv.count.merged_pages > 0);
    assert_true(w.kv.count.copied_pages > 0 && w.kv.count.evicted_pages > 0);
    assert_true(!c->window || w.kv.count.dropped_pages > 0);
    for (int32_t q = 0; q < WORLD_SEQS; q++)
        hr_kv_trim(&w.kv, q, 0);
    assert_int_equal(w.kv.n_free, w.kv.n_pages);
    assert_int_equal(w.kv.prefix.n_listed, 0);
    world_free(&w);
}

static void random_operations_equal_a_naive_cache(void **state)
{
    (void)state;
    static const struct world_config configs[] = {
        {0, 0, HEARTH_EVICT_LRU, false},   {0, 0, HEARTH_EVICT_FIFO, true},
        {0, 0, HEARTH_EVICT_LFU, false},   {4, 100, HEARTH_EVICT_LRU, false},
        {0, 64, HEARTH_EVICT_LRU, false},  {70, 33, HEARTH_EVICT_FIFO, false},
    };
    size_t n = sizeof configs / sizeof *configs;
    for (size_t i = 0; i < n; i++)
        run_random(&configs[i], n_ops / (long)n + 1, 20 + i);
}

static void fill(struct world *w, int32_t seq, int32_t n)
{
    while (n > 0) {
        int32_t now = n < 32 ? n : 32, before = w->naive[seq].length;
        world_append(w, seq, now, false);
        assert_int_equal(w->naive[seq].length, before + now);
        n -= now;
    }
}

static void a_fork_shares_pages_and_copies_on_write(void **state)
{
    (void)state;
    static struct world w;
    world_make(&w, &(struct world_config){.no_prefix = true});
    fill(&w, 0, 40); /* 2 full pages and a half */
    uint32_t used = w.kv.n_pages - w.kv.n_free;
    world_fork(&w, 0, 1, 40);
    assert_int_equal(w.kv.n_pages - w.kv.n_free, used);
    assert_int_equal(hr_kv_count(&w.kv, 1, 1), 1); /* the shared half page is copied */
    fill(&w, 1, 1);
    assert_int_equal(w.kv.n_pages - w.kv.n_free, used + 1);
    assert_int_equal(hr_kv_count(&w.kv, 0, 1), 0); /* seq 0 owns its half page alone again */
    fill(&w, 0, 1);
    world_check(&w);
    world_free(&w);
}

/* A script of releases and uses after which each policy gives the sequences up in another order. */
static void the_policies_choose_differently(void **state)
{
    (void)state;
    static const int32_t released[] = {1, 0, 3, 2}, shared_from[] = {2, 2, 2, 0, 0, 3, 1};
    static const struct { hearth_evict policy; int32_t order[4]; } cases[] = {
        {HEARTH_EVICT_LRU, {2, 0, 3, 1}},
        {HEARTH_EVICT_FIFO, {1, 0, 3, 2}},
        {HEARTH_EVICT_LFU, {3, 1, 0, 2}}, /* 3 and 1 as often: the one used before goes first */
    };
    for (size_t i = 0; i < 3; i++) {
        static struct world w;
        world_make(&w, &(struct world_config){.policy = cases[i].policy, .no_prefix = true});
        for (int32_t q = 0; q < 4; q++)
            fill(&w, q, 64);
        for (int32_t q = 0; q < 4; q++)
            hr_kv_release(&w.kv, released[q]);
        for (size_t u = 0; u < 7; u++)
            hr_kv_touch(&w.kv, shared_from[u]);
        for (int32_t k = 0; k < 4; k++) {
            assert_int_equal(hr_kv_victim(&w.kv), cases[i].order[k]);
            assert_true(hr_kv_make_room(&w.kv, w.kv.n_free + 4));
            assert_int_equal(w.kv.seqs[cases[i].order[k]].length, 0);
        }
        assert_int_equal(w.kv.count.evictions, 4);
        assert_int_equal(w.kv.count.evicted_pages, 16);
        world_free(&w);
    }
}

static void running_sequences_are_never_evicted(void **state)
{
    (void)state;
    static struct world w;
    world_make(&w, &(struct world_config){.no_prefix = true});
    for (int32_t q = 0; q < 4; q++)
        fill(&w, q, 240); /* all 60 pages */
    assert_int_equal(w.kv.n_free, 0);
    assert_false(hr_kv_make_room(&w.kv, 1));
    hr_kv_release(&w.kv, 2);
    assert_false(hr_kv_make_room(&w.kv, 16)); /* it has 15: refused, and nothing is lost */
    assert_int_equal(w.kv.seqs[2].length, 240);
    assert_true(hr_kv_make_room(&w.kv, 4));
    assert_int_equal(w.kv.seqs[2].length, 240 - 64); /* from its end, no more than needed */
    assert_int_equal(w.kv.n_free, 4);
    world_fork(&w, 0, 4, 240);
    hr_kv_release(&w.kv, 4); /* holds nothing that 0 does not hold too */
    assert_true(hr_kv_make_room(&w.kv, 15));
    assert_false(hr_kv_make_room(&w.kv, 16));
    world_free(&w);
}

/* The most pages that fit into a budget, to the byte. */
static void the_byte_budget_is_kept_exactly(void **state)
{
    (void)state;
    size_t page = 16 * 4 * (2 * (4 + 4) + 1 * (8 + 4)); /* heads x (K + V) x 16 positions, f32 */
    for (size_t budget = page - 1; budget < 6 * page; budget += 61) {
        struct hb_arena arena;
        struct hr_kv kv;
        hb_arena_init_growing(&arena, hb_os_heap());
        const struct hr_kv_config config = {.n_ctx = 64, .n_seqs = 2, .n_tokens = 128,
                                            .max_bytes = budget};
        hearth_error err;
        hearth_status status = hr_kv_init(&kv, &world_lm, &config, &arena, &err);
        if (budget < page) {
            assert_int_equal(status, HEARTH_E_LIMIT);
        } else {
            assert_int_equal(status, HEARTH_OK);
            assert_true(kv.bytes <= budget);
            assert_int_equal(kv.n_pages, budget / page < 8 ? budget / page : 8);
        }
        hb_arena_release(&arena);
    }
}

static void equal_beginnings_are_shared_by_pages(void **state)
{
    (void)state;
    static struct world w;
    int32_t prompt[100];
    world_make(&w, &(struct world_config){0});
    fill(&w, 0, 100); /* script 0 */
    for (int32_t i = 0; i < 100; i++)
        prompt[i] = world_token(w.naive[0].script, i);
    uint32_t used = w.kv.n_pages - w.kv.n_free;
    assert_int_equal(w.kv.prefix.n_listed, 6);
    assert_int_equal(hr_kv_match(&w.kv, 1, prompt, 99), 96);
    assert_int_equal(w.kv.n_pages - w.kv.n_free, used);
    prompt[50]++;
    assert_int_equal(hr_kv_match(&w.kv, 2, prompt, 99), 48);
    assert_int_equal(hr_kv_match(&w.kv, 1, prompt, 99), 50); /* of its own, to the token */
    assert_int_equal(w.kv.count.hit_tokens, 96 + 48 + 50);
    hr_kv_trim(&w.kv, 0, 0);
    hr_kv_trim(&w.kv, 1, 0);
    hr_kv_trim(&w.kv, 2, 0);
    assert_int_equal(hr_kv_match(&w.kv, 3, prompt, 99), 0); /* nobody holds it any more */
    world_free(&w);
}

static void pages_computed_twice_are_merged(void **state)
{
    (void)state;
    static struct world w;
    world_make(&w, &(struct world_config){0});
    fill(&w, 0, 32);
    w.ops[0] = 0; /* the same script again */
    fill(&w, 1, 32);
    assert_int_equal(w.kv.count.merged_pages, 2);
    assert_int_equal(w.kv.n_pages - w.kv.n_free, 2);
    world_check(&w);
    world_free(&w);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_equal_a_naive_cache),
        cmocka_unit_test(a_fork_shares_pages_and_copies_on_write),
        cmocka_unit_test(the_policies_choose_differently),
        cmocka_unit_test(running_sequences_are_never_evicted),
        cmocka_unit_test(the_byte_budget_is_kept_exactly),
        cmocka_unit_test(equal_beginnings_are_shared_by_pages),
        cmocka_unit_test(pages_computed_twice_are_merged),
    };
    if (argc > 1)
        n_ops = atol(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

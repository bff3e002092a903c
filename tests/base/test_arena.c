/* Arenas: alignment of addresses, overflow, high-water mark, generations, concurrent taking. */
#include "test_support.h"
#include "base/hb_arena.h"
#include "base/os/hb_os.h"

static void addresses_are_aligned_on_an_odd_base(void **state)
{
    (void)state;
    static uint8_t block[64 * 1024];
    struct hb_arena a;
    hb_arena_init_fixed(&a, block + 1, sizeof block - 1);
    for (size_t align = 1; align <= 4096; align *= 2) {
        void *p;
        assert_int_equal(hb_arena_take(&a, 3, align, &p, NULL), HEARTH_OK);
        assert_int_equal((uintptr_t)p % align, 0);
    }
}

static void sizes_near_the_maximum_are_refused(void **state)
{
    (void)state;
    uint8_t block[256];
    struct hb_arena a;
    hearth_error err;
    void *p = block;
    hb_arena_init_fixed(&a, block, sizeof block);
    assert_int_equal(hb_arena_take(&a, SIZE_MAX - 7, 4096, &p, &err), HEARTH_E_MEMORY);
    assert_int_equal(hb_arena_take_array(&a, SIZE_MAX / 2, 8, 8, &p, &err), HEARTH_E_MEMORY);
    assert_ptr_equal(p, block);
    assert_int_equal(hb_arena_used(&a), 0);
}

static void a_full_arena_names_both_numbers(void **state)
{
    (void)state;
    HB_ALIGNAS(64) uint8_t block[128];
    struct hb_arena a;
    hearth_error err;
    void *p;
    hb_arena_init_fixed(&a, block, sizeof block);
    assert_int_equal(hb_arena_take(&a, 100, 1, &p, &err), HEARTH_OK);
    assert_int_equal(hb_arena_take(&a, 29, 1, &p, &err), HEARTH_E_MEMORY);
    assert_string_equal(err.text, "arena: 29 more bytes asked, 28 of 128 are left");
    assert_int_equal(hb_arena_take(&a, 28, 1, &p, &err), HEARTH_OK);
}

static void reset_keeps_the_high_water_mark_and_ends_the_generation(void **state)
{
    (void)state;
    uint8_t block[1024];
    struct hb_arena a;
    void *p;
    hb_arena_init_fixed(&a, block, sizeof block);
    struct hb_arena_mark mark = hb_arena_mark(&a);
    hb_arena_take(&a, 700, 1, &p, NULL);
    assert_true(hb_arena_alive(&a, mark));
    hb_arena_reset(&a, mark);
    assert_false(hb_arena_alive(&a, mark));
    assert_int_equal(hb_arena_high(&a), 700);
    assert_int_equal(hb_arena_used(&a), 0);
}

struct counting_heap {
    size_t live, blocks;
    long refuse_at; /* which allocation is refused, -1 = none */
};

static void *counting_alloc(void *user, size_t size)
{
    struct counting_heap *h = user;
    if (h->refuse_at == 0)
        return NULL;
    h->refuse_at--;
    h->live += size;
    h->blocks++;
    return malloc(size);
}

static void counting_free(void *user, void *ptr, size_t size)
{
    struct counting_heap *h = user;
    h->live -= size;
    h->blocks--;
    free(ptr);
}

static void a_growing_arena_gives_every_chunk_back(void **state)
{
    (void)state;
    struct counting_heap heap = {.refuse_at = -1};
    struct hb_alloc hooks = {counting_alloc, counting_free, &heap};
    struct hb_arena a;
    uint64_t seed = 1;
    hb_arena_init_growing(&a, &hooks);
    for (int i = 0; i < 1000; i++) {
        size_t n = test_rand(&seed) % 5000, align = (size_t)1 << test_rand(&seed) % 8;
        uint8_t *p;
        assert_int_equal(hb_arena_take(&a, n, align, (void **)&p, NULL), HEARTH_OK);
        assert_int_equal((uintptr_t)p % align, 0);
        for (size_t j = 0; j < n; j++)
            assert_int_equal(p[j], 0);
        memset(p, 0xFF, n);
    }
    assert_true(heap.blocks > 1);
    hb_arena_release(&a);
    assert_int_equal(heap.blocks, 0);
    assert_int_equal(heap.live, 0);
}

static void a_refused_chunk_is_a_status(void **state)
{
    (void)state;
    struct counting_heap heap = {.refuse_at = 1};
    struct hb_alloc hooks = {counting_alloc, counting_free, &heap};
    struct hb_arena a;
    void *p;
    hb_arena_init_growing(&a, &hooks);
    assert_int_equal(hb_arena_take(&a, 1000, 1, &p, NULL), HEARTH_OK);
    assert_int_equal(hb_arena_take(&a, 1 << 20, 1, &p, NULL), HEARTH_E_MEMORY);
    hb_arena_release(&a);
    assert_int_equal(heap.blocks, 0);
}

#define TAKERS     4
#define TAKE_COUNT 2000

struct taker {
    struct hb_shared_arena *arena;
    uint32_t id, taken;
    uint32_t *pieces[TAKE_COUNT];
};

static void taker_main(void *arg)
{
    struct taker *t = arg;
    for (int i = 0; i < TAKE_COUNT; i++) {
        uint32_t *p = hb_shared_arena_take(t->arena, 16, 16);
        if (!p)
            break;
        p[0] = p[3] = t->id;
        t->pieces[t->taken++] = p;
    }
}

static void concurrent_takers_never_share_a_piece(void **state)
{
    (void)state;
    static HB_ALIGNAS(64) uint8_t block[TAKERS * TAKE_COUNT * 16 - 160]; /* 10 takes must fail */
    static struct taker takers[TAKERS];
    struct hb_os_thread threads[TAKERS];
    struct hb_shared_arena a;
    hb_shared_arena_init(&a, block, sizeof block);
    for (uint32_t i = 0; i < TAKERS; i++) {
        takers[i] = (struct taker){.arena = &a, .id = i + 1};
        assert_int_equal(hb_os_thread_start(&threads[i], taker_main, &takers[i], NULL), HEARTH_OK);
    }
    uint32_t total = 0;
    for (int i = 0; i < TAKERS; i++)
        hb_os_thread_join(&threads[i]);
    for (uint32_t i = 0; i < TAKERS; i++) {
        for (uint32_t j = 0; j < takers[i].taken; j++)
            assert_true(takers[i].pieces[j][0] == i + 1 && takers[i].pieces[j][3] == i + 1);
        total += takers[i].taken;
    }
    assert_int_equal(total, sizeof block / 16);
    assert_int_equal(atomic_load(&a.high), sizeof block);
}

static void messages_are_escaped_and_cut_on_character_boundaries(void **state)
{
    (void)state;
    char text[24];
    hb_format(text, sizeof text, "[%s] %d%%", "a\n\xFF\xC3\xA9", -5);
    assert_string_equal(text, "[a\\x0a\\xff\xC3\xA9] -5%");
    size_t n = hb_format(text, 12, "%s", "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9");
    assert_true(n < 12);
    assert_string_equal(text, "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9...");
    hb_format(text, sizeof text, "%g %g %g", 0.001, 123456.0, -2.5e-9);
    assert_string_equal(text, "0.001 123456 -2.5e-9");
    hb_format(text, sizeof text, "%zu %x %lld", (size_t)42, 255u, -9223372036854775807ll - 1);
    assert_string_equal(text, "42 ff -9223372036854...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_aligned_on_an_odd_base),
        cmocka_unit_test(sizes_near_the_maximum_are_refused),
        cmocka_unit_test(a_full_arena_names_both_numbers),
        cmocka_unit_test(reset_keeps_the_high_water_mark_and_ends_the_generation),
        cmocka_unit_test(a_growing_arena_gives_every_chunk_back),
        cmocka_unit_test(a_refused_chunk_is_a_status),
        cmocka_unit_test(concurrent_takers_never_share_a_piece),
        cmocka_unit_test(messages_are_escaped_and_cut_on_character_boundaries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The scheduler against a list that is searched from end to end, over random operations; and scripts that show
 * order, ageing, deadlines and limits. */
#include "test_support.h"
#include "base/os/hb_os.h"
#include "serve/hs_sched.h"

#define AGE 1000

static struct hb_arena arena;

static struct hs_sched *sched_make(uint32_t waiting, uint32_t running, const struct hs_lane_config *lanes,
                                   uint32_t n_lanes)
{
    const struct hs_sched_config config = {waiting, running, AGE, n_lanes, lanes};
    struct hs_sched *s;
    hb_arena_init_growing(&arena, hb_os_heap());
    assert_int_equal(hs_sched_create(&config, &arena, &s, NULL), HEARTH_OK);
    return s;
}

static struct hs_request request(uint64_t id, uint8_t priority)
{
    return (struct hs_request){.key = {1, id}, .priority = priority, .tokens = 10, .bytes = 100,
                               .deadline_ns = HS_NEVER};
}

static enum hs_admit push(struct hs_sched *s, uint64_t id, uint8_t priority, uint64_t now)
{
    struct hs_request r = request(id, priority);
    return hs_sched_push(s, &r, now);
}

static uint64_t take_one(struct hs_sched *s, uint64_t now) /* its id; 0: none */
{
    struct hs_request r;
    return hs_sched_take(s, 0, now, 0, &r, 1) ? r.key.id : 0;
}

static const struct hs_lane_config wide = {1000, 1000000, 1 << 30};

static void priorities_go_first_and_equals_in_order(void **state)
{
    (void)state;
    struct hs_sched *s = sched_make(16, 16, &wide, 1);
    static const uint8_t priority[] = {1, 0, 3, 1, 2, 3, 0, 2};
    static const uint64_t order[] = {3, 6, 5, 8, 1, 4, 2, 7, 0};
    for (uint64_t i = 0; i < HB_COUNT(priority); i++)
        assert_int_equal(push(s, i + 1, priority[i], i), HS_ADMITTED);
    for (size_t i = 0; i < HB_COUNT(order); i++)
        assert_int_equal(take_one(s, 10), order[i]);
    hb_arena_release(&arena);
}

static void waiting_raises_a_request_above_newer_critical_ones(void **state)
{
    (void)state;
    struct hs_sched *s = sched_make(64, 64, &wide, 1);
    push(s, 1, 0, 0);
    for (uint64_t i = 0; i < 40; i++) /* a critical one arrives every AGE / 4 */
        push(s, 100 + i, 3, i * AGE / 4);
    uint64_t before = 0, id;
    while ((id = take_one(s, 40 * AGE / 4)) != 1)
        before += id != 0;
    assert_int_equal(before, 9); /* those up to 2 * AGE; from there on whole ages are less than 3 ahead */
    hb_arena_release(&arena);
}

static void limits_refuse_by_reason_at_n_plus_1(void **state)
{
    (void)state;
    const struct hs_lane_config lanes[2] = {{2, 100, 1000}, {0, 100, 1000}};
    struct hs_sched *s = sched_make(3, 2, lanes, 2);
    struct hs_request r = request(1, 1);
    r.tokens = 100, r.bytes = 1000;
    assert_int_equal(hs_sched_push(s, &r, 0), HS_ADMITTED);
    assert_int_equal(hs_sched_push(s, &r, 0), HS_DUPLICATE);
    r.key.id = 2, r.tokens = 101;
    assert_int_equal(hs_sched_push(s, &r, 0), HS_TOO_LARGE);
    r.tokens = 100, r.bytes = 1001;
    assert_int_equal(hs_sched_push(s, &r, 0), HS_TOO_LARGE);
    r.bytes = 1000, r.lane = 1;
    assert_int_equal(hs_sched_push(s, &r, 0), HS_TOO_LARGE);
    r.lane = 2;
    assert_int_equal(hs_sched_push(s, &r, 0), HS_NO_LANE);
    r.lane = 0, r.priority = 4;
    assert_int_equal(hs_sched_push(s, &r, 0), HS_NO_LANE);
    r.priority = 1, r.deadline_ns = 5;
    assert_int_equal(hs_sched_push(s, &r, 5), HS_TOO_LATE);
    assert_int_equal(hs_sched_push(s, &r, 4), HS_ADMITTED);
    assert_int_equal(push(s, 3, 1, 0), HS_ADMITTED);
    assert_int_equal(push(s, 4, 1, 0), HS_QUEUE_FULL);
    assert_int_equal(take_one(s, 0), 1); /* takes all tokens of the lane */
    assert_int_equal(take_one(s, 0), 0);
    assert_int_equal(push(s, 4, 1, 0), HS_ADMITTED); /* there is a place again */
    assert_true(hs_sched_finish(s, (struct hs_key){1, 1}));
    assert_false(hs_sched_finish(s, (struct hs_key){1, 1}));
    assert_int_equal(take_one(s, 0), 2);
    for (size_t i = 0; i < 5; i++)
        assert_non_null(hs_admit_text((enum hs_admit)i));
    hb_arena_release(&arena);
}

static void batches_are_filled_up_to_their_tokens(void **state)
{
    (void)state;
    struct hs_sched *s = sched_make(16, 16, &wide, 1);
    struct hs_request out[8];
    static const uint32_t tokens[] = {5000, 2000, 2000, 96, 1, 4096};
    for (size_t i = 0; i < HB_COUNT(tokens); i++) {
        struct hs_request r = request(i + 1, 1);
        r.tokens = tokens[i];
        hs_sched_push(s, &r, 0);
    }
    assert_int_equal(hs_sched_take(s, 0, 0, 4096, out, 8), 1); /* larger than a batch: alone */
    assert_int_equal(hs_sched_take(s, 0, 0, 4096, out, 8), 3);
    assert_int_equal(hs_sched_take(s, 0, 0, 4096, out, 8), 1);
    assert_int_equal(hs_sched_take(s, 0, 0, 4096, out, 8), 1);
    assert_int_equal(out[0].tokens, 4096);
    hb_arena_release(&arena);
}

static void deadlines_come_in_order_and_once(void **state)
{
    (void)state;
    struct hs_sched *s = sched_make(16, 16, &wide, 1);
    struct hs_request r, out;
    static const uint64_t deadlines[] = {50, 20, 40, 10, 30};
    for (size_t i = 0; i < HB_COUNT(deadlines); i++) {
        r = request(i + 1, (uint8_t)(i == 1 ? 3 : 1));
        r.deadline_ns = deadlines[i];
        hs_sched_push(s, &r, 0);
    }
    assert_int_equal(take_one(s, 5), 2); /* runs, its deadline is 20 */
    assert_int_equal(hs_sched_expire(s, 9, &out), HS_UNKNOWN);
    assert_int_equal(hs_sched_next_deadline(s), 10);
    assert_int_equal(hs_sched_expire(s, 25, &out), HS_WAITING);
    assert_int_equal(out.key.id, 4);
    assert_int_equal(hs_sched_expire(s, 25, &out), HS_RUNNING);
    assert_int_equal(out.key.id, 2);
    assert_int_equal(hs_sched_expire(s, 25, &out), HS_UNKNOWN);
    assert_int_equal(take_one(s, 60), 0); /* what is past its deadline is not started */
    assert_int_equal(hs_sched_cancel(s, (struct hs_key){1, 2}, &out), HS_RUNNING);
    assert_true(hs_sched_finish(s, (struct hs_key){1, 2}));
    for (uint64_t want = 30; want <= 50; want += 10) {
        assert_int_equal(hs_sched_expire(s, 100, &out), HS_WAITING);
        assert_int_equal(out.deadline_ns, want);
    }
    assert_int_equal(hs_sched_next_deadline(s), HS_NEVER);
    hb_arena_release(&arena);
}

/* ---- against a list ---- */

#define MODEL_MAX 96
#define KEYS      160

struct model {
    struct hs_request r[MODEL_MAX];
    uint64_t since[MODEL_MAX], order[MODEL_MAX];
    bool running[MODEL_MAX], reported[MODEL_MAX]; /* reported: its deadline was told */
    size_t n;
    uint64_t n_pushed;
};

static size_t model_find(const struct model *m, uint64_t id)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->r[i].key.id == id)
            return i;
    return SIZE_MAX;
}

static void model_remove(struct model *m, size_t i)
{
    m->n--;
    m->r[i] = m->r[m->n];
    m->since[i] = m->since[m->n];
    m->order[i] = m->order[m->n];
    m->running[i] = m->running[m->n];
    m->reported[i] = m->reported[m->n];
}

static size_t model_count(const struct model *m, bool running, int lane, uint64_t *tokens)
{
    size_t n = 0;
    *tokens = 0;
    for (size_t i = 0; i < m->n; i++)
        if (m->running[i] == running && (lane < 0 || m->r[i].lane == lane)) {
            n++;
            *tokens += m->r[i].tokens;
        }
    return n;
}

static size_t model_best(const struct model *m, int lane, uint64_t now)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < m->n; i++) {
        if (m->running[i] || m->r[i].lane != lane)
            continue;
        bool head = true; /* of its priority */
        for (size_t j = 0; j < m->n; j++)
            head = head && (m->running[j] || m->r[j].lane != lane || m->r[j].priority != m->r[i].priority ||
                            m->order[j] >= m->order[i]);
        uint64_t rank = m->r[i].priority + (now - m->since[i]) / AGE;
        uint64_t best_rank = best == SIZE_MAX ? 0 : m->r[best].priority + (now - m->since[best]) / AGE;
        if (head && (best == SIZE_MAX || rank > best_rank || (rank == best_rank && m->order[i] < m->order[best])))
            best = i;
    }
    return best;
}

static void random_operations_equal_the_list(void **state)
{
    (void)state;
    const struct hs_lane_config lanes[2] = {{8, 400, 1 << 20}, {24, 3000, 1 << 20}};
    struct hs_sched *s = sched_make(64, 32, lanes, 2);
    static struct model m;
    uint64_t seed = 7, now = 1, tokens, admitted = 0, left = 0;
    for (int op = 0; op < 300000; op++) {
        now += test_rand(&seed) % 40;
        uint64_t id = 1 + test_rand(&seed) % KEYS;
        size_t at = model_find(&m, id);
        struct hs_request r, out;
        switch (test_rand(&seed) % 6) {
        case 0:
        case 1:
            r = request(id, (uint8_t)(test_rand(&seed) % 4));
            r.lane = (uint8_t)(test_rand(&seed) % 2);
            r.tokens = 1 + (uint32_t)(test_rand(&seed) % 200);
            if (test_rand(&seed) % 2)
                r.deadline_ns = now + test_rand(&seed) % 3000;
            if (at != SIZE_MAX) {
                assert_int_equal(hs_sched_push(s, &r, now), HS_DUPLICATE);
            } else if (model_count(&m, false, -1, &tokens) == 64) {
                assert_int_equal(hs_sched_push(s, &r, now), HS_QUEUE_FULL);
            } else if (r.deadline_ns <= now) {
                assert_int_equal(hs_sched_push(s, &r, now), HS_TOO_LATE);
            } else {
                assert_int_equal(hs_sched_push(s, &r, now), HS_ADMITTED);
                m.r[m.n] = r;
                m.since[m.n] = now;
                m.order[m.n] = m.n_pushed++;
                m.running[m.n] = m.reported[m.n] = false;
                m.n++;
                admitted++;
            }
            break;
        case 2: {
            uint8_t lane = (uint8_t)(test_rand(&seed) % 2);
            size_t best = model_best(&m, lane, now), running = model_count(&m, true, lane, &tokens);
            uint64_t all;
            bool fits = best != SIZE_MAX && running < lanes[lane].max_running &&
                        model_count(&m, true, -1, &all) < 32 &&
                        tokens + m.r[best].tokens <= lanes[lane].max_tokens && m.r[best].deadline_ns > now;
            assert_int_equal(hs_sched_take(s, lane, now, 0, &out, 1), fits);
            if (fits) {
                assert_int_equal(out.key.id, m.r[best].key.id);
                m.running[best] = true;
            }
            break;
        }
        case 3:
            assert_int_equal(hs_sched_cancel(s, (struct hs_key){1, id}, &out),
                             at == SIZE_MAX ? HS_UNKNOWN : m.running[at] ? HS_RUNNING : HS_WAITING);
            if (at != SIZE_MAX && !m.running[at]) {
                model_remove(&m, at);
                left++;
            }
            break;
        case 4:
            assert_int_equal(hs_sched_finish(s, (struct hs_key){1, id}), at != SIZE_MAX && m.running[at]);
            if (at != SIZE_MAX && m.running[at]) {
                model_remove(&m, at);
                left++;
            }
            break;
        default: {
            uint64_t first = HS_NEVER;
            for (size_t i = 0; i < m.n; i++)
                if (!m.reported[i] && m.r[i].deadline_ns < first)
                    first = m.r[i].deadline_ns;
            assert_int_equal(hs_sched_next_deadline(s), first);
            enum hs_state found = hs_sched_expire(s, now, &out);
            if (first > now) {
                assert_int_equal(found, HS_UNKNOWN);
                break;
            }
            at = model_find(&m, out.key.id);
            assert_int_equal(out.deadline_ns, first);
            assert_int_equal(found, m.running[at] ? HS_RUNNING : HS_WAITING);
            m.reported[at] = true;
            if (!m.running[at]) {
                model_remove(&m, at);
                left++;
            }
        }
        }
    }
    struct hs_sched_stats stats;
    hs_sched_get_stats(s, &stats);
    assert_int_equal(stats.admitted, admitted);
    assert_int_equal(stats.finished + stats.cancelled + stats.expired, left);
    assert_int_equal(stats.waiting + stats.running, admitted - left);
    assert_int_equal(stats.waiting + stats.running, m.n);
    assert_true(admitted > 20000 && stats.finished > 5000 && stats.cancelled > 5000 && stats.expired > 1000);
    hb_arena_release(&arena);
}

static void depth_returns_to_zero(void **state)
{
    (void)state;
    struct hs_sched *s = sched_make(256, 2, &wide, 1);
    struct hs_sched_stats stats;
    for (uint64_t i = 0; i < 1000000; i++) {
        assert_int_equal(push(s, i, (uint8_t)(i & 3), i), HS_ADMITTED);
        if (i % 200 == 199 || i == 999999)
            for (struct hs_request r; hs_sched_take(s, 0, i, 0, &r, 1);)
                assert_true(hs_sched_finish(s, r.key));
    }
    hs_sched_get_stats(s, &stats);
    assert_int_equal(stats.finished, 1000000);
    assert_int_equal(stats.waiting + stats.running, 0);
    hb_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(priorities_go_first_and_equals_in_order),
        cmocka_unit_test(waiting_raises_a_request_above_newer_critical_ones),
        cmocka_unit_test(limits_refuse_by_reason_at_n_plus_1),
        cmocka_unit_test(batches_are_filled_up_to_their_tokens),
        cmocka_unit_test(deadlines_come_in_order_and_once),
        cmocka_unit_test(random_operations_equal_the_list),
        cmocka_unit_test(depth_returns_to_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

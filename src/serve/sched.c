/* The scheduler: see hs_sched.h.
 *
 *   slots     all requests in flight, in one array; free ones are a list
 *   lists     lane x priority: waiting slots, oldest first, doubly linked
 *   table     key to slot, open addressing with linear probing, half full at most; removal closes the gap
 *   heap      slots by deadline, each knowing its place */
#include "serve/hs_sched.h"
#include "base/hb_error.h"
#include <string.h>

#define SCHED_NONE UINT32_MAX

struct sched_slot {
    struct hs_request r;
    uint64_t since_ns;     /* pushed */
    uint64_t order;        /* of arrival */
    uint32_t before, next; /* in its list; next: in the list of free slots */
    uint32_t heap_at;      /* SCHED_NONE: not in the heap */
    uint8_t state;         /* enum hs_state */
};

struct sched_list {
    uint32_t first, last;
};

struct sched_lane {
    struct hs_lane_config config;
    struct sched_list list[HS_PRIORITIES];
    uint32_t running, tokens; /* of those running */
    uint64_t bytes;
};

struct hs_sched {
    struct hs_sched_config config;
    struct sched_lane *lanes;
    struct sched_slot *slots;
    uint32_t n_slots, free;
    uint32_t *table; /* [table_mask + 1] */
    uint32_t table_mask;
    uint32_t *heap;
    uint32_t n_heap;
    uint64_t n_pushed;
    struct hs_sched_stats stats;
};

const char *hs_admit_text(enum hs_admit admit)
{
    switch (admit) {
    case HS_ADMITTED:
        return "admitted";
    case HS_QUEUE_FULL:
        return "the queue is full";
    case HS_TOO_LARGE:
        return "the request is larger than the model may ever run";
    case HS_DUPLICATE:
        return "the id is in flight";
    case HS_TOO_LATE:
        return "the deadline has passed";
    case HS_NO_LANE:
        return "no such model or priority";
    }
    return "unknown";
}

hearth_status hs_sched_create(const struct hs_sched_config *config, struct hb_arena *arena, struct hs_sched **out,
                              hearth_error *err)
{
    struct hs_sched *s;
    uint64_t slots = (uint64_t)config->max_waiting + config->max_running;
    uint32_t table = 16;
    if (slots == 0 || slots > 1u << 24 || config->n_lanes < 1 || config->n_lanes > HS_MAX_LANES ||
        config->age_ns == 0)
        return hb_fail(err, HEARTH_E_RANGE,
                       "scheduler: %llu places, %u lanes, ageing %llu ns; 1 to 2^24, 1 to %d and more than 0 are "
                       "required", (unsigned long long)slots, config->n_lanes,
                       (unsigned long long)config->age_ns, HS_MAX_LANES);
    while (table < 2 * slots)
        table *= 2;
    HB_TRY(HB_ARENA_NEW(arena, struct hs_sched, 1, &s, err));
    HB_TRY(HB_ARENA_NEW(arena, struct sched_lane, config->n_lanes, &s->lanes, err));
    HB_TRY(HB_ARENA_NEW(arena, struct sched_slot, (size_t)slots, &s->slots, err));
    HB_TRY(HB_ARENA_NEW(arena, uint32_t, table, &s->table, err));
    HB_TRY(HB_ARENA_NEW(arena, uint32_t, (size_t)slots, &s->heap, err));
    s->config = *config;
    s->n_slots = (uint32_t)slots;
    s->table_mask = table - 1;
    memset(s->table, 0xFF, table * sizeof *s->table);
    for (uint32_t i = 0; i < s->n_slots; i++)
        s->slots[i].next = i + 1 < s->n_slots ? i + 1 : SCHED_NONE;
    for (uint32_t i = 0; i < config->n_lanes; i++) {
        s->lanes[i].config = config->lanes[i];
        memset(s->lanes[i].list, 0xFF, sizeof s->lanes[i].list);
    }
    *out = s;
    return HEARTH_OK;
}

void hs_sched_set_lane(struct hs_sched *s, uint8_t lane, const struct hs_lane_config *config)
{
    s->lanes[lane].config = *config;
}

/* ---- keys ---- */

static uint32_t sched_home(const struct hs_sched *s, struct hs_key key)
{
    uint64_t h = (key.session * 0x9E3779B97F4A7C15u ^ key.id) * 0xD6E8FEB86659FD93u;
    return (uint32_t)(h >> 32) & s->table_mask;
}

static bool sched_same(struct hs_key a, struct hs_key b)
{
    return a.session == b.session && a.id == b.id;
}

/* Where the key stands in the table, or the free place it would take. */
static uint32_t sched_place(const struct hs_sched *s, struct hs_key key)
{
    uint32_t at = sched_home(s, key);
    while (s->table[at] != SCHED_NONE && !sched_same(s->slots[s->table[at]].r.key, key))
        at = (at + 1) & s->table_mask;
    return at;
}

static void sched_forget(struct hs_sched *s, struct hs_key key)
{
    uint32_t gap = sched_place(s, key), at = gap;
    s->table[gap] = SCHED_NONE;
    for (;;) { /* what stands behind the gap and belongs in front of it moves there */
        at = (at + 1) & s->table_mask;
        if (s->table[at] == SCHED_NONE)
            return;
        uint32_t home = sched_home(s, s->slots[s->table[at]].r.key);
        if (((at - home) & s->table_mask) >= ((at - gap) & s->table_mask)) {
            s->table[gap] = s->table[at];
            s->table[at] = SCHED_NONE;
            gap = at;
        }
    }
}

/* ---- deadlines ---- */

static void sched_heap_set(struct hs_sched *s, uint32_t at, uint32_t slot)
{
    s->heap[at] = slot;
    s->slots[slot].heap_at = at;
}

static uint64_t sched_deadline(const struct hs_sched *s, uint32_t slot)
{
    return s->slots[slot].r.deadline_ns;
}

static void sched_heap_up(struct hs_sched *s, uint32_t at, uint32_t slot)
{
    for (; at > 0 && sched_deadline(s, s->heap[(at - 1) / 2]) > sched_deadline(s, slot); at = (at - 1) / 2)
        sched_heap_set(s, at, s->heap[(at - 1) / 2]);
    sched_heap_set(s, at, slot);
}

static void sched_heap_down(struct hs_sched *s, uint32_t at, uint32_t slot)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child + 1 < s->n_heap && sched_deadline(s, s->heap[child + 1]) < sched_deadline(s, s->heap[child]))
            child++;
        if (child >= s->n_heap || sched_deadline(s, s->heap[child]) >= sched_deadline(s, slot))
            break;
        sched_heap_set(s, at, s->heap[child]);
        at = child;
    }
    sched_heap_set(s, at, slot);
}

static void sched_heap_remove(struct hs_sched *s, uint32_t slot)
{
    uint32_t at = s->slots[slot].heap_at;
    if (at == SCHED_NONE)
        return;
    s->slots[slot].heap_at = SCHED_NONE;
    uint32_t last = s->heap[--s->n_heap];
    if (last == slot)
        return;
    if (at > 0 && sched_deadline(s, s->heap[(at - 1) / 2]) > sched_deadline(s, last))
        sched_heap_up(s, at, last);
    else
        sched_heap_down(s, at, last);
}

/* ---- lists ---- */

static struct sched_list *sched_list(struct hs_sched *s, const struct sched_slot *slot)
{
    return &s->lanes[slot->r.lane].list[slot->r.priority];
}

static void sched_append(struct hs_sched *s, uint32_t i)
{
    struct sched_slot *slot = &s->slots[i];
    struct sched_list *list = sched_list(s, slot);
    slot->before = list->last;
    slot->next = SCHED_NONE;
    if (list->last == SCHED_NONE)
        list->first = i;
    else
        s->slots[list->last].next = i;
    list->last = i;
    s->stats.waiting++;
    s->stats.waiting_by_priority[slot->r.priority]++;
}

static void sched_unlink(struct hs_sched *s, uint32_t i)
{
    struct sched_slot *slot = &s->slots[i];
    struct sched_list *list = sched_list(s, slot);
    if (slot->before == SCHED_NONE)
        list->first = slot->next;
    else
        s->slots[slot->before].next = slot->next;
    if (slot->next == SCHED_NONE)
        list->last = slot->before;
    else
        s->slots[slot->next].before = slot->before;
    s->stats.waiting--;
    s->stats.waiting_by_priority[slot->r.priority]--;
}

static void sched_free(struct hs_sched *s, uint32_t i)
{
    sched_heap_remove(s, i);
    sched_forget(s, s->slots[i].r.key);
    s->slots[i].state = HS_UNKNOWN;
    s->slots[i].next = s->free;
    s->free = i;
}

/* ---- requests ---- */

static enum hs_admit sched_admit(const struct hs_sched *s, const struct hs_request *r, uint32_t place,
                                 uint64_t now_ns)
{
    if (r->lane >= s->config.n_lanes || r->priority >= HS_PRIORITIES)
        return HS_NO_LANE;
    const struct hs_lane_config *lane = &s->lanes[r->lane].config;
    if (s->table[place] != SCHED_NONE)
        return HS_DUPLICATE;
    if (s->stats.waiting >= s->config.max_waiting)
        return HS_QUEUE_FULL;
    if (r->tokens > lane->max_tokens || r->bytes > lane->max_bytes || lane->max_running == 0)
        return HS_TOO_LARGE;
    return r->deadline_ns <= now_ns ? HS_TOO_LATE : HS_ADMITTED;
}

enum hs_admit hs_sched_push(struct hs_sched *s, const struct hs_request *r, uint64_t now_ns)
{
    uint32_t place = sched_place(s, r->key);
    enum hs_admit admit = sched_admit(s, r, place, now_ns);
    if (admit != HS_ADMITTED) {
        s->stats.refused++;
        return admit;
    }
    uint32_t i = s->free;
    struct sched_slot *slot = &s->slots[i];
    s->free = slot->next;
    *slot = (struct sched_slot){.r = *r, .since_ns = now_ns, .order = s->n_pushed++, .heap_at = SCHED_NONE,
                                .state = HS_WAITING};
    s->table[place] = i;
    sched_append(s, i);
    if (r->deadline_ns != HS_NEVER)
        sched_heap_up(s, s->n_heap++, i);
    s->stats.admitted++;
    return HS_ADMITTED;
}

/* The head of a lane that goes first: the highest priority with what waiting has added, then the oldest. */
static uint32_t sched_best(const struct hs_sched *s, const struct sched_lane *lane, uint64_t now_ns)
{
    uint32_t best = SCHED_NONE;
    uint64_t best_rank = 0;
    for (uint32_t p = 0; p < HS_PRIORITIES; p++) {
        uint32_t i = lane->list[p].first;
        if (i == SCHED_NONE)
            continue;
        const struct sched_slot *slot = &s->slots[i];
        uint64_t waited = now_ns > slot->since_ns ? now_ns - slot->since_ns : 0;
        uint64_t rank = p + waited / s->config.age_ns;
        if (best == SCHED_NONE || rank > best_rank || (rank == best_rank && slot->order < s->slots[best].order)) {
            best = i;
            best_rank = rank;
        }
    }
    return best;
}

static bool sched_fits(const struct hs_sched *s, const struct sched_lane *lane, const struct hs_request *r)
{
    return s->stats.running < s->config.max_running && lane->running < lane->config.max_running &&
           r->tokens <= lane->config.max_tokens - lane->tokens && r->bytes <= lane->config.max_bytes - lane->bytes;
}

size_t hs_sched_take(struct hs_sched *s, uint8_t lane_id, uint64_t now_ns, uint32_t max_tokens,
                     struct hs_request *out, size_t n)
{
    size_t taken = 0;
    uint64_t tokens = 0;
    if (lane_id >= s->config.n_lanes)
        return 0;
    struct sched_lane *lane = &s->lanes[lane_id];
    while (taken < n) {
        uint32_t i = sched_best(s, lane, now_ns);
        if (i == SCHED_NONE || !sched_fits(s, lane, &s->slots[i].r) || s->slots[i].r.deadline_ns <= now_ns)
            break;
        struct hs_request *r = &s->slots[i].r;
        if (max_tokens && taken > 0 && tokens + r->tokens > max_tokens)
            break;
        sched_unlink(s, i);
        s->slots[i].state = HS_RUNNING;
        lane->running++;
        lane->tokens += r->tokens;
        lane->bytes += r->bytes;
        s->stats.running++;
        s->stats.taken++;
        tokens += r->tokens;
        out[taken++] = *r;
    }
    return taken;
}

bool hs_sched_peek(const struct hs_sched *s, uint8_t lane_id, uint64_t now_ns, struct hs_request *out)
{
    if (lane_id >= s->config.n_lanes)
        return false;
    const struct sched_lane *lane = &s->lanes[lane_id];
    uint32_t i = sched_best(s, lane, now_ns);
    if (i == SCHED_NONE || !sched_fits(s, lane, &s->slots[i].r) || s->slots[i].r.deadline_ns <= now_ns)
        return false;
    *out = s->slots[i].r;
    return true;
}

bool hs_sched_finish(struct hs_sched *s, struct hs_key key)
{
    uint32_t i = s->table[sched_place(s, key)];
    if (i == SCHED_NONE || s->slots[i].state != HS_RUNNING)
        return false;
    struct sched_lane *lane = &s->lanes[s->slots[i].r.lane];
    lane->running--;
    lane->tokens -= s->slots[i].r.tokens;
    lane->bytes -= s->slots[i].r.bytes;
    s->stats.running--;
    s->stats.finished++;
    sched_free(s, i);
    return true;
}

enum hs_state hs_sched_cancel(struct hs_sched *s, struct hs_key key, struct hs_request *out)
{
    uint32_t i = s->table[sched_place(s, key)];
    if (i == SCHED_NONE)
        return HS_UNKNOWN;
    *out = s->slots[i].r;
    if (s->slots[i].state == HS_RUNNING)
        return HS_RUNNING;
    sched_unlink(s, i);
    sched_free(s, i);
    s->stats.cancelled++;
    return HS_WAITING;
}

uint64_t hs_sched_next_deadline(const struct hs_sched *s)
{
    return s->n_heap ? sched_deadline(s, s->heap[0]) : HS_NEVER;
}

enum hs_state hs_sched_expire(struct hs_sched *s, uint64_t now_ns, struct hs_request *out)
{
    if (hs_sched_next_deadline(s) > now_ns)
        return HS_UNKNOWN;
    uint32_t i = s->heap[0];
    sched_heap_remove(s, i);
    *out = s->slots[i].r;
    if (s->slots[i].state == HS_RUNNING)
        return HS_RUNNING;
    sched_unlink(s, i);
    sched_free(s, i);
    s->stats.expired++;
    return HS_WAITING;
}

void hs_sched_get_stats(const struct hs_sched *s, struct hs_sched_stats *stats)
{
    *stats = s->stats;
}

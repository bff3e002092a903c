/* The guard: see hs_guard.h. The rows of guards.def become a table by message and field number; a check walks the bits
 * of the fields that are set. */
#include "serve/hs_guard.h"
#include "base/hb_error.h"
#include "serve/hs_sched.h"
#include <string.h>

#define GUARD_MESSAGES (HS_M_manage + 1)

enum guard_what { GUARD_ANY, GUARD_NUMBER, GUARD_REAL, GUARD_SIZE, GUARD_TOKENS, GUARD_ITEMS, GUARD_EACH };
enum guard_ends { HS_BOTH, HS_NOT_MOST };

struct guard_bound {
    uint8_t what, ends;
    uint16_t offset;
    uint32_t least, most;             /* of numbers, sizes, and the texts of EACH */
    float real_least, real_most;
    uint32_t count_least, count_most; /* of EACH */
};

struct hs_guard {
    uint32_t checked[GUARD_MESSAGES]; /* fields with a bound */
    struct guard_bound bounds[GUARD_MESSAGES][32];
    uint32_t text_bytes;
    struct hs_filter_stream *blocked; /* NULL: nothing is */
};

/* ---- the table ---- */

static int guard_number(enum hs_index message, const char *field)
{
    const struct hs_message *m = &hs_messages[message];
    for (int i = 0; i < m->n_fields; i++)
        if (!strcmp(m->fields[i].name, field))
            return i;
    return -1;
}

static void guard_put(struct hs_guard *g, enum hs_index message, const char *field, struct guard_bound b)
{
    int i = guard_number(message, field);
    if (i < 0)
        return; /* a test walks the list: every row has its field */
    const struct hs_field *f = &hs_messages[message].fields[i];
    b.offset = f->offset;
    if (b.what == GUARD_ITEMS && f->kind == HS_TOKENS)
        b.what = GUARD_TOKENS;
    g->bounds[message][f->number] = b;
    if (b.what != GUARD_ANY)
        g->checked[message] |= 1u << f->number;
}

static void guard_fill(struct hs_guard *g, const struct hs_limits *limits)
{
#define GUARD_PUT(message, field, ...) guard_put(g, HS_M_##message, #field, (struct guard_bound){__VA_ARGS__});
#define HS_NUMBER(message, field, low, high)                                                       \
    GUARD_PUT(message, field, .what = GUARD_NUMBER, .least = (low), .most = (high))
#define HS_REAL(message, field, low, high, end)                                                    \
    GUARD_PUT(message, field, .what = GUARD_REAL, .ends = (end), .real_least = (low), .real_most = (high))
#define HS_SIZE(message, field, low, high)                                                         \
    GUARD_PUT(message, field, .what = GUARD_SIZE, .least = (low), .most = (high))
#define HS_COUNT(message, field, low, high)                                                        \
    GUARD_PUT(message, field, .what = GUARD_ITEMS, .least = (low), .most = (high))
#define HS_EACH(message, field, low, high, fewest, top)                                            \
    GUARD_PUT(message, field, .what = GUARD_EACH, .least = (low), .most = (high), .count_least = (fewest),          \
              .count_most = (top))
#define HS_ANY(message, field) GUARD_PUT(message, field, .what = GUARD_ANY)
#include "serve/guards.def"
}

hearth_status hs_guard_create(const struct hs_limits *limits, const struct hs_filter *blocked, struct hb_arena *arena,
                              struct hs_guard **out, hearth_error *err)
{
    struct hs_guard *g;
    HB_TRY(HB_ARENA_NEW(arena, struct hs_guard, 1, &g, err));
    limits = limits ? limits : &hs_limits_default;
    guard_fill(g, limits);
    g->text_bytes = limits->text_bytes;
    if (blocked)
        HB_TRY(hs_filter_open(blocked, arena, &g->blocked, err));
    *out = g;
    return HEARTH_OK;
}

/* ---- one field ---- */

/* The sentence, and the status: too much is a limit, anything else a range. */
static hearth_status guard_refuse(const struct hs_message *m, uint32_t number, const char *unit, uint64_t value,
                                  uint64_t least, uint64_t most, hearth_error *err)
{
    const struct hs_field *f = m->fields;
    while (f->number != number)
        f++;
    return hb_fail(err, value > most && *unit ? HEARTH_E_LIMIT : HEARTH_E_RANGE,
                   "%s: %s: %llu%s; %llu to %llu are accepted", m->name, f->name, (unsigned long long)value, unit,
                   (unsigned long long)least, (unsigned long long)most);
}

static hearth_status guard_real(const struct hs_message *m, uint32_t number, const struct guard_bound *b, float v,
                                hearth_error *err)
{
    const struct hs_field *f = m->fields;
    if (v >= b->real_least && v <= b->real_most &&
        !(b->ends == HS_NOT_MOST && v == b->real_most))
        return HEARTH_OK;
    while (f->number != number)
        f++;
    return hb_fail(err, HEARTH_E_RANGE, "%s: %s: %g; %g to %s%g is accepted", m->name, f->name, (double)v,
                   (double)b->real_least, b->ends == HS_NOT_MOST ? "below " : "", (double)b->real_most);
}

static hearth_status guard_each(const struct hs_message *m, uint32_t number, const struct guard_bound *b,
                                const struct hs_list *list, hearth_error *err)
{
    struct hs_bytes text;
    if (list->n < b->count_least || list->n > b->count_most)
        return guard_refuse(m, number, " texts", list->n, b->count_least, b->count_most, err);
    for (size_t at = 0; hs_text_next(list, &at, &text);)
        if (text.len < b->least || text.len > b->most)
            return guard_refuse(m, number, " bytes", text.len, b->least, b->most, err);
    return HEARTH_OK;
}

static hearth_status guard_field(const struct hs_message *m, uint32_t number, const struct guard_bound *b,
                                 const void *msg, hearth_error *err)
{
    const void *at = (const uint8_t *)msg + b->offset;
    uint64_t v;
    switch ((enum guard_what)b->what) {
    case GUARD_NUMBER:
        v = *(const uint64_t *)at;
        return v >= b->least && v <= b->most ? HEARTH_OK : guard_refuse(m, number, "", v, b->least, b->most, err);
    case GUARD_SIZE:
        v = ((const struct hs_bytes *)at)->len;
        return v >= b->least && v <= b->most ? HEARTH_OK : guard_refuse(m, number, " bytes", v, b->least, b->most, err);
    case GUARD_REAL:
        return guard_real(m, number, b, *(const float *)at, err);
    case GUARD_TOKENS:
        v = ((const struct hs_tokens *)at)->n;
        return v >= b->least && v <= b->most ? HEARTH_OK
                                             : guard_refuse(m, number, " tokens", v, b->least, b->most, err);
    case GUARD_ITEMS:
        v = ((const struct hs_list *)at)->n;
        return v >= b->least && v <= b->most ? HEARTH_OK : guard_refuse(m, number, " items", v, b->least, b->most, err);
    case GUARD_EACH:
        return guard_each(m, number, b, at, err);
    default:
        return HEARTH_OK;
    }
}

/* ---- several fields ---- */

static hearth_status guard_one_of(const char *message, bool a, bool b, bool must, const char *names, hearth_error *err)
{
    if (a != b || (!a && !must))
        return HEARTH_OK;
    return hb_fail(err, HEARTH_E_ARGUMENT, "%s: %s of %s %s; one is accepted", message, a ? "both" : "none", names,
                   a ? "are there" : "is there");
}

static hearth_status guard_turns(const struct hs_guard *g, const struct hs_chat *c, hearth_error *err)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    const uint32_t most = g->text_bytes;
    struct hs_turn turn;
    size_t bytes = 0, n = 0;
    bool more = true;
    for (size_t at = 0;; n++) {
        HB_TRY(hs_part_next(&hs_messages[HS_M_turn], &c->turns, &at, &turn, &more, err));
        if (!more)
            break;
        size_t i = 0;
        while (i < HB_COUNT(roles) && (strlen(roles[i]) != turn.role.len || memcmp(roles[i], turn.role.at, turn.role.len)))
            i++;
        if (i == HB_COUNT(roles))
            return hb_fail(err, HEARTH_E_RANGE, "chat: turn %zu: role '%.*s'; system, user, assistant and tool are accepted",
                           n + 1, turn.role.len < 32 ? (int)turn.role.len : 32, turn.role.at);
        bytes += turn.content.len;
    }
    if (bytes == 0 || bytes > most)
        return hb_fail(err, bytes ? HEARTH_E_LIMIT : HEARTH_E_RANGE, "chat: turns of %zu bytes; 1 to %u are accepted",
                       bytes, most);
    return HEARTH_OK;
}

/* ---- blocked words ---- */

static void guard_nothing(void *user, const char *text, size_t len)
{
    (void)user, (void)text, (void)len;
}

static hearth_status guard_text(const struct hs_guard *g, const struct hs_message *m, const struct hs_bytes *text,
                                hearth_error *err)
{
    uint64_t before = hs_filter_matches(g->blocked);
    hs_filter_push(g->blocked, text->at, text->len, guard_nothing, NULL);
    hs_filter_end(g->blocked, guard_nothing, NULL);
    return hs_filter_matches(g->blocked) == before
               ? HEARTH_OK
               : hb_fail(err, HEARTH_E_RANGE, "%s: the text holds a blocked word", m->name);
}

static hearth_status guard_words(const struct hs_guard *g, const struct hs_message *m, const void *msg, hearth_error *err)
{
    const struct hs_generate *gen = msg;
    struct hs_bytes text;
    bool more = true;
    if (m == &hs_messages[HS_M_generate])
        return HS_HAS(gen, generate, prompt) ? guard_text(g, m, &gen->prompt, err) : HEARTH_OK;
    if (m == &hs_messages[HS_M_classify] || m == &hs_messages[HS_M_embed]) {
        const struct hs_list *texts = m == &hs_messages[HS_M_embed] ? &((const struct hs_embed *)msg)->texts
                                                                    : &((const struct hs_classify *)msg)->texts;
        for (size_t at = 0; hs_text_next(texts, &at, &text);)
            HB_TRY(guard_text(g, m, &text, err));
    }
    for (size_t at = 0; m == &hs_messages[HS_M_chat];) {
        struct hs_turn turn;
        HB_TRY(hs_part_next(&hs_messages[HS_M_turn], &((const struct hs_chat *)msg)->turns, &at, &turn, &more, err));
        if (!more)
            break;
        HB_TRY(guard_text(g, m, &turn.content, err));
    }
    return HEARTH_OK;
}

hearth_status hs_guard_check(struct hs_guard *guard, const struct hs_message *m, const void *msg, hearth_error *err)
{
    const size_t index = (size_t)(m - hs_messages);
    const uint32_t has = *(const uint32_t *)msg; /* the first member of all */
    if (index >= GUARD_MESSAGES)
        return HEARTH_OK;
    for (uint32_t bits = has & guard->checked[index]; bits; bits &= bits - 1) {
        uint32_t number = (uint32_t)__builtin_ctz(bits);
        HB_TRY(guard_field(m, number, &guard->bounds[index][number], msg, err));
    }
    if (index == HS_M_generate) {
        const struct hs_generate *g = msg;
        HB_TRY(guard_one_of("generate", HS_HAS(g, generate, prompt), HS_HAS(g, generate, prompt_tokens), true,
                            "prompt and prompt_tokens", err));
        HB_TRY(guard_one_of("generate", HS_HAS(g, generate, grammar), HS_HAS(g, generate, json_schema), false,
                            "grammar and json_schema", err));
    } else if (index == HS_M_chat) {
        const struct hs_chat *c = msg;
        HB_TRY(guard_one_of("chat", HS_HAS(c, chat, grammar), HS_HAS(c, chat, json_schema), false,
                            "grammar and json_schema", err));
        HB_TRY(guard_turns(guard, c, err));
    }
    return guard->blocked ? guard_words(guard, m, msg, err) : HEARTH_OK;
}

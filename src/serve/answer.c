/* The way of an answer: see hs_answer.h. */
#include "serve/hs_answer.h"
#include "base/hb_error.h"
#include <string.h>

hearth_status hs_answer_open(struct hs_answer *a, const struct hs_filter *filter, bool stop, uint64_t max_chars,
                             struct hb_arena *arena, hearth_error *err)
{
    *a = (struct hs_answer){.stop = stop, .max_chars = max_chars, .arena = arena};
    return filter ? hs_filter_open(filter, arena, &a->stream, err) : HEARTH_OK;
}

static bool answer_room(struct hs_answer *a, size_t more)
{
    void *bigger;
    if (more <= a->capacity - a->len)
        return true;
    const size_t capacity = 2 * (a->len + more) + 256;
    if (hb_arena_take_raw(a->arena, capacity, 16, &bigger, NULL) != HEARTH_OK)
        return false;
    if (a->len)
        memcpy(bigger, a->out, a->len);
    a->out = bigger;
    a->capacity = capacity;
    return true;
}

static void answer_take(void *user, const char *text, size_t len)
{
    struct hs_answer *a = user;
    if (a->end != HS_ANSWER_GOES_ON)
        return;
    if (a->stop && hs_filter_matches(a->stream) > 0)
        a->end = HS_ANSWER_BLOCKED; /* this would be the replacement */
    else if (!answer_room(a, len))
        a->end = HS_ANSWER_NO_MEMORY;
    else if (len) {
        memcpy(a->out + a->len, text, len);
        a->len += len;
    }
}

/* How much of the text fits what is left of the characters. */
static size_t answer_cut(struct hs_answer *a, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (((unsigned char)text[i] & 0xC0) == 0x80)
            continue;
        if (a->chars == a->max_chars)
            return i;
        a->chars++;
    }
    return len;
}

enum hs_answer_end hs_answer_text(struct hs_answer *a, const char *text, size_t len, bool last, struct hs_bytes *out)
{
    *out = (struct hs_bytes){NULL, 0};
    if (a->end != HS_ANSWER_GOES_ON)
        return (enum hs_answer_end)a->end;
    struct hs_bytes now = {text, len};
    if (a->stream) {
        a->len = 0;
        hs_filter_push(a->stream, text, len, answer_take, a);
        if (last)
            hs_filter_end(a->stream, answer_take, a);
        now = (struct hs_bytes){a->out, a->len};
    }
    const size_t fits = answer_cut(a, now.at, now.len);
    if (fits < now.len)
        a->end = HS_ANSWER_FULL;
    *out = (struct hs_bytes){now.at, fits};
    return (enum hs_answer_end)a->end;
}

/* The text of a generation on its way out, through a tail buffer: whole characters only, and what may
 * still become a stop string is held back.
 *
 *   tail:  | handed out already | safe now | could begin a stop string |
 */
#include "runtime/hr_generation.h"
#include <string.h>

hearth_status hr_tail_stops(struct hr_tail *tail, const char *const *stop, size_t n,
                            hearth_error *err)
{
    if (n > GENERATION_MAX_STOPS)
        return hb_fail(err, HEARTH_E_LIMIT, "stop: %zu strings; at most %d are accepted", n,
                       GENERATION_MAX_STOPS);
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(stop[i]);
        if (len == 0 || len > GENERATION_MAX_STOP_LEN)
            return hb_fail(err, HEARTH_E_LIMIT, "stop: string %zu has %zu bytes; 1 to %d are accepted",
                           i, len, GENERATION_MAX_STOP_LEN);
        memcpy(tail->stop[i].text, stop[i], len);
        tail->stop[i].len = len;
    }
    tail->n_stop = n;
    return HEARTH_OK;
}

/* First stop string in the tail; a complete one ends the text. Returns its start, or where the
 * longest possible beginning of one starts, or the end. */
static size_t generation_text_scan(const struct hr_tail *tail, bool *complete)
{
    *complete = false;
    for (size_t at = tail->handed; at < tail->held; at++) {
        size_t left = tail->held - at;
        for (size_t i = 0; i < tail->n_stop; i++) {
            size_t n = left < tail->stop[i].len ? left : tail->stop[i].len;
            if (memcmp(tail->text + at, tail->stop[i].text, n) != 0)
                continue;
            *complete = n == tail->stop[i].len;
            return at;
        }
    }
    return tail->held;
}

hearth_status hr_tail_add(struct hr_tail *tail, const hearth_model *model, int32_t token,
                          const char **text, size_t *len, bool *stopped, hearth_error *err)
{
    size_t n;
    memmove(tail->text, tail->text + tail->handed, tail->held - tail->handed);
    tail->held -= tail->handed;
    tail->handed = 0;
    HB_TRY(hearth_detokenize(model, &tail->detok, token, tail->text + tail->held,
                             sizeof tail->text - tail->held, &n, err));
    tail->held += n;
    size_t safe = generation_text_scan(tail, stopped);
    *text = tail->text;
    *len = token < 0 && !*stopped ? tail->held : safe;
    tail->handed = *len;
    if (*stopped)
        tail->handed = tail->held = 0;
    return HEARTH_OK;
}

bool hr_tail_holds(const struct hr_tail *tail)
{
    return tail->handed < tail->held || tail->detok.n_held;
}

/* Guessing without a model: the text since an earlier place that reads like its end.
 *
 *   ... the old house on the hill ... the old house |
 *       \___________/ \_________/     \___________/
 *         the match     guesses         the end
 *
 * The longest match wins, of equal ones the latest. Looking back costs a comparison per token, and only
 * a place whose last token fits is looked at closer. */
#include "runtime/hr_spec.h"

#define LOOKUP_MIN_MATCH 2
#define LOOKUP_BACK      32768 /* how far it looks */

/* How many tokens in front of `at` and of the end are the same, at most `most`. */
static int32_t lookup_alike(const int32_t *history, int32_t n, int32_t at, int32_t most)
{
    int32_t len = 0;
    while (len < most && len < at && history[at - 1 - len] == history[n - 1 - len])
        len++;
    return len;
}

void hr_lookup_guess(struct hr_spec *spec, int32_t most)
{
    const int32_t *h = spec->history, longest = HR_SPEC_LOOKUP_BUCKETS + LOOKUP_MIN_MATCH - 1;
    int32_t n = spec->n_history, best = LOOKUP_MIN_MATCH - 1, from = -1;
    int32_t stop = n > LOOKUP_BACK ? n - LOOKUP_BACK : 1;
    for (int32_t at = n - 1; at >= stop && best < longest; at--) {
        if (h[at - 1] != h[n - 1])
            continue;
        int32_t len = lookup_alike(h, n, at, longest);
        if (len > best) {
            best = len;
            from = at;
        }
    }
    if (from < 0)
        return;
    uint8_t bucket = (uint8_t)(HR_SPEC_FIRST_LOOKUP + best - LOOKUP_MIN_MATCH);
    most = hr_spec_worth(spec, &spec->account->rate[bucket], 0, 0, most);
    for (int32_t i = 0; i < most && spec->n_guess < most; i++) {
        int32_t at = from + i; /* past the end the guesses themselves go on: a text that repeats */
        spec->guess[i].token = at < n ? h[at] : spec->guess[at - n].token;
        spec->guess[i].n = 0;
        spec->bucket[i] = bucket;
        spec->n_guess++;
    }
}

/* The way of an answer's text to its client: blocked words are replaced or end it, and it has at most so many
 * characters. What is held back (the beginning of what may become a word) comes with a later piece or the last. */
#ifndef HS_ANSWER_H
#define HS_ANSWER_H

#include "serve/hs_filter.h"
#include "serve/hs_wire.h"

enum hs_answer_end { HS_ANSWER_GOES_ON, HS_ANSWER_BLOCKED, HS_ANSWER_FULL, HS_ANSWER_NO_MEMORY };

struct hs_answer {
    struct hs_filter_stream *stream; /* NULL: nothing is blocked */
    bool stop;                       /* a blocked word ends the text, and is not replaced */
    uint8_t end;                     /* enum hs_answer_end; once it is not GOES_ON, no text comes out */
    uint64_t chars, max_chars;
    struct hb_arena *arena;
    char *out;                       /* [capacity] what a filter gives out, len bytes of it now */
    size_t len, capacity;
};

/* The arena feeds it until the answer is over. filter may be NULL. */
hearth_status hs_answer_open(struct hs_answer *a, const struct hs_filter *filter, bool stop, uint64_t max_chars,
                             struct hb_arena *arena, hearth_error *err);
/* The next piece, whole characters; `last`: there are no more. *out is what may be sent, until the next call. Characters
 * are code points; the last one is never cut. Without a filter *out is the text itself. */
enum hs_answer_end hs_answer_text(struct hs_answer *a, const char *text, size_t len, bool last, struct hs_bytes *out);

#endif

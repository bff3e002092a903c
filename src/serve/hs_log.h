/* The log: a line a record, "key=value key=value", to a descriptor.
 *
 *   time=1763698521.123 level=info event=request message=generate model=books tokens=12 ms=34.5
 *
 * Values with other than letters, digits and ._:/+-@ are in quotes, with \" \\ and \xHH: a record is one line whatever
 * is in it. What requests and answers say never goes in. A record is one write; where the descriptor takes none (a full
 * disk, a full pipe), or an event comes too often, records are dropped and the next one tells how many: dropped=N. */
#ifndef HS_LOG_H
#define HS_LOG_H

#include "base/hb_port.h"

#define HS_LOG_BYTES  1024 /* of a line; longer ones are cut */
#define HS_LOG_BURST  50   /* lines of a level at once, below warn */
#define HS_LOG_RATE   20   /* and then of a second */

enum hs_log_level { HS_LOG_DEBUG, HS_LOG_INFO, HS_LOG_WARN, HS_LOG_ERROR, HS_LOG_LEVELS };

/* Plain memory of the caller; hs_log_init. */
struct hs_log {
    int fd; /* -1: nothing is written */
    enum hs_log_level least;
    struct {
        uint64_t at_ns;
        uint32_t left;
    } bucket[HS_LOG_LEVELS];
    uint64_t dropped;       /* since the last line that was written */
    uint64_t lines, lost;   /* written, and dropped so far */
};

struct hs_log_line {
    struct hs_log *log;     /* NULL: the line is not wanted */
    size_t len;
    char text[HS_LOG_BYTES];
};

void hs_log_init(struct hs_log *log, int fd, enum hs_log_level least);
/* "debug", "info", "warn", "error"; false for anything else. */
bool hs_log_level_named(const char *name, enum hs_log_level *out);

/* A line: begin, its values, end. NULL log: nothing happens. */
void hs_log_begin(struct hs_log_line *line, struct hs_log *log, enum hs_log_level level, const char *event);
void hs_log_text(struct hs_log_line *line, const char *key, const char *text, size_t len);
void hs_log_word(struct hs_log_line *line, const char *key, const char *text); /* terminated */
void hs_log_u64(struct hs_log_line *line, const char *key, uint64_t value);
void hs_log_ms(struct hs_log_line *line, const char *key, uint64_t ns); /* as milliseconds, 1.234 */
void hs_log_end(struct hs_log_line *line);

#endif

/* The log: see hs_log.h. */
#define _GNU_SOURCE
#include "serve/hs_log.h"
#include "base/hb_error.h"
#include "base/os/hb_os.h"
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOG_SECOND 1000000000u

static const char *const log_levels[HS_LOG_LEVELS] = {"debug", "info", "warn", "error"};

void hs_log_init(struct hs_log *log, int fd, enum hs_log_level least)
{
    *log = (struct hs_log){.fd = fd, .least = least};
    for (int i = 0; i < HS_LOG_LEVELS; i++) {
        log->bucket[i].at_ns = hb_os_now_ns();
        log->bucket[i].left = HS_LOG_BURST;
    }
}

bool hs_log_level_named(const char *name, enum hs_log_level *out)
{
    for (int i = 0; i < HS_LOG_LEVELS; i++)
        if (!strcmp(name, log_levels[i])) {
            *out = (enum hs_log_level)i;
            return true;
        }
    return false;
}

static bool log_allowed(struct hs_log *log, enum hs_log_level level)
{
    const uint64_t now = hb_os_now_ns(), since = now - log->bucket[level].at_ns;
    const uint64_t more = since / (LOG_SECOND / HS_LOG_RATE);
    if (level >= HS_LOG_WARN)
        return true;
    if (more) {
        const uint64_t left = log->bucket[level].left + more;
        log->bucket[level].left = left < HS_LOG_BURST ? (uint32_t)left : HS_LOG_BURST;
        log->bucket[level].at_ns += more * (LOG_SECOND / HS_LOG_RATE);
    }
    if (log->bucket[level].left == 0)
        return false;
    log->bucket[level].left--;
    return true;
}

static void log_put(struct hs_log_line *l, const char *text, size_t n)
{
    const size_t room = sizeof l->text - 1 - l->len; /* the line end always fits */
    n = n < room ? n : room;
    memcpy(l->text + l->len, text, n);
    l->len += n;
}

void hs_log_begin(struct hs_log_line *line, struct hs_log *log, enum hs_log_level level, const char *event)
{
    struct timespec now;
    char text[64];
    line->log = log && log->fd >= 0 && level >= log->least ? log : NULL;
    line->len = 0;
    if (!line->log)
        return;
    if (!log_allowed(log, level)) {
        log->dropped++;
        log->lost++;
        line->log = NULL;
        return;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    const unsigned ms = (unsigned)(now.tv_nsec / 1000000);
    log_put(line, text, hb_format(text, sizeof text, "time=%lld.%u%u%u level=%s", (long long)now.tv_sec, ms / 100,
                                  ms / 10 % 10, ms % 10, log_levels[level]));
    hs_log_word(line, "event", event);
    if (log->dropped)
        hs_log_u64(line, "dropped", log->dropped);
}

static bool log_plain(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z') ||
              (text[i] >= '0' && text[i] <= '9') || (text[i] && strchr("._:/+-@", text[i]))))
            return false;
    return len > 0;
}

static void log_key(struct hs_log_line *line, const char *key)
{
    log_put(line, " ", 1);
    log_put(line, key, strlen(key));
    log_put(line, "=", 1);
}

void hs_log_text(struct hs_log_line *line, const char *key, const char *text, size_t len)
{
    if (!line->log)
        return;
    log_key(line, key);
    if (log_plain(text, len)) {
        log_put(line, text, len);
        return;
    }
    log_put(line, "\"", 1);
    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)text[i];
        const char hex[] = {'\\', 'x', "0123456789abcdef"[c >> 4], "0123456789abcdef"[c & 15]};
        if (sizeof line->text - line->len < 8)
            break; /* no half escape, and the quote fits */
        if (c < 32 || c > 126)
            log_put(line, hex, 4);
        else if (c == '"' || c == '\\')
            log_put(line, (const char[]){'\\', (char)c}, 2);
        else
            log_put(line, (const char *)&text[i], 1);
    }
    log_put(line, "\"", 1);
}

void hs_log_word(struct hs_log_line *line, const char *key, const char *text)
{
    hs_log_text(line, key, text, strlen(text));
}

void hs_log_u64(struct hs_log_line *line, const char *key, uint64_t value)
{
    char text[24];
    if (!line->log)
        return;
    log_key(line, key);
    log_put(line, text, hb_format(text, sizeof text, "%llu", (unsigned long long)value));
}

void hs_log_ms(struct hs_log_line *line, const char *key, uint64_t ns)
{
    char text[32];
    if (!line->log)
        return;
    const unsigned us = (unsigned)(ns / 1000 % 1000);
    log_key(line, key);
    log_put(line, text, hb_format(text, sizeof text, "%llu.%u%u%u", (unsigned long long)(ns / 1000000), us / 100,
                                  us / 10 % 10, us % 10));
}

void hs_log_end(struct hs_log_line *line)
{
    struct hs_log *log = line->log;
    ssize_t n;
    if (!log)
        return;
    line->text[line->len++] = '\n';
    do
        n = write(log->fd, line->text, line->len);
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)line->len) {
        log->lines++;
        log->dropped = 0;
    } else {
        log->dropped++;
        log->lost++;
    }
    line->log = NULL;
}

/* Statuses travel as return values, the sentence for a human in a caller-owned hearth_error.
 * No thread-local, no global: small targets often have neither. */
#ifndef HB_ERROR_H
#define HB_ERROR_H

#include "hearth.h"
#include "base/hb_port.h"
#include <stdarg.h>

#ifndef HEARTH_ERROR_TEXT
#define HEARTH_ERROR_TEXT 1
#endif

/* Return the status of an expression unless it is HEARTH_OK. */
#define HB_TRY(expr)                                                                               \
    do {                                                                                           \
        hearth_status hb_try_status_ = (expr);                                                     \
        if (HB_UNLIKELY(hb_try_status_ != HEARTH_OK))                                              \
            return hb_try_status_;                                                                 \
    } while (0)

/* Fill err (may be NULL) with status and sentence; returns status, so `return hb_fail(...)`.
 * The format understands %s %.*s %c %d %u %x %ld %lu %lx %lld %llu %llx %zu %zx %g %%; strings
 * are escaped: control bytes and invalid UTF-8 print as \xHH, and a long result ends in "...". */
#if HEARTH_ERROR_TEXT
hearth_status hb_fail(hearth_error *err, hearth_status status, const char *format, ...)
    HB_PRINTF(3, 4);
#else
hearth_status hb_fail_code(hearth_error *err, hearth_status status);
#define hb_fail(err, status, ...) hb_fail_code((err), (status))
#endif

/* Bounded formatting with the same directives. Returns the length that was written, without the
 * NUL; dst is always terminated when size > 0. */
size_t hb_format(char *dst, size_t size, const char *format, ...) HB_PRINTF(3, 4);
size_t hb_vformat(char *dst, size_t size, const char *format, va_list args);

#endif

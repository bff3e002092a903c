/* The guard: what a request may hold before anything is done for it. Bounds of single fields are a list (guards.def);
 * what concerns several fields, roles and blocked words stands in guard.c. It fails closed, with a sentence that
 * names the field, the value found and what is accepted. */
#ifndef HS_GUARD_H
#define HS_GUARD_H

#include "base/hb_arena.h"
#include "serve/hs_filter.h"
#include "serve/hs_limits.h"
#include "serve/hs_wire.h"

struct hs_guard;

/* `blocked`: texts of requests that hold one of its words are refused; borrowed, or NULL. Limits are copied. */
hearth_status hs_guard_create(const struct hs_limits *limits, const struct hs_filter *blocked, struct hb_arena *arena,
                              struct hs_guard **out, hearth_error *err);
/* HEARTH_E_LIMIT: too long or too many; HEARTH_E_RANGE: another value; HEARTH_E_ARGUMENT: fields that exclude each
 * other, or are missing together. Messages without bounds pass. Allocates nothing. */
hearth_status hs_guard_check(struct hs_guard *guard, const struct hs_message *m, const void *msg, hearth_error *err);

#endif

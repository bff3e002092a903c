/* The inside of a session handle, shared by session.c (making one), step.c (using it) and infer.c. */
#ifndef HR_SESSION_H
#define HR_SESSION_H

#include "runtime/hr_account.h"
#include "runtime/hr_infer.h"
#include "runtime/hr_kv.h"
#include "graph/ht_plan.h"

/* Rows of the profile, and which step counts for which. */
struct hr_profile_map {
    hearth_profile_row *rows;
    uint32_t n_rows;
    uint32_t *row_of_step;
};

struct hearth_session {
    const hearth_model *model;
    hearth_session_config config; /* defaults filled in */
    struct hb_arena arena;
    struct hk_table kernels;
    struct ht_plan *plan;
    struct ht_pool *pool;
    struct hr_kv kv;
    struct ht_segment *segments; /* [n_batch] */
    int32_t *old_length;         /* [n_seqs] of sequences that a step touches */
    int32_t *grow;               /* [n_seqs] positions that a step adds */
    int32_t n_logits;            /* rows of the last step */
    size_t planned_bytes;
    _Atomic uint32_t cancel;
    struct hr_profile_map profile;
    struct hr_spec_account speculation;
    struct hr_infer *infer; /* graphs of tensors; then plan, kv and what belongs to them are empty */
    struct hb_alloc hooks; /* how `block` was made; none: the caller's memory */
    void *block;           /* as allocated */
    size_t block_bytes;
    bool block_from_os;
};

/* The kv_cache switch: off, every step computes its sequences from their first token. */
HB_INLINE bool hr_session_keeps_kv(const hearth_session *s)
{
    return HEARTH_WITH_KV_CACHE && !(s->config.flags & HEARTH_SESSION_NO_KV_CACHE);
}

#endif

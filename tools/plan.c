#include "plan.h"
#include <inttypes.h>
#include <stdio.h>

/* One row per figure of the plan: key of the JSON object, value, text. */
#define PLAN_ROWS(ROW)                                                                          \
    ROW("n_ctx", (uint64_t)hs->info.n_ctx, "positions per sequence")                               \
    ROW("n_batch", (uint64_t)hs->info.n_batch, "tokens in one step")                               \
    ROW("n_threads", (uint64_t)hs->info.n_threads, "threads")                                      \
    ROW("file_bytes", m->file_bytes, "the file, mapped unless --no-mmap")                          \
    ROW("model_bytes", m->info.model_bytes, "metadata, tokenizer, graph")                          \
    ROW("kv_bytes", hs->info.kv_bytes, "KV cache")                                                 \
    ROW("kv_token_bytes", hs->info.kv_token_bytes, "of it per position")                           \
    ROW("activation_bytes", hs->info.activation_bytes, "activations")                              \
    ROW("scratch_bytes", hs->info.scratch_bytes, "scratch of all workers")                         \
    ROW("session_bytes", hs->info.planned_bytes, "session: KV, activations, scratch, tables")      \
    ROW("planned_bytes", hc_planned_bytes(m, hs), "process, file, model and session together")     \
    ROW("in_use_bytes", hearth_memory_used(m->memory), "of the limit: model, session, pools")      \
    ROW("limit_bytes", plan_limit(m), "beyond the file, from --memory-limit or 2 GiB")

static uint64_t plan_limit(const struct hc_model *m)
{
    hearth_memory_info info = {.struct_size = sizeof info};
    hearth_memory_get_info(m->memory, &info);
    return info.max_bytes;
}

void hc_plan_print(const struct hc_model *m, const struct hc_session *hs)
{
    printf("\nmemory plan (%s)\n", hs->info.level);
#define PLAN_ROW(key, value, text) printf("  %-18s %14" PRIu64 "  %s\n", key, value, text);
    PLAN_ROWS(PLAN_ROW)
#undef PLAN_ROW
}

void hc_plan_json(struct hj *j, const struct hc_model *m, const struct hc_session *hs)
{
    hj_open(j, "plan", '{');
    hj_string(j, "level", hs->info.level);
#define PLAN_ROW(key, value, text) hj_uint(j, key, value);
    PLAN_ROWS(PLAN_ROW)
#undef PLAN_ROW
    hj_close(j, '}');
}

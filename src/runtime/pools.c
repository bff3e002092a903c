/* hearth_pool: the graph room's pool behind the public name. */
#include "runtime/hr_model.h"
#include "graph/ht_pool.h"
#include <string.h>

hearth_status hearth_pool_open(const hearth_pool_config *config, hearth_pool **pool,
                               hearth_error *err)
{
    hearth_pool_config c = {.struct_size = sizeof c};
    struct hb_alloc hooks;
    struct ht_pool *p;
    if (config)
        memcpy(&c, config, config->struct_size < sizeof c ? config->struct_size : sizeof c);
    HB_TRY(hr_hooks(&c.allocator, &hooks, err));
    c.allocator = (hearth_allocator){hooks.alloc, hooks.free, hooks.user};
    HB_TRY(ht_pool_create(&c, &p, err));
    *pool = (hearth_pool *)p;
    return HEARTH_OK;
}

int32_t hearth_pool_threads(const hearth_pool *pool)
{
    return ht_pool_workers((const struct ht_pool *)pool);
}

void hearth_pool_close(hearth_pool *pool)
{
    ht_pool_destroy((struct ht_pool *)pool);
}

void hearth_pool_pause(hearth_pool *pool)
{
    ht_pool_pause((struct ht_pool *)pool);
}

void hearth_pool_resume(hearth_pool *pool)
{
    ht_pool_resume((struct ht_pool *)pool);
}

void hearth_pool_get_stats(const hearth_pool *pool, hearth_pool_stats *stats)
{
    ht_pool_get_stats((const struct ht_pool *)pool, stats);
}

void hearth_pool_get_info(const hearth_pool *pool, hearth_pool_info *info)
{
    ht_pool_get_info((const struct ht_pool *)pool, info);
}

/* Laying one table over another, slot by slot. */
#include "kernels/kernels.h"

#define DISPATCH_LAY(slot)                                                                         \
    if (over->slot)                                                                                \
        table->slot = over->slot;

void hk_overlay(struct hk_table *table, const struct hk_table *over)
{
    if (over->level)
        table->level = over->level;
#define HK_SLOT(name, type, check, text) DISPATCH_LAY(name)
#include "kernels/kernels.def"
#undef HK_SLOT
    for (int i = 0; i < HK_QTYPE_COUNT; i++) {
        DISPATCH_LAY(quant[i].unpack)
        DISPATCH_LAY(quant[i].stream)
        DISPATCH_LAY(quant[i].few)
        DISPATCH_LAY(quant[i].pack)
    }
    for (int i = 0; i < HK_KVTYPE_COUNT; i++) {
        DISPATCH_LAY(kv[i].scores)
        DISPATCH_LAY(kv[i].values)
        DISPATCH_LAY(kv[i].put_k)
        DISPATCH_LAY(kv[i].put_v)
    }
}

void hk_select(struct hk_table *table, uint32_t features, enum hk_level top)
{
    *table = (struct hk_table){0};
    for (int i = 0; i < HK_LEVEL_COUNT && i <= (int)top; i++)
        if (hk_level_runs((enum hk_level)i, features))
            hk_overlay(table, hk_level_table((enum hk_level)i));
}

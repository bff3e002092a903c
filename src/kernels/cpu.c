/* Levels: their names, what a machine must have for them, and whether this build contains them.
 * HK_WITH_<level> is 1 or 0 by cmake/HearthLevels.cmake. */
#include "kernels/hk_bodies.h"
#include <string.h>

#define CPU_TABLE_1(name)     &hk_table_##name
#define CPU_TABLE_0(name)     NULL
#define CPU_CAT(a, b)         a##b
#define CPU_TABLE(with, name) CPU_CAT(CPU_TABLE_, with)(name)

static const struct {
    const char *name;
    uint32_t needs;
    const struct hk_table *table;
} cpu_levels[HK_LEVEL_COUNT] = {
#define HK_LEVEL(name, needs) {#name, needs, CPU_TABLE(HK_WITH_##name, name)},
#include "kernels/levels.def"
#undef HK_LEVEL
};

const char *hk_level_name(enum hk_level level)
{
    return cpu_levels[level].name;
}

enum hk_level hk_level_from_name(const char *name)
{
    for (int i = 0; i < HK_LEVEL_COUNT; i++)
        if (!strcmp(cpu_levels[i].name, name))
            return (enum hk_level)i;
    return HK_LEVEL_COUNT;
}

bool hk_level_runs(enum hk_level level, uint32_t features)
{
    return cpu_levels[level].table &&
           (features & cpu_levels[level].needs) == cpu_levels[level].needs;
}

const struct hk_table *hk_level_table(enum hk_level level)
{
    return cpu_levels[level].table;
}

/* What the level avx512 adds. */
#include "kernels/hk_bodies.h"

const struct hk_table hk_table_avx512 = {
    .level = "avx512",
};

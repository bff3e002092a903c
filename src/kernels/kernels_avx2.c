/* What the level avx2 adds. */
#include "kernels/hk_bodies.h"

const struct hk_table hk_table_avx2 = {
    .level = "avx2",
};

/* The scalar table: the specification of every slot. */
#include "kernels/hk_bodies.h"

const struct hk_table hk_table_scalar = {
    .level = "scalar",
};

/* A tier: which suites run, with which features, on which models, and what they are to reach. Read from
 * fixtures/tiers/NAME.json; an unknown key, suite or feature is refused by its name. */
#ifndef BN_TIER_H
#define BN_TIER_H

#include "hearth.h"
#include <stdbool.h>

#define BN_TIER_MODELS 4 /* the first of enum bn_role */

/* Targets: X(key). 0: the tier has none. */
#define BN_TARGETS(X)                                                                              \
    X(generation_tokens_per_s)                                                                     \
    X(classification_p95_ms)                                                                       \
    X(embedding_p95_ms)                                                                            \
    X(memory_ratio)                                                                                \
    X(infrastructure_overhead_us)                                                                  \
    X(input_validation_ns)                                                                         \
    X(memory_acquire_us)                                                                           \
    X(result_creation_ns)

struct bn_tier {
    char name[32], description[256];
#define BN_TARGET(key) double key;
    BN_TARGETS(BN_TARGET)
#undef BN_TARGET
    struct {
        char file[64], size[24], purpose[64];
    } model[BN_TIER_MODELS];
    bool suite[16];    /* by enum bn_suite_id */
    uint32_t features; /* bits of enum bn_feature */
};

/* `benchmarks` may be an object of switches or a list of names; `features` and `models` may be absent, which switches
 * everything on that this build has, and leaves this tree's own models.
 *
 * HEARTH_E_FORMAT       no JSON, or a key that is unknown or of another type
 * HEARTH_E_UNSUPPORTED  a feature that this build was made without */
hearth_status bn_tier_read(const char *path, struct bn_tier *tier, hearth_error *err);

#endif

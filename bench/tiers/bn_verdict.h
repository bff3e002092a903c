/* What a run says to each row of the targets. */
#ifndef BN_VERDICT_H
#define BN_VERDICT_H

#include "bench/suites/bn_run.h"
#include "bn_tier.h"

enum bn_said { BN_MET, BN_NOT_MET, BN_NOT_RUN };

struct bn_verdict {
    const char *metric, *source;
    char target[48];
    char reason[200];             /* of not run */
    enum bn_said said;
    bool claimed;                 /* a figure that was claimed, not a requirement */
    const struct bn_result *result; /* NULL: not run */
};

#define BN_MOST_VERDICTS 400

/* Fills at most `most`, in the order of targets.def. */
size_t bn_judge(const struct bn_run *run, struct bn_verdict *out, size_t most);
const char *bn_said_text(enum bn_said said);

#endif

/* What a run leaves behind: report.json with everything, report.md and report.html from it; and two of them compared. */
#ifndef BN_REPORT_H
#define BN_REPORT_H

#include "bench/tiers/bn_verdict.h"

struct bn_report {
    const struct bn_run *run;
    const struct bn_verdict *verdict;
    size_t n_verdicts;
    char date[32], commit[48];
};

void bn_report_json(FILE *f, const struct bn_report *report);
void bn_report_md(FILE *f, const struct bn_report *report);
void bn_report_html(FILE *f, const struct bn_report *report);
/* All three into a folder, which is made. 0, or -1 with errno. */
int bn_report_write(const char *dir, const struct bn_report *report);

/* "12.3", "0.00456", "1 234 567": four digits that matter. */
const char *bn_number(char dst[32], double value);

/* ---- comparison ---- */

struct bn_compared {
    size_t same, better, worse, undecided, only_before, only_now;
    double drift; /* how much slower the machine itself was, by its yardstick; 0: not slower */
};

/* Every gated result of two report.json beside each other; a line each to f for what is not the same. The gates:
 * throughput 10 %, latency 10 %, memory 15 %. HEARTH_E_FORMAT: one of them is no report; HEARTH_E_MISMATCH: of
 * different tiers, machines or modes. */
hearth_status bn_report_compare(const char *before, const char *now, FILE *f, struct bn_compared *out, hearth_error *err);

#endif

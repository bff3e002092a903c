/* From the start of a process to its first token or result: with the file in the system's cache, and with its pages
 * given up before (cold, as far as the system lets go of them; host caches are out of reach). */
#define _GNU_SOURCE
#include "bn_run.h"
#include <fcntl.h>
#include <unistd.h>

static bool load_forget(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool done = fd >= 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0;
    if (fd >= 0)
        close(fd);
    return done;
}

static int load_case(struct bn_run *run, const struct bn_model *m, bool cold)
{
    char out[2048];
    const char *args[] = {"bench", "probe", "-m", m->path, "-c", "128", "-p", "16", "-n", "1",
                          BN_ON(run, mmap_loading) ? NULL : "--no-mmap", NULL};
    struct bn_result *r = bn_add(run, "ms", BN_LOWER, cold ? BN_UNGATED : BN_LATENCY, "%s start to first %s",
                                 cold ? "cold" : "warm", m->role < BN_GENERATOR ? "result" : "token");
    bn_of_model(r, m);
    bn_params(r, "%.1f MB, prompt of 16", (double)m->bytes * 1e-6);
    struct bn_result *open = bn_add(run, "ms", BN_LOWER, BN_UNGATED, "%s open", cold ? "cold" : "warm");
    bn_of_model(open, m);
    bn_params(open, "metadata, graph, tokenizer; weights stay in the file");
    for (size_t i = 0; i < bn_rounds(run, cold ? 3 : 7); i++) {
        uint64_t first, end;
        if (cold && !load_forget(m->path)) {
            bn_missing(r, "the system keeps the file's pages");
            return 0;
        }
        if (bn_child(run, args, out, sizeof out, &first, &end) != 0) {
            bn_missing(r, "hearth bench probe failed");
            return 0;
        }
        double inside = bn_json_number(out, "first_ms");
        bn_sample(open, bn_json_number(out, "open_ms"));
        bn_sample(r, inside);
    }
    bn_settle(r, "median");
    bn_settle(open, "median");
    return 0;
}

int suite_load_time(struct bn_run *run)
{
    int rc = 0;
    for (int role = 0; rc == 0 && role < BN_ROLES; role++) {
        struct bn_model found[4];
        char why[200];
        size_t n = bn_models_find(run, (enum bn_role)role, found, run->smoke && role != BN_SMALL ? 0 : 4, why);
        for (size_t i = 0; rc == 0 && i < n; i++) {
            rc = load_case(run, &found[i], false);
            rc = rc == 0 && !run->smoke ? load_case(run, &found[i], true) : rc;
        }
    }
    return rc;
}

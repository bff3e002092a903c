/* Every kernel slot at every level of this machine beside its limits: check_kernels compares each with the scalar one and
 * then times it; this reads its lines. Bytes over time beside what one thread reads from memory, operations beside
 * what the level's instructions can do in registers. */
#define _GNU_SOURCE
#include "bn_run.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void kernels_word(const char *line, const char *key, char *dst, size_t size)
{
    char quoted[32];
    snprintf(quoted, sizeof quoted, "\"%s\":\"", key);
    const char *at = strstr(line, quoted);
    dst[0] = 0;
    if (at) {
        at += strlen(quoted);
        snprintf(dst, size, "%.*s", (int)strcspn(at, "\""), at);
    }
}

/* Products of bytes, by the slot's name or its block type. */
static bool kernels_int8(const struct bn_kernel *k)
{
    static const char *const names[] = {"tile_b32", "tile_k", "gemm_i8", "stream_", "few_", "attn_scores_q"};
    static const char *const floats[] = {"stream_f", "stream_bf", "few_f", "few_bf"};
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        if (strncmp(k->slot, floats[i], strlen(floats[i])) == 0)
            return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(k->slot, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static void kernels_row(struct bn_run *run, const char *line)
{
    struct bn_kernel *k = &run->kernel[run->n_kernels];
    double ns = bn_json_number(line, "best_ns");
    if (!isfinite(ns) || run->n_kernels == BN_MOST_KERNELS)
        return;
    kernels_word(line, "slot", k->slot, sizeof k->slot);
    kernels_word(line, "level", k->level, sizeof k->level);
    kernels_word(line, "shape", k->shape, sizeof k->shape);
    k->ns = ns;
    k->gb_s = bn_json_number(line, "gbs");
    k->gops = bn_json_number(line, "gops");
    k->int8 = kernels_int8(k);
    if (run->machine.read_gb_s[0] > 0)
        k->bandwidth_share = k->gb_s / run->machine.read_gb_s[0];
    for (size_t i = 0; i < run->machine.n_peaks; i++)
        if (strcmp(run->machine.peak[i].level, k->level) == 0) {
            double peak = k->int8 && run->machine.peak[i].int8_gops > 0 ? run->machine.peak[i].int8_gops
                                                                          : run->machine.peak[i].f32_gflops;
            k->peak_share = k->gops / peak;
        }
    run->n_kernels++;
}

/* check_kernels of the build tree this program stands in, or beside it. */
static bool kernels_program(const struct bn_run *run, char *path, size_t size)
{
    static const char *const places[] = {"tests/kernels/check_kernels", "check_kernels", "../tests/kernels/check_kernels"};
    const char *slash = run->self ? strrchr(run->self, '/') : NULL;
    for (size_t i = 0; slash && i < 3; i++) {
        snprintf(path, size, "%.*s/%s", (int)(slash - run->self), run->self, places[i]);
        if (access(path, X_OK) == 0)
            return true;
    }
    return false;
}

int suite_kernels(struct bn_run *run)
{
    struct bn_run child = *run;
    char path[1024];
    size_t size = 1 << 20;
    char *out = malloc(size);
    int rc = 0;
    if (!out)
        return bn_refuse(run, "no memory");
    if (!kernels_program(run, path, sizeof path)) {
        free(out);
        return bn_refuse(run, "check_kernels, which is built with the tests, is not beside this program");
    }
    child.self = path;
    if (!run->smoke)
        bn_machine_measure(&run->machine);
    for (int scalar = 0; rc == 0 && scalar < 2; scalar++) {
        const char *args[] = {"--bench", "--json", run->smoke ? "--slot=add_f32" : "--slot=*", scalar ? "--level=scalar" : NULL, NULL};
        uint64_t first, end;
        int status = bn_child(&child, args, out, size, &first, &end);
        if (status != 0)
            rc = bn_wrong(run, "check_kernels found a kernel that is not the scalar one (status %d)", status);
        for (char *line = out, *next; rc == 0 && *line; line = next) {
            next = line + strcspn(line, "\n");
            next += *next ? (*next = 0, 1) : 0;
            if (line[0] == '{')
                kernels_row(run, line);
        }
    }
    if (rc == 0 && run->n_kernels == 0)
        rc = bn_refuse(run, "check_kernels timed nothing");
    if (rc == 0)
        bn_single(bn_add(run, "rows", BN_NEITHER, BN_UNGATED, "slots, levels and shapes"), (double)run->n_kernels);
    free(out);
    return rc;
}

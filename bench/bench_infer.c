/* How long does one run of an encoder take, by sequence length, batch and threads?
 *
 *     bench_infer MODEL.onnx SEQ[,SEQ...] BATCH[,...] THREADS[,...] [RUNS [q8_0 | bf16]]
 *
 * A JSON line for each cell: wall and CPU time of a run in milliseconds, least, p50 and p95, and the
 * resident size behind the runs and the file's size in bytes. CPU time is
 * that of the whole process; on a machine that others use too it is the steadier one. Inputs of any
 * name get ids, masks of ones or zeros by the rules of hearth_encoder; outputs are checked to be finite
 * before anything is timed. tools/compare_onnxruntime.py runs it beside ONNX Runtime. */
#include "hearth.h"
#include "base/hb_port.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BENCH_MOST 16

struct bench_list {
    long item[BENCH_MOST];
    size_t n;
};

static struct bench_list bench_parse(const char *text)
{
    struct bench_list list = {.n = 0};
    for (const char *at = text; *at && list.n < BENCH_MOST;) {
        char *end;
        list.item[list.n++] = strtol(at, &end, 10);
        at = *end == ',' ? end + 1 : end + strlen(end);
    }
    return list;
}

static double bench_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void bench_die(const char *what, const hearth_error *err)
{
    fprintf(stderr, "bench_infer: %s: %s\n", what, err->text);
    exit(1);
}

static int bench_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void bench_print(const char *name, double *ms, size_t n)
{
    qsort(ms, n, sizeof *ms, bench_compare);
    printf(", \"%s_min\": %.3f, \"%s_p50\": %.3f, \"%s_p95\": %.3f", name, ms[0], name, ms[n / 2], name,
           ms[n * 95 / 100]);
}

/* Ids that every vocabulary has; the rest as a mask of ones or types of zero. */
static void bench_inputs(const hearth_model *model, hearth_tensor *inputs, size_t n, long batch,
                         long seq)
{
    for (size_t i = 0; i < n; i++) {
        hearth_io_info io = {.struct_size = sizeof io};
        hearth_model_input(model, i, &io, NULL);
        int64_t *data = calloc((size_t)(batch * seq), sizeof *data);
        bool mask = strstr(io.name, "mask") != NULL, ids = strstr(io.name, "input_ids") != NULL;
        for (long k = 0; data && k < batch * seq; k++)
            data[k] = mask ? 1 : ids ? 5 + (k * 7919) % 1000 : 0;
        inputs[i] = (hearth_tensor){.name = io.name, .type = HEARTH_DTYPE_I64, .rank = 2,
                                    .dim = {batch, seq}, .data = data,
                                    .bytes = (size_t)(batch * seq) * sizeof *data};
    }
}

static void bench_check(const hearth_tensor *t)
{
    const float *x = t->data;
    for (size_t i = 0; t->type == HEARTH_DTYPE_F32 && i < t->bytes / sizeof *x; i++)
        if (!isfinite(x[i])) {
            fprintf(stderr, "bench_infer: output %s is not finite\n", t->name);
            exit(1);
        }
}

/* VmRSS of /proc/self/status in bytes, 0 where there is none. */
static unsigned long long bench_rss(void)
{
    unsigned long long kb = 0;
    char line[256];
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmRSS: %llu", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb * 1024;
}

static void bench_cell(const hearth_file *file, const hearth_model *model, long seq, long batch, long threads,
                       size_t runs)
{
    hearth_error err = {0};
    hearth_pool *pool;
    hearth_session *session;
    hearth_tensor inputs[8], outputs[8];
    size_t n_in = hearth_model_input_count(model), n_out = hearth_model_output_count(model);
    if (n_in > 8 || n_out > 8)
        exit(1);
    hearth_pool_config pc = {.struct_size = sizeof pc, .n_threads = (int32_t)threads};
    if (hearth_pool_open(&pc, &pool, &err) != HEARTH_OK)
        bench_die("pool", &err);
    hearth_session_config sc = {.struct_size = sizeof sc, .pool = pool};
    if (hearth_session_open(model, &sc, &session, &err) != HEARTH_OK)
        bench_die("session", &err);
    hearth_file_forget(file);
    bench_inputs(model, inputs, n_in, batch, seq);
    double *wall = malloc(runs * sizeof *wall), *cpu = malloc(runs * sizeof *cpu);
    if (!wall || !cpu)
        exit(1);
    for (int warm = 0; warm < 2; warm++)
        if (hearth_session_infer(session, inputs, n_in, outputs, n_out, &err) != HEARTH_OK)
            bench_die("infer", &err);
    for (size_t i = 0; i < n_out; i++)
        bench_check(&outputs[i]);
    for (size_t r = 0; r < runs; r++) {
        double w = bench_clock(CLOCK_MONOTONIC), c = bench_clock(CLOCK_PROCESS_CPUTIME_ID);
        hearth_session_infer(session, inputs, n_in, outputs, n_out, &err);
        wall[r] = bench_clock(CLOCK_MONOTONIC) - w;
        cpu[r] = bench_clock(CLOCK_PROCESS_CPUTIME_ID) - c;
    }
    hearth_session_info info = {.struct_size = sizeof info};
    hearth_session_get_info(session, &info);
    printf("{\"level\": \"%s\", \"seq\": %ld, \"batch\": %ld, \"threads\": %ld, \"runs\": %zu", info.level,
           seq, batch, threads, runs);
    bench_print("wall", wall, runs);
    bench_print("cpu", cpu, runs);
    printf(", \"rss\": %llu, \"file\": %zu}\n", bench_rss(), hearth_file_size(file));
    fflush(stdout);
    for (size_t i = 0; i < n_in; i++)
        free((void *)(uintptr_t)inputs[i].data);
    free(wall);
    free(cpu);
    hearth_session_close(session);
    hearth_pool_close(pool);
}

int main(int argc, char **argv)
{
    hearth_error err = {0};
    hearth_file *file;
    hearth_model *model;
    if (argc < 5) {
        fprintf(stderr, "usage: bench_infer MODEL.onnx SEQ,... BATCH,... THREADS,... [RUNS [q8_0 | bf16]]\n");
        return 2;
    }
    struct bench_list seqs = bench_parse(argv[2]), batches = bench_parse(argv[3]);
    struct bench_list threads = bench_parse(argv[4]);
    size_t runs = argc > 5 ? (size_t)strtoul(argv[5], NULL, 10) : 50;
    if (hearth_file_open(argv[1], NULL, &file, &err) != HEARTH_OK)
        bench_die(argv[1], &err);
    hearth_bytes bytes = {hearth_file_bytes(file), hearth_file_size(file)};
    const char *form = argc > 6 ? argv[6] : "";
    const hearth_model_config config = {.struct_size = sizeof config,
                                        .weights = strcmp(form, "q8_0") == 0   ? HEARTH_WEIGHTS_Q8_0
                                                   : strcmp(form, "bf16") == 0 ? HEARTH_WEIGHTS_BF16
                                                                               : HEARTH_WEIGHTS_STORED};
    if (hearth_model_open(&bytes, 1, &config, &model, &err) != HEARTH_OK)
        bench_die(argv[1], &err);
    for (size_t t = 0; t < threads.n; t++)
        for (size_t b = 0; b < batches.n; b++)
            for (size_t s = 0; s < seqs.n; s++)
                bench_cell(file, model, seqs.item[s], batches.item[b], threads.item[t], runs ? runs : 1);
    hearth_model_close(model);
    hearth_file_close(file);
    return 0;
}

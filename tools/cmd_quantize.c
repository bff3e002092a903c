/* hearth quantize: a GGUF file with fewer bits a weight. The work is in tools/quantize. */
#include "client.h"
#include "commands.h"
#include "json_out.h"
#include "tools/quantize/rewrite.h"
#include "base/os/hb_os.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct quantize_settings {
    struct hc_common common;
    const char *imatrix;
    bool requantize, pure, dry_run, verbose;
};

struct quantize_show {
    const struct quantize_settings *settings;
    bool terminal;
    uint64_t start_ns;
};

static void quantize_shape(FILE *f, const struct hg_tensor *t)
{
    for (int d = t->rank; d-- > 0;)
        fprintf(f, "%lld%s", (long long)t->dim[d], d ? "x" : "");
}

static void quantize_line(const struct hq_tensor *t)
{
    fprintf(stderr, "%-32s %-6s -> %-6s ", t->from->name, hk_qtype_info[t->from->type].name,
            hk_qtype_info[t->type].name);
    quantize_shape(stderr, t->from);
}

/* A bar of 40 places and the time that is left. */
static void quantize_progress(void *user, const struct hq_progress *p)
{
    const struct quantize_show *show = user;
    if (show->settings->verbose) {
        fputs(show->terminal ? "\r\033[K" : "", stderr);
        quantize_line(p->tensor);
        if (p->tensor->type != p->tensor->from->type)
            fprintf(stderr, "  rms error %.6f of rms %.6f", sqrt(p->rms_error), sqrt(p->rms));
        fputc('\n', stderr);
    }
    if (!show->terminal)
        return;
    int full = (int)(40 * p->done / p->total);
    double left = hc_ms_since(show->start_ns) / 1000 * (double)(p->total - p->done) / (double)p->done;
    fprintf(stderr, "\r\033[K[%.*s%*s] tensor %zu of %zu, %.0f s left", full, "########################################",
            40 - full, "", p->index + 1, p->n, left);
    if (p->index + 1 == p->n)
        fputs("\r\033[K", stderr);
}

static int quantize_report(const struct quantize_settings *s, const struct hq_result *result, uint64_t from_bytes,
                           const struct hq_mix *mix, double seconds)
{
    double bits = 8 * (double)result->bytes / (double)result->elements;
    double relative = result->square > 0 ? sqrt(result->square_error / result->square) : 0;
    if (s->common.json) {
        struct hj j = {.file = stdout};
        hj_open(&j, NULL, '{');
        hj_string(&j, "type", mix->name);
        hj_uint(&j, "bytes_before", from_bytes);
        hj_uint(&j, "bytes", result->bytes);
        hj_real(&j, "bits_per_weight", bits);
        hj_uint(&j, "encoded", result->n_encoded);
        hj_uint(&j, "copied", result->n_copied);
        if (!s->dry_run) {
            hj_real(&j, "relative_rms_error", relative);
            hj_real(&j, "seconds", seconds);
        }
        hj_close(&j, '}');
        fputc('\n', stdout);
    } else {
        printf("%s: %llu bytes (before: %llu), %.2f bits a weight, %zu tensors encoded, %zu copied", mix->name,
               (unsigned long long)result->bytes, (unsigned long long)from_bytes, bits, result->n_encoded,
               result->n_copied);
        if (!s->dry_run)
            printf(", rms error %.4f of the weights' rms, %.1f s", relative, seconds);
        putchar('\n');
    }
    if (result->n_without)
        fprintf(stderr, "%zu tensors are not in the importance matrix\n", result->n_without);
    return hc_finish_output();
}

/* Into a file beside, which takes the name when it is whole. */
static int quantize_to(const char *path, const struct hq_rewrite *r, const struct hq_tensor *tensors,
                       struct hq_result *result)
{
    hearth_error err = {0};
    size_t size = strlen(path) + sizeof ".partial";
    char *beside = malloc(size);
    if (!beside)
        return hc_fail(HC_LIMIT, path, "no memory for its name");
    snprintf(beside, size, "%s.partial", path);
    FILE *to = fopen(beside, "wb");
    int rc = to ? HC_OK : hc_fail(HC_FAILED, beside, "%m; a file that can be written is accepted");
    if (to) {
        hearth_status status = hq_write(r, tensors, to, result, &err);
        if (fclose(to) != 0 && status == HEARTH_OK)
            status = hb_fail(&err, HEARTH_E_IO, "could not be written: %m");
        if (status != HEARTH_OK)
            rc = hc_fail_status(status == HEARTH_E_IO ? HC_FAILED : HC_REFUSED, path, status, &err);
        else if (rename(beside, path) != 0)
            rc = hc_fail(HC_FAILED, path, "%m; a name that %s can take is accepted", beside);
        if (rc != HC_OK)
            unlink(beside);
    }
    free(beside);
    return rc;
}

static int quantize_file(const struct quantize_settings *s, struct hq_rewrite *r, uint64_t from_bytes)
{
    hearth_error err = {0};
    struct hq_result result;
    struct quantize_show show = {s, isatty(STDERR_FILENO) != 0, hc_now_ns()};
    struct hq_tensor *tensors = calloc(r->file->n_tensors + 1, sizeof *tensors);
    if (!tensors)
        return hc_fail(HC_LIMIT, s->common.model, "no memory for %zu tensors", r->file->n_tensors);
    r->progress = quantize_progress;
    r->user = &show;
    hearth_status status = hq_plan(r, tensors, &result, &err);
    int rc = status == HEARTH_OK ? HC_OK : hc_fail_status(HC_REFUSED, s->common.model, status, &err);
    if (rc == HC_OK && s->dry_run)
        for (size_t i = 0; i < r->file->n_tensors; i++) {
            quantize_line(&tensors[i]);
            fputc('\n', stderr);
        }
    else if (rc == HC_OK)
        rc = quantize_to(s->common.rest[1], r, tensors, &result);
    if (rc == HC_OK)
        rc = quantize_report(s, &result, from_bytes, r->mix, hc_ms_since(show.start_ns) / 1000);
    free(tensors);
    return rc;
}

static int quantize_imatrix(const struct quantize_settings *s, struct hb_arena *arena, hearth_file **file,
                            struct hq_imatrix *imatrix)
{
    hearth_error err = {0};
    hearth_status status = hearth_file_open(s->imatrix, NULL, file, &err);
    if (status == HEARTH_OK)
        status = hq_imatrix_read(hearth_file_bytes(*file), hearth_file_size(*file), arena, imatrix, &err);
    return status == HEARTH_OK ? HC_OK : hc_fail_status(HC_REFUSED, s->imatrix, status, &err);
}

static int quantize_opened(const struct quantize_settings *s, const struct hc_model *m, const struct hq_mix *mix)
{
    hearth_error err = {0};
    struct hb_arena arena;
    struct hg_file file;
    struct hq_imatrix imatrix = {0};
    hearth_file *imatrix_file = NULL;
    hb_arena_init_growing(&arena, hb_os_heap());
    hearth_bytes *parts = calloc(m->n_files, sizeof *parts);
    for (size_t i = 0; parts && i < m->n_files; i++)
        parts[i] = (hearth_bytes){hearth_file_bytes(m->files[i]), hearth_file_size(m->files[i])};
    hearth_status status = parts ? hg_open(parts, m->n_files, &arena, &file, &err) : HEARTH_E_MEMORY;
    int rc = status == HEARTH_OK ? HC_OK : hc_fail_status(HC_REFUSED, m->path, status, &err);
    if (rc == HC_OK && s->imatrix)
        rc = quantize_imatrix(s, &arena, &imatrix_file, &imatrix);
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    struct hq_rewrite r = {.file = &file, .mix = mix, .pure = s->pure, .requantize = s->requantize,
                           .imatrix = s->imatrix ? &imatrix : NULL,
                           .threads = s->common.threads ? s->common.threads : (int)cpus};
    if (rc == HC_OK)
        rc = quantize_file(s, &r, m->file_bytes);
    hearth_file_close(imatrix_file);
    free(parts);
    hb_arena_release(&arena);
    return rc;
}

/* Would the output be the input? */
static bool quantize_same(const char *a, const char *b)
{
    char *real_a = realpath(a, NULL), *real_b = realpath(b, NULL);
    bool same = real_a && real_b && strcmp(real_a, real_b) == 0;
    free(real_a);
    free(real_b);
    return same;
}

static int quantize_run(const void *settings)
{
    struct quantize_settings s = *(const struct quantize_settings *)settings;
    if (s.common.n_rest != 3)
        return hc_fail(HC_USAGE, "quantize", "%d arguments; IN OUT TYPE are accepted", s.common.n_rest);
    const struct hq_mix *mix = hq_mix_find(s.common.rest[2]);
    if (!mix) {
        char names[512] = "";
        for (size_t i = 0, at = 0; i < hq_n_mixes; i++)
            at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", i ? " " : "", hq_mixes[i].name);
        return hc_fail(HC_USAGE, s.common.rest[2], "no type; accepted are %s", names);
    }
    if (quantize_same(s.common.rest[0], s.common.rest[1]))
        return hc_fail(HC_USAGE, s.common.rest[1], "is the input; another file is accepted");
    s.common.model = s.common.rest[0];
    struct hc_model m = {0};
    int rc = hc_files_open(&s.common, &m);
    if (rc == HC_OK)
        rc = quantize_opened(&s, &m, mix);
    hc_model_close(&m);
    return rc;
}

#define FIELD(name) offsetof(struct quantize_settings, name)
static const struct hc_option quantize_options[] = {
    {"--imatrix", HC_TEXT, FIELD(imatrix), 0, 0, "FILE", "importance matrix: GGUF or the legacy form"},
    {"--allow-requantize", HC_FLAG, FIELD(requantize), 0, 0, NULL, "encode tensors that are quantized already"},
    {"--pure", HC_FLAG, FIELD(pure), 0, 0, NULL, "the same type for all matrices"},
    {"--dry-run", HC_FLAG, FIELD(dry_run), 0, 0, NULL, "print what each tensor would become; write nothing"},
    {"--verbose", HC_FLAG, FIELD(verbose), 0, 0, NULL, "a line for each tensor, with its error"},
    HC_OPTIONS_END,
};

static const struct quantize_settings quantize_defaults;

const struct hc_command hc_command_quantize = {
    .name = "quantize",
    .synopsis = "IN OUT TYPE [--imatrix FILE]",
    .text = "Writes the GGUF file IN with other types of weights. TYPE is a mix: f32 f16 bf16 q8_0 q4_0 q4_1 q5_0\n"
            "q5_1 iq4_nl iq4_xs q2_k q3_k_s q3_k_m q3_k_l q4_k_s q4_k_m q5_k_s q5_k_m q6_k. Vectors and routers stay as\n"
            "they are. Scales are searched for the least error, weighted by the importance matrix if there is one.",
    .options = quantize_options,
    .without_model = true,
    .settings_size = sizeof(struct quantize_settings),
    .defaults = &quantize_defaults,
    .run = quantize_run,
    .takes_rest = true,
};

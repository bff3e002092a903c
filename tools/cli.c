/* Parsing by table, help from the same table, errors on one line. */
#include "cli.h"
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- errors ---- */

void hc_put_escaped(FILE *f, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == '\n')
            fputs("\\n", f);
        else if (*p < 0x20 || *p == 0x7F)
            fprintf(f, "\\x%02x", *p);
        else
            fputc(*p, f);
    }
}

int hc_fail(enum hc_exit status, const char *object, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fflush(stdout);
    fputs("hearth: ", stderr);
    hc_put_escaped(stderr, object);
    fputs(": ", stderr);
    hc_put_escaped(stderr, text);
    fputc('\n', stderr);
    return (int)status;
}

int hc_fail_status(enum hc_exit otherwise, const char *object, hearth_status status,
                   const hearth_error *err)
{
    bool limit = status == HEARTH_E_MEMORY || status == HEARTH_E_LIMIT || status == HEARTH_E_FULL;
    const char *text = err->text[0] ? err->text : hearth_status_text(status);
    size_t len = strlen(object);
    if (strncmp(text, object, len) == 0 && strncmp(text + len, ": ", 2) == 0)
        text += len + 2; /* the sentence names its object itself */
    return hc_fail(limit ? HC_LIMIT : otherwise, object, "%s", text);
}

/* ---- options common to all commands ---- */

#define COMMON(field) offsetof(struct hc_common, field)
static const struct hc_option cli_common[] = {
    {"-m", HC_TEXT, COMMON(model), 0, 0, "FILE",
     "model; of a split one the first file, NAME-00001-of-0000N.gguf"},
    {"-t", HC_INT, COMMON(threads), 1, 1024, "N",
     "threads; default: the fast cores that affinity and cgroup quota allow"},
    {"--level", HC_TEXT, COMMON(level), 0, 0, "NAME", "highest kernel level to use"},
    {"--cpu-mask", HC_CPUS, COMMON(cpus), 0, 0, "CPUS",
     "CPUs the workers are bound to: 0,2-3 or a mask 0xd"},
    {"--cpu-strict", HC_FLAG, COMMON(cpu_strict), 0, 0, NULL,
     "each thread on one CPU of --cpu-mask, not on any of them"},
    {"--no-thread-pool", HC_FLAG, COMMON(no_thread_pool), 0, 0, NULL,
     "no worker threads: compute on the calling thread"},
    {"--no-arena", HC_FLAG, COMMON(no_arena), 0, 0, NULL,
     "blocks from the heap as they are needed, not one arena per session"},
    {"--no-simd-tokenizer", HC_FLAG, COMMON(no_simd_tokenizer), 0, 0, NULL,
     "words are cut by scalar code and merged anew each time"},
    {"--memory-limit", HC_BYTES, COMMON(memory_limit), 0, 0, "BYTES",
     "refuse what needs more, the file included; default: 2 GiB beyond it"},
    {"--external-data", HC_FLAG, COMMON(external_data), 0, 0, NULL,
     "ONNX: tensors may keep their data in other files beside the model"},
    {"--no-mmap", HC_FLAG, COMMON(no_mmap), 0, 0, NULL, "read the model into memory, do not map it"},
    {"--json", HC_FLAG, COMMON(json), 0, 0, NULL, "print the result as JSON"},
    {"--weights", HC_TEXT, COMMON(weights), 0, 0, "TYPE",
     "ONNX: compute float32 matmuls with weights as q8_0 or bf16"},
    HC_OPTIONS_END,
};

static const struct hc_option *cli_common_of(const struct hc_command *command)
{
    return command->common ? command->common : cli_common;
}

static const struct hc_option *cli_find(const struct hc_command *command, const char *flag)
{
    const struct hc_option *const tables[] = {command->options, cli_common_of(command)};
    for (size_t i = 0; i < HC_COUNT(tables); i++)
        for (const struct hc_option *o = tables[i]; o->flag; o++)
            if (strcmp(o->flag, flag) == 0)
                return o;
    return NULL;
}

/* ---- values ---- */

static bool cli_long(const char *text, long long min, long long max, long long *out)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end || errno || v < min || v > max)
        return false;
    *out = v;
    return true;
}

static bool cli_int(const struct hc_option *o, const char *text, int32_t *out)
{
    long long v;
    if (!cli_long(text, (long long)o->min, (long long)o->max, &v)) {
        hc_fail(HC_USAGE, o->flag, "%s; a whole number from %.0f to %.0f is accepted", text, o->min,
                o->max);
        return false;
    }
    *out = (int32_t)v;
    return true;
}

static bool cli_ints(const struct hc_option *o, const char *text, struct hc_ints *out)
{
    out->n = 0;
    for (const char *p = text; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
        char part[32];
        size_t len = strcspn(p, ",");
        if (out->n == HC_MOST_VALUES || len >= sizeof part) {
            hc_fail(HC_USAGE, o->flag, "%s; at most %d numbers with commas are accepted", text,
                    HC_MOST_VALUES);
            return false;
        }
        memcpy(part, p, len);
        part[len] = 0;
        if (!cli_int(o, part, &out->item[out->n]))
            return false;
        out->n++;
    }
    return true;
}

static bool cli_real(const struct hc_option *o, const char *text, float *out)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !(v >= o->min && v <= o->max)) {
        hc_fail(HC_USAGE, o->flag, "%s; a number from %g to %g is accepted", text, o->min, o->max);
        return false;
    }
    *out = (float)v;
    return true;
}

static bool cli_bytes(const struct hc_option *o, const char *text, uint64_t *out)
{
    char *end;
    double v = strtod(text, &end);
    const char *suffix = *end ? strchr("KkMmGgTt", *end) : NULL;
    if (suffix)
        v = ldexp(v, 10 * (1 + (int)(suffix - "KkMmGgTt") / 2));
    if (end == text || (suffix ? end[1] : *end) || !(v >= 1 && v < 0x1p63)) {
        hc_fail(HC_USAGE, o->flag, "%s; a size such as 800M or 2G is accepted", text);
        return false;
    }
    *out = (uint64_t)v;
    return true;
}

static bool cli_seed(const struct hc_option *o, const char *text, struct hc_seed *out)
{
    char *end;
    errno = 0;
    out->value = strtoull(text, &end, 10);
    out->given = true;
    if (*text < '0' || *text > '9' || *end || errno) {
        hc_fail(HC_USAGE, o->flag, "%s; a whole number from 0 to %llu is accepted", text,
                (unsigned long long)UINT64_MAX);
        return false;
    }
    return true;
}

static bool cli_cpu_list(const char *text, struct hc_cpus *out)
{
    const long most = HC_CPU_WORDS * 64;
    for (;;) {
        char *end;
        long first = strtol(text, &end, 10), last = first;
        if (*text < '0' || *text > '9')
            return false;
        if (*end == '-') {
            text = end + 1;
            last = strtol(text, &end, 10);
            if (*text < '0' || *text > '9')
                return false;
        }
        if (first > last || last >= most)
            return false;
        for (long cpu = first; cpu <= last; cpu++)
            out->word[cpu / 64] |= (uint64_t)1 << (cpu % 64);
        if (*end != ',')
            return *end == 0;
        text = end + 1;
    }
}

static bool cli_cpus(const struct hc_option *o, const char *text, struct hc_cpus *out)
{
    bool good;
    *out = (struct hc_cpus){.given = true};
    if (strncmp(text, "0x", 2) == 0) {
        char *end;
        errno = 0;
        out->word[0] = strtoull(text + 2, &end, 16);
        good = *end == 0 && !errno && out->word[0] != 0;
    } else {
        good = cli_cpu_list(text, out);
    }
    if (!good)
        hc_fail(HC_USAGE, o->flag, "%s; CPUs such as 0,2-3 or a mask such as 0xd are accepted",
                text);
    return good;
}

static bool cli_take(const struct hc_option *o, const char *text, void *field)
{
    struct hc_texts *texts;
    switch (o->kind) {
    case HC_FLAG:
        *(bool *)field = true;
        return true;
    case HC_TEXT:
        *(const char **)field = text;
        return true;
    case HC_TEXTS:
        texts = field;
        if (texts->n == HC_MOST_VALUES) {
            hc_fail(HC_USAGE, o->flag, "given more than %d times; %d are accepted", HC_MOST_VALUES,
                    HC_MOST_VALUES);
            return false;
        }
        texts->item[texts->n++] = text;
        return true;
    case HC_INT:
        return cli_int(o, text, field);
    case HC_INTS:
        return cli_ints(o, text, field);
    case HC_REAL:
        return cli_real(o, text, field);
    case HC_BYTES:
        return cli_bytes(o, text, field);
    case HC_SEED:
        return cli_seed(o, text, field);
    case HC_CPUS:
        return cli_cpus(o, text, field);
    case HC_LATER:
        break;
    }
    hc_fail(HC_USAGE, o->flag, "not in this build, which has no %s", o->text);
    return false;
}

/* ---- the two entries ---- */

bool hc_parse(const struct hc_command *command, int argc, char **argv, void *settings,
              int *exit_status)
{
    memcpy(settings, command->defaults, command->settings_size);
    *exit_status = HC_USAGE;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
            hc_print_help(command);
            *exit_status = HC_OK;
            return false;
        }
        const struct hc_option *o = cli_find(command, argv[i]);
        if (!o && command->takes_command && argv[i][0] != '-') {
            ((struct hc_common *)settings)->rest = &argv[i];
            ((struct hc_common *)settings)->n_rest = argc - i;
            break;
        }
        if (!o && command->takes_rest && argv[i][0] != '-') {
            struct hc_common *common = settings;
            if (!common->n_rest)
                common->rest = &argv[i];
            if (common->rest + common->n_rest != &argv[i]) {
                hc_fail(HC_USAGE, argv[i], "stands apart from the others; options go before or behind");
                return false;
            }
            common->n_rest++;
            continue;
        }
        if (!o) {
            hc_fail(HC_USAGE, argv[i], "no option of %s; hearth %s -h lists them", command->name,
                    command->name);
            return false;
        }
        const char *value = NULL;
        if (o->arg && o->kind != HC_LATER) {
            if (i + 1 == argc) {
                hc_fail(HC_USAGE, o->flag, "nothing follows it; %s is accepted", o->arg);
                return false;
            }
            value = argv[++i];
        }
        if (!cli_take(o, value, (char *)settings + o->off))
            return false;
    }
    bool wants_model = !command->without_model && !command->takes_rest && !command->common;
    if (!((const struct hc_common *)settings)->model && wants_model) {
        hc_fail(HC_USAGE, "-m", "not given; a model file is needed");
        return false;
    }
    return true;
}

static void cli_print_options(const struct hc_option *o)
{
    for (; o->flag; o++) {
        char left[64];
        snprintf(left, sizeof left, "%s%s%s", o->flag, o->arg ? " " : "", o->arg ? o->arg : "");
        if (o->kind == HC_LATER)
            printf("  %-24s not in this build: %s\n", left, o->text);
        else
            printf("  %-24s %s\n", left, o->text);
    }
}

void hc_print_help(const struct hc_command *command)
{
    printf("hearth %s %s\n\n%s\n\n", command->name, command->synopsis, command->text);
    cli_print_options(command->options);
    printf("\nCommon to all commands%s:\n", command->common ? " of the client" : "");
    cli_print_options(cli_common_of(command));
    printf("  %-24s this text\n", "-h");
}

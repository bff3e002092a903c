/* The command line of the hearth command: one table of options per command, from which parsing and
 * the text of -h both follow; and the one-line errors with their exit status.
 *
 * An error is one line on stderr:
 *
 *     hearth: OBJECT: what was found; what is accepted
 */
#ifndef CLI_H
#define CLI_H

#include "hearth.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#if defined(__GNUC__)
#define HC_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define HC_PRINTF(f, a)
#endif

#define HC_COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- exit status ---- */

enum hc_exit {
    HC_OK = 0,
    HC_FAILED = 1,  /* the system, a broken pipe, Ctrl-C */
    HC_USAGE = 2,   /* the command line is not accepted */
    HC_REFUSED = 3, /* a file is not accepted */
    HC_LIMIT = 4,   /* memory or a limit */
};

/* Print a text that came from outside, control bytes as \xHH or \n: it stays on its line. */
void hc_put_escaped(FILE *f, const char *text);

/* Print the error line (control bytes of both parts are escaped) and return `status`. */
int hc_fail(enum hc_exit status, const char *object, const char *format, ...) HC_PRINTF(3, 4);

/* What a library call said about `object`: memory and limits end with HC_LIMIT, everything else
 * with `otherwise` (HC_REFUSED for a file, HC_USAGE for settings, HC_FAILED while running). */
int hc_fail_status(enum hc_exit otherwise, const char *object, hearth_status status,
                   const hearth_error *err);

/* ---- options ---- */

#define HC_MOST_VALUES 16

struct hc_texts {
    const char *item[HC_MOST_VALUES];
    size_t n;
};

struct hc_ints {
    int32_t item[HC_MOST_VALUES];
    size_t n;
};

struct hc_seed {
    uint64_t value;
    bool given;
};

#define HC_CPU_WORDS 16
struct hc_cpus {
    uint64_t word[HC_CPU_WORDS];
    bool given;
};

enum hc_kind {
    HC_FLAG,  /* bool; takes no argument */
    HC_TEXT,  /* const char *, borrowed from argv */
    HC_TEXTS, /* struct hc_texts: the option may be repeated */
    HC_INT,   /* int32_t in [min, max] */
    HC_INTS,  /* struct hc_ints: numbers in [min, max], separated by commas */
    HC_REAL,  /* float in [min, max] */
    HC_BYTES, /* uint64_t; K, M, G multiply by powers of 1024 */
    HC_SEED,  /* struct hc_seed */
    HC_CPUS,  /* struct hc_cpus: 0,2-3 or a hexadecimal mask 0x.. */
    HC_LATER, /* no field: a known option that this build does not have; text says what is missing */
};

struct hc_option {
    const char *flag;
    enum hc_kind kind;
    size_t off; /* of the field in the command's settings */
    double min, max;
    const char *arg;  /* how -h calls the argument, NULL for flags */
    const char *text; /* one line of -h */
};

#define HC_OPTIONS_END {NULL, HC_FLAG, 0, 0, 0, NULL, NULL}

/* Settings that every command has, the first member of its settings struct. */
struct hc_common {
    const char *model;
    int32_t threads; /* 0: what affinity and quota allow */
    const char *level;
    struct hc_cpus cpus;
    bool cpu_strict;
    bool no_thread_pool;
    bool no_arena;
    bool no_simd_tokenizer;
    uint64_t memory_limit; /* 0: none */
    bool json;
    bool no_mmap;
    bool external_data;
    const char *weights;   /* NULL, q8_0, bf16 */
    char **rest; /* arguments that are no options, where the command takes them */
    int n_rest;
};

struct hc_command {
    const char *name;
    const char *synopsis; /* what follows the name: "-m FILE (-p TEXT | -f FILE)" */
    const char *text;     /* what it does, a few lines for -h */
    const struct hc_option *options; /* ended by HC_OPTIONS_END; the common ones are added */
    const struct hc_option *common;  /* NULL: those of commands that open a model file */
    bool without_model; /* -m may be left out */
    size_t settings_size;
    const void *defaults; /* a settings struct */
    int (*run)(const void *settings);
    bool takes_rest; /* arguments without an option go to hc_common.rest */
    bool takes_command; /* the first one does, with all that stands behind it, options too */
};

/* Fill `settings` from argv. Returns true to go on; else *exit_status is what to exit with: HC_OK
 * after -h, HC_USAGE after an error line. */
bool hc_parse(const struct hc_command *command, int argc, char **argv, void *settings,
              int *exit_status);

void hc_print_help(const struct hc_command *command);

#endif

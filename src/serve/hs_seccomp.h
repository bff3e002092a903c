/* The filter of system calls: a program for the kernel, made from the rows of syscalls.def.
 *
 *   load architecture     not this one: end the process
 *   load number           x32's: end the process
 *   row                   equal? else over the row's block (a constant of its rule)
 *     block               ends in a return on every path, so nothing falls through into the next row
 *   ...
 *   return                refuse
 *
 * Within a block every jump goes over the one instruction behind it or nowhere: there is no distance that could be
 * counted wrong. The tests run the program in an interpreter of their own over all numbers of both machines. */
#ifndef HS_SECCOMP_H
#define HS_SECCOMP_H

#include "base/hb_error.h"
#include <linux/filter.h>

enum hs_machine { HS_X86_64, HS_AARCH64 };
#if defined(__aarch64__)
#define HS_THIS_MACHINE HS_AARCH64
#else
#define HS_THIS_MACHINE HS_X86_64
#endif

enum hs_refusal {
    HS_REFUSE_KILL, /* ends the process by SIGSYS */
    HS_REFUSE_ERRNO /* EPERM: for development */
};

enum hs_rule_kind { HS_RULE_ANY, HS_RULE_WITHOUT, HS_RULE_AMONG, HS_RULE_OWN, HS_RULE_FAILS };
#define HS_RULE_VALUES 16

struct hs_rule {
    enum hs_rule_kind kind;
    uint32_t arg;  /* which of the six; HS_RULE_FAILS: the error */
    uint32_t bits; /* HS_RULE_WITHOUT: refused; HS_RULE_AMONG: not looked at */
    uint32_t n;
    uint32_t values[HS_RULE_VALUES];
};
struct hs_call {
    const char *name;
    int number[2]; /* by enum hs_machine; -1: this machine has none */
    struct hs_rule rule;
};
extern const struct hs_call hs_calls[];
extern const size_t hs_n_calls;

#define HS_PROGRAM_MAX 512
struct hs_program {
    struct sock_filter code[HS_PROGRAM_MAX];
    uint16_t n;
};

/* `pid`: the process that HS_OWN means. HEARTH_E_LIMIT: the rows make more than HS_PROGRAM_MAX instructions. */
hearth_status hs_program_make(struct hs_program *p, enum hs_machine machine, enum hs_refusal refusal, uint32_t pid,
                              hearth_error *err);

/* Puts the program in force for the calling thread, or for all threads of the process at once; irrevocably. Needs
 * no_new_privs. HEARTH_E_UNSUPPORTED: the kernel has no such filter or does not take it. */
hearth_status hs_program_install(const struct hs_program *p, bool all_threads, hearth_error *err);

#endif

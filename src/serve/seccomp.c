/* From the rows of syscalls.def to a program of the kernel's classic BPF.
 * Source: Linux Documentation/userspace-api/seccomp_filter.rst; linux/seccomp.h (struct seccomp_data). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "serve/hs_seccomp.h"
#include "base/hb_port.h"
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HS_ANY                   {HS_RULE_ANY, 0, 0, 0, {0}}
#define HS_WITHOUT(arg, bits)    {HS_RULE_WITHOUT, (arg), (bits), 0, {0}}
#define HS_OWN(arg)              {HS_RULE_OWN, (arg), 0, 0, {0}}
#define HS_FAILS(error)          {HS_RULE_FAILS, (error), 0, 0, {0}}
#define HS_AMONG(arg, bits, ...)                                                                   \
    {HS_RULE_AMONG, (arg), (bits), sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t), {__VA_ARGS__}}

const struct hs_call hs_calls[] = {
#define HS_CALL(name, x86_64, aarch64, rule, reason) {#name, {x86_64, aarch64}, rule},
#define HS_CALL_X86(name, x86_64, rule, reason)      {#name, {x86_64, -1}, rule},
#include "serve/syscalls.def"
};
const size_t hs_n_calls = HB_COUNT(hs_calls);

/* The numbers are claims until the headers of the machine that is built for agree. */
#if defined(__x86_64__)
#define HS_CALL(name, x86_64, aarch64, rule, reason)                                               \
    _Static_assert((x86_64) == __NR_##name, "syscalls.def: " #name);
#define HS_CALL_X86(name, x86_64, rule, reason) HS_CALL(name, x86_64, , , )
#elif defined(__aarch64__)
#define HS_CALL(name, x86_64, aarch64, rule, reason)                                               \
    _Static_assert((aarch64) == __NR_##name, "syscalls.def: " #name);
#define HS_CALL_X86(name, x86_64, rule, reason)
#else
#error "syscalls.def has the numbers of x86-64 and AArch64"
#endif
#include "serve/syscalls.def"

#define X32_BIT 0x40000000u

static void program_add(struct hs_program *p, uint16_t code, uint32_t k, uint8_t if_true, uint8_t if_false)
{
    if (p->n < HS_PROGRAM_MAX)
        p->code[p->n] = (struct sock_filter){code, if_true, if_false, k};
    p->n++; /* past the end: told by hs_program_make */
}

static void program_load(struct hs_program *p, size_t offset)
{
    program_add(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void program_return(struct hs_program *p, uint32_t action)
{
    program_add(p, BPF_RET | BPF_K, action, 0, 0);
}

/* The next instruction is run if the comparison holds, and otherwise passed over. */
static void program_if(struct hs_program *p, uint16_t comparison, uint32_t k)
{
    program_add(p, (uint16_t)(BPF_JMP | comparison | BPF_K), k, 0, 1);
}

/* The low half of an argument; both machines are little-endian. */
static void program_load_arg(struct hs_program *p, uint32_t arg)
{
    program_load(p, offsetof(struct seccomp_data, args) + 8 * (size_t)arg);
}

static void program_rule(struct hs_program *p, const struct hs_rule *r, uint32_t refuse, uint32_t pid)
{
    switch (r->kind) {
    case HS_RULE_ANY:
        break;
    case HS_RULE_FAILS:
        program_return(p, SECCOMP_RET_ERRNO | (r->arg & SECCOMP_RET_DATA));
        return;
    case HS_RULE_WITHOUT:
        program_load_arg(p, r->arg);
        program_if(p, BPF_JSET, r->bits);
        program_return(p, refuse);
        break;
    case HS_RULE_OWN:
        program_load_arg(p, r->arg);
        program_if(p, BPF_JEQ, pid);
        program_return(p, SECCOMP_RET_ALLOW);
        program_return(p, refuse);
        return;
    case HS_RULE_AMONG:
        program_load_arg(p, r->arg);
        program_add(p, BPF_ALU | BPF_AND | BPF_K, ~r->bits, 0, 0);
        for (uint32_t i = 0; i < r->n; i++) {
            program_if(p, BPF_JEQ, r->values[i]);
            program_return(p, SECCOMP_RET_ALLOW);
        }
        program_return(p, refuse);
        return;
    }
    program_return(p, SECCOMP_RET_ALLOW);
}

hearth_status hs_program_make(struct hs_program *p, enum hs_machine machine, enum hs_refusal refusal, uint32_t pid,
                              hearth_error *err)
{
    const uint32_t refuse = refusal == HS_REFUSE_KILL ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | EPERM;
    memset(p, 0, sizeof *p);
    program_load(p, offsetof(struct seccomp_data, arch));
    program_add(p, BPF_JMP | BPF_JEQ | BPF_K, machine == HS_X86_64 ? AUDIT_ARCH_X86_64 : AUDIT_ARCH_AARCH64, 1, 0);
    program_return(p, SECCOMP_RET_KILL_PROCESS);
    program_load(p, offsetof(struct seccomp_data, nr));
    if (machine == HS_X86_64) {
        program_if(p, BPF_JGE, X32_BIT);
        program_return(p, SECCOMP_RET_KILL_PROCESS);
    }
    for (size_t i = 0; i < hs_n_calls; i++) {
        if (hs_calls[i].number[machine] < 0)
            continue;
        uint16_t row = p->n;
        program_if(p, BPF_JEQ, (uint32_t)hs_calls[i].number[machine]);
        program_rule(p, &hs_calls[i].rule, refuse, pid);
        size_t block = (size_t)(p->n - row) - 1;
        if (block > UINT8_MAX || p->n >= HS_PROGRAM_MAX)
            return hb_fail(err, HEARTH_E_LIMIT, "syscalls.def: %s is beyond the %d instructions of a filter",
                           hs_calls[i].name, HS_PROGRAM_MAX);
        p->code[row].jf = (uint8_t)block;
    }
    program_return(p, refuse);
    return HEARTH_OK;
}

/* SPEC_ALLOW: kernels before 5.16 would otherwise turn speculative store bypass off for every thread, which costs
 * far more than the filter. It guards against code that a process compiles or interprets for somebody else; here
 * none is, and the filter refuses to make any. */
hearth_status hs_program_install(const struct hs_program *p, bool all_threads, hearth_error *err)
{
    struct sock_fprog program = {p->n, (struct sock_filter *)(uintptr_t)p->code};
    const unsigned sync = all_threads ? SECCOMP_FILTER_FLAG_TSYNC : 0;
    long rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, sync | SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program);
    if (rc < 0 && errno == EINVAL) /* before 4.17 */
        rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, sync, &program);
    if (rc > 0)
        return hb_fail(err, HEARTH_E_UNSUPPORTED, "seccomp: thread %d cannot take the filter", (int)rc);
    if (rc < 0)
        return hb_fail(err, HEARTH_E_UNSUPPORTED, "seccomp: %s", strerror(errno));
    return HEARTH_OK;
}

/* The filter of system calls, run by an interpreter over all numbers of both machines and compared with the rows it
 * was made from; and with lists written by hand of what must never be there and of arguments that decide. */
#include "test_support.h"
#include "serve/hs_seccomp.h"
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>

#define PID  4711
#define ALLOW SECCOMP_RET_ALLOW
#define KILL  SECCOMP_RET_KILL_PROCESS
#define FAIL(error) (SECCOMP_RET_ERRNO | (error))
#define LAST_NUMBER 600

static const uint32_t archs[] = {AUDIT_ARCH_X86_64, AUDIT_ARCH_AARCH64};

/* 0: the program is not one the kernel would take */
static uint32_t run(const struct hs_program *p, const struct seccomp_data *d)
{
    uint32_t a = 0;
    for (size_t pc = 0; pc < p->n; pc++) {
        const struct sock_filter *i = &p->code[pc];
        switch (i->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            if (i->k % 4 || i->k + 4 > sizeof *d)
                return 0;
            memcpy(&a, (const char *)d + i->k, 4);
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= i->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            pc += a == i->k ? i->jt : i->jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            pc += a >= i->k ? i->jt : i->jf;
            break;
        case BPF_JMP | BPF_JSET | BPF_K:
            pc += a & i->k ? i->jt : i->jf;
            break;
        case BPF_RET | BPF_K:
            return i->k;
        default:
            return 0;
        }
    }
    return 0;
}

static uint32_t call_on(const struct hs_program *p, enum hs_machine machine, int number, int arg, uint64_t value)
{
    struct seccomp_data d = {.nr = number, .arch = archs[machine]};
    if (arg >= 0)
        d.args[arg] = value;
    return run(p, &d);
}

/* What the rows say, without the program: the specification. */
static uint32_t expected(enum hs_machine machine, enum hs_refusal refusal, int number, int arg, uint64_t value)
{
    uint32_t refuse = refusal == HS_REFUSE_KILL ? KILL : FAIL(EPERM);
    for (size_t i = 0; i < hs_n_calls; i++) {
        const struct hs_rule *r = &hs_calls[i].rule;
        uint32_t v = arg == (int)r->arg ? (uint32_t)value : 0;
        bool listed = false;
        if (hs_calls[i].number[machine] != number)
            continue;
        for (uint32_t k = 0; k < r->n; k++)
            listed |= (v & ~r->bits) == r->values[k];
        switch (r->kind) {
        case HS_RULE_ANY:
            return ALLOW;
        case HS_RULE_FAILS:
            return FAIL(r->arg);
        case HS_RULE_WITHOUT:
            return v & r->bits ? refuse : ALLOW;
        case HS_RULE_OWN:
            return v == PID ? ALLOW : refuse;
        case HS_RULE_AMONG:
            return listed ? ALLOW : refuse;
        }
    }
    return refuse;
}

static const uint64_t values[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 20, 21, 22, 23, 26, 100,
                                  128, 129, 134, 265, 384, 393, 512, PID, PID + 1, 0x100000004u, 0xFFFFFFFFu};

static bool same_as_rows(const struct hs_program *p, enum hs_machine machine, enum hs_refusal refusal)
{
    for (int number = 0; number <= LAST_NUMBER; number++) {
        if (call_on(p, machine, number, -1, 0) != expected(machine, refusal, number, -1, 0))
            return false;
        for (int arg = 0; arg < 6; arg++)
            for (size_t v = 0; v < sizeof values / sizeof *values; v++)
                if (call_on(p, machine, number, arg, values[v]) !=
                    expected(machine, refusal, number, arg, values[v]))
                    return false;
    }
    return true;
}

static struct hs_program made(enum hs_machine machine, enum hs_refusal refusal)
{
    struct hs_program p;
    assert_int_equal(hs_program_make(&p, machine, refusal, PID, NULL), HEARTH_OK);
    return p;
}

static void the_program_says_what_the_rows_say(void **state)
{
    (void)state;
    for (int machine = 0; machine < 2; machine++)
        for (int refusal = 0; refusal < 2; refusal++) {
            struct hs_program p = made((enum hs_machine)machine, (enum hs_refusal)refusal);
            assert_true(p.n < HS_PROGRAM_MAX);
            assert_true(same_as_rows(&p, (enum hs_machine)machine, (enum hs_refusal)refusal));
        }
}

/* Were any jump one instruction longer, the comparison above would notice: a filter whose jumps went wrong is how
 * others have let everything through. */
static void every_jump_is_seen_by_the_comparison(void **state)
{
    (void)state;
    struct hs_program p = made(HS_X86_64, HS_REFUSE_KILL);
    for (size_t i = 0; i < p.n; i++) {
        uint16_t code = p.code[i].code;
        if ((code & 7) != BPF_JMP)
            continue;
        bool arch = i == 1, x32 = i == 4; /* told apart by the next test: no number up to 600 shows them */
        p.code[i].jf++;
        if (!arch && !x32)
            assert_false(same_as_rows(&p, HS_X86_64, HS_REFUSE_KILL));
        p.code[i].jf--;
    }
}

static void other_machines_and_x32_end_the_process(void **state)
{
    (void)state;
    struct hs_program x86 = made(HS_X86_64, HS_REFUSE_ERRNO), arm = made(HS_AARCH64, HS_REFUSE_ERRNO);
    for (int number = 0; number <= LAST_NUMBER; number++) {
        struct seccomp_data d = {.nr = number, .arch = AUDIT_ARCH_I386};
        assert_int_equal(run(&x86, &d), KILL);
        assert_int_equal(run(&arm, &d), KILL);
        d.arch = AUDIT_ARCH_AARCH64;
        assert_int_equal(run(&x86, &d), KILL);
        d = (struct seccomp_data){.nr = number | 0x40000000, .arch = AUDIT_ARCH_X86_64};
        assert_int_equal(run(&x86, &d), KILL);
    }
}

/* number on x86-64, on AArch64; -1: none */
static const struct {
    const char *name;
    int number[2];
} never[] = {
    {"socket", {41, 198}},         {"connect", {42, 203}},      {"bind", {49, 200}},         {"listen", {50, 201}},
    {"socketpair", {53, 199}},     {"accept", {43, 202}},       {"clone", {56, 220}},        {"fork", {57, -1}},
    {"vfork", {58, -1}},           {"execve", {59, 221}},       {"execveat", {322, 281}},    {"kill", {62, 129}},
    {"tkill", {200, 130}},         {"ptrace", {101, 117}},      {"unlink", {87, -1}},        {"unlinkat", {263, 35}},
    {"rename", {82, -1}},          {"renameat2", {316, 276}},   {"creat", {85, -1}},         {"truncate", {76, 45}},
    {"ftruncate", {77, 46}},       {"mkdir", {83, -1}},         {"mkdirat", {258, 34}},      {"linkat", {265, 37}},
    {"symlinkat", {266, 36}},      {"chmod", {90, -1}},         {"fchmod", {91, 52}},        {"chown", {92, -1}},
    {"mknodat", {259, 33}},        {"mount", {165, 40}},        {"umount2", {166, 39}},      {"chroot", {161, 51}},
    {"pivot_root", {155, 41}},     {"unshare", {272, 97}},      {"setns", {308, 268}},       {"setuid", {105, 146}},
    {"capset", {126, 91}},         {"bpf", {321, 280}},         {"perf_event_open", {298, 241}},
    {"userfaultfd", {323, 282}},   {"io_uring_setup", {425, 425}}, {"io_uring_enter", {426, 426}},
    {"io_uring_register", {427, 427}}, {"process_vm_readv", {310, 270}}, {"process_vm_writev", {311, 271}},
    {"pkey_mprotect", {329, 288}}, {"memfd_create", {319, 279}}, {"shmget", {29, 194}},      {"shmat", {30, 196}},
    {"personality", {135, 92}},    {"seccomp", {317, 277}},     {"keyctl", {250, 219}},      {"kexec_load", {246, 104}},
    {"init_module", {175, 105}},   {"reboot", {169, 142}},      {"modify_ldt", {154, -1}},   {"arch_prctl", {158, -1}},
    {"pidfd_open", {434, 434}},    {"pidfd_getfd", {438, 438}}, {"pidfd_send_signal", {424, 424}},
    {"rt_sigqueueinfo", {129, 138}}, {"name_to_handle_at", {303, 264}}, {"open_by_handle_at", {304, 265}},
    {"readlink", {89, -1}},        {"getdents64", {217, 61}},   {"setrlimit", {160, 164}},   {"landlock_restrict_self", {446, 446}},
};

static void what_a_worker_has_no_use_for_is_refused_whatever_its_arguments(void **state)
{
    (void)state;
    for (int machine = 0; machine < 2; machine++) {
        struct hs_program p = made((enum hs_machine)machine, HS_REFUSE_KILL);
        for (size_t i = 0; i < sizeof never / sizeof *never; i++)
            for (int arg = 0; arg < 6; arg++)
                for (size_t v = 0; v < sizeof values / sizeof *values; v++)
                    if (never[i].number[machine] >= 0 &&
                        call_on(&p, (enum hs_machine)machine, never[i].number[machine], arg, values[v]) != KILL)
                        fail_msg("%s is let through", never[i].name);
    }
}

/* Rows of arguments: number on both machines, argument, value, what becomes of it. */
static const struct {
    const char *what;
    int number[2], arg;
    uint64_t value;
    uint32_t action;
} decides[] = {
    {"mmap of pages to read and write", {9, 222}, 2, 3, ALLOW},
    {"mmap of code", {9, 222}, 2, 5, KILL},
    {"mmap of code to write", {9, 222}, 2, 7, KILL},
    {"mmap of code, high half set", {9, 222}, 2, 0x100000005u, KILL},
    {"mprotect to code", {10, 226}, 2, 5, KILL},
    {"mprotect to nothing", {10, 226}, 2, 0, ALLOW},
    {"madvise: dontneed", {28, 233}, 2, 4, ALLOW},
    {"madvise: free", {28, 233}, 2, 8, ALLOW},
    {"madvise: remove", {28, 233}, 2, 9, KILL},
    {"madvise: mergeable", {28, 233}, 2, 12, KILL},
    {"madvise: hwpoison", {28, 233}, 2, 100, KILL},
    {"futex: wait, private", {202, 98}, 1, 128, ALLOW},
    {"futex: wake, private", {202, 98}, 1, 129, ALLOW},
    {"futex: wait_bitset, private, realtime", {202, 98}, 1, 9 | 384, ALLOW},
    {"futex: lock_pi", {202, 98}, 1, 6, KILL},
    {"futex: lock_pi, private", {202, 98}, 1, 134, KILL},
    {"futex: cmp_requeue_pi", {202, 98}, 1, 12, KILL},
    {"tgkill of itself", {234, 131}, 0, PID, ALLOW},
    {"tgkill of another", {234, 131}, 0, 1, KILL},
    {"setsockopt: sndbuf", {54, 208}, 2, 7, ALLOW},
    {"setsockopt: attach_filter", {54, 208}, 2, 26, KILL},
    {"fcntl: setfl", {72, 25}, 1, 4, ALLOW},
    {"fcntl: setown", {72, 25}, 1, 8, KILL},
    {"clone3", {435, 435}, 0, 0, FAIL(ENOSYS)},
    {"openat", {257, 56}, 0, 0, FAIL(EACCES)},
    {"read", {0, 63}, 0, 0, ALLOW},
    {"exit_group", {231, 94}, 0, 0, ALLOW},
};

static void arguments_decide(void **state)
{
    (void)state;
    for (int machine = 0; machine < 2; machine++) {
        struct hs_program p = made((enum hs_machine)machine, HS_REFUSE_KILL);
        for (size_t i = 0; i < sizeof decides / sizeof *decides; i++)
            if (call_on(&p, (enum hs_machine)machine, decides[i].number[machine], decides[i].arg, decides[i].value) !=
                decides[i].action)
                fail_msg("%s", decides[i].what);
    }
}

static void rows_are_unique(void **state)
{
    (void)state;
    for (size_t i = 0; i < hs_n_calls; i++)
        for (size_t k = 0; k < i; k++)
            for (int machine = 0; machine < 2; machine++)
                assert_true(hs_calls[i].number[machine] < 0 ||
                            hs_calls[i].number[machine] != hs_calls[k].number[machine]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_program_says_what_the_rows_say),
        cmocka_unit_test(every_jump_is_seen_by_the_comparison),
        cmocka_unit_test(other_machines_and_x32_end_the_process),
        cmocka_unit_test(what_a_worker_has_no_use_for_is_refused_whatever_its_arguments),
        cmocka_unit_test(arguments_decide),
        cmocka_unit_test(rows_are_unique),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

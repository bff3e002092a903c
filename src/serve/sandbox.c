/* The layers of the sandbox, each with what became of it. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "serve/hs_sandbox.h"
#include "base/os/hb_os.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_KEEP     32
#define MAX_READABLE 64
#define NR_CLOSE_RANGE 436

static void sandbox_says(struct hs_sandbox *s, enum hs_layer layer, enum hs_held held, const char *format, ...)
    HB_PRINTF(4, 5);
static void sandbox_says(struct hs_sandbox *s, enum hs_layer layer, enum hs_held held, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    s->layers[layer].held = held;
    hb_vformat(s->layers[layer].why, sizeof s->layers[layer].why, format, args);
    va_end(args);
}

/* ---- enter ---- */

static int sandbox_threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    int n = 0;
    if (!dir)
        return 1;
    for (struct dirent *e; (e = readdir(dir));)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

static bool sandbox_close_between(int first, int last)
{
    if (first > last || syscall(NR_CLOSE_RANGE, first, last, 0) == 0)
        return true;
    int most = (int)sysconf(_SC_OPEN_MAX);
    if (most < 0 || most > 65536)
        most = 65536;
    for (int fd = first; fd <= last && fd < most; fd++)
        close(fd);
    return last <= most; /* Linux before 5.9 */
}

static void sandbox_descriptors(struct hs_sandbox *s, const struct hs_sandbox_config *config)
{
    int keep[MAX_KEEP + 1], n = 0, from = 3;
    if (config->keep_all || config->n_keep > MAX_KEEP) {
        sandbox_says(s, HS_LAYER_descriptors, HS_HELD_OFF, "all were to be kept");
        return;
    }
    for (size_t i = 0; i < config->n_keep; i++) {
        int at = n++;
        for (; at > 0 && keep[at - 1] > config->keep[i]; at--)
            keep[at] = keep[at - 1];
        keep[at] = config->keep[i];
    }
    bool all = true;
    for (int i = 0; i < n; i++)
        if (keep[i] >= from) {
            all &= sandbox_close_between(from, keep[i] - 1);
            from = keep[i] + 1;
        }
    all &= sandbox_close_between(from, INT32_MAX);
    sandbox_says(s, HS_LAYER_descriptors, HS_HELD_ENFORCED, all ? "%d kept" : "%d kept; looked up to 65536 only", n);
}

static bool sandbox_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* The user it runs as keeps its number, so that a peer of that user is still seen as itself. */
static bool sandbox_map_ids(uid_t uid, gid_t gid)
{
    char line[48];
    hb_format(line, sizeof line, "%u %u 1", (unsigned)uid, (unsigned)uid);
    bool ok = sandbox_write("/proc/self/setgroups", "deny");
    ok &= sandbox_write("/proc/self/uid_map", line);
    hb_format(line, sizeof line, "%u %u 1", (unsigned)gid, (unsigned)gid);
    return sandbox_write("/proc/self/gid_map", line) && ok;
}

static void sandbox_namespaces(struct hs_sandbox *s, int threads)
{
    const int spaces = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (threads > 1) { /* the other threads would stay outside */
        sandbox_says(s, HS_LAYER_namespaces, HS_HELD_UNAVAILABLE, "%d threads ran before", threads - 1);
        return;
    }
    if (unshare(CLONE_NEWUSER | spaces) == 0) {
        bool mapped = sandbox_map_ids(uid, gid);
        sandbox_says(s, HS_LAYER_namespaces, HS_HELD_ENFORCED, "user, net, ipc, uts%s",
                     mapped ? "" : "; ids are not mapped");
        return;
    }
    int error = errno;
    if (unshare(spaces) == 0)
        sandbox_says(s, HS_LAYER_namespaces, HS_HELD_ENFORCED, "net, ipc, uts");
    else
        sandbox_says(s, HS_LAYER_namespaces, HS_HELD_UNAVAILABLE, "unshare: %s", strerror(error));
}

static void sandbox_no_new_privs(struct hs_sandbox *s)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
        sandbox_says(s, HS_LAYER_no_new_privs, HS_HELD_ENFORCED, "set");
    else
        sandbox_says(s, HS_LAYER_no_new_privs, HS_HELD_UNAVAILABLE, "prctl: %s", strerror(errno));
}

static void sandbox_capabilities(struct hs_sandbox *s)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0}, {0}};
    int bounding = 0;
    while (bounding < 64 && prctl(PR_CAPBSET_DROP, bounding, 0, 0, 0) == 0)
        bounding++; /* as far as there are any; a process without rights may not, and needs not */
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &head, none) != 0)
        sandbox_says(s, HS_LAYER_capabilities, HS_HELD_UNAVAILABLE, "capset: %s", strerror(errno));
    else
        sandbox_says(s, HS_LAYER_capabilities, HS_HELD_ENFORCED, bounding ? "none, bounding set empty" : "none");
}

static void sandbox_landlock(struct hs_sandbox *s, const struct hs_sandbox_config *config, int threads)
{
    const char *readable[MAX_READABLE] = {"/proc", "/sys", "/dev/urandom"};
    size_t n = 3;
    hearth_error err = {0};
    for (size_t i = 0; i < config->n_readable && n < MAX_READABLE; i++)
        readable[n++] = config->readable[i];
    if (hs_landlock(readable, n, &s->landlock_abi, &err) != HEARTH_OK)
        sandbox_says(s, HS_LAYER_landlock, HS_HELD_UNAVAILABLE, "%s", err.text);
    else if (threads > 1)
        sandbox_says(s, HS_LAYER_landlock, HS_HELD_DEGRADED, "ABI %d; %d threads ran before it", s->landlock_abi,
                     threads - 1);
    else if (s->landlock_abi < 3)
        sandbox_says(s, HS_LAYER_landlock, HS_HELD_DEGRADED, "ABI %d: files can be truncated", s->landlock_abi);
    else
        sandbox_says(s, HS_LAYER_landlock, HS_HELD_ENFORCED, "ABI %d: files%s%s", s->landlock_abi,
                     s->landlock_abi >= 4 ? ", TCP" : "", s->landlock_abi >= 6 ? ", abstract sockets, signals" : "");
}

void hs_sandbox_enter(struct hs_sandbox *s, const struct hs_sandbox_config *config)
{
    uint64_t start = hb_os_now_ns();
    *s = (struct hs_sandbox){.mode = config->mode, .refusal = config->refusal, .max_files = config->max_files,
                             .memory_bytes = config->memory_bytes};
    if (config->mode == HS_SANDBOX_OFF)
        return;
    int threads = sandbox_threads();
    sandbox_descriptors(s, config);
    sandbox_namespaces(s, threads);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* no core, whatever takes them; after the ids, whose files it takes away */
    sandbox_no_new_privs(s);
    sandbox_capabilities(s);
    sandbox_landlock(s, config, threads);
    if (hs_program_make(&s->program, HS_THIS_MACHINE, s->refusal, (uint32_t)getpid(), NULL) == HEARTH_OK)
        hs_probe_all(s, &s->program);
    s->enter_ns = hb_os_now_ns() - start;
}

/* ---- close ---- */

/* A limit of 0 on the size of files would end the process at its next line into a log that is one. */
static bool sandbox_writes_a_file(void)
{
    struct stat st;
    for (int fd = 0; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFL);
        if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH) && fstat(fd, &st) == 0 &&
            S_ISREG(st.st_mode))
            return true;
    }
    return false;
}

static bool sandbox_limit(int what, uint64_t value)
{
    const struct rlimit limit = {(rlim_t)value, (rlim_t)value};
    return setrlimit((__rlimit_resource_t)what, &limit) == 0;
}

static void sandbox_limits(struct hs_sandbox *s)
{
    bool file = sandbox_writes_a_file();
    bool ok = sandbox_limit(RLIMIT_CORE, 0);
    ok &= file || sandbox_limit(RLIMIT_FSIZE, 0);
    ok &= s->max_files == 0 || sandbox_limit(RLIMIT_NOFILE, s->max_files);
    ok &= s->memory_bytes == 0 || sandbox_limit(RLIMIT_DATA, s->memory_bytes);
    if (!ok)
        sandbox_says(s, HS_LAYER_limits, HS_HELD_DEGRADED, "setrlimit: %s", strerror(errno));
    else
        sandbox_says(s, HS_LAYER_limits, HS_HELD_ENFORCED, "core 0, processes 0%s%s%s",
                     file ? ", files as they are: the log is one" : ", files 0",
                     s->max_files ? ", descriptors" : "", s->memory_bytes ? ", data" : "");
}

/* The loop's thread loses what was still open to it; threads that were started before keep reading, as far as Landlock
 * goes: there the filter is what stands in the way. */
static void sandbox_landlock_again(struct hs_sandbox *s)
{
    int abi;
    if (s->layers[HS_LAYER_landlock].held >= HS_HELD_DEGRADED)
        hs_landlock(NULL, 0, &abi, NULL);
}

/* The children of enter took a filter that the process cannot: what they found blocked by it is not. Landlock and the
 * limits still hold what they hold; which that is was not tried, since no child can be started any more. */
static void sandbox_unfiltered(struct hs_sandbox *s)
{
    for (int i = 0; i < HS_PROBE_COUNT; i++)
        if (s->probes[i].outcome == HS_PROBED_BLOCKED && (s->probes[i].killed || s->refusal == HS_REFUSE_ERRNO))
            s->probes[i].outcome = HS_PROBED_NOT_ENFORCED;
}

static hearth_status sandbox_verdict(struct hs_sandbox *s, hearth_error *err)
{
    static const bool musts[] = {
#define X(name, must, text) must,
        HS_LAYERS(X)
#undef X
    };
    const char *lacks = NULL, *why = "";
    for (int i = HS_LAYER_COUNT - 1; i >= 0; i--)
        if (musts[i] && s->layers[i].held != HS_HELD_ENFORCED)
            lacks = hs_layer_text((enum hs_layer)i), why = s->layers[i].why;
    for (int i = 0; i < HS_PROBE_COUNT && !lacks; i++)
        if (s->probes[i].outcome != HS_PROBED_BLOCKED)
            lacks = hs_probe_text((enum hs_probe)i), why = hs_probed_text(s->probes[i].outcome);
    s->level = !lacks ? HS_LEVEL_FULL
               : s->layers[HS_LAYER_seccomp].held == HS_HELD_ENFORCED ||
                       s->layers[HS_LAYER_landlock].held >= HS_HELD_DEGRADED
                   ? HS_LEVEL_PARTIAL
                   : HS_LEVEL_NONE;
    if (lacks && s->mode == HS_SANDBOX_REQUIRE)
        return hb_fail(err, HEARTH_E_UNSUPPORTED,
                       "the sandbox is %s, not full: %s: %s; --sandbox on goes on with what there is",
                       hs_level_text(s->level), lacks, why);
    return HEARTH_OK;
}

hearth_status hs_sandbox_close(struct hs_sandbox *s, hearth_error *err)
{
    uint64_t start = hb_os_now_ns();
    hearth_error why = {0};
    if (s->mode == HS_SANDBOX_OFF)
        return HEARTH_OK;
    sandbox_limits(s);
    sandbox_landlock_again(s);
    if (!sandbox_limit(RLIMIT_NPROC, 0)) /* all threads run */
        sandbox_says(s, HS_LAYER_limits, HS_HELD_DEGRADED, "setrlimit: %s", strerror(errno));
    if (hs_program_install(&s->program, true, &why) == HEARTH_OK) {
        sandbox_says(s, HS_LAYER_seccomp, HS_HELD_ENFORCED, "%d system calls, %s", (int)hs_n_calls,
                     s->refusal == HS_REFUSE_KILL ? "others end the process" : "others fail");
    } else {
        sandbox_says(s, HS_LAYER_seccomp, HS_HELD_UNAVAILABLE, "%s", why.text);
        sandbox_unfiltered(s);
    }
    s->close_ns = hb_os_now_ns() - start;
    return sandbox_verdict(s, err);
}

/* ---- the report ---- */

const char *hs_level_text(enum hs_level level)
{
    return level == HS_LEVEL_FULL ? "full" : level == HS_LEVEL_PARTIAL ? "partial" : "none";
}

const char *hs_held_text(enum hs_held held)
{
    return held == HS_HELD_ENFORCED      ? "enforced"
           : held == HS_HELD_DEGRADED    ? "degraded"
           : held == HS_HELD_UNAVAILABLE ? "not available"
                                         : "off";
}

const char *hs_layer_text(enum hs_layer layer)
{
    static const char *const names[] = {
#define X(name, must, text) #name,
        HS_LAYERS(X)
#undef X
    };
    return layer < HS_LAYER_COUNT ? names[layer] : "?";
}

static void sandbox_quoted(char *text) /* fit to stand between the quotes of JSON */
{
    for (; *text; text++)
        if (*text == '"' || *text == '\\' || (unsigned char)*text < 0x20)
            *text = '\'';
}

size_t hs_sandbox_json(const struct hs_sandbox *s, char *out, size_t size)
{
    size_t n = hb_format(out, size, "{\"level\":\"%s\",\"mode\":\"%s\",\"refusal\":\"%s\",\"landlock_abi\":%d,"
                                    "\"enter_us\":%llu,\"close_us\":%llu,\"layers\":{",
                         hs_level_text(s->level),
                         s->mode == HS_SANDBOX_ON    ? "on"
                         : s->mode == HS_SANDBOX_OFF ? "off"
                                                     : "require",
                         s->refusal == HS_REFUSE_KILL ? "kill" : "errno", s->landlock_abi,
                         (unsigned long long)s->enter_ns / 1000, (unsigned long long)s->close_ns / 1000);
    for (int i = 0; i < HS_LAYER_COUNT; i++) {
        char why[sizeof s->layers[i].why];
        memcpy(why, s->layers[i].why, sizeof why);
        sandbox_quoted(why);
        n += hb_format(out + n, size - n, "%s\"%s\":{\"state\":\"%s\",\"why\":\"%s\"}", i ? "," : "",
                       hs_layer_text((enum hs_layer)i), hs_held_text(s->layers[i].held), why);
    }
    n += hb_format(out + n, size - n, "},\"probes\":{");
    for (int i = 0; i < HS_PROBE_COUNT; i++)
        n += hb_format(out + n, size - n, "%s\"%s\":\"%s\"", i ? "," : "", hs_probe_text((enum hs_probe)i),
                       hs_probed_text(s->probes[i].outcome));
    n += hb_format(out + n, size - n, "}}");
    return n;
}

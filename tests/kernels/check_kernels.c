/* Every kernel of every level against the scalar one, and the scalar one against itself on other
 * machines: hashes of its results with seed 1 are stored in check_hashes.def.
 *
 *   check_kernels [--slot=GLOB] [--level=NAME] [--seed=N] [--bench] [--json] [--plugin=FILE.so]
 *   check_kernels --hashes        the rows of check_hashes.def
 *
 * Expands the lists of src/kernels. A slot that a level fills is `checked`; one that it leaves empty
 * `inherits` the version underneath; a level that this machine or this build lacks is `not on this
 * machine`. --bench times what has just been checked (scalar only if --level names it). A plugin exports
 *
 *   const struct hk_table hk_plugin_table;
 *
 * and is checked as a level of its own; --tolerance=ulp:N or sum:C loosens the comparison for it. */
#include "check.h"
#include "base/os/hb_os.h"
#include <fnmatch.h>
#include <signal.h>
#include <unistd.h>
#if defined(__linux__) || defined(__APPLE__)
#include <dlfcn.h>
#define CK_HAVE_DLOPEN 1
#endif

static struct {
    const char *slot, *level, *plugin;
    uint64_t seed;
    bool bench, json, verbose, hashes;
    struct ck_tolerance tolerance;
} opt = {.slot = "*", .seed = 1};

static struct {
    int checked, inherits, failed;
} count;

static const struct {
    const char *slot;
    uint64_t hash;
} hashes[] = {
#define CK_HASH(slot, hash) {#slot, hash},
#include "check_hashes.def"
#undef CK_HASH
    {NULL, 0}};

/* The scalar results of one slot against those stored. */
static void check_hash(struct ck *c)
{
    if (opt.hashes)
        printf("CK_HASH(%s, 0x%016llX)\n", c->slot, (unsigned long long)c->hash);
    if (opt.hashes || opt.seed != 1)
        return;
    for (size_t i = 0; hashes[i].slot; i++)
        if (!strcmp(hashes[i].slot, c->slot)) {
            if (hashes[i].hash != c->hash) {
                fprintf(stderr,
                        "FAILED %s %s: its results hash to %016llX, in check_hashes.def %016llX.\n"
                        "If the contract or the cases have changed, check_kernels --hashes makes the list anew.\n",
                        c->level, c->slot, (unsigned long long)c->hash,
                        (unsigned long long)hashes[i].hash);
                c->failures++;
            }
            return;
        }
    printf("%-8s %-22s has no row in check_hashes.def\n", c->level, c->slot);
}

/* A kernel that leaves its buffers meets an inaccessible page: say which one it was. */
static const struct ck *running;

static void on_fault(int sig)
{
    static const char text[] = " touched memory outside its buffers: ";
    (void)sig;
    if (!running)
        _exit(1);
    const char *parts[] = {"FAILED ", running->level, " ", running->slot,
                           text,      running->what,  "\n"};
    for (size_t i = 0; i < HB_COUNT(parts); i++)
        if (write(2, parts[i], strlen(parts[i])) < 0)
            break;
    _exit(1);
}

/* One slot of one level. `ref`: what the function is compared with; NULL fn: inherits. */
static void slot(const struct hk_table *scalar, const char *level, const char *name,
                 const struct hk_qtype_info *qtype, ck_fn *ref, ck_fn *fn,
                 struct ck_tolerance tolerance, const struct ck_type *type)
{
    if (fnmatch(opt.slot, name, 0))
        return;
    if (!fn) {
        count.inherits++;
        if (opt.verbose)
            printf("%-8s %-22s inherits\n", level, name);
        return;
    }
    struct ck c = {.ref = ref,
                   .fn = fn,
                   .ref_table = scalar,
                   .slot = name,
                   .level = level,
                   .qtype = qtype,
                   .tolerance = tolerance,
                   .rng = opt.seed,
                   .hash = 0xCBF29CE484222325u,
                   .json = opt.json};
    uint64_t start = ck_now_ns();
    running = &c;
    type->check(&c);
    if (!strcmp(level, "scalar"))
        check_hash(&c);
    count.checked++;
    count.failed += c.failures > 0;
    if (opt.verbose || c.failures)
        printf("%-8s %-22s checked%s  %.0f ms\n", level, name, c.failures ? ": FAILED" : "",
               (double)(ck_now_ns() - start) * 1e-6);
    fflush(stdout);
    if (opt.bench && !c.failures) {
        c.place = 0;
        ck_case(&c, "bench");
        type->bench(&c);
        fflush(stdout);
    }
}

static void quant_slots(const struct hk_table *scalar, const struct hk_table *t, const char *level,
                        int id, struct ck_tolerance tol)
{
    const struct hk_qtype_info *info = &hk_qtype_info[id];
    const struct hk_quant *ref = &scalar->quant[id], *q = &t->quant[id];
    char name[64];
#define QUANT_SLOT(verb, against, type)                                                            \
    snprintf(name, sizeof name, #verb "_%s", info->name);                                          \
    slot(scalar, level, name, info, (ck_fn *)ref->against, (ck_fn *)q->verb, tol, &ck_##type)
    QUANT_SLOT(unpack, unpack, hk_unpack_fn);
    QUANT_SLOT(stream, stream, hk_stream_fn);
    QUANT_SLOT(few, stream, hk_few_fn);
    QUANT_SLOT(pack, pack, hk_pack_fn);
#undef QUANT_SLOT
}

static void check_table(const struct hk_table *scalar, const struct hk_table *t, const char *level,
                        const struct ck_tolerance *loose)
{
    const struct ck_tolerance exact = HK_EXACT;
    memset(&count, 0, sizeof count);
#define HK_SLOT(name, type, check, text)                                                           \
    slot(scalar, level, #name, NULL, (ck_fn *)scalar->name, (ck_fn *)t->name,                      \
         loose ? *loose : (struct ck_tolerance)check, &ck_##type);
#include "kernels/kernels.def"
#undef HK_SLOT
    for (int i = 0; i < HK_QTYPE_COUNT; i++)
        if (hk_qtype_info[i].family != HK_FAMILY_PLAIN)
            quant_slots(scalar, t, level, i, loose ? *loose : exact);
#define KV_SLOT(id, verb, label, type)                                                             \
    slot(scalar, level, label, &hk_qtype_info[HK_##id], (ck_fn *)scalar->kv[HK_KV_##id].verb,      \
         (ck_fn *)t->kv[HK_KV_##id].verb, loose ? *loose : exact, &ck_##type);
#define HK_KVTYPE(id, name)                                                                        \
    KV_SLOT(id, scores, "attn_scores_" #name, hk_attn_scores_fn)                                   \
    KV_SLOT(id, values, "attn_values_" #name, hk_attn_values_fn)                                   \
    KV_SLOT(id, put_k, "kv_put_k_" #name, hk_kv_put_fn)                                            \
    KV_SLOT(id, put_v, "kv_put_v_" #name, hk_kv_put_fn)
#include "kernels/kvtypes.def"
#undef HK_KVTYPE
    if (!opt.hashes)
        printf("%s: %d checked, %d inherits, %d failed\n", level, count.checked, count.inherits,
           count.failed);
}

static const struct hk_table *open_plugin(const char *path)
{
#if defined(CK_HAVE_DLOPEN)
    void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct hk_table *t = so ? dlsym(so, "hk_plugin_table") : NULL;
    if (!t)
        fprintf(stderr, "check_kernels: %s\n", dlerror());
    return t;
#else
    fprintf(stderr, "check_kernels: %s: no dlopen on this system\n", path);
    return NULL;
#endif
}

static bool option(const char *arg, const char *name, const char **value)
{
    size_t n = strlen(name);
    if (strncmp(arg, name, n) || (arg[n] != '=' && arg[n] != 0))
        return false;
    *value = arg[n] ? arg + n + 1 : arg + n;
    return true;
}

static bool parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *v;
        if (option(argv[i], "--slot", &opt.slot) || option(argv[i], "--level", &opt.level) ||
            option(argv[i], "--plugin", &opt.plugin))
            continue;
        if (option(argv[i], "--seed", &v))
            opt.seed = strtoull(v, NULL, 0);
        else if (option(argv[i], "--bench", &v))
            opt.bench = true;
        else if (option(argv[i], "--json", &v))
            opt.json = true;
        else if (option(argv[i], "--verbose", &v))
            opt.verbose = true;
        else if (option(argv[i], "--hashes", &v)) {
            opt.hashes = true;
            opt.level = "scalar";
        }
        else if (option(argv[i], "--tolerance", &v) &&
                 (!strncmp(v, "ulp:", 4) || !strncmp(v, "sum:", 4)))
            opt.tolerance =
                (struct ck_tolerance){*v == 'u' ? CK_ULP_KIND : CK_SUM_KIND, atof(v + 4)};
        else
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    if (!parse(argc, argv)) {
        fprintf(stderr,
                "usage: check_kernels [--slot=GLOB] [--level=NAME] [--seed=N] [--bench] [--json]\n"
                "                     [--verbose] [--plugin=FILE.so] [--tolerance=ulp:N|sum:C]\n"
                "       check_kernels --hashes\n");
        return 2;
    }
    if (!opt.hashes)
        printf("seed %llu\n", (unsigned long long)opt.seed);
    signal(SIGSEGV, on_fault);
    signal(SIGBUS, on_fault);
    uint32_t features = hb_os_cpu_features();
    struct hk_table scalar;
    hk_select(&scalar, 0, HK_LEVEL_scalar);
    int failed = 0;
    for (int i = 0; i < HK_LEVEL_COUNT; i++) {
        const char *name = hk_level_name((enum hk_level)i);
        if (opt.level ? strcmp(opt.level, name) != 0 : (i == HK_LEVEL_scalar && opt.bench))
            continue;
        if (!hk_level_runs((enum hk_level)i, features)) {
            printf("%s: not on this machine\n", name);
            continue;
        }
        check_table(&scalar, hk_level_table((enum hk_level)i), name, NULL);
        failed += count.failed;
    }
    if (opt.plugin) {
        const struct hk_table *t = open_plugin(opt.plugin);
        if (!t)
            return 2;
        check_table(&scalar, t, t->level ? t->level : "plugin",
                    opt.tolerance.kind == CK_EXACT_KIND ? NULL : &opt.tolerance);
        failed += count.failed;
    }
    return failed ? 1 : 0;
}

/* Buffers between inaccessible pages, data, comparison and timing for check_kernels. */
#define _GNU_SOURCE
#include "check.h"
#include <float.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* ---- buffers ----
 *
 *   no access | canary ...      canary | buffer | no access     place 0
 *   no access | canary | buffer | canary ...    | no access     place 1
 *
 * A region is mapped once and serves one buffer per case. */
#define REGION_BYTES ((size_t)1 << 22)
#define N_REGIONS    32
#define CANARY       192
#define CANARY_BYTE  0xA5

static struct region {
    uint8_t *base; /* REGION_BYTES of accessible memory */
    uint8_t *start, *end;
} regions[N_REGIONS];

static uint8_t *region_map(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *p = mmap(NULL, REGION_BYTES + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + page, REGION_BYTES, PROT_READ | PROT_WRITE)) {
        perror("check_kernels: mmap");
        exit(2);
    }
    return p + page;
}

/* The parts of the region next to the buffer that must keep their bytes. */
static void region_canaries(const struct region *r, uint8_t **before, uint8_t **after)
{
    *before = (size_t)(r->start - r->base) > CANARY ? r->start - CANARY : r->base;
    uint8_t *limit = r->base + REGION_BYTES;
    *after = (size_t)(limit - r->end) > CANARY ? r->end + CANARY : limit;
}

void *ck_buffer(struct ck *c, size_t bytes, size_t align)
{
    if (c->n_buffers == N_REGIONS || bytes + align + CANARY > REGION_BYTES) {
        fprintf(stderr, "check_kernels: case too large: %s\n", c->what);
        exit(2);
    }
    struct region *r = &regions[c->n_buffers++];
    if (!r->base)
        r->base = region_map();
    size_t off = c->place == 0 ? (REGION_BYTES - bytes) / align * align : align;
    r->start = r->base + off;
    r->end = r->start + bytes;
    uint8_t *before, *after;
    region_canaries(r, &before, &after);
    memset(before, CANARY_BYTE, (size_t)(after - before));
    memset(r->start, 0x5A, bytes);
    return r->start;
}

float *ck_floats(struct ck *c, size_t n, enum ck_data data)
{
    float *x = ck_buffer(c, n * sizeof *x, sizeof *x);
    ck_fill(c, x, n, data);
    return x;
}

void *ck_copy(struct ck *c, const void *src, size_t bytes, size_t align)
{
    void *p = ck_buffer(c, bytes, align);
    memcpy(p, src, bytes);
    return p;
}

void ck_case(struct ck *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(c->what, sizeof c->what, format, args);
    va_end(args);
    c->n_buffers = 0;
}

/* ---- comparison ---- */

static void fail(struct ck *c, const char *format, ...) HB_PRINTF(2, 3);
static void fail(struct ck *c, const char *format, ...)
{
    if (c->failures++ >= 5)
        return;
    va_list args;
    fprintf(stderr, "FAILED %s %s, %s: ", c->level, c->slot, c->what);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

void ck_guards(struct ck *c)
{
    for (size_t i = 0; i < c->n_buffers; i++) {
        uint8_t *before, *after;
        region_canaries(&regions[i], &before, &after);
        for (uint8_t *p = before; p < after; p++) {
            if (p == regions[i].start)
                p = regions[i].end;
            if (p < after && *p != CANARY_BYTE) {
                fail(c, "byte %td of buffer %zu was overwritten", p - regions[i].start, i);
                break;
            }
        }
    }
}

/* Floats in order as integers, -0 and +0 together. */
static int64_t ordinal(float x)
{
    uint32_t bits = hk_to_bits(x);
    return bits >> 31 ? -(int64_t)(bits & 0x7FFFFFFF) : (int64_t)bits;
}

static bool agree(const struct ck *c, float ref, float got, double terms)
{
    if (hk_to_bits(ref) == hk_to_bits(got) || (isnan(ref) && isnan(got)))
        return true;
    if (c->tolerance.kind == CK_EXACT_KIND || isnan(ref) || isnan(got))
        return false;
    if (c->tolerance.kind == CK_ULP_KIND)
        return fabs((double)(ordinal(ref) - ordinal(got))) <= c->tolerance.n;
    return fabs((double)ref - (double)got) <=
           c->tolerance.n * 0x1p-23 * fmax(terms, fabs((double)ref)) + 0x1p-140;
}

/* FNV-1a */
static void hash_byte(struct ck *c, uint8_t byte)
{
    c->hash = (c->hash ^ byte) * 0x100000001B3u;
}

static void hash_floats(struct ck *c, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = isnan(x[i]) ? 0x7FC00000u : hk_to_bits(x[i]);
        for (int shift = 0; shift < 32; shift += 8)
            hash_byte(c, (uint8_t)(bits >> shift));
    }
}

void ck_same_floats(struct ck *c, const char *name, const float *ref, const float *got, size_t n,
                    const double *terms)
{
    hash_floats(c, ref, n);
    for (size_t i = 0; i < n; i++)
        if (!agree(c, ref[i], got[i], terms ? terms[i] : 0)) {
            fail(c, "%s[%zu] of %zu = %a (%g), should be %a (%g)", name, i, n, (double)got[i],
                 (double)got[i], (double)ref[i], (double)ref[i]);
            return;
        }
}

void ck_same_bytes(struct ck *c, const char *name, const void *ref, const void *got, size_t bytes)
{
    const uint8_t *a = ref, *b = got;
    for (size_t i = 0; i < bytes; i++)
        hash_byte(c, a[i]);
    for (size_t i = 0; i < bytes; i++)
        if (a[i] != b[i]) {
            fail(c, "byte %zu of %zu in %s = 0x%02x, should be 0x%02x", i, bytes, name, b[i], a[i]);
            return;
        }
}

/* ---- data ---- */

uint64_t ck_rand(struct ck *c)
{
    uint64_t z = (c->rng += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

size_t ck_below(struct ck *c, size_t n)
{
    return (size_t)(ck_rand(c) % n);
}

const char *ck_data_name(enum ck_data data)
{
    static const char *const names[CK_DATA_COUNT] = {"random",    "zeros", "largest", "alternating",
                                                     "denormals", "wide",  "special"};
    return names[data];
}

static float one_float(struct ck *c, size_t i, enum ck_data data)
{
    static const float specials[] = {NAN, INFINITY, -INFINITY};
    uint32_t r = (uint32_t)ck_rand(c), sign = r & 0x80000000u;
    float uniform = (float)(int32_t)r * 0x1p-31f;
    switch (data) {
    case CK_ZEROS:
        return hk_from_bits(sign);
    case CK_LARGEST:
        return hk_from_bits(sign | (0x7F7FFFFFu - (r & 3)));
    case CK_ALTERNATING:
        return hk_from_bits((i & 1 ? 0xBF800000u : 0x3F800000u) + (r & 1));
    case CK_DENORMALS:
        return hk_from_bits(sign | (r & 0x7FFFFF));
    case CK_WIDE:
        return hk_from_bits((r & 0x7F800000u) == 0x7F800000u ? r ^ 0x40000000u : r);
    case CK_SPECIAL:
        return r % 37 < 3 ? specials[r % 37] : uniform;
    default:
        return uniform;
    }
}

void ck_fill(struct ck *c, float *x, size_t n, enum ck_data data)
{
    for (size_t i = 0; i < n; i++)
        x[i] = one_float(c, i, data);
}

const size_t ck_lengths[] = {0,   1,   2,   3,   4,   5,   7,   8,   9,   14,  15,  16,  17, 18,
                             24,  30,  31,  32,  33,  34,  47,  48,  63,  64,  65,  66,  95, 96,
                             100, 127, 128, 129, 130, 192, 255, 256, 257, 333, 512, 1000};
const size_t ck_n_lengths = HB_COUNT(ck_lengths);

void ck_each_length(struct ck *c, void (*run)(struct ck *, size_t n, enum ck_data data))
{
    for (size_t i = 0; i < ck_n_lengths; i++)
        for (int data = 0; data < CK_DATA_COUNT; data++)
            for (c->place = 0; c->place < 2; c->place++) {
                ck_case(c, "n=%zu, %s data, place %d", ck_lengths[i],
                        ck_data_name((enum ck_data)data), c->place);
                run(c, ck_lengths[i], (enum ck_data)data);
                ck_guards(c);
            }
    c->place = 0;
}

/* ---- timing ---- */

uint64_t ck_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Rates belong to the best time: on a shared machine the median also measures the neighbours. */
void ck_report(struct ck *c, const char *shape, double ns[CK_TIMES], double bytes, double ops)
{
    qsort(ns, CK_TIMES, sizeof *ns, by_size);
    double best = ns[0], median = ns[CK_TIMES / 2];
    double spread = ns[3 * CK_TIMES / 4] - ns[CK_TIMES / 4];
    if (c->json)
        printf("{\"slot\":\"%s\",\"level\":\"%s\",\"shape\":\"%s\",\"median_ns\":%.1f,"
               "\"spread_ns\":%.1f,\"best_ns\":%.1f,\"gbs\":%.2f,\"gops\":%.2f}\n",
               c->slot, c->level, shape, median, spread, best, bytes / best, ops / best);
    else
        printf("%-16s %-7s %-30s %10.1f ns (best %10.1f) %7.2f GB/s %8.2f GOPS\n", c->slot,
               c->level, shape, median, best, bytes / best, ops / best);
}

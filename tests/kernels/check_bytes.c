/* Cases and bench for the function types that look at bytes of text. */
#include "check.h"
#include "kernels/kernels.h"

#define AS(type, f) ((type *)(f))
#define BENCH_N 4096

static uint64_t *classes(struct ck *c, size_t n)
{
    return ck_buffer(c, (n + 63) / 64 * HK_CLASSES * sizeof(uint64_t), sizeof(uint64_t));
}

/* Random bytes, or mostly ASCII by the kind of data. */
static uint8_t *text(struct ck *c, size_t n, enum ck_data data)
{
    uint8_t *p = ck_buffer(c, n, 1);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(ck_rand(c) >> 13 & (data == CK_RANDOM ? 255 : 127));
    return p;
}

static void case_classify(struct ck *c, size_t n, enum ck_data data)
{
    uint8_t *p = text(c, n, data);
    uint64_t *a = classes(c, n), *b = classes(c, n);
    AS(hk_classify_fn, c->ref)(a, p, n);
    AS(hk_classify_fn, c->fn)(b, p, n);
    ck_same_bytes(c, "classes", a, b, (n + 63) / 64 * HK_CLASSES * sizeof *a);
}

static void check_classify(struct ck *c)
{
    ck_each_length(c, case_classify);
}

static void bench_classify(struct ck *c)
{
    uint8_t *p = text(c, BENCH_N, CK_RANDOM);
    uint64_t *a = classes(c, BENCH_N);
    CK_BENCH(c, "n=4096", BENCH_N, BENCH_N, AS(hk_classify_fn, c->fn)(a, p, BENCH_N));
}

const struct ck_type ck_hk_classify_fn = {check_classify, bench_classify};

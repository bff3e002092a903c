/* LEB128: values of every length, mixed, and streams with something wrong at every place. */
#include "check.h"

#define AS(type, f) ((type *)(f))
#define BENCH_N     250000 /* too many for a branch predictor to learn by heart */

/* A value of 1 to 5 bytes; `most` bytes at most. */
static uint32_t varint_value(struct ck *c, unsigned most)
{
    unsigned bits = 7 * (1 + (unsigned)ck_below(c, most));
    return (uint32_t)(ck_rand(c) & (((uint64_t)1 << (bits < 32 ? bits : 32)) - 1));
}

static uint32_t *varint_values(struct ck *c, size_t n, unsigned most)
{
    uint32_t *x = ck_buffer(c, n * sizeof *x, sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = varint_value(c, most);
    return x;
}

static void varint_encode_case(struct ck *c, size_t n, unsigned most)
{
    ck_case(c, "%zu values of at most %u bytes", n, most);
    uint32_t *x = varint_values(c, n, most);
    uint8_t *a = ck_buffer(c, HK_VARINT_ROOM(n), 1), *b = ck_buffer(c, HK_VARINT_ROOM(n), 1);
    size_t na = AS(hk_varint_encode_fn, c->ref)(a, x, n), nb = AS(hk_varint_encode_fn, c->fn)(b, x, n);
    ck_same_bytes(c, "length", &na, &nb, sizeof na);
    ck_same_bytes(c, "bytes", a, b, na);
    ck_guards(c);
}

static void check_varint_encode(struct ck *c)
{
    for (c->place = 0; c->place < 2; c->place++)
        for (size_t i = 0; i < ck_n_lengths; i++)
            for (unsigned most = 1; most <= 5; most++)
                varint_encode_case(c, ck_lengths[i], most);
    c->place = 0;
}

/* n bytes of values, then one of them changed or the end cut away. */
static void varint_decode_case(struct ck *c, size_t n, unsigned most, size_t capacity, bool broken)
{
    ck_case(c, "%zu bytes of values of at most %u, room for %zu%s", n, most, capacity,
            broken ? ", broken" : "");
    uint8_t *in = ck_buffer(c, n, 1);
    uint8_t one[HK_VARINT_ROOM(1)];
    const struct hk_table *t = c->ref_table;
    for (size_t at = 0; at < n;) {
        uint32_t v = varint_value(c, most);
        size_t len = t->varint_encode(one, &v, 1);
        len = len < n - at ? len : n - at;
        memcpy(in + at, one, len);
        at += len;
    }
    if (broken && n > 0)
        in[ck_below(c, n)] = (uint8_t)(ck_below(c, 3) ? 0x80 * ck_below(c, 2) : ck_rand(c));
    uint32_t *a = ck_buffer(c, capacity * sizeof *a, sizeof *a), *b = ck_buffer(c, capacity * sizeof *b, sizeof *b);
    size_t ca, cb;
    size_t na = AS(hk_varint_decode_fn, c->ref)(a, capacity, &ca, in, n);
    size_t nb = AS(hk_varint_decode_fn, c->fn)(b, capacity, &cb, in, n);
    ck_same_bytes(c, "bytes taken", &na, &nb, sizeof na);
    ck_same_bytes(c, "values", &ca, &cb, sizeof ca);
    ck_same_bytes(c, "y", a, b, ca * sizeof *a);
    ck_guards(c);
}

static void check_varint_decode(struct ck *c)
{
    for (c->place = 0; c->place < 2; c->place++)
        for (size_t i = 0; i < ck_n_lengths; i++)
            for (unsigned most = 1; most <= 5; most++)
                for (int broken = 0; broken < 4; broken++) {
                    size_t n = ck_lengths[i];
                    varint_decode_case(c, n, most, n, broken > 0);
                    varint_decode_case(c, n, most, ck_below(c, n + 1), broken > 1);
                }
    c->place = 0;
}

static void bench_varint(struct ck *c, bool decode)
{
    uint8_t *bytes = ck_buffer(c, HK_VARINT_ROOM(BENCH_N), 1);
    for (unsigned most = 1; most <= 3; most++) {
        uint32_t *x = varint_values(c, BENCH_N, most), *y = ck_buffer(c, BENCH_N * sizeof *y, sizeof *y);
        char shape[32];
        size_t n = c->ref_table->varint_encode(bytes, x, BENCH_N), count;
        size_t volatile sink;
        snprintf(shape, sizeof shape, "n=%d bytes<=%u", BENCH_N, most);
        if (decode)
            CK_BENCH(c, shape, (double)n + BENCH_N * 4.0, BENCH_N,
                     sink = AS(hk_varint_decode_fn, c->fn)(y, BENCH_N, &count, bytes, n));
        else
            CK_BENCH(c, shape, (double)n + BENCH_N * 4.0, BENCH_N,
                     sink = AS(hk_varint_encode_fn, c->fn)(bytes, x, BENCH_N));
        (void)sink;
    }
}

static void bench_varint_encode(struct ck *c)
{
    bench_varint(c, false);
}

static void bench_varint_decode(struct ck *c)
{
    bench_varint(c, true);
}

const struct ck_type ck_hk_varint_encode_fn = {check_varint_encode, bench_varint_encode};
const struct ck_type ck_hk_varint_decode_fn = {check_varint_decode, bench_varint_decode};

/* How near the block formats come to the machine's limits, one thread.
 *
 *   bench_quant [--level=avx512] [--type=q4_0] [--n=960] [--kib=65536] [--ms=100] [--best]
 *
 * One JSON line per type and level: stream from memory (GB/s of stored weights, share of what a
 * plain read of the same bytes reaches), pack (GB/s of stored weights and the share of the time of
 * 512 columns), tile (GOPS, a multiply and an add are two; share of a register-only loop of the
 * widest integer dot product of the level), few at 2, 3, 4, 6, 8, 16 columns (times the time of stream).
 * Below the size of a cache (--kib=256) stream tells what the arithmetic alone takes; --best takes the
 * best run instead of the median, for machines that are not idle. Correctness is the business of test_quant and check_kernels. */
#define _POSIX_C_SOURCE 200809L
#include "base/os/hb_os.h"
#include "bench/instruments/bn_machine.h"
#include "kernels/kernels.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *aligned(size_t bytes)
{
    bytes = (bytes + 4095) & ~(size_t)4095;
    void *p = aligned_alloc(4096, bytes);
    if (!p)
        exit(1);
    memset(p, 0, bytes);
    return p;
}

static double seconds = 0.1;
static int best_of_all;
static const size_t few_cols[] = {2, 3, 4, 6, 8, 16};

/* Median (or best) of repeated runs of `body`. */
#define TIME(out, body)                                                                            \
    do {                                                                                           \
        double t_[256], end_ = now() + seconds;                                                    \
        int n_ = 0;                                                                                \
        while (n_ < 256 && (n_ < 3 || now() < end_)) {                                             \
            double t0_ = now();                                                                    \
            body;                                                                                  \
            t_[n_++] = now() - t0_;                                                                \
        }                                                                                          \
        qsort(t_, (size_t)n_, sizeof *t_, less);                                                   \
        (out) = t_[best_of_all ? 0 : n_ / 2];                                                      \
    } while (0)

static int less(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

#if defined(__x86_64__)
#include <immintrin.h>
__attribute__((target("avx2"))) static double read_speed(const uint8_t *p, size_t bytes)
{
    double t;
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    TIME(
        t, for (size_t i = 0; i + 128 <= bytes; i += 128) {
            a = _mm256_xor_si256(a, _mm256_loadu_si256((const __m256i *)(p + i)));
            b = _mm256_xor_si256(b, _mm256_loadu_si256((const __m256i *)(p + i + 32)));
            c = _mm256_xor_si256(c, _mm256_loadu_si256((const __m256i *)(p + i + 64)));
            d = _mm256_xor_si256(d, _mm256_loadu_si256((const __m256i *)(p + i + 96)));
        });
    volatile int sink =
        _mm256_extract_epi32(_mm256_xor_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(c, d)), 0);
    (void)sink;
    return (double)bytes / t * 1e-9;
}
#else
static double read_speed(const uint8_t *p, size_t bytes)
{
    double t;
    uint64_t sum = 0;
    TIME(t, for (size_t i = 0; i + 8 <= bytes; i += 8) sum += *(const uint64_t *)(p + i));
    volatile uint64_t sink = sum;
    (void)sink;
    return (double)bytes / t * 1e-9;
}
#endif

int main(int argc, char **argv)
{
    const char *only_level = NULL, *only_type = NULL;
    size_t n = 1024, kib = 65536;
    for (int i = 1; i < argc; i++) {
        if (!strncmp(argv[i], "--level=", 8))
            only_level = argv[i] + 8;
        else if (!strncmp(argv[i], "--type=", 7))
            only_type = argv[i] + 7;
        else if (!strncmp(argv[i], "--n=", 4))
            n = (size_t)atol(argv[i] + 4);
        else if (!strncmp(argv[i], "--kib=", 6))
            kib = (size_t)atol(argv[i] + 6);
        else if (!strncmp(argv[i], "--ms=", 5))
            seconds = 1e-3 * (double)atol(argv[i] + 5);
        else if (!strcmp(argv[i], "--best"))
            best_of_all = 1;
        else
            return fprintf(stderr, "unknown option %s\n", argv[i]), 2;
    }
    size_t bytes = kib << 10, n_cols = 512, x_stride = hk_act_row_bytes(n, HK_STRETCH_B32);
    uint8_t *w = aligned(bytes + 4096), *x = aligned(n_cols * x_stride);
    float *xf = aligned(n * 4), *fx = aligned(n_cols * n * 4),
          *y = aligned((bytes / (n / 32 * 10) + 64) * 16 * 4), *yt = aligned(n_cols * 64 * HK_TILE_GROUP);
    for (size_t i = 0; i < n; i++)
        xf[i] = (float)(i % 17) - 8;
    for (size_t c = 0; c < n_cols; c++)
        memcpy(fx + c * n, xf, n * 4);

    uint32_t features = hb_os_cpu_features();
    for (int level = HK_LEVEL_COUNT - 1; level >= 0; level--) {
        if (!hk_level_runs((enum hk_level)level, features) ||
            (only_level && strcmp(only_level, hk_level_name((enum hk_level)level))))
            continue;
        struct hk_table t;
        hk_select(&t, features, (enum hk_level)level);
        double peak, peak_float, at, tq;
        bn_peaks(t.level, &peak, &peak_float);
        TIME(tq, for (size_t c = 0; c < n_cols; c++) t.act_quantize(x + c * x_stride, xf, n, HK_STRETCH_B32));
        printf("{\"level\":\"%s\",\"act_quantize_ns_per_1024\":%.1f,\"int8_peak_gops\":%.0f,"
               "\"f32_peak_gflops\":%.0f}\n",
               t.level, tq / (double)(n_cols * n) * 1024e9, peak, peak_float);
        for (int type = 0; type < HK_QTYPE_COUNT; type++) {
            const struct hk_qtype_info *info = &hk_qtype_info[type];
            const struct hk_quant *q = &t.quant[type];
            if (!q->stream || n % info->block_elements ||
                (only_type && strcmp(only_type, info->name)))
                continue;
            size_t row = n / info->block_elements * info->block_bytes, rows = bytes / row;
            bool is_float = info->family == HK_FAMILY_FLOAT;
            const void *cols = is_float ? (void *)fx : (void *)x;
            size_t stride = is_float ? n * sizeof(float) : x_stride;
            size_t stretch = hk_act_stretch(info);
            /* An exponent byte below 64 is a scale whose products are denormal, which costs some machines more
             * than all the rest. */
            uint8_t high = type == HK_MXFP4 ? 0x40 : 0;
            for (size_t i = 0; i < bytes; i++)
                w[i] = ((uint8_t)(i * 2654435761u >> 13) & 0x3F) | high;
            for (size_t c = 0; c < n_cols; c++)
                t.act_quantize(x + c * x_stride, xf, n, stretch);
            double read = read_speed(w, rows * row), stream, pack, tile, few[6];
            TIME(stream, q->stream(y, w, row, rows, cols, n));
            size_t tile_bytes = hk_tile_layout(info, n).bytes;
            uint8_t *panel = aligned(HK_TILE_GROUP * tile_bytes);
            size_t pack_rows = rows < 4096 ? rows / 16 * 16 : 4096;
            TIME(pack, for (size_t r = 0; r < pack_rows; r += 16)
                           q->pack(panel + r / 16 % HK_TILE_GROUP * tile_bytes, w + r * row, row, 16, n));
            hk_tile_fn *f = is_float                        ? t.tile_float
                            : info->family == HK_FAMILY_B32 ? t.tile_b32
                            : info->family == HK_FAMILY_K32 ? t.tile_k32
                                                            : t.tile_k16;
            TIME(tile,
                 for (int k = 0; k < 8; k++) f(yt, 16 * HK_TILE_GROUP, 16 * HK_TILE_GROUP, panel, cols, stride, n_cols, n, info));
            tile /= 8;
            for (int i = 0; i < 6; i++) {
                few[i] = 0;
                if (q->few)
                    TIME(few[i], q->few(y, rows, w, row, rows, cols, stride, few_cols[i], n));
            }
            at = 2.0 * 16 * HK_TILE_GROUP * (double)n_cols * (double)n / tile * 1e-9;
            double gbs = (double)(rows * row) / stream * 1e-9;
            printf(
                "{\"level\":\"%s\",\"type\":\"%s\",\"n\":%zu,\"stream_gb_s\":%.1f,\"read_gb_s\":%."
                "1f,"
                "\"stream_share\":%.2f,\"tile_gops\":%.0f,\"tile_share\":%.2f,\"pack_gb_s\":%.1f,"
                "\"pack_share_512\":%.3f,\"few\":[%.2f,%.2f,%.2f,%.2f,%.2f,%.2f]}\n",
                t.level, info->name, n, gbs, read, gbs / read, at,
                peak > 0 ? at / (is_float ? peak_float : peak) : 0,
                (double)(pack_rows * row) / pack * 1e-9, HK_TILE_GROUP * pack / (double)(pack_rows / 16) / tile,
                few[0] / stream, few[1] / stream, few[2] / stream, few[3] / stream,
                few[4] / stream, few[5] / stream);
            fflush(stdout);
            free(panel);
        }
    }
    return 0;
}

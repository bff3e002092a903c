/* SHA-256: see hs_sha256.h. Blocks go through the scalar function or, where the machine has them, the instructions
 * made for it: hashing is most of the time a large model takes to load, and the scalar way reads a fifth as fast. */
#include "serve/hs_sha256.h"
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <arm_neon.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

/* FIPS 180-4, 4.2.2: fractional parts of the cube roots of the first 64 primes. */
static const HB_ALIGNAS(16) uint32_t sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t sha256_ror(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static uint32_t sha256_be(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

/* 6.2.2, step 3; a to h are s[at & 7] and what follows it. */
HB_INLINE void sha256_round(uint32_t s[8], int at, uint32_t kw)
{
    uint32_t a = s[at & 7], b = s[(at + 1) & 7], c = s[(at + 2) & 7], e = s[(at + 4) & 7];
    uint32_t f = s[(at + 5) & 7], g = s[(at + 6) & 7];
    uint32_t t1 = s[(at + 7) & 7] + (sha256_ror(e, 6) ^ sha256_ror(e, 11) ^ sha256_ror(e, 25)) + ((e & f) ^ (~e & g)) +
                  kw;
    s[(at + 3) & 7] += t1;
    s[(at + 7) & 7] = t1 + (sha256_ror(a, 2) ^ sha256_ror(a, 13) ^ sha256_ror(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
}

static void sha256_blocks_scalar(uint32_t h[8], const uint8_t *p, size_t n)
{
    for (; n; n--, p += 64) {
        uint32_t w[64], s[8];
        for (int i = 0; i < 16; i++)
            w[i] = sha256_be(p + 4 * i);
        for (int i = 16; i < 64; i++) {
            uint32_t a = w[i - 15], b = w[i - 2];
            w[i] = w[i - 16] + (sha256_ror(a, 7) ^ sha256_ror(a, 18) ^ a >> 3) + w[i - 7] +
                   (sha256_ror(b, 17) ^ sha256_ror(b, 19) ^ b >> 10);
        }
        memcpy(s, h, sizeof s);
        for (int i = 0; i < 64; i += 8)
            HB_UNROLL
            for (int r = 0; r < 8; r++) /* instead of moving all eight, a is the one before */
                sha256_round(s, 8 - r, sha256_k[i + r] + w[i + r]);
        for (int i = 0; i < 8; i++)
            h[i] += s[i];
    }
}

#if defined(__x86_64__)
#define SHA256_WAY "x86 sha"

static bool sha256_there(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & (1u << 29)) != 0 && __get_cpuid(1, &a, &b, &c, &d) &&
           (c & (1u << 19)) != 0; /* SHA, SSE4.1 */
}

/* The instructions keep the state as {a, b, e, f} and {c, d, g, h}, highest lane first, and do two rounds each. */
__attribute__((target("sha,sse4.1"))) static void sha256_blocks_fast(uint32_t h[8], const uint8_t *p, size_t n)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bll, 0x0405060700010203ll);
    __m128i abcd = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)h), 0xB1);
    __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)(h + 4)), 0x1B);
    __m128i s0 = _mm_alignr_epi8(abcd, efgh, 8), s1 = _mm_blend_epi16(efgh, abcd, 0xF0);
    for (; n; n--, p += 64) {
        const __m128i old0 = s0, old1 = s1;
        __m128i w[4];
        for (int i = 0; i < 4; i++)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i)), swap);
        HB_UNROLL
        for (int i = 0; i < 16; i++) { /* four rounds; w[i & 3] holds their words */
            __m128i now = w[i & 3];
            __m128i kw = _mm_add_epi32(now, _mm_load_si128((const __m128i *)(const void *)(sha256_k + 4 * i)));
            s1 = _mm_sha256rnds2_epu32(s1, s0, kw);
            s0 = _mm_sha256rnds2_epu32(s0, s1, _mm_shuffle_epi32(kw, 0x0E));
            if (i < 12) { /* the words of 16 rounds on */
                __m128i next = _mm_sha256msg1_epu32(now, w[(i + 1) & 3]);
                next = _mm_add_epi32(next, _mm_alignr_epi8(w[(i + 3) & 3], w[(i + 2) & 3], 4));
                w[i & 3] = _mm_sha256msg2_epu32(next, w[(i + 3) & 3]);
            }
        }
        s0 = _mm_add_epi32(s0, old0);
        s1 = _mm_add_epi32(s1, old1);
    }
    abcd = _mm_shuffle_epi32(s0, 0x1B); /* {f, e, b, a} and {h, g, d, c} from here, lowest first */
    efgh = _mm_shuffle_epi32(s1, 0xB1);
    _mm_storeu_si128((__m128i *)(void *)h, _mm_blend_epi16(abcd, efgh, 0xF0));
    _mm_storeu_si128((__m128i *)(void *)(h + 4), _mm_alignr_epi8(efgh, abcd, 8));
}
#elif defined(__aarch64__) && defined(__linux__)
#define SHA256_WAY "aarch64 sha2"

static bool sha256_there(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_SHA2) != 0;
}

__attribute__((target("+crypto"))) static void sha256_blocks_fast(uint32_t h[8], const uint8_t *p, size_t n)
{
    uint32x4_t s0 = vld1q_u32(h), s1 = vld1q_u32(h + 4);
    for (; n; n--, p += 64) {
        const uint32x4_t old0 = s0, old1 = s1;
        uint32x4_t w[4];
        for (int i = 0; i < 4; i++)
            w[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(p + 16 * i)));
        HB_UNROLL
        for (int i = 0; i < 16; i++) {
            uint32x4_t kw = vaddq_u32(w[i & 3], vld1q_u32(sha256_k + 4 * i)), abcd = s0;
            if (i < 12)
                w[i & 3] = vsha256su1q_u32(vsha256su0q_u32(w[i & 3], w[(i + 1) & 3]), w[(i + 2) & 3],
                                           w[(i + 3) & 3]);
            s0 = vsha256hq_u32(s0, s1, kw);
            s1 = vsha256h2q_u32(s1, abcd, kw);
        }
        s0 = vaddq_u32(s0, old0);
        s1 = vaddq_u32(s1, old1);
    }
    vst1q_u32(h, s0);
    vst1q_u32(h + 4, s1);
}
#endif

#ifdef SHA256_WAY
static int sha256_fast = -1; /* not asked yet; every thread would find the same */

static bool sha256_is_fast(void)
{
    int fast = __atomic_load_n(&sha256_fast, __ATOMIC_RELAXED);
    if (fast < 0)
        __atomic_store_n(&sha256_fast, fast = sha256_there(), __ATOMIC_RELAXED);
    return fast;
}

static void sha256_blocks(uint32_t h[8], const uint8_t *p, size_t n)
{
    (sha256_is_fast() ? sha256_blocks_fast : sha256_blocks_scalar)(h, p, n);
}

const char *hs_sha256_way(void)
{
    return sha256_is_fast() ? SHA256_WAY : "scalar";
}

void hs_sha256_use_scalar(bool scalar)
{
    __atomic_store_n(&sha256_fast, scalar ? 0 : -1, __ATOMIC_RELAXED);
}
#else
#define sha256_blocks sha256_blocks_scalar

const char *hs_sha256_way(void)
{
    return "scalar";
}

void hs_sha256_use_scalar(bool scalar)
{
    (void)scalar;
}
#endif

void hs_sha256_init(struct hs_sha256 *s)
{
    /* FIPS 180-4, 5.3.3 */
    *s = (struct hs_sha256){.h = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c,
                                  0x1f83d9ab, 0x5be0cd19}};
}

void hs_sha256_add(struct hs_sha256 *s, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    size_t held = (size_t)(s->len % 64);
    s->len += n;
    if (held && n) {
        size_t take = n < 64 - held ? n : 64 - held;
        memcpy(s->part + held, p, take);
        p += take;
        n -= take;
        if (held + take < 64)
            return;
        sha256_blocks(s->h, s->part, 1);
    }
    sha256_blocks(s->h, p, n / 64);
    if (n % 64)
        memcpy(s->part, p + n / 64 * 64, n % 64);
}

void hs_sha256_end(struct hs_sha256 *s, uint8_t digest[HS_SHA256_BYTES])
{
    uint8_t tail[72] = {0x80};
    const uint64_t bits = s->len * 8;
    const size_t pad = 1 + (size_t)(119 - s->len % 64) % 64; /* up to 8 bytes before a block's end */
    for (int i = 0; i < 8; i++)
        tail[pad + (size_t)i] = (uint8_t)(bits >> (56 - 8 * i));
    hs_sha256_add(s, tail, pad + 8);
    for (int i = 0; i < 32; i++)
        digest[i] = (uint8_t)(s->h[i / 4] >> (24 - 8 * (i & 3)));
    *s = (struct hs_sha256){0};
}

void hs_sha256_hex(const uint8_t digest[HS_SHA256_BYTES], char text[2 * HS_SHA256_BYTES + 1])
{
    for (int i = 0; i < 2 * HS_SHA256_BYTES; i++)
        text[i] = "0123456789abcdef"[digest[i / 2] >> (i & 1 ? 0 : 4) & 15];
    text[2 * HS_SHA256_BYTES] = 0;
}

static int sha256_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                                                                    : -1;
}

bool hs_sha256_parse(const char *text, size_t len, uint8_t digest[HS_SHA256_BYTES])
{
    uint8_t d[HS_SHA256_BYTES] = {0};
    if (len != 2 * HS_SHA256_BYTES)
        return false;
    for (size_t i = 0; i < len; i++) {
        int v = sha256_digit(text[i]);
        if (v < 0)
            return false;
        d[i / 2] = (uint8_t)(d[i / 2] << 4 | v);
    }
    memcpy(digest, d, sizeof d);
    return true;
}

bool hs_sha256_equal(const uint8_t a[HS_SHA256_BYTES], const uint8_t b[HS_SHA256_BYTES])
{
    uint8_t differ = 0;
    for (int i = 0; i < HS_SHA256_BYTES; i++)
        differ |= a[i] ^ b[i];
    return differ == 0;
}

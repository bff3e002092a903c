/* Kernels: arithmetic on raw pointers. No status, no allocation, no threads, no state.
 *
 * One result. Every level computes the same bits as the scalar level, on every machine. Three rules
 * make that possible, and they are this engine's order contract:
 *
 *   1. Every float operation is written out. hk_fma(a, b, c) is the correctly rounded fused
 *      multiply-add (emulated exactly where the hardware has none); compilers may not contract.
 *      exp, tanh, erf, sin, cos, log are the polynomials of hk_math.h, operation by operation.
 *   2. The order of additions depends on shapes alone: never on the number of tokens, the thread,
 *      the tile, the page or the chunk.
 *   3. Int products inside a block are exact, in any order.
 *
 * Row sums (norms, softmax, float dot products): element i goes to chain i mod 16, starting from
 * +0, in ascending order, with hk_fma where there is a product; the 16 chains are then folded in
 * ascending order: ((c0 + c1) + c2) + ...
 *
 * Matmul: y[t][r] = sum over k of x[t][k] * W[r][k]; W is stored in rows of k, as GGUF has it. By
 * family of the weight type (qtypes.def):
 *
 *   FLOAT  x is f32; chains k mod 16 with hk_fma, folded ascending, as above.
 *   others x is an int8 activation row (below) with a scale a[s] per stretch: 32 elements for B32,
 *          256 for K32 and K16. acc starts from +0.
 *   B32    blocks of 32 with float scale d[b] (and min m[b]); for each block, ascending:
 *              acc = fma((float)dot[b], d[b] * a[b], acc)      dot[b] = sum (u - offset) * q, int32
 *              acc = fma((float)sum[b], m[b] * a[b], acc)      sum[b] = sum q        (has_min only)
 *   K32    superblocks of 256 with float d (and dmin), 8 sub-blocks of 32 with integer scales;
 *   K16    the same with 16 sub-blocks of 16:
 *              isum = sum_j sc[j] * dot[j],  imin = sum_j mn[j] * sum[j]     int32, exact
 *              t = d * (float)isum;   t = fma(-dmin, (float)imin, t)         (has_min only)
 *              acc = fma(t, a[s], acc)
 *
 * One chain per output and few float operations per block keep the many-token kernels close to the
 * integer peak (their lanes are outputs); the one-token kernels have lanes along k and reduce
 * integers, which is exact in any order.
 *
 * Three entries per block format: `stream` (one token, from stored blocks), `few` (2..16 tokens,
 * may be NULL), and `pack` + the family's tile kernel (many tokens). All give the same bits.
 */
#ifndef HK_KERNELS_H
#define HK_KERNELS_H

#include "base/hb_port.h"

enum hk_family { HK_FAMILY_FLOAT, HK_FAMILY_B32, HK_FAMILY_K32, HK_FAMILY_K16, HK_FAMILY_PLAIN };

enum hk_qtype {
#define HK_QTYPE(id, name, gguf, elements, bytes, family, offset, has_min) HK_##id,
#include "kernels/qtypes.def"
#undef HK_QTYPE
    HK_QTYPE_COUNT
};

struct hk_qtype_info {
    const char *name;
    int16_t gguf; /* -1: none */
    uint16_t block_elements;
    uint16_t block_bytes;
    uint8_t family; /* enum hk_family */
    uint8_t offset;
    uint8_t has_min;
};
extern const struct hk_qtype_info hk_qtype_info[HK_QTYPE_COUNT];

/* The type with this number in GGUF files, HK_QTYPE_COUNT if there is none. */
enum hk_qtype hk_qtype_from_gguf(uint32_t gguf);

/* ---- int8 activation rows -------------------------------------------------------------------
 *
 *   int8   q[n]                 in [-127, 127]
 *   float  scale[n / stretch]   x = q * scale
 *   int16  sum[n / 16]          sum of 16 consecutive q
 *
 * The stretch is 32 for weights of family B32, whose files are those of small models: there one scale
 * per 256 costs 0.3 % of perplexity and more, one per 32 a fifth of that. It is 256 for K32 and K16,
 * whose integer sums run over 256. n is a multiple of the stretch. Each part starts on a multiple of
 * 64 bytes, as does the row.
 * Per stretch: amax = largest |x|; scale = amax / 127; q = round to nearest even(x * (127 / amax)).
 * amax < 2^-100 gives scale 0 and q 0; a stretch with NaN or infinity gives scale NaN and q 0, so
 * that every output that depends on it is NaN. */
#define HK_STRETCH     256 /* K32, K16 */
#define HK_STRETCH_B32 32

HB_INLINE size_t hk_act_scale_off(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

HB_INLINE size_t hk_act_stretch(const struct hk_qtype_info *info)
{
    return info->family == HK_FAMILY_B32 ? HK_STRETCH_B32 : HK_STRETCH;
}

HB_INLINE size_t hk_act_sum_off(size_t n, size_t stretch)
{
    size_t scales = n / stretch * sizeof(float);
    return hk_act_scale_off(n) + ((scales + 63) & ~(size_t)63);
}

HB_INLINE size_t hk_act_row_bytes(size_t n, size_t stretch)
{
    return hk_act_sum_off(n, stretch) + ((n / 16 * sizeof(int16_t) + 63) & ~(size_t)63);
}

/* ---- tiles ----------------------------------------------------------------------------------
 *
 * 16 weight rows, unpacked once and multiplied with many columns. One layout for all levels, so a
 * level may bring its own packer, its own multiplier, or both:
 *
 *   FLOAT  float w[n][16]           k in chain order: k = 0, 16, 32, ...; 1, 17, ...; ... 15, 31, ...
 *   B32    uint8 u[n/4][16][4]      codes of 4 consecutive k per row
 *          float d[n/32][16]
 *          float m[n/32][16]        has_min only
 *   K32    uint8 u[n/4][16][4];  int8 sc[n/32][16];  int8 mn[n/32][16] (has_min);
 *          float d[n/256][16];   float dmin[n/256][16] (has_min)
 *   K16    as K32 with n/16 sub-blocks
 *
 * Parts follow one another, each on a multiple of 64 bytes. Rows that are missing (the last tile of
 * a matrix) are zero.
 *
 * Multipliers may rely on this: types with mins have offset 0; codes are below 32 (B32, K32) or 64
 * (K16), unless the offset is 128, when they are any byte. So 16-bit sums of pairs cannot saturate,
 * or a code minus 128 fits a signed byte. */
#define HK_TILE_ROWS  16
#define HK_TILE_GROUP 2 /* tiles in one call */

struct hk_tile_layout {
    size_t scales; /* offset of float d (B32) or int8 sc (K32, K16) */
    size_t mins;   /* offset of float m or int8 mn */
    size_t d;      /* K32, K16: offset of float d */
    size_t dmin;   /* K32, K16: offset of float dmin */
    size_t bytes;
};

HB_INLINE struct hk_tile_layout hk_tile_layout(const struct hk_qtype_info *info, size_t n)
{
    struct hk_tile_layout t = {0, 0, 0, 0, 0};
    if (info->family == HK_FAMILY_FLOAT) {
        t.bytes = n * HK_TILE_ROWS * sizeof(float);
        return t;
    }
    t.scales = n * HK_TILE_ROWS;
    if (info->family == HK_FAMILY_B32) {
        size_t part = n / 32 * HK_TILE_ROWS * sizeof(float);
        t.mins = t.scales + part;
        t.bytes = t.d = t.dmin = t.mins + (info->has_min ? part : 0);
        return t;
    }
    size_t n_sub = n / (info->family == HK_FAMILY_K32 ? 32 : 16);
    size_t part = (n_sub * HK_TILE_ROWS + 63) & ~(size_t)63;
    size_t floats = n / 256 * HK_TILE_ROWS * sizeof(float);
    t.mins = t.scales + part;
    t.d = t.mins + (info->has_min ? part : 0);
    t.dmin = t.d + floats;
    t.bytes = t.dmin + (info->has_min ? floats : 0);
    return t;
}

/* ---- KV cache -------------------------------------------------------------------------------
 *
 * A page holds HK_KV_PAGE consecutive positions of one KV head in one layer, K and V apart:
 *
 *   F32, F16,  K  elem k[d_k][16]     transposed: lanes are positions, no horizontal sums
 *   BF16       V  elem v[16][d_v]     row by row
 *
 * The block types keep 32 consecutive elements of a position with one scale, as bf16: that has the
 * range of floats, and codes times scale are exact in a float. e is d rounded up to a multiple of 32;
 * what is beyond d is 0.
 *
 *   Q8_0       K  uint8 u[e/4][16][4]        code + 128 of 4 consecutive elements per position
 *                 bf16  scale[e/32][16]
 *              V  int8  q[16][e]
 *                 bf16  scale[16][e/32]
 *   Q4_0       K  uint8 u[e/32][4][16][4]    code + 8: elements 4g .. 4g + 3 of a block are the low
 *                 bf16  scale[e/32][16]      halves of u[][g], those of 4g + 16 on the high halves
 *              V  uint8 u[16][e/32][16]      code + 8: elements j (low half) and j + 16 of a block
 *                 bf16  scale[16][e/32]
 *
 *   Q8_0: scale = bf16(amax / 127), q = round to nearest even(x * (1 / scale)), in [-127, 127].
 *   Q4_0: top = the element of largest magnitude, the negative of two; scale = bf16(top / -8),
 *         q = round(x * (1 / scale)), at most 7: in [-8, 7].
 *   amax < 2^-100 gives scale 0 and codes 0; a block with NaN or infinity scale NaN and codes 0.
 *
 * Attention walks stretches of HK_KV_STRETCH positions aligned to absolute position (4 pages). A query
 * row q, which is pre-scaled, is f32 for float K; for block types of K it is an int8 activation row of
 * e elements with a scale a[b] per 32 (above), made once:
 *
 *   s[p]   = sum_d q[d] * K[d][p]              float K: one chain over d ascending, hk_fma
 *   s[p]   = fma((float)dot[b], scale[b][p] * a[b], s[p])      block types: b ascending, from +0;
 *                                              dot[b] is exact
 *   s[p]   = cap * tanh(s[p] / cap)            if a soft-cap is set
 *   m'     = max(m, max over visible p of s[p])
 *   alpha  = exp(m - m')                       0 for the first stretch
 *   w[p]   = exp(s[p] - m')                    exactly 0 for positions that are not visible
 *   l[i]   = l[i] * alpha, then l[i] = l[i] + w[p] for p = i, i + 16, i + 32, i + 48   (16 lanes)
 *   o[j]   = o[j] * alpha, then o[j] = fma(w[p], V[p][j], o[j]) for visible p ascending,
 *                                              V[p][j] as a float: exact for all types
 *
 * V of positions that are not visible is not read (0 times NaN would be NaN). A stretch without a
 * visible key is skipped. Stretches are folded ascending within a span of HK_KV_SPAN positions;
 * span i belongs to chain i mod HK_KV_CHAINS; the spans of a chain continue one state in ascending
 * order; at the end the chains are folded in ascending order with attn_merge, empty ones skipped.
 * The result is o[j] / L with L = l[0..15] folded ascending. Scratch is thus a constant number of
 * states however long the context is, and the chains can be computed anywhere. */
#define HK_KV_PAGE    16
#define HK_KV_STRETCH 64
#define HK_KV_SPAN    512
#define HK_KV_CHAINS  16
#define HK_HADAMARD_MAX 256

enum hk_kvtype {
#define HK_KVTYPE(id, name) HK_KV_##id,
#include "kernels/kvtypes.def"
#undef HK_KVTYPE
    HK_KVTYPE_COUNT
};
extern const uint8_t hk_kv_qtype[HK_KVTYPE_COUNT]; /* enum hk_qtype */

/* Is d stored in blocks of 32, with int8 query rows? */
HB_INLINE bool hk_kv_is_block(enum hk_kvtype type)
{
    return hk_qtype_info[hk_kv_qtype[type]].block_elements > 1;
}

HB_INLINE size_t hk_kv_elements(enum hk_kvtype type, size_t d)
{
    return hk_kv_is_block(type) ? (d + 31) & ~(size_t)31 : d;
}

/* Bytes of the K or V part of a page. */
HB_INLINE size_t hk_kv_page_bytes(enum hk_kvtype type, size_t d)
{
    const struct hk_qtype_info *info = &hk_qtype_info[hk_kv_qtype[type]];
    return HK_KV_PAGE * (hk_kv_elements(type, d) / info->block_elements * info->block_bytes);
}

/* The largest block that keys of d elements can be rotated in. Rotated keys spread an element that stands
 * out over its block, where 4 bits keep it better; queries are rotated too, and divided by the block,
 * which is exact, so that scores are those of the plain keys but for rounding. */
HB_INLINE size_t hk_kv_rotation(size_t d)
{
    size_t block = d & (~d + 1);
    return block < HK_HADAMARD_MAX ? block : HK_HADAMARD_MAX;
}

/* Bytes of a query row for keys of this type. */
HB_INLINE size_t hk_kv_query_bytes(enum hk_kvtype type, size_t d)
{
    return hk_kv_is_block(type) ? hk_act_row_bytes(hk_kv_elements(type, d), HK_STRETCH_B32)
                                : d * sizeof(float);
}

/* ---- function types ------------------------------------------------------------------------- */

/* n elements (a multiple of the block) to f32, exact. */
typedef void hk_unpack_fn(float *restrict y, const void *restrict blocks, size_t n);

/* y[r] = dot(row r, x), r < n_rows; rows are row_bytes apart. x: an activation row of n elements,
 * or f32[n] for the FLOAT family. Weights may have any alignment. */
typedef void hk_stream_fn(float *restrict y, const void *restrict w, size_t row_bytes,
                          size_t n_rows, const void *restrict x, size_t n);

/* y[c * ldy + r] for n_cols <= 16 columns that are x_stride bytes apart. */
typedef void hk_few_fn(float *restrict y, size_t ldy, const void *restrict w, size_t row_bytes,
                       size_t n_rows, const void *restrict x, size_t x_stride, size_t n_cols,
                       size_t n);

/* n_rows <= 16 rows of n elements to a tile (64-byte aligned). */
typedef void hk_pack_fn(void *restrict tile, const void *restrict w, size_t row_bytes,
                        size_t n_rows, size_t n);

/* y[c * ldy + r], r < n_rows <= 16 * HK_TILE_GROUP, c < n_cols. The tiles of more than 16 rows follow one
 * another; only the last may be short. */
typedef void hk_tile_fn(float *restrict y, size_t ldy, size_t n_rows, const void *restrict tile,
                        const void *restrict x, size_t x_stride, size_t n_cols, size_t n,
                        const struct hk_qtype_info *info);

typedef void hk_act_quantize_fn(void *restrict row, const float *restrict x, size_t n,
                                size_t stretch);
typedef void hk_rmsnorm_fn(float *restrict y, const float *restrict x, const float *restrict w,
                           size_t n, float eps);
/* w and b may be NULL (1 and 0). */
typedef void hk_layernorm_fn(float *restrict y, const float *restrict x, const float *restrict w,
                             const float *restrict b, size_t n, float eps);
typedef void hk_softmax_fn(float *y, const float *x, size_t n); /* y may be x */
/* A row of scores in place: s * scale (or s / scale), + mask unless NULL, then as softmax_f32 does it. */
#define HK_SOFT_DIVIDE 1u
#define HK_SOFT_NO_NAN 2u /* NaN that come out become 0 */
typedef void hk_soft_scores_fn(float *restrict s, const float *restrict mask, float scale,
                               unsigned flags, size_t n);
typedef void hk_unary_fn(float *y, const float *x, size_t n);   /* y may be x */
typedef void hk_scale_fn(float *y, const float *x, float s, size_t n);
typedef void hk_binary_fn(float *y, const float *a, const float *b, size_t n); /* y may be a or b */
/* n elements in place; cs holds n/2 pairs (cos, sin): a' = fma(a, cos, -(b * sin)),
 * b' = fma(b, cos, a * sin). */
typedef void hk_rope_fn(float *restrict x, const float *restrict cs, size_t n);
/* y[i][j] (rows ldy apart) = [y[i][j] if add else 0] + sum over p ascending of a[i][p] * b[p][j], with
 * hk_fma: one chain per output. n <= 32. */
typedef void hk_gemm_fn(float *restrict y, size_t ldy, const float *restrict a, size_t lda,
                        const float *restrict b, size_t ldb, size_t m, size_t n, size_t k,
                        bool add);
/* y[i][j] = sum over k of a[i][k] * b[k][j] for 32 columns of a tile int8 [k4][32][4], exact; a has rows of
 * 4 * k4 bytes or more. */
#define HK_I8_COLS 32
typedef void hk_gemm_i8_fn(int32_t *restrict y, size_t ldy, const uint8_t *restrict a, size_t lda,
                           const int8_t *restrict tile, size_t m, size_t k4);
/* Behind a matmul of tensors, on m rows of n <= 32 columns: y = act(y + bias[j]); bias may be NULL.
 * From int32 [m][32]: y = act((float)(v - fix[j] - zero[j] * sums[i]) * scale[j] + bias[j]), every step
 * rounded; integers wrap. A bias of -0 changes nothing. */
enum hk_act { HK_ACT_NONE, HK_ACT_RELU, HK_ACT_GELU, HK_ACT_GELU_TANH, HK_ACT_TANH };
struct hk_i8_columns {
    int32_t fix[HK_I8_COLS], zero[HK_I8_COLS];
    float scale[HK_I8_COLS], bias[HK_I8_COLS];
};
typedef void hk_finish_fn(float *y, size_t ldy, const float *bias, size_t m, size_t n,
                          enum hk_act act);
typedef void hk_finish_i8_fn(float *restrict y, size_t ldy, const int32_t *restrict v,
                             const int32_t *restrict sums, const struct hk_i8_columns *restrict c,
                             size_t m, size_t n, enum hk_act act);
/* range[0] and range[1]: smallest and largest of x and 0; NaN takes no part. */
typedef void hk_range_fn(float *restrict range, const float *restrict x, size_t n);
/* y = round to even(x / scale) + zero, clamped to 0..255; NaN gives 0. 0 <= zero <= 255 is an integer. */
typedef void hk_quantize_u8_fn(uint8_t *restrict y, const float *restrict x, float scale, float zero,
                               size_t n);
/* Each block of x (a power of two from 1 to HK_HADAMARD_MAX; n is a multiple) times a Hadamard matrix,
 * not normalised: log2(block) times y[i] = x[2i] + x[2i + 1], y[i + block/2] = x[2i] - x[2i + 1]. */
typedef void hk_hadamard_fn(float *restrict x, size_t n, size_t block);
typedef void hk_narrow_fn(uint16_t *restrict y, const float *restrict x, size_t n);
typedef uint32_t hk_max_abs_fn(const float *x, size_t n);

/* Classes of n bytes of text (classify_scalar.c): HK_CLASSES words of bits for each 64 of them, bit i for
 * byte i; bits past n are 0. */
enum { HK_CLASS_LETTERS, HK_CLASS_DIGITS, HK_CLASS_SPACES, HK_CLASS_WIDE, HK_CLASSES };
typedef void hk_classify_fn(uint64_t *restrict out, const uint8_t *restrict p, size_t n);

/* Canonical LEB128 of u32 values (varint_scalar.c). Encode gives the number of bytes; out has
 * HK_VARINT_ROOM(n) of them, and what lies behind the result is undefined. Decode takes values while they are
 * canonical, whole and below 2^32, at most `capacity`: it gives the bytes it took, and their number of values;
 * fewer bytes than n with *n_out < capacity tell where it stopped. out behind *n_out is undefined. */
#define HK_VARINT_ROOM(n) (5 * (n) + 16)
typedef size_t hk_varint_encode_fn(uint8_t *restrict out, const uint32_t *restrict x, size_t n);
typedef size_t hk_varint_decode_fn(uint32_t *restrict out, size_t capacity, size_t *restrict n_out,
                                   const uint8_t *restrict in, size_t n);

/* Attention over one stretch. n_q query rows (heads that share the KV head, times tokens); query
 * row i sees the positions lo[i] <= p < hi[i] of the stretch (0 <= lo <= hi <= 64; lo == hi: none).
 * Pages that no row sees may be NULL. pages[4..7] are those of the stretch that comes next, asked for
 * ahead of time when n_q is small; they may be NULL and are not read.
 *
 *   scores  s[n_q][64], written for every page that is not NULL; query rows are q_stride bytes apart
 *   softmax s becomes w in place (0 outside lo..hi); updates m[n_q] and l[n_q][16], writes
 *           alpha[n_q] (1 for rows that see nothing). A fresh state is m = -inf, l = 0, o = 0.
 *   values  o[n_q][d_v] updated from w and alpha */
typedef void hk_attn_scores_fn(float *restrict s, const void *restrict q, size_t q_stride,
                               size_t n_q, const void *const k_pages[8], size_t d_k);
typedef void hk_attn_softmax_fn(float *restrict s, size_t n_q, const uint8_t *restrict lo,
                                const uint8_t *restrict hi, float softcap, float *restrict m,
                                float *restrict l, float *restrict alpha);
typedef void hk_attn_values_fn(float *restrict o, const float *restrict alpha,
                               const float *restrict w, size_t n_q, const uint8_t *restrict lo,
                               const uint8_t *restrict hi, const void *const v_pages[8],
                               size_t d_v);
/* Fold state b into state a: m' = max(m_a, m_b), alpha = exp(m_a - m'), beta = exp(m_b - m');
 * l = fma(l_b, beta, l_a * alpha), o likewise. */
typedef void hk_attn_merge_fn(float *restrict o_a, float *restrict m_a, float *restrict l_a,
                              const float *restrict o_b, float m_b, const float *restrict l_b,
                              size_t d_v);
/* Store n positions of a page from slot on (slot + n <= 16): rows x of k[d_k] or v[d_v], ldx floats
 * apart. Other positions keep their bytes. */
typedef void hk_kv_put_fn(void *restrict page, size_t slot, size_t n, const float *restrict x,
                          size_t ldx, size_t d);

struct hk_quant {
    hk_unpack_fn *unpack;
    hk_stream_fn *stream;
    hk_few_fn *few; /* may be NULL */
    hk_pack_fn *pack;
};

struct hk_kv {
    hk_attn_scores_fn *scores;
    hk_attn_values_fn *values;
    hk_kv_put_fn *put_k;
    hk_kv_put_fn *put_v;
};

/* What a session calls through. Filled by hk_select; a session owns its copy. */
struct hk_table {
    const char *level; /* the highest level that contributed */
#define HK_SLOT(name, type, check, text) type *name;
#include "kernels/kernels.def"
#undef HK_SLOT
    struct hk_quant quant[HK_QTYPE_COUNT]; /* empty for PLAIN types */
    struct hk_kv kv[HK_KVTYPE_COUNT];
};

/* The many-token kernel of a family; FLOAT's for types that are no weights. */
HB_INLINE hk_tile_fn *hk_table_tile(const struct hk_table *k, uint8_t family)
{
    switch (family) {
    case HK_FAMILY_B32:
        return k->tile_b32;
    case HK_FAMILY_K32:
        return k->tile_k32;
    case HK_FAMILY_K16:
        return k->tile_k16;
    default:
        return k->tile_float;
    }
}

/* Levels, lowest first (levels.def). */
enum hk_level {
#define HK_LEVEL(name, needs) HK_LEVEL_##name,
#include "kernels/levels.def"
#undef HK_LEVEL
    HK_LEVEL_COUNT
};

const char *hk_level_name(enum hk_level level);
/* HK_LEVEL_COUNT if there is none of that name. */
enum hk_level hk_level_from_name(const char *name);
/* Was it compiled in, and does a machine with these HB_CPU_* features run it? */
bool hk_level_runs(enum hk_level level, uint32_t features);
/* The level's own table, with empty slots where it adds nothing; NULL if not compiled in. */
const struct hk_table *hk_level_table(enum hk_level level);

/* Fill a table: scalar, then every level up to `top` that the machine runs, slot by slot.
 * top = HK_LEVEL_COUNT allows all. */
void hk_select(struct hk_table *table, uint32_t features, enum hk_level top);
/* Lay the filled slots of `over` on a table (experiments, plugins). */
void hk_overlay(struct hk_table *table, const struct hk_table *over);

#endif

/* unpack_bits: blocks of 4- or 8-bit codes to f32 [n][k]: (codes [n][blocks][bytes], scales [n * blocks],
 * zero points packed alike, or none: the middle). */
#include "graph/ht_ops.h"
#include "graph/ht_strip.h"

static hearth_status unpack_bits_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_unpack_bits *p = s->params;
    for (uint32_t i = 0; i < 3; i++)
        HB_TRY(ht_dense(b, s, i, err));
    if ((p->bits != 4 && p->bits != 8) || p->block < 16 || p->block > 1 << 16 || p->k < 1 || p->n < 1 ||
        p->k > 1 << 24 || p->n > 1 << 24)
        return hb_fail(err, HEARTH_E_UNSUPPORTED, "%s (unpack_bits): %lld bits in blocks of %lld; 4 and 8 bits "
                       "are known", s->name, (long long)p->bits, (long long)p->block);
    int64_t blocks = (p->k + p->block - 1) / p->block, bytes = p->block * p->bits / 8;
    if (s->in[0]->type != HK_U8 || ht_elements(s->in[0]) != p->n * blocks * bytes ||
        ht_elements(s->in[1]) != p->n * blocks || s->in[1]->type != HK_F32 ||
        (s->in[2] && (s->in[2]->type != HK_U8 ||
                      ht_elements(s->in[2]) != p->n * ((blocks * p->bits + 7) / 8))))
        return ht_bad_shape(s, "codes, scales or zero points have another size", err);
    const int64_t dim[2] = {p->n, p->k};
    return ht_out(b, s, 0, HK_F32, 2, dim, -1, err);
}

static int64_t unpack_bits_units(const struct ht_step *s, const struct ht_run *run)
{
    (void)s, (void)run;
    return 1;
}

static int unpack_bits_code(const uint8_t *codes, int64_t i, int64_t bits)
{
    return bits == 8 ? codes[i] : i & 1 ? codes[i / 2] >> 4 : codes[i / 2] & 15;
}

static hearth_status unpack_bits_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                                     int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_unpack_bits *p = s->params;
    int64_t blocks = (p->k + p->block - 1) / p->block, bytes = p->block * p->bits / 8;
    int64_t zero_bytes = (blocks * p->bits + 7) / 8;
    const float *scales = (const float *)(const void *)s->in[1]->data;
    float *y = (float *)(void *)s->out[0]->data;
    (void)run, (void)scratch, (void)begin, (void)end, (void)err;
    for (int64_t r = 0; r < p->n; r++)
        for (int64_t k = 0; k < p->k; k++) {
            int64_t at = r * blocks + k / p->block;
            int zero = s->in[2] ? unpack_bits_code(s->in[2]->data + r * zero_bytes, k / p->block, p->bits)
                                : 1 << (p->bits - 1);
            int code = unpack_bits_code(s->in[0]->data + at * bytes, k % p->block, p->bits);
            y[r * p->k + k] = (float)(code - zero) * scales[at];
        }
    return HEARTH_OK;
}

const struct ht_op ht_op_unpack_bits = {"unpack_bits", sizeof(struct ht_unpack_bits), unpack_bits_plan,
                                        unpack_bits_units, unpack_bits_run, 0, 0};

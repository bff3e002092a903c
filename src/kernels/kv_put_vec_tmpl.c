/* Storing positions of the KV cache in float types over vectors; included by a level's file once per
 * storage type with
 *   KV_NAME           the row of kvtypes.def     KV_ELEM      type of a stored element
 *   KV_STORE(p, v)    a vector to HK_VL elements KV_STORE_1   one float to an element
 *
 * K pages are transposed: HK_VL positions go in as squares of HK_VL x HK_VL, which turns scattered
 * elements into whole vectors. Positions that fill no vector (text, ends of prompts) are scattered. */
#define KV_CAT_(a, b, c) a##b##c
#define KV_CAT(a, b, c)  KV_CAT_(a, b, c)
#define KV_FN(name)      HK_BODY_OF(KV_CAT(kv_, KV_NAME, name))
#define KV_BODY(prefix)  HK_BODY_OF(KV_CAT(prefix, KV_NAME, ))

/* Dimensions [from, d) of one position. */
static void KV_FN(_put_column)(KV_ELEM *restrict k, const float *restrict x, size_t from, size_t d)
{
    size_t i = from;
    for (; i + HK_VL <= d; i += HK_VL) {
        KV_ELEM e[HK_VL];
        KV_STORE(e, hk_v_load(x + i));
        HB_UNROLL for (size_t j = 0; j < HK_VL; j++) k[(i + j) * HK_KV_PAGE] = e[j];
    }
    for (; i < d; i++)
        k[i * HK_KV_PAGE] = KV_STORE_1(x[i]);
}

void KV_BODY(hk_kv_put_k_)(void *restrict page, size_t slot, size_t n, const float *restrict x,
                           size_t ldx, size_t d)
{
    for (size_t p = 0; p < n;) {
        KV_ELEM *k = (KV_ELEM *)page + slot + p;
        size_t i = 0, positions = 1;
        if ((slot + p) % HK_VL == 0 && n - p >= HK_VL) {
            positions = HK_VL;
            for (; i + HK_VL <= d; i += HK_VL) {
                hk_vf square[HK_VL];
                HB_UNROLL for (size_t j = 0; j < HK_VL; j++) square[j] =
                    hk_v_load(x + (p + j) * ldx + i);
                hk_v_transpose(square);
                HB_UNROLL for (size_t j = 0; j < HK_VL; j++)
                    KV_STORE(k + (i + j) * HK_KV_PAGE, square[j]);
            }
        }
        for (size_t j = 0; j < positions; j++)
            KV_FN(_put_column)(k + j, x + (p + j) * ldx, i, d);
        p += positions;
    }
}

void KV_BODY(hk_kv_put_v_)(void *restrict page, size_t slot, size_t n, const float *restrict x,
                           size_t ldx, size_t d)
{
    KV_ELEM *v = (KV_ELEM *)page + slot * d;
    for (size_t p = 0; p < n; p++, v += d, x += ldx) {
        size_t i = 0;
        for (; i + HK_VL <= d; i += HK_VL)
            KV_STORE(v + i, hk_v_load(x + i));
        for (; i < d; i++)
            v[i] = KV_STORE_1(x[i]);
    }
}

#undef KV_CAT_
#undef KV_CAT
#undef KV_FN
#undef KV_BODY
#undef KV_NAME
#undef KV_ELEM
#undef KV_STORE
#undef KV_STORE_1

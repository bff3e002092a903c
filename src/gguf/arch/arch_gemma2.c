/* gemma2: norms before and after attention and feed-forward (their weights are stored with the 1 of
 * "1 + w" added), GELU gate, embeddings times sqrt(width), soft-caps on attention scores and logits,
 * and a sliding window in every other layer, beginning with the first.
 *
 * q is scaled by attention.scale where the file states it. Published files do not: theirs is
 * 1 / sqrt(d_k), but 1 / sqrt(width / heads) for the 27B, which is known by its 46 layers.
 * Source: "Gemma 2", 2024. */
#include "gguf/hg_build.h"
#include "base/hb_math.h"

#define GEMMA2_LAYERS_27B 46

static double gemma2_scale(const struct hg_hparams *hp)
{
    if (hp->attn_scale > 0)
        return hp->attn_scale;
    double d = hp->n_layers == GEMMA2_LAYERS_27B ? (double)hp->n_embd / hp->n_heads[0]
                                                 : (double)hp->d_k;
    return 1 / hb_sqrt(d);
}

static hearth_status gemma2_build(struct hg_build *b, hearth_error *err)
{
    struct hg_hparams *hp = &b->hp;
    struct hg_attn attn = {.scale = gemma2_scale(hp)};
    int64_t window = hp->window < 0 ? 4096 : hp->window;
    bool *windowed;
    ht_id x;
    if (hp->attn_softcap < 0)
        hp->attn_softcap = 50;
    if (hp->final_softcap < 0)
        hp->final_softcap = 30;
    HB_TRY(hg_window_pattern(b, 2, &windowed, err));
    HB_TRY(hg_embed(b, hb_sqrt((double)hp->n_embd), &x, err));
    HB_TRY(hg_rope_table(b, &attn.rope, err));
    for (int32_t i = 0; i < hp->n_layers; i++) {
        attn.window = windowed[i] ? window : 0;
        HB_TRY(hg_layer(b, i, err));
        HB_TRY(hg_sandwich_layer(b, &attn, HT_GELU_MUL, &x, err));
    }
    return hg_head(b, x, err);
}

const struct hg_arch hg_arch_gemma2 = {
    .name = "gemma2",
    .halves = true,
    .has = {[HG_T_TOKEN_EMBD] = HG_MUST, [HG_T_OUTPUT_NORM] = HG_MUST, [HG_T_OUTPUT] = HG_MAY,
            [HG_T_ATTN_NORM] = HG_MUST, [HG_T_ATTN_Q] = HG_MUST, [HG_T_ATTN_K] = HG_MUST,
            [HG_T_ATTN_V] = HG_MUST, [HG_T_ATTN_OUT] = HG_MUST, [HG_T_ATTN_POST_NORM] = HG_MUST,
            [HG_T_FFN_NORM] = HG_MUST, [HG_T_FFN_GATE] = HG_MUST, [HG_T_FFN_UP] = HG_MUST,
            [HG_T_FFN_DOWN] = HG_MUST, [HG_T_FFN_POST_NORM] = HG_MUST},
    .build = gemma2_build};

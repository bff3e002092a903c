/* gemma3 (text): gemma2's blocks without its soft-caps, with every head of q and k normalised, and five
 * layers with a sliding window to one without. The windowed layers rotate with a base of their own
 * (rope.freq_base_swa, 10000 unless said) and without rope scaling.
 *
 * q is scaled by attention.scale, else 1 / sqrt(d_k), but 1 / sqrt(width / heads) for the 27B, which is
 * known by its 62 layers. Source: "Gemma 3 Technical Report", 2025. */
#include "gguf/hg_build.h"
#include "base/hb_math.h"

#define GEMMA3_LAYERS_27B 62
#define GEMMA3_PERIOD     6

static double gemma3_scale(const struct hg_hparams *hp)
{
    if (hp->attn_scale > 0)
        return hp->attn_scale;
    double d = hp->n_layers == GEMMA3_LAYERS_27B ? (double)hp->n_embd / hp->n_heads[0]
                                                 : (double)hp->d_k;
    return 1 / hb_sqrt(d);
}

static hearth_status gemma3_build(struct hg_build *b, hearth_error *err)
{
    const struct hg_hparams *hp = &b->hp;
    struct hg_attn global = {.scale = gemma3_scale(hp)}, local = global;
    bool *windowed;
    ht_id x;
    local.window = hp->window < 0 ? 1024 : hp->window;
    HB_TRY(hg_window_pattern(b, GEMMA3_PERIOD, &windowed, err));
    HB_TRY(hg_embed(b, hb_sqrt((double)hp->n_embd), &x, err));
    HB_TRY(hg_rope_table(b, &global.rope, err));
    HB_TRY(hg_rope_table_plain(b, hp->rope_base_swa, &local.rope, err));
    for (int32_t i = 0; i < hp->n_layers; i++) {
        HB_TRY(hg_layer(b, i, err));
        HB_TRY(hg_sandwich_layer(b, windowed[i] ? &local : &global, HT_GELU_MUL, &x, err));
    }
    return hg_head(b, x, err);
}

const struct hg_arch hg_arch_gemma3 = {
    .name = "gemma3",
    .halves = true,
    .has = {[HG_T_TOKEN_EMBD] = HG_MUST, [HG_T_OUTPUT_NORM] = HG_MUST, [HG_T_OUTPUT] = HG_MAY,
            [HG_T_ATTN_NORM] = HG_MUST, [HG_T_ATTN_Q] = HG_MUST, [HG_T_ATTN_K] = HG_MUST,
            [HG_T_ATTN_V] = HG_MUST, [HG_T_ATTN_Q_NORM] = HG_MUST, [HG_T_ATTN_K_NORM] = HG_MUST,
            [HG_T_ATTN_OUT] = HG_MUST, [HG_T_ATTN_POST_NORM] = HG_MUST, [HG_T_FFN_NORM] = HG_MUST,
            [HG_T_FFN_GATE] = HG_MUST, [HG_T_FFN_UP] = HG_MUST, [HG_T_FFN_DOWN] = HG_MUST,
            [HG_T_FFN_POST_NORM] = HG_MUST},
    .build = gemma3_build};

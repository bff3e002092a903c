/* gpt-oss: grouped-query attention with biases and a sink for every head, a learned score that takes part
 * in the softmax and has no value; a sliding window in every other layer, beginning with the first; a
 * mixture of experts with biases and a clamped gate; YaRN whose ramp begins and ends between pairs.
 * Source: "gpt-oss-120b & gpt-oss-20b Model Card", 2025. */
#include "gguf/hg_build.h"

static hearth_status gpt_oss_layer(struct hg_build *b, const struct hg_attn *attn, ht_id *x,
                                   hearth_error *err)
{
    ht_id h;
    HB_TRY(hg_norm(b, *x, HG_T_ATTN_NORM, &h, err));
    HB_TRY(hg_attention(b, attn, h, true, x, x, err));
    HB_TRY(hg_norm(b, *x, HG_T_ATTN_POST_NORM, &h, err));
    return hg_experts(b, HT_SWIGLU_CLAMP, h, *x, x, err);
}

static hearth_status gpt_oss_build(struct hg_build *b, hearth_error *err)
{
    struct hg_attn attn = {.window = 0};
    int64_t window = b->hp.window < 0 ? 128 : b->hp.window;
    bool *windowed;
    ht_id x;
    if (b->hp.n_experts == 0)
        return hb_fail(err, HEARTH_E_NOT_FOUND, "gguf: key gpt-oss.expert_count is missing or 0; the number "
                       "of experts is required");
    HB_TRY(hg_window_pattern(b, 2, &windowed, err));
    HB_TRY(hg_embed(b, 1, &x, err));
    HB_TRY(hg_rope_table(b, &attn.rope, err));
    for (int32_t i = 0; i < b->hp.n_layers; i++) {
        attn.window = windowed[i] ? window : 0;
        HB_TRY(hg_layer(b, i, err));
        HB_TRY(gpt_oss_layer(b, &attn, &x, err));
    }
    return hg_head(b, x, err);
}

const struct hg_arch hg_arch_gpt_oss = {
    .name = "gpt-oss",
    .halves = true,
    .yarn_exact = true,
    .experts = true,
    .has = {[HG_T_TOKEN_EMBD] = HG_MUST, [HG_T_OUTPUT_NORM] = HG_MUST, [HG_T_OUTPUT] = HG_MAY,
            [HG_T_ATTN_NORM] = HG_MUST, [HG_T_ATTN_Q] = HG_MUST, [HG_T_ATTN_K] = HG_MUST,
            [HG_T_ATTN_V] = HG_MUST, [HG_T_ATTN_Q_B] = HG_MAY, [HG_T_ATTN_K_B] = HG_MAY,
            [HG_T_ATTN_V_B] = HG_MAY, [HG_T_ATTN_OUT] = HG_MUST, [HG_T_ATTN_OUT_B] = HG_MAY,
            [HG_T_ATTN_SINKS] = HG_MUST, [HG_T_ATTN_POST_NORM] = HG_MUST, [HG_T_ROUTER] = HG_MUST,
            [HG_T_ROUTER_B] = HG_MAY, [HG_T_EXP_GATE] = HG_MUST, [HG_T_EXP_UP] = HG_MUST,
            [HG_T_EXP_DOWN] = HG_MUST, [HG_T_EXP_GATE_B] = HG_MAY, [HG_T_EXP_UP_B] = HG_MAY,
            [HG_T_EXP_DOWN_B] = HG_MAY},
    .build = gpt_oss_build};

/* qwen3: every head of q and k is normalised before it is rotated; heads need not divide the width; no
 * biases. Source: "Qwen3 Technical Report", 2025. */
#include "gguf/hg_build.h"

static hearth_status qwen3_build(struct hg_build *b, hearth_error *err)
{
    return hg_plain_decoder(b, HT_SILU_MUL, err);
}

const struct hg_arch hg_arch_qwen3 = {
    .name = "qwen3",
    .halves = true,
    .has = {[HG_T_TOKEN_EMBD] = HG_MUST, [HG_T_OUTPUT_NORM] = HG_MUST, [HG_T_OUTPUT] = HG_MAY,
            [HG_T_ATTN_NORM] = HG_MUST, [HG_T_ATTN_Q] = HG_MUST, [HG_T_ATTN_K] = HG_MUST,
            [HG_T_ATTN_V] = HG_MUST, [HG_T_ATTN_Q_NORM] = HG_MUST, [HG_T_ATTN_K_NORM] = HG_MUST,
            [HG_T_ATTN_OUT] = HG_MUST, [HG_T_FFN_NORM] = HG_MUST, [HG_T_FFN_GATE] = HG_MUST,
            [HG_T_FFN_UP] = HG_MUST, [HG_T_FFN_DOWN] = HG_MUST},
    .build = qwen3_build};

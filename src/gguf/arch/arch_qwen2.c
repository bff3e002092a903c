/* qwen2: llama's blocks with biases on q, k and v, and rotary positions in halves. Covers Qwen2 and
 * Qwen2.5. Source: "Qwen2 Technical Report", 2024. */
#include "gguf/hg_build.h"

static hearth_status qwen2_build(struct hg_build *b, hearth_error *err)
{
    return hg_plain_decoder(b, HT_SILU_MUL, err);
}

const struct hg_arch hg_arch_qwen2 = {
    .name = "qwen2",
    .halves = true,
    .has = {[HG_T_TOKEN_EMBD] = HG_MUST, [HG_T_OUTPUT_NORM] = HG_MUST, [HG_T_OUTPUT] = HG_MAY,
            [HG_T_ATTN_NORM] = HG_MUST, [HG_T_ATTN_Q] = HG_MUST, [HG_T_ATTN_K] = HG_MUST,
            [HG_T_ATTN_V] = HG_MUST, [HG_T_ATTN_Q_B] = HG_MUST, [HG_T_ATTN_K_B] = HG_MUST,
            [HG_T_ATTN_V_B] = HG_MUST, [HG_T_ATTN_OUT] = HG_MUST, [HG_T_FFN_NORM] = HG_MUST,
            [HG_T_FFN_GATE] = HG_MUST, [HG_T_FFN_UP] = HG_MUST, [HG_T_FFN_DOWN] = HG_MUST},
    .build = qwen2_build};

/* qwen3moe: qwen3's attention, with a mixture of experts in every layer's feed-forward. The weights of the
 * chosen experts are normalised to sum 1. Source: "Qwen3 Technical Report", 2025. */
#include "gguf/hg_build.h"

static hearth_status qwen3moe_build(struct hg_build *b, hearth_error *err)
{
    if (b->hp.n_experts == 0)
        return hb_fail(err, HEARTH_E_NOT_FOUND, "gguf: key qwen3moe.expert_count is missing or 0; the number "
                       "of experts is required");
    return hg_plain_decoder(b, HT_SILU_MUL, err);
}

const struct hg_arch hg_arch_qwen3moe = {
    .name = "qwen3moe",
    .halves = true,
    .experts = true,
    .has = {[HG_T_TOKEN_EMBD] = HG_MUST, [HG_T_OUTPUT_NORM] = HG_MUST, [HG_T_OUTPUT] = HG_MAY,
            [HG_T_ATTN_NORM] = HG_MUST, [HG_T_ATTN_Q] = HG_MUST, [HG_T_ATTN_K] = HG_MUST,
            [HG_T_ATTN_V] = HG_MUST, [HG_T_ATTN_Q_NORM] = HG_MUST, [HG_T_ATTN_K_NORM] = HG_MUST,
            [HG_T_ATTN_OUT] = HG_MUST, [HG_T_FFN_NORM] = HG_MUST, [HG_T_ROUTER] = HG_MUST,
            [HG_T_EXP_GATE] = HG_MUST, [HG_T_EXP_UP] = HG_MUST, [HG_T_EXP_DOWN] = HG_MUST},
    .build = qwen3moe_build};

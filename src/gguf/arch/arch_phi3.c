/* phi3: q, k and v are one matrix, gate and up another (gate first). Long-context files bring a factor
 * for every rotary pair, one list for contexts up to rope.scaling.original_context_length and one for
 * longer ones, and rope.scaling.attn_factor, which scales cos and sin. The session's n_ctx chooses the
 * list, so that a text gets the same angles however long it has become. A sliding window is honoured
 * where the file states one. Source: "Phi-3 Technical Report", 2024; LongRoPE, Ding et al., 2024. */
#include "gguf/hg_build.h"

static hearth_status phi3_build(struct hg_build *b, hearth_error *err)
{
    return hg_plain_decoder(b, HT_SILU_MUL, err);
}

const struct hg_arch hg_arch_phi3 = {
    .name = "phi3",
    .halves = true,
    .has = {[HG_T_TOKEN_EMBD] = HG_MUST, [HG_T_OUTPUT_NORM] = HG_MUST, [HG_T_OUTPUT] = HG_MAY,
            [HG_T_ROPE_SHORT] = HG_MAY, [HG_T_ROPE_LONG] = HG_MAY, [HG_T_ATTN_NORM] = HG_MUST,
            [HG_T_ATTN_QKV] = HG_MUST, [HG_T_ATTN_QKV_B] = HG_MAY, [HG_T_ATTN_OUT] = HG_MUST,
            [HG_T_ATTN_OUT_B] = HG_MAY, [HG_T_FFN_NORM] = HG_MUST, [HG_T_FFN_GATE_UP] = HG_MUST,
            [HG_T_FFN_DOWN] = HG_MUST},
    .build = phi3_build};

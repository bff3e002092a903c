/* llama: RMS norm, grouped-query attention with rotary positions in neighbouring pairs (the rows of q
 * and k are stored in that order), SiLU-gated feed-forward. SmolLM, Mistral and Mixtral (experts) files call
 * themselves llama too; Llama 3.1 adds rope_freqs.weight, some files biases or a sliding window.
 * Source: Touvron et al., "LLaMA", 2023, and the tensor names of GGUF. */
#include "gguf/hg_build.h"

static hearth_status llama_build(struct hg_build *b, hearth_error *err)
{
    return hg_plain_decoder(b, HT_SILU_MUL, err);
}

const struct hg_arch hg_arch_llama = {
    .name = "llama",
    .experts = true,
    .has = {[HG_T_TOKEN_EMBD] = HG_MUST, [HG_T_OUTPUT_NORM] = HG_MUST, [HG_T_OUTPUT] = HG_MAY,
            [HG_T_ROPE_FREQS] = HG_MAY, [HG_T_ROPE_SHORT] = HG_MAY, [HG_T_ROPE_LONG] = HG_MAY,
            [HG_T_ATTN_NORM] = HG_MUST, [HG_T_ATTN_Q] = HG_MUST, [HG_T_ATTN_K] = HG_MUST,
            [HG_T_ATTN_V] = HG_MUST, [HG_T_ATTN_Q_B] = HG_MAY, [HG_T_ATTN_K_B] = HG_MAY,
            [HG_T_ATTN_V_B] = HG_MAY, [HG_T_ATTN_OUT] = HG_MUST, [HG_T_ATTN_OUT_B] = HG_MAY,
            [HG_T_FFN_NORM] = HG_MUST, [HG_T_FFN_GATE] = HG_MUST, [HG_T_FFN_UP] = HG_MUST,
            [HG_T_FFN_DOWN] = HG_MUST, [HG_T_FFN_GATE_B] = HG_MAY, [HG_T_FFN_UP_B] = HG_MAY,
            [HG_T_FFN_DOWN_B] = HG_MAY, [HG_T_ROUTER] = HG_MUST, [HG_T_EXP_GATE] = HG_MUST,
            [HG_T_EXP_UP] = HG_MUST, [HG_T_EXP_DOWN] = HG_MUST},
    .build = llama_build};

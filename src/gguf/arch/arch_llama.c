/* llama: RMS norm, grouped-query attention with rotary positions in neighbouring pairs (the rows of q
 * and k are stored in that order), SiLU-gated feed-forward. SmolLM and Mistral files call themselves
 * llama too; Llama 3.1 adds rope_freqs.weight, some files biases or a sliding window.
 * Source: Touvron et al., "LLaMA", 2023, and the tensor names of GGUF. */
#include "gguf/hg_build.h"

static hearth_status llama_layer(struct hg_build *b, ht_id rope, ht_id *x, hearth_error *err)
{
    const struct hg_attn attn = {.rope = rope, .window = (int32_t)b->hp.window};
    ht_id h, a;
    HB_TRY(hg_norm(b, *x, HG_T_ATTN_NORM, &h, err));
    HB_TRY(hg_attention(b, &attn, h, x, &a, err));
    HB_TRY(hg_attn_out(b, a, *x, x, err));
    HB_TRY(hg_norm(b, *x, HG_T_FFN_NORM, &h, err));
    return hg_feed_forward(b, HT_SILU_MUL, h, *x, x, err);
}

static hearth_status llama_build(struct hg_build *b, hearth_error *err)
{
    ht_id x, rope;
    HB_TRY(hg_embed(b, 1, &x, err));
    HB_TRY(hg_rope_table(b, &rope, err));
    for (int32_t i = 0; i < b->hp.n_layers; i++) {
        HB_TRY(hg_layer(b, i, err));
        HB_TRY(llama_layer(b, rope, &x, err));
    }
    return hg_head(b, x, err);
}

const struct hg_arch hg_arch_llama = {
    .name = "llama",
    .has = {[HG_T_TOKEN_EMBD] = HG_MUST, [HG_T_OUTPUT_NORM] = HG_MUST, [HG_T_OUTPUT] = HG_MAY,
            [HG_T_ROPE_FREQS] = HG_MAY, [HG_T_ROPE_SHORT] = HG_MAY, [HG_T_ROPE_LONG] = HG_MAY,
            [HG_T_ATTN_NORM] = HG_MUST, [HG_T_ATTN_Q] = HG_MUST, [HG_T_ATTN_K] = HG_MUST,
            [HG_T_ATTN_V] = HG_MUST, [HG_T_ATTN_Q_B] = HG_MAY, [HG_T_ATTN_K_B] = HG_MAY,
            [HG_T_ATTN_V_B] = HG_MAY, [HG_T_ATTN_OUT] = HG_MUST, [HG_T_ATTN_OUT_B] = HG_MAY,
            [HG_T_FFN_NORM] = HG_MUST, [HG_T_FFN_GATE] = HG_MUST, [HG_T_FFN_UP] = HG_MUST,
            [HG_T_FFN_DOWN] = HG_MUST, [HG_T_FFN_GATE_B] = HG_MAY, [HG_T_FFN_UP_B] = HG_MAY,
            [HG_T_FFN_DOWN_B] = HG_MAY},
    .build = llama_build};

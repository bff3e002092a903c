#include "tools/quantize/mix.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ALL(t)         {HQ_ALL, HK_##t, HK_##t, 1}
#define MORE(t)        {HQ_MORE, HK_##t, HK_##t, 1}
#define FIRST(k, t)    {HQ_FIRST, HK_##t, HK_##t, k}
#define PARTS(k, t, u) {HQ_PARTS, HK_##t, HK_##u, k}
const struct hq_mix hq_mixes[] = {
#define HQ_MIX(name, file_type, base, output, v, down, out, qkv, text)                             \
    {#name, file_type, HK_##base, HK_##output, v, down, out, qkv, text},
#include "tools/quantize/mixes.def"
#undef HQ_MIX
};
const size_t hq_n_mixes = sizeof hq_mixes / sizeof hq_mixes[0];

const struct hq_mix *hq_mix_find(const char *name)
{
    for (size_t i = 0; i < hq_n_mixes; i++)
        if (strcasecmp(hq_mixes[i].name, name) == 0)
            return &hq_mixes[i];
    return NULL;
}

void hq_model_read(const struct hg_file *file, struct hq_model *model)
{
    char key[HG_MAX_ARCH_NAME + sizeof ".block_count"];
    struct hg_text arch = {"", 0};
    *model = (struct hq_model){0, !hg_tensor_find(file, "output.weight")};
    hg_meta_string(file, "general.architecture", false, HG_MAX_ARCH_NAME, &arch, NULL);
    snprintf(key, sizeof key, "%.*s.block_count", (int)arch.len, arch.bytes);
    hg_meta_int(file, key, false, 0, HG_MAX_LAYERS, &model->n_layers, NULL);
}

/* "blk.7.attn_v.weight": 7, and the rest behind the second dot; -1 outside of layers. */
static int64_t mix_layer(const char *name, const char **part)
{
    int64_t layer = 0;
    *part = name;
    if (strncmp(name, "blk.", 4) != 0)
        return -1;
    const char *at = name + 4;
    while (*at >= '0' && *at <= '9' && layer < HG_MAX_LAYERS)
        layer = layer * 10 + (*at++ - '0');
    *part = *at == '.' ? at + 1 : at;
    return layer;
}

/* The first and last eighth of the layers and every third between: where errors cost most. */
static bool mix_more(int64_t layer, int64_t n)
{
    return layer < n / 8 || layer >= 7 * n / 8 || (layer - n / 8) % 3 == 2;
}

static enum hk_qtype mix_choose(const struct hq_choice *c, enum hk_qtype base, int64_t layer, int64_t n)
{
    switch ((enum hq_rule)c->rule) {
    case HQ_ALL:
        return c->type;
    case HQ_MORE:
        return mix_more(layer, n) ? c->type : base;
    case HQ_FIRST:
        return layer < n / c->k ? c->type : base;
    case HQ_PARTS:
        return layer < n / c->k ? c->type : mix_more(layer, n) ? c->then : base;
    }
    return base;
}

/* A type whose blocks divide the row. */
static enum hk_qtype mix_fitting(enum hk_qtype type, int64_t row)
{
    static const struct {
        enum hk_qtype wide, narrow;
    } narrower[] = {{HK_Q2_K, HK_IQ4_NL}, {HK_Q3_K, HK_IQ4_NL}, {HK_IQ4_XS, HK_IQ4_NL},
                    {HK_Q4_K, HK_Q5_0}, {HK_Q5_K, HK_Q5_1}, {HK_Q6_K, HK_Q8_0}};
    for (size_t i = 0; i < HB_COUNT(narrower) && row % 256 != 0; i++)
        if (type == narrower[i].wide)
            type = narrower[i].narrow;
    return row % hk_qtype_info[type].block_elements == 0 ? type : HK_F16;
}

enum hk_qtype hq_mix_type(const struct hq_mix *mix, const struct hq_model *model, const struct hg_tensor *tensor)
{
    const char *part;
    int64_t layer = mix_layer(tensor->name, &part);
    size_t len = strlen(part);
    enum hk_qtype type = mix->base;
    if (tensor->rank < 2 || hk_qtype_info[tensor->type].family == HK_FAMILY_PLAIN || len < 7 ||
        strcmp(part + len - 7, ".weight") != 0 || strstr(part, "_norm") || strstr(part, "ffn_gate_inp"))
        return tensor->type;
    if (strcmp(part, "output.weight") == 0 || (model->tied && strcmp(part, "token_embd.weight") == 0))
        type = mix->output;
    else if (layer < 0)
        type = mix->base;
    else if (strncmp(part, "attn_v.", 7) == 0)
        type = mix_choose(&mix->v, mix->base, layer, model->n_layers);
    else if (strncmp(part, "ffn_down", 8) == 0)
        type = mix_choose(&mix->down, mix->base, layer, model->n_layers);
    else if (strncmp(part, "attn_output.", 12) == 0)
        type = mix_choose(&mix->out, mix->base, layer, model->n_layers);
    else if (strncmp(part, "attn_qkv.", 9) == 0)
        type = mix_choose(&mix->qkv, mix->base, layer, model->n_layers);
    return mix_fitting(type, tensor->dim[tensor->rank - 1]);
}

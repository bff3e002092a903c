/* RNN, GRU, LSTM. */
#include "onnx/hx_import.h"
#include <string.h>

static const struct {
    const char *name;
    uint8_t kind;
    float alpha, beta;
} recurrent_acts[] = {
    {"sigmoid", HT_MAP_SIGMOID, 0, 0},       {"tanh", HT_MAP_TANH, 0, 0},
    {"relu", HT_MAP_RELU, 0, 0},             {"leakyrelu", HT_MAP_LEAKY, 0.01f, 0},
    {"hardsigmoid", HT_MAP_HARDSIGMOID, 0.2f, 0.5f}, {"elu", HT_MAP_ELU, 1, 0},
    {"softsign", HT_MAP_SOFTSIGN, 0, 0},     {"softplus", HT_MAP_SOFTPLUS, 0, 0},
    {"thresholdedrelu", HT_MAP_THRESHOLDED, 1, 0}, {"affine", HT_MAP_AFFINE, 1, 0},
};

static bool recurrent_same(const char *a, const char *lower)
{
    for (; *a && *lower; a++, lower++)
        if ((*a >= 'A' && *a <= 'Z' ? *a + 32 : *a) != *lower)
            return false;
    return !*a && !*lower;
}

static hearth_status recurrent_act(struct hx_import *im, const char *name, struct ht_act *out)
{
    for (unsigned i = 0; i < HB_COUNT(recurrent_acts); i++)
        if (recurrent_same(name, recurrent_acts[i].name)) {
            *out = (struct ht_act){recurrent_acts[i].kind, recurrent_acts[i].alpha, recurrent_acts[i].beta};
            return HEARTH_OK;
        }
    return hb_fail(im->err, HEARTH_E_UNSUPPORTED, "%s: activation %s", im->what, name);
}

static hearth_status recurrent_lower(struct hx_import *im, const struct hx_node *node)
{
    static const char *const defaults[3][3] = {
        {"tanh", "", ""}, {"sigmoid", "tanh", ""}, {"sigmoid", "tanh", "tanh"}};
    static const uint8_t n_acts[3] = {1, 2, 3};
    struct ht_recurrent p = {.kind = (uint8_t)hx_row(im, node)->param,
                             .batch_first = hx_attr_int(im, node, "layout", 0) != 0,
                             .linear_before_reset = hx_attr_int(im, node, "linear_before_reset", 0) != 0,
                             .coupled = hx_attr_int(im, node, "input_forget", 0) != 0,
                             .clip = hx_attr_float(im, node, "clip", 0)};
    const char *direction = hx_attr_text(im, node, "direction", "forward");
    const struct hx_attr *names = hx_attr(node, "activations");
    const struct hx_attr *alpha = hx_attr(node, "activation_alpha"), *beta = hx_attr(node, "activation_beta");
    p.direction = strcmp(direction, "reverse") == 0 ? HT_REVERSE
                  : strcmp(direction, "bidirectional") == 0 ? HT_BOTH : HT_FORWARD;
    uint32_t per = n_acts[p.kind], dirs = p.direction == HT_BOTH ? 2 : 1;
    for (uint32_t d = 0; d < dirs; d++)
        for (uint32_t i = 0; i < per; i++) {
            uint32_t at = d * per + i;
            struct ht_act *a = &p.act[d * 3 + i];
            HB_TRY(recurrent_act(im, names && at < names->n && names->strings ? names->strings[at]
                                                                              : defaults[p.kind][i], a));
            if (alpha && at < alpha->n && alpha->floats)
                a->alpha = alpha->floats[at];
            if (beta && at < beta->n && beta->floats)
                a->beta = beta->floats[at];
        }
    return hx_emit(im, &ht_op_recurrent, node, &p);
}

const struct hx_op hx_op_rnn = {3, 6, 0, 2, recurrent_lower, HT_RNN};
const struct hx_op hx_op_gru = {3, 6, 0, 2, recurrent_lower, HT_GRU};
const struct hx_op hx_op_lstm = {3, 8, 0, 3, recurrent_lower, HT_LSTM};

/* Logarithms of probabilities, for callers who want to know what else might have been said. */
#include "runtime/hr_sampler.h"
#include "kernels/hk_math.h"

/* Put a token into the list where it belongs, if it does. */
static int32_t logprobs_insert(hearth_logprob *top, int32_t n, int32_t most, int32_t token, float logit)
{
    int32_t at = n < most ? n : most - 1;
    if (most == 0 || (n == most && !(logit > top[at].logprob)))
        return n;
    for (; at > 0 && logit > top[at - 1].logprob; at--)
        top[at] = top[at - 1];
    top[at] = (hearth_logprob){token, logit};
    return n < most ? n + 1 : n;
}

float hr_logprobs(const float *logits, int32_t n, int32_t token, hearth_logprob *top, int32_t n_top)
{
    float max = -HK_INFINITY;
    double total = 0;
    int32_t have = 0;
    for (int32_t i = 0; i < n; i++) {
        max = logits[i] > max ? logits[i] : max;
        have = logprobs_insert(top, have, n_top, i, logits[i]);
    }
    for (int32_t i = 0; i < n; i++)
        total += (double)hk_exp(logits[i] - max);
    double log_total = (double)max + hk_log_f64(total);
    for (int32_t i = 0; i < have; i++)
        top[i].logprob = (float)((double)top[i].logprob - log_total);
    return (float)((double)logits[token] - log_total);
}

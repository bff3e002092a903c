/* A number that tells models apart: their metadata, and of every constant of the graph name, type, shape
 * and a few samples of its bytes. Not all bytes: hashing the weights would take as long as reading them.
 * Whoever forges one fools himself only. */
#include "runtime/hr_model.h"
#include <string.h>

#define FINGERPRINT_SAMPLES      16
#define FINGERPRINT_SAMPLE_BYTES 64

uint64_t hr_hash64(uint64_t h, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        h = (h ^ w) * 0x9E3779B97F4A7C15u;
        h ^= h >> 29;
    }
    for (; n > 0; n--, p++) {
        h = (h ^ *p) * 0x9E3779B97F4A7C15u;
        h ^= h >> 29;
    }
    return h;
}

static uint64_t fingerprint_text(uint64_t h, const char *text)
{
    return text ? hr_hash64(h, text, strlen(text) + 1) : h;
}

static uint64_t fingerprint_value(uint64_t h, const struct ht_value *v)
{
    size_t bytes = 0;
    h = fingerprint_text(h, v->name);
    h = hr_hash64(h, &v->type, sizeof v->type);
    h = hr_hash64(h, v->dim, v->rank * sizeof *v->dim);
    if (!v->data || !ht_dense_bytes((enum hk_qtype)v->type, v->rank, v->dim, &bytes))
        return h;
    if (bytes <= FINGERPRINT_SAMPLES * FINGERPRINT_SAMPLE_BYTES)
        return hr_hash64(h, v->data, bytes);
    size_t apart = (bytes - FINGERPRINT_SAMPLE_BYTES) / (FINGERPRINT_SAMPLES - 1);
    for (size_t i = 0; i < FINGERPRINT_SAMPLES; i++)
        h = hr_hash64(h, (const uint8_t *)v->data + i * apart, FINGERPRINT_SAMPLE_BYTES);
    return h;
}

uint64_t hr_model_fingerprint(const hearth_model *m)
{
    uint64_t h = 0x68656172746B7631u;
    h = fingerprint_text(h, m->info.architecture);
    for (size_t i = 0; i < m->loader->meta_count(m); i++) {
        const char *key;
        char text[256];
        m->loader->meta(m, i, &key, text, sizeof text);
        h = fingerprint_text(fingerprint_text(h, key), text);
    }
    for (uint32_t i = 0; i < m->lm.graph.n_values; i++)
        if (m->lm.graph.values[i].kind == HT_VALUE_CONST)
            h = fingerprint_value(h, &m->lm.graph.values[i]);
    return h;
}

/* Tokens against a place: one token, or all of them in the order of their bytes, so that what tokens begin
 * with in common is walked once and a beginning that is dead takes its whole family with it. */
#include "runtime/hr_grammar.h"
#include "base/hb_check.h"
#include "kernels/hk_math.h"
#include <string.h>

struct mask_key {
    uint64_t head; /* the first eight bytes, the first one highest */
    int32_t id;
};

static struct hv_text mask_piece(const struct hearth_grammar *g, int32_t id)
{
    struct hv_text t = {"", 0};
    if (hv_is_eog(g->model->tokenizer, id) || hv_is_control(g->model->tokenizer, id) ||
        hv_piece(g->model->tokenizer, id, 0, &t.bytes, &t.len, NULL) != HEARTH_OK)
        t.len = 0;
    return t;
}

static bool mask_before(const struct hearth_grammar *g, const struct mask_key *a,
                        const struct mask_key *b)
{
    if (a->head != b->head)
        return a->head < b->head;
    struct hv_text x = mask_piece(g, a->id), y = mask_piece(g, b->id);
    int c = memcmp(x.bytes, y.bytes, x.len < y.len ? x.len : y.len);
    return c != 0 ? c < 0 : x.len != y.len ? x.len < y.len : a->id < b->id;
}

static void mask_sift(const struct hearth_grammar *g, struct mask_key *keys, size_t n, size_t i)
{
    struct mask_key x = keys[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        child += child + 1 < n && mask_before(g, &keys[child], &keys[child + 1]);
        if (!mask_before(g, &x, &keys[child]))
            break;
        keys[i] = keys[child];
    }
    keys[i] = x;
}

hearth_status hr_grammar_order(struct hearth_grammar *g, struct hb_arena *work, hearth_error *err)
{
    int32_t n_vocab = (int32_t)hv_vocab_size(g->model->tokenizer), n = 0;
    struct mask_key *keys;
    HB_TRY(HB_ARENA_NEW(work, struct mask_key, (size_t)n_vocab, &keys, err));
    HB_TRY(HB_ARENA_NEW(&g->arena, int32_t, (size_t)n_vocab, &g->others, err));
    for (int32_t id = 0; id < n_vocab; id++) {
        struct hv_text t = mask_piece(g, id);
        if (t.len == 0 || t.len > HR_GRAMMAR_MAX_PIECE) {
            g->others[g->n_others++] = id;
            continue;
        }
        keys[n] = (struct mask_key){0, id};
        for (size_t i = 0; i < 8; i++)
            keys[n].head = keys[n].head << 8 | (i < t.len ? (uint8_t)t.bytes[i] : 0);
        n++;
    }
    for (size_t i = (size_t)n / 2; i-- > 0;)
        mask_sift(g, keys, (size_t)n, i);
    for (size_t left = (size_t)n; left > 1;) {
        struct mask_key top = keys[0];
        keys[0] = keys[--left];
        keys[left] = top;
        mask_sift(g, keys, left, 0);
    }
    HB_TRY(HB_ARENA_NEW(&g->arena, int32_t, (size_t)n, &g->order, err));
    HB_TRY(HB_ARENA_NEW(&g->arena, uint8_t, (size_t)n, &g->common, err));
    HB_TRY(HB_ARENA_NEW(&g->arena, struct hv_text, (size_t)n, &g->text, err));
    struct hv_text before = {"", 0};
    for (int32_t i = 0; i < n; i++) {
        struct hv_text t = mask_piece(g, keys[i].id);
        size_t k = 0;
        while (k < t.len && k < before.len && t.bytes[k] == before.bytes[k])
            k++;
        g->order[i] = keys[i].id;
        g->text[i] = t;
        g->common[i] = (uint8_t)k;
        before = t;
    }
    g->n_order = n;
    return HEARTH_OK;
}

static uint16_t mask_walk(struct hr_grammar_place *p, struct hv_text t)
{
    uint16_t state = p->back[p->at];
    for (size_t i = 0; i < t.len && state != HR_G_DEAD; i++)
        state = hr_place_step(p, state, (uint8_t)t.bytes[i]);
    return state;
}

bool hr_place_allows(struct hr_grammar_place *p, int32_t token)
{
    const struct hv_tokenizer *tok = p->g->model->tokenizer;
    if (token < 0 || (size_t)token >= hv_vocab_size(tok))
        return false;
    if (hv_is_eog(tok, token))
        return hr_place_may_end(p);
    struct hv_text t = mask_piece(p->g, token);
    p->steps = 0;
    return t.len && t.len <= HR_GRAMMAR_MAX_PIECE && mask_walk(p, t) != HR_G_DEAD;
}

void hr_place_accept(struct hr_grammar_place *p, int32_t token)
{
    struct hv_text t = mask_piece(p->g, token);
    if (t.len == 0) /* an end token: the place stays */
        return;
    p->steps = 0;
    uint16_t to = mask_walk(p, t);
    if (to == HR_G_DEAD) {
        p->fault = p->fault ? p->fault : HEARTH_E_INTERNAL; /* it was not asked, or lost its tables */
        return;
    }
    p->at = (p->at + 1) % (HR_GRAMMAR_BACK + 1);
    p->back[p->at] = to;
    p->n_back += p->n_back < HR_GRAMMAR_BACK;
}

/* path[d] is the state after d bytes of the token at work, up to `alive`. */
void hr_place_mask(struct hr_grammar_place *p, float *logits, int32_t n)
{
    const struct hearth_grammar *g = p->g;
    const struct hv_tokenizer *tok = g->model->tokenizer;
    bool may_end = hr_place_may_end(p);
    size_t alive = 0;
    p->masks++;
    p->steps = 0;
    p->path[0] = p->back[p->at];
    p->n_path = 1;
    for (int32_t i = 0; i < g->n_others; i++)
        if (g->others[i] < n && !(may_end && hv_is_eog(tok, g->others[i])))
            logits[g->others[i]] = -HK_INFINITY;
    for (int32_t id = (int32_t)hv_vocab_size(tok); id < n; id++) /* rows without a token */
        logits[id] = -HK_INFINITY;
    for (int32_t i = 0; i < g->n_order; i++) {
        int32_t id = g->order[i];
        size_t common = g->common[i];
        if (common > alive) { /* the one before died inside of what this one begins with */
            if (id < n)
                logits[id] = -HK_INFINITY;
            continue;
        }
        struct hv_text t = g->text[i];
        alive = common;
        p->n_path = (uint32_t)alive + 1;
        while (alive < t.len) {
            uint16_t to = hr_place_step(p, p->path[alive], (uint8_t)t.bytes[alive]);
            if (to == HR_G_DEAD)
                break;
            p->path[++alive] = to;
            p->n_path++;
        }
        if (alive < t.len && id < n)
            logits[id] = -HK_INFINITY;
    }
    p->n_path = 0;
}

/* The requests of `hearth client load`: what is asked is chosen by chance, from a seed. */
#include "client_load.h"
#include <stdlib.h>
#include <string.h>

#define LOAD_MOST_WORDS 65536

static uint64_t load_random(struct load *l) /* xorshift64* */
{
    l->random ^= l->random >> 12;
    l->random ^= l->random << 25;
    l->random ^= l->random >> 27;
    return l->random * 0x2545F4914F6CDD1Du >> 16;
}

static bool load_chance(struct load *l, float share)
{
    return share > 0 && (double)(load_random(l) & 0xFFFFFF) < (double)share * 0x1000000;
}

/* ---- prompts ---- */

static const char load_words[] =
    "The captain looked at the sea and said that the wind would turn before the morning. Nobody answered him, for "
    "the men had been at work since noon and there was little light left in the west. In the village behind the "
    "harbour a bell rang; a window was opened, a voice called a name, and the window was closed again. He thought of "
    "the letter in his pocket, which he had read so often that he knew it by heart, and of the house on the hill "
    "with its two chimneys, where they would be sitting at the fire and talking of things that he would never hear.";

int hc_load_text(struct load *l)
{
    const char *f = l->s->f;
    int rc = f ? hc_text_read(f, &l->text) : hc_text_take(load_words, NULL, &l->text);
    l->word = rc == HC_OK ? malloc((LOAD_MOST_WORDS + 1) * sizeof *l->word) : NULL;
    if (rc == HC_OK && !l->word)
        return hc_fail(HC_LIMIT, "load", "no memory for words");
    for (size_t at = 0; rc == HC_OK && at < l->text.len && l->n_words < LOAD_MOST_WORDS;) {
        const char *space = memchr(l->text.bytes + at, ' ', l->text.len - at);
        l->word[l->n_words++] = at;
        at = space ? (size_t)(space - l->text.bytes) + 1 : l->text.len;
        l->word[l->n_words] = at;
    }
    if (rc == HC_OK && l->n_words == 0)
        return hc_fail(HC_REFUSED, f, "no words in it");
    return rc;
}

/* A prompt of one of the lengths of --words, from a random place on; a number before it makes it one of its own. */
static struct hs_bytes load_prompt(struct load *l)
{
    const struct hc_ints *lengths = &l->s->words;
    size_t n = (size_t)lengths->item[load_random(l) % lengths->n], len = 0;
    size_t at = l->s->same_prompts ? 0 : load_random(l) % l->n_words;
    if (!l->s->same_prompts)
        len = (size_t)snprintf(l->prompt, l->prompt_capacity, "%llu. ", (unsigned long long)l->n_scheduled);
    for (size_t i = 0; i < n; i++, at = (at + 1) % l->n_words) {
        size_t bytes = l->word[at + 1] - l->word[at];
        if (len + bytes + 1 > l->prompt_capacity)
            break;
        memcpy(l->prompt + len, l->text.bytes + l->word[at], bytes);
        len += bytes;
        if (l->prompt[len - 1] != ' ') /* the last word of the text */
            l->prompt[len++] = ' ';
    }
    return (struct hs_bytes){l->prompt, len ? len - 1 : 0};
}

/* ---- sending ---- */

void hc_load_lose(struct load_client *c, uint64_t *counter)
{
    for (size_t i = 0; i < LOAD_SLOTS; i++)
        if (c->slot[i].live) {
            ++*counter;
            c->slot[i].live = false;
        }
    c->n_live = 0;
    c->retry_ns = hc_now_ns();
}

static enum load_kind load_choose(struct load *l)
{
    const struct load_settings *s = l->s;
    uint64_t at = load_random(l) % (uint64_t)(s->generate + s->classify + s->embed);
    return at < (uint64_t)s->generate                 ? LOAD_GENERATE
           : at < (uint64_t)(s->generate + s->classify) ? LOAD_CLASSIFY
                                                        : LOAD_EMBED;
}

#define LOAD_FIELDS(l, msg, message, name)                                                         \
    do {                                                                                           \
        const char *load_model_ = (name) ? (name) : (l)->s->client.common.model;                   \
        HS_SET(msg, message, id, slot->id);                                                        \
        if (load_model_)                                                                           \
            HS_SET(msg, message, model, wc_bytes(load_model_));                                    \
        CLIENT_LIMITS(&limits, msg, message);                                                      \
    } while (0)

static hearth_status load_queue(struct load *l, struct load_client *c, struct load_slot *slot, hearth_error *err)
{
    const struct client limits = {.s = &l->s->client};
    struct hs_bytes prompt = load_prompt(l);
    if (slot->kind == LOAD_GENERATE) {
        struct hs_generate msg = {0};
        LOAD_FIELDS(l, &msg, generate, NULL);
        HS_SET(&msg, generate, prompt, prompt);
        HS_SET(&msg, generate, max_tokens, (uint64_t)l->s->n);
        HS_SET(&msg, generate, temperature, 0);
        HS_SET(&msg, generate, repeat_penalty, 1);
        HS_SET(&msg, generate, stream, 1);
        if (!l->s->no_ignore_eos)
            HS_SET(&msg, generate, ignore_end, 1);
        return wc_queue(c->wire, HS_M_generate, &msg, err);
    }
    struct hs_list texts = {.items = &prompt, .n = 1};
    if (slot->kind == LOAD_CLASSIFY) {
        struct hs_classify msg = {0};
        LOAD_FIELDS(l, &msg, classify, l->s->classify_model);
        HS_SET(&msg, classify, texts, texts);
        HS_SET(&msg, classify, truncate, 1);
        return wc_queue(c->wire, HS_M_classify, &msg, err);
    }
    struct hs_embed msg = {0};
    LOAD_FIELDS(l, &msg, embed, l->s->embed_model);
    HS_SET(&msg, embed, texts, texts);
    HS_SET(&msg, embed, truncate, 1);
    return wc_queue(c->wire, HS_M_embed, &msg, err);
}

static struct load_slot *load_free_slot(struct load_client *c)
{
    for (size_t i = 0; i < LOAD_SLOTS; i++)
        if (!c->slot[i].live)
            return &c->slot[i];
    return NULL;
}

void hc_load_cancel(struct load_client *c, struct load_slot *slot, uint64_t now)
{
    struct hs_cancel msg = {0};
    HS_SET(&msg, cancel, id, slot->id);
    slot->cancelled = true;
    slot->cancel_ns = now;
    if (wc_queue(c->wire, HS_M_cancel, &msg, NULL) == HEARTH_OK)
        wc_flush(c->wire, NULL);
}

void hc_load_send(struct load *l, struct load_client *c, uint64_t intended)
{
    struct load_slot *slot = load_free_slot(c);
    bool at_once = false;
    l->n_scheduled++;
    if (!slot || wc_fd(c->wire) < 0) { /* its time passes all the same */
        l->stats.unsent++;
        return;
    }
    *slot = (struct load_slot){.live = true, .kind = load_choose(l), .id = wc_new_id(c->wire), .start_ns = intended};
    if (slot->kind == LOAD_GENERATE) {
        uint64_t some = load_random(l) % (uint64_t)l->s->n;
        bool cancel = load_chance(l, l->s->cancel_share);
        slot->cancel_at = cancel ? some : 0;
        at_once = cancel && some == 0;
        slot->vanish_at = load_chance(l, l->s->vanish_share) ? some + 1 : 0;
    }
    if (load_queue(l, c, slot, NULL) != HEARTH_OK) {
        slot->live = false;
        l->stats.unsent++;
        return;
    }
    c->n_live++;
    l->stats.sent++;
    if (at_once)
        hc_load_cancel(c, slot, hc_now_ns());
    if (wc_flush(c->wire, NULL) != HEARTH_OK)
        hc_load_lose(c, &l->stats.lost);
    uint64_t now = hc_now_ns();
    bn_latency_record(&l->stats.time[LOAD_T_late], now > intended ? now - intended : 0);
}

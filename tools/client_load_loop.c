/* The loop of `hearth client load`: what is due is sent, what comes is counted, until the schedule is over and all
 * is answered. One thread: ppoll over the connections until the next intended start. */
#include "client_load.h"
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LOAD_SHOW_NS  500000000u
#define LOAD_RETRY_NS 100000000u /* between attempts to connect again */

/* ---- answers ---- */

static struct load_slot *load_find(struct load_client *c, uint64_t id)
{
    for (size_t i = 0; i < LOAD_SLOTS; i++)
        if (c->slot[i].live && c->slot[i].id == id)
            return &c->slot[i];
    return NULL;
}

static uint64_t load_since(uint64_t now, uint64_t then)
{
    return now > then ? now - then : 0;
}

/* true: the client is to vanish. */
static bool load_chunk(struct load *l, struct load_client *c, struct load_slot *slot, const struct hs_chunk *chunk,
                       uint64_t now)
{
    uint64_t n = chunk->tokens.n;
    if (n == 0)
        return false;
    if (slot->tokens == 0)
        bn_latency_record(&l->stats.time[LOAD_T_first_token], load_since(now, slot->start_ns));
    for (uint64_t i = 0; i < n && slot->tokens; i++)
        bn_latency_record(&l->stats.time[LOAD_T_inter_token], load_since(now, slot->last_ns) / n);
    slot->tokens += n;
    slot->last_ns = now;
    l->stats.tokens += n;
    l->stats.served[c - l->clients].tokens += n;
    if (slot->cancel_at && slot->tokens >= slot->cancel_at && !slot->cancelled)
        hc_load_cancel(c, slot, now);
    return slot->vanish_at && slot->tokens >= slot->vanish_at;
}

static void load_done(struct load *l, const struct hs_done *d)
{
    bn_latency_record(&l->stats.time[LOAD_T_queue], d->queue_us * 1000);
    if (HS_HAS(d, done, prompt_us))
        bn_latency_record(&l->stats.time[LOAD_T_prefill], d->prompt_us * 1000);
    l->stats.prompt_tokens += d->prompt_tokens;
    if (d->reason < LOAD_REASONS)
        l->stats.reasons[d->reason]++;
}

static void load_end(struct load *l, struct load_client *c, struct load_slot *slot, const struct hs_message *m,
                     const union hs_any *msg, uint64_t now)
{
    static const enum load_time total[] = {LOAD_T_generate, LOAD_T_classify, LOAD_T_embed};
    struct load_served *served = &l->stats.served[c - l->clients];
    if (m == &hs_messages[HS_M_done])
        load_done(l, &msg->done);
    if (slot->cancelled)
        bn_latency_record(&l->stats.time[LOAD_T_cancel], load_since(now, slot->cancel_ns));
    if (m == &hs_messages[HS_M_error]) {
        hc_load_refusal(&l->stats, msg->error.code);
    } else if (m == &hs_messages[HS_M_done] && msg->done.reason == 3) {
        l->stats.cancelled++;
    } else {
        l->stats.ok++;
        bn_latency_record(&l->stats.time[total[slot->kind]], load_since(now, slot->start_ns));
        served->requests++;
        served->sum_ms += (double)load_since(now, slot->start_ns) * 1e-6;
    }
    slot->live = false;
    c->n_live--;
}

static void load_vanish(struct load *l, struct load_client *c)
{
    hc_load_lose(c, &l->stats.abandoned);
    if (wc_reopen(c->wire, NULL) == HEARTH_OK)
        l->stats.reconnects++;
}

/* One client's messages. A broken connection loses what was in flight. */
static void load_take(struct load *l, struct load_client *c)
{
    const struct hs_message *m;
    union hs_any msg;
    hearth_error err;
    hearth_status status = wc_fill(c->wire, &err);
    uint64_t now = hc_now_ns();
    while (status == HEARTH_OK) {
        status = wc_next(c->wire, &m, &msg, &err);
        if (status != HEARTH_OK || !m)
            break;
        struct load_slot *slot = load_find(c, wc_id(m, &msg));
        if (slot && m == &hs_messages[HS_M_chunk]) {
            if (load_chunk(l, c, slot, &msg.chunk, now)) {
                load_vanish(l, c);
                return;
            }
        } else if (slot) {
            load_end(l, c, slot, m, &msg, now);
        }
    }
    if (status != HEARTH_OK) {
        if (!l->shown_lines)
            fprintf(stderr, "hearth: client %td: %s\n", c - l->clients, err.text);
        hc_load_lose(c, &l->stats.lost);
    }
}

/* ---- the loop ---- */

static void load_reconnect(struct load *l, struct load_client *c, uint64_t now)
{
    if (wc_fd(c->wire) >= 0 || now < c->retry_ns)
        return;
    if (wc_reopen(c->wire, NULL) == HEARTH_OK)
        l->stats.reconnects++;
    else
        c->retry_ns = now + LOAD_RETRY_NS;
}

static bool load_over(const struct load *l, uint64_t now)
{
    const struct load_settings *s = l->s;
    return l->stopped || now >= l->stop_ns || (s->requests && l->n_scheduled >= (uint64_t)s->requests);
}

/* What is due now; returns when to come again. */
static uint64_t load_due(struct load *l, uint64_t now)
{
    const struct load_settings *s = l->s;
    if (s->rate > 0) {
        while (l->next_ns <= now && !load_over(l, l->next_ns)) {
            hc_load_send(l, &l->clients[l->n_scheduled % (uint64_t)s->clients], l->next_ns);
            l->next_ns = l->start_ns + (uint64_t)((double)l->n_scheduled * 1e9 / (double)s->rate);
        }
        return l->next_ns;
    }
    for (int32_t i = 0; i < s->clients && !load_over(l, now); i++)
        if (l->clients[i].n_live == 0 && wc_fd(l->clients[i].wire) >= 0)
            hc_load_send(l, &l->clients[i], now);
    return now + LOAD_SHOW_NS;
}

static size_t load_live(const struct load *l)
{
    size_t n = 0;
    for (int32_t i = 0; i < l->s->clients; i++)
        n += l->clients[i].n_live;
    return n;
}

static void load_show(struct load *l, uint64_t now)
{
    if (!isatty(STDERR_FILENO) || now - l->shown_ns < LOAD_SHOW_NS)
        return;
    l->shown_ns = now;
    l->stats.seconds = (double)(now - l->start_ns) * 1e-9;
    if (l->shown_lines)
        fprintf(stderr, "\033[%dA", l->shown_lines);
    l->shown_lines = hc_load_print_table(&l->stats, stderr);
}

static void load_poll(struct load *l, uint64_t until)
{
    nfds_t n = (nfds_t)l->s->clients;
    uint64_t now = hc_now_ns(), wait = until > now ? until - now : 0;
    if (wait > LOAD_RETRY_NS)
        wait = LOAD_RETRY_NS;
    for (nfds_t i = 0; i < n; i++)
        l->polls[i] = (struct pollfd){wc_fd(l->clients[i].wire),
                                      (short)(POLLIN | (wc_unsent(l->clients[i].wire) ? POLLOUT : 0)), 0};
    const struct timespec ts = {0, (long)wait};
    if (ppoll(l->polls, n, &ts, NULL) <= 0)
        return;
    for (nfds_t i = 0; i < n; i++) {
        struct load_client *c = &l->clients[i];
        if (l->polls[i].revents & POLLOUT && wc_flush(c->wire, NULL) != HEARTH_OK)
            hc_load_lose(c, &l->stats.lost);
        if (l->polls[i].revents & (POLLIN | POLLHUP | POLLERR) && wc_fd(c->wire) >= 0)
            load_take(l, c);
    }
}

void hc_load_loop(struct load *l)
{
    uint64_t now = hc_now_ns(), give_up = 0;
    l->start_ns = l->next_ns = now;
    l->stop_ns = now + (uint64_t)((double)l->s->duration_s * 1e9);
    hc_interrupt_flag();
    for (;;) {
        l->stopped = hc_interrupted();
        bool over = load_over(l, now) || (l->s->rate > 0 && l->next_ns >= l->stop_ns);
        if (over && !give_up)
            give_up = now + (uint64_t)l->s->drain_s * 1000000000u;
        if (over && (load_live(l) == 0 || now >= give_up))
            break;
        load_poll(l, over ? give_up : load_due(l, now));
        now = hc_now_ns();
        for (int32_t i = 0; i < l->s->clients; i++)
            load_reconnect(l, &l->clients[i], now);
        load_show(l, now);
    }
    l->stats.seconds = (double)(now - l->start_ns) * 1e-9;
    for (int32_t i = 0; i < l->s->clients; i++) {
        struct wc_stats wire = wc_get_stats(l->clients[i].wire);
        l->stats.doubles += wire.doubles;
        l->stats.strays += wire.strays;
        hc_load_lose(&l->clients[i], &l->stats.lost);
    }
    hc_interrupt_to(NULL);
}

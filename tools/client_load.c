/* hearth client load: requests on a fixed schedule, whatever the server does (an open loop), so that what a stall
 * delays is counted as delayed. Request i is meant to start at i / rate and goes to client i mod n; its times count
 * from then on. Without --rate every client sends its next request when its last has ended (a closed loop): that
 * measures throughput, and hides waiting. */
#include "client_load.h"
#include <stdlib.h>

static int load_open(struct load *l)
{
    const struct load_settings *s = l->s;
    hearth_error err = {0};
    size_t n = (size_t)s->clients, longest = 0;
    int rc = client_config(&s->client, l->token, &l->config);
    if (rc == HC_OK && s->generate + s->classify + s->embed == 0)
        rc = hc_fail(HC_USAGE, "--generate", "no part of the mix is above 0");
    if (rc == HC_OK)
        rc = hc_load_text(l);
    if (rc != HC_OK)
        return rc;
    for (size_t i = 0; i < s->words.n; i++)
        longest = (size_t)s->words.item[i] > longest ? (size_t)s->words.item[i] : longest;
    l->prompt_capacity = 64 + longest * 32;
    l->clients = calloc(n, sizeof *l->clients);
    l->polls = calloc(n, sizeof *l->polls);
    l->stats.served = calloc(n, sizeof *l->stats.served);
    l->prompt = malloc(l->prompt_capacity);
    l->stats.n_clients = n;
    l->stats.open = s->rate > 0;
    l->stats.rate = (double)s->rate;
    l->random = (s->seed.given ? s->seed.value : 1) * 2 + 1;
    if (!l->clients || !l->polls || !l->stats.served || !l->prompt)
        return hc_fail(HC_LIMIT, "load", "no memory for %zu clients", n);
    for (size_t i = 0; i < n; i++) {
        hearth_status status = wc_open(&l->config, &l->clients[i].wire, &err);
        if (status != HEARTH_OK)
            return hc_fail_status(HC_FAILED, s->client.socket, status, &err);
    }
    return HC_OK;
}

static void load_close(struct load *l)
{
    for (int32_t i = 0; l->clients && i < l->s->clients; i++)
        wc_close(l->clients[i].wire);
    free(l->clients);
    free(l->polls);
    free(l->stats.served);
    free(l->prompt);
    free(l->word);
    free(l->text.bytes);
    free(l);
}

/* A lost answer, or a second one, is a fault of the server. */
static int load_verdict(const struct load *l)
{
    if (l->stats.lost)
        return hc_fail(HC_FAILED, l->s->client.socket, "%llu requests were not answered",
                       (unsigned long long)l->stats.lost);
    return hc_finish_output();
}

static int load_run(const void *settings)
{
    struct load *l = calloc(1, sizeof *l);
    if (!l)
        return hc_fail(HC_LIMIT, "load", "no memory");
    l->s = settings;
    int rc = load_open(l);
    if (rc == HC_OK) {
        hc_load_loop(l);
        if (l->shown_lines)
            fprintf(stderr, "\033[%dA\033[J", l->shown_lines);
        if (l->s->client.common.json)
            hc_load_print_json(&l->stats);
        else
            hc_load_print_table(&l->stats, stdout);
        rc = load_verdict(l);
    }
    load_close(l);
    return rc;
}

#define FIELD(name) offsetof(struct load_settings, name)
static const struct hc_option load_options[] = {
    {"--rate", HC_REAL, FIELD(rate), 0, 1e6, "R", "requests a second, of all clients together; 0: closed loop (0)"},
    {"--clients", HC_INT, FIELD(clients), 1, 4096, "N", "connections (4)"},
    {"--duration", HC_REAL, FIELD(duration_s), 0, 1e6, "S", "seconds in which requests start (10)"},
    {"--requests", HC_INT, FIELD(requests), 1, INT32_MAX, "N", "no more than so many"},
    {"--drain", HC_INT, FIELD(drain_s), 0, 86400, "S", "seconds to wait for the last answers (30)"},
    {"--generate", HC_INT, FIELD(generate), 0, 1 << 20, "W", "part of the mix that generates (1)"},
    {"--classify", HC_INT, FIELD(classify), 0, 1 << 20, "W", "that classifies (0)"},
    {"--embed", HC_INT, FIELD(embed), 0, 1 << 20, "W", "that embeds (0)"},
    {"--classify-model", HC_TEXT, FIELD(classify_model), 0, 0, "NAME", "model to classify with (that of -m)"},
    {"--embed-model", HC_TEXT, FIELD(embed_model), 0, 0, "NAME", "model to embed with (that of -m)"},
    {"--words", HC_INTS, FIELD(words), 1, 1 << 20, "N,N", "lengths of prompts, chosen by chance (8,32,128)"},
    {"-f", HC_TEXT, FIELD(f), 0, 0, "FILE", "text whose words are the prompts'"},
    {"-n", HC_INT, FIELD(n), 1, 1 << 20, "N", "tokens to generate (32)"},
    {"--no-ignore-eos", HC_FLAG, FIELD(no_ignore_eos), 0, 0, NULL, "end tokens end a text before that"},
    {"--same-prompts", HC_FLAG, FIELD(same_prompts), 0, 0, NULL, "prompts are alike, so that a prefix cache has them"},
    {"--cancel-share", HC_REAL, FIELD(cancel_share), 0, 1, "P", "of texts are cancelled on the way (0)"},
    {"--vanish-share", HC_REAL, FIELD(vanish_share), 0, 1, "P", "of texts' clients vanish on the way, and come back (0)"},
    {"-s", HC_SEED, FIELD(seed), 0, 0, "SEED", "of what is chosen by chance (1)"},
    HC_OPTIONS_END,
};

static const struct load_settings load_defaults = {.client = CLIENT_DEFAULTS, .clients = 4, .duration_s = 10,
                                                   .generate = 1, .n = 32, .drain_s = 30,
                                                   .words = {{8, 32, 128}, 3}};

const struct hc_command client_load = {
    .name = "client load",
    .synopsis = "--socket PATH --rate R [--clients N] [--duration S]",
    .text = "Sends requests on a fixed schedule and tells how long they took, from when each was meant to start.\n"
            "--cancel-share and --vanish-share make some clients impatient. Exit status 1 if an answer was lost.",
    .options = load_options,
    .common = client_common_options,
    .settings_size = sizeof(struct load_settings),
    .defaults = &load_defaults,
    .run = load_run,
};

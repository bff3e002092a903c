/* hearth generate: continue a text, streaming it to stdout, or as one JSON object. */
#include "commands.h"
#include "generating.h"
#include "plan.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct generate_settings {
    struct hc_common common;
    const char *p;
    const char *f;
    bool parse_special;
    bool dry_run;
    const char *save_kv;
    const char *load_kv;
    struct hc_generating g;
};

static int generate_with_model(const struct generate_settings *s, const struct hc_text *text,
                               const struct hc_model *m, struct hc_tokens *prompt,
                               struct hc_result *r)
{
    uint32_t flags =
        HEARTH_TOKENIZE_SPECIAL | (s->parse_special ? HEARTH_TOKENIZE_PARSE_SPECIAL : 0);
    int rc = hc_tokenize(m, text, flags, prompt);
    if (rc != HC_OK)
        return rc;
    if (prompt->n == 0)
        return hc_fail(HC_USAGE, s->p ? "-p" : s->f, "no tokens; at least one is needed");
    struct hc_run run;
    rc = hc_run_open(&s->common, &s->g, m, s->load_kv != NULL, &run);
    if (rc == HC_OK && s->load_kv)
        rc = hc_kv_load(&run.session, s->load_kv);
    if (rc == HC_OK) {
        hc_interrupt_to(run.session.session);
        rc = hc_run_prompt(&run, &s->g, prompt->ids, prompt->n, s->common.json, r);
        hc_interrupt_to(NULL);
    }
    if (rc == HC_OK) {
        if (s->common.json)
            hc_result_print_json(m, &run, prompt->ids, prompt->n, r);
        else if (isatty(STDOUT_FILENO))
            fputc('\n', stdout);
        rc = hc_finish_output();
        hc_result_print_stats(m, &run, prompt->n, r);
    }
    if (rc == HC_OK && s->save_kv)
        rc = hc_kv_save(&run.session, s->save_kv);
    if (rc == HC_OK && r->finish == HEARTH_FINISH_CANCELLED)
        rc = hc_fail(HC_FAILED, "generate", "stopped by Ctrl-C after %zu tokens", r->n_tokens);
    hc_run_close(&run);
    return rc;
}

/* What a run would take: the plan is made, and nothing of it is touched. */
static int generate_plan(const struct generate_settings *s)
{
    struct hc_model m = {0};
    struct hc_run run = {0};
    int rc = hc_model_open(&s->common, 0, &m);
    if (rc == HC_OK)
        rc = hc_run_open(&s->common, &s->g, &m, false, &run);
    if (rc == HC_OK && s->common.json) {
        struct hj j = {.file = stdout};
        hj_open(&j, NULL, '{');
        hc_plan_json(&j, &m, &run.session);
        hj_close(&j, '}');
        fputc('\n', stdout);
    } else if (rc == HC_OK) {
        hc_plan_print(&m, &run.session);
    }
    hc_run_close(&run);
    hc_model_close(&m);
    return rc == HC_OK ? hc_finish_output() : rc;
}

static int generate_run(const void *settings)
{
    const struct generate_settings *s = settings;
    struct hc_text text;
    struct hc_model model = {0};
    struct hc_tokens prompt = {0};
    struct hc_result result = {0};
    if (s->dry_run)
        return generate_plan(s);
    int rc = hc_text_take(s->p, s->f, &text);
    if (rc == HC_OK)
        rc = hc_model_open(&s->common, 0, &model);
    if (rc == HC_OK)
        rc = generate_with_model(s, &text, &model, &prompt, &result);
    hc_result_free(&result);
    free(prompt.ids);
    free(text.bytes);
    hc_model_close(&model);
    return rc;
}

#define FIELD(name) offsetof(struct generate_settings, name)
static const struct hc_option generate_options[] = {
    {"-p", HC_TEXT, FIELD(p), 0, 0, "TEXT", "the text to continue"},
    {"-f", HC_TEXT, FIELD(f), 0, 0, "FILE", "the same from a file; - for standard input"},
    HC_GENERATING_OPTIONS(struct generate_settings, g),
    {"--parse-special", HC_FLAG, FIELD(parse_special), 0, 0, NULL,
     "texts of special tokens in the prompt become their ids"},
    {"--dry-run", HC_FLAG, FIELD(dry_run), 0, 0, NULL,
     "print the memory a run would take, and stop; -p is not needed"},
    {"--save-kv", HC_TEXT, FIELD(save_kv), 0, 0, "FILE", "write keys and values to FILE at the end"},
    {"--load-kv", HC_TEXT, FIELD(load_kv), 0, 0, "FILE",
     "what FILE has of the prompt's beginning is not computed again"},
    HC_OPTIONS_END,
};

static const struct generate_settings generate_defaults = {.g = HC_GENERATING_DEFAULTS};

const struct hc_command hc_command_generate = {
    .name = "generate",
    .synopsis = "-m FILE (-p TEXT | -f FILE) [-n N]",
    .text = "Continues a text and prints what it adds as it comes. A seed gives the same text for any\n"
            "number of threads, chunk and kernel level.",
    .options = generate_options,
    .settings_size = sizeof(struct generate_settings),
    .defaults = &generate_defaults,
    .run = generate_run,
};

/* A text is continued by greedy choice, with nothing but hearth.h and memory of a fixed size. The same
 * file runs on a host (board_host.c), so that what a board prints can be compared. */
#include "demo.h"
#include <hearth.h>

#define DEMO_CTX     64
#define DEMO_PROMPT  32

static void demo_text(const char *text)
{
    size_t n = 0;
    while (text[n])
        n++;
    board_put(text, n);
}

static void demo_number(uint64_t v)
{
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + v % 10);
    while (v /= 10);
    board_put(digits + at, sizeof digits - at);
}

static int demo_failed(const char *what, const hearth_error *err)
{
    demo_text(what);
    demo_text(": ");
    demo_text(err->text[0] ? err->text : hearth_status_text(err->status));
    demo_text("\n");
    return 1;
}

static int32_t demo_best(const float *logits, int32_t n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

static void demo_sizes(const hearth_model *model, const hearth_session *session)
{
    hearth_model_info m = {.struct_size = sizeof m};
    hearth_session_info s = {.struct_size = sizeof s};
    hearth_model_get_info(model, &m);
    hearth_session_get_info(session, &s);
    demo_text("memory: model ");
    demo_number(m.model_bytes);
    demo_text(", session ");
    demo_number(s.planned_bytes);
    demo_text(" bytes, level ");
    demo_text(s.level);
    demo_text("\n");
}

/* The tokens of the prompt, then n_tokens more, each by the one before. */
static int demo_generate(const hearth_model *model, hearth_session *session, const char *prompt,
                         int n_tokens)
{
    hearth_error err = {HEARTH_OK, ""};
    hearth_detokenizer detokenizer = {{0}, 0, 0, {0}};
    hearth_model_info info = {.struct_size = sizeof info};
    int32_t tokens[DEMO_PROMPT];
    char text[1024];
    size_t n = 0, len = 0;
    while (prompt[n])
        n++;
    if (hearth_tokenize(model, prompt, n, HEARTH_TOKENIZE_SPECIAL, tokens, DEMO_PROMPT, &n, &err))
        return demo_failed("tokenize", &err);
    hearth_model_get_info(model, &info);
    hearth_item items[DEMO_PROMPT];
    for (size_t i = 0; i < n; i++)
        items[i] = (hearth_item){tokens[i], 0, i + 1 == n};
    demo_text("tokens:");
    for (int i = 0; i < n_tokens; i++) {
        if (hearth_session_step(session, items, n, &err))
            return demo_failed("step", &err);
        int32_t token = demo_best(hearth_session_logits(session, 0), info.vocab_size);
        demo_text(" ");
        demo_number((uint64_t)token);
        items[0] = (hearth_item){token, 0, 1};
        tokens[i] = token;
        n = 1;
    }
    demo_text("\ntext: ");
    for (int i = 0; i < n_tokens; i++) {
        if (hearth_detokenize(model, &detokenizer, tokens[i], text, sizeof text, &len, &err))
            return demo_failed("detokenize", &err);
        board_put(text, len);
    }
    demo_text("\n");
    return 0;
}

int demo_run(const void *model_bytes, size_t size, void *model_mem, size_t model_mem_bytes,
             void *session_mem, size_t session_mem_bytes, const char *prompt, int n_tokens)
{
    hearth_error err = {HEARTH_OK, ""};
    hearth_model *model;
    hearth_session *session;
    hearth_bytes bytes = {model_bytes, size};
    hearth_model_config mc = {.struct_size = sizeof mc, .mem = model_mem, .mem_bytes = model_mem_bytes};
    hearth_session_config sc = {.struct_size = sizeof sc, .n_ctx = DEMO_CTX, .n_batch = DEMO_PROMPT,
                                .mem = session_mem, .mem_bytes = session_mem_bytes};
    if (n_tokens > DEMO_PROMPT)
        n_tokens = DEMO_PROMPT;
    if (hearth_model_open(&bytes, 1, &mc, &model, &err))
        return demo_failed("model", &err);
    if (hearth_session_open(model, &sc, &session, &err))
        return demo_failed("session", &err);
    demo_sizes(model, session);
    int failed = demo_generate(model, session, prompt, n_tokens);
    hearth_session_close(session);
    hearth_model_close(model);
    return failed;
}

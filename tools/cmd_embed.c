/* hearth embed: text to vectors. */
#include "commands.h"
#include "encode_texts.h"
#include <stdlib.h>

struct embed_run {
    const struct encode_settings *settings;
    struct hc_vectors kept; /* --similarity */
};

static int embed_text(void *user, hearth_encoder *encoder, size_t index, const struct hc_text *text)
{
    struct embed_run *r = user;
    hearth_encoding e = {.struct_size = sizeof e};
    hearth_error err = {0};
    hearth_status status = hearth_encoder_embed(encoder, text->bytes, text->len, &e, &err);
    if (status != HEARTH_OK)
        return encode_fail(r->settings, index, status, &err);
    if (r->settings->similarity)
        return hc_vectors_keep(&r->kept, e.values, e.n_values);
    const struct hc_encode_form form = {r->settings->common.json, r->settings->truncate};
    hc_print_vector(&form, &(struct hc_encoded){e.values, e.n_values, e.n_tokens, e.truncated != 0});
    return HC_OK;
}

static int embed_run(const void *settings)
{
    struct embed_run r = {.settings = settings};
    hearth_pooling pooling;
    int rc = hc_pooling(r.settings->pooling, &pooling);
    if (rc == HC_OK)
        rc = encode_each(r.settings, pooling, embed_text, &r);
    if (rc == HC_OK && r.settings->similarity) {
        hc_vectors_print(&r.kept);
        rc = hc_finish_output();
    }
    free(r.kept.values);
    return rc;
}

static const struct hc_option embed_options[] = {
    ENCODE_OPTIONS,
    {"--pooling", HC_TEXT, ENCODE_FIELD(pooling), 0, 0, "KIND", "mean, cls or last (as the model says, else mean)"},
    {"--no-normalize", HC_FLAG, ENCODE_FIELD(no_normalize), 0, 0, NULL,
     "leave the length of a vector as it is"},
    {"--similarity", HC_FLAG, ENCODE_FIELD(similarity), 0, 0, NULL,
     "print the cosine of each text with every text instead of vectors"},
    HC_OPTIONS_END,
};

static const struct encode_settings embed_defaults;

const struct hc_command hc_command_embed = {
    .name = "embed",
    .synopsis = "-m FILE (-p TEXT... | -f FILE) [--pooling KIND]",
    .text = "A vector for each text, of length 1 unless --no-normalize. Every text is computed by itself:\n"
            "its vector does not depend on the others. Pooling leaves padding out.",
    .options = embed_options,
    .settings_size = sizeof(struct encode_settings),
    .defaults = &embed_defaults,
    .run = embed_run,
};

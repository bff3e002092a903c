/* Loading a model in slices: see hs_load.h.
 *
 *   open ──► hash ──► model ──► parts ──► session
 *
 * The files are mapped from their descriptors and hashed as mapped, so there is no second opening that could find
 * another file. A file that is written to while it is hashed is noticed by its time; who cannot trust its owner
 * afterwards either has it copied into memory ("mmap": false). */
#include "serve/hs_load.h"
#include <string.h>

enum { PHASE_OPEN, PHASE_HASH, PHASE_MODEL, PHASE_PARTS, PHASE_SESSION };

static const char *const load_tokenizers[] = {"tokenizer.json", "vocab.txt"};

static hearth_status load_text(struct hb_arena *arena, const char **text, hearth_error *err)
{
    return *text ? hb_arena_text(arena, *text, strlen(*text), text, err) : HEARTH_OK;
}

hearth_status hs_spec_copy(const struct hs_model_spec *from, struct hb_arena *arena, struct hs_model_spec *to,
                           hearth_error *err)
{
    struct hs_model_spec s = *from;
    const char **texts[] = {&s.name, &s.licence, &s.version, &s.kv_type, &s.weights, &s.model.file, &s.tokenizer.file,
                            &s.labels.file};
    for (size_t i = 0; i < HB_COUNT(texts); i++)
        HB_TRY(load_text(arena, texts[i], err));
    *to = s;
    return HEARTH_OK;
}

static struct hb_alloc load_hooks(const struct hs_models_config *c)
{
    const hearth_allocator *a = &c->allocator;
    return a->alloc ? (struct hb_alloc){a->alloc, a->free, a->user} : *hb_os_heap();
}

hearth_status hs_load_create(const struct hs_models_config *c, const struct hs_model_spec *spec, struct hs_load **out,
                             hearth_error *err)
{
    struct hb_alloc hooks = load_hooks(c);
    struct hb_arena arena;
    struct hs_load *l;
    hb_arena_init_growing(&arena, &hooks);
    hearth_status status = HB_ARENA_NEW(&arena, struct hs_load, 1, &l, err);
    if (status == HEARTH_OK)
        status = hs_spec_copy(spec, &arena, &l->spec, err);
    if (status != HEARTH_OK) {
        hb_arena_release(&arena);
        return status;
    }
    for (int i = 0; i < LOAD_FILES; i++)
        l->files[i].handle = -1;
    hs_sha256_init(&l->sha);
    l->arena = arena;
    *out = l;
    return HEARTH_OK;
}

void hs_load_close(struct hs_load *l)
{
    if (!l)
        return;
    hearth_session_close(l->session);
    hearth_labels_close(l->labels);
    hearth_tokenizer_close(l->tokenizer);
    hearth_model_close(l->model);
    for (int i = 0; i < LOAD_FILES; i++) {
        hearth_file_close(l->files[i].file);
        hb_os_handle_close(l->files[i].handle);
    }
    struct hb_arena arena = l->arena;
    hb_arena_release(&arena);
}

/* ---- files ---- */

static struct hs_file_spec *load_spec(struct hs_load *l, int i)
{
    return i == LOAD_MODEL ? &l->spec.model : i == LOAD_TOKENIZER ? &l->spec.tokenizer : &l->spec.labels;
}

hearth_status hs_load_open_file(const struct hs_models_config *c, const struct hb_dir *dir, const char *name, int *handle,
                                hearth_error *err)
{
    if (dir)
        return hb_os_dir_open_handle(dir, name, handle, err);
    if (c->open)
        return c->open(c->open_user, name, handle, err);
    if (c->dir)
        return hb_os_dir_open_handle(c->dir, name, handle, err);
    return hb_fail(err, HEARTH_E_STATE, "%s: no directory of models is open", name);
}

static hearth_status load_open(const struct hs_models_config *c, struct hs_load *l, int i, hearth_error *err)
{
    const struct hs_file_spec *spec = load_spec(l, i);
    const hearth_file_config config = {.struct_size = sizeof config, .allocator = c->allocator,
                                       .flags = l->spec.no_mmap ? HEARTH_FILE_NO_MMAP : 0};
    struct hs_load_file *f = &l->files[i];
    HB_TRY(hs_load_open_file(c, l->spec.dir, spec->file, &f->handle, err));
    HB_TRY(hearth_file_open_fd(f->handle, spec->file, &config, &f->file, err));
    if (!hb_os_handle_stamp(f->handle, &f->stamp))
        return hb_fail(err, HEARTH_E_IO, "%s: fstat failed", spec->file);
    if (spec->size && spec->size != hearth_file_size(f->file))
        return hb_fail(err, HEARTH_E_MISMATCH, "%s: has %zu bytes; the manifest says %llu", spec->file,
                       hearth_file_size(f->file), (unsigned long long)spec->size);
    return HEARTH_OK;
}

/* Some other file of the model that may be there. */
static hearth_status load_open_beside(const struct hs_models_config *c, struct hs_load *l, int i, const char *name,
                                      hearth_error *err)
{
    load_spec(l, i)->file = name;
    hearth_status status = load_open(c, l, i, err);
    if (status == HEARTH_E_NOT_FOUND) {
        load_spec(l, i)->file = NULL;
        return HEARTH_OK;
    }
    return status;
}

static hearth_status load_open_all(const struct hs_models_config *c, struct hs_load *l, hearth_error *err)
{
    for (int i = 0; i < LOAD_FILES; i++)
        if (load_spec(l, i)->file)
            HB_TRY(load_open(c, l, i, err));
    return HEARTH_OK;
}

/* ---- the hash ---- */

static hearth_status load_hash_end(struct hs_load *l, const struct hs_file_spec *spec, struct hs_load_file *f,
                                   hearth_error *err)
{
    uint8_t digest[HS_SHA256_BYTES];
    struct hb_stamp now;
    char found[2 * HS_SHA256_BYTES + 1], wanted[2 * HS_SHA256_BYTES + 1];
    hs_sha256_end(&l->sha, digest);
    hs_sha256_init(&l->sha);
    hs_sha256_hex(digest, found);
    hs_sha256_hex(spec->sha256, wanted);
    if (!hb_os_handle_stamp(f->handle, &now) || memcmp(&now, &f->stamp, sizeof now) != 0)
        return hb_fail(err, HEARTH_E_MISMATCH, "%s: was changed while it was read", spec->file);
    if (!hs_sha256_equal(digest, spec->sha256))
        return hb_fail(err, HEARTH_E_MISMATCH, "%s: sha256 is %.16s...; the manifest says %.16s...", spec->file, found,
                       wanted);
    if (l->at == LOAD_MODEL)
        memcpy(l->hex, found, sizeof found);
    return HEARTH_OK;
}

static hearth_status load_hash(struct hs_load *l, uint64_t until_ns, bool *done, hearth_error *err)
{
    *done = false;
    for (; l->at < LOAD_FILES; l->at++) {
        const struct hs_file_spec *spec = load_spec(l, l->at);
        struct hs_load_file *f = &l->files[l->at];
        if (!f->file || !spec->hashed)
            continue;
        const size_t size = hearth_file_size(f->file);
        while (f->hashed < size) {
            size_t n = size - f->hashed < HS_HASH_SLICE ? size - f->hashed : HS_HASH_SLICE;
            hs_sha256_add(&l->sha, (const uint8_t *)hearth_file_bytes(f->file) + f->hashed, n);
            f->hashed += n;
            if (hb_os_now_ns() >= until_ns)
                return HEARTH_OK;
        }
        HB_TRY(load_hash_end(l, spec, f, err));
    }
    *done = true;
    return HEARTH_OK;
}

/* ---- model, parts, session ---- */

static hearth_allocator load_allocator(const struct hs_models_config *c)
{
    return c->memory && !c->allocator.alloc ? hearth_memory_allocator(c->memory) : c->allocator;
}

static hearth_status load_weights(const struct hs_model_spec *spec, hearth_weights *out, hearth_error *err)
{
    static const char *const names[] = {"stored", "q8_0", "bf16"};
    *out = HEARTH_WEIGHTS_STORED;
    for (size_t i = 0; i < HB_COUNT(names) && spec->weights; i++)
        if (!strcmp(spec->weights, names[i])) {
            *out = (hearth_weights)i;
            return HEARTH_OK;
        }
    return spec->weights ? hb_fail(err, HEARTH_E_RANGE, "%s: weights '%s'; stored, q8_0 and bf16 are accepted",
                                   spec->name, spec->weights)
                         : HEARTH_OK;
}

static hearth_model_info load_info(const struct hs_load *l)
{
    hearth_model_info info = {.struct_size = sizeof info};
    hearth_model_get_info(l->model, &info);
    return info;
}

static hearth_status load_model(const struct hs_models_config *c, struct hs_load *l, hearth_error *err)
{
    const hearth_file *file = l->files[LOAD_MODEL].file;
    const hearth_bytes bytes = {hearth_file_bytes(file), hearth_file_size(file)};
    hearth_model_config config = {.struct_size = sizeof config, .allocator = load_allocator(c)};
    HB_TRY(load_weights(&l->spec, &config.weights, err));
    HB_TRY(hearth_model_open(&bytes, 1, &config, &l->model, err));
    const hearth_model_info info = load_info(l);
    const bool text = info.kind == HEARTH_MODEL_GENERATIVE;
    if (l->spec.alone && text)
        l->spec.kind = HS_GENERATE;
    if ((!text && info.kind != HEARTH_MODEL_TENSOR) || (!l->spec.alone && text != (l->spec.kind == HS_GENERATE)))
        return hb_fail(err, HEARTH_E_MISMATCH, "%s: the file is of a model that %s; the manifest says %s", l->spec.name,
                       text ? "generates text" : "does not generate text", hs_model_kind_name[l->spec.kind]);
    return HEARTH_OK;
}

static hearth_status load_label_names(struct hs_load *l, hearth_error *err)
{
    size_t n = hearth_labels_count(l->labels);
    HB_TRY(HB_ARENA_NEW(&l->arena, const char *, n, &l->label_names, err));
    for (size_t i = 0; i < n; i++) {
        char text[32];
        size_t len = hb_format(text, sizeof text, "LABEL_%zu", i);
        l->label_names[i] = hearth_labels_name(l->labels, i);
        if (!l->label_names[i])
            HB_TRY(hb_arena_text(&l->arena, text, len, &l->label_names[i], err));
    }
    l->n_labels = n;
    return HEARTH_OK;
}

static hearth_status load_parts(const struct hs_models_config *c, struct hs_load *l, hearth_error *err)
{
    const hearth_model_info info = load_info(l);
    const hearth_allocator allocator = load_allocator(c);
    const bool tensor = info.kind == HEARTH_MODEL_TENSOR;
    if (l->spec.alone && tensor) {
        for (size_t i = 0; i < HB_COUNT(load_tokenizers) && info.vocab_size == 0 && !l->files[LOAD_TOKENIZER].file; i++)
            HB_TRY(load_open_beside(c, l, LOAD_TOKENIZER, load_tokenizers[i], err));
        if (!l->files[LOAD_LABELS].file)
            HB_TRY(load_open_beside(c, l, LOAD_LABELS, "config.json", err));
    }
    if (tensor && info.vocab_size == 0 && !l->files[LOAD_TOKENIZER].file)
        return hb_fail(err, HEARTH_E_NOT_FOUND, "%s: the model has no tokenizer of its own; %s", l->spec.name,
                       l->spec.alone ? "tokenizer.json or vocab.txt beside it is accepted"
                                     : "the manifest's \"tokenizer\" names its file");
    if (l->files[LOAD_TOKENIZER].file && !l->tokenizer) {
        const hearth_file *file = l->files[LOAD_TOKENIZER].file;
        const hearth_bytes bytes = {hearth_file_bytes(file), hearth_file_size(file)};
        const hearth_tokenizer_config config = {.struct_size = sizeof config, .allocator = allocator,
                                                .memory = c->memory};
        HB_TRY(hearth_tokenizer_open(&bytes, &config, &l->tokenizer, err));
    }
    if (l->files[LOAD_LABELS].file && !l->labels) {
        const hearth_file *file = l->files[LOAD_LABELS].file;
        const hearth_bytes bytes = {hearth_file_bytes(file), hearth_file_size(file)};
        HB_TRY(hearth_labels_open(&bytes, &allocator, &l->labels, err));
    }
    if (l->labels)
        HB_TRY(load_label_names(l, err));
    for (int i = 0; i < LOAD_FILES; i++) { /* mappings stay, descriptors are not needed any more */
        hb_os_handle_close(l->files[i].handle);
        l->files[i].handle = -1;
    }
    return HEARTH_OK;
}

static hearth_status load_session(const struct hs_models_config *c, struct hs_load *l, hearth_error *err)
{
    const hearth_model_info info = load_info(l);
    const struct hs_model_spec *s = &l->spec;
    hearth_session_config config = {.struct_size = sizeof config, .pool = c->pool, .level = c->level,
                                    .max_bytes = s->memory, .allocator = c->allocator, .memory = c->memory};
    if (info.kind == HEARTH_MODEL_GENERATIVE) {
        const int32_t trained = info.n_ctx_train > 0 ? info.n_ctx_train : HS_DEFAULT_CTX;
        config.n_ctx = s->context ? s->context : trained < HS_DEFAULT_CTX ? trained : HS_DEFAULT_CTX;
        config.n_seqs = s->sequences ? s->sequences : HS_DEFAULT_SEQS;
        config.n_batch = s->batch;
        /* pages are given out as requests need them: room for two whole contexts, unless it is said */
        config.n_kv_tokens = s->kv_tokens ? s->kv_tokens : config.n_ctx * (config.n_seqs < 2 ? 1 : 2);
        config.kv_type_k = config.kv_type_v = s->kv_type;
    }
    HB_TRY(hearth_session_open(l->model, &config, &l->session, err));
    hearth_session_info got = {.struct_size = sizeof got};
    hearth_session_get_info(l->session, &got);
    l->session_bytes = got.planned_bytes;
    if (s->weights && info.kind == HEARTH_MODEL_TENSOR) /* they were laid out anew */
        hearth_file_forget(l->files[LOAD_MODEL].file);
    return HEARTH_OK;
}

/* A session that passes its own limit would do so in an empty machine too. */
bool hs_load_wants_room(const struct hs_models_config *c, const struct hs_load *l, hearth_status status)
{
    hearth_memory_info info = {.struct_size = sizeof info};
    if (l->phase < PHASE_MODEL || status != HEARTH_E_LIMIT || !c->memory || l->phase != PHASE_SESSION)
        return l->phase >= PHASE_MODEL && status == HEARTH_E_MEMORY;
    hearth_memory_get_info(c->memory, &info);
    return !l->spec.memory || info.used_bytes + l->spec.memory > info.max_bytes;
}

hearth_status hs_load_step(const struct hs_models_config *c, struct hs_load *l, uint64_t until_ns, bool *done,
                           hearth_error *err)
{
    const uint64_t start = hb_os_now_ns();
    const uint8_t phase = l->phase;
    bool over = true;
    hearth_status status = HEARTH_E_INTERNAL;
    switch (phase) {
    case PHASE_OPEN:
        status = load_open_all(c, l, err);
        break;
    case PHASE_HASH:
        status = load_hash(l, until_ns, &over, err);
        break;
    case PHASE_MODEL:
        status = load_model(c, l, err);
        break;
    case PHASE_PARTS:
        status = load_parts(c, l, err);
        break;
    default:
        status = load_session(c, l, err);
        break;
    }
    const uint64_t took = hb_os_now_ns() - start;
    l->ns += took;
    l->hash_ns += phase == PHASE_HASH ? took : 0;
    *done = status == HEARTH_OK && phase == PHASE_SESSION;
    l->phase = (uint8_t)(phase + (status == HEARTH_OK && over && phase < PHASE_SESSION));
    return status;
}

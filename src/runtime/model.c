/* Opening models: find the loader by content, give it an arena, keep what it made. */
#include "runtime/hr_model.h"
#include "base/os/hb_os.h"
#include <string.h>

static const struct hr_loader *const model_loaders[] = {
#if HEARTH_WITH_GGUF
    &hr_loader_gguf,
#endif
#if HEARTH_WITH_ONNX
    &hr_loader_onnx,
#endif
    NULL,
};

hearth_status hr_hooks(const hearth_allocator *allocator, struct hb_alloc *hooks,
                       hearth_error *err)
{
    if (allocator && allocator->alloc && allocator->free) {
        *hooks = (struct hb_alloc){allocator->alloc, allocator->free, allocator->user};
        return HEARTH_OK;
    }
    if (allocator && (allocator->alloc || allocator->free))
        return hb_fail(err, HEARTH_E_ARGUMENT, "allocator: alloc and free come together");
    if (!hb_os_heap())
        return hb_fail(err, HEARTH_E_ARGUMENT,
                       "allocator: this build has no heap; give memory or hooks");
    *hooks = *hb_os_heap();
    return HEARTH_OK;
}

static hearth_status model_find_loader(const hearth_bytes *files, uint32_t flags,
                                       const struct hr_loader **loader, hearth_error *err)
{
    for (const struct hr_loader *const *l = model_loaders; *l; l++) {
        if (!(*l)->probe(files[0].data, files[0].size))
            continue;
        if (flags & (*l)->off_flag)
            return hb_fail(err, HEARTH_E_UNSUPPORTED, "model: a %s file, and %s is switched off",
                           (*l)->name, (*l)->name);
        *loader = *l;
        return HEARTH_OK;
    }
    const uint8_t *p = files[0].data;
    uint32_t head = 0;
    for (size_t i = 0; i < 4 && i < files[0].size; i++)
        head = head << 8 | p[i];
    return hb_fail(err, HEARTH_E_FORMAT,
                   "model: unknown format (begins with 0x%x); this build reads%s%s%s", head,
                   HEARTH_WITH_GGUF ? " GGUF" : "", HEARTH_WITH_ONNX ? " ONNX" : "",
                   HEARTH_WITH_GGUF || HEARTH_WITH_ONNX ? "" : " none");
}

/* Callers built against an older header have fewer fields; the rest is zero. */
static hearth_model_config model_config(const hearth_model_config *given)
{
    hearth_model_config c = {0};
    if (given)
        memcpy(&c, given, given->struct_size < sizeof c ? given->struct_size : sizeof c);
    c.struct_size = sizeof c;
    return c;
}

/* The best level there is: all of them give the same classes, so no session's choice matters. */
static void model_vectors(struct hv_tokenizer *tokenizer)
{
    struct hk_table kernels;
    hk_select(&kernels, hb_os_cpu_features(), HK_LEVEL_COUNT);
    hv_classify_by(tokenizer, kernels.classify);
}

hearth_status hearth_model_open(const hearth_bytes *files, size_t n_files,
                                const hearth_model_config *given, hearth_model **model,
                                hearth_error *err)
{
    const hearth_model_config c = model_config(given), *config = &c;
    const struct hr_loader *loader = NULL;
    struct hb_alloc hooks = {0};
    struct hb_arena arena;
    hearth_model *m = NULL;
    if (!files || n_files == 0 || !files[0].data || !model)
        return hb_fail(err, HEARTH_E_ARGUMENT, "model: no bytes were given");
    HB_TRY(model_find_loader(files, config->flags, &loader, err));
    if (config->mem) {
        hb_arena_init_fixed(&arena, config->mem, config->mem_bytes);
    } else {
        HB_TRY(hr_hooks(&config->allocator, &hooks, err));
        hb_arena_init_growing(&arena, &hooks);
    }
    hearth_status status = HB_ARENA_NEW(&arena, struct hearth_model, 1, &m, err);
    if (status == HEARTH_OK) {
        m->arena = arena;
        m->hooks = hooks;
        m->loader = loader;
        m->info.format = loader->name;
        m->info.architecture = m->info.name = m->info.file_type = "";
        status = loader->open(m, files, n_files, config, err);
        arena = m->arena;
    }
    if (status != HEARTH_OK) {
        if (m && loader->close)
            loader->close(m);
        hb_arena_release(&arena);
        return status;
    }
    m->info.model_bytes = hb_arena_used(&m->arena);
    if (m->tokenizer && (config->flags & HEARTH_MODEL_NO_SIMD_TOKENIZER))
        hv_be_plain(m->tokenizer);
    else if (m->tokenizer)
        model_vectors(m->tokenizer);
    *model = m;
    return HEARTH_OK;
}

hearth_status hearth_model_need(const hearth_bytes *files, size_t n_files,
                                const hearth_model_config *config, size_t *bytes,
                                hearth_error *err)
{
    hearth_model_config c = model_config(config);
    hearth_model *m = NULL;
    c.mem = NULL;
    c.mem_bytes = 0;
    HB_TRY(hearth_model_open(files, n_files, &c, &m, err));
    /* Chunk borders cost up to a cache line each; one block has none of them but may start
     * unaligned. */
    *bytes = hb_arena_high(&m->arena) + 4096;
    hearth_model_close(m);
    return HEARTH_OK;
}

void hearth_model_close(hearth_model *model)
{
    if (!model)
        return;
    if (model->loader->close)
        model->loader->close(model);
    struct hb_arena arena = model->arena; /* the model lives inside it */
    hb_arena_release(&arena);
}

void hearth_model_get_info(const hearth_model *model, hearth_model_info *info)
{
    size_t n = info->struct_size < sizeof *info ? info->struct_size : sizeof *info;
    uint32_t size = info->struct_size;
    memcpy(info, &model->info, n);
    info->struct_size = size;
}

size_t hearth_model_tensor_count(const hearth_model *model)
{
    return model->loader->tensor_count(model);
}

hearth_status hearth_model_tensor(const hearth_model *model, size_t index,
                                  hearth_tensor_info *info, hearth_error *err)
{
    size_t n = model->loader->tensor_count(model);
    if (index >= n)
        return hb_fail(err, HEARTH_E_RANGE, "tensor %zu: the model has %zu", index, n);
    hearth_tensor_info full = {.struct_size = info->struct_size};
    model->loader->tensor(model, index, &full);
    memcpy(info, &full, info->struct_size < sizeof full ? info->struct_size : sizeof full);
    return HEARTH_OK;
}

size_t hearth_model_meta_count(const hearth_model *model)
{
    return model->loader->meta_count(model);
}

hearth_status hearth_model_meta(const hearth_model *model, size_t index, const char **key,
                                char *text, size_t text_size, hearth_error *err)
{
    size_t n = model->loader->meta_count(model);
    if (index >= n)
        return hb_fail(err, HEARTH_E_RANGE, "metadata %zu: the model has %zu", index, n);
    model->loader->meta(model, index, key, text, text_size);
    return HEARTH_OK;
}

/* ---- the build ---- */

#define MODEL_TEXT(x)  MODEL_TEXT2(x)
#define MODEL_TEXT2(x) #x

const char *hearth_version(void)
{
    return MODEL_TEXT(HEARTH_VERSION_MAJOR) "." MODEL_TEXT(HEARTH_VERSION_MINOR) "." MODEL_TEXT(
        HEARTH_VERSION_PATCH);
}

const char *hearth_level_name(size_t index)
{
    uint32_t features = hb_os_cpu_features();
    for (int i = 0; i < HK_LEVEL_COUNT; i++)
        if (hk_level_runs((enum hk_level)i, features) && index-- == 0)
            return hk_level_name((enum hk_level)i);
    return NULL;
}

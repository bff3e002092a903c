/* ONNX files as models: loading, importing, and what a caller may ask about them. */
#include "onnx/hx_import.h"
#include "runtime/hr_model.h"
#include "base/os/hb_os.h"
#include "graph/ht_plan.h"
#include <string.h>

/* A file of external data, mapped until the model is closed. */
struct load_onnx_file {
    struct load_onnx_file *next;
    const char *location;
    struct hb_file file;
};

struct load_onnx {
    struct hx_model model;
    struct hx_program program;
    struct hb_arena *arena;
    struct hb_dir dir;
    struct load_onnx_file *files;
};

/* Many tensors lie in one file: it is opened once. */
static hearth_status load_onnx_external(void *user, const char *location, const void **bytes,
                                        size_t *size, hearth_error *err)
{
    struct load_onnx *o = user;
    struct load_onnx_file *f = o->files;
    while (f && strcmp(f->location, location) != 0)
        f = f->next;
    if (!f) {
        HB_TRY(HB_ARENA_NEW(o->arena, struct load_onnx_file, 1, &f, err));
        HB_TRY(hb_os_dir_file_open(&o->dir, location, HEARTH_WITH_MMAP ? 0 : HB_MAP_NO_MMAP, 0,
                                   &f->file, err));
        f->location = location;
        f->next = o->files;
        o->files = f;
    }
    *bytes = f->file.bytes;
    *size = f->file.size;
    return HEARTH_OK;
}

static hearth_status load_onnx_read(struct hearth_model *m, struct load_onnx *o,
                                    const hearth_bytes *file, const char *external_dir,
                                    hearth_error *err)
{
    struct hx_external external = {load_onnx_external, o};
    o->arena = &m->arena;
    if (!external_dir)
        return hx_load(file->data, file->size, &m->arena, NULL, &o->model, err);
    HB_TRY(hb_os_dir_open(external_dir, &o->dir, err));
    hearth_status status = hx_load(file->data, file->size, &m->arena, &external, &o->model, err);
    hb_os_dir_close(&o->dir);
    return status;
}

static void load_onnx_close(struct hearth_model *m)
{
    struct load_onnx *o = m->file;
    for (struct load_onnx_file *f = o ? o->files : NULL; f; f = f->next)
        hb_os_file_close(&f->file);
}

static hearth_status load_onnx_io(struct hearth_model *m, const struct hx_info *infos, uint32_t n,
                                  const hearth_io_info **out, hearth_error *err)
{
    hearth_io_info *list;
    HB_TRY(HB_ARENA_NEW(&m->arena, hearth_io_info, n, &list, err));
    for (uint32_t i = 0; i < n; i++) {
        const struct hx_info *from = &infos[i];
        list[i].name = from->name;
        list[i].type = from->kind == HX_KIND_TENSOR ? (hearth_dtype)from->type : HEARTH_DTYPE_NONE;
        list[i].rank = from->kind == HX_KIND_TENSOR && from->has_shape ? from->rank : -1;
        for (int d = 0; d < HX_MAX_RANK; d++) {
            bool has = d < list[i].rank;
            list[i].dim[d] = has ? from->dim[d].value : -1;
            list[i].symbol[d] = has && from->dim[d].value < 0 && from->dim[d].name
                                    ? from->dim[d].name : "";
        }
    }
    *out = list;
    return HEARTH_OK;
}

static void load_onnx_facts(struct hearth_model *m, const struct load_onnx *o)
{
    m->info.kind = HEARTH_MODEL_TENSOR;
    m->info.architecture = "graph";
    m->info.name = o->model.graph.name;
    m->info.weight_bytes = o->model.weight_bytes;
    m->info.file_type = "";
    uint64_t most = 0;
    for (uint32_t i = 0; i < o->model.graph.n_initializers; i++) {
        const struct hx_tensor *t = &o->model.graph.initializers[i];
        size_t elem = hx_type_size(t->type);
        if (t->size_bytes > most) {
            most = t->size_bytes;
            m->info.file_type = hx_type_name(t->type);
        }
        m->info.n_params += elem ? t->size_bytes / elem : 0;
    }
}

static uint8_t load_onnx_form(hearth_weights weights)
{
    return weights == HEARTH_WEIGHTS_Q8_0 ? HT_PACK_Q8_0 : weights == HEARTH_WEIGHTS_BF16 ? HT_PACK_BF16 : HT_PACK_F32;
}

static hearth_status load_onnx_open(struct hearth_model *m, const hearth_bytes *files,
                                    size_t n_files, const hearth_model_config *config,
                                    hearth_error *err)
{
    struct load_onnx *o;
    if (n_files != 1)
        return hb_fail(err, HEARTH_E_ARGUMENT, "model: %zu files; an ONNX model has one", n_files);
    HB_TRY(HB_ARENA_NEW(&m->arena, struct load_onnx, 1, &o, err));
    m->file = o;
    HB_TRY(load_onnx_read(m, o, &files[0], config->external_dir, err));
    load_onnx_facts(m, o);
    if (config->flags & HEARTH_MODEL_VOCAB_ONLY) {
        m->info.kind = HEARTH_MODEL_VOCAB;
        return HEARTH_OK;
    }
    const struct hx_import_config import = {.no_rewrites = config->flags & HEARTH_MODEL_NO_FUSION,
                                            .without = config->no_rewrites,
                                            .weights = load_onnx_form(config->weights)};
    if (config->weights > HEARTH_WEIGHTS_BF16)
        return hb_fail(err, HEARTH_E_ARGUMENT, "model: weights %d; 0 to %d are known", (int)config->weights,
                       (int)HEARTH_WEIGHTS_BF16);
    HB_TRY(hx_import(&o->model, &m->arena, &import, &o->program, err));
    m->graph = &o->program.graph;
    HB_TRY(load_onnx_io(m, o->program.inputs, m->graph->n_inputs, &m->inputs, err));
    return load_onnx_io(m, o->program.outputs, m->graph->n_outputs, &m->outputs, err);
}

static size_t load_onnx_tensor_count(const struct hearth_model *m)
{
    return ((const struct load_onnx *)m->file)->model.graph.n_initializers;
}

static void load_onnx_tensor(const struct hearth_model *m, size_t i, hearth_tensor_info *info)
{
    const struct hx_tensor *t = &((const struct load_onnx *)m->file)->model.graph.initializers[i];
    info->name = t->name;
    info->type = hx_type_name(t->type);
    info->rank = (uint32_t)t->rank;
    info->bytes = t->size_bytes;
    for (int d = 0; d < t->rank; d++)
        info->dim[d] = t->dim[d];
}

/* Producer, IR version and opsets first, then the file's own pairs. */
static size_t load_onnx_meta_count(const struct hearth_model *m)
{
    const struct hx_model *x = &((const struct load_onnx *)m->file)->model;
    return 2 + x->n_opsets + x->n_metadata;
}

static void load_onnx_meta(const struct hearth_model *m, size_t i, const char **key, char *text,
                           size_t size)
{
    const struct hx_model *x = &((const struct load_onnx *)m->file)->model;
    if (i == 0) {
        *key = "producer";
        hb_format(text, size, "%s %s", x->producer_name, x->producer_version);
    } else if (i == 1) {
        *key = "ir_version";
        hb_format(text, size, "%lld", (long long)x->ir_version);
    } else if (i - 2 < x->n_opsets) {
        *key = "opset";
        hb_format(text, size, "%s %lld", x->opsets[i - 2].domain, (long long)x->opsets[i - 2].version);
    } else {
        *key = x->metadata[i - 2 - x->n_opsets].key;
        hb_format(text, size, "%s", x->metadata[i - 2 - x->n_opsets].value);
    }
}

const struct hr_loader hr_loader_onnx = {
    .name = "onnx",
    .off_flag = HEARTH_MODEL_NO_ONNX,
    .probe = hx_looks_like,
    .open = load_onnx_open,
    .close = load_onnx_close,
    .tensor_count = load_onnx_tensor_count,
    .tensor = load_onnx_tensor,
    .meta_count = load_onnx_meta_count,
    .meta = load_onnx_meta,
};

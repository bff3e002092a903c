/* A GGUF file or a split set: headers, then keys of every part, then their agreement, then tensors. */
#include "gguf/hg_read.h"
#include <string.h>

bool hg_is_gguf(const void *bytes, size_t size)
{
    return size >= 4 && memcmp(bytes, "GGUF", 4) == 0;
}

static hearth_status open_version(const struct hg_part *p, hearth_error *err)
{
    if (p->version == 2 || p->version == 3)
        return HEARTH_OK;
    if (p->version != 0 && (p->version & 0xFFFF) == 0)
        return hb_fail(err, HEARTH_E_UNSUPPORTED,
                       "%s: version reads as 0x%x, so the file is big-endian; little-endian files of "
                       "versions 2 and 3 are known", p->where, p->version);
    return hb_fail(err, HEARTH_E_UNSUPPORTED, "%s: version %u; 2 and 3 are known", p->where,
                   p->version);
}

static hearth_status open_header(struct hg_part *p, hearth_error *err)
{
    uint64_t n_tensors, n_meta;
    const uint8_t *magic;
    if (!hb_take_bytes(&p->in, 4, &magic) || !hb_take_u32(&p->in, &p->version))
        goto truncated;
    if (!hg_is_gguf(magic, 4))
        return hb_fail(err, HEARTH_E_FORMAT, "%s: the file begins with \"%.*s\"; \"GGUF\" is expected",
                       p->where, 4, (const char *)magic);
    HB_TRY(open_version(p, err));
    if (!hb_take_u64(&p->in, &n_tensors) || !hb_take_u64(&p->in, &n_meta))
        goto truncated;
    if (n_tensors > HG_MAX_TENSORS)
        return hb_fail(err, HEARTH_E_LIMIT, "%s: %llu tensors; at most %d", p->where,
                       (unsigned long long)n_tensors, HG_MAX_TENSORS);
    if (n_meta > HG_MAX_META)
        return hb_fail(err, HEARTH_E_LIMIT, "%s: %llu keys; at most %d", p->where,
                       (unsigned long long)n_meta, HG_MAX_META);
    p->n_tensors = (size_t)n_tensors;
    p->n_meta = (size_t)n_meta;
    return HEARTH_OK;
truncated:
    return hb_fail(err, HEARTH_E_TRUNCATED, "%s: the file has %zu bytes and ends inside the header",
                   p->where, p->in.size);
}

static hearth_status open_alignment(struct hg_part *p, hearth_error *err)
{
    static const char key[] = "general.alignment";
    const struct hg_meta *m = hg_metas_find(&p->meta, key, sizeof key - 1);
    p->alignment = 32;
    if (!m)
        return HEARTH_OK;
    if (m->array || m->type != HG_U32)
        return hb_fail(err, HEARTH_E_FORMAT, "%s: %s is %s%s; u32 is required", p->where, key,
                       m->array ? "an array of " : "", hg_value_name(m->type));
    uint32_t v = hb_load_u32le(m->data);
    if (v < HG_MIN_ALIGNMENT || v > HG_MAX_ALIGNMENT || (v & (v - 1)))
        return hb_fail(err, HEARTH_E_RANGE, "%s: %s is %u; a power of two from %d to %d is required",
                       p->where, key, v, HG_MIN_ALIGNMENT, HG_MAX_ALIGNMENT);
    p->alignment = v;
    return HEARTH_OK;
}

/* An integer key of one part, or `fallback`. */
static hearth_status open_split_key(const struct hg_part *p, const char *key, int64_t fallback,
                                    int64_t *out, hearth_error *err)
{
    const struct hg_meta *m = hg_metas_find(&p->meta, key, strlen(key));
    *out = fallback;
    if (m && (m->array || m->type == HG_BOOL || !hg_meta_at_int(m, 0, out)))
        return hb_fail(err, HEARTH_E_FORMAT, "%s: %s is no whole number", p->where, key);
    return HEARTH_OK;
}

/* A key that stands in two parts must be the same, but for the part's own number. */
static hearth_status open_same_meta(const struct hg_part *first, const struct hg_part *p,
                                    hearth_error *err)
{
    for (size_t i = 0; i < p->meta.n; i++) {
        const struct hg_meta *m = &p->meta.at[i];
        const struct hg_meta *f = hg_metas_find(&first->meta, m->key, m->key_len);
        if (!f || strcmp(m->key, "split.no") == 0)
            continue;
        if (f->type != m->type || f->array != m->array || f->count != m->count ||
            f->bytes != m->bytes || memcmp(f->data, m->data, m->bytes) != 0)
            return hb_fail(err, HEARTH_E_MISMATCH,
                           "%s: key %s differs from the first part's: not of one set", p->where,
                           m->key);
    }
    return HEARTH_OK;
}

static hearth_status open_split(const struct hg_part *parts, size_t n_files, size_t n_tensors,
                                hearth_error *err)
{
    int64_t no, count, total;
    for (size_t i = 0; i < n_files; i++) {
        const struct hg_part *p = &parts[i];
        HB_TRY(open_split_key(p, "split.count", n_files == 1 ? 1 : 0, &count, err));
        HB_TRY(open_split_key(p, "split.no", n_files == 1 ? 0 : -1, &no, err));
        if (n_files == 1 && count == 0) /* written by tools that do not split */
            count = 1;
        if (count < 0 || (uint64_t)count != n_files)
            return hb_fail(err, HEARTH_E_MISMATCH,
                           "%s: split.count is %lld and %zu files were given; all parts are needed",
                           p->where, (long long)count, n_files);
        if (no < 0 || (uint64_t)no != i)
            return hb_fail(err, HEARTH_E_MISMATCH,
                           "%s: split.no is %lld, %zu was expected; parts are given once, in order",
                           p->where, (long long)no, i);
        HB_TRY(open_same_meta(&parts[0], p, err));
    }
    HB_TRY(open_split_key(&parts[0], "split.tensors.count", (int64_t)n_tensors, &total, err));
    if (total != (int64_t)n_tensors && !(n_files == 1 && total == 0))
        return hb_fail(err, HEARTH_E_MISMATCH, "gguf: split.tensors.count is %lld, the files have %zu",
                       (long long)total, n_tensors);
    return HEARTH_OK;
}

static bool open_name_less(const void *ctx, uint32_t a, uint32_t b)
{
    const struct hg_tensor *t = ctx;
    return strcmp(t[a].name, t[b].name) < 0;
}

static hearth_status open_order(struct hg_file *f, struct hb_arena *arena, hearth_error *err)
{
    HB_TRY(HB_ARENA_NEW(arena, uint32_t, f->n_tensors, &f->order, err));
    for (size_t i = 0; i < f->n_tensors; i++)
        f->order[i] = (uint32_t)i;
    hg_sort(f->order, f->n_tensors, open_name_less, f->tensors);
    for (size_t i = 1; i < f->n_tensors; i++)
        if (!open_name_less(f->tensors, f->order[i - 1], f->order[i]))
            return hb_fail(err, HEARTH_E_FORMAT, "gguf: tensor %s is given twice",
                           f->tensors[f->order[i]].name);
    return HEARTH_OK;
}

static hearth_status open_part(const hearth_bytes *file, size_t index, size_t n_files,
                               struct hb_arena *arena, struct hg_part *p, hearth_error *err)
{
    p->in = hb_reader_make(file->data, file->size);
    p->index = (uint32_t)index;
    if (n_files == 1)
        hb_format(p->where, sizeof p->where, "gguf");
    else
        hb_format(p->where, sizeof p->where, "gguf part %zu", index + 1);
    if (!file->data && file->size)
        return hb_fail(err, HEARTH_E_ARGUMENT, "%s: no data", p->where);
    HB_TRY(open_header(p, err));
    HB_TRY(hg_read_meta(p, arena, err));
    return open_alignment(p, err);
}

hearth_status hg_open(const hearth_bytes *files, size_t n_files, struct hb_arena *arena,
                      struct hg_file *out, hearth_error *err)
{
    struct hg_part *parts;
    struct hg_file f = {.n_files = n_files};
    if (n_files < 1 || n_files > HG_MAX_FILES)
        return hb_fail(err, HEARTH_E_ARGUMENT, "gguf: %zu files; 1 to %d are accepted", n_files,
                       HG_MAX_FILES);
    HB_TRY(HB_ARENA_NEW(arena, struct hg_part, n_files, &parts, err));
    for (size_t i = 0; i < n_files; i++) {
        HB_TRY(open_part(&files[i], i, n_files, arena, &parts[i], err));
        f.n_tensors += parts[i].n_tensors;
    }
    if (f.n_tensors > HG_MAX_TENSORS)
        return hb_fail(err, HEARTH_E_LIMIT, "gguf: %zu tensors over all parts; at most %d",
                       f.n_tensors, HG_MAX_TENSORS);
    HB_TRY(open_split(parts, n_files, f.n_tensors, err));
    f.version = parts[0].version;
    f.meta = parts[0].meta;
    HB_TRY(HB_ARENA_NEW(arena, struct hg_tensor, f.n_tensors, &f.tensors, err));
    for (size_t i = 0, at = 0; i < n_files; at += parts[i++].n_tensors)
        HB_TRY(hg_read_tensors(&parts[i], arena, f.tensors + at, err));
    HB_TRY(open_order(&f, arena, err));
    *out = f;
    return HEARTH_OK;
}

const struct hg_tensor *hg_tensor_find(const struct hg_file *file, const char *name)
{
    size_t low = 0, high = file->n_tensors;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct hg_tensor *t = &file->tensors[file->order[mid]];
        int c = strcmp(t->name, name);
        if (c == 0)
            return t;
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

#include "tools/quantize/imatrix.h"
#include <string.h>

#define IMATRIX_MOST 65536u /* entries */

/* Sums over counts; a count of 0 leaves the sums, which are 0 then. Refuses what is no number. */
static hearth_status imatrix_add(struct hq_imatrix *m, struct hb_arena *arena, const char *name, size_t name_len,
                                 const uint8_t *sums, size_t n, const float *counts, size_t n_counts,
                                 hearth_error *err)
{
    struct hq_imatrix_entry *e = &m->entries[m->n];
    char *copy;
    float *mean;
    HB_TRY(HB_ARENA_NEW(arena, char, name_len + 1, &copy, err));
    HB_TRY(HB_ARENA_NEW(arena, float, n, &mean, err));
    memcpy(copy, name, name_len);
    memcpy(mean, sums, n * sizeof *mean);
    for (size_t i = 0; i < n; i++) {
        float count = counts[i / (n / n_counts)];
        mean[i] = count > 0 ? mean[i] / count : mean[i];
        if (!(mean[i] >= 0 && mean[i] < 3e38f))
            return hb_fail(err, HEARTH_E_FORMAT, "importance matrix: %s: value %zu is no finite number above 0", copy, i);
    }
    *e = (struct hq_imatrix_entry){copy, mean, n};
    m->n++;
    return HEARTH_OK;
}

static hearth_status imatrix_read_gguf(const void *bytes, size_t size, struct hb_arena *arena, struct hq_imatrix *out,
                                       hearth_error *err)
{
    static const char sums[] = ".in_sum2", counts[] = ".counts";
    struct hg_file file;
    const hearth_bytes part = {bytes, size};
    HB_TRY(hg_open(&part, 1, arena, &file, err));
    HB_TRY(HB_ARENA_NEW(arena, struct hq_imatrix_entry, file.n_tensors, &out->entries, err));
    for (size_t i = 0; i < file.n_tensors; i++) {
        const struct hg_tensor *t = &file.tensors[i];
        size_t len = strlen(t->name);
        if (len < sizeof sums || strcmp(t->name + len + 1 - sizeof sums, sums) != 0)
            continue;
        char name[HG_MAX_NAME + sizeof counts];
        len -= sizeof sums - 1;
        memcpy(name, t->name, len);
        memcpy(name + len, counts, sizeof counts);
        const struct hg_tensor *c = hg_tensor_find(&file, name);
        if (t->type != HK_F32 || !c || c->type != HK_F32)
            return hb_fail(err, HEARTH_E_FORMAT, "importance matrix: %s: f32 sums and counts are accepted", t->name);
        size_t n = t->bytes / sizeof(float), n_counts = c->bytes / sizeof(float);
        float calls[HG_MAX_EXPERTS];
        if (n_counts > HG_MAX_EXPERTS || n % n_counts != 0)
            return hb_fail(err, HEARTH_E_FORMAT, "importance matrix: %s: %zu counts for %zu sums", t->name, n_counts, n);
        memcpy(calls, c->data, c->bytes);
        HB_TRY(imatrix_add(out, arena, t->name, len, t->data, n, calls, n_counts, err));
    }
    return HEARTH_OK;
}

/* A little-endian i32 that is not negative. */
static bool imatrix_take(const uint8_t **at, const uint8_t *end, uint32_t *value)
{
    if (end - *at < 4)
        return false;
    *value = (uint32_t)(*at)[0] | (uint32_t)(*at)[1] << 8 | (uint32_t)(*at)[2] << 16 | (uint32_t)(*at)[3] << 24;
    *at += 4;
    return *value <= INT32_MAX;
}

static hearth_status imatrix_read_legacy(const uint8_t *at, size_t size, struct hb_arena *arena, struct hq_imatrix *out,
                                         hearth_error *err)
{
    const uint8_t *start = at, *end = at + size;
    uint32_t n;
    if (!imatrix_take(&at, end, &n) || n == 0 || n > IMATRIX_MOST)
        return hb_fail(err, HEARTH_E_FORMAT, "importance matrix: neither GGUF nor the legacy form with 1 to %u entries",
                       IMATRIX_MOST);
    HB_TRY(HB_ARENA_NEW(arena, struct hq_imatrix_entry, n, &out->entries, err));
    for (uint32_t i = 0; i < n; i++) {
        uint32_t len, calls, count;
        const char *name;
        if (!imatrix_take(&at, end, &len) || len == 0 || len > HG_MAX_NAME || (size_t)(end - at) < len)
            return hb_fail(err, HEARTH_E_FORMAT, "importance matrix: entry %u at byte %zu has no name", i,
                           (size_t)(at - start));
        name = (const char *)at;
        at += len;
        if (!imatrix_take(&at, end, &calls) || !imatrix_take(&at, end, &count) || count == 0 ||
            (size_t)(end - at) / sizeof(float) < count)
            return hb_fail(err, HEARTH_E_TRUNCATED, "importance matrix: entry %u (%.*s) ends past the file", i, (int)len,
                           name);
        const float call = (float)calls;
        HB_TRY(imatrix_add(out, arena, name, len, at, count, &call, 1, err));
        at += (size_t)count * sizeof(float);
    }
    return HEARTH_OK;
}

hearth_status hq_imatrix_read(const void *bytes, size_t size, struct hb_arena *arena, struct hq_imatrix *out,
                              hearth_error *err)
{
    *out = (struct hq_imatrix){0};
    return hg_is_gguf(bytes, size) ? imatrix_read_gguf(bytes, size, arena, out, err)
                                   : imatrix_read_legacy(bytes, size, arena, out, err);
}

hearth_status hq_imatrix_find(const struct hq_imatrix *m, const char *name, size_t n_inputs, size_t n_matrices,
                              const float **mean, size_t *per_matrix, hearth_error *err)
{
    *mean = NULL;
    *per_matrix = 0;
    for (size_t i = 0; m && i < m->n; i++) {
        const struct hq_imatrix_entry *e = &m->entries[i];
        if (strcmp(e->name, name) != 0)
            continue;
        if (e->n != n_inputs && e->n != n_inputs * n_matrices)
            return hb_fail(err, HEARTH_E_MISMATCH, "importance matrix: %s has %zu values; %zu inputs of %zu matrices ask "
                           "for %zu or %zu", name, e->n, n_inputs, n_matrices, n_inputs, n_inputs * n_matrices);
        *mean = e->mean;
        *per_matrix = e->n == n_inputs ? 0 : n_inputs;
        return HEARTH_OK;
    }
    return HEARTH_OK;
}

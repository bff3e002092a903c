/* Tensor records, and where their data lie. */
#include "gguf/hg_read.h"
#include "base/hb_check.h"
#include <string.h>

/* The shortest record: length, one byte of name, rank, one dimension, type, offset. */
#define TENSORS_MIN_BYTES (8 + 1 + 4 + 8 + 4 + 8)

static hearth_status tensors_name(struct hg_part *p, struct hb_arena *arena, struct hg_tensor *t,
                                  hearth_error *err)
{
    struct hg_text name;
    size_t at = p->in.pos;
    HB_TRY(hg_read_text(p, "a tensor name", HG_MAX_NAME, &name, err));
    if (!hg_name_ok(name))
        return hb_fail(err, HEARTH_E_FORMAT,
                       "%s: the tensor name at byte %zu is \"%.*s\"; names are 1 to %d printable "
                       "ASCII letters", p->where, at, (int)name.len, name.bytes, HG_MAX_NAME);
    return hb_arena_text(arena, name.bytes, name.len, &t->name, err);
}

static hearth_status tensors_shape(struct hg_part *p, struct hg_tensor *t, hearth_error *err)
{
    uint32_t rank;
    int64_t elements = 1;
    if (!hb_take_u32(&p->in, &rank))
        goto truncated;
    if (rank < 1 || rank > HG_MAX_RANK)
        return hb_fail(err, HEARTH_E_FORMAT, "%s: tensor %s has %u dimensions; 1 to %d are allowed",
                       p->where, t->name, rank, HG_MAX_RANK);
    t->rank = (uint8_t)rank;
    for (uint32_t i = 0; i < rank; i++) {
        uint64_t dim;
        if (!hb_take_u64(&p->in, &dim))
            goto truncated;
        if (dim < 1 || dim > HG_MAX_DIM)
            return hb_fail(err, HEARTH_E_LIMIT,
                           "%s: tensor %s: dimension %u is %lld; 1 to %d are allowed", p->where,
                           t->name, i, (long long)dim, HG_MAX_DIM);
        t->dim[rank - 1 - i] = (int64_t)dim;
        if (!hb_mul_dim(elements, (int64_t)dim, &elements) || elements > HG_MAX_ELEMENTS)
            return hb_fail(err, HEARTH_E_LIMIT, "%s: tensor %s has more than %lld elements",
                           p->where, t->name, (long long)HG_MAX_ELEMENTS);
    }
    return HEARTH_OK;
truncated:
    return hb_fail(err, HEARTH_E_TRUNCATED, "%s: the file ends in the shape of tensor %s", p->where,
                   t->name);
}

static hearth_status tensors_bytes(struct hg_part *p, struct hg_tensor *t, hearth_error *err)
{
    const struct hk_qtype_info *info = &hk_qtype_info[t->type];
    int64_t row = t->dim[t->rank - 1];
    size_t bytes;
    if (row % info->block_elements)
        return hb_fail(err, HEARTH_E_FORMAT,
                       "%s: tensor %s: rows of %lld elements; type %s needs a multiple of %d",
                       p->where, t->name, (long long)row, info->name, (int)info->block_elements);
    bytes = (size_t)(row / info->block_elements); /* < 2^31 */
    bool fits = hb_mul_size(bytes, info->block_bytes, &bytes);
    for (int i = 0; i < t->rank - 1 && fits; i++)
        fits = hb_mul_size(bytes, (size_t)t->dim[i], &bytes);
    if (!fits)
        return hb_fail(err, HEARTH_E_LIMIT, "%s: tensor %s is larger than memory can be", p->where,
                       t->name);
    t->bytes = bytes;
    return HEARTH_OK;
}

/* One record; the offset is kept for when the data section is known. */
static hearth_status tensors_record(struct hg_part *p, struct hb_arena *arena, struct hg_tensor *t,
                                    uint64_t *offset, hearth_error *err)
{
    uint32_t number;
    enum hk_qtype type = HK_F32;
    HB_TRY(tensors_name(p, arena, t, err));
    HB_TRY(tensors_shape(p, t, err));
    if (!hb_take_u32(&p->in, &number) || !hb_take_u64(&p->in, offset))
        return hb_fail(err, HEARTH_E_TRUNCATED, "%s: the file ends in the record of tensor %s",
                       p->where, t->name);
    HB_TRY(hg_tensor_type(p->where, t->name, number, &type, err));
    t->type = (uint8_t)type;
    t->part = p->index;
    return tensors_bytes(p, t, err);
}

static hearth_status tensors_place(struct hg_part *p, struct hg_tensor *t, uint64_t offset,
                                   hearth_error *err)
{
    if (offset % p->alignment)
        return hb_fail(err, HEARTH_E_FORMAT,
                       "%s: tensor %s: offset %llu is no multiple of the alignment %zu", p->where,
                       t->name, (unsigned long long)offset, p->alignment);
    size_t room = p->in.size > p->data_start ? p->in.size - p->data_start : 0;
    if (offset > room || t->bytes > room - (size_t)offset)
        return hb_fail(err, HEARTH_E_TRUNCATED,
                       "%s: tensor %s: %zu bytes at offset %llu; the data section has %zu bytes",
                       p->where, t->name, t->bytes, (unsigned long long)offset, room);
    t->data = p->in.base + p->data_start + (size_t)offset;
    return HEARTH_OK;
}

static bool tensors_before(const void *ctx, uint32_t a, uint32_t b)
{
    const struct hg_tensor *t = ctx;
    return (const uint8_t *)t[a].data < (const uint8_t *)t[b].data;
}

static hearth_status tensors_apart(struct hg_part *p, const struct hg_tensor *t, uint32_t *order,
                                   hearth_error *err)
{
    for (size_t i = 0; i < p->n_tensors; i++)
        order[i] = (uint32_t)i;
    hg_sort(order, p->n_tensors, tensors_before, t);
    for (size_t i = 1; i < p->n_tensors; i++) {
        const struct hg_tensor *a = &t[order[i - 1]], *b = &t[order[i]];
        if ((size_t)((const uint8_t *)b->data - (const uint8_t *)a->data) < a->bytes)
            return hb_fail(err, HEARTH_E_FORMAT, "%s: tensors %s and %s overlap", p->where, a->name,
                           b->name);
    }
    return HEARTH_OK;
}

hearth_status hg_read_tensors(struct hg_part *p, struct hb_arena *arena, struct hg_tensor *tensors,
                              hearth_error *err)
{
    uint64_t *offset;
    uint32_t *order;
    if (p->n_tensors > hb_reader_left(&p->in) / TENSORS_MIN_BYTES)
        return hb_fail(err, HEARTH_E_TRUNCATED, "%s: %zu tensors are announced, %zu bytes are left",
                       p->where, p->n_tensors, hb_reader_left(&p->in));
    HB_TRY(HB_ARENA_NEW(arena, uint64_t, p->n_tensors, &offset, err));
    for (size_t i = 0; i < p->n_tensors; i++)
        HB_TRY(tensors_record(p, arena, &tensors[i], &offset[i], err));
    if (!hb_align_size(p->in.pos, p->alignment, &p->data_start))
        return hb_fail(err, HEARTH_E_LIMIT, "%s: the file is larger than memory can be", p->where);
    for (size_t i = 0; i < p->n_tensors; i++)
        HB_TRY(tensors_place(p, &tensors[i], offset[i], err));
    HB_TRY(HB_ARENA_NEW(arena, uint32_t, p->n_tensors, &order, err));
    return tensors_apart(p, tensors, order, err);
}

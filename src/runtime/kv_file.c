/* A sequence as bytes, for a file of the caller's. Little-endian; offsets in bytes:
 *
 *    0  "HEARTHKV"            32  u64 fingerprint of the model
 *    8  u32 version           40  u32 page positions, u32 layers
 *   12  u32 header bytes      48  u32 length, u32 dropped, u32 sink, u32 window
 *   16  u64 bytes in all      64  char[8] K type, char[8] V type
 *   24  u64 hash of all       80  per layer: u32 heads, u32 d_k, u32 d_v
 *       bytes from 32 on      ..  zeros to a multiple of 64: the header ends
 *
 *   pages that are held, in order, each:  i32 tokens[16] | layer by layer, head by head: K page, V page
 *
 * Positions behind the end are zero, so equal sequences give equal bytes. */
#include "runtime/hr_kv.h"
#include "runtime/hr_model.h"
#include "base/hb_check.h"
#include "base/hb_reader.h"
#include <string.h>

#define FILE_VERSION     1
#define FILE_FIXED_BYTES 80
#define FILE_LAYER_BYTES 12
#define FILE_HASHED_FROM 32
#define FILE_TYPE_BYTES  8

/* The fixed part, as numbers. */
struct file_header {
    uint32_t version, header_bytes;
    uint64_t bytes, hash, fingerprint;
    uint32_t page_positions, n_layers, length, dropped, sink, window;
    const uint8_t *type_k, *type_v, *layers;
};

static const char *const file_type_name[HK_KVTYPE_COUNT] = {
#define HK_KVTYPE(id, name) #name,
#include "kernels/kvtypes.def"
#undef HK_KVTYPE
};

/* The name of a cache's type, as --ctk has it, filled up with zeros. */
static void file_name_type(char name[FILE_TYPE_BYTES], uint8_t type, bool rotated)
{
    size_t n = strlen(file_type_name[type]);
    memset(name, 0, FILE_TYPE_BYTES);
    memcpy(name, file_type_name[type], n);
    if (rotated)
        memcpy(name + n, "+h", 2);
}

static size_t file_header_bytes(const struct hr_kv *kv)
{
    return hb_round_up(FILE_FIXED_BYTES + (size_t)kv->n_layers * FILE_LAYER_BYTES, 64);
}

static size_t file_page_bytes(const struct hr_kv *kv)
{
    return HK_KV_PAGE * sizeof(int32_t) + kv->page_bytes;
}

static uint64_t file_hash(const uint8_t *bytes, size_t n)
{
    return hr_hash64(n, bytes + FILE_HASHED_FROM, n - FILE_HASHED_FROM);
}

/* ---- saving ---- */

static void file_put(uint8_t *at, uint64_t value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static void file_put_header(const struct hr_kv *kv, const struct hr_kv_origin *o,
                            const struct hr_seq *q, uint8_t *out, size_t bytes)
{
    const uint32_t words[] = {HK_KV_PAGE, (uint32_t)kv->n_layers, (uint32_t)q->length,
                              (uint32_t)q->dropped, (uint32_t)kv->sink, (uint32_t)kv->window};
    memset(out, 0, file_header_bytes(kv));
    memcpy(out, "HEARTHKV", 8);
    file_put(out + 8, FILE_VERSION, 4);
    file_put(out + 12, file_header_bytes(kv), 4);
    file_put(out + 16, bytes, 8);
    file_put(out + 32, o->fingerprint, 8);
    for (size_t i = 0; i < HB_COUNT(words); i++)
        file_put(out + 40 + 4 * i, words[i], 4);
    file_name_type((char *)out + 64, kv->view.type_k, kv->view.rotate_k);
    file_name_type((char *)out + 72, kv->view.type_v, false);
    for (int32_t i = 0; i < kv->n_layers; i++) {
        uint8_t *at = out + FILE_FIXED_BYTES + (size_t)i * FILE_LAYER_BYTES;
        file_put(at, (uint32_t)kv->shape[i].n_kv_heads, 4);
        file_put(at + 4, (uint32_t)kv->shape[i].d_k, 4);
        file_put(at + 8, (uint32_t)kv->shape[i].d_v, 4);
    }
}

/* Positions of a page from n on, to zero. `page` is aligned to 16. */
static void file_clear_rest(const struct hr_kv *kv, const struct hk_table *kernels, int32_t layer,
                            uint8_t *page, size_t n)
{
    const struct ht_kv_layer *shape = &kv->shape[layer];
    kernels->kv[kv->view.type_k].put_k(page, n, HK_KV_PAGE - n, kv->zeros, 0, (size_t)shape->d_k);
    kernels->kv[kv->view.type_v].put_v(page + kv->layers[layer].v_off, n, HK_KV_PAGE - n, kv->zeros,
                                       0, (size_t)shape->d_v);
}

/* One page of which n positions are in use; returns the byte behind it. */
static uint8_t *file_put_page(const struct hr_kv *kv, const struct hk_table *kernels, uint32_t page,
                              size_t n, uint8_t *out)
{
    memset(out, 0, HK_KV_PAGE * sizeof(int32_t));
    memcpy(out, kv->tokens + (size_t)page * HK_KV_PAGE, n * sizeof(int32_t));
    out += HK_KV_PAGE * sizeof(int32_t);
    for (int32_t i = 0; i < kv->n_layers; i++)
        for (int32_t h = 0; h < kv->shape[i].n_kv_heads; h++) {
            memcpy(out, ht_kv_page(&kv->layers[i], h, page), kv->layers[i].head_stride);
            if (n < HK_KV_PAGE)
                file_clear_rest(kv, kernels, i, out, n);
            out += kv->layers[i].head_stride;
        }
    return out;
}

size_t hr_kv_file_bytes(const struct hr_kv *kv, int32_t seq)
{
    return file_header_bytes(kv) + hr_kv_pages_held(&kv->seqs[seq]) * file_page_bytes(kv);
}

hearth_status hr_kv_save(const struct hr_kv *kv, const struct hr_kv_origin *o, int32_t seq,
                         void *data, size_t size, hearth_error *err)
{
    const struct hr_seq *q = &kv->seqs[seq];
    size_t bytes = hr_kv_file_bytes(kv, seq), left = (size_t)(q->length - q->dropped);
    uint8_t *at = data;
    if (size < bytes)
        return hb_fail(err, HEARTH_E_ARGUMENT, "sequence %d: %zu bytes of room; it takes %zu", seq,
                       size, bytes);
    if ((uintptr_t)data % 16 != 0)
        return hb_fail(err, HEARTH_E_ARGUMENT, "sequence %d: memory %zu bytes behind a multiple of 16; one is needed", seq,
                       (size_t)((uintptr_t)data % 16));
    file_put_header(kv, o, q, at, bytes);
    at += file_header_bytes(kv);
    for (uint32_t i = 0; i < hr_kv_pages_held(q); i++) {
        size_t n = left < HK_KV_PAGE ? left : HK_KV_PAGE;
        at = file_put_page(kv, o->kernels, q->pages[i], n, at);
        left -= n;
    }
    file_put((uint8_t *)data + 24, file_hash(data, bytes), 8);
    return HEARTH_OK;
}

/* ---- restoring ---- */

static hearth_status file_read_header(const uint8_t *data, size_t size, struct file_header *h,
                                      hearth_error *err)
{
    if (size < FILE_FIXED_BYTES)
        return hb_fail(err, HEARTH_E_TRUNCATED, "saved sequence: %zu bytes; its header has %d", size,
                       FILE_FIXED_BYTES);
    if (memcmp(data, "HEARTHKV", 8) != 0)
        return hb_fail(err, HEARTH_E_FORMAT, "saved sequence: it does not begin with HEARTHKV");
    h->version = hb_load_u32le(data + 8);
    if (h->version != FILE_VERSION)
        return hb_fail(err, HEARTH_E_UNSUPPORTED, "saved sequence: version %u; %d is known",
                       h->version, FILE_VERSION);
    h->header_bytes = hb_load_u32le(data + 12);
    h->bytes = hb_load_u64le(data + 16);
    h->hash = hb_load_u64le(data + 24);
    h->fingerprint = hb_load_u64le(data + 32);
    h->page_positions = hb_load_u32le(data + 40);
    h->n_layers = hb_load_u32le(data + 44);
    h->length = hb_load_u32le(data + 48);
    h->dropped = hb_load_u32le(data + 52);
    h->sink = hb_load_u32le(data + 56);
    h->window = hb_load_u32le(data + 60);
    h->type_k = data + 64;
    h->type_v = data + 72;
    h->layers = data + FILE_FIXED_BYTES;
    return HEARTH_OK;
}

static hearth_status file_same_type(const char *what, const uint8_t *name, uint8_t type,
                                    bool rotated, hearth_error *err)
{
    char want[FILE_TYPE_BYTES + 1] = {0}, found[FILE_TYPE_BYTES + 1] = {0};
    file_name_type(want, type, rotated);
    memcpy(found, name, FILE_TYPE_BYTES);
    if (memcmp(want, name, FILE_TYPE_BYTES) == 0)
        return HEARTH_OK;
    return hb_fail(err, HEARTH_E_MISMATCH, "saved sequence: %s cache of type %s; the session has %s",
                   what, found, want);
}

/* Does it belong to this model and this kind of cache? */
static hearth_status file_same_model(const struct hr_kv *kv, const struct hr_kv_origin *o,
                                     const struct file_header *h, hearth_error *err)
{
    if (h->fingerprint != o->fingerprint || h->n_layers != (uint32_t)kv->n_layers)
        return hb_fail(err, HEARTH_E_MISMATCH,
                       "saved sequence: from the model %016llx; this one is %016llx",
                       (unsigned long long)h->fingerprint, (unsigned long long)o->fingerprint);
    HB_TRY(file_same_type("K", h->type_k, kv->view.type_k, kv->view.rotate_k, err));
    HB_TRY(file_same_type("V", h->type_v, kv->view.type_v, false, err));
    if (h->page_positions != HK_KV_PAGE)
        return hb_fail(err, HEARTH_E_MISMATCH, "saved sequence: pages of %u positions; %d are known",
                       h->page_positions, HK_KV_PAGE);
    return HEARTH_OK;
}

static bool file_same_layers(const struct hr_kv *kv, const struct file_header *h)
{
    for (int32_t i = 0; i < kv->n_layers; i++) {
        const uint8_t *at = h->layers + (size_t)i * FILE_LAYER_BYTES;
        if (hb_load_u32le(at) != (uint32_t)kv->shape[i].n_kv_heads ||
            hb_load_u32le(at + 4) != (uint32_t)kv->shape[i].d_k ||
            hb_load_u32le(at + 8) != (uint32_t)kv->shape[i].d_v)
            return false;
    }
    return true;
}

/* A window decides what positions have seen, once it has left some. */
static bool file_same_window(const struct hr_kv *kv, const struct file_header *h)
{
    int32_t last = (int32_t)h->length - 1;
    if (h->sink == (uint32_t)kv->sink && h->window == (uint32_t)kv->window)
        return true;
    return h->window <= HR_KV_LAST_POS && h->sink <= HR_KV_LAST_POS && h->dropped == 0 &&
           ht_window_first((int32_t)h->window, last) <= (int32_t)h->sink &&
           ht_window_first(kv->window, last) <= kv->sink;
}

/* Lengths that fit each other, the session and the bytes. */
static hearth_status file_check_lengths(const struct hr_kv *kv, const struct file_header *h,
                                        size_t size, uint32_t *pages, hearth_error *err)
{
    if (h->length > HR_KV_LAST_POS || h->dropped > h->length || h->dropped % HK_KV_PAGE != 0 ||
        (h->dropped > 0 && h->sink + (uint64_t)h->dropped > h->length))
        return hb_fail(err, HEARTH_E_FORMAT, "saved sequence: %u positions of which %u are dropped",
                       h->length, h->dropped);
    uint32_t held = h->length - h->dropped;
    if (held > (uint32_t)kv->n_ctx)
        return hb_fail(err, HEARTH_E_FULL, "saved sequence: %u positions; the context has %d", held,
                       kv->n_ctx);
    if (!file_same_window(kv, h))
        return hb_fail(err, HEARTH_E_MISMATCH,
                       "saved sequence: a sink of %u and a window of %u; the session has %d and %d",
                       h->sink, h->window, kv->sink, kv->window);
    *pages = (held + HK_KV_PAGE - 1) / HK_KV_PAGE;
    size_t header = file_header_bytes(kv), want = header + *pages * file_page_bytes(kv);
    if (h->header_bytes != header || h->bytes != want)
        return hb_fail(err, HEARTH_E_FORMAT,
                       "saved sequence: a header of %u in %llu bytes; %zu in %zu belong to %u "
                       "positions",
                       h->header_bytes, (unsigned long long)h->bytes, header, want, held);
    if (size != want)
        return hb_fail(err, size < want ? HEARTH_E_TRUNCATED : HEARTH_E_FORMAT,
                       "saved sequence: %zu bytes; its header says %zu", size, want);
    return HEARTH_OK;
}

static hearth_status file_check_tokens(const struct hr_kv *kv, const uint8_t *at, uint32_t pages,
                                       int32_t n_vocab, hearth_error *err)
{
    for (uint32_t i = 0; i < pages; i++, at += file_page_bytes(kv))
        for (size_t j = 0; j < HK_KV_PAGE; j++)
            if (hb_load_u32le(at + 4 * j) >= (uint32_t)n_vocab)
                return hb_fail(err, HEARTH_E_RANGE, "saved sequence: token %u; the vocabulary has %d",
                               hb_load_u32le(at + 4 * j), n_vocab);
    return HEARTH_OK;
}

/* Pages that the sequence would give back. */
static uint32_t file_own(const struct hr_kv *kv, const struct hr_seq *q)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < hr_kv_pages_held(q); i++)
        n += kv->owners[q->pages[i]] == 1;
    return n;
}

static void file_take_page(struct hr_kv *kv, uint32_t page, const uint8_t *at)
{
    for (size_t j = 0; j < HK_KV_PAGE; j++)
        kv->tokens[(size_t)page * HK_KV_PAGE + j] = (int32_t)hb_load_u32le(at + 4 * j);
    at += HK_KV_PAGE * sizeof(int32_t);
    for (int32_t i = 0; i < kv->n_layers; i++)
        for (int32_t h = 0; h < kv->shape[i].n_kv_heads; h++) {
            memcpy(ht_kv_page(&kv->layers[i], h, page), at, kv->layers[i].head_stride);
            at += kv->layers[i].head_stride;
        }
}

/* Pages for the sequence instead of those that it has; or nothing is done. */
static hearth_status file_make_room(struct hr_kv *kv, int32_t seq, uint32_t pages, hearth_error *err)
{
    uint32_t own = file_own(kv, &kv->seqs[seq]);
    bool idle = kv->seqs[seq].idle;
    hr_kv_use(kv, seq); /* it is no victim of its own restoring */
    if (pages <= own || hr_kv_make_room(kv, pages - own))
        return HEARTH_OK;
    kv->seqs[seq].idle = idle;
    return hb_fail(err, HEARTH_E_FULL, "saved sequence: %u pages wanted, %u of %u are free", pages,
                   kv->n_free + own, kv->n_pages);
}

hearth_status hr_kv_restore(struct hr_kv *kv, const struct hr_kv_origin *o, int32_t seq,
                            const void *data, size_t size, hearth_error *err)
{
    struct file_header h = {0};
    uint32_t pages = 0;
    HB_TRY(file_read_header(data, size, &h, err));
    HB_TRY(file_same_model(kv, o, &h, err));
    if (size < file_header_bytes(kv))
        return hb_fail(err, HEARTH_E_TRUNCATED, "saved sequence: %zu bytes; its header has %zu", size,
                       file_header_bytes(kv));
    if (!file_same_layers(kv, &h))
        return hb_fail(err, HEARTH_E_MISMATCH, "saved sequence: its layers have another shape");
    HB_TRY(file_check_lengths(kv, &h, size, &pages, err));
    if (file_hash(data, size) != h.hash)
        return hb_fail(err, HEARTH_E_FORMAT, "saved sequence: its bytes have changed since");
    const uint8_t *at = (const uint8_t *)data + h.header_bytes;
    HB_TRY(file_check_tokens(kv, at, pages, o->n_vocab, err));
    HB_TRY(file_make_room(kv, seq, pages, err));
    struct hr_seq *q = &kv->seqs[seq];
    hr_kv_trim(kv, seq, 0);
    for (uint32_t i = 0; i < pages; i++, at += file_page_bytes(kv)) {
        q->pages[i] = hr_kv_take_page(kv);
        file_take_page(kv, q->pages[i], at);
    }
    q->length = (int32_t)h.length;
    q->dropped = (int32_t)h.dropped;
    q->foreign = pages > 0;
    return HEARTH_OK;
}

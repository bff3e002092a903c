/* Writes GGUF bytes, good ones and bad ones: every number is put as the caller says, nothing is
 * checked. The buffer grows; free it with gw_free. */
#ifndef GGUF_WRITER_H
#define GGUF_WRITER_H

#include "test_support.h"
#include "gguf/hg_gguf.h"
#include "base/os/hb_os.h"

struct gw {
    uint8_t *at;
    size_t len, cap;
};

static inline void gw_free(struct gw *w)
{
    free(w->at);
    *w = (struct gw){0};
}

static inline void gw_bytes(struct gw *w, const void *p, size_t n)
{
    if (w->len + n > w->cap) {
        w->cap = (w->len + n) * 2 + 256;
        w->at = realloc(w->at, w->cap);
        assert_non_null(w->at);
    }
    if (n)
        memcpy(w->at + w->len, p, n);
    w->len += n;
}

static inline void gw_int(struct gw *w, uint64_t v, size_t n) /* little-endian, n bytes */
{
    uint8_t b[8];
    for (size_t i = 0; i < n; i++)
        b[i] = (uint8_t)(v >> (8 * i));
    gw_bytes(w, b, n);
}

static inline void gw_u32(struct gw *w, uint32_t v)
{
    gw_int(w, v, 4);
}

static inline void gw_u64(struct gw *w, uint64_t v)
{
    gw_int(w, v, 8);
}

static inline void gw_f32(struct gw *w, float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    gw_u32(w, u);
}

static inline void gw_text_n(struct gw *w, const char *s, size_t n)
{
    gw_u64(w, n);
    gw_bytes(w, s, n);
}

static inline void gw_text(struct gw *w, const char *s)
{
    gw_text_n(w, s, strlen(s));
}

static inline void gw_header(struct gw *w, uint32_t version, uint64_t n_tensors, uint64_t n_meta)
{
    gw_bytes(w, "GGUF", 4);
    gw_u32(w, version);
    gw_u64(w, n_tensors);
    gw_u64(w, n_meta);
}

static inline void gw_key(struct gw *w, const char *key, uint32_t type)
{
    gw_text(w, key);
    gw_u32(w, type);
}

static inline void gw_key_u32(struct gw *w, const char *key, uint32_t v)
{
    gw_key(w, key, HG_U32);
    gw_u32(w, v);
}

static inline void gw_key_f32(struct gw *w, const char *key, float v)
{
    gw_key(w, key, HG_F32);
    gw_f32(w, v);
}

static inline void gw_key_text(struct gw *w, const char *key, const char *v)
{
    gw_key(w, key, HG_STRING);
    gw_text(w, v);
}

static inline void gw_key_array(struct gw *w, const char *key, uint32_t type, uint64_t count)
{
    gw_key(w, key, HG_ARRAY);
    gw_u32(w, type);
    gw_u64(w, count);
}

/* dims fastest first, as in the file */
static inline void gw_tensor(struct gw *w, const char *name, uint32_t rank, const uint64_t *dim,
                             uint32_t type, uint64_t offset)
{
    gw_text(w, name);
    gw_u32(w, rank);
    for (uint32_t i = 0; i < rank; i++)
        gw_u64(w, dim[i]);
    gw_u32(w, type);
    gw_u64(w, offset);
}

static inline void gw_pad(struct gw *w, size_t align)
{
    while (w->len % align)
        gw_int(w, 0, 1);
}

/* A whole file; false if it is not there. */
static inline bool gw_read(struct gw *w, const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    char block[65536];
    for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0;)
        gw_bytes(w, block, n);
    fclose(f);
    return true;
}

static inline double gw_now_ms(void)
{
    return (double)hb_os_now_ns() * 1e-6;
}

/* ---- a heap that counts, and refuses the n-th allocation ---- */

struct gw_heap {
    size_t live, peak, calls;
    long refuse_at; /* -1: never */
    int refuse_for_ever;
};

static inline void *gw_alloc(void *user, size_t size)
{
    struct gw_heap *h = user;
    long call = (long)h->calls++;
    if (h->refuse_at >= 0 &&
        (call == h->refuse_at || (h->refuse_for_ever && call > h->refuse_at)))
        return NULL;
    h->live += size;
    if (h->live > h->peak)
        h->peak = h->live;
    return malloc(size);
}

static inline void gw_heap_free(void *user, void *p, size_t size)
{
    struct gw_heap *h = user;
    h->live -= size;
    free(p);
}

static inline struct hb_arena gw_arena(struct gw_heap *heap)
{
    struct hb_alloc hooks = {gw_alloc, gw_heap_free, heap};
    struct hb_arena a;
    hb_arena_init_growing(&a, &hooks);
    return a;
}

#endif

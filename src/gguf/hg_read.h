/* The reader's parts, shared by hg_open.c, hg_read_meta.c and hg_read_tensors.c. */
#ifndef HG_READ_H
#define HG_READ_H

#include "gguf/hg_gguf.h"
#include "base/hb_reader.h"

/* One file of the set while it is read. */
struct hg_part {
    struct hb_reader in;
    char where[24];        /* "gguf", "gguf part 3": the object in messages */
    uint32_t index;
    uint32_t version;
    size_t n_tensors, n_meta;
    struct hg_metas meta;
    size_t alignment;
    size_t data_start;     /* where the data section begins */
};

/* A length-prefixed text of at most max bytes. `what` names it in messages. */
hearth_status hg_read_text(struct hg_part *p, const char *what, size_t max, struct hg_text *out,
                           hearth_error *err);
/* Are these bytes a name: not empty, printable ASCII? */
bool hg_name_ok(struct hg_text t);

/* p->n_meta keys into p->meta, with keys copied to the arena; duplicates are refused. */
hearth_status hg_read_meta(struct hg_part *p, struct hb_arena *arena, hearth_error *err);

/* p->n_tensors records into tensors[0 ...], data pointers set and checked; overlaps are refused. */
hearth_status hg_read_tensors(struct hg_part *p, struct hb_arena *arena, struct hg_tensor *tensors,
                              hearth_error *err);

#endif

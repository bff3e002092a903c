/* From an opened GGUF file to a graph the interpreter runs: of a generative model, or of an encoder. */
#ifndef HG_LM_H
#define HG_LM_H

#include "gguf/hg_gguf.h"
#include "graph/ht_lm.h"

/* Build the graph of the file's architecture (archs.def). Graph, frequencies and converted norms come
 * from the arena; weights are borrowed from the file's bytes.
 *
 * HEARTH_E_UNSUPPORTED  the architecture, a kind of rope scaling or a mixture of experts is not known
 *                       here: the sentence names it and what is known; so is a tensor of a block that
 *                       the architecture as built here would leave out
 * HEARTH_E_NOT_FOUND    a required key or tensor is missing: named
 * HEARTH_E_MISMATCH     a tensor has another shape: named, with both
 * HEARTH_E_RANGE        a key is outside of its range: named, with both */
hearth_status hg_load_lm(const struct hg_file *file, struct hb_arena *arena, struct ht_lm *out,
                         hearth_error *err);

/* An encoder is a graph of tensors, bound with each length (graph/ht_exec.h), for one text at a time:
 *
 *   inputs   input_ids, token_type_ids, position_ids, i32 [1][tokens]
 *   output   last_hidden_state, f32 [1][tokens][n_embd] */
enum { HG_ENCODER_INPUTS = 3 };
struct hg_encoder {
    struct ht_graph graph;
    hearth_pooling pooling; /* what the file says; mean where it says nothing */
    int32_t n_ctx, n_layers, n_embd, n_heads;
};

/* Is the file's architecture known, and an encoder? */
bool hg_is_encoder(const struct hg_file *file);
/* As hg_load_lm; *out must stay where it is. */
hearth_status hg_load_encoder(const struct hg_file *file, struct hb_arena *arena,
                              struct hg_encoder *out, hearth_error *err);

/* Facts for hearth_model_info; texts are in the arena, "" where the file has none. */
struct hg_facts {
    const char *architecture, *name;
    const char *file_type; /* the type that holds most elements */
    uint64_t n_params, weight_bytes;
};
hearth_status hg_facts(const struct hg_file *file, struct hb_arena *arena, struct hg_facts *out,
                       hearth_error *err);

#endif

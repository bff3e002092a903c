/* The models of a server: which there are, which are loaded, and how one comes and goes while requests run.
 *
 *   absent ──load──► loading ──► loaded ──unload, idle──► unloading ──► absent
 *                       └──► failed ──load──► loading
 *
 * A load is made of slices, so that the loop that calls hs_models_step goes on answering: open the files, hash them,
 * read the model, make its session, attach it. The bytes that are hashed are those of the mapping that runs. When a
 * model that is loaded is loaded again from another row of the manifest, the new one is made beside it and takes over;
 * the old one leaves when its last request is over. If the new one cannot be had, the old one stays.
 *
 * Who runs requests is told by attach and detach (hs_engine_attach, hs_engine_detach); files come from `open`, which
 * may be a broker's, or from the directory. One caller at a time. */
#ifndef HS_MODELS_H
#define HS_MODELS_H

#include "base/os/hb_os.h"
#include "serve/hs_engine.h"
#include "serve/hs_manifest.h"

enum hs_model_state { HS_ABSENT, HS_LOADING, HS_LOADED, HS_UNLOADING, HS_FAILED, HS_MODEL_STATES };
extern const char *const hs_model_state_name[HS_MODEL_STATES];

#define HS_HASH_SLICE  (1u << 20) /* bytes between two looks at the clock */
#define HS_DEFAULT_SEQS 8
#define HS_DEFAULT_CTX  4096 /* or what the model was made for, if that is less */

struct hs_models_config {
    const struct hb_dir *dir;   /* where files of the manifest lie; borrowed. May be NULL with `open` */
    /* A descriptor of a file of the directory, which is the caller's then; instead of dir. */
    hearth_status (*open)(void *user, const char *name, int *handle, hearth_error *err);
    void *open_user;
    hearth_status (*attach)(void *user, const struct hs_engine_model *model, hearth_error *err);
    bool (*detach)(void *user, const char *name, uint64_t now_ns); /* the oldest of this name; true: it is gone */
    uint32_t (*busy)(void *user, const char *name);                /* requests running or waiting */
    void *user;
    /* A state changed, for the log; err is that of a load that failed, else NULL. May be NULL. */
    void (*event)(void *user, const char *name, enum hs_model_state state, const hearth_error *err);
    void *event_user;
    /* A model is being loaded, or (NULL) none any more: whoever watches the process knows whom to blame if it dies. And
     * is a model not to be loaded, since the process died of it too often? Both may be NULL. */
    void (*loading)(void *user, const char *name);
    bool (*refuses)(void *user, const char *name);
    void *watch_user;
    hearth_allocator allocator;
    hearth_memory *memory;      /* what sessions count in, or NULL */
    hearth_pool *pool;          /* or NULL */
    const char *level;          /* or NULL */
    uint32_t slice_ms;          /* of a step; 0: 20 */
};

struct hs_registry;

hearth_status hs_models_create(const struct hs_models_config *config, struct hs_registry **out, hearth_error *err);
/* Everything was detached, or nothing runs any more. NULL is fine. */
void hs_models_destroy(struct hs_registry *m);

/* Rows, copied. A new name is added; one that is known takes the row at its next load. Rows that are gone from the
 * manifest stay until they are unloaded. HEARTH_E_LIMIT: more than HS_MAX_MODELS; nothing was changed. */
hearth_status hs_models_set(struct hs_registry *m, const struct hs_model_spec *specs, size_t n, hearth_error *err);
/* The manifest of this name, through `open` or dir. */
hearth_status hs_models_read(struct hs_registry *m, const char *name, hearth_error *err);

/* HEARTH_E_NOT_FOUND: no such name. HEARTH_E_STATE: config.refuses it; it is loading or unloading already; or, for unload
 * and pin, not there. Load of a loaded model whose row is the same changes nothing. */
hearth_status hs_models_load(struct hs_registry *m, const char *name, uint64_t now_ns, hearth_error *err);
hearth_status hs_models_unload(struct hs_registry *m, const char *name, uint64_t now_ns, hearth_error *err);
hearth_status hs_models_pin(struct hs_registry *m, const char *name, bool pin, hearth_error *err);
/* Load now, to the end: before the first request. */
hearth_status hs_models_load_now(struct hs_registry *m, const char *name, hearth_error *err);

/* A slice of what is to be done; true if there is more at once. */
bool hs_models_step(struct hs_registry *m, uint64_t now_ns);
/* When to step although nothing is to be done: an idle model; UINT64_MAX: never. */
uint64_t hs_models_wake_ns(const struct hs_registry *m);
/* It was asked for: not idle. */
void hs_models_used(struct hs_registry *m, const char *name, uint64_t now_ns);

/* The models for index 0, 1, ...; false past the end. */
struct hs_model_view {
    const struct hs_model_spec *spec;
    enum hs_model_state state;
    bool pinned;
    uint64_t bytes;       /* of the file, once it was opened */
    const char *sha256;   /* of the loaded file; "" if it was not hashed */
    uint64_t session_bytes;
    uint32_t versions;    /* in memory */
    uint64_t loads, load_ns, hash_ns; /* the last load */
    const char *error;    /* of the last load that failed; "" */
};
bool hs_models_at(const struct hs_registry *m, size_t index, struct hs_model_view *view);
bool hs_models_find(const struct hs_registry *m, const char *name, size_t len, struct hs_model_view *view);
const hearth_session *hs_models_session(const struct hs_registry *m, const char *name); /* NULL: none is loaded */

#endif

/* The desk: what an engine is asked that is no request of a model. It answers health, metrics, models and manage from
 * registry and meter, writes the log, and steps the registry between the engine's steps.
 *
 *   hs_desk_create ──► hs_desk_engine fills the engine's config ──► hs_engine_create ──► hs_desk_begin ──► hs_desk_step
 *
 * manage is answered at once: "load" begins a load, and `models` shows how it goes. */
#ifndef HS_DESK_H
#define HS_DESK_H

#include "serve/hs_metrics.h"

struct hs_desk;

struct hs_desk_config {
    struct hs_models_config models; /* attach, detach, busy, user, event are the desk's */
    const char *manifest;           /* its name, for `open` or dir; NULL: there is none */
    bool owner_only;                /* else every client may change models */
    int log_fd;                     /* -1: no log */
    enum hs_log_level log_level;
    const char *sandbox;            /* JSON, or NULL; it may be filled until the first question */
    uint32_t restarts;
};

hearth_status hs_desk_create(const struct hs_desk_config *config, struct hs_desk **out, hearth_error *err);
void hs_desk_engine(struct hs_desk *d, struct hs_engine_config *config);
/* The engine is there: reads the manifest and loads what is to be there from the start. */
hearth_status hs_desk_begin(struct hs_desk *d, struct hs_engine *engine, hearth_error *err);
void hs_desk_server(struct hs_desk *d, const struct hs_server *server);
/* "none", "partial", "full": static. */
void hs_desk_level(struct hs_desk *d, const char *sandbox_level);
/* Models leave the engine, whatever they do. NULL is fine. */
void hs_desk_destroy(struct hs_desk *d);

/* true if there is more to do at once. */
bool hs_desk_step(struct hs_desk *d, uint64_t now_ns);
uint64_t hs_desk_wake_ns(const struct hs_desk *d);

struct hs_registry *hs_desk_models(const struct hs_desk *d);
struct hs_log *hs_desk_log(struct hs_desk *d);

#endif

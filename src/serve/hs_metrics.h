/* What a server counts, and how it tells it: a Prometheus text (exposition format 0.0.4) or JSON.
 *
 * Requests are counted by message and by what became of them; latencies lie in histograms of fixed size (bn_latency:
 * exact nearest rank up to 4096 values, within 0.8 % beyond; none is told while there is no value). Gauges of engine,
 * models, connections and process are read when somebody asks. Nothing is allocated after create. */
#ifndef HS_METRICS_H
#define HS_METRICS_H

#include "serve/hs_engine.h"
#include "serve/hs_log.h"
#include "serve/hs_models.h"
#include "serve/hs_server.h"

struct hs_meter;

/* Where the gauges come from; each may be NULL. */
struct hs_meter_config {
    const struct hs_engine *engine;
    const struct hs_registry *models;
    const struct hs_server *const *server; /* set later */
    const struct hs_log *log;
    const char *sandbox;                   /* JSON of the sandbox's layers and probes, read when asked; or NULL */
    const char *const *level;              /* of the sandbox, a word; set later */
    uint32_t restarts;                     /* of the worker, before this one */
};

/* Opens the process's own figures, which a sandbox forbids later. */
hearth_status hs_meter_create(const struct hs_meter_config *config, struct hs_meter **out, hearth_error *err);
void hs_meter_destroy(struct hs_meter *m); /* NULL is fine */

void hs_meter_outcome(struct hs_meter *m, const struct hs_outcome *outcome);
void hs_meter_refused(struct hs_meter *m, const struct hs_message *request, uint32_t code);

#define HS_REPORT_BYTES (256u << 10)
/* The length, or 0 where size is too little for all of it. `health` adds what is no figure: models, limits,
 * the sandbox; JSON only. */
size_t hs_meter_prometheus(struct hs_meter *m, char *text, size_t size);
size_t hs_meter_json(struct hs_meter *m, bool health, char *text, size_t size);

#endif

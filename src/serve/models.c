/* The registry of models: see hs_models.h. Of each model there is at most one version being made, one that takes
 * requests, and older ones whose last requests run; they leave in the order they came. */
#include "serve/hs_load.h"
#include <string.h>

#define MODELS_SLICE_MS 20

const char *const hs_model_state_name[HS_MODEL_STATES] = {"absent", "loading", "loaded", "unloading", "failed"};
const char *const hs_model_kind_name[HS_MODEL_KINDS] = {"generate", "classify", "embed"};

struct models_entry {
    struct hb_arena arena; /* of spec */
    struct hs_model_spec spec;
    struct hs_load *coming;         /* being made */
    struct hs_load *oldest, *newest; /* attached; newest takes requests unless `leaving` */
    bool leaving, failed, pinned;
    bool waits;              /* coming does, for others to leave */
    uint64_t used_ns;
    uint64_t loads, load_ns, hash_ns;
    hearth_error err;
};

struct hs_registry {
    struct hs_models_config config;
    struct hb_alloc hooks;
    struct models_entry entries[HS_MAX_MODELS];
    size_t n;
    uint64_t slice_ns;
};

bool hs_model_name_ok(const char *name, size_t len)
{
    if (len == 0 || len > HS_MODEL_NAME || name[0] == '.' || name[0] == '-')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z') ||
              (name[i] >= '0' && name[i] <= '9') || (name[i] && strchr("._+:-", name[i]))))
            return false;
    return true;
}

/* One load goes on at a time, as far as blame goes: the one whose slice it is. */
static void models_blame(const struct hs_registry *m, const struct models_entry *e)
{
    if (m->config.loading)
        m->config.loading(m->config.watch_user, e ? e->spec.name : NULL);
}

/* ---- entries ---- */

hearth_status hs_models_create(const struct hs_models_config *config, struct hs_registry **out, hearth_error *err)
{
    const hearth_allocator *a = &config->allocator;
    struct hb_alloc hooks = a->alloc ? (struct hb_alloc){a->alloc, a->free, a->user} : *hb_os_heap();
    struct hs_registry *m = hooks.alloc(hooks.user, sizeof *m);
    if (!m)
        return hb_fail(err, HEARTH_E_MEMORY, "models: the allocator refused %zu bytes", sizeof *m);
    memset(m, 0, sizeof *m);
    m->config = *config;
    m->hooks = hooks;
    m->slice_ns = (uint64_t)(config->slice_ms ? config->slice_ms : MODELS_SLICE_MS) * 1000000u;
    *out = m;
    return HEARTH_OK;
}

void hs_models_destroy(struct hs_registry *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n; i++) {
        struct models_entry *e = &m->entries[i];
        hs_load_close(e->coming);
        for (struct hs_load *l = e->oldest, *next; l; l = next) {
            next = l->next;
            hs_load_close(l);
        }
        hb_arena_release(&e->arena);
    }
    m->hooks.free(m->hooks.user, m, sizeof *m);
}

static struct models_entry *models_entry(const struct hs_registry *m, const char *name, size_t len)
{
    for (size_t i = 0; i < m->n; i++)
        if (strlen(m->entries[i].spec.name) == len && !memcmp(m->entries[i].spec.name, name, len))
            return (struct models_entry *)(uintptr_t)&m->entries[i];
    return NULL;
}

static enum hs_model_state models_state(const struct models_entry *e)
{
    return e->newest && !e->leaving ? HS_LOADED
           : e->coming              ? HS_LOADING
           : e->oldest              ? HS_UNLOADING
           : e->failed              ? HS_FAILED
                                    : HS_ABSENT;
}

static void models_tell(const struct hs_registry *m, const struct models_entry *e, const hearth_error *err)
{
    if (m->config.event)
        m->config.event(m->config.event_user, e->spec.name, models_state(e), err);
}

hearth_status hs_models_set(struct hs_registry *m, const struct hs_model_spec *specs, size_t n, hearth_error *err)
{
    size_t fresh = 0;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(specs[i].name);
        if (!hs_model_name_ok(specs[i].name, len))
            return hb_fail(err, HEARTH_E_RANGE, "model '%s': 1 to %u of letters, digits and . _ + : - are accepted",
                           specs[i].name, HS_MODEL_NAME);
        fresh += !models_entry(m, specs[i].name, len);
    }
    if (m->n + fresh > HS_MAX_MODELS)
        return hb_fail(err, HEARTH_E_LIMIT, "models: %zu; at most %u are accepted", m->n + fresh, HS_MAX_MODELS);
    for (size_t i = 0; i < n; i++) {
        struct models_entry *e = models_entry(m, specs[i].name, strlen(specs[i].name));
        struct hs_model_spec spec;
        struct hb_arena arena;
        hb_arena_init_growing(&arena, &m->hooks);
        hearth_status status = hs_spec_copy(&specs[i], &arena, &spec, err);
        if (status != HEARTH_OK) {
            hb_arena_release(&arena);
            return status;
        }
        if (e)
            hb_arena_release(&e->arena);
        else
            e = &m->entries[m->n++];
        e->arena = arena;
        e->pinned = spec.pinned || (e->pinned && e->spec.pinned == spec.pinned);
        e->spec = spec;
    }
    return HEARTH_OK;
}

hearth_status hs_models_read(struct hs_registry *m, const char *name, hearth_error *err)
{
    const hearth_file_config config = {.struct_size = sizeof config, .max_bytes = HS_MANIFEST_BYTES,
                                       .flags = HEARTH_FILE_NO_MMAP, .allocator = m->config.allocator};
    struct hs_model_spec *specs;
    struct hb_arena arena;
    hearth_file *file;
    size_t n;
    int handle;
    HB_TRY(hs_load_open_file(&m->config, NULL, name, &handle, err));
    hearth_status status = hearth_file_open_fd(handle, name, &config, &file, err);
    hb_os_handle_close(handle);
    HB_TRY(status);
    hb_arena_init_growing(&arena, &m->hooks);
    status = hs_manifest_read(hearth_file_bytes(file), hearth_file_size(file), &arena, &specs, &n, err);
    hearth_file_close(file);
    if (status == HEARTH_OK)
        status = hs_models_set(m, specs, n, err);
    hb_arena_release(&arena);
    return status;
}

/* ---- what is asked for ---- */

static hearth_status models_named(const struct hs_registry *m, const char *name, struct models_entry **out,
                                  hearth_error *err)
{
    *out = models_entry(m, name, strlen(name));
    return *out ? HEARTH_OK : hb_fail(err, HEARTH_E_NOT_FOUND, "model '%s': no model has this name", name);
}

static bool models_same_file(const struct hs_file_spec *a, const struct hs_file_spec *b)
{
    return (!a->file) == (!b->file) && (!a->file || !strcmp(a->file, b->file)) && a->hashed == b->hashed &&
           !memcmp(a->sha256, b->sha256, sizeof a->sha256);
}

static bool models_same_text(const char *a, const char *b)
{
    return (!a) == (!b) && (!a || !strcmp(a, b));
}

/* Would a load of b give what a is? */
static bool models_same(const struct hs_model_spec *a, const struct hs_model_spec *b)
{
    return models_same_file(&a->model, &b->model) && (b->alone || (models_same_file(&a->tokenizer, &b->tokenizer) &&
           models_same_file(&a->labels, &b->labels))) && models_same_text(a->kv_type, b->kv_type) &&
           models_same_text(a->weights, b->weights) && models_same_text(a->version, b->version) &&
           a->context == b->context && a->sequences == b->sequences && a->batch == b->batch &&
           a->kv_tokens == b->kv_tokens && a->memory == b->memory && a->no_mmap == b->no_mmap;
}

hearth_status hs_models_load(struct hs_registry *m, const char *name, uint64_t now_ns, hearth_error *err)
{
    struct models_entry *e;
    HB_TRY(models_named(m, name, &e, err));
    if (m->config.refuses && m->config.refuses(m->config.watch_user, name))
        return hb_fail(err, HEARTH_E_STATE, "model '%s': quarantined, since the process died of it too often", name);
    e->used_ns = now_ns;
    if (e->coming || (e->newest && !e->leaving && models_same(&e->newest->spec, &e->spec)))
        return HEARTH_OK;
    HB_TRY(hs_load_create(&m->config, &e->spec, &e->coming, err));
    e->failed = false;
    e->err = (hearth_error){0};
    models_tell(m, e, NULL);
    return HEARTH_OK;
}

hearth_status hs_models_unload(struct hs_registry *m, const char *name, uint64_t now_ns, hearth_error *err)
{
    struct models_entry *e;
    (void)now_ns;
    HB_TRY(models_named(m, name, &e, err));
    if (!e->coming && (!e->newest || e->leaving))
        return hb_fail(err, HEARTH_E_STATE, "model '%s': is %s; one that is loaded or loading can be unloaded", name,
                       hs_model_state_name[models_state(e)]);
    hs_load_close(e->coming);
    e->coming = NULL;
    e->leaving = e->newest != NULL;
    models_tell(m, e, NULL);
    return HEARTH_OK;
}

hearth_status hs_models_pin(struct hs_registry *m, const char *name, bool pin, hearth_error *err)
{
    struct models_entry *e;
    HB_TRY(models_named(m, name, &e, err));
    e->pinned = pin;
    return HEARTH_OK;
}

void hs_models_used(struct hs_registry *m, const char *name, uint64_t now_ns)
{
    struct models_entry *e = models_entry(m, name, strlen(name));
    if (e)
        e->used_ns = now_ns;
}

/* ---- steps ---- */

static hearth_status models_attach(struct hs_registry *m, struct models_entry *e, hearth_error *err)
{
    struct hs_load *l = e->coming;
    const struct hs_engine_model model = {
        .name = l->spec.name, .model = l->model, .session = l->session, .tokenizer = l->tokenizer,
        .labels = l->label_names, .n_labels = l->n_labels, .file_bytes = hearth_file_size(l->files[LOAD_MODEL].file),
        .sha256 = l->hex[0] ? l->hex : NULL};
    HB_TRY(m->config.attach(m->config.user, &model, err));
    if (e->newest)
        e->newest->next = l;
    else
        e->oldest = l;
    e->newest = l;
    e->coming = NULL;
    e->leaving = false;
    return HEARTH_OK;
}

/* The model that has not been used for longest and is not needed now leaves; false: there is none. */
static bool models_make_room(struct hs_registry *m, const struct models_entry *but)
{
    struct models_entry *victim = NULL;
    for (size_t i = 0; i < m->n; i++) {
        struct models_entry *e = &m->entries[i];
        if (e != but && e->newest && !e->leaving && !e->coming && !e->pinned &&
            !m->config.busy(m->config.user, e->spec.name) && (!victim || e->used_ns < victim->used_ns))
            victim = e;
    }
    if (victim) {
        victim->leaving = true;
        models_tell(m, victim, NULL);
    }
    return victim != NULL;
}

static bool models_leaving(const struct hs_registry *m, const struct models_entry *but)
{
    for (size_t i = 0; i < m->n; i++)
        if (&m->entries[i] != but && m->entries[i].leaving)
            return true;
    return false;
}

static void models_fail(struct hs_registry *m, struct models_entry *e, const hearth_error *err)
{
    e->err = *err;
    hs_load_close(e->coming);
    e->coming = NULL;
    e->failed = true;
    models_tell(m, e, err);
}

/* A slice of a load; false: it waits for others to leave. */
static bool models_load_step(struct hs_registry *m, struct models_entry *e, uint64_t now_ns)
{
    struct hs_load *l = e->coming;
    hearth_error err = {0};
    bool done;
    if (e->waits && models_leaving(m, e))
        return false;
    hearth_status status = hs_load_step(&m->config, l, hb_os_now_ns() + m->slice_ns, &done, &err);
    e->waits = status != HEARTH_OK && hs_load_wants_room(&m->config, l, status) && models_make_room(m, e);
    if (e->waits)
        return true;
    if (status == HEARTH_OK && done) {
        e->loads++;
        e->load_ns = l->ns;
        e->hash_ns = l->hash_ns;
        status = models_attach(m, e, &err);
        if (status == HEARTH_OK) {
            e->used_ns = now_ns;
            models_tell(m, e, NULL);
            return true;
        }
    }
    if (status != HEARTH_OK) {
        err.status = status;
        models_fail(m, e, &err);
    }
    return true;
}

/* Versions that are to leave, the oldest first; false: none did. */
static bool models_leave(struct hs_registry *m, struct models_entry *e, uint64_t now_ns)
{
    bool moved = false;
    while (e->oldest && (e->oldest != e->newest || e->leaving) &&
           m->config.detach(m->config.user, e->spec.name, now_ns)) {
        struct hs_load *l = e->oldest;
        e->oldest = l->next;
        if (!e->oldest) {
            e->newest = NULL;
            e->leaving = false;
        }
        hs_load_close(l);
        moved = true;
        if (!e->oldest && !e->coming)
            models_tell(m, e, NULL);
    }
    return moved;
}

static uint64_t models_idle_ns(const struct models_entry *e)
{
    return e->newest && !e->leaving && !e->coming && !e->pinned && e->spec.idle_s
               ? e->used_ns + (uint64_t)e->spec.idle_s * 1000000000u
               : UINT64_MAX;
}

bool hs_models_step(struct hs_registry *m, uint64_t now_ns)
{
    bool more = false, loaded = false;
    for (size_t i = 0; i < m->n; i++) {
        struct models_entry *e = &m->entries[i];
        if (models_idle_ns(e) <= now_ns) {
            if (m->config.busy(m->config.user, e->spec.name)) {
                e->used_ns = now_ns;
            } else {
                e->leaving = true;
                models_tell(m, e, NULL);
            }
        }
        more |= models_leave(m, e, now_ns);
        if (e->coming && !loaded) { /* one at a time, so that a step stays a slice */
            models_blame(m, e);
            more |= loaded = models_load_step(m, e, now_ns);
            models_blame(m, NULL);
        }
        more |= e->coming && loaded;
    }
    return more;
}

uint64_t hs_models_wake_ns(const struct hs_registry *m)
{
    uint64_t wake = UINT64_MAX;
    for (size_t i = 0; i < m->n; i++) {
        uint64_t idle = models_idle_ns(&m->entries[i]);
        wake = idle < wake ? idle : wake;
    }
    return wake;
}

hearth_status hs_models_load_now(struct hs_registry *m, const char *name, hearth_error *err)
{
    struct models_entry *e;
    HB_TRY(hs_models_load(m, name, hb_os_now_ns(), err));
    HB_TRY(models_named(m, name, &e, err));
    while (e->coming && hs_models_step(m, hb_os_now_ns())) {
    }
    if (e->coming)
        return hb_fail(err, HEARTH_E_STATE, "model '%s': waits for another to leave", name);
    if (e->failed && err)
        *err = e->err;
    return e->failed ? e->err.status : HEARTH_OK;
}

/* ---- views ---- */

bool hs_models_at(const struct hs_registry *m, size_t index, struct hs_model_view *view)
{
    if (index >= m->n)
        return false;
    const struct models_entry *e = &m->entries[index];
    const struct hs_load *l = e->newest;
    *view = (struct hs_model_view){.spec = l ? &l->spec : &e->spec, .state = models_state(e), .pinned = e->pinned,
                                   .sha256 = l ? l->hex : "",
                                   .session_bytes = l ? l->session_bytes : 0, .loads = e->loads, .load_ns = e->load_ns,
                                   .hash_ns = e->hash_ns, .error = e->err.text, .versions = e->coming != NULL};
    for (const struct hs_load *v = e->oldest; v; v = v->next)
        view->versions++;
    view->bytes = l ? hearth_file_size(l->files[LOAD_MODEL].file) : e->spec.model.size;
    return true;
}

bool hs_models_find(const struct hs_registry *m, const char *name, size_t len, struct hs_model_view *view)
{
    const struct models_entry *e = models_entry(m, name, len);
    return e && hs_models_at(m, (size_t)(e - m->entries), view);
}

const hearth_session *hs_models_session(const struct hs_registry *m, const char *name)
{
    const struct models_entry *e = models_entry(m, name, strlen(name));
    return e && e->newest ? e->newest->session : NULL;
}

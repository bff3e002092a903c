/* Walking a plan. With workers, each step with more than one unit is a phase of the pool (ht_pool.h);
 * steps of one unit are computed by whoever closed the phase before. */
#include "graph/ht_plan.h"
#include "graph/ht_pool.h"

struct interp_job {
    struct ht_job job;
    struct ht_plan *plan;
    struct ht_run *run;
    _Atomic uint32_t *cancel;
    uint32_t step;          /* the open phase's, or the next to look at */
    bool open;              /* a phase of `step` is or was open */
    uint64_t since;         /* profile: when the current step began */
    _Atomic uint32_t failed;
    hearth_status status;   /* of the first failure, with its sentence */
    hearth_error error;
};

static void interp_fail(struct interp_job *j, hearth_status status, const hearth_error *err)
{
    uint32_t nobody = 0;
    if (!atomic_compare_exchange_strong(&j->failed, &nobody, 1))
        return;
    j->status = status;
    j->error = *err;
}

static void interp_units(struct interp_job *j, int32_t worker, int64_t begin, int64_t end)
{
    const struct ht_step *s = &j->plan->steps[j->step];
    uint8_t *scratch = j->plan->scratch + (size_t)worker * j->plan->scratch_bytes;
    hearth_error err;
    hearth_status status = s->op->run(s, j->run, scratch, begin, end, &err);
    if (status != HEARTH_OK)
        interp_fail(j, status, &err);
}

static void interp_work(struct ht_job *job, int32_t worker, int64_t begin, int64_t end)
{
    struct interp_job *j = (struct interp_job *)job;
    if (!atomic_load_explicit(&j->failed, memory_order_relaxed))
        interp_units(j, worker, begin, end);
}

/* Show a finished step to whoever watches. */
static void interp_observe(const struct interp_job *j)
{
    const struct ht_step *s = &j->plan->steps[j->step];
    const struct ht_tensor *t = s->n_out > 0 ? s->out[0] : NULL;
    hearth_observation o = {.struct_size = sizeof o, .name = s->name ? s->name : "",
                            .op = s->op->name};
    if (t && t->type == HK_F32 && t->rank == 2 && t->stride[1] == 1) {
        o.data = ht_row_f32(t, 0);
        o.rows = ht_rows(t, j->run);
        o.columns = t->dim[1];
        o.stride = t->stride[0];
    }
    j->plan->observe(j->plan->observe_user, &o);
}

static void interp_account(struct interp_job *j)
{
    if (j->plan->observe)
        interp_observe(j);
    if (!j->plan->profile)
        return;
    uint64_t now = hb_os_now_ns();
    struct ht_step *s = &j->plan->steps[j->step];
    s->calls++;
    if (s->macs_per_row)
        s->rows += (uint64_t)ht_rows(s->in[0], j->run);
    s->ns += now - j->since;
    j->since = now;
}

/* Advance to the next step worth a phase, computing small ones on the way. */
static int64_t interp_next(struct ht_job *job, int32_t worker)
{
    struct interp_job *j = (struct interp_job *)job;
    if (j->open) {
        interp_account(j);
        j->step++;
        j->open = false;
    }
    for (; j->step < j->plan->n_steps; j->step++) {
        const struct ht_step *s = &j->plan->steps[j->step];
        hearth_error err;
        if (atomic_load_explicit(&j->failed, memory_order_relaxed))
            return 0;
        if (j->cancel && atomic_load_explicit(j->cancel, memory_order_relaxed)) {
            interp_fail(j, hb_fail(&err, HEARTH_E_CANCELLED, "run: cancelled by the caller"), &err);
            return 0;
        }
        int64_t units = s->op->units ? s->op->units(s, j->run) : 0;
        if (units > 1 && j->run->n_workers > 1) {
            j->open = true;
            return units;
        }
        if (units > 0)
            interp_units(j, worker, 0, units);
        interp_account(j);
    }
    return 0;
}

hearth_status ht_plan_run(struct ht_plan *plan, struct ht_run *run, struct ht_pool *pool,
                          _Atomic uint32_t *cancel, hearth_error *err)
{
    struct interp_job j = {.job = {interp_next, interp_work}, .plan = plan, .run = run,
                           .cancel = cancel};
    run->kernels = plan->kernels;
    run->n_workers = plan->n_workers;
    if (plan->profile)
        j.since = hb_os_now_ns();
    ht_pool_run(plan->n_workers > 1 ? pool : NULL, &j.job);
    if (atomic_load(&j.failed)) {
        if (err)
            *err = j.error;
        return j.status;
    }
    return HEARTH_OK;
}

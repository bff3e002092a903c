/* A build without speculation: asking for it is refused, and nothing else is ever called. */
#include "runtime/hr_spec.h"

hearth_status hr_spec_open(const hearth_generation_config *config, hearth_session *session,
                           struct hb_arena *arena, struct hr_spec **spec, hearth_error *err)
{
    return hb_fail(err, HEARTH_E_UNSUPPORTED, "speculation: this build has none (HEARTH_SPECULATION)");
}

void hr_spec_close(struct hr_spec *spec) {}
void hr_spec_push(struct hr_spec *spec, int32_t token) {}
void hr_spec_forget(struct hr_spec *spec) {}
void hr_spec_guess(struct hr_spec *spec, hearth_sampler *sampler, int32_t most) {}
void hr_spec_saw(struct hr_spec *spec, size_t n, uint64_t ns) {}
void hr_spec_ran(struct hr_spec *spec, uint64_t ns) {}
void hr_spec_verified(struct hr_spec *spec, bool right) {}

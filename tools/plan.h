/* The memory plan of a model and a session, printed the same way by every command that shows it. */
#ifndef PLAN_H
#define PLAN_H

#include "client.h"
#include "json_out.h"

void hc_plan_print(const struct hc_model *m, const struct hc_session *hs); /* to stdout */
void hc_plan_json(struct hj *j, const struct hc_model *m, const struct hc_session *hs); /* "plan": {} */

#endif

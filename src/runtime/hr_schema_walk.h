/* The walk over a JSON schema, shared by grammar_schema.c (what is above types) and grammar_schema_values.c
 * (types and values). */
#ifndef HR_SCHEMA_WALK_H
#define HR_SCHEMA_WALK_H

#include "runtime/hr_schema.h"
#include "base/hb_error.h"
#include <jansson.h>

struct hr_schema_task {
    const json_t *schema;
    uint32_t depth;
};

/* Rules to write: the schema of rule s<i>. Recursion of schemas is a queue here. */
struct hr_schema {
    struct hr_schema_text text;
    const json_t *root;
    struct hr_schema_task *tasks; /* [SCHEMA_MAX_RULES] */
    uint32_t n_tasks, done;
    hearth_error *err;
};

#define SCHEMA_FAIL(s, status, ...) hb_fail((s)->err, (status), "schema: " __VA_ARGS__)
#define SCHEMA_PRINT(s, ...)        HB_TRY(hr_schema_print(&(s)->text, __VA_ARGS__))

/* Write the name of a subschema's rule, which is made if it is new. */
hearth_status hr_schema_name(struct hr_schema *s, const json_t *schema);
/* A JSON text as a GBNF text. */
hearth_status hr_schema_literal(struct hr_schema *s, const json_t *value);
/* What a schema says of values of one type. */
hearth_status hr_schema_type(struct hr_schema *s, const json_t *schema, const char *type);
/* The rules behind the rule of an object with properties. */
hearth_status hr_schema_properties(struct hr_schema *s, const json_t *schema, const json_t *properties);

#endif

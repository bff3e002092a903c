/* JSON schema to GBNF: the text under way, shared by grammar_schema.c and grammar_pattern.c. */
#ifndef HR_SCHEMA_H
#define HR_SCHEMA_H

#include "runtime/hr_grammar.h"

struct hr_schema_text {
    char *at;
    size_t len, capacity;
    struct hb_arena *arena;
    hearth_error *err;
};

hearth_status hr_schema_put(struct hr_schema_text *t, const char *bytes, size_t n);
/* As hb_format, at most 255 bytes. */
hearth_status hr_schema_print(struct hr_schema_text *t, const char *format, ...) HB_PRINTF(2, 3);
/* Between the quotes of a GBNF text. */
hearth_status hr_schema_quoted(struct hr_schema_text *t, const char *bytes, size_t n);

/* A pattern between ^ and $ as an expression for what stands between the quotes of a JSON string.
 * HEARTH_E_UNSUPPORTED: not anchored, look-around, back references, \b, (?, lazy or possessive. */
hearth_status hr_schema_pattern(struct hr_schema_text *t, const char *pattern, size_t n);

/* Whole numbers from lo to hi, both inclusive. */
hearth_status hr_schema_integers(struct hr_schema_text *t, int64_t lo, int64_t hi);

#endif

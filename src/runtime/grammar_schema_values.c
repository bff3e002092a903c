/* JSON schema to GBNF: types and values. grammar_schema.c says what is written. */
#include "runtime/hr_schema_walk.h"
#include "base/hb_check.h"
#include <string.h>

#define SCHEMA_DIGITS    999999999999999 /* bound of an integer that has none on this side */

hearth_status hr_schema_literal(struct hr_schema *s, const json_t *value)
{
    const size_t flags = JSON_ENCODE_ANY | JSON_COMPACT;
    size_t n = json_dumpb(value, NULL, 0, flags);
    char *bytes;
    if (n == 0 || n > HR_GRAMMAR_MAX_TEXT)
        return SCHEMA_FAIL(s, HEARTH_E_LIMIT, "a constant of %zu bytes", n);
    HB_TRY(HB_ARENA_NEW(s->text.arena, char, n, &bytes, s->err));
    json_dumpb(value, bytes, n, flags);
    HB_TRY(hr_schema_put(&s->text, "\"", 1));
    HB_TRY(hr_schema_quoted(&s->text, bytes, n));
    return hr_schema_put(&s->text, "\" ", 2);
}

/* A count of the schema: -1 where it has none. */
static hearth_status schema_count(struct hr_schema *s, const json_t *schema, const char *key, int64_t *n)
{
    const json_t *v = json_object_get(schema, key);
    *n = -1;
    if (!v)
        return HEARTH_OK;
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return SCHEMA_FAIL(s, HEARTH_E_RANGE, "%s; 0 or a larger whole number is accepted", key);
    if (json_integer_value(v) > HR_GRAMMAR_MAX_REPEAT)
        return SCHEMA_FAIL(s, HEARTH_E_LIMIT, "%s %lld; at most %d is accepted", key,
                           (long long)json_integer_value(v), HR_GRAMMAR_MAX_REPEAT);
    *n = json_integer_value(v);
    return HEARTH_OK;
}

static hearth_status schema_counts(struct hr_schema *s, const json_t *schema, const char *low,
                                   const char *high, int64_t *min, int64_t *max)
{
    HB_TRY(schema_count(s, schema, low, min));
    HB_TRY(schema_count(s, schema, high, max));
    *min = *min < 0 ? 0 : *min;
    if (*max >= 0 && *max < *min)
        return SCHEMA_FAIL(s, HEARTH_E_RANGE, "%s %lld and %s %lld exclude each other", low,
                           (long long)*min, high, (long long)*max);
    return HEARTH_OK;
}

static hearth_status schema_repeat(struct hr_schema *s, int64_t min, int64_t max)
{
    if (max < 0)
        return hr_schema_print(&s->text, "{%lld,} ", (long long)min);
    return hr_schema_print(&s->text, "{%lld,%lld} ", (long long)min, (long long)max);
}

/* ---- types ---- */

static hearth_status schema_string(struct hr_schema *s, const json_t *schema)
{
    const json_t *pattern = json_object_get(schema, "pattern");
    int64_t min, max;
    HB_TRY(schema_counts(s, schema, "minLength", "maxLength", &min, &max));
    if (!pattern) {
        SCHEMA_PRINT(s, "\"\\\"\" char");
        HB_TRY(schema_repeat(s, min, max));
        return hr_schema_print(&s->text, "\"\\\"\" ");
    }
    if (!json_is_string(pattern))
        return SCHEMA_FAIL(s, HEARTH_E_FORMAT, "%s", "pattern is no text");
    if (min > 0 || max >= 0)
        return SCHEMA_FAIL(s, HEARTH_E_UNSUPPORTED, "%s", "a pattern together with a length");
    SCHEMA_PRINT(s, "\"\\\"\" ");
    HB_TRY(hr_schema_pattern(&s->text, json_string_value(pattern), json_string_length(pattern)));
    return hr_schema_print(&s->text, "\"\\\"\" ");
}

static hearth_status schema_bound(struct hr_schema *s, const json_t *schema, const char *key,
                                  int64_t step, int64_t *bound, bool *given)
{
    const json_t *v = json_object_get(schema, key);
    if (!v)
        return HEARTH_OK;
    if (!json_is_integer(v))
        return SCHEMA_FAIL(s, HEARTH_E_UNSUPPORTED, "%s that is no whole number", key);
    int64_t n = json_integer_value(v);
    if (n > SCHEMA_DIGITS || n < -SCHEMA_DIGITS)
        return SCHEMA_FAIL(s, HEARTH_E_LIMIT, "%s %lld; 15 digits are accepted", key, (long long)n);
    n += step;
    if (!*given || (step <= 0 ? n < *bound : n > *bound))
        *bound = n;
    *given = true;
    return HEARTH_OK;
}

static hearth_status schema_integer(struct hr_schema *s, const json_t *schema)
{
    int64_t lo = -SCHEMA_DIGITS, hi = SCHEMA_DIGITS, other = 0;
    bool low = false, high = false, low2 = false, high2 = false;
    HB_TRY(schema_bound(s, schema, "minimum", 0, &lo, &low));
    HB_TRY(schema_bound(s, schema, "exclusiveMinimum", 1, &other, &low2));
    if (low2 && (!low || other > lo))
        lo = other;
    HB_TRY(schema_bound(s, schema, "maximum", 0, &hi, &high));
    HB_TRY(schema_bound(s, schema, "exclusiveMaximum", -1, &other, &high2));
    if (high2 && (!high || other < hi))
        hi = other;
    if (!low && !low2 && !high && !high2)
        return hr_schema_print(&s->text, "integer ");
    if (lo > hi)
        return SCHEMA_FAIL(s, HEARTH_E_RANGE, "a minimum of %lld and a maximum of %lld exclude each other",
                           (long long)lo, (long long)hi);
    return hr_schema_integers(&s->text, lo, hi);
}

static hearth_status schema_number(struct hr_schema *s, const json_t *schema)
{
    static const char *const bounds[] = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"};
    for (size_t i = 0; i < HB_COUNT(bounds); i++)
        if (json_object_get(schema, bounds[i]))
            return SCHEMA_FAIL(s, HEARTH_E_UNSUPPORTED, "%s of a number; integers can have it",
                               bounds[i]);
    return hr_schema_print(&s->text, "number ");
}

/* ("," item){min,max} behind the first; all of them optional where min is 0. */
static hearth_status schema_items(struct hr_schema *s, const json_t *items, int64_t min, int64_t max)
{
    if (max == 0)
        return hr_schema_print(&s->text, "\"[]\" ");
    SCHEMA_PRINT(s, "\"[\" ( ");
    if (items && !json_is_true(items))
        HB_TRY(hr_schema_name(s, items));
    else
        SCHEMA_PRINT(s, "value ");
    SCHEMA_PRINT(s, "( \",\" ws ");
    if (items && !json_is_true(items))
        HB_TRY(hr_schema_name(s, items));
    else
        SCHEMA_PRINT(s, "value ");
    SCHEMA_PRINT(s, ")");
    HB_TRY(schema_repeat(s, min > 0 ? min - 1 : 0, max < 0 ? -1 : max - 1));
    return hr_schema_print(&s->text, ")%s \"]\" ", min > 0 ? "" : "?");
}

static hearth_status schema_array(struct hr_schema *s, const json_t *schema)
{
    const json_t *items = json_object_get(schema, "items"), *item;
    const json_t *prefix = json_object_get(schema, "prefixItems");
    int64_t min, max;
    size_t i;
    HB_TRY(schema_counts(s, schema, "minItems", "maxItems", &min, &max));
    if (!prefix && json_is_false(items)) /* nothing is an item */
        max = 0;
    if (!prefix)
        return min > max && max == 0 ? SCHEMA_FAIL(s, HEARTH_E_RANGE, "%s", "minItems without items")
                                     : schema_items(s, items, min, max);
    int64_t n = (int64_t)json_array_size(prefix);
    if (n == 0 || min > n || (max >= 0 && max < n) || (items && !json_is_false(items)))
        return SCHEMA_FAIL(s, HEARTH_E_UNSUPPORTED, "%s", "prefixItems with other items or another count");
    SCHEMA_PRINT(s, "\"[\" ");
    json_array_foreach((json_t *)(uintptr_t)prefix, i, item) {
        SCHEMA_PRINT(s, i ? "\",\" ws " : "");
        HB_TRY(hr_schema_name(s, item));
    }
    return hr_schema_print(&s->text, "\"]\" ");
}

static bool schema_required(const json_t *required, const char *name)
{
    size_t i;
    json_t *v;
    json_array_foreach((json_t *)(uintptr_t)required, i, v)
        if (json_is_string(v) && strcmp(json_string_value(v), name) == 0)
            return true;
    return false;
}

static hearth_status schema_more(struct hr_schema *s, const json_t *more)
{
    SCHEMA_PRINT(s, "string \":\" ws ");
    return json_is_object(more) ? hr_schema_name(s, more) : hr_schema_print(&s->text, "value ");
}

/* What may follow the last property: others, where the schema lets them. */
static hearth_status schema_tail(struct hr_schema *s, const json_t *more, uint32_t rule, size_t n)
{
    bool open = more && !json_is_false(more);
    for (int any = 0; any < 2; any++) {
        SCHEMA_PRINT(s, "o%u%c%u ::= \"\" ", (unsigned)rule, "ab"[any], (unsigned)n);
        if (open) {
            SCHEMA_PRINT(s, "| %s", any ? "\",\" ws " : "");
            HB_TRY(schema_more(s, more));
            SCHEMA_PRINT(s, "o%ub%u ", (unsigned)rule, (unsigned)n);
        }
        SCHEMA_PRINT(s, "\n");
    }
    return HEARTH_OK;
}

hearth_status hr_schema_properties(struct hr_schema *s, const json_t *schema, const json_t *properties)
{
    const json_t *required = json_object_get(schema, "required");
    const char *name;
    json_t *value;
    size_t i = 0;
    uint32_t rule = s->done;
    json_object_foreach((json_t *)(uintptr_t)properties, name, value) {
        bool optional = !schema_required(required, name);
        for (int any = 0; any < 2; any++) {
            SCHEMA_PRINT(s, "o%u%c%u ::= %s", (unsigned)rule, "ab"[any], (unsigned)i,
                         any ? "\",\" ws " : "");
            json_t *key = json_string(name);
            hearth_status status = key ? hr_schema_literal(s, key)
                                       : SCHEMA_FAIL(s, HEARTH_E_MEMORY, "%s", "no memory");
            json_decref(key);
            HB_TRY(status);
            SCHEMA_PRINT(s, "\":\" ws ");
            HB_TRY(hr_schema_name(s, value));
            SCHEMA_PRINT(s, "o%ub%u ", (unsigned)rule, (unsigned)i + 1);
            if (optional)
                SCHEMA_PRINT(s, "| o%u%c%u ", (unsigned)rule, "ab"[any], (unsigned)i + 1);
            SCHEMA_PRINT(s, "\n");
        }
        i++;
    }
    return schema_tail(s, json_object_get(schema, "additionalProperties"), rule, i);
}

static hearth_status schema_known_required(struct hr_schema *s, const json_t *schema,
                                           const json_t *properties)
{
    const json_t *required = json_object_get(schema, "required");
    size_t i;
    json_t *v;
    if (required && !json_is_array(required))
        return SCHEMA_FAIL(s, HEARTH_E_FORMAT, "%s", "required is no list");
    json_array_foreach((json_t *)(uintptr_t)required, i, v)
        if (!json_is_string(v) || !json_object_get(properties, json_string_value(v)))
            return SCHEMA_FAIL(s, HEARTH_E_UNSUPPORTED, "required property \"%s\" is not in properties",
                               json_is_string(v) ? json_string_value(v) : "?");
    return HEARTH_OK;
}

/* The rule's own line ends before those of its properties begin: this writes all of them. */
static hearth_status schema_object(struct hr_schema *s, const json_t *schema)
{
    const json_t *properties = json_object_get(schema, "properties");
    const json_t *more = json_object_get(schema, "additionalProperties");
    if (properties && !json_is_object(properties))
        return SCHEMA_FAIL(s, HEARTH_E_FORMAT, "%s", "properties is no object");
    HB_TRY(schema_known_required(s, schema, properties));
    if (!properties && !more)
        return hr_schema_print(&s->text, "object ");
    return hr_schema_print(&s->text, "\"{\" o%ua0 \"}\" ", (unsigned)s->done);
}

hearth_status hr_schema_type(struct hr_schema *s, const json_t *schema, const char *type)
{
    if (strcmp(type, "string") == 0)
        return schema_string(s, schema);
    if (strcmp(type, "integer") == 0)
        return schema_integer(s, schema);
    if (strcmp(type, "number") == 0)
        return schema_number(s, schema);
    if (strcmp(type, "boolean") == 0)
        return hr_schema_print(&s->text, "( \"true\" | \"false\" ) ");
    if (strcmp(type, "null") == 0)
        return hr_schema_print(&s->text, "\"null\" ");
    if (strcmp(type, "array") == 0)
        return schema_array(s, schema);
    if (strcmp(type, "object") == 0)
        return schema_object(s, schema);
    return SCHEMA_FAIL(s, HEARTH_E_FORMAT, "type \"%s\"; string, integer, number, boolean, null, array and "
                       "object are accepted", type);
}

/* JSON schema to GBNF. JSON is written without line breaks; a blank may stand behind , and :.
 *
 *   every subschema is a rule s<n>, made once however often a $ref leads to it
 *   properties in the order of the schema, with a comma where something stands before:
 *     o<n>a<i>  nothing yet      o<n>b<i>  something         i: the property that is next
 *
 * Source: JSON Schema 2020-12, validation; RFC 8259. Numbers have at most 16 digits before and behind the
 * point, so that a text ends; strings no lone surrogates. */
#include "runtime/hr_schema.h"
#include "base/hb_check.h"
#include <jansson.h>
#include <string.h>

#define SCHEMA_MAX_DEPTH 64
#define SCHEMA_MAX_RULES 4000
#define SCHEMA_DIGITS    999999999999999 /* bound of an integer that has none on this side */

/* ---- text ---- */

hearth_status hr_schema_put(struct hr_schema_text *t, const char *bytes, size_t n)
{
    if (n > t->capacity - t->len) {
        char *at;
        size_t capacity = (t->len + n) * 2 + 1024;
        if (t->len + n > HR_GRAMMAR_MAX_TEXT)
            return hb_fail(t->err, HEARTH_E_LIMIT, "schema: its grammar passes %zu bytes",
                           HR_GRAMMAR_MAX_TEXT);
        HB_TRY(hb_arena_take_raw(t->arena, capacity, 1, (void **)&at, t->err));
        if (t->len)
            memcpy(at, t->at, t->len);
        t->at = at;
        t->capacity = capacity;
    }
    memcpy(t->at + t->len, bytes, n);
    t->len += n;
    return HEARTH_OK;
}

hearth_status hr_schema_print(struct hr_schema_text *t, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    size_t n = hb_vformat(text, sizeof text, format, args);
    va_end(args);
    return hr_schema_put(t, text, n);
}

hearth_status hr_schema_quoted(struct hr_schema_text *t, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t c = (uint8_t)bytes[i];
        if (c == '"' || c == '\\')
            HB_TRY(hr_schema_put(t, "\\", 1));
        if (c < 0x20 || c == 0x7F)
            HB_TRY(hr_schema_print(t, "\\x%c%c", "0123456789ABCDEF"[c >> 4], "0123456789ABCDEF"[c & 15]));
        else
            HB_TRY(hr_schema_put(t, bytes + i, 1));
    }
    return HEARTH_OK;
}

/* ---- the walk ---- */

struct schema_task {
    const json_t *schema;
    uint32_t depth;
};

/* Rules to write: the schema of rule s<i>. Recursion of schemas is a queue here. */
struct schema {
    struct hr_schema_text text;
    const json_t *root;
    struct schema_task *tasks; /* [SCHEMA_MAX_RULES] */
    uint32_t n_tasks, done;
    hearth_error *err;
};

#define SCHEMA_FAIL(s, status, ...) hb_fail((s)->err, (status), "schema: " __VA_ARGS__)
#define SCHEMA_PRINT(s, ...)        HB_TRY(hr_schema_print(&(s)->text, __VA_ARGS__))

static hearth_status schema_rule(struct schema *s, const json_t *schema, uint32_t depth, uint32_t *rule)
{
    for (uint32_t i = 0; i < s->n_tasks; i++)
        if (s->tasks[i].schema == schema) {
            *rule = i;
            return HEARTH_OK;
        }
    if (depth > SCHEMA_MAX_DEPTH)
        return SCHEMA_FAIL(s, HEARTH_E_LIMIT, "deeper than %d", SCHEMA_MAX_DEPTH);
    if (s->n_tasks == SCHEMA_MAX_RULES)
        return SCHEMA_FAIL(s, HEARTH_E_LIMIT, "more than %d subschemas", SCHEMA_MAX_RULES);
    s->tasks[s->n_tasks] = (struct schema_task){schema, depth};
    *rule = s->n_tasks++;
    return HEARTH_OK;
}

static const struct schema_task *schema_at(const struct schema *s)
{
    return &s->tasks[s->done];
}

/* Write the name of a subschema's rule. */
static hearth_status schema_name(struct schema *s, const json_t *schema)
{
    uint32_t rule;
    HB_TRY(schema_rule(s, schema, schema_at(s)->depth + 1, &rule));
    return hr_schema_print(&s->text, "s%u ", (unsigned)rule);
}

/* A JSON text as a GBNF text. */
static hearth_status schema_literal(struct schema *s, const json_t *value)
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
static hearth_status schema_count(struct schema *s, const json_t *schema, const char *key, int64_t *n)
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

static hearth_status schema_counts(struct schema *s, const json_t *schema, const char *low,
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

static hearth_status schema_repeat(struct schema *s, int64_t min, int64_t max)
{
    if (max < 0)
        return hr_schema_print(&s->text, "{%lld,} ", (long long)min);
    return hr_schema_print(&s->text, "{%lld,%lld} ", (long long)min, (long long)max);
}

/* ---- types ---- */

static hearth_status schema_string(struct schema *s, const json_t *schema)
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

static hearth_status schema_bound(struct schema *s, const json_t *schema, const char *key,
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

static hearth_status schema_integer(struct schema *s, const json_t *schema)
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

static hearth_status schema_number(struct schema *s, const json_t *schema)
{
    static const char *const bounds[] = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"};
    for (size_t i = 0; i < HB_COUNT(bounds); i++)
        if (json_object_get(schema, bounds[i]))
            return SCHEMA_FAIL(s, HEARTH_E_UNSUPPORTED, "%s of a number; integers can have it",
                               bounds[i]);
    return hr_schema_print(&s->text, "number ");
}

/* ("," item){min,max} behind the first; all of them optional where min is 0. */
static hearth_status schema_items(struct schema *s, const json_t *items, int64_t min, int64_t max)
{
    if (max == 0)
        return hr_schema_print(&s->text, "\"[]\" ");
    SCHEMA_PRINT(s, "\"[\" ( ");
    if (items && !json_is_true(items))
        HB_TRY(schema_name(s, items));
    else
        SCHEMA_PRINT(s, "value ");
    SCHEMA_PRINT(s, "( \",\" ws ");
    if (items && !json_is_true(items))
        HB_TRY(schema_name(s, items));
    else
        SCHEMA_PRINT(s, "value ");
    SCHEMA_PRINT(s, ")");
    HB_TRY(schema_repeat(s, min > 0 ? min - 1 : 0, max < 0 ? -1 : max - 1));
    return hr_schema_print(&s->text, ")%s \"]\" ", min > 0 ? "" : "?");
}

static hearth_status schema_array(struct schema *s, const json_t *schema)
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
        HB_TRY(schema_name(s, item));
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

static hearth_status schema_more(struct schema *s, const json_t *more)
{
    SCHEMA_PRINT(s, "string \":\" ws ");
    return json_is_object(more) ? schema_name(s, more) : hr_schema_print(&s->text, "value ");
}

/* What may follow the last property: others, where the schema lets them. */
static hearth_status schema_tail(struct schema *s, const json_t *more, uint32_t rule, size_t n)
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

static hearth_status schema_properties(struct schema *s, const json_t *schema, const json_t *properties)
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
            hearth_status status = key ? schema_literal(s, key)
                                       : SCHEMA_FAIL(s, HEARTH_E_MEMORY, "%s", "no memory");
            json_decref(key);
            HB_TRY(status);
            SCHEMA_PRINT(s, "\":\" ws ");
            HB_TRY(schema_name(s, value));
            SCHEMA_PRINT(s, "o%ub%u ", (unsigned)rule, (unsigned)i + 1);
            if (optional)
                SCHEMA_PRINT(s, "| o%u%c%u ", (unsigned)rule, "ab"[any], (unsigned)i + 1);
            SCHEMA_PRINT(s, "\n");
        }
        i++;
    }
    return schema_tail(s, json_object_get(schema, "additionalProperties"), rule, i);
}

static hearth_status schema_known_required(struct schema *s, const json_t *schema,
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
static hearth_status schema_object(struct schema *s, const json_t *schema)
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

static hearth_status schema_type(struct schema *s, const json_t *schema, const char *type)
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

/* ---- what is above types ---- */

/* A pointer into the schema: "#", "#/$defs/name". Names with ~0 and ~1 stand for ~ and /. */
static hearth_status schema_ref(struct schema *s, const char *ref, const json_t **out)
{
    const json_t *at = s->root;
    const char *p = ref;
    if (*p++ != '#' || (*p && *p != '/'))
        return SCHEMA_FAIL(s, HEARTH_E_UNSUPPORTED, "$ref \"%s\"; one that begins with # is accepted", ref);
    while (*p == '/' && at) {
        char name[256];
        size_t n = 0;
        for (p++; *p && *p != '/' && n + 1 < sizeof name; p++) {
            bool escape = *p == '~' && (p[1] == '0' || p[1] == '1');
            name[n++] = !escape ? *p : p[1] == '0' ? '~' : '/';
            p += escape;
        }
        name[n] = '\0';
        if (json_is_array(at)) {
            size_t index = 0;
            for (size_t i = 0; i < n && i < 6 && name[i] >= '0' && name[i] <= '9'; i++)
                index = index * 10 + (size_t)(name[i] - '0');
            at = json_array_get(at, index);
        } else {
            at = json_object_get(at, name);
        }
    }
    if (!at || *p)
        return SCHEMA_FAIL(s, HEARTH_E_NOT_FOUND, "$ref \"%s\" leads to nothing", ref);
    *out = at;
    return HEARTH_OK;
}

static hearth_status schema_any_of(struct schema *s, const json_t *list)
{
    size_t i;
    json_t *v;
    if (!json_is_array(list) || json_array_size(list) == 0)
        return SCHEMA_FAIL(s, HEARTH_E_FORMAT, "%s", "anyOf and oneOf need a list of schemas");
    SCHEMA_PRINT(s, "( ");
    json_array_foreach((json_t *)(uintptr_t)list, i, v) {
        SCHEMA_PRINT(s, i ? "| " : "");
        HB_TRY(schema_name(s, v));
    }
    return hr_schema_print(&s->text, ") ");
}

static hearth_status schema_enum(struct schema *s, const json_t *list)
{
    size_t i;
    json_t *v;
    if (!json_is_array(list) || json_array_size(list) == 0)
        return SCHEMA_FAIL(s, HEARTH_E_FORMAT, "%s", "enum needs a list of values");
    SCHEMA_PRINT(s, "( ");
    json_array_foreach((json_t *)(uintptr_t)list, i, v) {
        SCHEMA_PRINT(s, i ? "| " : "");
        HB_TRY(schema_literal(s, v));
    }
    return hr_schema_print(&s->text, ") ");
}

/* The words that are read, with the kind of value they belong to; and words that say nothing. */
static hearth_status schema_words(struct schema *s, const json_t *schema)
{
    static const char *const known[] = {
        "type", "enum", "const", "properties", "required", "additionalProperties", "items",
        "prefixItems", "minItems", "maxItems", "minLength", "maxLength", "pattern", "minimum",
        "maximum", "exclusiveMinimum", "exclusiveMaximum", "anyOf", "oneOf", "allOf", "$ref", "$defs",
        "definitions", "title", "description", "default", "example", "examples", "format", "$schema",
        "$id", "$comment", "deprecated", "readOnly", "writeOnly", "nullable", "strict", "$anchor"};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)schema, key, value) {
        bool found = false;
        for (size_t i = 0; i < HB_COUNT(known) && !found; i++)
            found = strcmp(known[i], key) == 0;
        if (!found || (strcmp(key, "nullable") == 0 && !json_is_false(value)))
            return SCHEMA_FAIL(s, HEARTH_E_UNSUPPORTED, "the word \"%s\" is not supported", key);
    }
    return HEARTH_OK;
}

/* Of a schema without a type: what its other words are about. */
static const char *schema_implied(const json_t *schema)
{
    if (json_object_get(schema, "properties") || json_object_get(schema, "additionalProperties"))
        return "object";
    if (json_object_get(schema, "items") || json_object_get(schema, "prefixItems") ||
        json_object_get(schema, "minItems") || json_object_get(schema, "maxItems"))
        return "array";
    if (json_object_get(schema, "pattern") || json_object_get(schema, "minLength") ||
        json_object_get(schema, "maxLength"))
        return "string";
    return NULL;
}

static hearth_status schema_types(struct schema *s, const json_t *schema)
{
    const json_t *type = json_object_get(schema, "type"), *v;
    const char *implied = schema_implied(schema);
    size_t i;
    if (json_is_string(type))
        return schema_type(s, schema, json_string_value(type));
    if (!type && implied)
        return schema_type(s, schema, implied);
    if (!type)
        return hr_schema_print(&s->text, "value ");
    if (!json_is_array(type) || json_array_size(type) == 0)
        return SCHEMA_FAIL(s, HEARTH_E_FORMAT, "%s", "type is no name and no list of names");
    SCHEMA_PRINT(s, "( ");
    json_array_foreach((json_t *)(uintptr_t)type, i, v) {
        SCHEMA_PRINT(s, i ? "| " : "");
        HB_TRY(schema_type(s, schema, json_is_string(v) ? json_string_value(v) : "?"));
    }
    return hr_schema_print(&s->text, ") ");
}

static hearth_status schema_body(struct schema *s, const json_t *schema)
{
    const json_t *v;
    if (json_is_true(schema))
        return hr_schema_print(&s->text, "value ");
    if (!json_is_object(schema))
        return SCHEMA_FAIL(s, HEARTH_E_FORMAT, "%s", "a schema is an object or true");
    HB_TRY(schema_words(s, schema));
    if ((v = json_object_get(schema, "$ref"))) {
        const json_t *target = NULL;
        if (!json_is_string(v))
            return SCHEMA_FAIL(s, HEARTH_E_FORMAT, "%s", "$ref is no text");
        HB_TRY(schema_ref(s, json_string_value(v), &target));
        return schema_name(s, target);
    }
    if ((v = json_object_get(schema, "const")))
        return schema_literal(s, v);
    if ((v = json_object_get(schema, "enum")))
        return schema_enum(s, v);
    if ((v = json_object_get(schema, "anyOf")) || (v = json_object_get(schema, "oneOf")))
        return schema_any_of(s, v);
    if ((v = json_object_get(schema, "allOf"))) {
        if (json_array_size(v) != 1)
            return SCHEMA_FAIL(s, HEARTH_E_UNSUPPORTED, "allOf of %zu schemas; one is accepted",
                               json_array_size(v));
        return schema_name(s, json_array_get(v, 0));
    }
    return schema_types(s, schema);
}

static bool schema_is_object(const json_t *schema)
{
    const json_t *type = json_object_get(schema, "type"), *v;
    size_t i;
    static const char *const before[] = {"$ref", "const", "enum", "anyOf", "oneOf", "allOf"};
    for (i = 0; i < HB_COUNT(before); i++)
        if (json_object_get(schema, before[i]))
            return false;
    if (!json_object_get(schema, "properties") && !json_object_get(schema, "additionalProperties"))
        return false;
    if (!type)
        return true;
    if (json_is_string(type))
        return strcmp(json_string_value(type), "object") == 0;
    json_array_foreach((json_t *)(uintptr_t)type, i, v)
        if (json_is_string(v) && strcmp(json_string_value(v), "object") == 0)
            return true;
    return false;
}

static const char schema_rules[] =
    "ws ::= \" \"?\n"
    "hex ::= [0-9a-fA-F]\n"
    "char ::= [^\"\\\\\\x00-\\x1F\\x7F] | \"\\\\\" ( [\"\\\\/bfnrt] | \"u\" ( [0-9a-cA-CefEF] hex{3} | [dD] "
    "[0-7] hex{2} ) )\n"
    "string ::= \"\\\"\" char* \"\\\"\"\n"
    "integer ::= \"-\"? ( \"0\" | [1-9] [0-9]{0,14} )\n"
    "number ::= integer ( \".\" [0-9]{1,16} )? ( [eE] [-+]? [0-9]{1,2} )?\n"
    "value ::= object | array | string | number | \"true\" | \"false\" | \"null\"\n"
    "object ::= \"{\" ( string \":\" ws value ( \",\" ws string \":\" ws value )* )? \"}\"\n"
    "array ::= \"[\" ( value ( \",\" ws value )* )? \"]\"\n"
    "root ::= s0\n";

static hearth_status schema_write(struct schema *s)
{
    uint32_t root;
    HB_TRY(hr_schema_put(&s->text, schema_rules, sizeof schema_rules - 1));
    HB_TRY(schema_rule(s, s->root, 0, &root));
    for (; s->done < s->n_tasks; s->done++) {
        const json_t *schema = schema_at(s)->schema;
        SCHEMA_PRINT(s, "s%u ::= ", (unsigned)s->done);
        HB_TRY(schema_body(s, schema));
        SCHEMA_PRINT(s, "\n");
        if (json_is_object(schema) && schema_is_object(schema))
            HB_TRY(schema_properties(s, schema, json_object_get(schema, "properties")));
    }
    return HEARTH_OK;
}

hearth_status hr_schema_grammar(const char *text, size_t len, struct hb_arena *work, const char **gbnf,
                                size_t *gbnf_len, hearth_error *err)
{
    struct schema s = {.text = {.arena = work, .err = err}, .err = err};
    json_error_t why;
    if (len > HR_GRAMMAR_MAX_TEXT)
        return hb_fail(err, HEARTH_E_LIMIT, "schema: %zu bytes; at most %zu are accepted", len,
                       HR_GRAMMAR_MAX_TEXT);
    HB_TRY(HB_ARENA_NEW(work, struct schema_task, SCHEMA_MAX_RULES, &s.tasks, err));
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (!root)
        return hb_fail(err, HEARTH_E_FORMAT, "schema: line %d: %s", why.line, why.text);
    s.root = root;
    hearth_status status = schema_write(&s);
    json_decref(root);
    *gbnf = s.text.at;
    *gbnf_len = s.text.len;
    return status;
}

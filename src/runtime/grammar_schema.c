/* JSON schema to GBNF. JSON is written without line breaks; a blank may stand behind , and :.
 *
 *   every subschema is a rule s<n>, made once however often a $ref leads to it
 *   properties in the order of the schema, with a comma where something stands before:
 *     o<n>a<i>  nothing yet      o<n>b<i>  something         i: the property that is next
 *
 * Source: JSON Schema 2020-12, validation; RFC 8259. Numbers have at most 16 digits before and behind the
 * point, so that a text ends; strings no lone surrogates. */
#include "runtime/hr_schema_walk.h"
#include "base/hb_check.h"
#include <string.h>

#define SCHEMA_MAX_DEPTH 64
#define SCHEMA_MAX_RULES 4000

static hearth_status schema_rule(struct hr_schema *s, const json_t *schema, uint32_t depth, uint32_t *rule)
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
    s->tasks[s->n_tasks] = (struct hr_schema_task){schema, depth};
    *rule = s->n_tasks++;
    return HEARTH_OK;
}

static const struct hr_schema_task *schema_at(const struct hr_schema *s)
{
    return &s->tasks[s->done];
}

hearth_status hr_schema_name(struct hr_schema *s, const json_t *schema)
{
    uint32_t rule;
    HB_TRY(schema_rule(s, schema, schema_at(s)->depth + 1, &rule));
    return hr_schema_print(&s->text, "s%u ", (unsigned)rule);
}

/* ---- what is above types ---- */

/* A pointer into the schema: "#", "#/$defs/name". Names with ~0 and ~1 stand for ~ and /. */
static hearth_status schema_ref(struct hr_schema *s, const char *ref, const json_t **out)
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

static hearth_status schema_any_of(struct hr_schema *s, const json_t *list)
{
    size_t i;
    json_t *v;
    if (!json_is_array(list) || json_array_size(list) == 0)
        return SCHEMA_FAIL(s, HEARTH_E_FORMAT, "%s", "anyOf and oneOf need a list of schemas");
    SCHEMA_PRINT(s, "( ");
    json_array_foreach((json_t *)(uintptr_t)list, i, v) {
        SCHEMA_PRINT(s, i ? "| " : "");
        HB_TRY(hr_schema_name(s, v));
    }
    return hr_schema_print(&s->text, ") ");
}

/* The words that are read; those of the second half say nothing about values. */
static const struct schema_word {
    const char *word;
    bool silent;
} schema_known[] = {
    {"type", false}, {"enum", false}, {"const", false}, {"properties", false}, {"required", false},
    {"additionalProperties", false}, {"items", false}, {"prefixItems", false}, {"minItems", false},
    {"maxItems", false}, {"minLength", false}, {"maxLength", false}, {"pattern", false},
    {"minimum", false}, {"maximum", false}, {"exclusiveMinimum", false}, {"exclusiveMaximum", false},
    {"anyOf", false}, {"oneOf", false}, {"allOf", false}, {"$ref", false},
    {"$defs", true}, {"definitions", true}, {"title", true}, {"description", true}, {"default", true},
    {"example", true}, {"examples", true}, {"format", true}, {"$schema", true}, {"$id", true},
    {"$comment", true}, {"deprecated", true}, {"readOnly", true}, {"writeOnly", true},
    {"nullable", true}, {"strict", true}, {"$anchor", true}};

static const struct schema_word *schema_word(const char *key)
{
    for (size_t i = 0; i < HB_COUNT(schema_known); i++)
        if (strcmp(schema_known[i].word, key) == 0)
            return &schema_known[i];
    return NULL;
}

static hearth_status schema_words(struct hr_schema *s, const json_t *schema)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)schema, key, value)
        if (!schema_word(key) || (strcmp(key, "nullable") == 0 && !json_is_false(value)))
            return SCHEMA_FAIL(s, HEARTH_E_UNSUPPORTED, "the word \"%s\" is not supported", key);
    return HEARTH_OK;
}

/* `word` decides what the values are: another word beside it (but `beside`) would be ignored. */
static hearth_status schema_alone(struct hr_schema *s, const json_t *schema, const char *word,
                                  const char *beside)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)schema, key, value)
        if (!schema_word(key)->silent && strcmp(key, word) != 0 && strcmp(key, beside) != 0)
            return SCHEMA_FAIL(s, HEARTH_E_UNSUPPORTED, "the word \"%s\" beside \"%s\" is not supported", key,
                               word);
    return HEARTH_OK;
}

static bool schema_is_of(const json_t *value, const char *type)
{
    static const char *const names[] = {[JSON_OBJECT] = "object", [JSON_ARRAY] = "array",
                                        [JSON_STRING] = "string", [JSON_INTEGER] = "integer",
                                        [JSON_REAL] = "number", [JSON_TRUE] = "boolean",
                                        [JSON_FALSE] = "boolean", [JSON_NULL] = "null"};
    return strcmp(names[json_typeof(value)], type) == 0 ||
           (json_is_integer(value) && strcmp(type, "number") == 0);
}

/* A value of const or enum, which must be of the type that stands beside it. */
static hearth_status schema_listed(struct hr_schema *s, const json_t *schema, const json_t *value)
{
    const json_t *type = json_object_get(schema, "type"), *v;
    bool fits = !type || (json_is_string(type) && schema_is_of(value, json_string_value(type)));
    size_t i;
    if (json_is_array(type))
        json_array_foreach((json_t *)(uintptr_t)type, i, v)
            fits = fits || (json_is_string(v) && schema_is_of(value, json_string_value(v)));
    if (!fits)
        return SCHEMA_FAIL(s, HEARTH_E_RANGE, "%s", "a value of const or enum is not of the type beside it");
    return hr_schema_literal(s, value);
}

static hearth_status schema_enum(struct hr_schema *s, const json_t *schema, const json_t *list)
{
    size_t i;
    json_t *v;
    if (!json_is_array(list) || json_array_size(list) == 0)
        return SCHEMA_FAIL(s, HEARTH_E_FORMAT, "%s", "enum needs a list of values");
    SCHEMA_PRINT(s, "( ");
    json_array_foreach((json_t *)(uintptr_t)list, i, v) {
        SCHEMA_PRINT(s, i ? "| " : "");
        HB_TRY(schema_listed(s, schema, v));
    }
    return hr_schema_print(&s->text, ") ");
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

static hearth_status schema_types(struct hr_schema *s, const json_t *schema)
{
    const json_t *type = json_object_get(schema, "type"), *v;
    const char *implied = schema_implied(schema);
    size_t i;
    if (json_is_string(type))
        return hr_schema_type(s, schema, json_string_value(type));
    if (!type && implied)
        return hr_schema_type(s, schema, implied);
    if (!type)
        return hr_schema_print(&s->text, "value ");
    if (!json_is_array(type) || json_array_size(type) == 0)
        return SCHEMA_FAIL(s, HEARTH_E_FORMAT, "%s", "type is no name and no list of names");
    SCHEMA_PRINT(s, "( ");
    json_array_foreach((json_t *)(uintptr_t)type, i, v) {
        SCHEMA_PRINT(s, i ? "| " : "");
        HB_TRY(hr_schema_type(s, schema, json_is_string(v) ? json_string_value(v) : "?"));
    }
    return hr_schema_print(&s->text, ") ");
}

static hearth_status schema_body(struct hr_schema *s, const json_t *schema)
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
        HB_TRY(schema_alone(s, schema, "$ref", ""));
        HB_TRY(schema_ref(s, json_string_value(v), &target));
        return hr_schema_name(s, target);
    }
    if ((v = json_object_get(schema, "const"))) {
        HB_TRY(schema_alone(s, schema, "const", "type"));
        return schema_listed(s, schema, v);
    }
    if ((v = json_object_get(schema, "enum"))) {
        HB_TRY(schema_alone(s, schema, "enum", "type"));
        return schema_enum(s, schema, v);
    }
    for (int one = 0; one < 2; one++)
        if ((v = json_object_get(schema, one ? "oneOf" : "anyOf"))) {
            HB_TRY(schema_alone(s, schema, one ? "oneOf" : "anyOf", ""));
            return schema_any_of(s, v);
        }
    if ((v = json_object_get(schema, "allOf"))) {
        HB_TRY(schema_alone(s, schema, "allOf", ""));
        if (json_array_size(v) != 1)
            return SCHEMA_FAIL(s, HEARTH_E_UNSUPPORTED, "allOf of %zu schemas; one is accepted",
                               json_array_size(v));
        return hr_schema_name(s, json_array_get(v, 0));
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

static hearth_status schema_write(struct hr_schema *s)
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
            HB_TRY(hr_schema_properties(s, schema, json_object_get(schema, "properties")));
    }
    return HEARTH_OK;
}

hearth_status hr_schema_grammar(const char *text, size_t len, struct hb_arena *work, const char **gbnf,
                                size_t *gbnf_len, hearth_error *err)
{
    struct hr_schema s = {.text = {.arena = work, .err = err}, .err = err};
    json_error_t why;
    if (len > HR_GRAMMAR_MAX_TEXT)
        return hb_fail(err, HEARTH_E_LIMIT, "schema: %zu bytes; at most %zu are accepted", len,
                       HR_GRAMMAR_MAX_TEXT);
    HB_TRY(HB_ARENA_NEW(work, struct hr_schema_task, SCHEMA_MAX_RULES, &s.tasks, err));
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

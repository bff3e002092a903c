/* Filters, tests and functions of templates, each a row of a table. Case mapping is ASCII's: what
 * templates write in capitals are their own words. */
#include "tokenizer/hv_jinja.h"

/* ---- texts ---- */

static hearth_status filter_trim(struct hv_jrun *run, const struct hv_jval *in,
                                 const struct hv_jargs *args, struct hv_jval *out)
{
    struct hv_jstr s;
    const struct hv_jval *set = hv_jarg(args, 0, "chars");
    HB_TRY(hv_jtext(run, in, &s));
    HB_TRY(hv_jcharge(run, s.n / 64));
    *out = hv_jstring(hv_jstrip(s, set && set->type == HV_J_STRING ? &set->as.s : NULL, true, true));
    return HEARTH_OK;
}

static hearth_status filter_case(struct hv_jrun *run, const struct hv_jval *in, char how,
                                 struct hv_jval *out)
{
    struct hv_jstr s;
    struct hv_marked buf;
    bool first = true;
    HB_TRY(hv_jtext(run, in, &s));
    hv_jbuf_open(run, &buf);
    HB_TRY(hv_jbuf_str(run, &buf, s));
    for (size_t i = 0; i < buf.len; i++) {
        char c = buf.bytes[i], lower = (char)(c | 0x20);
        bool letter = lower >= 'a' && lower <= 'z';
        bool up = how == 'u' || (first && (how == 't' || how == 'c'));
        if (letter)
            buf.bytes[i] = up ? (char)(lower & ~0x20) : lower;
        first = how == 't' ? !letter && (uint8_t)c < 0x80 : false;
    }
    *out = hv_jstring(hv_jbuf_close(&buf));
    return HEARTH_OK;
}

#define FILTER_CASE(name, how)                                                                     \
    static hearth_status filter_##name(struct hv_jrun *run, const struct hv_jval *in,              \
                                       const struct hv_jargs *args, struct hv_jval *out)           \
    {                                                                                              \
        return filter_case(run, in, how, out);                                                     \
    }
FILTER_CASE(upper, 'u')
FILTER_CASE(lower, 'l')
FILTER_CASE(title, 't')
FILTER_CASE(capitalize, 'c')

static hearth_status filter_string(struct hv_jrun *run, const struct hv_jval *in,
                                   const struct hv_jargs *args, struct hv_jval *out)
{
    struct hv_jstr s;
    HB_TRY(hv_jtext(run, in, &s));
    *out = hv_jstring(s);
    return HEARTH_OK;
}

static hearth_status filter_replace(struct hv_jrun *run, const struct hv_jval *in,
                                    const struct hv_jargs *args, struct hv_jval *out)
{
    struct hv_jstr s;
    const struct hv_jval *old = hv_jarg(args, 0, "old"), *new_text = hv_jarg(args, 1, "new");
    HB_TRY(hv_jtext(run, in, &s));
    HB_TRY(hv_jwant(run, old, HV_J_STRING, "replace"));
    HB_TRY(hv_jwant(run, new_text, HV_J_STRING, "replace"));
    HB_TRY(hv_jreplace(run, s, old->as.s, new_text->as.s, -1, &s));
    *out = hv_jstring(s);
    return HEARTH_OK;
}

static hearth_status filter_indent(struct hv_jrun *run, const struct hv_jval *in,
                                   const struct hv_jargs *args, struct hv_jval *out)
{
    static const char blanks[] = "                                ";
    const struct hv_jval *width = hv_jarg(args, 0, "width"), *first = hv_jarg(args, 1, "first");
    struct hv_jstr s, pad = {blanks, NULL, 4};
    struct hv_marked buf;
    HB_TRY(hv_jtext(run, in, &s));
    if (width && width->type == HV_J_INT && width->as.i >= 0 &&
        width->as.i < (int64_t)sizeof blanks)
        pad.n = (size_t)width->as.i;
    hv_jbuf_open(run, &buf);
    for (size_t at = 0; at < s.n;) {
        size_t end = hv_jfind(s, hv_jlit("\n"), at);
        end = end == SIZE_MAX ? s.n : end + 1;
        bool blank = end == at + 1 && s.b[at] == '\n';
        if (!blank && (at > 0 || (first && hv_jtruth(first))))
            HB_TRY(hv_jbuf_str(run, &buf, pad));
        HB_TRY(hv_jbuf_str(run, &buf, hv_jcut(s, at, end)));
        at = end;
    }
    *out = hv_jstring(hv_jbuf_close(&buf));
    return HEARTH_OK;
}

static hearth_status filter_tojson(struct hv_jrun *run, const struct hv_jval *in,
                                   const struct hv_jargs *args, struct hv_jval *out)
{
    const struct hv_jval *indent = hv_jarg(args, 0, "indent");
    struct hv_marked buf;
    if (indent && indent->type == HV_J_INT && (indent->as.i < 0 || indent->as.i > 16))
        return HV_JFAIL(run, HEARTH_E_LIMIT, "tojson with indent %lld; 0 to 16 are accepted",
                        (long long)indent->as.i);
    hv_jbuf_open(run, &buf);
    HB_TRY(hv_jjson(run, &buf, in, indent && indent->type == HV_J_INT ? indent->as.i : -1, 0));
    *out = hv_jstring(hv_jbuf_close(&buf));
    return HEARTH_OK;
}

/* ---- numbers ---- */

static hearth_status filter_int(struct hv_jrun *run, const struct hv_jval *in,
                                const struct hv_jargs *args, struct hv_jval *out)
{
    double f;
    int64_t i = 0;
    bool whole;
    if (hv_jnumber(in, &f, &i, &whole)) {
        if (!whole)
            i = f > -9e18 && f < 9e18 ? (int64_t)f : 0;
    } else if (in->type == HV_J_STRING) {
        struct hv_jstr s = hv_jstrip(in->as.s, NULL, true, true);
        bool minus = s.n && s.b[0] == '-';
        for (size_t k = minus; k < s.n && k < 19; k++) {
            if (s.b[k] < '0' || s.b[k] > '9') {
                i = 0;
                break;
            }
            i = i * 10 + (s.b[k] - '0');
        }
        i = minus ? -i : i;
    }
    *out = hv_jint(i);
    return HEARTH_OK;
}

static hearth_status filter_abs(struct hv_jrun *run, const struct hv_jval *in,
                                const struct hv_jargs *args, struct hv_jval *out)
{
    *out = *in;
    if (in->type == HV_J_INT && in->as.i < 0 && in->as.i > INT64_MIN)
        out->as.i = -in->as.i;
    else if (in->type == HV_J_FLOAT && in->as.f < 0)
        out->as.f = -in->as.f;
    return HEARTH_OK;
}

/* ---- lists ---- */

static hearth_status filter_length(struct hv_jrun *run, const struct hv_jval *in,
                                   const struct hv_jargs *args, struct hv_jval *out)
{
    int64_t n = 0;
    HB_TRY(hv_jlength(run, in, &n));
    *out = hv_jint(n);
    return HEARTH_OK;
}

static hearth_status filter_list(struct hv_jrun *run, const struct hv_jval *in,
                                 const struct hv_jargs *args, struct hv_jval *out)
{
    return hv_jitems(run, in, out);
}

static hearth_status filter_end(struct hv_jrun *run, const struct hv_jval *in, bool last,
                                struct hv_jval *out)
{
    struct hv_jval items;
    HB_TRY(hv_jitems(run, in, &items));
    size_t n = items.as.list->n;
    *out = n ? items.as.list->at[last ? n - 1 : 0] : hv_jundefined(hv_jlit("an end of nothing"));
    return HEARTH_OK;
}
static hearth_status filter_first(struct hv_jrun *run, const struct hv_jval *in,
                                  const struct hv_jargs *args, struct hv_jval *out)
{
    return filter_end(run, in, false, out);
}
static hearth_status filter_last(struct hv_jrun *run, const struct hv_jval *in,
                                 const struct hv_jargs *args, struct hv_jval *out)
{
    return filter_end(run, in, true, out);
}

static hearth_status filter_reverse(struct hv_jrun *run, const struct hv_jval *in,
                                    const struct hv_jargs *args, struct hv_jval *out)
{
    struct hv_jval items;
    HB_TRY(hv_jitems(run, in, &items));
    size_t n = items.as.list->n;
    HB_TRY(hv_jlist(run, n, out));
    for (size_t i = 0; i < n; i++)
        out->as.list->at[i] = items.as.list->at[n - 1 - i];
    return HEARTH_OK;
}

/* Key and value pairs of a mapping; of an undefined value none. */
static hearth_status filter_items(struct hv_jrun *run, const struct hv_jval *in,
                                  const struct hv_jargs *args, struct hv_jval *out)
{
    if (in->type == HV_J_UNDEFINED)
        return hv_jlist(run, 0, out);
    HB_TRY(hv_jwant(run, in, HV_J_DICT, "items"));
    const struct hv_jdict *dict = in->as.dict;
    HB_TRY(hv_jlist(run, dict->n, out));
    for (size_t i = 0; i < dict->n; i++) {
        struct hv_jval *pair = &out->as.list->at[i];
        HB_TRY(hv_jlist(run, 2, pair));
        pair->as.list->at[0] = dict->at[i].key;
        pair->as.list->at[1] = dict->at[i].value;
    }
    return HEARTH_OK;
}

static hearth_status filter_join(struct hv_jrun *run, const struct hv_jval *in,
                                 const struct hv_jargs *args, struct hv_jval *out)
{
    const struct hv_jval *between = hv_jarg(args, 0, "d"), *attr = hv_jarg(args, 1, "attribute");
    struct hv_jval items;
    struct hv_marked buf;
    HB_TRY(hv_jitems(run, in, &items));
    hv_jbuf_open(run, &buf);
    for (size_t i = 0; i < items.as.list->n; i++) {
        struct hv_jval v = items.as.list->at[i];
        if (attr && attr->type == HV_J_STRING)
            HB_TRY(hv_jattr(run, &items.as.list->at[i], attr->as.s, &v));
        if (i && between)
            HB_TRY(hv_jprint(run, &buf, between, false));
        HB_TRY(hv_jprint(run, &buf, &v, false));
    }
    *out = hv_jstring(hv_jbuf_close(&buf));
    return HEARTH_OK;
}

/* selectattr(name[, test[, argument]]) and its like: `keep` what the test is true for; without a test,
 * what is true. name NULL: the element itself. */
static hearth_status filter_by_test(struct hv_jrun *run, const struct hv_jval *in,
                                    const struct hv_jargs *args, bool attr, bool keep,
                                    struct hv_jval *out)
{
    struct hv_jval items;
    struct hv_jargs rest = {0};
    const struct hv_jtest *test = NULL;
    size_t at = attr ? 1 : 0;
    HB_TRY(hv_jitems(run, in, &items));
    if (attr)
        HB_TRY(hv_jwant(run, args->n ? &args->at[0] : NULL, HV_J_STRING, "selectattr"));
    if (args->n > at) {
        HB_TRY(hv_jwant(run, &args->at[at], HV_J_STRING, "the name of a test"));
        test = hv_jtest_find(args->at[at].as.s);
        if (!test)
            return HV_JFAIL(run, HEARTH_E_UNSUPPORTED, "test %.*s is not known",
                            (int)args->at[at].as.s.n, args->at[at].as.s.b);
        rest.at = args->at + at + 1;
        rest.n = args->n - at - 1;
    }
    HB_TRY(hv_jlist(run, items.as.list->n, out));
    size_t n = 0;
    for (size_t i = 0; i < items.as.list->n; i++) {
        struct hv_jval v = items.as.list->at[i];
        if (attr)
            HB_TRY(hv_jattr(run, &items.as.list->at[i], args->at[0].as.s, &v));
        bool yes = hv_jtruth(&v);
        if (test)
            HB_TRY(test->fn(run, &v, &rest, &yes));
        if (yes == keep)
            out->as.list->at[n++] = items.as.list->at[i];
    }
    out->as.list->n = n;
    return HEARTH_OK;
}

#define FILTER_BY_TEST(name, attr, keep)                                                           \
    static hearth_status filter_##name(struct hv_jrun *run, const struct hv_jval *in,              \
                                       const struct hv_jargs *args, struct hv_jval *out)           \
    {                                                                                              \
        return filter_by_test(run, in, args, attr, keep, out);                                     \
    }
FILTER_BY_TEST(selectattr, true, true)
FILTER_BY_TEST(rejectattr, true, false)
FILTER_BY_TEST(select, false, true)
FILTER_BY_TEST(reject, false, false)

/* map(attribute="x"[, default=y]) or map("filter"). */
static hearth_status filter_map(struct hv_jrun *run, const struct hv_jval *in,
                                const struct hv_jargs *args, struct hv_jval *out)
{
    struct hv_jval items;
    const struct hv_jargs none = {0};
    const struct hv_jval *attr = hv_jarg(&(struct hv_jargs){.named = args->named,
                                                            .n_named = args->n_named}, 0, "attribute");
    const struct hv_jval *other = hv_jarg(&(struct hv_jargs){.named = args->named,
                                                             .n_named = args->n_named}, 0, "default");
    const struct hv_jfilter *filter = NULL;
    if (attr) {
        HB_TRY(hv_jwant(run, attr, HV_J_STRING, "map"));
    } else {
        HB_TRY(hv_jwant(run, args->n ? &args->at[0] : NULL, HV_J_STRING, "map"));
        filter = hv_jfilter_find(args->at[0].as.s);
        if (!filter || filter->fn == filter_map)
            return HV_JFAIL(run, HEARTH_E_UNSUPPORTED, "filter %.*s is not known to map",
                            (int)args->at[0].as.s.n, args->at[0].as.s.b);
    }
    HB_TRY(hv_jitems(run, in, &items));
    HB_TRY(hv_jlist(run, items.as.list->n, out));
    for (size_t i = 0; i < items.as.list->n; i++) {
        struct hv_jval *v = &out->as.list->at[i];
        if (filter)
            HB_TRY(filter->fn(run, &items.as.list->at[i], &none, v));
        else
            HB_TRY(hv_jattr(run, &items.as.list->at[i], attr->as.s, v));
        if (v->type == HV_J_UNDEFINED && other)
            *v = *other;
    }
    return HEARTH_OK;
}

static hearth_status filter_unique(struct hv_jrun *run, const struct hv_jval *in,
                                   const struct hv_jargs *args, struct hv_jval *out)
{
    struct hv_jval items;
    size_t n = 0;
    HB_TRY(hv_jitems(run, in, &items));
    HB_TRY(hv_jlist(run, items.as.list->n, out));
    for (size_t i = 0; i < items.as.list->n; i++) {
        bool seen = false;
        for (size_t k = 0; k < n && !seen; k++)
            seen = hv_jequal(run, &out->as.list->at[k], &items.as.list->at[i]);
        HB_TRY(hv_jcharge(run, 0));
        if (!seen)
            out->as.list->at[n++] = items.as.list->at[i];
    }
    out->as.list->n = n;
    return HEARTH_OK;
}

static hearth_status filter_default(struct hv_jrun *run, const struct hv_jval *in,
                                    const struct hv_jargs *args, struct hv_jval *out)
{
    const struct hv_jval *other = hv_jarg(args, 0, "default_value");
    const struct hv_jval *falsy = hv_jarg(args, 1, "boolean");
    bool use = in->type == HV_J_UNDEFINED || (falsy && hv_jtruth(falsy) && !hv_jtruth(in));
    *out = !use ? *in : other ? *other : hv_jstring(hv_jlit(""));
    return HEARTH_OK;
}

static hearth_status filter_safe(struct hv_jrun *run, const struct hv_jval *in,
                                 const struct hv_jargs *args, struct hv_jval *out)
{
    *out = *in; /* nothing is escaped here */
    return HEARTH_OK;
}

static const struct hv_jfilter filter_table[] = {
    {"trim", filter_trim},         {"upper", filter_upper},       {"lower", filter_lower},
    {"title", filter_title},       {"capitalize", filter_capitalize}, {"string", filter_string},
    {"replace", filter_replace},   {"indent", filter_indent},     {"tojson", filter_tojson},
    {"int", filter_int},           {"abs", filter_abs},           {"length", filter_length},
    {"count", filter_length},      {"list", filter_list},         {"first", filter_first},
    {"last", filter_last},         {"reverse", filter_reverse},   {"items", filter_items},
    {"join", filter_join},         {"selectattr", filter_selectattr},
    {"rejectattr", filter_rejectattr}, {"select", filter_select}, {"reject", filter_reject},
    {"map", filter_map},           {"unique", filter_unique},     {"default", filter_default},
    {"d", filter_default},         {"safe", filter_safe},
};

const struct hv_jfilter *hv_jfilter_find(struct hv_jstr name)
{
    for (size_t i = 0; i < HB_COUNT(filter_table); i++)
        if (hv_jis(name, filter_table[i].name))
            return &filter_table[i];
    return NULL;
}

/* ---- tests ---- */

#define TEST_OF(name, expression)                                                                  \
    static hearth_status test_##name(struct hv_jrun *run, const struct hv_jval *in,                \
                                     const struct hv_jargs *args, bool *out)                       \
    {                                                                                              \
        *out = (expression);                                                                       \
        return HEARTH_OK;                                                                          \
    }
TEST_OF(defined, in->type != HV_J_UNDEFINED)
TEST_OF(undefined, in->type == HV_J_UNDEFINED)
TEST_OF(none, in->type == HV_J_NONE)
TEST_OF(string, in->type == HV_J_STRING)
TEST_OF(number, in->type == HV_J_INT || in->type == HV_J_FLOAT || in->type == HV_J_BOOL)
TEST_OF(integer, in->type == HV_J_INT)
TEST_OF(float, in->type == HV_J_FLOAT)
TEST_OF(boolean, in->type == HV_J_BOOL)
TEST_OF(true, in->type == HV_J_BOOL && in->as.yes)
TEST_OF(false, in->type == HV_J_BOOL && !in->as.yes)
TEST_OF(mapping, in->type == HV_J_DICT && !in->as.dict->is_namespace)
TEST_OF(iterable, in->type == HV_J_LIST || in->type == HV_J_DICT || in->type == HV_J_STRING ||
                      in->type == HV_J_UNDEFINED)
TEST_OF(sequence, in->type == HV_J_LIST || in->type == HV_J_DICT || in->type == HV_J_STRING ||
                      in->type == HV_J_UNDEFINED)
TEST_OF(callable, in->type == HV_J_MACRO || in->type == HV_J_FUNCTION)
TEST_OF(odd, in->type == HV_J_INT && in->as.i % 2 != 0)
TEST_OF(even, in->type == HV_J_INT && in->as.i % 2 == 0)
TEST_OF(divisibleby, in->type == HV_J_INT && args->n && args->at[0].type == HV_J_INT &&
                         args->at[0].as.i > 0 && in->as.i % args->at[0].as.i == 0)
TEST_OF(equalto, args->n > 0 && hv_jequal(run, in, &args->at[0]))
TEST_OF(ne, args->n > 0 && !hv_jequal(run, in, &args->at[0]))

static hearth_status test_in(struct hv_jrun *run, const struct hv_jval *in,
                             const struct hv_jargs *args, bool *out)
{
    if (args->n == 0)
        return HV_JFAIL(run, HEARTH_E_FORMAT, "test %s needs an argument", "in");
    return hv_jcontains(run, &args->at[0], in, out);
}

static const struct hv_jtest test_table[] = {
    {"defined", test_defined},   {"undefined", test_undefined}, {"none", test_none},
    {"string", test_string},     {"number", test_number},       {"integer", test_integer},
    {"float", test_float},       {"boolean", test_boolean},     {"true", test_true},
    {"false", test_false},       {"mapping", test_mapping},     {"iterable", test_iterable},
    {"sequence", test_sequence}, {"callable", test_callable},   {"odd", test_odd},
    {"even", test_even},         {"divisibleby", test_divisibleby}, {"equalto", test_equalto},
    {"eq", test_equalto},        {"==", test_equalto},          {"sameas", test_equalto},
    {"ne", test_ne},             {"!=", test_ne},               {"in", test_in},
};

const struct hv_jtest *hv_jtest_find(struct hv_jstr name)
{
    for (size_t i = 0; i < HB_COUNT(test_table); i++)
        if (hv_jis(name, test_table[i].name))
            return &test_table[i];
    return NULL;
}

/* ---- functions ---- */

static hearth_status function_raise(struct hv_jrun *run, const struct hv_jargs *args,
                                    struct hv_jval *out)
{
    struct hv_jstr s = hv_jlit("no reason given");
    if (args->n)
        HB_TRY(hv_jtext(run, &args->at[0], &s));
    return hb_fail(run->err, HEARTH_E_ARGUMENT, "chat: the template refuses these messages: %.*s",
                   (int)(s.n > 160 ? 160 : s.n), s.b);
}

static hearth_status function_namespace(struct hv_jrun *run, const struct hv_jargs *args,
                                        struct hv_jval *out)
{
    struct hv_jdict *dict;
    HB_TRY(HV_JNEW(run, struct hv_jdict, 1, &dict));
    if (args->n && args->at[0].type == HV_J_DICT)
        for (size_t i = 0; i < args->at[0].as.dict->n; i++)
            HB_TRY(hv_jdict_put(run, dict, args->at[0].as.dict->at[i].key,
                                args->at[0].as.dict->at[i].value));
    for (size_t i = 0; i < args->n_named; i++)
        HB_TRY(hv_jdict_put(run, dict, args->named[i].key, args->named[i].value));
    *out = (struct hv_jval){.type = HV_J_DICT, .as.dict = dict};
    return HEARTH_OK;
}

static hearth_status function_make_namespace(struct hv_jrun *run, const struct hv_jargs *args,
                                             struct hv_jval *out)
{
    HB_TRY(function_namespace(run, args, out));
    out->as.dict->is_namespace = true;
    return HEARTH_OK;
}

static hearth_status function_range(struct hv_jrun *run, const struct hv_jargs *args,
                                    struct hv_jval *out)
{
    int64_t from = 0, to = 0, step = 1;
    for (size_t i = 0; i < args->n; i++)
        HB_TRY(hv_jwant(run, &args->at[i], HV_J_INT, "range"));
    if (args->n == 0 || args->n > 3)
        return HV_JFAIL(run, HEARTH_E_FORMAT, "range takes 1 to 3 numbers; found %zu", args->n);
    to = args->at[args->n > 1].as.i;
    from = args->n > 1 ? args->at[0].as.i : 0;
    step = args->n > 2 ? args->at[2].as.i : 1;
    if (step == 0 || from > INT32_MAX || from < INT32_MIN || to > INT32_MAX || to < INT32_MIN ||
        step > INT32_MAX || step < INT32_MIN)
        return HV_JFAIL(run, HEARTH_E_LIMIT, "a range from %lld to %lld", (long long)from,
                        (long long)to);
    int64_t n = step > 0 ? (to - from + step - 1) / step : (from - to - step - 1) / -step;
    n = (step > 0 ? to > from : to < from) ? n : 0;
    HB_TRY(hv_jcharge(run, (uint64_t)n));
    HB_TRY(hv_jlist(run, (size_t)n, out));
    for (int64_t i = 0; i < n; i++)
        out->as.list->at[i] = hv_jint(from + i * step);
    return HEARTH_OK;
}

/* Civil date of a day number since 1970-01-01 (Hinnant, "chrono-Compatible Low-Level Date
 * Algorithms"). */
static void function_civil(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    unsigned doe = (unsigned)(days - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    *day = doy - (153 * mp + 2) / 5 + 1;
    *month = mp < 10 ? mp + 3 : mp - 9;
    *year = (int64_t)yoe + era * 400 + (*month <= 2);
}

static hearth_status function_time(struct hv_jrun *run, const struct hv_jargs *args,
                                   struct hv_jval *out)
{
    static const char *const months[] = {"January", "February", "March", "April", "May", "June",
                                         "July", "August", "September", "October", "November",
                                         "December"};
    static const char *const weekdays[] = {"Thursday", "Friday", "Saturday", "Sunday", "Monday",
                                           "Tuesday", "Wednesday"}; /* 1970-01-01 first */
    int64_t days = run->now / 86400, second = run->now % 86400, year;
    unsigned month, day;
    struct hv_marked buf;
    HB_TRY(hv_jwant(run, hv_jarg(args, 0, "format"), HV_J_STRING, "strftime_now"));
    if (second < 0) {
        days--;
        second += 86400;
    }
    function_civil(days, &year, &month, &day);
    const char *weekday = weekdays[((days % 7) + 7) % 7];
    struct hv_jstr f = hv_jarg(args, 0, "format")->as.s;
    hv_jbuf_open(run, &buf);
    for (size_t i = 0; i < f.n; i++) {
        char text[24];
        size_t n = 0;
        unsigned value = 0;
        if (f.b[i] != '%' || i + 1 == f.n) {
            HB_TRY(hv_jbuf_str(run, &buf, hv_jcut(f, i, i + 1)));
            continue;
        }
        switch (f.b[++i]) {
        case 'Y': n = hb_format(text, sizeof text, "%lld", (long long)year); break;
        case 'B': n = hb_format(text, sizeof text, "%s", months[month - 1]); break;
        case 'b': n = hb_format(text, sizeof text, "%.*s", 3, months[month - 1]); break;
        case 'A': n = hb_format(text, sizeof text, "%s", weekday); break;
        case 'a': n = hb_format(text, sizeof text, "%.*s", 3, weekday); break;
        case '%': n = hb_format(text, sizeof text, "%%"); break;
        case 'd': value = day; break;
        case 'm': value = month; break;
        case 'y': value = (unsigned)(year % 100); break;
        case 'H': value = (unsigned)(second / 3600); break;
        case 'M': value = (unsigned)(second / 60 % 60); break;
        case 'S': value = (unsigned)(second % 60); break;
        default:
            return HV_JFAIL(run, HEARTH_E_UNSUPPORTED, "strftime_now knows no %%%c", f.b[i]);
        }
        if (n == 0)
            n = hb_format(text, sizeof text, "%u%u", value / 10, value % 10);
        HB_TRY(hv_marked_fill(&buf, text, n, 0, run->err));
    }
    *out = hv_jstring(hv_jbuf_close(&buf));
    return HEARTH_OK;
}

const struct hv_jfunction hv_jfunctions[] = {
    {"raise_exception", function_raise},
    {"namespace", function_make_namespace},
    {"dict", function_namespace},
    {"range", function_range},
    {"strftime_now", function_time},
    {NULL, NULL},
};

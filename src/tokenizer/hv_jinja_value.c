/* Values of templates: comparing, printing, looking into. Like Python's, as far as templates see. */
#include "tokenizer/hv_jinja.h"

hearth_status hv_jcharge(struct hv_jrun *run, uint64_t steps)
{
    run->steps += steps;
    if (run->steps > run->max_steps)
        return HV_JFAIL(run, HEARTH_E_LIMIT, "more than %llu steps",
                        (unsigned long long)run->max_steps);
    return HEARTH_OK;
}

hearth_status hv_jtake(struct hv_jrun *run, size_t count, size_t size, void **out)
{
    size_t bytes;
    if (!hb_mul_size(count, size, &bytes) || bytes > run->max_bytes - run->bytes_used)
        return HV_JFAIL(run, HEARTH_E_LIMIT, "more than %zu bytes of memory", run->max_bytes);
    run->bytes_used += bytes;
    return hb_arena_take(run->arena, bytes, 16, out, run->err);
}

const char *hv_jtype_name(enum hv_jtype type)
{
    static const char *const names[] = {"an undefined value", "none", "a boolean", "a whole number",
                                        "a real number", "a text", "a list", "a mapping", "a loop",
                                        "a macro", "a function"};
    return names[type];
}

bool hv_jtruth(const struct hv_jval *v)
{
    switch (v->type) {
    case HV_J_UNDEFINED:
    case HV_J_NONE:
        return false;
    case HV_J_BOOL:
        return v->as.yes;
    case HV_J_INT:
        return v->as.i != 0;
    case HV_J_FLOAT:
        return v->as.f != 0;
    case HV_J_STRING:
        return v->as.s.n != 0;
    case HV_J_LIST:
        return v->as.list->n != 0;
    case HV_J_DICT:
        return v->as.dict->n != 0 || v->as.dict->is_namespace;
    default:
        return true;
    }
}

/* A number as both forms: booleans count as 0 and 1. */
bool hv_jnumber(const struct hv_jval *v, double *f, int64_t *i, bool *whole)
{
    *whole = v->type != HV_J_FLOAT;
    *i = v->type == HV_J_BOOL ? v->as.yes : v->type == HV_J_INT ? v->as.i : 0;
    *f = v->type == HV_J_FLOAT ? v->as.f : (double)*i;
    return v->type == HV_J_BOOL || v->type == HV_J_INT || v->type == HV_J_FLOAT;
}

static bool value_equal_dicts(struct hv_jrun *run, const struct hv_jdict *a, const struct hv_jdict *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        const struct hv_jval *other =
            a->at[i].key.type == HV_J_STRING ? hv_jdict_get(b, a->at[i].key.as.s) : NULL;
        if (!other || !hv_jequal(run, &a->at[i].value, other))
            return false;
    }
    return true;
}

bool hv_jequal(struct hv_jrun *run, const struct hv_jval *a, const struct hv_jval *b)
{
    double fa, fb;
    int64_t ia, ib;
    bool wa, wb;
    if (hv_jcharge(run, 1) != HEARTH_OK || run->depth >= HV_J_MAX_DEPTH)
        return false;
    if (hv_jnumber(a, &fa, &ia, &wa) && hv_jnumber(b, &fb, &ib, &wb))
        return wa && wb ? ia == ib : fa == fb;
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case HV_J_UNDEFINED:
    case HV_J_NONE:
        return true;
    case HV_J_STRING:
        return a->as.s.n == b->as.s.n && memcmp(a->as.s.b, b->as.s.b, a->as.s.n) == 0;
    case HV_J_LIST: {
        bool same = a->as.list->n == b->as.list->n;
        run->depth++;
        for (size_t i = 0; same && i < a->as.list->n; i++)
            same = hv_jequal(run, &a->as.list->at[i], &b->as.list->at[i]);
        run->depth--;
        return same;
    }
    case HV_J_DICT: {
        run->depth++;
        bool same = value_equal_dicts(run, a->as.dict, b->as.dict);
        run->depth--;
        return same;
    }
    default:
        return a->as.macro == b->as.macro;
    }
}

hearth_status hv_jcompare(struct hv_jrun *run, const struct hv_jval *a, const struct hv_jval *b,
                          int *order)
{
    double fa, fb;
    int64_t ia, ib;
    bool wa, wb;
    if (hv_jnumber(a, &fa, &ia, &wa) && hv_jnumber(b, &fb, &ib, &wb)) {
        *order = wa && wb ? (ia > ib) - (ia < ib) : (fa > fb) - (fa < fb);
        return HEARTH_OK;
    }
    if (a->type != HV_J_STRING || b->type != HV_J_STRING)
        return HV_JFAIL(run, HEARTH_E_FORMAT, "%s and %s have no order", hv_jtype_name(a->type),
                        hv_jtype_name(b->type));
    size_t n = a->as.s.n < b->as.s.n ? a->as.s.n : b->as.s.n;
    int c = memcmp(a->as.s.b, b->as.s.b, n);
    *order = c ? (c > 0) - (c < 0) : (a->as.s.n > b->as.s.n) - (a->as.s.n < b->as.s.n);
    return hv_jcharge(run, n / 64);
}

hearth_status hv_jcontains(struct hv_jrun *run, const struct hv_jval *in, const struct hv_jval *what,
                           bool *out)
{
    *out = false;
    if (in->type == HV_J_STRING && what->type == HV_J_STRING) {
        *out = hv_jfind(in->as.s, what->as.s, 0) != SIZE_MAX;
        return hv_jcharge(run, in->as.s.n / 64);
    }
    if (in->type == HV_J_UNDEFINED)
        return HEARTH_OK;
    if (in->type == HV_J_DICT) {
        *out = what->type == HV_J_STRING && hv_jdict_get(in->as.dict, what->as.s);
        return hv_jcharge(run, in->as.dict->n / 8);
    }
    if (in->type != HV_J_LIST)
        return HV_JFAIL(run, HEARTH_E_FORMAT, "`in` needs a text, list or mapping; found %s",
                        hv_jtype_name(in->type));
    for (size_t i = 0; i < in->as.list->n && !*out; i++)
        *out = hv_jequal(run, &in->as.list->at[i], what);
    return hv_jcharge(run, 0);
}

hearth_status hv_jlist(struct hv_jrun *run, size_t n, struct hv_jval *out)
{
    struct hv_jlist *list;
    HB_TRY(hv_jcharge(run, n / 4));
    HB_TRY(HV_JNEW(run, struct hv_jlist, 1, &list));
    HB_TRY(HV_JNEW(run, struct hv_jval, n, &list->at));
    list->n = n;
    *out = (struct hv_jval){.type = HV_J_LIST, .as.list = list};
    return HEARTH_OK;
}

hearth_status hv_jitems(struct hv_jrun *run, const struct hv_jval *from, struct hv_jval *out)
{
    const struct hv_jval copy = *from, *v = &copy; /* they may be one */
    switch (v->type) {
    case HV_J_LIST:
        *out = *v;
        return HEARTH_OK;
    case HV_J_UNDEFINED:
        return hv_jlist(run, 0, out);
    case HV_J_DICT:
        HB_TRY(hv_jlist(run, v->as.dict->n, out));
        for (size_t i = 0; i < v->as.dict->n; i++)
            out->as.list->at[i] = v->as.dict->at[i].key;
        return HEARTH_OK;
    case HV_J_STRING: {
        size_t n = hv_jchars(v->as.s), at = 0;
        HB_TRY(hv_jlist(run, n, out));
        for (size_t i = 0; i < n; i++) {
            uint32_t cp;
            size_t len = hb_utf8_take((const uint8_t *)v->as.s.b + at, v->as.s.n - at, &cp);
            out->as.list->at[i] = hv_jstring(hv_jcut(v->as.s, at, at + len));
            at += len;
        }
        return HEARTH_OK;
    }
    default:
        return HV_JFAIL(run, HEARTH_E_FORMAT, "cannot walk over %s", hv_jtype_name(v->type));
    }
}

hearth_status hv_jlength(struct hv_jrun *run, const struct hv_jval *v, int64_t *n)
{
    switch (v->type) {
    case HV_J_UNDEFINED:
        *n = 0;
        return HEARTH_OK;
    case HV_J_STRING:
        *n = (int64_t)hv_jchars(v->as.s);
        return hv_jcharge(run, v->as.s.n / 64);
    case HV_J_LIST:
        *n = (int64_t)v->as.list->n;
        return HEARTH_OK;
    case HV_J_DICT:
        *n = (int64_t)v->as.dict->n;
        return HEARTH_OK;
    default:
        return HV_JFAIL(run, HEARTH_E_FORMAT, "%s has no length", hv_jtype_name(v->type));
    }
}

/* ---- mappings, attributes ---- */

const struct hv_jval *hv_jdict_get(const struct hv_jdict *dict, struct hv_jstr key)
{
    for (size_t i = 0; i < dict->n; i++) {
        const struct hv_jval *k = &dict->at[i].key;
        if (k->type == HV_J_STRING && k->as.s.n == key.n && memcmp(k->as.s.b, key.b, key.n) == 0)
            return &dict->at[i].value;
    }
    return NULL;
}

hearth_status hv_jdict_put(struct hv_jrun *run, struct hv_jdict *dict, struct hv_jval key,
                           struct hv_jval value)
{
    HB_TRY(hv_jcharge(run, dict->n / 8));
    if (key.type != HV_J_STRING)
        return HV_JFAIL(run, HEARTH_E_FORMAT, "a key is %s; texts are accepted",
                        hv_jtype_name(key.type));
    const struct hv_jval *old = hv_jdict_get(dict, key.as.s);
    if (old) {
        dict->at[((const char *)old - (const char *)dict->at) / (ptrdiff_t)sizeof *dict->at].value =
            value;
        return HEARTH_OK;
    }
    if (dict->n == dict->capacity) {
        struct hv_jpair *at;
        size_t capacity = dict->capacity * 2 + 4;
        HB_TRY(HV_JNEW(run, struct hv_jpair, capacity, &at));
        if (dict->n)
            memcpy(at, dict->at, dict->n * sizeof *at);
        dict->at = at;
        dict->capacity = capacity;
    }
    dict->at[dict->n++] = (struct hv_jpair){key, value};
    return HEARTH_OK;
}

static void value_loop_attr(const struct hv_jloop *loop, struct hv_jstr name, struct hv_jval *out)
{
    size_t i = loop->i, n = loop->items->n;
    if (hv_jis(name, "index"))
        *out = hv_jint((int64_t)i + 1);
    else if (hv_jis(name, "index0"))
        *out = hv_jint((int64_t)i);
    else if (hv_jis(name, "revindex"))
        *out = hv_jint((int64_t)(n - i));
    else if (hv_jis(name, "revindex0"))
        *out = hv_jint((int64_t)(n - i - 1));
    else if (hv_jis(name, "first"))
        *out = hv_jbool(i == 0);
    else if (hv_jis(name, "last"))
        *out = hv_jbool(i + 1 == n);
    else if (hv_jis(name, "length"))
        *out = hv_jint((int64_t)n);
    else if (hv_jis(name, "depth"))
        *out = hv_jint((int64_t)loop->depth);
    else if (hv_jis(name, "depth0"))
        *out = hv_jint((int64_t)loop->depth - 1);
    else if (hv_jis(name, "previtem") && i > 0)
        *out = loop->items->at[i - 1];
    else if (hv_jis(name, "nextitem") && i + 1 < n)
        *out = loop->items->at[i + 1];
}

hearth_status hv_jattr(struct hv_jrun *run, const struct hv_jval *v, struct hv_jstr name,
                       struct hv_jval *out)
{
    struct hv_jval got = hv_jundefined(name);
    if (v->type == HV_J_UNDEFINED)
        return HV_JFAIL(run, HEARTH_E_FORMAT, "%.*s is undefined and has no .%.*s", (int)v->as.s.n,
                        v->as.s.b, (int)name.n, name.b);
    if (v->type == HV_J_DICT) {
        const struct hv_jval *value = hv_jdict_get(v->as.dict, name);
        HB_TRY(hv_jcharge(run, v->as.dict->n / 8));
        if (value)
            got = *value;
    } else if (v->type == HV_J_LOOP) {
        value_loop_attr(v->as.loop, name, &got);
    }
    *out = got;
    return HEARTH_OK;
}

hearth_status hv_jitem(struct hv_jrun *run, const struct hv_jval *v, const struct hv_jval *key,
                       struct hv_jval *out)
{
    struct hv_jval got = hv_jundefined(key->type == HV_J_STRING ? key->as.s : hv_jlit("an item"));
    if (key->type == HV_J_STRING || v->type == HV_J_UNDEFINED || v->type == HV_J_DICT)
        return hv_jattr(run, v, got.as.s, out);
    if (key->type == HV_J_INT && v->type == HV_J_LIST) {
        int64_t n = (int64_t)v->as.list->n, i = key->as.i < 0 ? key->as.i + n : key->as.i;
        if (i >= 0 && i < n)
            got = v->as.list->at[i];
    } else if (key->type == HV_J_INT && v->type == HV_J_STRING) {
        struct hv_jval chars;
        HB_TRY(hv_jitems(run, v, &chars));
        return hv_jitem(run, &chars, key, out);
    }
    *out = got;
    return HEARTH_OK;
}

const struct hv_jval *hv_jarg(const struct hv_jargs *args, size_t i, const char *name)
{
    if (i < args->n)
        return &args->at[i];
    for (size_t k = 0; k < args->n_named; k++)
        if (hv_jis(args->named[k].key.as.s, name))
            return &args->named[k].value;
    return NULL;
}

hearth_status hv_jwant(struct hv_jrun *run, const struct hv_jval *v, enum hv_jtype type,
                       const char *who)
{
    if (!v)
        return HV_JFAIL(run, HEARTH_E_FORMAT, "%s needs %s", who, hv_jtype_name(type));
    if (v->type != type)
        return HV_JFAIL(run, HEARTH_E_FORMAT, "%s needs %s; found %s", who, hv_jtype_name(type),
                        hv_jtype_name(v->type));
    return HEARTH_OK;
}

/* ---- printing ---- */

static hearth_status print_lit(struct hv_jrun *run, struct hv_marked *buf, const char *text)
{
    return hv_jbuf_str(run, buf, hv_jlit(text));
}

/* In Python's quotes: single ones, unless there is one inside and no double one. */
static hearth_status print_quoted(struct hv_jrun *run, struct hv_marked *buf, struct hv_jstr s)
{
    bool has_single = memchr(s.b, '\'', s.n) != NULL, has_double = memchr(s.b, '"', s.n) != NULL;
    const char *quote = has_single && !has_double ? "\"" : "'";
    HB_TRY(print_lit(run, buf, quote));
    for (size_t i = 0; i < s.n; i++) {
        const char *escape = s.b[i] == '\n'   ? "\\n"
                             : s.b[i] == '\t' ? "\\t"
                             : s.b[i] == '\r' ? "\\r"
                             : s.b[i] == '\\' ? "\\\\"
                             : s.b[i] == *quote ? "\\'"
                                                : NULL;
        if (escape)
            HB_TRY(hv_marked_fill(buf, escape, 2, s.mark ? s.mark[i] : 0, run->err));
        else
            HB_TRY(hv_jbuf_str(run, buf, hv_jcut(s, i, i + 1)));
    }
    return print_lit(run, buf, quote);
}

static hearth_status print_float(struct hv_jrun *run, struct hv_marked *buf, double f)
{
    char text[40];
    size_t n = hb_format(text, sizeof text - 2, "%g", f);
    bool whole = true;
    for (size_t i = 0; i < n; i++)
        whole &= text[i] == '-' || (text[i] >= '0' && text[i] <= '9');
    if (whole)
        memcpy(text + n, ".0", 3);
    return print_lit(run, buf, text);
}

static hearth_status print_elements(struct hv_jrun *run, struct hv_marked *buf,
                                    const struct hv_jval *v)
{
    bool dict = v->type == HV_J_DICT;
    size_t n = dict ? v->as.dict->n : v->as.list->n;
    HB_TRY(print_lit(run, buf, dict ? "{" : "["));
    for (size_t i = 0; i < n; i++) {
        if (i)
            HB_TRY(print_lit(run, buf, ", "));
        if (dict) {
            HB_TRY(hv_jprint(run, buf, &v->as.dict->at[i].key, true));
            HB_TRY(print_lit(run, buf, ": "));
        }
        HB_TRY(hv_jprint(run, buf, dict ? &v->as.dict->at[i].value : &v->as.list->at[i], true));
    }
    return print_lit(run, buf, dict ? "}" : "]");
}

hearth_status hv_jprint(struct hv_jrun *run, struct hv_marked *buf, const struct hv_jval *v,
                        bool quoted)
{
    char number[32];
    HB_TRY(hv_jcharge(run, 1));
    switch (v->type) {
    case HV_J_UNDEFINED:
        return HEARTH_OK;
    case HV_J_NONE:
        return print_lit(run, buf, "None");
    case HV_J_BOOL:
        return print_lit(run, buf, v->as.yes ? "True" : "False");
    case HV_J_INT:
        hb_format(number, sizeof number, "%lld", (long long)v->as.i);
        return print_lit(run, buf, number);
    case HV_J_FLOAT:
        return print_float(run, buf, v->as.f);
    case HV_J_STRING:
        return quoted ? print_quoted(run, buf, v->as.s) : hv_jbuf_str(run, buf, v->as.s);
    case HV_J_LIST:
    case HV_J_DICT: {
        if (++run->depth > HV_J_MAX_DEPTH)
            return HV_JFAIL(run, HEARTH_E_LIMIT, "deeper than %d", HV_J_MAX_DEPTH);
        hearth_status status = print_elements(run, buf, v);
        run->depth--;
        return status;
    }
    default:
        return HV_JFAIL(run, HEARTH_E_FORMAT, "%s cannot be printed", hv_jtype_name(v->type));
    }
}

hearth_status hv_jtext(struct hv_jrun *run, const struct hv_jval *v, struct hv_jstr *out)
{
    struct hv_marked buf;
    if (v->type == HV_J_STRING) {
        *out = v->as.s;
        return HEARTH_OK;
    }
    hv_jbuf_open(run, &buf);
    HB_TRY(hv_jprint(run, &buf, v, false));
    *out = hv_jbuf_close(&buf);
    return HEARTH_OK;
}

/* ---- JSON, as json.dumps(ensure_ascii=False) prints it ---- */

static hearth_status jinja_json_string(struct hv_jrun *run, struct hv_marked *buf, struct hv_jstr s)
{
    static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
    HB_TRY(print_lit(run, buf, "\""));
    for (size_t i = 0, begin = 0; i <= s.n; i++) {
        bool plain = i < s.n && (uint8_t)s.b[i] >= 0x20 && s.b[i] != '"' && s.b[i] != '\\';
        if (plain)
            continue;
        HB_TRY(hv_jbuf_str(run, buf, hv_jcut(s, begin, i)));
        begin = i + 1;
        if (i == s.n)
            break;
        char escape[8] = {'\\', 0};
        const char *known = memchr(from, s.b[i], sizeof from - 1);
        if (known)
            escape[1] = to[known - from];
        else
            hb_format(escape, sizeof escape, "\\u00%c%c", "0123456789abcdef"[s.b[i] >> 4 & 15],
                      "0123456789abcdef"[s.b[i] & 15]);
        HB_TRY(hv_marked_fill(buf, escape, strlen(escape), s.mark ? s.mark[i] : 0, run->err));
    }
    return print_lit(run, buf, "\"");
}

static hearth_status json_break(struct hv_jrun *run, struct hv_marked *buf, int64_t indent,
                                int64_t level)
{
    if (indent < 0)
        return HEARTH_OK;
    HB_TRY(print_lit(run, buf, "\n"));
    for (int64_t i = 0; i < indent * level; i++)
        HB_TRY(print_lit(run, buf, " "));
    return HEARTH_OK;
}

static hearth_status json_elements(struct hv_jrun *run, struct hv_marked *buf,
                                   const struct hv_jval *v, int64_t indent, int64_t level)
{
    bool dict = v->type == HV_J_DICT;
    size_t n = dict ? v->as.dict->n : v->as.list->n;
    HB_TRY(print_lit(run, buf, dict ? "{" : "["));
    for (size_t i = 0; i < n; i++) {
        if (i)
            HB_TRY(print_lit(run, buf, indent < 0 ? ", " : ","));
        HB_TRY(json_break(run, buf, indent, level + 1));
        if (dict) {
            HB_TRY(hv_jjson(run, buf, &v->as.dict->at[i].key, indent, level + 1));
            HB_TRY(print_lit(run, buf, ": "));
        }
        HB_TRY(hv_jjson(run, buf, dict ? &v->as.dict->at[i].value : &v->as.list->at[i], indent,
                        level + 1));
    }
    if (n)
        HB_TRY(json_break(run, buf, indent, level));
    return print_lit(run, buf, dict ? "}" : "]");
}

hearth_status hv_jjson(struct hv_jrun *run, struct hv_marked *buf, const struct hv_jval *v,
                       int64_t indent, int64_t level)
{
    HB_TRY(hv_jcharge(run, 1));
    switch (v->type) {
    case HV_J_NONE:
        return print_lit(run, buf, "null");
    case HV_J_BOOL:
        return print_lit(run, buf, v->as.yes ? "true" : "false");
    case HV_J_STRING:
        return jinja_json_string(run, buf, v->as.s);
    case HV_J_INT:
    case HV_J_FLOAT:
        return hv_jprint(run, buf, v, false);
    case HV_J_LIST:
    case HV_J_DICT: {
        if (++run->depth > HV_J_MAX_DEPTH)
            return HV_JFAIL(run, HEARTH_E_LIMIT, "deeper than %d", HV_J_MAX_DEPTH);
        hearth_status status = json_elements(run, buf, v, indent, level);
        run->depth--;
        return status;
    }
    default:
        return HV_JFAIL(run, HEARTH_E_FORMAT, "tojson cannot write %s", hv_jtype_name(v->type));
    }
}

/* Methods of texts and mappings that templates call, as Python has them: a row each. */
#include "tokenizer/hv_jinja.h"

struct method_call {
    struct hv_jrun *run;
    const struct hv_jval *self;
    const struct hv_jargs *args;
    struct hv_jval *out;
};

/* The text argument i, or none where it is absent and may be. */
static hearth_status method_text(const struct method_call *c, size_t i, const char *name, bool required,
                                 struct hv_jstr *out, bool *given)
{
    const struct hv_jval *v = hv_jarg(c->args, i, name);
    *given = v && v->type != HV_J_NONE;
    if (!*given && !required)
        return HEARTH_OK;
    HB_TRY(hv_jwant(c->run, v, HV_J_STRING, "a method"));
    *out = v->as.s;
    return HEARTH_OK;
}

static hearth_status method_strip(const struct method_call *c, bool left, bool right)
{
    struct hv_jstr set = {NULL, NULL, 0};
    bool given;
    HB_TRY(method_text(c, 0, "chars", false, &set, &given));
    HB_TRY(hv_jcharge(c->run, c->self->as.s.n / 64 + 1));
    *c->out = hv_jstring(hv_jstrip(c->self->as.s, given ? &set : NULL, left, right));
    return HEARTH_OK;
}
static hearth_status method_strip_both(const struct method_call *c)
{
    return method_strip(c, true, true);
}
static hearth_status method_lstrip(const struct method_call *c)
{
    return method_strip(c, true, false);
}
static hearth_status method_rstrip(const struct method_call *c)
{
    return method_strip(c, false, true);
}

/* startswith, endswith: a text, or a list of them. */
static hearth_status method_edge(const struct method_call *c, bool end)
{
    const struct hv_jval *v = hv_jarg(c->args, 0, "prefix");
    struct hv_jstr s = c->self->as.s;
    struct hv_jlist one;
    bool yes = false;
    if (v && v->type != HV_J_LIST)
        HB_TRY(hv_jwant(c->run, v, HV_J_STRING, end ? "endswith" : "startswith"));
    if (!v)
        return hv_jwant(c->run, v, HV_J_STRING, end ? "endswith" : "startswith");
    one = v->type == HV_J_LIST ? *v->as.list : (struct hv_jlist){(struct hv_jval *)(uintptr_t)v, 1};
    for (size_t i = 0; i < one.n && !yes; i++) {
        struct hv_jstr p = one.at[i].type == HV_J_STRING ? one.at[i].as.s : (struct hv_jstr){0};
        yes = p.b && p.n <= s.n && memcmp(s.b + (end ? s.n - p.n : 0), p.b, p.n) == 0;
    }
    *c->out = hv_jbool(yes);
    return HEARTH_OK;
}
static hearth_status method_startswith(const struct method_call *c)
{
    return method_edge(c, false);
}
static hearth_status method_endswith(const struct method_call *c)
{
    return method_edge(c, true);
}

/* Without a separator: at white space, and no empty pieces. */
static hearth_status method_split(const struct method_call *c)
{
    struct hv_jstr s = c->self->as.s, by = {NULL, NULL, 0};
    const struct hv_jval *most = hv_jarg(c->args, 1, "maxsplit");
    int64_t left = most && most->type == HV_J_INT ? most->as.i : -1;
    bool given;
    HB_TRY(method_text(c, 0, "sep", false, &by, &given));
    if (given && by.n == 0)
        return HV_JFAIL(c->run, HEARTH_E_FORMAT, "split by an empty text%s", "");
    size_t capacity = 2;
    for (size_t i = 0; i < s.n; i++)
        capacity += given ? s.b[i] == by.b[0] : s.b[i] == ' ' || (s.b[i] >= '\t' && s.b[i] <= '\r');
    HB_TRY(hv_jcharge(c->run, s.n / 64));
    HB_TRY(hv_jlist(c->run, capacity, c->out));
    size_t n = 0;
    for (size_t at = 0; given;) {
        size_t found = left == 0 ? SIZE_MAX : hv_jfind(s, by, at);
        c->out->as.list->at[n++] = hv_jstring(hv_jcut(s, at, found == SIZE_MAX ? s.n : found));
        if (found == SIZE_MAX)
            break;
        at = found + by.n;
        left -= left > 0;
    }
    for (size_t at = 0; !given && at < s.n;) {
        while (at < s.n && (s.b[at] == ' ' || (s.b[at] >= '\t' && s.b[at] <= '\r')))
            at++;
        size_t end = at;
        while (end < s.n && (left == 0 || !(s.b[end] == ' ' || (s.b[end] >= '\t' && s.b[end] <= '\r'))))
            end++;
        if (end > at)
            c->out->as.list->at[n++] = hv_jstring(hv_jcut(s, at, end));
        at = end;
        left -= left > 0;
    }
    c->out->as.list->n = n;
    return HEARTH_OK;
}

static hearth_status method_replace(const struct method_call *c)
{
    struct hv_jstr old, new_text, out;
    const struct hv_jval *most = hv_jarg(c->args, 2, "count");
    bool given;
    HB_TRY(method_text(c, 0, "old", true, &old, &given));
    HB_TRY(method_text(c, 1, "new", true, &new_text, &given));
    HB_TRY(hv_jreplace(c->run, c->self->as.s, old, new_text,
                       most && most->type == HV_J_INT ? most->as.i : -1, &out));
    *c->out = hv_jstring(out);
    return HEARTH_OK;
}

static hearth_status method_find(const struct method_call *c)
{
    struct hv_jstr what;
    bool given;
    HB_TRY(method_text(c, 0, "sub", true, &what, &given));
    HB_TRY(hv_jcharge(c->run, c->self->as.s.n / 64));
    size_t at = hv_jfind(c->self->as.s, what, 0);
    *c->out = hv_jint(at == SIZE_MAX ? -1 : (int64_t)hv_jchars(hv_jcut(c->self->as.s, 0, at)));
    return HEARTH_OK;
}

static hearth_status method_count(const struct method_call *c)
{
    struct hv_jstr what;
    bool given;
    int64_t n = 0;
    HB_TRY(method_text(c, 0, "sub", true, &what, &given));
    HB_TRY(hv_jcharge(c->run, c->self->as.s.n / 64));
    for (size_t at = 0; what.n && (at = hv_jfind(c->self->as.s, what, at)) != SIZE_MAX; at += what.n)
        n++;
    *c->out = hv_jint(n);
    return HEARTH_OK;
}

/* Those that are filters too. */
static hearth_status method_filter(const struct method_call *c, const char *name)
{
    return hv_jfilter_find(hv_jlit(name))->fn(c->run, c->self, c->args, c->out);
}
static hearth_status method_upper(const struct method_call *c)
{
    return method_filter(c, "upper");
}
static hearth_status method_lower(const struct method_call *c)
{
    return method_filter(c, "lower");
}
static hearth_status method_title(const struct method_call *c)
{
    return method_filter(c, "title");
}
static hearth_status method_capitalize(const struct method_call *c)
{
    return method_filter(c, "capitalize");
}
static hearth_status method_join(const struct method_call *c)
{
    struct hv_jargs args = {.at = (struct hv_jval *)(uintptr_t)c->self, .n = 1};
    if (c->args->n != 1)
        return HV_JFAIL(c->run, HEARTH_E_FORMAT, "join takes 1 argument; found %zu", c->args->n);
    return hv_jfilter_find(hv_jlit("join"))->fn(c->run, &c->args->at[0], &args, c->out);
}

/* ---- mappings ---- */

static hearth_status method_items(const struct method_call *c)
{
    return method_filter(c, "items");
}

static hearth_status method_keys(const struct method_call *c)
{
    return hv_jitems(c->run, c->self, c->out);
}

static hearth_status method_values(const struct method_call *c)
{
    const struct hv_jdict *dict = c->self->as.dict;
    HB_TRY(hv_jlist(c->run, dict->n, c->out));
    for (size_t i = 0; i < dict->n; i++)
        c->out->as.list->at[i] = dict->at[i].value;
    return HEARTH_OK;
}

static hearth_status method_get(const struct method_call *c)
{
    const struct hv_jval *other = hv_jarg(c->args, 1, "default");
    struct hv_jstr key;
    bool given;
    HB_TRY(method_text(c, 0, "key", true, &key, &given));
    HB_TRY(hv_jcharge(c->run, c->self->as.dict->n / 8));
    const struct hv_jval *v = hv_jdict_get(c->self->as.dict, key);
    *c->out = v ? *v : other ? *other : (struct hv_jval){.type = HV_J_NONE};
    return HEARTH_OK;
}

static hearth_status method_cycle(const struct method_call *c)
{
    if (c->args->n == 0)
        return HV_JFAIL(c->run, HEARTH_E_FORMAT, "cycle takes %d argument or more", 1);
    *c->out = c->args->at[c->self->as.loop->i % c->args->n];
    return HEARTH_OK;
}

static const struct {
    enum hv_jtype type;
    const char *name;
    hearth_status (*fn)(const struct method_call *c);
} method_table[] = {
    {HV_J_STRING, "strip", method_strip_both},      {HV_J_STRING, "lstrip", method_lstrip},
    {HV_J_STRING, "rstrip", method_rstrip},         {HV_J_STRING, "startswith", method_startswith},
    {HV_J_STRING, "endswith", method_endswith},     {HV_J_STRING, "split", method_split},
    {HV_J_STRING, "replace", method_replace},       {HV_J_STRING, "find", method_find},
    {HV_J_STRING, "count", method_count},           {HV_J_STRING, "upper", method_upper},
    {HV_J_STRING, "lower", method_lower},           {HV_J_STRING, "title", method_title},
    {HV_J_STRING, "capitalize", method_capitalize}, {HV_J_STRING, "join", method_join},
    {HV_J_DICT, "items", method_items},             {HV_J_DICT, "keys", method_keys},
    {HV_J_DICT, "values", method_values},           {HV_J_DICT, "get", method_get},
    {HV_J_LOOP, "cycle", method_cycle},
};

hearth_status hv_jmethod(struct hv_jrun *run, const struct hv_jval *self, struct hv_jstr name,
                         const struct hv_jargs *args, struct hv_jval *out, bool *found)
{
    const struct method_call call = {run, self, args, out};
    for (size_t i = 0; i < HB_COUNT(method_table); i++) {
        if (method_table[i].type != self->type || !hv_jis(name, method_table[i].name))
            continue;
        *found = true;
        return method_table[i].fn(&call);
    }
    return HEARTH_OK;
}

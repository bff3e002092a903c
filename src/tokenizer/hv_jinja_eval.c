/* Running templates: expressions. Recursion is along the nodes, whose height the parser bounded, and
 * through macros, which count. */
#include "tokenizer/hv_jinja.h"

static const struct hv_jbinding *eval_binding(const struct hv_jscope *scope, struct hv_jstr name)
{
    for (; scope; scope = scope->parent)
        for (const struct hv_jbinding *b = scope->first; b; b = b->next)
            if (b->name.n == name.n && memcmp(b->name.b, name.b, name.n) == 0)
                return b;
    return NULL;
}

static void eval_name(const struct hv_jrun *run, struct hv_jstr name, struct hv_jval *out)
{
    const struct hv_jbinding *b = eval_binding(run->scope, name);
    *out = b ? b->value : hv_jundefined(name);
    if (b)
        return;
    for (const struct hv_jfunction *f = hv_jfunctions; f->name; f++)
        if (hv_jis(name, f->name) && !(hv_jis(name, "strftime_now") && run->now == 0))
            *out = (struct hv_jval){.type = HV_J_FUNCTION, .as.function = f};
}

static hearth_status eval_args(struct hv_jrun *run, const struct hv_jnode *list,
                               struct hv_jargs *args)
{
    size_t n = 0;
    *args = (struct hv_jargs){0};
    for (const struct hv_jnode *arg = list; arg; arg = arg->next)
        n++;
    if (n == 0)
        return HEARTH_OK;
    HB_TRY(HV_JNEW(run, struct hv_jval, n, &args->at));
    HB_TRY(HV_JNEW(run, struct hv_jpair, n, &args->named));
    for (const struct hv_jnode *arg = list; arg; arg = arg->next) {
        struct hv_jval *slot = &args->at[args->n];
        if (arg->name.b) {
            args->named[args->n_named].key = hv_jstring(arg->name);
            slot = &args->named[args->n_named++].value;
        } else {
            args->n++;
        }
        HB_TRY(hv_jeval(run, arg->a, slot));
    }
    return HEARTH_OK;
}

/* CALL: a what is called, list the arguments. */
static hearth_status eval_call(struct hv_jrun *run, const struct hv_jnode *node, struct hv_jval *out)
{
    struct hv_jval callee, self;
    struct hv_jargs args;
    HB_TRY(eval_args(run, node->list, &args));
    if (node->a->op == HV_JN_ATTR) {
        bool found = false;
        HB_TRY(hv_jeval(run, node->a->a, &self));
        HB_TRY(hv_jmethod(run, &self, node->a->name, &args, out, &found));
        if (found)
            return HEARTH_OK;
        HB_TRY(hv_jattr(run, &self, node->a->name, &callee));
    } else {
        HB_TRY(hv_jeval(run, node->a, &callee));
    }
    run->line = node->line;
    if (callee.type == HV_J_MACRO)
        return hv_jcall_macro(run, callee.as.macro, &args, out);
    if (callee.type == HV_J_FUNCTION)
        return callee.as.function->fn(run, &args, out);
    struct hv_jstr name = node->a->op == HV_JN_ATTR || node->a->op == HV_JN_NAME ? node->a->name
                                                                                  : hv_jlit("");
    return HV_JFAIL(run, HEARTH_E_UNSUPPORTED, "%.*s is no function or method that is known",
                    (int)name.n, name.b);
}

static int64_t eval_clamp(int64_t i, int64_t n, int64_t low, int64_t high)
{
    i = i < 0 ? i + n : i;
    return i < low ? low : i > high ? high : i;
}

static hearth_status eval_slice_part(struct hv_jrun *run, const struct hv_jnode *node, int64_t *value,
                                     bool *given)
{
    struct hv_jval v = {.type = HV_J_NONE};
    if (node)
        HB_TRY(hv_jeval(run, node, &v));
    *given = v.type != HV_J_NONE;
    if (*given) {
        HB_TRY(hv_jwant(run, &v, HV_J_INT, "a slice"));
        *value = v.as.i;
    }
    return HEARTH_OK;
}

/* SLICE: a the value, b from, c to, list the step. */
static hearth_status eval_slice(struct hv_jrun *run, const struct hv_jnode *node,
                                struct hv_jval *out)
{
    struct hv_jval v, items;
    int64_t from = 0, to = 0, step = 1;
    bool has_from, has_to, has_step;
    HB_TRY(hv_jeval(run, node->a, &v));
    HB_TRY(eval_slice_part(run, node->b, &from, &has_from));
    HB_TRY(eval_slice_part(run, node->c, &to, &has_to));
    HB_TRY(eval_slice_part(run, node->list, &step, &has_step));
    run->line = node->line;
    if (step == 0 || step > INT32_MAX || step < INT32_MIN)
        return HV_JFAIL(run, HEARTH_E_FORMAT, "a slice with step %lld", (long long)step);
    HB_TRY(hv_jitems(run, &v, &items));
    int64_t n = (int64_t)items.as.list->n, count = 0;
    int64_t low = step < 0 ? -1 : 0, high = step < 0 ? n - 1 : n;
    from = has_from ? eval_clamp(from, n, low, high) : step < 0 ? n - 1 : 0;
    to = has_to ? eval_clamp(to, n, low, high) : step < 0 ? -1 : n;
    for (int64_t i = from; step > 0 ? i < to : i > to; i += step)
        count++;
    HB_TRY(hv_jlist(run, (size_t)count, out));
    for (int64_t i = 0; i < count; i++)
        out->as.list->at[i] = items.as.list->at[from + i * step];
    if (v.type != HV_J_STRING)
        return HEARTH_OK;
    struct hv_marked buf;
    hv_jbuf_open(run, &buf);
    for (int64_t i = 0; i < count; i++)
        HB_TRY(hv_jbuf_str(run, &buf, out->as.list->at[i].as.s));
    *out = hv_jstring(hv_jbuf_close(&buf));
    return HEARTH_OK;
}

/* COMPARE: a the first, list of BODY with which and a: each against the one before. */
static hearth_status eval_compare(struct hv_jrun *run, const struct hv_jnode *node,
                                  struct hv_jval *out)
{
    struct hv_jval left, right;
    bool yes = true;
    HB_TRY(hv_jeval(run, node->a, &left));
    for (const struct hv_jnode *op = node->list; op && yes; op = op->next, left = right) {
        int order = 0;
        HB_TRY(hv_jeval(run, op->a, &right));
        run->line = node->line;
        switch (op->which) {
        case 'e':
        case 'n':
            yes = hv_jequal(run, &left, &right) == (op->which == 'e');
            HB_TRY(hv_jcharge(run, 0));
            break;
        case 'i':
        case 'j':
            HB_TRY(hv_jcontains(run, &right, &left, &yes));
            yes = yes == (op->which == 'i');
            break;
        default:
            HB_TRY(hv_jcompare(run, &left, &right, &order));
            yes = op->which == 'l'   ? order < 0
                  : op->which == 'g' ? order > 0
                  : op->which == 'L' ? order <= 0
                                     : order >= 0;
        }
    }
    *out = hv_jbool(yes);
    return HEARTH_OK;
}

static hearth_status eval_whole(struct hv_jrun *run, uint8_t op, int64_t a, int64_t b,
                                struct hv_jval *out)
{
    /* wrapping: no overflow is a defect of ours */
    uint64_t x = (uint64_t)a, y = (uint64_t)b;
    if (op == '+' || op == '-' || op == '*') {
        *out = hv_jint((int64_t)(op == '+' ? x + y : op == '-' ? x - y : x * y));
        return HEARTH_OK;
    }
    if (b == 0 || (b == -1 && a == INT64_MIN))
        return HV_JFAIL(run, HEARTH_E_FORMAT, "division of %lld by %lld", (long long)a, (long long)b);
    int64_t q = a / b, r = a % b;
    bool down = r != 0 && (r < 0) != (b < 0); /* Python rounds down */
    *out = hv_jint(op == 'd' ? q - down : down ? r + b : r);
    return HEARTH_OK;
}

static hearth_status eval_numbers(struct hv_jrun *run, uint8_t op, const struct hv_jval *a,
                                  const struct hv_jval *b, struct hv_jval *out, bool *done)
{
    double fa, fb;
    int64_t ia, ib;
    bool wa, wb;
    *done = hv_jnumber(a, &fa, &ia, &wa) && hv_jnumber(b, &fb, &ib, &wb);
    if (!*done)
        return HEARTH_OK;
    if (wa && wb && op != '/')
        return eval_whole(run, op, ia, ib, out);
    if (fb == 0 && (op == '/' || op == 'd' || op == '%'))
        return HV_JFAIL(run, HEARTH_E_FORMAT, "division by %d", 0);
    if (op == 'd' || op == '%')
        return HV_JFAIL(run, HEARTH_E_UNSUPPORTED, "%s of real numbers", op == 'd' ? "//" : "%");
    *out = (struct hv_jval){.type = HV_J_FLOAT,
                            .as.f = op == '+'   ? fa + fb
                                    : op == '-' ? fa - fb
                                    : op == '*' ? fa * fb
                                                : fa / fb};
    return HEARTH_OK;
}

static hearth_status eval_repeat(struct hv_jrun *run, struct hv_jstr s, int64_t times,
                                 struct hv_jval *out)
{
    struct hv_marked buf;
    hv_jbuf_open(run, &buf);
    for (int64_t i = 0; i < times; i++) {
        HB_TRY(hv_jcharge(run, 1));
        HB_TRY(hv_jbuf_str(run, &buf, s));
    }
    *out = hv_jstring(hv_jbuf_close(&buf));
    return HEARTH_OK;
}

/* BINARY: a, b, which: + - * / % ~ or d for //. */
static hearth_status eval_binary(struct hv_jrun *run, const struct hv_jnode *node,
                                 struct hv_jval *out)
{
    struct hv_jval a, b;
    struct hv_jstr joined;
    bool done;
    HB_TRY(hv_jeval(run, node->a, &a));
    HB_TRY(hv_jeval(run, node->b, &b));
    run->line = node->line;
    bool texts = a.type == HV_J_STRING && b.type == HV_J_STRING;
    if (node->which == '~' || (node->which == '+' && texts)) {
        struct hv_jstr sa, sb;
        HB_TRY(hv_jtext(run, &a, &sa));
        HB_TRY(hv_jtext(run, &b, &sb));
        HB_TRY(hv_jjoin(run, sa, sb, &joined));
        *out = hv_jstring(joined);
        return HEARTH_OK;
    }
    HB_TRY(eval_numbers(run, node->which, &a, &b, out, &done));
    if (done)
        return HEARTH_OK;
    if (node->which == '+' && a.type == HV_J_LIST && b.type == HV_J_LIST) {
        size_t na = a.as.list->n, nb = b.as.list->n;
        HB_TRY(hv_jlist(run, na + nb, out));
        for (size_t i = 0; i < na + nb; i++)
            out->as.list->at[i] = i < na ? a.as.list->at[i] : b.as.list->at[i - na];
        return HEARTH_OK;
    }
    if (node->which == '*' && a.type == HV_J_STRING && b.type == HV_J_INT)
        return eval_repeat(run, a.as.s, b.as.i, out);
    char op[3] = {(char)(node->which == 'd' ? '/' : node->which), node->which == 'd' ? '/' : 0, 0};
    return HV_JFAIL(run, HEARTH_E_FORMAT, "%s %s %s", hv_jtype_name(a.type), op,
                    hv_jtype_name(b.type));
}

/* LIST: list of values. DICT: list of keys and values in turn. */
static hearth_status eval_collection(struct hv_jrun *run, const struct hv_jnode *node,
                                     struct hv_jval *out)
{
    size_t n = 0;
    for (const struct hv_jnode *part = node->list; part; part = part->next)
        n++;
    if (node->op == HV_JN_LIST) {
        HB_TRY(hv_jlist(run, n, out));
        struct hv_jval *at = out->as.list->at;
        for (const struct hv_jnode *part = node->list; part; part = part->next)
            HB_TRY(hv_jeval(run, part, at++));
        return HEARTH_OK;
    }
    struct hv_jdict *dict;
    HB_TRY(HV_JNEW(run, struct hv_jdict, 1, &dict));
    for (const struct hv_jnode *part = node->list; part; part = part->next->next) {
        struct hv_jval key, value;
        HB_TRY(hv_jeval(run, part, &key));
        HB_TRY(hv_jeval(run, part->next, &value));
        HB_TRY(hv_jdict_put(run, dict, key, value));
    }
    *out = (struct hv_jval){.type = HV_J_DICT, .as.dict = dict};
    return HEARTH_OK;
}

/* FILTER and TEST: a the value, list the arguments. */
static hearth_status eval_filter(struct hv_jrun *run, const struct hv_jnode *node,
                                 struct hv_jval *out)
{
    struct hv_jval v;
    struct hv_jargs args;
    HB_TRY(hv_jeval(run, node->a, &v));
    HB_TRY(eval_args(run, node->list, &args));
    run->line = node->line;
    if (node->op == HV_JN_FILTER)
        return ((const struct hv_jfilter *)node->entry)->fn(run, &v, &args, out);
    bool yes = false;
    HB_TRY(((const struct hv_jtest *)node->entry)->fn(run, &v, &args, &yes));
    *out = hv_jbool(yes != (node->which != 0));
    return HEARTH_OK;
}

static hearth_status eval_negate(struct hv_jrun *run, struct hv_jval *out)
{
    if (out->type == HV_J_FLOAT)
        out->as.f = -out->as.f;
    else if (out->type == HV_J_INT)
        out->as.i = (int64_t)(0 - (uint64_t)out->as.i);
    else
        return HV_JFAIL(run, HEARTH_E_FORMAT, "- needs a number; found %s", hv_jtype_name(out->type));
    return HEARTH_OK;
}

static hearth_status eval_node(struct hv_jrun *run, const struct hv_jnode *node, struct hv_jval *out)
{
    struct hv_jval a, b;
    switch ((enum hv_jop)node->op) {
    case HV_JN_VALUE:
        *out = node->value;
        return HEARTH_OK;
    case HV_JN_NAME:
        eval_name(run, node->name, out);
        return HEARTH_OK;
    case HV_JN_ATTR:
        HB_TRY(hv_jeval(run, node->a, &a));
        run->line = node->line;
        return hv_jattr(run, &a, node->name, out);
    case HV_JN_ITEM:
        HB_TRY(hv_jeval(run, node->a, &a));
        HB_TRY(hv_jeval(run, node->b, &b));
        run->line = node->line;
        return hv_jitem(run, &a, &b, out);
    case HV_JN_SLICE:
        return eval_slice(run, node, out);
    case HV_JN_CALL:
        return eval_call(run, node, out);
    case HV_JN_FILTER:
    case HV_JN_TEST:
        return eval_filter(run, node, out);
    case HV_JN_NOT:
        HB_TRY(hv_jeval(run, node->a, &a));
        *out = hv_jbool(!hv_jtruth(&a));
        return HEARTH_OK;
    case HV_JN_NEGATE:
        HB_TRY(hv_jeval(run, node->a, out));
        return eval_negate(run, out);
    case HV_JN_AND:
    case HV_JN_OR: /* the value that decides, as in Python */
        HB_TRY(hv_jeval(run, node->a, out));
        return hv_jtruth(out) == (node->op == HV_JN_AND) ? hv_jeval(run, node->b, out) : HEARTH_OK;
    case HV_JN_CHOICE:
        HB_TRY(hv_jeval(run, node->a, &a));
        if (hv_jtruth(&a))
            return hv_jeval(run, node->b, out);
        *out = hv_jundefined(hv_jlit("the other case of `if`"));
        return node->c ? hv_jeval(run, node->c, out) : HEARTH_OK;
    case HV_JN_COMPARE:
        return eval_compare(run, node, out);
    case HV_JN_BINARY:
        return eval_binary(run, node, out);
    case HV_JN_LIST:
    case HV_JN_DICT:
        return eval_collection(run, node, out);
    default:
        return HV_JFAIL(run, HEARTH_E_INTERNAL, "node %d is no expression", node->op);
    }
}

hearth_status hv_jeval(struct hv_jrun *run, const struct hv_jnode *node, struct hv_jval *out)
{
    run->line = node->line;
    HB_TRY(hv_jcharge(run, 1));
    if (++run->depth > HV_J_MAX_DEPTH)
        return HV_JFAIL(run, HEARTH_E_LIMIT, "deeper than %d", HV_J_MAX_DEPTH);
    hearth_status status = eval_node(run, node, out);
    run->depth--;
    return status;
}

/* Running templates: statements, scopes, macros, and what a template is given. */
#include "tokenizer/hv_jinja.h"

/* ---- scopes: a loop's body and a macro have their own, `if` has none ---- */

static hearth_status exec_bind(struct hv_jrun *run, struct hv_jscope *scope, struct hv_jstr name,
                               struct hv_jval value)
{
    struct hv_jbinding *b = scope->first;
    while (b && !(b->name.n == name.n && memcmp(b->name.b, name.b, name.n) == 0))
        b = b->next;
    if (!b) {
        HB_TRY(HV_JNEW(run, struct hv_jbinding, 1, &b));
        b->name = name;
        b->next = scope->first;
        scope->first = b;
    }
    b->value = value;
    return HEARTH_OK;
}

static hearth_status exec_unpack(struct hv_jrun *run, const struct hv_jnode *targets,
                                 const struct hv_jval *value)
{
    struct hv_jval items;
    if (!targets->next)
        return exec_bind(run, run->scope, targets->name, *value);
    HB_TRY(hv_jitems(run, value, &items));
    size_t i = 0;
    for (; targets && i < items.as.list->n; targets = targets->next)
        HB_TRY(exec_bind(run, run->scope, targets->name, items.as.list->at[i++]));
    if (targets || i < items.as.list->n)
        return HV_JFAIL(run, HEARTH_E_FORMAT, "%zu values do not fit the names they are given to",
                        items.as.list->n);
    return HEARTH_OK;
}

static hearth_status exec_set(struct hv_jrun *run, const struct hv_jnode *node)
{
    struct hv_jval value, holder;
    HB_TRY(hv_jeval(run, node->b, &value));
    run->line = node->line;
    if (node->list)
        return exec_unpack(run, node->list, &value);
    if (!node->a)
        return exec_bind(run, run->scope, node->name, value);
    HB_TRY(hv_jeval(run, node->a, &holder));
    if (holder.type != HV_J_DICT || !holder.as.dict->is_namespace)
        return HV_JFAIL(run, HEARTH_E_FORMAT, "%.*s is no namespace; only those can be changed",
                        (int)node->a->name.n, node->a->name.b);
    return hv_jdict_put(run, holder.as.dict, hv_jstring(node->name), value);
}

/* Statements whose output becomes a value. */
static hearth_status exec_capture(struct hv_jrun *run, const struct hv_jnode *list,
                                  struct hv_jval *out)
{
    struct hv_marked buf, *outer = run->out;
    hv_jbuf_open(run, &buf);
    run->out = &buf;
    HB_TRY(hv_jexec(run, list));
    run->out = outer;
    *out = hv_jstring(hv_jbuf_close(&buf));
    return HEARTH_OK;
}

static hearth_status exec_set_block(struct hv_jrun *run, const struct hv_jnode *node)
{
    struct hv_jval text, filtered;
    const struct hv_jargs none = {0};
    HB_TRY(exec_capture(run, node->b, &text));
    filtered = text;
    if (node->entry)
        HB_TRY(((const struct hv_jfilter *)node->entry)->fn(run, &text, &none, &filtered));
    return exec_bind(run, run->scope, node->name, filtered);
}

hearth_status hv_jcall_macro(struct hv_jrun *run, const struct hv_jnode *macro,
                             const struct hv_jargs *args, struct hv_jval *out)
{
    struct hv_jscope scope = {.parent = run->globals}, *outer = run->scope;
    size_t i = 0;
    for (const struct hv_jnode *p = macro->list; p; p = p->next, i++) {
        struct hv_jval value = hv_jundefined(p->name);
        if (i < args->n)
            value = args->at[i];
        else if (p->a)
            HB_TRY(hv_jeval(run, p->a, &value));
        for (size_t k = 0; k < args->n_named; k++) {
            struct hv_jstr key = args->named[k].key.as.s;
            if (key.n == p->name.n && memcmp(key.b, p->name.b, key.n) == 0)
                value = args->named[k].value;
        }
        HB_TRY(exec_bind(run, &scope, p->name, value));
    }
    if (args->n > i)
        return HV_JFAIL(run, HEARTH_E_FORMAT, "macro %.*s takes %zu arguments; found %zu",
                        (int)macro->name.n, macro->name.b, i, args->n);
    if (++run->depth > HV_J_MAX_DEPTH)
        return HV_JFAIL(run, HEARTH_E_LIMIT, "deeper than %d", HV_J_MAX_DEPTH);
    run->scope = &scope;
    HB_TRY(exec_capture(run, macro->b, out));
    run->scope = outer;
    run->depth--;
    return HEARTH_OK;
}

/* ---- loops ---- */

/* The elements that the loop's `if` lets through. */
static hearth_status exec_filtered(struct hv_jrun *run, const struct hv_jnode *node,
                                   const struct hv_jlist *all, struct hv_jlist *kept)
{
    struct hv_jscope scope = {.parent = run->scope};
    kept->n = 0;
    HB_TRY(HV_JNEW(run, struct hv_jval, all->n, &kept->at));
    run->scope = &scope;
    for (size_t i = 0; i < all->n; i++) {
        struct hv_jval yes;
        HB_TRY(exec_unpack(run, node->list, &all->at[i]));
        HB_TRY(hv_jeval(run, node->c, &yes));
        if (hv_jtruth(&yes))
            kept->at[kept->n++] = all->at[i];
    }
    run->scope = scope.parent;
    return HEARTH_OK;
}

static hearth_status exec_for(struct hv_jrun *run, const struct hv_jnode *node)
{
    struct hv_jval items;
    struct hv_jlist kept;
    HB_TRY(hv_jeval(run, node->a, &items));
    run->line = node->line;
    HB_TRY(hv_jitems(run, &items, &items));
    kept = *items.as.list;
    if (node->c)
        HB_TRY(exec_filtered(run, node, items.as.list, &kept));
    if (kept.n == 0)
        return hv_jexec(run, node->b->b);
    struct hv_jloop *loop; /* in the arena: a value may keep it longer than the loop runs */
    HB_TRY(HV_JNEW(run, struct hv_jloop, 1, &loop));
    struct hv_jlist *walked;
    HB_TRY(HV_JNEW(run, struct hv_jlist, 1, &walked));
    *walked = kept;
    *loop = (struct hv_jloop){.items = walked, .depth = ++run->loops};
    for (; loop->i < kept.n; loop->i++) {
        struct hv_jscope scope = {.parent = run->scope};
        run->scope = &scope;
        HB_TRY(exec_bind(run, &scope, hv_jlit("loop"),
                         (struct hv_jval){.type = HV_J_LOOP, .as.loop = loop}));
        HB_TRY(exec_unpack(run, node->list, &kept.at[loop->i]));
        HB_TRY(hv_jexec(run, node->b->a));
        run->scope = scope.parent;
        bool stop = run->signal == HV_JN_BREAK;
        run->signal = HV_JN_VALUE;
        if (stop)
            break;
    }
    run->loops--;
    return HEARTH_OK;
}

static hearth_status exec_if(struct hv_jrun *run, const struct hv_jnode *node)
{
    for (const struct hv_jnode *branch = node->list; branch; branch = branch->next) {
        struct hv_jval yes = hv_jbool(true);
        if (branch->a)
            HB_TRY(hv_jeval(run, branch->a, &yes));
        if (hv_jtruth(&yes))
            return hv_jexec(run, branch->b);
    }
    return HEARTH_OK;
}

static hearth_status exec_print(struct hv_jrun *run, const struct hv_jnode *node)
{
    struct hv_jval v;
    HB_TRY(hv_jeval(run, node->a, &v));
    run->line = node->line;
    return hv_jprint(run, run->out, &v, false);
}

static hearth_status exec_one(struct hv_jrun *run, const struct hv_jnode *node)
{
    run->line = node->line;
    switch ((enum hv_jop)node->op) {
    case HV_JN_TEXT:
        return hv_jbuf_str(run, run->out, node->name);
    case HV_JN_PRINT:
        return exec_print(run, node);
    case HV_JN_IF:
        return exec_if(run, node);
    case HV_JN_FOR:
        return exec_for(run, node);
    case HV_JN_SET:
        return exec_set(run, node);
    case HV_JN_SET_BLOCK:
        return exec_set_block(run, node);
    case HV_JN_MACRO:
        return exec_bind(run, run->scope, node->name,
                         (struct hv_jval){.type = HV_J_MACRO, .as.macro = node});
    case HV_JN_BREAK:
    case HV_JN_CONTINUE:
        if (run->loops == 0)
            return HV_JFAIL(run, HEARTH_E_FORMAT, "%s outside of a loop",
                            node->op == HV_JN_BREAK ? "break" : "continue");
        run->signal = (enum hv_jop)node->op;
        return HEARTH_OK;
    case HV_JN_BODY:
        return hv_jexec(run, node->b);
    default:
        return HV_JFAIL(run, HEARTH_E_INTERNAL, "node %d is no statement", node->op);
    }
}

hearth_status hv_jexec(struct hv_jrun *run, const struct hv_jnode *list)
{
    for (; list && run->signal == HV_JN_VALUE; list = list->next) {
        HB_TRY(hv_jcharge(run, 1));
        HB_TRY(exec_one(run, list));
    }
    return HEARTH_OK;
}

/* ---- what a template is given ---- */

/* A text of a message, every byte marked. `marks` has as many ones as the longest text has bytes. */
static struct hv_jval exec_marked(struct hv_text text, const uint8_t *marks)
{
    return hv_jstring((struct hv_jstr){text.bytes, text.len ? marks : NULL, text.len});
}

static hearth_status exec_messages(struct hv_jrun *run, const struct hv_chat_input *in,
                                   struct hv_jval *out)
{
    uint8_t *marks;
    size_t longest = 0;
    for (size_t i = 0; i < in->n; i++)
        if (in->messages[i].content.len > longest)
            longest = in->messages[i].content.len;
    HB_TRY(HV_JNEW(run, uint8_t, longest, &marks));
    memset(marks, 1, longest);
    struct hv_jlist *list;
    struct hv_jdict *dicts;
    struct hv_jpair *pairs;
    HB_TRY(HV_JNEW(run, struct hv_jlist, 1, &list));
    HB_TRY(HV_JNEW(run, struct hv_jval, in->n, &list->at));
    HB_TRY(HV_JNEW(run, struct hv_jdict, in->n, &dicts));
    HB_TRY(HV_JNEW(run, struct hv_jpair, in->n * 2, &pairs));
    list->n = in->n;
    for (size_t i = 0; i < in->n; i++) {
        const struct hv_message *m = &in->messages[i];
        pairs[2 * i] = (struct hv_jpair){
            hv_jstring(hv_jlit("role")),
            hv_jstring((struct hv_jstr){m->role.bytes, NULL, m->role.len})};
        pairs[2 * i + 1] = (struct hv_jpair){hv_jstring(hv_jlit("content")),
                                             exec_marked(m->content, marks)};
        dicts[i] = (struct hv_jdict){.at = pairs + 2 * i, .n = 2, .capacity = 2};
        list->at[i] = (struct hv_jval){.type = HV_J_DICT, .as.dict = &dicts[i]};
    }
    *out = (struct hv_jval){.type = HV_J_LIST, .as.list = list};
    return HEARTH_OK;
}

static hearth_status exec_globals(struct hv_jrun *run, const struct hv_chat_input *in)
{
    struct hv_jval messages;
    const struct hv_jval none = {.type = HV_J_NONE};
    HB_TRY(exec_messages(run, in, &messages));
    HB_TRY(exec_bind(run, run->globals, hv_jlit("messages"), messages));
    HB_TRY(exec_bind(run, run->globals, hv_jlit("add_generation_prompt"),
                     hv_jbool(in->add_generation_prompt)));
    HB_TRY(exec_bind(run, run->globals, hv_jlit("tools"), none));
    HB_TRY(exec_bind(run, run->globals, hv_jlit("documents"), none));
    if (in->bos.len)
        HB_TRY(exec_bind(run, run->globals, hv_jlit("bos_token"),
                         hv_jstring((struct hv_jstr){in->bos.bytes, NULL, in->bos.len})));
    if (in->eos.len)
        HB_TRY(exec_bind(run, run->globals, hv_jlit("eos_token"),
                         hv_jstring((struct hv_jstr){in->eos.bytes, NULL, in->eos.len})));
    return HEARTH_OK;
}

hearth_status hv_jinja_run(const struct hv_jinja *jinja, const struct hv_chat_input *in,
                           struct hb_arena *arena, size_t max_bytes, struct hv_marked *out,
                           hearth_error *err)
{
    struct hv_jscope globals = {0};
    struct hv_jrun run = {.arena = arena,
                          .max_bytes = max_bytes,
                          .max_steps = in->max_steps ? in->max_steps : HV_CHAT_MAX_STEPS,
                          .signal = HV_JN_VALUE,
                          .scope = &globals,
                          .globals = &globals,
                          .out = out,
                          .now = in->now,
                          .err = err};
    HB_TRY(exec_globals(&run, in));
    return hv_jexec(&run, jinja->body);
}

/* The Jinja subset that chat templates use, inside: tokens, nodes, values.
 *
 *   text ──► tokens ──► nodes, once          (hv_jinja_lex.c, hv_jinja_parse.c, hv_jinja_expr.c)
 *   nodes + messages ──► text, every time    (hv_jinja_eval.c, _exec.c, _filters.c, _methods.c, _value.c)
 *
 * The environment is the one transformers sets up: trim_blocks, lstrip_blocks, loop controls, the
 * functions raise_exception and strftime_now, tojson without escapes for HTML. Nesting is bounded when
 * parsing (depth of a node), and running counts steps, depth and memory: no template makes it long.
 *
 * Source: Jinja 3.1 template designer documentation; transformers, chat templating. */
#ifndef HV_JINJA_H
#define HV_JINJA_H

#include "base/hb_check.h"
#include "base/hb_unicode.h"
#include "tokenizer/hv_chat.h"
#include <string.h>

#define HV_J_MAX_NESTING   64  /* brackets and blocks while parsing */
#define HV_J_MAX_HEIGHT    200 /* of a tree of nodes */
#define HV_J_MAX_DEPTH     256 /* of evaluation, macros included */

/* ---- tokens ---- */

enum hv_jtok {
    HV_JT_END, HV_JT_DATA, HV_JT_VAR, HV_JT_VAR_END, HV_JT_BLOCK, HV_JT_BLOCK_END,
    HV_JT_NAME, HV_JT_STRING, HV_JT_INT, HV_JT_FLOAT, HV_JT_OP
};

struct hv_jtoken {
    enum hv_jtok kind;
    const char *at; /* strings: between the quotes, still escaped */
    size_t len;
};

struct hv_jlex {
    const char *text;
    size_t len, pos;
    enum hv_jtok inside; /* VAR, BLOCK; else data */
    uint32_t brackets;   /* open, of the tag */
    const char *line_at; /* where `line` was counted */
    uint32_t line;
    hearth_error *err;
};

hearth_status hv_jlex_next(struct hv_jlex *lex, struct hv_jtoken *token);
/* Behind {% raw %}: everything up to its end, which is taken too. */
hearth_status hv_jlex_raw(struct hv_jlex *lex, struct hv_jtoken *token);
uint32_t hv_jlex_line(struct hv_jlex *lex, const char *at);

/* ---- values ---- */

struct hv_jstr {
    const char *b;
    const uint8_t *mark; /* [n], NULL: none of it came from a message */
    size_t n;
};

enum hv_jtype {
    HV_J_UNDEFINED, HV_J_NONE, HV_J_BOOL, HV_J_INT, HV_J_FLOAT, HV_J_STRING, HV_J_LIST, HV_J_DICT,
    HV_J_LOOP, HV_J_MACRO, HV_J_FUNCTION
};

struct hv_jval {
    enum hv_jtype type;
    union {
        bool yes;
        int64_t i;
        double f;
        struct hv_jstr s; /* UNDEFINED: the name that is not defined */
        struct hv_jlist *list;
        struct hv_jdict *dict;
        struct hv_jloop *loop;
        const struct hv_jnode *macro;
        const struct hv_jfunction *function;
    } as;
};

struct hv_jlist {
    struct hv_jval *at;
    size_t n;
};

struct hv_jpair {
    struct hv_jval key, value;
};

struct hv_jdict {
    struct hv_jpair *at;
    size_t n, capacity;
    bool is_namespace; /* the only one that a template may change */
};

struct hv_jloop {
    const struct hv_jlist *items;
    size_t i, depth;
};

/* ---- nodes ---- */

enum hv_jop {
    /* expressions */
    HV_JN_VALUE, HV_JN_NAME, HV_JN_ATTR, HV_JN_ITEM, HV_JN_SLICE, HV_JN_CALL, HV_JN_FILTER,
    HV_JN_TEST, HV_JN_NOT, HV_JN_NEGATE, HV_JN_AND, HV_JN_OR, HV_JN_CHOICE, HV_JN_COMPARE,
    HV_JN_BINARY, HV_JN_LIST, HV_JN_DICT,
    /* statements */
    HV_JN_TEXT, HV_JN_PRINT, HV_JN_IF, HV_JN_FOR, HV_JN_SET, HV_JN_SET_BLOCK, HV_JN_MACRO,
    HV_JN_BREAK, HV_JN_CONTINUE, HV_JN_BODY
};

/* What a, b, c and list mean stands beside the case that runs the node. */
struct hv_jnode {
    uint8_t op;
    uint8_t which;   /* operator, or negation of a test */
    uint16_t height;
    uint32_t line;
    struct hv_jnode *a, *b, *c, *list, *next;
    struct hv_jstr name; /* of a variable, attribute, argument */
    struct hv_jval value;
    const void *entry;   /* struct hv_jfilter, struct hv_jtest */
};

struct hv_jinja {
    struct hv_jnode *body;
};

struct hv_jparser {
    struct hv_jlex lex;
    struct hv_jtoken token; /* the one to look at */
    struct hb_arena *arena;
    uint32_t nesting;
    hearth_error *err;
};

/* A failure at the current token, which is named. */
hearth_status hv_jparse_unexpected(struct hv_jparser *p, const char *wanted);
hearth_status hv_jparse_next(struct hv_jparser *p);
bool hv_jparse_is(const struct hv_jparser *p, enum hv_jtok kind, const char *text);
/* Take the token if it is this one. */
hearth_status hv_jparse_skip(struct hv_jparser *p, enum hv_jtok kind, const char *text, bool *took);
hearth_status hv_jparse_expect(struct hv_jparser *p, enum hv_jtok kind, const char *text);
hearth_status hv_jparse_node(struct hv_jparser *p, enum hv_jop op, struct hv_jnode **out);
hearth_status hv_jparse_nest(struct hv_jparser *p);
/* The height of a node from those of its parts, which are complete; too high is HEARTH_E_LIMIT. */
hearth_status hv_jparse_done(struct hv_jparser *p, struct hv_jnode *node);
hearth_status hv_jparse_expr(struct hv_jparser *p, struct hv_jnode **out);
/* Several expressions with commas between are a list (what stands behind `for x in`, `set x =`). */
hearth_status hv_jparse_tuple(struct hv_jparser *p, struct hv_jnode **out);
hearth_status hv_jparse_or(struct hv_jparser *p, struct hv_jnode **out); /* without `if` */

/* ---- running ---- */

struct hv_jscope {
    struct hv_jscope *parent;
    struct hv_jbinding *first;
};

struct hv_jbinding {
    struct hv_jbinding *next;
    struct hv_jstr name;
    struct hv_jval value;
};

struct hv_jrun {
    struct hb_arena *arena;
    size_t bytes_used, max_bytes;
    uint64_t steps, max_steps;
    uint32_t depth;
    uint32_t line;           /* of the node at work, for sentences */
    enum hv_jop signal;      /* BREAK or CONTINUE on its way to the loop; else VALUE */
    struct hv_jscope *scope, *globals;
    struct hv_marked *out;
    int64_t now;
    size_t loops;            /* around the node at work */
    hearth_error *err;
};

/* Arguments of a call, filter or test. */
struct hv_jargs {
    struct hv_jval *at;      /* [n] */
    size_t n;
    struct hv_jpair *named;  /* [n_named] */
    size_t n_named;
};

typedef hearth_status hv_jfilter_fn(struct hv_jrun *run, const struct hv_jval *in,
                                    const struct hv_jargs *args, struct hv_jval *out);
typedef hearth_status hv_jtest_fn(struct hv_jrun *run, const struct hv_jval *in,
                                  const struct hv_jargs *args, bool *out);
struct hv_jfilter {
    const char *name;
    hv_jfilter_fn *fn;
};
struct hv_jtest {
    const char *name;
    hv_jtest_fn *fn;
};
struct hv_jfunction {
    const char *name;
    hearth_status (*fn)(struct hv_jrun *run, const struct hv_jargs *args, struct hv_jval *out);
};

const struct hv_jfilter *hv_jfilter_find(struct hv_jstr name);
const struct hv_jtest *hv_jtest_find(struct hv_jstr name);
extern const struct hv_jfunction hv_jfunctions[]; /* ended by a NULL name */

/* `text.strip()` and its like: found is false where the type has no such method. */
hearth_status hv_jmethod(struct hv_jrun *run, const struct hv_jval *self, struct hv_jstr name,
                         const struct hv_jargs *args, struct hv_jval *out, bool *found);

hearth_status hv_jeval(struct hv_jrun *run, const struct hv_jnode *node, struct hv_jval *out);
hearth_status hv_jexec(struct hv_jrun *run, const struct hv_jnode *list);
hearth_status hv_jcall_macro(struct hv_jrun *run, const struct hv_jnode *macro,
                             const struct hv_jargs *args, struct hv_jval *out);

/* ---- hv_jinja_value.c ---- */

/* A failure with the line in front. */
#define HV_JFAIL(run, status, format, ...)                                                         \
    hb_fail((run)->err, (status), "template line %u: " format, (unsigned)(run)->line, __VA_ARGS__)

hearth_status hv_jcharge(struct hv_jrun *run, uint64_t steps);
hearth_status hv_jtake(struct hv_jrun *run, size_t count, size_t size, void **out);
#define HV_JNEW(run, type, count, out) hv_jtake((run), (count), sizeof(type), (void **)(void *)(out))

HB_INLINE struct hv_jstr hv_jlit(const char *text)
{
    return (struct hv_jstr){text, NULL, strlen(text)};
}
HB_INLINE struct hv_jval hv_jstring(struct hv_jstr s)
{
    return (struct hv_jval){.type = HV_J_STRING, .as.s = s};
}
HB_INLINE struct hv_jval hv_jint(int64_t i)
{
    return (struct hv_jval){.type = HV_J_INT, .as.i = i};
}
HB_INLINE struct hv_jval hv_jbool(bool yes)
{
    return (struct hv_jval){.type = HV_J_BOOL, .as.yes = yes};
}
HB_INLINE struct hv_jval hv_jundefined(struct hv_jstr name)
{
    return (struct hv_jval){.type = HV_J_UNDEFINED, .as.s = name};
}
HB_INLINE bool hv_jis(struct hv_jstr s, const char *text)
{
    return strlen(text) == s.n && memcmp(s.b, text, s.n) == 0;
}

const char *hv_jtype_name(enum hv_jtype type);
bool hv_jtruth(const struct hv_jval *v);
bool hv_jequal(struct hv_jrun *run, const struct hv_jval *a, const struct hv_jval *b);
/* -1, 0, 1; numbers with numbers, texts with texts. */
hearth_status hv_jcompare(struct hv_jrun *run, const struct hv_jval *a, const struct hv_jval *b,
                          int *order);
hearth_status hv_jcontains(struct hv_jrun *run, const struct hv_jval *in, const struct hv_jval *what,
                           bool *out);
bool hv_jnumber(const struct hv_jval *v, double *f, int64_t *i, bool *whole);
hearth_status hv_jlist(struct hv_jrun *run, size_t n, struct hv_jval *out);
/* A list of what a loop would see: elements, keys, characters. */
hearth_status hv_jitems(struct hv_jrun *run, const struct hv_jval *v, struct hv_jval *out);
hearth_status hv_jlength(struct hv_jrun *run, const struct hv_jval *v, int64_t *n);
const struct hv_jval *hv_jdict_get(const struct hv_jdict *dict, struct hv_jstr key);
hearth_status hv_jdict_put(struct hv_jrun *run, struct hv_jdict *dict, struct hv_jval key,
                           struct hv_jval value);
hearth_status hv_jattr(struct hv_jrun *run, const struct hv_jval *v, struct hv_jstr name,
                       struct hv_jval *out);
hearth_status hv_jitem(struct hv_jrun *run, const struct hv_jval *v, const struct hv_jval *key,
                       struct hv_jval *out);
/* Positional argument i or the one called `name`; NULL if neither is there. */
const struct hv_jval *hv_jarg(const struct hv_jargs *args, size_t i, const char *name);
hearth_status hv_jwant(struct hv_jrun *run, const struct hv_jval *v, enum hv_jtype type,
                       const char *who);

/* ---- texts ---- */

size_t hv_jfind(struct hv_jstr text, struct hv_jstr what, size_t from); /* SIZE_MAX: not there */
size_t hv_jchars(struct hv_jstr s);
hearth_status hv_jjoin(struct hv_jrun *run, struct hv_jstr a, struct hv_jstr b, struct hv_jstr *out);
struct hv_jstr hv_jcut(struct hv_jstr s, size_t begin, size_t end);
struct hv_jstr hv_jstrip(struct hv_jstr s, const struct hv_jstr *set, bool left, bool right);
hearth_status hv_jreplace(struct hv_jrun *run, struct hv_jstr s, struct hv_jstr old,
                          struct hv_jstr new_text, int64_t most, struct hv_jstr *out);

/* A text that grows. */
void hv_jbuf_open(struct hv_jrun *run, struct hv_marked *buf);
hearth_status hv_jbuf_str(struct hv_jrun *run, struct hv_marked *buf, struct hv_jstr s);
struct hv_jstr hv_jbuf_close(const struct hv_marked *buf);
/* How a value prints; with quotes where it stands inside a list. */
hearth_status hv_jprint(struct hv_jrun *run, struct hv_marked *buf, const struct hv_jval *v,
                        bool quoted);
hearth_status hv_jtext(struct hv_jrun *run, const struct hv_jval *v, struct hv_jstr *out);
/* indent < 0: one line. */
hearth_status hv_jjson(struct hv_jrun *run, struct hv_marked *buf, const struct hv_jval *v,
                       int64_t indent, int64_t level);

#endif

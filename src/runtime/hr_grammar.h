/* Grammars: what a generated text may be, byte by byte.
 *
 *   GBNF ──► tree ──► code: CHAR, CLASS, CALL, SPLIT, JUMP, RETURN    grammar_parse.c, grammar_code.c
 *   JSON schema ──► GBNF                                              grammar_schema.c, grammar_pattern.c
 *   code ──► refused if a rule is undefined, left-recursive or never ends      grammar_check.c
 *   code + bytes ──► sets of stacks, each set met before a state of a table    grammar_match.c
 *   tokens in order of their bytes: a mask walks each common beginning once    grammar_mask.c
 *
 * A stack is a chain of return addresses, kept once however many share it. A state is a set of stacks
 * (what may follow) and the beginning of a character. Transitions are remembered by byte, so most bytes
 * are one look-up; when a table is full, all but the states that are still needed go.
 *
 * The grammar is immutable and shared; a place is one generation's place in it. Guesses of
 * speculation: accept them one by one and take back what was refused with hr_place_back, or copy the
 * place before (hr_place_copy). A sampler that only accepts what was chosen needs neither. */
#ifndef HR_GRAMMAR_H
#define HR_GRAMMAR_H

#include "runtime/hr_model.h"

#define HR_GRAMMAR_MAX_TEXT    ((size_t)1 << 20)
#define HR_GRAMMAR_MAX_RULES   4096             /* named; pieces that repeat become rules of their own */
#define HR_GRAMMAR_MAX_TREE    ((size_t)1 << 18) /* elements between text and code */
#define HR_GRAMMAR_MAX_NODES   ((size_t)1 << 19) /* of the code */
#define HR_GRAMMAR_MAX_RANGES  ((size_t)1 << 17)
#define HR_GRAMMAR_MAX_NESTING 128              /* brackets in one rule */
#define HR_GRAMMAR_MAX_REPEAT  65536
#define HR_GRAMMAR_MAX_DEPTH   1024             /* calls open at once: deeper ways are not taken */
#define HR_GRAMMAR_MAX_PIECE   255              /* longer tokens are never allowed */
#define HR_GRAMMAR_BACK        64               /* accepted tokens that can be taken back */

enum hr_gop {
    HR_G_CHAR,   /* a: the code point */
    HR_G_CLASS,  /* a: index into classes */
    HR_G_CALL,   /* a: the rule; goes on behind */
    HR_G_SPLIT,  /* behind, or at a */
    HR_G_JUMP,   /* at a */
    HR_G_RETURN
};

struct hr_gcode {
    uint32_t op, a;
};

struct hr_grange {
    uint32_t lo, hi; /* code points, inclusive; never surrogates */
};

struct hr_gclass {
    uint32_t first, n; /* ranges, sorted, apart from each other */
};

struct hr_grule {
    const char *name; /* of the text, not terminated; NULL: a piece that repeats */
    uint32_t name_len;
    uint32_t start;
    bool defined;
};

struct hearth_grammar {
    struct hb_arena arena; /* the grammar itself is in it */
    const hearth_model *model;
    struct hr_gcode *code;
    uint32_t n_code;
    struct hr_gclass *classes;
    struct hr_grange *ranges;
    struct hr_grule *rules;
    uint32_t n_rules, root;
    int32_t *order;     /* [n_order] tokens that have bytes, sorted by them */
    struct hv_text *text; /* [n_order] */
    uint8_t *common;    /* [n_order] bytes shared with the one before, 255 at most */
    int32_t *others;    /* [n_others] tokens that are never allowed, or only as the end */
    int32_t n_order, n_others;
};

/* text and temporaries live in `work`, what stays in grammar->arena. */
hearth_status hr_grammar_parse(struct hearth_grammar *g, const char *text, size_t len,
                               struct hb_arena *work, hearth_error *err);
hearth_status hr_grammar_check(const struct hearth_grammar *g, struct hb_arena *work,
                               hearth_error *err);
/* A schema's grammar as GBNF, in `work`. HEARTH_E_UNSUPPORTED in a build without JSON. */
hearth_status hr_schema_grammar(const char *text, size_t len, struct hb_arena *work, const char **gbnf,
                                size_t *gbnf_len, hearth_error *err);
hearth_status hr_grammar_order(struct hearth_grammar *g, struct hb_arena *work, hearth_error *err);

/* ---- the tree between text and code ---- */

enum hr_gtree_kind { HR_GT_TEXT, HR_GT_CLASS, HR_GT_RULE, HR_GT_ALTERNATIVES, HR_GT_SEQUENCE, HR_GT_REPEAT };

struct hr_gtree {
    enum hr_gtree_kind kind;
    uint32_t a, b;           /* CLASS, RULE: index. REPEAT: at least, at most (UINT32_MAX: any number) */
    const uint32_t *text;    /* TEXT: a code points */
    struct hr_gtree *first, *next; /* parts of this; the one behind */
};

/* Code of the rules' trees [n_rules]. */
hearth_status hr_grammar_emit(struct hearth_grammar *g, struct hr_gtree *const *trees,
                              struct hb_arena *work, hearth_error *err);

/* ---- a place in a grammar ---- */

#define HR_G_STATES 1024
#define HR_G_STACKS 32768
#define HR_G_SETS   65536
#define HR_G_WORK   8192
#define HR_G_DEAD   0xFFFFu
#define HR_G_STEPS  ((uint64_t)1 << 24) /* of closures, for one token or mask */

struct hr_gstack {
    uint32_t pc, parent; /* parent 0: the bottom */
    uint32_t chain;      /* of the hash table */
    uint32_t seen;       /* the closure that met it */
    uint32_t depth;
};

struct hr_gstate {
    uint32_t first, n;    /* in sets: stacks that stand in front of a character */
    uint32_t partial;     /* bits of a character's first bytes */
    uint32_t chain;
    uint8_t left, length; /* bytes that it still needs, and has in all; 0: none */
    bool ends;            /* the text may end here */
    uint16_t to[256];     /* 0: not known yet; HR_G_DEAD: nothing follows */
};

struct hr_grammar_place { /* one block */
    const struct hearth_grammar *g;
    struct hr_gstate *states;  /* [HR_G_STATES], the first is not used */
    struct hr_gstack *stacks;  /* [HR_G_STACKS], the first is the bottom */
    uint32_t *sets;            /* [HR_G_SETS] */
    uint32_t *stack_hash;      /* [HR_G_STACKS] */
    uint32_t *state_hash;      /* [HR_G_STATES] */
    struct hr_gstack *work;    /* [HR_G_WORK]: pc and parent to look at */
    uint32_t n_states, n_stacks, n_sets, epoch;
    uint16_t path[HR_GRAMMAR_MAX_PIECE + 1]; /* of the mask at work */
    uint32_t n_path;
    uint16_t back[HR_GRAMMAR_BACK + 1]; /* ring: back[at] is the state now */
    uint32_t at, n_back;
    uint64_t steps, max_steps;
    hearth_status fault;       /* why nothing is allowed, if that is not the grammar's word */
    uint64_t collections, masks;
};

size_t hr_place_bytes(void);
/* mem: hr_place_bytes() bytes, aligned to 16. */
hearth_status hr_place_init(struct hr_grammar_place *p, const struct hearth_grammar *g, void *mem,
                            hearth_error *err);
hearth_status hr_place_reset(struct hr_grammar_place *p, hearth_error *err);
/* The state after a byte, HR_G_DEAD if there is none. May collect: ids of other states than those in
 * back and path are void after it. */
uint16_t hr_place_step(struct hr_grammar_place *p, uint16_t state, uint8_t byte);
bool hr_place_allows(struct hr_grammar_place *p, int32_t token);
void hr_place_mask(struct hr_grammar_place *p, float *logits, int32_t n);
void hr_place_accept(struct hr_grammar_place *p, int32_t token);
bool hr_place_may_end(const struct hr_grammar_place *p);
/* Nothing but the end is left. */
bool hr_place_must_end(const struct hr_grammar_place *p);
/* Take the last n accepted tokens back, n <= HR_GRAMMAR_BACK; false: so many are not there. */
bool hr_place_back(struct hr_grammar_place *p, uint32_t n);
/* Another place becomes what this is; both are initialised, of the same grammar. */
void hr_place_copy(struct hr_grammar_place *to, const struct hr_grammar_place *from);

/* ---- generations: one place each, and the sampler asks it (hr_sampler.h) ---- */

struct hr_constrained;

/* Memory from the arena. The sampler asks until hr_constrained_end (NULL is fine). */
hearth_status hr_constrain(const struct hearth_grammar *g, hearth_sampler *sampler,
                           struct hb_arena *arena, struct hr_constrained **out, hearth_error *err);
void hr_constrained_end(struct hr_constrained *c);
hearth_status hr_constrained_start(struct hr_constrained *c, hearth_error *err);
/* The text is complete and nothing can follow. NULL: no. */
bool hr_constrained_over(const struct hr_constrained *c);
/* What a refusal of the sampler was about: the grammar's own reason if it had one. */
hearth_status hr_constrained_why(const struct hr_constrained *c, hearth_status status,
                                 hearth_error *err);

#endif

/* einsum: sums of products by labelled dimensions. Every output element walks the labels that are summed:
 * plain and general; products of double or wrapping integers. The equation is parsed when a plan is made. */
#include "graph/ht_ops.h"
#include "graph/ht_strip.h"
#include "base/hb_check.h"
#include <string.h>

#define EINSUM_INPUTS 8
#define EINSUM_LABELS 24
#define EINSUM_DOTS   128 /* label of the first dimension of an ellipsis */

struct einsum_plan {
    int n_labels, n_out; /* output labels come first */
    int64_t dim[EINSUM_LABELS];
    int64_t stride[EINSUM_INPUTS][EINSUM_LABELS];
    int64_t outputs, terms;
};

struct einsum_terms {
    int label[EINSUM_INPUTS + 1][HT_MAX_RANK]; /* one label a dimension; the last row: output */
    int n[EINSUM_INPUTS + 1];
};

static bool einsum_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* One operand: letters and at most one ellipsis, which takes what the letters leave of `rank`. */
static bool einsum_operand(const char *p, const char *end, int rank, int *label, int *n)
{
    int letters = 0, dots = 0;
    for (const char *c = p; c < end; c++) {
        letters += einsum_letter(*c);
        dots += *c == '.';
    }
    int rest = rank - letters;
    if ((dots != 0 && dots != 3) || (dots ? rest < 0 : rank >= 0 && rest != 0))
        return false;
    *n = 0;
    for (const char *c = p; c < end; c++) {
        if (*c == '.') {
            if (end - c < 3 || c[1] != '.' || c[2] != '.' || *n + rest > HT_MAX_RANK)
                return false;
            for (int i = 0; i < rest; i++) /* aligned to the right */
                label[(*n)++] = EINSUM_DOTS + HT_MAX_RANK - rest + i;
            c += 2;
        } else if (*c != ' ') {
            if (*n >= HT_MAX_RANK || !einsum_letter(*c))
                return false;
            label[(*n)++] = *c;
        }
    }
    return true;
}

static int einsum_find(const int *list, int n, int label)
{
    for (int i = 0; i < n; i++)
        if (list[i] == label)
            return i;
    return -1;
}

/* Every label of the output stands in some input, and once in the output. */
static bool einsum_output(const struct einsum_terms *t, uint32_t n_in)
{
    const int *out = t->label[EINSUM_INPUTS], n = t->n[EINSUM_INPUTS];
    for (int i = 0; i < n; i++) {
        bool known = false;
        for (uint32_t k = 0; k < n_in; k++)
            known = known || einsum_find(t->label[k], t->n[k], out[i]) >= 0;
        if (!known || einsum_find(out, n, out[i]) != i)
            return false;
    }
    return true;
}

static hearth_status einsum_parse(const struct ht_step *s, struct einsum_terms *t, int *dots, hearth_error *err)
{
    const struct ht_einsum *p = s->params;
    const char *c = p->equation, *arrow = strstr(c, "->"), *end = arrow ? arrow : c + strlen(c);
    *dots = 0;
    for (uint32_t i = 0; i < s->n_in; i++) {
        const char *stop = memchr(c, ',', (size_t)(end - c));
        stop = stop ? stop : end;
        if ((stop == end) != (i + 1 == s->n_in) ||
            !einsum_operand(c, stop, s->in[i]->rank, t->label[i], &t->n[i]))
            return hb_fail(err, HEARTH_E_MISMATCH, "%s (einsum): '%s' does not fit the inputs", s->name, p->equation);
        for (int k = 0; k < t->n[i]; k++)
            if (t->label[i][k] >= EINSUM_DOTS && EINSUM_DOTS + HT_MAX_RANK - t->label[i][k] > *dots)
                *dots = EINSUM_DOTS + HT_MAX_RANK - t->label[i][k];
        c = stop + 1;
    }
    int *out = t->label[EINSUM_INPUTS], *n = &t->n[EINSUM_INPUTS];
    if (arrow) {
        int letters = 0;
        for (const char *q = arrow + 2; *q; q++)
            letters += *q != '.' && *q != ' ';
        bool has_dots = strchr(arrow + 2, '.') != NULL;
        if (!einsum_operand(arrow + 2, arrow + 2 + strlen(arrow + 2), letters + (has_dots ? *dots : 0), out, n) ||
            !einsum_output(t, s->n_in))
            return ht_bad_shape(s, "the output of the equation", err);
        return HEARTH_OK;
    }
    *n = 0;
    for (int i = 0; i < *dots; i++)
        out[(*n)++] = EINSUM_DOTS + HT_MAX_RANK - *dots + i;
    for (int letter = 'A'; letter <= 'z'; letter++) { /* implicit: labels that occur once, in order */
        int count = 0;
        for (uint32_t i = 0; i < s->n_in; i++)
            for (int k = 0; k < t->n[i]; k++)
                count += t->label[i][k] == letter;
        if (count == 1 && *n < HT_MAX_RANK)
            out[(*n)++] = letter;
    }
    return HEARTH_OK;
}

static hearth_status einsum_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    struct einsum_terms t = {0};
    int labels[EINSUM_LABELS], dots;
    if (s->n_in < 1 || s->n_in > EINSUM_INPUTS)
        return ht_bad_shape(s, "takes one to eight inputs", err);
    for (uint32_t i = 0; i < s->n_in; i++)
        if (!s->in[i] || s->in[i]->type != s->in[0]->type)
            return ht_bad_shape(s, "wants inputs of one type", err);
    HB_TRY(einsum_parse(s, &t, &dots, err));
    HB_TRY(ht_step_private(b, s, sizeof(struct einsum_plan), err));
    struct einsum_plan *e = s->plan;
    e->n_out = t.n[EINSUM_INPUTS];
    for (int i = 0; i < e->n_out; i++)
        labels[e->n_labels++] = t.label[EINSUM_INPUTS][i];
    for (int i = 0; i < EINSUM_LABELS; i++)
        e->dim[i] = 1;
    for (uint32_t i = 0; i < s->n_in; i++)
        for (int k = 0; k < t.n[i]; k++) {
            int at = einsum_find(labels, e->n_labels, t.label[i][k]);
            int64_t d = s->in[i]->dim[k];
            if (at < 0) {
                if (e->n_labels == EINSUM_LABELS)
                    return ht_bad_shape(s, "more than 24 labels", err);
                at = e->n_labels++;
                labels[at] = t.label[i][k];
            }
            if (e->dim[at] != 1 && d != 1 && e->dim[at] != d)
                return ht_bad_shape(s, "dimensions of one label differ", err);
            e->dim[at] = d == 1 ? e->dim[at] : d;
            if (d != 1)
                e->stride[i][at] += s->in[i]->stride[k]; /* a label twice: the diagonal */
        }
    e->outputs = e->terms = 1;
    for (int i = 0; i < e->n_labels; i++)
        if (!hb_mul_dim(i < e->n_out ? e->outputs : e->terms, e->dim[i], i < e->n_out ? &e->outputs : &e->terms))
            return ht_bad_shape(s, "the size overflows", err);
    return ht_out(b, s, 0, (enum hk_qtype)s->in[0]->type, e->n_out, e->dim, -1, err);
}

static int64_t einsum_units(const struct ht_step *s, const struct ht_run *run)
{
    const struct einsum_plan *e = s->plan;
    (void)run;
    return e->outputs > 4096 ? 4096 : e->outputs;
}

static hearth_status einsum_run(const struct ht_step *s, const struct ht_run *run, void *scratch, int64_t begin,
                                int64_t end, hearth_error *err)
{
    const struct einsum_plan *e = s->plan;
    unsigned type = s->out[0]->type;
    size_t size = ht_size_of(type);
    bool floats = ht_is_float(type);
    int64_t units = einsum_units(s, run), per = (e->outputs + units - 1) / units;
    (void)scratch, (void)err;
    for (int64_t o = begin * per; o < end * per && o < e->outputs; o++) {
        int64_t base[EINSUM_INPUTS] = {0}, rest = o;
        double sum = 0;
        uint64_t isum = 0;
        for (int d = e->n_out - 1; d >= 0; d--) {
            for (uint32_t i = 0; i < s->n_in; i++)
                base[i] += rest % e->dim[d] * e->stride[i][d];
            rest /= e->dim[d];
        }
        for (int64_t t = 0; t < e->terms; t++) {
            int64_t off[EINSUM_INPUTS];
            double product = 1;
            uint64_t iproduct = 1;
            memcpy(off, base, sizeof off);
            rest = t;
            for (int d = e->n_labels - 1; d >= e->n_out; d--) {
                for (uint32_t i = 0; i < s->n_in; i++)
                    off[i] += rest % e->dim[d] * e->stride[i][d];
                rest /= e->dim[d];
            }
            for (uint32_t i = 0; i < s->n_in; i++)
                if (floats)
                    product *= ht_get_f64(s->in[i], off[i]);
                else
                    iproduct *= (uint64_t)ht_get_i64(s->in[i], off[i]);
            sum += product;
            isum += iproduct;
        }
        if (floats)
            ht_put_f64(type, s->out[0]->data + o * (int64_t)size, sum);
        else
            ht_strip_store(type, s->out[0]->data + o * (int64_t)size, 1, &isum, 1);
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_einsum = {"einsum", sizeof(struct ht_einsum), einsum_plan, einsum_units, einsum_run, 0, 0};

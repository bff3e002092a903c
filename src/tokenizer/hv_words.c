/* Words of ASCII by bits. A window of the text is classified at once (hk_classify, any level); a word is
 * then found by shifting the bits of its class to its first byte and counting. Where a byte past ASCII
 * is in the word or right behind it, or the word is unusual, the scalar scanner takes that word: it is the
 * definition (hv_scan_gpt.c), this is the same answer sooner.
 *
 *   | 64 bytes | 64 bytes | ... |   window: HV_WINDOW bytes from `base`, begun anew when a word needs
 *     ^base         ^pos            bits past its end */
#include "tokenizer/hv_words.h"
#include "tokenizer/hv_scan.h"

/* 64 bits of a class from byte `at` of the window on. */
HB_INLINE uint64_t words_bits(const uint64_t *bits, size_t at)
{
    const uint64_t *w = bits + at / 64 * HV_CLASSES;
    size_t shift = at % 64;
    return w[0] >> shift | w[HV_CLASSES] << 1 << (63 - shift);
}

/* How many set bits from the lowest on; 63 for more. */
HB_INLINE size_t words_run(uint64_t bits)
{
    return (size_t)__builtin_ctzll(~bits | (uint64_t)1 << 63);
}

static void words_fill(struct hv_words_fast *f, size_t pos)
{
    size_t n = f->len - pos < HV_WINDOW ? f->len - pos : HV_WINDOW;
    f->base = pos;
    f->end = pos + n;
    f->classify(f->bits, f->text + pos, n);
    uint64_t *past = f->bits + (n + 63) / 64 * HV_CLASSES;
    for (int i = 0; i < HV_CLASSES; i++)
        past[i] = 0;
}

struct words_view {
    uint64_t letters, digits, spaces, wide;
};

/* The length of a word from pos on; 0: ask the scalar scanner. */
static size_t words_gpt2(const uint8_t *p, size_t left, const struct words_view *v)
{
    size_t first = p[0] == ' ' && left > 1;
    uint64_t taken = v->letters | v->digits | v->spaces | v->wide;
    uint64_t in;
    if (p[0] == '\'' || (v->spaces >> first & 1))
        return 0;
    if (v->letters >> first & 1)
        in = v->letters;
    else if (v->digits >> first & 1)
        in = v->digits;
    else
        in = ~taken;
    return first + words_run(in >> first);
}

/* The family of Llama 3: letters with any one character before them that is no newline, digits by
 * `digits` (0: all), punctuation with its newlines. */
HB_INLINE size_t words_gpt(const uint8_t *p, size_t left, const struct words_view *v, unsigned digits)
{
    if (p[0] == '\'')
        return 0;
    if (v->letters & 1)
        return words_run(v->letters);
    if (v->digits & 1) {
        size_t run = words_run(v->digits);
        return digits && run > digits ? digits : run;
    }
    if ((v->letters & 2) && p[0] != '\r' && p[0] != '\n')
        return 1 + words_run(v->letters >> 1);
    size_t first = p[0] == ' ' && left > 1;
    uint64_t taken = v->letters | v->digits | v->spaces | v->wide;
    if (taken >> first & 1)
        return 0;
    size_t end = first + words_run(~taken >> first);
    if (end >= 62) /* what stands behind it is not in view */
        return 0;
    /* newlines behind it belong to it: any white space there is for the scalar scanner */
    return v->spaces >> end & 1 ? (p[end] == ' ' ? end : 0) : end;
}

static size_t words_llama3(const uint8_t *p, size_t left, const struct words_view *v)
{
    return words_gpt(p, left, v, 3);
}

static size_t words_qwen2(const uint8_t *p, size_t left, const struct words_view *v)
{
    return words_gpt(p, left, v, 1);
}

static const struct {
    hv_scan_fn *scan;
    size_t (*fast)(const uint8_t *p, size_t left, const struct words_view *v);
} words_fast[] = {
    {hv_scan_gpt2, words_gpt2},
    {hv_scan_llama3, words_llama3},
    {hv_scan_qwen2, words_qwen2},
};

bool hv_words_fast_begin(struct hv_words_fast *f, const struct hv_pretok *pretok,
                         hv_classify_fn *classify, const uint8_t *text, size_t len)
{
    if (!HEARTH_WITH_SIMD_TOKENIZER || !classify || pretok->stages[1])
        return false;
    for (size_t i = 0; i < HB_COUNT(words_fast); i++)
        if (words_fast[i].scan == pretok->stages[0]) {
            f->text = text;
            f->len = len;
            f->base = f->end = 0;
            f->classify = classify;
            f->kind = (int)i;
            return true;
        }
    return false;
}

size_t hv_words_fast_next(struct hv_words_fast *f, size_t pos)
{
    size_t left = f->len - pos;
    if (!HEARTH_WITH_SIMD_TOKENIZER || left == 0) /* where begin said no, nothing of it is linked */
        return 0;
    if (pos + 64 > f->end && (f->end < f->len || f->end == 0))
        words_fill(f, pos);
    size_t at = pos - f->base;
    const struct words_view v = {words_bits(f->bits, at), words_bits(f->bits + 1, at),
                                 words_bits(f->bits + 2, at), words_bits(f->bits + 3, at)};
    size_t n = words_fast[f->kind].fast(f->text + pos, left, &v);
    /* up to and with the byte behind the word all must be ASCII, and the bits must reach that far */
    if (HB_LIKELY(n > 0 && n < 62 && n <= left && !(v.wide << (63 - n))))
        return n;
    return words_fast[f->kind].scan(f->text + pos, left);
}

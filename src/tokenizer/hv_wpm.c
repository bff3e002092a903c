/* WordPiece as BERT has it: text is cleaned, put in normal form and cut at white space, punctuation
 * and Chinese characters; a word is then the longest token that begins it, the longest that
 * continues it, and so on. A word that cannot be covered, or of more than max_word_chars
 * characters, is the unknown token.
 *
 * The text is read once, character by character, into a word of bounded size, so nothing depends
 * on how long words are.
 *
 * Source: Devlin et al., "BERT", NAACL 2019, and its tokenization.py; where that leaves Unicode open,
 * as the BertNormalizer of huggingface/tokenizers: control, format and private characters go,
 * unassigned ones stay. */
#include "tokenizer/hv_internal.h"
#include "tokenizer/hv_bert.h"
#include "tokenizer/hv_normalize.h"

struct wpm_word {
    uint8_t bytes[4 * HV_WORD_CHARS_CAP];
    uint8_t ends[HV_WORD_CHARS_CAP]; /* lengths of the characters */
    size_t len, chars;               /* chars may pass the maximum, bytes then stop */
};

hearth_status hv_wpm_build(struct hv_tokenizer *tok, hearth_error *err)
{
    for (uint32_t c = 0; c < 0x80; c++) {
        bool cut = hv_bert_goes(c) || hv_bert_is_punct(c) || (hb_uc_bit(c) & HB_UC_SPACE);
        tok->plain[c] = (uint8_t)(cut ? 0 : tok->lowercase && c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    if (hv_normalize_available())
        return HEARTH_OK;
    return hb_fail(err, HEARTH_E_UNSUPPORTED,
                   "tokenizer: WordPiece (bert) needs Unicode normal forms; this library was built "
                   "without utf8proc (HEARTH_UTF8PROC)");
}

/* What stands in front of a piece: at the start of a word, or inside it. */
static struct hv_text wpm_mark(const struct hv_tokenizer *tok, bool start)
{
    if (tok->wpm_style == HV_WPM_WORD_START)
        return start ? (struct hv_text){"\xE2\x96\x81", 3} : (struct hv_text){"", 0};
    return start ? (struct hv_text){"", 0} : tok->wpm_prefix;
}

/* The longest token from character `first` on (byte `begin`), -1 if there is none; *chars and
 * *bytes are its length. */
static int32_t wpm_longest(const struct hv_tokenizer *tok, const struct wpm_word *w, size_t first,
                           size_t begin, size_t *chars, size_t *bytes)
{
    struct hv_text mark = wpm_mark(tok, first == 0);
    uint32_t hash = hv_hash_bytes(0, mark.bytes, mark.len);
    int32_t found = -1;
    size_t len = 0;
    /* a U+2581 of the text inside a word is not the mark of a word's start */
    if (tok->wpm_style == HV_WPM_WORD_START && first > 0 && w->ends[first] == 3 &&
        memcmp(w->bytes + begin, "\xE2\x96\x81", 3) == 0)
        return -1;
    for (size_t i = first; i < w->chars && mark.len + len < tok->max_len; i++) {
        hash = hv_hash_bytes(hash, w->bytes + begin + len, w->ends[i]);
        len += w->ends[i];
        int32_t id = hv_vocab_find(tok, hash, mark.bytes, mark.len, w->bytes + begin, len);
        if (id >= 0 && !(tok->attr[id] & HV_ATTR_INERT)) {
            found = id;
            *chars = i + 1 - first;
            *bytes = len;
        }
    }
    return found;
}

/* A word that is not in the cache: its pieces, or the unknown token. */
static void wpm_pieces(struct hv_sink *sink, const struct wpm_word *w)
{
    size_t before = sink->n, first = 0, begin = 0;
    while (w->chars <= sink->tok->max_word_chars && first < w->chars) {
        size_t chars, bytes;
        int32_t id = wpm_longest(sink->tok, w, first, begin, &chars, &bytes);
        if (id < 0)
            break;
        hv_emit(sink, id);
        first += chars;
        begin += bytes;
    }
    if (first < w->chars) {
        sink->n = before;
        hv_emit_unknown(sink);
    }
}

static void wpm_finish(struct hv_sink *sink, struct wpm_word *w)
{
    struct hv_cache_key key;
    size_t before = sink->n;
    if (w->chars == 0)
        return;
    if (!hv_word_seen(sink, &key, w->bytes, w->len)) {
        wpm_pieces(sink, w);
        hv_word_keep(sink, &key, before);
    }
    w->len = w->chars = 0;
}

static void wpm_add(struct wpm_word *w, uint32_t cp)
{
    if (w->chars < HV_WORD_CHARS_CAP) {
        size_t n = hb_utf8_put(cp, w->bytes + w->len);
        w->ends[w->chars] = (uint8_t)n;
        w->len += n;
    }
    w->chars++;
}

/* One character in normal form. */
static void wpm_char(struct hv_sink *sink, struct wpm_word *w, uint32_t cp, bool alone)
{
    if (hb_uc_bit(cp) & HB_UC_SPACE) {
        wpm_finish(sink, w);
        return;
    }
    alone |= hv_bert_is_punct(cp);
    if (alone)
        wpm_finish(sink, w);
    wpm_add(w, cp);
    if (alone)
        wpm_finish(sink, w);
}

/* Characters of ASCII that stay in a word, from pos on. */
static size_t wpm_plain_run(const struct hv_tokenizer *tok, const uint8_t *text, size_t n, size_t pos,
                            struct wpm_word *w)
{
    while (pos < n && text[pos] < 0x80 && tok->plain[text[pos]] && w->chars < HV_WORD_CHARS_CAP) {
        w->bytes[w->len++] = tok->plain[text[pos++]];
        w->ends[w->chars++] = 1;
    }
    return pos;
}

void hv_wpm_encode(struct hv_sink *sink, const uint8_t *text, size_t n)
{
    const struct hv_tokenizer *tok = sink->tok;
    struct wpm_word w = {.len = 0};
    for (size_t pos = 0; pos < n;) {
        uint32_t cp, normal[HV_NORMAL_MAX];
        pos = wpm_plain_run(tok, text, n, pos, &w);
        if (pos == n)
            break;
        pos += hb_utf8_take(text + pos, n - pos, &cp);
        if (hv_bert_goes(cp))
            continue;
        size_t count = 1;
        if (cp < 0x80)
            normal[0] = tok->lowercase && cp >= 'A' && cp <= 'Z' ? cp | 0x20 : cp;
        else
            count = hv_normalize(cp, tok->strip_accents, tok->lowercase, normal);
        for (size_t i = 0; i < count; i++)
            wpm_char(sink, &w, normal[i], hv_bert_is_chinese(cp));
    }
    wpm_finish(sink, &w);
}

void hv_wpm_word(struct hv_sink *sink, const uint8_t *word, size_t n)
{
    struct wpm_word w = {.len = 0};
    for (size_t pos = 0; pos < n;) {
        uint32_t cp;
        pos += hb_utf8_take(word + pos, n - pos, &cp);
        wpm_add(&w, cp);
    }
    wpm_finish(sink, &w);
}

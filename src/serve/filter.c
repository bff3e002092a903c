/* The content filter: see hs_filter.h.
 *
 * The automaton is a trie of bytes whose nodes have their children in a list; a node's `fail` is the node of its
 * longest proper suffix, `word` the length of the longest word that ends in it (itself or by its suffixes).
 * Source: Aho, Corasick, "Efficient string matching", CACM 18 (1975). */
#include "serve/hs_filter.h"
#include "base/hb_error.h"
#include "base/hb_unicode.h"
#include <string.h>
#include <utf8proc.h>

#define FILTER_OPTIONS ((utf8proc_option_t)(UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD))
/* Of a word or cluster; decomposition makes no more than one a byte. */
#define FILTER_POINTS (HS_FILTER_MAX_WORD + 8)

struct filter_node {
    uint32_t child, next; /* 0: none; the root is no child */
    uint32_t fail;
    uint16_t depth, word;
    uint8_t byte;
};

struct hs_filter {
    struct filter_node *nodes;
    uint32_t n_nodes;
    uint32_t first[256]; /* the root's children */
    size_t longest;
    const char *replacement;
    size_t replacement_len;
};

/* A cluster that is held: its raw bytes, and how many bytes it has normalised. */
struct filter_cluster {
    uint32_t raw, normal;
};

struct hs_filter_stream {
    const struct hs_filter *filter;
    uint32_t state;
    uint64_t matches;
    struct filter_cluster *clusters; /* [n], in front of the one that grows */
    size_t n, cap;
    char *raw;            /* of the held clusters, then of the growing one */
    size_t raw_len, grown; /* grown: bytes of the growing cluster */
    int32_t points;        /* of it */
    utf8proc_int32_t last; /* its last code point */
    utf8proc_int32_t break_state;
    uint8_t part[4]; /* of a character cut by a push */
    uint8_t part_len;
};

/* ---- normal form ---- */

/* Normalised bytes of a cluster or word; 0 if it is not UTF-8 or too long. */
static size_t filter_normal(const char *text, size_t len, char *out, size_t cap)
{
    utf8proc_int32_t points[FILTER_POINTS];
    utf8proc_ssize_t n = utf8proc_decompose((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)len, points,
                                            FILTER_POINTS - 1, FILTER_OPTIONS);
    if (n <= 0 || n >= FILTER_POINTS)
        return 0;
    n = utf8proc_reencode(points, n, FILTER_OPTIONS);
    if (n <= 0 || (size_t)n > cap)
        return 0;
    memcpy(out, points, (size_t)n);
    return (size_t)n;
}

/* ---- the automaton ---- */

static uint32_t filter_child(const struct hs_filter *f, uint32_t node, uint8_t byte)
{
    uint32_t c = node == 0 ? f->first[byte] : f->nodes[node].child;
    if (node == 0)
        return c;
    while (c && f->nodes[c].byte != byte)
        c = f->nodes[c].next;
    return c;
}

static uint32_t filter_step(const struct hs_filter *f, uint32_t state, uint8_t byte)
{
    uint32_t c;
    while (!(c = filter_child(f, state, byte)) && state)
        state = f->nodes[state].fail;
    return c;
}

static void filter_add(struct hs_filter *f, const char *word, size_t len)
{
    uint32_t at = 0;
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = (uint8_t)word[i];
        uint32_t c = filter_child(f, at, byte);
        if (!c) {
            c = f->n_nodes++;
            f->nodes[c] = (struct filter_node){.byte = byte, .depth = (uint16_t)(i + 1)};
            if (at == 0) {
                f->first[byte] = c;
            } else {
                f->nodes[c].next = f->nodes[at].child;
                f->nodes[at].child = c;
            }
        }
        at = c;
    }
    f->nodes[at].word = (uint16_t)len;
    f->longest = len > f->longest ? len : f->longest;
}

/* Breadth first; `queue` [n_nodes]. */
static void filter_link(struct hs_filter *f, uint32_t *queue)
{
    size_t head = 0, tail = 0;
    for (int b = 0; b < 256; b++)
        if (f->first[b])
            queue[tail++] = f->first[b];
    while (head < tail) {
        uint32_t at = queue[head++];
        struct filter_node *node = &f->nodes[at];
        if (f->nodes[node->fail].word > node->word)
            node->word = f->nodes[node->fail].word;
        for (uint32_t c = node->child; c; c = f->nodes[c].next) {
            f->nodes[c].fail = filter_step(f, node->fail, f->nodes[c].byte);
            queue[tail++] = c;
        }
    }
}

/* ---- making ---- */

static bool filter_points_in_words(const struct hs_filter *f, const char *text, size_t len)
{
    char normal[HS_FILTER_MAX_WORD];
    size_t n = filter_normal(text, len, normal, sizeof normal);
    for (uint32_t i = 1; n && i < f->n_nodes; i++) { /* does a path spell it? */
        uint32_t at = i;
        size_t k = 1;
        if (f->nodes[i].byte != (uint8_t)normal[0])
            continue;
        while (k < n && (at = filter_child(f, at, (uint8_t)normal[k])) != 0)
            k++;
        if (k == n)
            return true;
    }
    return false;
}

static hearth_status filter_check_replacement(const struct hs_filter *f, hearth_error *err)
{
    const uint8_t *text = (const uint8_t *)f->replacement;
    char normal[HS_FILTER_MAX_WORD];
    size_t len = f->replacement_len, first, last = len, n;
    uint32_t cp, state = 0;
    if (len == 0)
        return hb_fail(err, HEARTH_E_RANGE, "filter: the replacement is empty; what stands around a word could "
                       "then make another");
    n = filter_normal(f->replacement, len, normal, sizeof normal);
    if (n == 0)
        return hb_fail(err, HEARTH_E_FORMAT, "filter: the replacement is not UTF-8, or longer than %u bytes",
                       HS_FILTER_MAX_WORD);
    first = hb_utf8_take(text, len, &cp);
    while (last > 0 && (text[--last] & 0xC0) == 0x80)
        ;
    if (filter_points_in_words(f, f->replacement, first) || filter_points_in_words(f, f->replacement + last, len - last))
        return hb_fail(err, HEARTH_E_RANGE, "filter: the replacement \"%.*s\" begins or ends with a character of a "
                       "word; one that is in none is required, such as [ and ]", (int)len, f->replacement);
    for (size_t i = 0; i < n; i++) {
        state = filter_step(f, state, (uint8_t)normal[i]);
        if (f->nodes[state].word)
            return hb_fail(err, HEARTH_E_RANGE, "filter: the replacement \"%.*s\" holds a word", (int)len,
                           f->replacement);
    }
    return HEARTH_OK;
}

static hearth_status filter_words(struct hs_filter *f, const struct hs_word *words, size_t n, size_t *total,
                                  hearth_error *err)
{
    char normal[HS_FILTER_MAX_WORD];
    for (size_t i = 0; i < n; i++) {
        size_t len = words[i].len && words[i].len <= HS_FILTER_MAX_WORD
                         ? filter_normal(words[i].text, words[i].len, normal, sizeof normal) : 0;
        if (words[i].len == 0 || words[i].len > HS_FILTER_MAX_WORD)
            return hb_fail(err, HEARTH_E_RANGE, "filter: word %zu has %zu bytes; 1 to %u are accepted", i,
                           words[i].len, HS_FILTER_MAX_WORD);
        if (len == 0)
            return hb_fail(err, HEARTH_E_FORMAT, "filter: word %zu is not UTF-8, or longer than %u bytes in "
                           "normal form", i, HS_FILTER_MAX_WORD);
        *total += len;
        if (f->nodes)
            filter_add(f, normal, len);
    }
    return HEARTH_OK;
}

hearth_status hs_filter_create(const struct hs_word *words, size_t n, const char *replacement, size_t replacement_len,
                               struct hb_arena *arena, struct hs_filter **out, hearth_error *err)
{
    struct hs_filter *f;
    uint32_t *queue;
    size_t total = 0;
    if (n > HS_FILTER_MAX_WORDS)
        return hb_fail(err, HEARTH_E_LIMIT, "filter: %zu words; at most %u are accepted", n, HS_FILTER_MAX_WORDS);
    HB_TRY(HB_ARENA_NEW(arena, struct hs_filter, 1, &f, err));
    HB_TRY(filter_words(f, words, n, &total, err)); /* once to count, once to add */
    HB_TRY(HB_ARENA_NEW(arena, struct filter_node, total + 1, &f->nodes, err));
    HB_TRY(HB_ARENA_NEW(arena, uint32_t, total + 1, &queue, err));
    f->n_nodes = 1;
    HB_TRY(filter_words(f, words, n, &total, err));
    filter_link(f, queue);
    HB_TRY(hb_arena_text(arena, replacement, replacement_len, &f->replacement, err));
    f->replacement_len = replacement_len;
    HB_TRY(filter_check_replacement(f, err));
    *out = f;
    return HEARTH_OK;
}

/* ---- a text on its way ---- */

hearth_status hs_filter_open(const struct hs_filter *filter, struct hb_arena *arena, struct hs_filter_stream **out,
                             hearth_error *err)
{
    struct hs_filter_stream *s;
    HB_TRY(HB_ARENA_NEW(arena, struct hs_filter_stream, 1, &s, err));
    s->filter = filter;
    s->cap = filter->longest + 1;
    HB_TRY(HB_ARENA_NEW(arena, struct filter_cluster, s->cap, &s->clusters, err));
    HB_TRY(HB_ARENA_NEW(arena, char, (s->cap + 1) * HS_CLUSTER_BYTES, &s->raw, err));
    *out = s;
    return HEARTH_OK;
}

uint64_t hs_filter_matches(const struct hs_filter_stream *s)
{
    return s->matches;
}

/* The first n held clusters go out, or away. */
static void filter_release(struct hs_filter_stream *s, size_t n, hs_filter_out_fn *out, void *user)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += s->clusters[i].raw;
    if (bytes && out)
        out(user, s->raw, bytes);
    memmove(s->raw, s->raw + bytes, s->raw_len - bytes);
    memmove(s->clusters, s->clusters + n, (s->n - n) * sizeof *s->clusters);
    s->raw_len -= bytes;
    s->n -= n;
}

/* Clusters at the end that hold the last `bytes` normalised bytes. */
static size_t filter_tail(const struct hs_filter_stream *s, size_t bytes)
{
    size_t n = 0, have = 0;
    while (have < bytes && n < s->n)
        have += s->clusters[s->n - ++n].normal;
    return n;
}

/* The growing cluster is whole: through the automaton with it. */
static void filter_close(struct hs_filter_stream *s, hs_filter_out_fn *out, void *user)
{
    const struct hs_filter *f = s->filter;
    char normal[HS_FILTER_MAX_WORD * 2];
    size_t n = filter_normal(s->raw + s->raw_len, s->grown, normal, sizeof normal), word = 0, end = 0;
    if (s->grown == 0)
        return;
    if (n == 0) /* no UTF-8: a byte that no word has */
        normal[n++] = (char)0xFF;
    for (size_t i = 0; i < n && !word; i++) {
        s->state = filter_step(f, s->state, (uint8_t)normal[i]);
        word = f->nodes[s->state].word;
        end = i + 1;
    }
    s->clusters[s->n++] = (struct filter_cluster){(uint32_t)s->grown, (uint32_t)n};
    s->raw_len += s->grown;
    s->grown = 0;
    s->points = 0;
    s->break_state = 0;
    if (word) {
        filter_release(s, s->n - filter_tail(s, word + n - end), out, user);
        filter_release(s, s->n, NULL, NULL);
        s->matches++; /* so that whoever takes the text knows the replacement when it comes */
        out(user, f->replacement, f->replacement_len);
        s->state = 0;
        return;
    }
    filter_release(s, s->n - filter_tail(s, f->nodes[s->state].depth), out, user);
}

static void filter_character(struct hs_filter_stream *s, const uint8_t *bytes, size_t len, bool valid, uint32_t cp,
                             hs_filter_out_fn *out, void *user)
{
    bool begins = s->grown > 0 && (!valid || s->last < 0 || s->points >= HS_CLUSTER_POINTS ||
                                   utf8proc_grapheme_break_stateful(s->last, (utf8proc_int32_t)cp, &s->break_state));
    if (begins)
        filter_close(s, out, user);
    memcpy(s->raw + s->raw_len + s->grown, bytes, len);
    s->grown += len;
    s->points++;
    s->last = valid ? (utf8proc_int32_t)cp : -1;
}

/* Could these bytes still become a character? */
static bool filter_is_cut(const uint8_t *p, size_t n)
{
    size_t want = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : p[0] >= 0xC2 ? 2 : 1;
    uint8_t whole[4] = {p[0], 0x80, 0x80, 0x80};
    if (n >= want || p[0] > 0xF4)
        return false;
    if (n == 1)
        whole[1] = p[0] == 0xE0 ? 0xA0 : p[0] == 0xF0 ? 0x90 : 0x80;
    for (size_t i = 1; i < n; i++)
        whole[i] = p[i];
    return hb_utf8_len(whole, want) == want;
}

void hs_filter_push(struct hs_filter_stream *s, const char *text, size_t len, hs_filter_out_fn *out, void *user)
{
    const uint8_t *p = (const uint8_t *)text;
    for (size_t i = 0; i < len;) {
        uint8_t four[4];
        size_t have = s->part_len;
        uint32_t cp;
        memcpy(four, s->part, have);
        for (size_t j = i; have < 4 && j < len; j++)
            four[have++] = p[j];
        if (filter_is_cut(four, have)) { /* all that is left of this push */
            memcpy(s->part, four, have);
            s->part_len = (uint8_t)have;
            return;
        }
        size_t n = hb_utf8_len(four, have);
        bool valid = n > 0;
        n = hb_utf8_take(four, have, &cp);
        filter_character(s, four, n, valid, cp, out, user);
        if (n >= s->part_len) {
            i += n - s->part_len;
            s->part_len = 0;
        } else { /* the first byte of a cut character was none */
            s->part_len = (uint8_t)(s->part_len - n);
            memmove(s->part, s->part + n, s->part_len);
        }
    }
}

void hs_filter_end(struct hs_filter_stream *s, hs_filter_out_fn *out, void *user)
{
    for (size_t i = 0; i < s->part_len; i++)
        filter_character(s, s->part + i, 1, false, 0, out, user);
    s->part_len = 0;
    filter_close(s, out, user);
    filter_release(s, s->n, out, user);
    s->state = 0;
}

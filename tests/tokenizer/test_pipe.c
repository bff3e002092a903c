/* Tokenizers read from tokenizer.json and vocab.txt: ids equal to those of another implementation,
 * refusals by name, hostile files, long words.
 *
 * pipe_cases.json: small tokenizers of every kind with texts and their ids, made by
 * tools/check_tokenizer_json.py --store. */
#include "test_support.h"
#include <time.h>
#include "base/os/hb_os.h"
#include "tokenizer/hv_pipe.h"
#include <jansson.h>

#define CASES HEARTH_SOURCE_DIR "/tests/tokenizer/pipe_cases.json"
#define SHARED HEARTH_SHARED_DIR "/fixtures/"

struct opened {
    struct hb_arena arena;
    struct hv_pipe *pipe;
    hearth_error err;
};

static hearth_status open_bytes(struct opened *o, const void *bytes, size_t n)
{
    memset(o, 0, sizeof *o);
    hb_arena_init_growing(&o->arena, hb_os_heap());
    hearth_status status = hv_pipe_is_json(bytes, n)
                               ? hv_pipe_from_json(bytes, n, &o->arena, &o->pipe, &o->err)
                               : hv_pipe_from_vocab(bytes, n, &o->arena, &o->pipe, &o->err);
    if (status != HEARTH_OK)
        hb_arena_release(&o->arena);
    return status;
}

static bool open_file(struct opened *o, const char *path)
{
    struct hb_file file;
    if (hb_os_file_open(path, 0, 0, &file, &o->err) != HEARTH_OK)
        return false;
    hearth_status status = open_bytes(o, file.bytes, file.size);
    hb_os_file_close(&file);
    if (status != HEARTH_OK)
        fail_msg("%s: %s", path, o->err.text);
    return true;
}

static void encode(const struct opened *o, const char *text, size_t len, uint32_t flags,
                   size_t max_ids, struct hb_arena *scratch, struct hv_encoding *e)
{
    hearth_error err;
    hb_arena_init_growing(scratch, hb_os_heap());
    if (hv_pipe_encode(o->pipe, text, len, flags, max_ids, scratch, e, &err) != HEARTH_OK)
        fail_msg("%s", err.text);
}

static void assert_ids(const struct opened *o, const char *name, const json_t *text,
                       const json_t *ids, uint32_t flags)
{
    struct hb_arena scratch;
    struct hv_encoding e;
    encode(o, json_string_value(text), json_string_length(text), flags, 0, &scratch, &e);
    bool same = e.n == json_array_size(ids);
    for (size_t i = 0; i < e.n && same; i++)
        same = e.ids[i] == json_integer_value(json_array_get(ids, i));
    if (!same) {
        for (size_t i = 0; i < e.n; i++)
            printf(" %d", e.ids[i]);
        fail_msg("%s: '%s' gives other ids: %s", name, json_string_value(text),
                 json_dumps(ids, JSON_COMPACT));
    }
    hb_arena_release(&scratch);
}

static void every_kind_gives_the_stored_ids(void **state)
{
    json_t *cases = json_load_file(CASES, JSON_ALLOW_NUL, NULL), *c, *row;
    size_t i, k, n_texts = 0;
    assert_non_null(cases);
    json_array_foreach(cases, i, c)
    {
        struct opened o;
        const char *name = json_string_value(json_object_get(c, "name"));
        char *text = json_dumps(json_object_get(c, "tokenizer"), JSON_COMPACT);
        if (open_bytes(&o, text, strlen(text)) != HEARTH_OK)
            fail_msg("%s: %s", name, o.err.text);
        free(text);
        json_array_foreach(json_object_get(c, "texts"), k, row)
        {
            assert_ids(&o, name, json_array_get(row, 0), json_array_get(row, 1),
                       HV_ADD_SPECIAL | HV_PARSE_SPECIAL);
            assert_ids(&o, name, json_array_get(row, 0), json_array_get(row, 2), HV_ADD_SPECIAL);
            n_texts += 2;
        }
        hb_arena_release(&o.arena);
    }
    printf("%zu tokenizers, %zu texts\n", json_array_size(cases), n_texts);
    assert_true(n_texts > 500);
    json_decref(cases);
}

static void encoder_reference_ids_are_exact(void **state)
{
    struct opened o, v;
    json_t *reference = json_load_file(SHARED "models/encoder-reference.json", 0, NULL), *text;
    size_t i;
    if (!reference || !open_file(&o, SHARED "models/tokenizer.json")) {
        printf("skipped: " SHARED "models/encoder-reference.json is not there\n");
        skip();
    }
    assert_true(open_file(&v, SHARED "models/vocab.txt"));
    json_array_foreach(json_object_get(reference, "sentences"), i, text)
    {
        const json_t *ids = json_array_get(json_object_get(reference, "ids"), i);
        assert_ids(&o, "tokenizer.json", text, ids, HV_ADD_SPECIAL);
        assert_ids(&v, "vocab.txt", text, ids, 0); /* which would add [CLS] and [SEP] */
    }
    printf("%zu sentences\n", i);
    hb_arena_release(&o.arena);
    hb_arena_release(&v.arena);
    json_decref(reference);
}

static void truncation_keeps_the_template(void **state)
{
    struct opened o;
    struct hb_arena scratch;
    struct hv_encoding e;
    const char *vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n##a\nb\n";
    assert_int_equal(open_bytes(&o, vocab, strlen(vocab)), HEARTH_OK);
    encode(&o, "a b a b", 7, HV_ADD_SPECIAL, 4, &scratch, &e);
    assert_int_equal(e.n, 4);
    assert_int_equal(e.n_all, 6);
    static const int32_t want[] = {2, 4, 6, 3};
    assert_memory_equal(e.ids, want, sizeof want);
    hb_arena_release(&scratch);
    encode(&o, "a b", 3, HV_ADD_SPECIAL, 4, &scratch, &e); /* exactly the limit */
    assert_int_equal(e.n, 4);
    assert_int_equal(e.n_all, 4);
    hb_arena_release(&scratch);
    hb_arena_init_growing(&scratch, hb_os_heap());
    assert_int_equal(hv_pipe_encode(o.pipe, "a", 1, HV_ADD_SPECIAL, 1, &scratch, &e, NULL),
                     HEARTH_E_LIMIT);
    hb_arena_release(&scratch);
    encode(&o, "", 0, HV_ADD_SPECIAL, 0, &scratch, &e);
    assert_int_equal(e.n, 2);
    hb_arena_release(&scratch);
    hb_arena_release(&o.arena);
}

/* ---- refusals */

#define WP(rest) "{\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"vocab\":{\"[UNK]\":0}}" rest "}"
#define BPE(model) "{\"model\":{\"type\":\"BPE\"," model "}}"

static const struct {
    const char *json;
    hearth_status status;
    const char *says;
} refusals[] = {
    {"{", HEARTH_E_FORMAT, "line 1"},
    {"{}", HEARTH_E_FORMAT, "vocab"},
    {"{\"model\":3}", HEARTH_E_FORMAT, "vocab"},
    {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":[]}}", HEARTH_E_FORMAT, "vocab"},
    {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{}}}", HEARTH_E_FORMAT, "vocabulary of 0"},
    {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":-1}}}", HEARTH_E_RANGE, "id -1"},
    {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":4294967296}}}", HEARTH_E_RANGE, "4294967296"},
    {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":\"0\"}}}", HEARTH_E_RANGE, "'a'"},
    {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0,\"b\":0}}}", HEARTH_E_FORMAT, "both"},
    {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}}", HEARTH_E_NOT_FOUND, "unk_token"},
    {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}}}", HEARTH_E_UNSUPPORTED, "\"WordLevel\""},
    {WP(",\"normalizer\":{\"type\":\"ByteLevel\"}"), HEARTH_E_UNSUPPORTED, "normalizer \"ByteLevel\""},
    {WP(",\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a|b\"},\"content\":\"\"}"),
     HEARTH_E_UNSUPPORTED, "a|b"},
    {WP(",\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\"x\"}"),
     HEARTH_E_FORMAT, "pattern"},
    {WP(",\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAA\"}"),
     HEARTH_E_FORMAT, "precompiled_charsmap"},
    {WP(",\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"!\"}"), HEARTH_E_FORMAT,
     "base64"},
    {WP(",\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}"), HEARTH_E_UNSUPPORTED, "UnicodeScripts"},
    {WP(",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a+)+b\"},"
        "\"behavior\":\"Isolated\"}"), HEARTH_E_UNSUPPORTED, "(a+)+b"},
    {WP(",\"pre_tokenizer\":{\"type\":\"Punctuation\",\"behavior\":\"Sideways\"}"),
     HEARTH_E_UNSUPPORTED, "Sideways"},
    {WP(",\"pre_tokenizer\":{\"type\":\"Sequence\"}"), HEARTH_E_FORMAT, "pretokenizers"},
    {WP(",\"post_processor\":{\"type\":\"Magic\"}"), HEARTH_E_UNSUPPORTED, "Magic"},
    {WP(",\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"x\",9],\"cls\":[\"y\",0]}"),
     HEARTH_E_RANGE, "9"},
    {WP(",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[]}"), HEARTH_E_UNSUPPORTED,
     "0 times"},
    {WP(",\"added_tokens\":[{\"id\":0}]"), HEARTH_E_FORMAT, "content"},
    {WP(",\"added_tokens\":[{\"id\":1048576,\"content\":\"x\"}]"), HEARTH_E_RANGE, "1048576"},
    {WP(",\"added_tokens\":7"), HEARTH_E_FORMAT, "added_tokens"},
    {WP(",\"truncation\":{\"max_length\":-1}"), HEARTH_E_RANGE, "-1"},
    {BPE("\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]"), HEARTH_E_FORMAT, "merge 0"},
    {BPE("\"vocab\":{\"a\":0},\"merges\":[1]"), HEARTH_E_FORMAT, "text is expected"},
    {BPE("\"vocab\":{\"a\":0},\"merges\":[],\"dropout\":0.1"), HEARTH_E_UNSUPPORTED, "dropout"},
    {BPE("\"vocab\":{\"a\":0},\"merges\":[],\"continuing_subword_prefix\":\"##\""),
     HEARTH_E_UNSUPPORTED, "continuing_subword_prefix"},
    {BPE("\"vocab\":{\"a\":0},\"merges\":[],\"unk_token\":\"b\""), HEARTH_E_NOT_FOUND, "'b'"},
    {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\"]]}}", HEARTH_E_FORMAT, "token 0"},
    {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",0.5]],\"unk_id\":1}}", HEARTH_E_RANGE,
     "unk_id 1"},
};

static void what_is_not_known_is_refused_by_name(void **state)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct opened o;
        hearth_status status = open_bytes(&o, refusals[i].json, strlen(refusals[i].json));
        if (status == HEARTH_OK)
            hb_arena_release(&o.arena);
        if (status != refusals[i].status || !strstr(o.err.text, refusals[i].says))
            fail_msg("%s: status %d '%s', expected %d '%s'", refusals[i].json, status, o.err.text,
                     refusals[i].status, refusals[i].says);
    }
}

static void deep_and_cut_files_are_refused(void **state)
{
    struct opened o;
    size_t n = 100000;
    char *text = malloc(n + 1);
    memset(text, '[', n);
    memcpy(text, "{\"a\":", 5);
    assert_int_equal(open_bytes(&o, text, n), HEARTH_E_FORMAT);
    free(text);
    const char *small = WP(",\"added_tokens\":[{\"id\":3,\"content\":\"<x>\",\"special\":true}],"
                           "\"normalizer\":{\"type\":\"NFC\"}");
    for (size_t len = 0; len < strlen(small); len++) {
        hearth_status status = open_bytes(&o, small, len);
        assert_int_not_equal(status, HEARTH_OK);
    }
}

/* Files with a byte changed here and there: never a crash, whatever they say. */
static void changed_bytes_never_crash(void **state)
{
    struct hb_file file;
    uint64_t seed = 7;
    int opened = 0;
    assert_int_equal(hb_os_file_open(CASES, 0, 0, &file, NULL), HEARTH_OK);
    const char *from = strstr((const char *)file.bytes, "\"tokenizer\":") + 12;
    const char *to = strstr(from, ",\"texts\":");
    size_t n = (size_t)(to - from);
    char *bytes = malloc(n);
    for (int round = 0; round < 400; round++) {
        struct opened o;
        memcpy(bytes, from, n);
        bytes[test_rand(&seed) % n] ^= (char)(1 << test_rand(&seed) % 8);
        if (open_bytes(&o, bytes, n) != HEARTH_OK)
            continue;
        struct hb_arena scratch;
        struct hv_encoding e;
        hb_arena_init_growing(&scratch, hb_os_heap());
        hv_pipe_encode(o.pipe, from, 300, HV_ADD_SPECIAL, 0, &scratch, &e, NULL);
        hb_arena_release(&scratch);
        hb_arena_release(&o.arena);
        opened++;
    }
    printf("%d of 400 opened\n", opened);
    free(bytes);
    hb_os_file_close(&file);
}

/* ---- limits of words */

static void long_words_are_unknown(void **state) /* T-08 */
{
    static const size_t lengths[] = {99, 100, 101, 1000000};
    struct opened o;
    const char *vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n##a\n";
    char *text = malloc(1000000);
    memset(text, 'a', 1000000);
    assert_int_equal(open_bytes(&o, vocab, strlen(vocab)), HEARTH_OK);
    for (size_t i = 0; i < 4; i++) {
        struct hb_arena scratch;
        struct hv_encoding e;
        encode(&o, text, lengths[i], 0, 0, &scratch, &e);
        assert_int_equal(e.n, lengths[i] <= 100 ? lengths[i] : 1);
        hb_arena_release(&scratch);
    }
    free(text);
    hb_arena_release(&o.arena);
}

static double seconds(void) /* of this process alone, whatever else the machine does */
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/* T-09: text of which nothing is in the vocabulary; and that time per byte does not grow. */
static void unigram_without_a_match_is_linear(void **state)
{
    static const char json[] = "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0],"
                               "[\"a\",-1],[\"aa\",-1.5],[\"aaaaaaaa\",-3]]}}";
    struct opened o;
    struct hb_arena scratch;
    struct hv_encoding e;
    size_t n = (size_t)1 << 20;
    char *text = malloc(n);
    assert_int_equal(open_bytes(&o, json, sizeof json - 1), HEARTH_OK);
    memset(text, 'z', n);
    encode(&o, text, n, 0, 0, &scratch, &e);
    assert_int_equal(e.n, 1); /* unknown neighbours are one */
    hb_arena_release(&scratch);
    memset(text, 'a', n);
    double per_byte[2];
    for (int i = 0; i < 2; i++) {
        size_t len = i ? n : n / 64;
        double start = seconds();
        encode(&o, text, len, 0, 0, &scratch, &e);
        per_byte[i] = (seconds() - start) / (double)len;
        assert_int_equal(e.n, len / 8);
        hb_arena_release(&scratch);
    }
    printf("unigram: %.0f ns/byte at 16 KiB, %.0f at 1 MiB\n", per_byte[0] * 1e9, per_byte[1] * 1e9);
    /* quadratic time would be 64 times as much a byte */
    assert_true(per_byte[1] < 32 * per_byte[0] + 1e-6);
    free(text);
    hb_arena_release(&o.arena);
}

/* T-05: normal form stays linear under ten thousand marks on one letter. */
static void many_marks_are_linear(void **state)
{
    struct opened o;
    struct hb_arena scratch;
    struct hv_encoding e;
    size_t n = 400001;
    char *text = malloc(n);
    text[0] = 'a';
    for (size_t i = 1; i + 4 <= n; i += 4)
        memcpy(text + i, "\xCC\x81\xCC\xA3", 4); /* classes 230 and 220 in turn */
    const char *json = WP(",\"normalizer\":{\"type\":\"NFC\"}");
    assert_int_equal(open_bytes(&o, json, strlen(json)), HEARTH_OK);
    double start = seconds();
    encode(&o, text, n, 0, 0, &scratch, &e);
    double took = seconds() - start;
    printf("NFC of %zu marks: %.3f s\n", (n - 1) / 2, took);
    assert_true(took < 5); /* tens of milliseconds; quadratic time is over ten seconds */
    hb_arena_release(&scratch);
    free(text);
    hb_arena_release(&o.arena);
}

/* ---- memory */

struct counted {
    int left;
};

static void *counted_alloc(void *user, size_t size)
{
    struct counted *c = user;
    return c->left-- > 0 ? malloc(size) : NULL;
}

static void counted_free(void *user, void *p, size_t size)
{
    free(p);
}

static void every_refused_allocation_is_reported(void **state)
{
    struct hb_file file;
    assert_int_equal(hb_os_file_open(CASES, 0, 0, &file, NULL), HEARTH_OK);
    const char *from = strstr((const char *)file.bytes, "\"tokenizer\":") + 12;
    size_t n = (size_t)(strstr(from, ",\"texts\":") - from);
    int refused = 0;
    for (int nth = 0;; nth++) {
        struct counted c = {nth};
        struct hb_alloc hooks = {counted_alloc, counted_free, &c};
        struct hb_arena arena;
        struct hv_pipe *pipe;
        hb_arena_init_growing(&arena, &hooks);
        hearth_status status = hv_pipe_from_json(from, n, &arena, &pipe, NULL);
        hb_arena_release(&arena);
        if (status == HEARTH_OK)
            break;
        assert_int_equal(status, HEARTH_E_MEMORY);
        refused++;
    }
    printf("%d allocations refused in turn\n", refused);
    assert_true(refused > 0);
    hb_os_file_close(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_gives_the_stored_ids),
        cmocka_unit_test(encoder_reference_ids_are_exact),
        cmocka_unit_test(truncation_keeps_the_template),
        cmocka_unit_test(what_is_not_known_is_refused_by_name),
        cmocka_unit_test(deep_and_cut_files_are_refused),
        cmocka_unit_test(changed_bytes_never_crash),
        cmocka_unit_test(long_words_are_unknown),
        cmocka_unit_test(unigram_without_a_match_is_linear),
        cmocka_unit_test(many_marks_are_linear),
        cmocka_unit_test(every_refused_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

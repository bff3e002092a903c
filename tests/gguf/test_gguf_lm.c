/* Files to graphs: the models at hand, and what a build refuses (hardening rows G-13 ... G-18, G-27 ...
 * G-29). */
#include "toy_gguf.h"
#include "gguf/hg_lm.h"
#include <math.h>

static void the_books_models_become_graphs(void **state)
{
    (void)state;
    static const struct {
        const char *path, *type;
        int32_t n_layers, n_embd, n_heads, n_kv_heads, n_ctx;
    } models[] = {
        {HEARTH_SOURCE_DIR "/fixtures/models/books-33m-q4_k_m.gguf", "q4_k", 8, 512, 8, 4, 4096},
        {HEARTH_SOURCE_DIR "/fixtures/models/books-draft-6m-q8_0.gguf", "q8_0", 3, 256, 4, 2, 1024},
        {HEARTH_SHARED_DIR "/fixtures/models/books-draft-6m-f16.gguf", "f16", 3, 256, 4, 2, 1024},
    };
    for (size_t i = 0; i < HB_COUNT(models); i++) {
        struct gw w = {0};
        hearth_error err;
        if (!gw_read(&w, models[i].path)) {
            print_message("skipped: %s is not there\n", models[i].path);
            continue;
        }
        struct gw_heap heap = {.refuse_at = -1};
        struct hb_arena arena = gw_arena(&heap);
        struct hg_file file;
        struct hg_facts facts;
        struct ht_lm lm;
        hearth_bytes part = {w.at, w.len};
        assert_int_equal(hg_open(&part, 1, &arena, &file, &err), HEARTH_OK);
        if (hg_load_lm(&file, &arena, &lm, &err) != HEARTH_OK)
            fail_msg("%s: %s", models[i].path, err.text);
        assert_int_equal(hg_facts(&file, &arena, &facts, &err), HEARTH_OK);
        assert_string_equal(facts.architecture, "llama");
        assert_string_equal(facts.file_type, models[i].type);
        assert_int_equal(lm.n_layers, models[i].n_layers);
        assert_int_equal(lm.n_embd, models[i].n_embd);
        assert_int_equal(lm.n_heads, models[i].n_heads);
        assert_int_equal(lm.n_kv_heads, models[i].n_kv_heads);
        assert_int_equal(lm.n_ctx_train, models[i].n_ctx);
        assert_int_equal(lm.n_vocab, 16384);
        assert_int_equal(lm.kv[1].d_k, lm.n_embd / lm.n_heads);
        assert_int_equal(lm.graph.n_outputs, 1);
        hb_arena_release(&arena);
        assert_int_equal(heap.live, 0);
        gw_free(&w);
    }
}

/* ---- hostile toys: rows G-13 to G-18, G-26 to G-35, G-39 ---- */

static void put_u32(struct gw *w, uint64_t a)
{
    gw_u32(w, HG_U32);
    gw_u32(w, (uint32_t)a);
}

static void put_i32(struct gw *w, uint64_t a)
{
    gw_u32(w, HG_I32);
    gw_u32(w, (uint32_t)a);
}

static void put_u64(struct gw *w, uint64_t a)
{
    gw_u32(w, HG_U64);
    gw_u64(w, a);
}

static void put_f32_bits(struct gw *w, uint64_t a)
{
    gw_u32(w, HG_F32);
    gw_u32(w, (uint32_t)a);
}

static void put_letters(struct gw *w, uint64_t a) /* a text of a letters */
{
    gw_u32(w, HG_STRING);
    gw_u64(w, a);
    for (uint64_t i = 0; i < a; i++)
        gw_int(w, 'x', 1);
}

static void put_odd_text(struct gw *w, uint64_t a)
{
    static const char *const text[] = {"%n%s%s%s", "llama\n", "moe\x01", "dynamic", "unigram"};
    gw_u32(w, HG_STRING);
    gw_text(w, text[a]);
}

static void put_u32_array(struct gw *w, uint64_t a) /* a elements of 1 */
{
    gw_u32(w, HG_ARRAY);
    gw_u32(w, HG_U32);
    gw_u64(w, a);
    for (uint64_t i = 0; i < a; i++)
        gw_u32(w, 1);
}

static void put_f32_array(struct gw *w, uint64_t a)
{
    gw_u32(w, HG_ARRAY);
    gw_u32(w, HG_F32);
    gw_u64(w, a);
    for (uint64_t i = 0; i < a; i++)
        gw_f32(w, 0);
}

static void put_i32_array(struct gw *w, uint64_t a)
{
    gw_u32(w, HG_ARRAY);
    gw_u32(w, HG_I32);
    gw_u64(w, a);
    for (uint64_t i = 0; i < a; i++)
        gw_u32(w, 1);
}

static void put_texts(struct gw *w, uint64_t a) /* a times "t<i>" */
{
    char text[16];
    gw_u32(w, HG_ARRAY);
    gw_u32(w, HG_STRING);
    gw_u64(w, a);
    for (uint64_t i = 0; i < a; i++) {
        snprintf(text, sizeof text, "t%u", (unsigned)i);
        gw_text(w, text);
    }
}

/* Tokens: duplicates, an empty one, half a character, and one of 64 KiB + a - 4. */
static void put_odd_tokens(struct gw *w, uint64_t a)
{
    static char big[(64 << 10) + 8];
    gw_u32(w, HG_ARRAY);
    gw_u32(w, HG_STRING);
    gw_u64(w, TOY_VOCAB);
    memset(big, 'z', sizeof big);
    gw_text(w, "<unk>");
    gw_text(w, "a");
    gw_text(w, "a");
    gw_text(w, "");
    gw_text(w, "\xC3");
    gw_text_n(w, "\x00\xFF", 2);
    gw_text_n(w, big, (64u << 10) + (size_t)a - 4);
    gw_text(w, "d");
}

static void put_odd_merges(struct gw *w, uint64_t a)
{
    static const char *const merges[] = {"a b", "a b", "", "ab", "a  b", " ", "a b c", "nobody here",
                                         "ab ab", "b a"};
    (void)a;
    gw_u32(w, HG_ARRAY);
    gw_u32(w, HG_STRING);
    gw_u64(w, HB_COUNT(merges));
    for (size_t i = 0; i < HB_COUNT(merges); i++)
        gw_text(w, merges[i]);
}

static void put_many_merges(struct gw *w, uint64_t a)
{
    gw_u32(w, HG_ARRAY);
    gw_u32(w, HG_STRING);
    gw_u64(w, a);
    for (uint64_t i = 0; i < a; i++)
        gw_text(w, "a b");
}

/* tensors: rank, dims, type; the offset follows by itself */
static void put_matrix_16_32(struct gw *w, uint64_t a)
{
    gw_u32(w, 2);
    gw_u64(w, 32);
    gw_u64(w, 16);
    gw_u32(w, (uint32_t)a);
}

static void put_matrix_32_16(struct gw *w, uint64_t a) /* k transposed: rows of 16 */
{
    gw_u32(w, 2);
    gw_u64(w, 16);
    gw_u64(w, 32);
    gw_u32(w, (uint32_t)a);
}

static void put_vector(struct gw *w, uint64_t a) /* 16 of type a: no more bytes than before */
{
    gw_u32(w, 1);
    gw_u64(w, 16);
    gw_u32(w, (uint32_t)a);
}

static void put_vector_32(struct gw *w, uint64_t a)
{
    gw_u32(w, 1);
    gw_u64(w, 32);
    gw_u32(w, (uint32_t)a);
}

static void extra_key(struct gw *w, uint64_t a)
{
    char key[32];
    snprintf(key, sizeof key, "extra.key.%u", (unsigned)a);
    gw_key_u32(w, key, 0);
}

static void extra_many_experts(struct gw *w, uint64_t a)
{
    (void)a;
    gw_key_u32(w, "llama.expert_count", 1025);
}

static void extra_experts(struct gw *w, uint64_t a) /* of 8, without a number used, or 9 */
{
    gw_key_u32(w, a == 0 ? "llama.expert_count" : "llama.expert_used_count", a == 0 ? 8 : 9);
}

static void extra_two_experts(struct gw *w, uint64_t a)
{
    gw_key_u32(w, a == 0 ? "llama.expert_count" : "llama.expert_used_count", 2);
}

static void extra_charsmap(struct gw *w, uint64_t a) /* only Unigram reads it, and is refused */
{
    (void)a;
    gw_key_array(w, "tokenizer.ggml.precompiled_charsmap", HG_U8, 7);
    gw_int(w, UINT64_MAX, 7);
}

static void extra_window(struct gw *w, uint64_t a)
{
    (void)a;
    gw_key_u32(w, "llama.attention.sliding_window", 0x80000000u);
}

static void extra_key_length(struct gw *w, uint64_t a)
{
    (void)a;
    gw_key_u32(w, "llama.attention.key_length", 0);
}

#define NAN_BITS   0x7FC00000u
#define INF_BITS   0x7F800000u
#define MINUS_ONE  0xBF800000u
#define MISMATCH   HEARTH_E_MISMATCH
#define RANGE      HEARTH_E_RANGE
#define FORMAT     HEARTH_E_FORMAT
#define LIMIT      HEARTH_E_LIMIT
#define UNKNOWN    HEARTH_E_UNSUPPORTED
#define NOT_FOUND  HEARTH_E_NOT_FOUND
#define KEY(label, key, what, put, n, expected, text)                                              \
    {label, {.name = key, .how = what, .write = put, .a = n}, expected, text}

static const struct toy_row {
    const char *id;
    struct toy_patch patch;
    hearth_status status;
    const char *words;
} toys[] = {
    KEY("G-00 as it is", NULL, TOY_KEEP, NULL, 0, HEARTH_OK, ""),
    KEY("G-13 missing", "general.architecture", TOY_DROP, NULL, 0, NOT_FOUND,
        "key general.architecture is missing"),
    KEY("G-13 empty", "general.architecture", TOY_WRITE, put_letters, 0, UNKNOWN,
        "architecture \"\"; known: llama"),
    KEY("G-13 number", "general.architecture", TOY_WRITE, put_u32, 1, FORMAT, "is u32; string"),
    KEY("G-13 1 MiB", "general.architecture", TOY_WRITE, put_letters, 1 << 20, LIMIT, "at most 63"),
    KEY("G-13 unknown", "general.architecture", TOY_WRITE, put_letters, 3, UNKNOWN,
        "architecture \"xxx\"; known: llama qwen2 qwen3"),
    KEY("G-13 format specifiers", "general.architecture", TOY_WRITE, put_odd_text, 0, UNKNOWN,
        "\"%n%s%s%s\""),
    KEY("G-13 control bytes", "general.architecture", TOY_WRITE, put_odd_text, 1, UNKNOWN,
        "\"llama\\x0a\""),
    {"G-13 1025 experts", {.extra = extra_many_experts, .n_extra = 1}, RANGE, "is 1025; 0 to 1024"},
    {"G-13 no experts used", {.extra = extra_experts, .n_extra = 1}, RANGE,
     "expert_used_count is 0; 1 to 8"},
    {"G-13 9 of 8 experts", {.extra = extra_experts, .n_extra = 2}, RANGE,
     "expert_used_count is 9; 1 to 8"},
    {"G-13 experts without tensors", {.extra = extra_two_experts, .n_extra = 2}, NOT_FOUND,
     "blk.0.ffn_gate_inp.weight is missing"},
    KEY("G-14 no block_count", "llama.block_count", TOY_DROP, NULL, 0, NOT_FOUND, "block_count"),
    KEY("G-14 blocks 0", "llama.block_count", TOY_WRITE, put_u32, 0, RANGE, "1 to 4096"),
    KEY("G-14 blocks 2", "llama.block_count", TOY_WRITE, put_u32, 2, NOT_FOUND,
        "blk.1.attn_norm.weight is missing"),
    KEY("G-14 blocks 2^31", "llama.block_count", TOY_WRITE, put_u32, 1u << 31, RANGE, "1 to 4096"),
    KEY("G-14 blocks -1", "llama.block_count", TOY_WRITE, put_i32, UINT32_MAX, RANGE, "is -1"),
    KEY("G-14 blocks as text", "llama.block_count", TOY_WRITE, put_letters, 1, FORMAT, "is string"),
    KEY("G-15 heads 0", "llama.attention.head_count", TOY_WRITE, put_u32, 0, RANGE, "1 to"),
    KEY("G-15 heads 3", "llama.attention.head_count", TOY_WRITE, put_u32, 3, RANGE,
        "a multiple of head_count 3"),
    KEY("G-15 heads of no layer", "llama.attention.head_count", TOY_WRITE, put_u32_array, 0, MISMATCH,
        "0 elements; 1, one a layer"),
    KEY("G-15 heads of two layers", "llama.attention.head_count_kv", TOY_WRITE, put_u32_array, 2,
        MISMATCH, "2 elements; 1, one a layer"),
    KEY("G-15 heads of one layer", "llama.attention.head_count_kv", TOY_WRITE, put_u32_array, 1,
        HEARTH_OK, ""),
    KEY("G-15 heads as f32", "llama.attention.head_count_kv", TOY_WRITE, put_f32_array, 1, FORMAT,
        "an array of f32"),
    KEY("G-15 KV heads 0", "llama.attention.head_count_kv", TOY_WRITE, put_u32, 0, RANGE, "1 to"),
    KEY("G-15 KV heads 3", "llama.attention.head_count_kv", TOY_WRITE, put_u32, 3, RANGE, "a divisor"),
    KEY("G-15 KV heads as u64", "llama.attention.head_count_kv", TOY_WRITE, put_u64, UINT64_MAX, RANGE,
        "18446744073709551615"),
    KEY("G-16 width 0", "llama.embedding_length", TOY_WRITE, put_u32, 0, RANGE, "1 to 1048576"),
    KEY("G-16 width 33", "llama.embedding_length", TOY_WRITE, put_u32, 33, RANGE, "a multiple of"),
    KEY("G-16 width 64", "llama.embedding_length", TOY_WRITE, put_u32, 64, MISMATCH,
        "token_embd.weight has shape [8][32]; [8][64]"),
    KEY("G-16 width 2^31", "llama.embedding_length", TOY_WRITE, put_u32, 1u << 31, RANGE, "1048576"),
    {"G-16 heads of 0", {.extra = extra_key_length, .n_extra = 1}, RANGE, "key_length is 0"},
    KEY("G-17 context 0", "llama.context_length", TOY_WRITE, put_u32, 0, RANGE, "1 to 4294967295"),
    KEY("G-17 context 2^32-1", "llama.context_length", TOY_WRITE, put_u32, UINT32_MAX, HEARTH_OK, ""),
    {"G-17 window 2^31", {.extra = extra_window, .n_extra = 1}, RANGE, "0 to 2147483647"},
    KEY("G-18 epsilon 0", "llama.attention.layer_norm_rms_epsilon", TOY_WRITE, put_f32_bits, 0, RANGE,
        "epsilon is 0"),
    KEY("G-18 epsilon -1", "llama.attention.layer_norm_rms_epsilon", TOY_WRITE, put_f32_bits, MINUS_ONE,
        RANGE, "epsilon is -1"),
    KEY("G-18 epsilon NaN", "llama.attention.layer_norm_rms_epsilon", TOY_WRITE, put_f32_bits, NAN_BITS,
        RANGE, "epsilon is nan"),
    KEY("G-18 epsilon Inf", "llama.attention.layer_norm_rms_epsilon", TOY_WRITE, put_f32_bits, INF_BITS,
        RANGE, "epsilon is inf"),
    KEY("G-18 base 0", "llama.rope.freq_base", TOY_WRITE, put_f32_bits, 0, RANGE, "freq_base is 0"),
    KEY("G-18 base -1", "llama.rope.freq_base", TOY_WRITE, put_f32_bits, MINUS_ONE, RANGE, "is -1"),
    KEY("G-18 base NaN", "llama.rope.freq_base", TOY_WRITE, put_f32_bits, NAN_BITS, RANGE, "is nan"),
    KEY("G-18 pairs odd", "llama.rope.dimension_count", TOY_WRITE, put_u32, 15, RANGE, "an even number"),
    KEY("G-18 pairs above the head", "llama.rope.dimension_count", TOY_WRITE, put_u32, 18, RANGE,
        "up to the head's 16"),
    KEY("G-18 pairs 0", "llama.rope.dimension_count", TOY_WRITE, put_u32, 0, RANGE, "is 0"),
    KEY("G-18 factor 0", "llama.rope.scaling.factor", TOY_WRITE, put_f32_bits, 0, RANGE, "factor is 0"),
    KEY("G-18 scaling unknown", "llama.rope.scaling.type", TOY_WRITE, put_odd_text, 3, UNKNOWN,
        "\"dynamic\"; none, linear, yarn and longrope"),
    KEY("G-18 factors missing", "llama.rope.scaling.type", TOY_WRITE, put_letters, 0, UNKNOWN, "\"\""),
    KEY("G-26 twice", "blk.0.ffn_up.weight", TOY_TWICE, NULL, 0, FORMAT, "is given twice"),
    KEY("G-27 no embedding", "token_embd.weight", TOY_DROP, NULL, 0, NOT_FOUND, "token_embd.weight"),
    KEY("G-27 no norm", "blk.0.ffn_norm.weight", TOY_DROP, NULL, 0, NOT_FOUND,
        "blk.0.ffn_norm.weight is missing"),
    KEY("G-27 no matrix", "blk.0.attn_v.weight", TOY_DROP, NULL, 0, NOT_FOUND, "blk.0.attn_v.weight"),
    KEY("G-27 rank", "blk.0.attn_k.weight", TOY_WRITE, put_vector_32, TOY_Q8_0, MISMATCH,
        "blk.0.attn_k.weight has shape [32]; [16][32] is required"),
    KEY("G-27 transposed", "blk.0.attn_k.weight", TOY_WRITE, put_matrix_32_16, 30, MISMATCH,
        "has shape [32][16]; [16][32] is required"),
    KEY("G-27 short norm", "blk.0.attn_norm.weight", TOY_WRITE, put_vector, TOY_F32, MISMATCH,
        "has shape [16]; [32] is required"),
    KEY("G-27 quantized norm", "blk.0.attn_norm.weight", TOY_WRITE, put_vector_32, TOY_Q8_0, MISMATCH,
        "has type q8_0; f32, f16 or bf16"),
    KEY("G-27 f16 norm", "blk.0.attn_norm.weight", TOY_WRITE, put_vector_32, 1, HEARTH_OK, ""),
    KEY("G-27 bf16 norm", "blk.0.attn_norm.weight", TOY_WRITE, put_vector_32, 30, HEARTH_OK, ""),
    KEY("G-27 integer weight", "blk.0.attn_k.weight", TOY_WRITE, put_matrix_16_32, 24, MISMATCH,
        "has type i8; a weight type"),
    KEY("G-29 no tokens", "tokenizer.ggml.tokens", TOY_DROP, NULL, 0, NOT_FOUND,
        "tokenizer.ggml.tokens is missing"),
    KEY("G-29 0 tokens", "tokenizer.ggml.tokens", TOY_WRITE, put_texts, 0, FORMAT, ""),
    KEY("G-29 9 tokens", "tokenizer.ggml.tokens", TOY_WRITE, put_texts, 9, MISMATCH, ""),
    KEY("G-29 numbers as tokens", "tokenizer.ggml.tokens", TOY_WRITE, put_u32_array, 8, FORMAT,
        "an array of string is required"),
    KEY("G-30 scores shorter", "tokenizer.ggml.scores", TOY_WRITE, put_f32_array, 7, MISMATCH, ""),
    KEY("G-30 scores longer", "tokenizer.ggml.scores", TOY_WRITE, put_f32_array, 9, MISMATCH, ""),
    KEY("G-30 scores as u32", "tokenizer.ggml.scores", TOY_WRITE, put_u32_array, 8, FORMAT,
        "an array of f32 is required"),
    KEY("G-30 types shorter", "tokenizer.ggml.token_type", TOY_WRITE, put_i32_array, 7, MISMATCH, ""),
    KEY("G-30 types longer", "tokenizer.ggml.token_type", TOY_WRITE, put_i32_array, 9, MISMATCH, ""),
    KEY("G-30 types as f32", "tokenizer.ggml.token_type", TOY_WRITE, put_f32_array, 8, FORMAT,
        "an array of i32 is required"),
    KEY("G-31 bos at the vocabulary", "tokenizer.ggml.bos_token_id", TOY_WRITE, put_u32, 8, RANGE, ""),
    KEY("G-31 eos 2^32-2", "tokenizer.ggml.eos_token_id", TOY_WRITE, put_u32, UINT32_MAX - 1, RANGE,
        ""),
    KEY("G-31 eos 2^32-1 is none", "tokenizer.ggml.eos_token_id", TOY_WRITE, put_u32, UINT32_MAX,
        HEARTH_OK, ""),
    KEY("G-31 bos -1 is none", "tokenizer.ggml.bos_token_id", TOY_WRITE, put_i32, UINT32_MAX, HEARTH_OK,
        ""),
    KEY("G-31 pad at the vocabulary is none", "tokenizer.ggml.padding_token_id", TOY_WRITE, put_u32, 8,
        HEARTH_OK, ""),
    KEY("G-31 bos as text", "tokenizer.ggml.bos_token_id", TOY_WRITE, put_letters, 1, FORMAT,
        "a whole number"),
    KEY("G-32 odd merges", "tokenizer.ggml.merges", TOY_WRITE, put_odd_merges, 0, HEARTH_OK, ""),
    KEY("G-32 no merges", "tokenizer.ggml.merges", TOY_DROP, NULL, 0, NOT_FOUND, "merges is missing"),
    KEY("G-32 4 Mi + 1 merges", "tokenizer.ggml.merges", TOY_WRITE, put_many_merges, (1 << 22) + 1,
        LIMIT, "at most 4194304"),
    KEY("G-33 odd tokens", "tokenizer.ggml.tokens", TOY_WRITE, put_odd_tokens, 4, HEARTH_OK, ""),
    KEY("G-33 token past 64 KiB", "tokenizer.ggml.tokens", TOY_WRITE, put_odd_tokens, 5, LIMIT, ""),
    KEY("G-33 unknown kind", "tokenizer.ggml.model", TOY_WRITE, put_odd_text, 4, UNKNOWN,
        "\"unigram\"; gpt2, llama and bert"),
    KEY("G-33 unknown pre-tokenizer", "tokenizer.ggml.pre", TOY_WRITE, put_odd_text, 4, UNKNOWN,
        "unigram"),
    {"G-34 charsmap", {.extra = extra_charsmap, .n_extra = 1}, HEARTH_OK, ""},
    KEY("G-35 template of 10 MiB", "tokenizer.chat_template", TOY_WRITE, put_letters, 10 << 20, LIMIT,
        "at most 1048576"),
    KEY("G-35 template of 1 MiB", "tokenizer.chat_template", TOY_WRITE, put_letters, 1 << 20, HEARTH_OK,
        ""),
    {"G-39 NaN in a block", {.nan_scale = true}, HEARTH_E_NUMERIC, ""},
    {"G-39 NaN norms", {.fill = NAN}, HEARTH_E_NUMERIC, ""},
    {"G-39 norms of -0", {.fill = -1e-45f}, HEARTH_OK, ""},
    {"G-28 60000 unknown keys", {.extra = extra_key, .n_extra = 60000}, HEARTH_OK, ""},
};

static void every_toy_has_its_outcome(void **state)
{
    (void)state;
    size_t refused = 0, largest = 0;
    double slowest = 0;
    for (size_t i = 0; i < HB_COUNT(toys); i++) {
        const struct toy_row *r = &toys[i];
        struct gw w = {0};
        struct gw_heap heap = {.refuse_at = -1};
        hearth_error err;
        hearth_status status;
        toy_write(&w, &r->patch);
        double start = gw_now_ms();
        toy_through(w.at, w.len, &heap, &status, &err);
        double ms = gw_now_ms() - start;
        if (status != r->status || (status != HEARTH_OK && !strstr(err.text, r->words)))
            fail_msg("%s: status %d \"%s\"; %d \"%s\" is expected", r->id, status, err.text, r->status,
                     r->words);
        assert_int_equal(heap.live, 0);
        refused += status != HEARTH_OK;
        if (status != HEARTH_OK) {
            slowest = ms > slowest ? ms : slowest;
            largest = heap.peak > largest ? heap.peak : largest;
        }
        gw_free(&w);
    }
    print_message("%zu toys: %zu refused as expected, %zu run; refusals took at most %.1f ms and %zu KiB\n",
                  HB_COUNT(toys), refused, HB_COUNT(toys) - refused, slowest, largest >> 10);
    assert_true(largest < (16u << 20));
}

/* The vocabulary files of real models have no tensors: they open where only that is wanted. */
static void files_without_tensors_need_the_flag(void **state)
{
    (void)state;
    struct gw w = {0};
    hearth_error err;
    hearth_model *model;
    if (!gw_read(&w, HEARTH_SHARED_DIR "/fixtures/tokenizers/ggml-vocab-phi-3.gguf")) {
        print_message("skipped: the vocabularies are not there\n");
        return;
    }
    hearth_bytes part = {w.at, w.len};
    hearth_model_config config = {.struct_size = sizeof config};
    assert_int_equal(hearth_model_open(&part, 1, &config, &model, &err), HEARTH_E_NOT_FOUND);
    config.flags = HEARTH_MODEL_VOCAB_ONLY;
    assert_int_equal(hearth_model_open(&part, 1, &config, &model, &err), HEARTH_OK);
    hearth_model_info info = {.struct_size = sizeof info};
    hearth_model_get_info(model, &info);
    assert_int_equal(info.kind, HEARTH_MODEL_VOCAB);
    assert_int_equal(info.vocab_size, 32064);
    assert_string_equal(info.architecture, "phi3");
    hearth_model_close(model);
    gw_free(&w);
}

/* A tensor of a block that the architecture would leave out changes what the model computes; others
 * are nobody's business. */
static void left_out_block_tensors_are_refused(void **state)
{
    static const struct {
        const char *name;
        hearth_status status;
        const char *words;
    } cases[] = {
        {"blk.0.mystery.bias", HEARTH_E_UNSUPPORTED, "blk.0.mystery.bias is no part of architecture"},
        {"blk.1.attn_q.weight", HEARTH_E_MISMATCH, "blk.1.attn_q.weight; llama.block_count is 1"},
        {"blk.0.rope_freqs.weight", HEARTH_OK, ""},
        {"blk.x.mystery.bias", HEARTH_OK, ""},
        {"mystery.weight", HEARTH_OK, ""},
    };
    (void)state;
    for (size_t i = 0; i < HB_COUNT(cases); i++) {
        struct gw w = {0};
        struct gw_heap heap = {.refuse_at = -1};
        hearth_error err;
        hearth_status status;
        const struct toy_patch patch = {.extra_tensor = cases[i].name};
        toy_write(&w, &patch);
        toy_through(w.at, w.len, &heap, &status, &err);
        if (status != cases[i].status || (status != HEARTH_OK && !strstr(err.text, cases[i].words)))
            fail_msg("%s: status %d \"%s\"", cases[i].name, status, err.text);
        gw_free(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_books_models_become_graphs),
        cmocka_unit_test(every_toy_has_its_outcome),
        cmocka_unit_test(files_without_tensors_need_the_flag),
        cmocka_unit_test(left_out_block_tensors_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The reader alone against hostile files: rows G-01 to G-12, G-19 to G-26, G-28 and G-38 of the
 * hardening list. Every row says which status and which words are expected; all must come quickly
 * and with little memory. With HEARTH_WRITE_CORPUS=DIR in the environment every row's bytes are
 * written there, as seeds for a fuzzer. */
#include "gguf_writer.h"

#define MAX_EXTRA_BYTES (16u << 20)

/* Open parts; memory is given back and counted. */
static hearth_status open_parts(const hearth_bytes *parts, size_t n, hearth_error *err)
{
    struct gw_heap heap = {.refuse_at = -1};
    struct hb_arena arena = gw_arena(&heap);
    struct hg_file file;
    double start = gw_now_ms();
    hearth_status s = hg_open(parts, n, &arena, &file, err);
    double ms = gw_now_ms() - start;
    hb_arena_release(&arena);
    assert_int_equal(heap.live, 0);
    if (s != HEARTH_OK) {
        assert_true(heap.peak < MAX_EXTRA_BYTES);
        assert_true(ms < 1000); /* 100 on an idle machine without sanitizers */
    }
    return s;
}

static hearth_status open_bytes(const void *bytes, size_t n, hearth_error *err)
{
    hearth_bytes part = {bytes, n};
    return open_parts(&part, 1, err);
}

/* ---- what the rows write. `a` is the row's number ---- */

static void header_magic(struct gw *w, uint64_t a)
{
    gw_header(w, 3, 0, 0);
    if (a < 4)
        w->at[a] ^= 0x20;
    else
        memcpy(w->at, "FUGG", 4);
}

static void header_version(struct gw *w, uint64_t a)
{
    gw_header(w, (uint32_t)a, 0, 0);
}

static void header_tensors(struct gw *w, uint64_t a)
{
    gw_header(w, 3, a, 0);
}

static void header_keys(struct gw *w, uint64_t a)
{
    gw_header(w, 3, 0, a);
}

static void key_announced(struct gw *w, uint64_t a) /* length a, 200 bytes follow */
{
    gw_header(w, 3, 0, 1);
    gw_u64(w, a);
    for (int i = 0; i < 200; i++)
        gw_int(w, 'k', 1);
}

static void key_long(struct gw *w, uint64_t a) /* length a, and there */
{
    gw_header(w, 3, 0, 1);
    gw_u64(w, a);
    for (uint64_t i = 0; i < a; i++)
        gw_int(w, 'k', 1);
    gw_u32(w, HG_U8);
    gw_int(w, 1, 1);
}

static void key_letter(struct gw *w, uint64_t a) /* one odd byte inside a key */
{
    const char key[] = {'a', '.', (char)a, 'b'};
    gw_header(w, 3, 0, 1);
    gw_text_n(w, key, sizeof key);
    gw_u32(w, HG_U8);
    gw_int(w, 1, 1);
}

static void key_twice(struct gw *w, uint64_t a) /* second time of type a */
{
    gw_header(w, 3, 0, 3);
    gw_key_u32(w, "x.y", 1);
    gw_key_u32(w, "between", 1);
    gw_key(w, "x.y", (uint32_t)a);
    gw_u64(w, 0);
}

static void string_announced(struct gw *w, uint64_t a)
{
    gw_header(w, 3, 0, 1);
    gw_key(w, "x", HG_STRING);
    gw_u64(w, a);
    gw_u64(w, 0);
}

static void string_long(struct gw *w, uint64_t a)
{
    gw_header(w, 3, 0, 1);
    gw_key(w, "x", HG_STRING);
    gw_u64(w, a);
    char block[4096];
    memset(block, 's', sizeof block);
    for (uint64_t left = a; left > 0;) {
        size_t n = left < sizeof block ? (size_t)left : sizeof block;
        gw_bytes(w, block, n);
        left -= n;
    }
}

static void value_type(struct gw *w, uint64_t a)
{
    gw_header(w, 3, 0, 1);
    gw_key(w, "x", (uint32_t)a);
    for (int i = 0; i < 8; i++)
        gw_u64(w, 0);
}

static void value_cut(struct gw *w, uint64_t a) /* type a, no byte behind */
{
    gw_header(w, 3, 0, 1);
    gw_text(w, "xxxxxxxxxx");
    gw_u32(w, (uint32_t)a);
}

static void array_type(struct gw *w, uint64_t a)
{
    gw_header(w, 3, 0, 1);
    gw_key_array(w, "x", (uint32_t)a, 1);
    for (int i = 0; i < 8; i++)
        gw_u64(w, 0);
}

static void array_nested(struct gw *w, uint64_t a) /* depth a */
{
    gw_header(w, 3, 0, 1);
    gw_key(w, "x", HG_ARRAY);
    for (uint64_t i = 0; i < a; i++) {
        gw_u32(w, HG_ARRAY);
        gw_u64(w, 1);
    }
    gw_u32(w, HG_U8);
    gw_u64(w, 1);
    gw_int(w, 7, 1);
}

static void array_count_u64(struct gw *w, uint64_t a)
{
    gw_header(w, 3, 0, 1);
    gw_key_array(w, "x", HG_U64, a);
    for (int i = 0; i < 8; i++)
        gw_u64(w, 0);
}

static void array_strings(struct gw *w, uint64_t a) /* the second of two strings has length a */
{
    gw_header(w, 3, 0, 1);
    gw_key_array(w, "x", HG_STRING, 2);
    gw_text(w, "first");
    gw_u64(w, a);
    gw_u64(w, 0);
}

static void value_bool(struct gw *w, uint64_t a)
{
    gw_header(w, 3, 0, 1);
    gw_key(w, "x", HG_BOOL);
    gw_int(w, a, 1);
}

static void array_bools(struct gw *w, uint64_t a)
{
    gw_header(w, 3, 0, 1);
    gw_key_array(w, "x", HG_BOOL, 3);
    gw_int(w, 1, 1);
    gw_int(w, 0, 1);
    gw_int(w, a, 1);
}

static void alignment(struct gw *w, uint64_t a)
{
    gw_header(w, 3, 0, 1);
    gw_key_u32(w, "general.alignment", (uint32_t)a);
}

static void alignment_type(struct gw *w, uint64_t a)
{
    gw_header(w, 3, 0, 1);
    gw_key(w, "general.alignment", (uint32_t)a);
    if (a == HG_ARRAY)
        gw_u32(w, HG_U32);
    gw_u64(w, a == HG_STRING ? 0 : a == HG_ARRAY ? 1 : 32);
    gw_u64(w, 32);
}

static void alignment_twice(struct gw *w, uint64_t a)
{
    gw_header(w, 3, 0, 2);
    gw_key_u32(w, "general.alignment", 32);
    gw_key_u32(w, "general.alignment", (uint32_t)a);
}

/* One tensor record of 32 x 4 f32, with one number replaced, and data behind. */
enum part { RANK, DIM0, DIM1, TYPE, OFFSET, NAME };

static void tensor_with(struct gw *w, enum part which, uint64_t a)
{
    uint64_t dim[2] = {which == DIM0 ? a : 32, which == DIM1 ? a : 4};
    uint32_t rank = which == RANK ? (uint32_t)a : 2;
    gw_header(w, 3, 1, 0);
    gw_text(w, "t");
    gw_u32(w, rank);
    for (uint32_t i = 0; i < rank && i < 16; i++)
        gw_u64(w, i < 2 ? dim[i] : 1);
    gw_u32(w, which == TYPE ? (uint32_t)a : 0);
    gw_u64(w, which == OFFSET ? a : 0);
    gw_pad(w, 32);
    for (int i = 0; i < 64; i++)
        gw_u64(w, 0);
}

static void tensor_rank(struct gw *w, uint64_t a)
{
    tensor_with(w, RANK, a);
}

static void tensor_dim0(struct gw *w, uint64_t a)
{
    tensor_with(w, DIM0, a);
}

static void tensor_dim1(struct gw *w, uint64_t a)
{
    tensor_with(w, DIM1, a);
}

static void tensor_type(struct gw *w, uint64_t a)
{
    tensor_with(w, TYPE, a);
}

static void tensor_offset(struct gw *w, uint64_t a)
{
    tensor_with(w, OFFSET, a);
}

static void tensor_product(struct gw *w, uint64_t a) /* four dimensions of a */
{
    const uint64_t dim[4] = {a, a, a, a};
    gw_header(w, 3, 1, 0);
    gw_tensor(w, "t", 4, dim, 0, 0);
    gw_pad(w, 32);
}

static void tensor_name(struct gw *w, uint64_t a) /* length a */
{
    const uint64_t dim[1] = {8};
    char name[128];
    memset(name, 'n', sizeof name);
    gw_header(w, 3, 1, 0);
    gw_text_n(w, name, (size_t)a);
    gw_u32(w, 1);
    gw_u64(w, dim[0]);
    gw_u32(w, 0);
    gw_u64(w, 0);
    gw_pad(w, 32);
    gw_pad(w, 64);
    for (int i = 0; i < 4; i++)
        gw_u64(w, 0);
}

static void tensor_name_announced(struct gw *w, uint64_t a)
{
    gw_header(w, 3, 1, 0);
    gw_u64(w, a);
    for (int i = 0; i < 16; i++)
        gw_u64(w, 0);
}

static void tensor_path(struct gw *w, uint64_t a) /* a name is only a name */
{
    const uint64_t dim[1] = {8};
    (void)a;
    gw_header(w, 3, 1, 0);
    gw_tensor(w, "a/../../etc/passwd", 1, dim, 0, 0);
    gw_pad(w, 32);
    for (int i = 0; i < 4; i++)
        gw_u64(w, 0);
}

/* Two tensors of 32 bytes, the second named as the row says and at offset a. */
static void two_tensors(struct gw *w, const char *second, uint64_t a, uint64_t first_off)
{
    const uint64_t dim[1] = {8};
    gw_header(w, 3, 2, 0);
    gw_tensor(w, "one", 1, dim, 0, first_off);
    gw_tensor(w, second, 1, dim, 0, a);
    gw_pad(w, 32);
    for (int i = 0; i < 32; i++)
        gw_u64(w, 0);
}

static void tensor_second(struct gw *w, uint64_t a)
{
    two_tensors(w, "two", a, 0);
}

static void tensor_order(struct gw *w, uint64_t a)
{
    two_tensors(w, "two", a, 128);
}

static void tensor_same_name(struct gw *w, uint64_t a)
{
    two_tensors(w, "one", a, 0);
}

static void tensor_overlap(struct gw *w, uint64_t a) /* first 64 bytes long, second at a */
{
    const uint64_t long_dim[1] = {16}, dim[1] = {8};
    gw_header(w, 3, 2, 0);
    gw_tensor(w, "two", 1, dim, 0, a);
    gw_tensor(w, "one", 1, long_dim, 0, 0);
    gw_pad(w, 32);
    for (int i = 0; i < 32; i++)
        gw_u64(w, 0);
}

static void tensor_trailing(struct gw *w, uint64_t a)
{
    tensor_with(w, OFFSET, 0);
    for (uint64_t i = 0; i < a; i++)
        gw_int(w, 0xAA, 1);
}

static void tensor_many(struct gw *w, uint64_t a)
{
    const uint64_t dim[1] = {8};
    char name[32];
    gw_header(w, 3, a, 0);
    for (uint64_t i = 0; i < a; i++) {
        snprintf(name, sizeof name, "t%llu", (unsigned long long)i);
        gw_tensor(w, name, 1, dim, 0, 32 * i);
    }
    gw_pad(w, 32);
    for (uint64_t i = 0; i < a * 4; i++)
        gw_u64(w, 0);
}

static void tensor_cut(struct gw *w, uint64_t a) /* the last a bytes are missing */
{
    tensor_with(w, OFFSET, 0);
    w->len -= (size_t)a;
}

#define OK        HEARTH_OK
#define FORMAT    HEARTH_E_FORMAT
#define TRUNCATED HEARTH_E_TRUNCATED
#define LIMIT     HEARTH_E_LIMIT
#define UNKNOWN   HEARTH_E_UNSUPPORTED
#define RANGE     HEARTH_E_RANGE
#define P2(n)     ((uint64_t)1 << (n))

static const struct row {
    const char *id;
    void (*build)(struct gw *w, uint64_t a);
    uint64_t a;
    hearth_status status;
    const char *words;
} rows[] = {
    {"G-02 first byte", header_magic, 0, FORMAT, "\"GGUF\" is expected"},
    {"G-02 second byte", header_magic, 1, FORMAT, "\"GGUF\" is expected"},
    {"G-02 third byte", header_magic, 2, FORMAT, "\"GGUF\" is expected"},
    {"G-02 fourth byte", header_magic, 3, FORMAT, "\"GGUF\" is expected"},
    {"G-02 reversed", header_magic, 4, FORMAT, "\"GGUF\" is expected"},
    {"G-03 version 0", header_version, 0, UNKNOWN, "version 0; 2 and 3 are known"},
    {"G-03 version 1", header_version, 1, UNKNOWN, "version 1; 2 and 3 are known"},
    {"G-03 version 2", header_version, 2, OK, ""},
    {"G-03 version 3", header_version, 3, OK, ""},
    {"G-03 version 4", header_version, 4, UNKNOWN, "version 4"},
    {"G-03 big-endian 3", header_version, 0x03000000, UNKNOWN, "big-endian"},
    {"G-03 big-endian 2", header_version, 0x02000000, UNKNOWN, "big-endian"},
    {"G-03 all ones", header_version, 0xFFFFFFFF, UNKNOWN, "version 4294967295"},
    {"G-04 keys -1", header_keys, UINT64_MAX, LIMIT, "keys; at most 65536"},
    {"G-04 keys 2^31", header_keys, P2(31), LIMIT, "keys; at most"},
    {"G-04 keys 2^32", header_keys, P2(32), LIMIT, "keys; at most"},
    {"G-04 keys 2^63-1", header_keys, P2(63) - 1, LIMIT, "keys; at most"},
    {"G-04 keys at the limit", header_keys, 65536, TRUNCATED, "0 bytes are left"},
    {"G-04 keys past the limit", header_keys, 65537, LIMIT, "65537 keys"},
    {"G-04 tensors -1", header_tensors, UINT64_MAX, LIMIT, "tensors; at most 65536"},
    {"G-04 tensors 2^31", header_tensors, P2(31), LIMIT, "tensors; at most"},
    {"G-04 tensors 2^32", header_tensors, P2(32), LIMIT, "tensors; at most"},
    {"G-04 tensors 2^63-1", header_tensors, P2(63) - 1, LIMIT, "tensors; at most"},
    {"G-04 tensors at the limit", header_tensors, 65536, TRUNCATED, "0 bytes are left"},
    {"G-04 tensors past the limit", header_tensors, 65537, LIMIT, "65537 tensors"},
    {"G-05 key length 0", key_announced, 0, FORMAT, "keys are 1 to 65535"},
    {"G-05 key length 201", key_announced, 201, TRUNCATED, "200 are left"},
    {"G-05 key length 2^16", key_announced, 65536, LIMIT, "at most 65535"},
    {"G-05 key length 2^16+1", key_announced, 65537, LIMIT, "at most 65535"},
    {"G-05 key length 2^32", key_announced, P2(32), LIMIT, "at most 65535"},
    {"G-05 key length 2^63", key_announced, P2(63), LIMIT, "at most 65535"},
    {"G-05 key length 2^64-1", key_announced, UINT64_MAX, LIMIT, "at most 65535"},
    {"G-05 key length wraps", key_announced, UINT64_MAX - 31, LIMIT, "at most 65535"},
    {"G-05 key at the limit", key_long, 65535, OK, ""},
    {"G-05 key past the limit", key_long, 65536, LIMIT, "65536 bytes"},
    {"G-06 NUL in a key", key_letter, 0, FORMAT, "a.\\x00b"},
    {"G-06 newline in a key", key_letter, '\n', FORMAT, "a.\\x0ab"},
    {"G-06 DEL in a key", key_letter, 0x7F, FORMAT, "a.\\x7fb"},
    {"G-06 invalid UTF-8 in a key", key_letter, 0xC3, FORMAT, "a.\\xc3b"},
    {"G-06 tilde in a key", key_letter, '~', OK, ""},
    {"G-06 twice", key_twice, HG_U32, FORMAT, "key x.y is given twice"},
    {"G-06 twice, other type", key_twice, HG_I8, FORMAT, "key x.y is given twice"},
    {"G-07 string past the end", string_announced, 9, TRUNCATED, "8 are left"},
    {"G-07 string 2^32", string_announced, P2(32), LIMIT, "at most 16777216"},
    {"G-07 string 2^63", string_announced, P2(63), LIMIT, "at most 16777216"},
    {"G-07 string 2^64-1", string_announced, UINT64_MAX, LIMIT, "at most 16777216"},
    {"G-07 string wraps", string_announced, UINT64_MAX - 40, LIMIT, "at most 16777216"},
    {"G-07 string at the limit", string_long, HG_MAX_STRING, OK, ""},
    {"G-07 string past the limit", string_long, HG_MAX_STRING + 1, LIMIT, "16777217 bytes"},
    {"G-08 type 13", value_type, 13, FORMAT, "value type 13; 0 to 12 exist"},
    {"G-08 type 255", value_type, 255, FORMAT, "value type 255"},
    {"G-08 type 2^31", value_type, P2(31), FORMAT, "value type 2147483648"},
    {"G-08 type -1", value_type, UINT32_MAX, FORMAT, "value type 4294967295"},
    {"G-08 value missing", value_cut, HG_U64, TRUNCATED, "room for 0"},
    {"G-08 array missing", value_cut, HG_ARRAY, TRUNCATED, "ends in the value"},
    {"G-09 array of type 13", array_type, 13, FORMAT, "value type 13"},
    {"G-09 array of type -1", array_type, UINT32_MAX, FORMAT, "value type"},
    {"G-09 depth 1", array_nested, 1, UNKNOWN, "array of arrays"},
    {"G-09 depth 64", array_nested, 64, UNKNOWN, "array of arrays"},
    {"G-09 depth 65", array_nested, 65, UNKNOWN, "array of arrays"},
    {"G-09 depth 10000", array_nested, 10000, UNKNOWN, "array of arrays"},
    {"G-09 2^61 elements of 8 bytes", array_count_u64, P2(61), LIMIT, "at most 16777216"},
    {"G-09 2^64-1 elements", array_count_u64, UINT64_MAX, LIMIT, "at most 16777216"},
    {"G-09 elements at the limit", array_count_u64, 1 << 24, TRUNCATED, "room for 8"},
    {"G-09 elements past the limit", array_count_u64, (1 << 24) + 1, LIMIT, "16777217 elements"},
    {"G-10 all that fit", array_count_u64, 8, OK, ""},
    {"G-10 one too many", array_count_u64, 9, TRUNCATED, "room for 8"},
    {"G-10 string of an array past the end", array_strings, 9, TRUNCATED, "8 are left"},
    {"G-10 string of an array 2^64-1", array_strings, UINT64_MAX, LIMIT, "at most 16777216"},
    {"G-11 bool 1", value_bool, 1, OK, ""},
    {"G-11 bool 2", value_bool, 2, FORMAT, "bool with value 2"},
    {"G-11 bool 255", value_bool, 255, FORMAT, "bool with value 255"},
    {"G-11 bool 2 in an array", array_bools, 2, FORMAT, "bool with value 2"},
    {"G-12 alignment 0", alignment, 0, RANGE, "general.alignment is 0; a power of two from 8"},
    {"G-12 alignment 1", alignment, 1, RANGE, "is 1;"},
    {"G-12 alignment 3", alignment, 3, RANGE, "is 3;"},
    {"G-12 alignment 4", alignment, 4, RANGE, "is 4;"},
    {"G-12 alignment 8", alignment, 8, OK, ""},
    {"G-12 alignment 31", alignment, 31, RANGE, "is 31;"},
    {"G-12 alignment 48", alignment, 48, RANGE, "is 48;"},
    {"G-12 alignment 2^16", alignment, 65536, OK, ""},
    {"G-12 alignment 2^17", alignment, P2(17), RANGE, "is 131072;"},
    {"G-12 alignment 2^30", alignment, P2(30), RANGE, "a power of two from 8 to 65536"},
    {"G-12 alignment 2^31", alignment, P2(31), RANGE, "a power of two from 8 to 65536"},
    {"G-12 alignment as string", alignment_type, HG_STRING, FORMAT, "is string; u32 is required"},
    {"G-12 alignment as u64", alignment_type, HG_U64, FORMAT, "is u64; u32 is required"},
    {"G-12 alignment as i32", alignment_type, HG_I32, FORMAT, "is i32; u32 is required"},
    {"G-12 alignment as array", alignment_type, HG_ARRAY, FORMAT, "an array of u32; u32 is required"},
    {"G-12 alignment twice", alignment_twice, 32, FORMAT, "given twice"},
    {"G-12 two alignments", alignment_twice, 64, FORMAT, "given twice"},
    {"G-19 rank 0", tensor_rank, 0, FORMAT, "0 dimensions; 1 to 4"},
    {"G-19 rank 4", tensor_rank, 4, OK, ""},
    {"G-19 rank 5", tensor_rank, 5, FORMAT, "5 dimensions; 1 to 4"},
    {"G-19 rank 9", tensor_rank, 9, FORMAT, "9 dimensions"},
    {"G-19 rank 2^32-1", tensor_rank, UINT32_MAX, FORMAT, "4294967295 dimensions"},
    {"G-20 dimension 0", tensor_dim1, 0, LIMIT, "dimension 1 is 0"},
    {"G-20 dimension -1", tensor_dim1, UINT64_MAX, LIMIT, "dimension 1 is -1"},
    {"G-20 dimension 2^31", tensor_dim1, P2(31), LIMIT, "dimension 1 is 2147483648"},
    {"G-20 dimension 2^31-1", tensor_dim1, P2(31) - 1, TRUNCATED, "the data section has 512 bytes"},
    {"G-20 dimension 2^42+1", tensor_dim0, P2(42) + 1, LIMIT, "dimension 0"},
    {"G-20 dimension 2^62", tensor_dim0, P2(62), LIMIT, "dimension 0"},
    {"G-20 product 2^40", tensor_product, P2(10), TRUNCATED, "bytes at offset 0"},
    {"G-20 product past 2^40", tensor_product, P2(10) + 1, LIMIT, "elements"},
    {"G-20 product wraps", tensor_product, P2(16), LIMIT, "elements"},
    {"G-20 product wraps far", tensor_product, P2(31) - 1, LIMIT, "elements"},
    {"G-22 type 4", tensor_type, 4, UNKNOWN, "type q4_2 (4) was removed"},
    {"G-22 type 5", tensor_type, 5, UNKNOWN, "type q4_3 (5) was removed"},
    {"G-22 type 31", tensor_type, 31, UNKNOWN, "type q4_0_4_4 (31) was removed"},
    {"G-22 type 32", tensor_type, 32, UNKNOWN, "was removed"},
    {"G-22 type 33", tensor_type, 33, UNKNOWN, "was removed"},
    {"G-22 type 36", tensor_type, 36, UNKNOWN, "type iq4_nl_4_4 (36) was removed"},
    {"G-22 type 37", tensor_type, 37, UNKNOWN, "was removed"},
    {"G-22 type 38", tensor_type, 38, UNKNOWN, "was removed"},
    {"G-22 type 43", tensor_type, 43, UNKNOWN, "type 43 is unknown"},
    {"G-22 type 97", tensor_type, 97, UNKNOWN, "type 97 is private to another engine"},
    {"G-22 type 133", tensor_type, 133, UNKNOWN, "type 133 is private"},
    {"G-22 type 255", tensor_type, 255, UNKNOWN, "type 255 is private"},
    {"G-22 type -1", tensor_type, UINT32_MAX, UNKNOWN, "type 4294967295 is unknown"},
    {"G-22 type iq1_s", tensor_type, 19, UNKNOWN, "type iq1_s (19) is not supported yet"},
    {"G-23 q8_1", tensor_type, 9, UNKNOWN, "type q8_1 (9) is for activations"},
    {"G-23 q8_k", tensor_type, 15, UNKNOWN, "type q8_k (15) is for activations"},
    {"G-24 unaligned", tensor_offset, 4, FORMAT, "no multiple of the alignment 32"},
    {"G-24 at the end", tensor_offset, 512, TRUNCATED, "512 bytes at offset 512"},
    {"G-24 beyond the end", tensor_offset, 4096, TRUNCATED, "at offset 4096"},
    {"G-24 2^63", tensor_offset, P2(63), TRUNCATED, "the data section has 512"},
    {"G-24 wraps", tensor_offset, UINT64_MAX - 31, TRUNCATED, "the data section has 512"},
    {"G-24 one byte missing", tensor_cut, 1, TRUNCATED, "the data section has 511"},
    {"G-24 all data missing", tensor_cut, 512, TRUNCATED, "the data section has 0"},
    {"G-24 same offset", tensor_second, 0, FORMAT, "overlap"},
    {"G-24 overlap", tensor_overlap, 32, FORMAT, "one and two overlap"},
    {"G-24 neighbours", tensor_overlap, 64, OK, ""},
    {"G-25 gap", tensor_second, 192, OK, ""},
    {"G-25 out of order", tensor_order, 0, OK, ""},
    {"G-25 trailing bytes", tensor_trailing, 1000, OK, ""},
    {"G-26 same name", tensor_same_name, 32, FORMAT, "tensor one is given twice"},
    {"G-26 empty name", tensor_name, 0, FORMAT, "names are 1 to 63"},
    {"G-26 63 bytes", tensor_name, 63, OK, ""},
    {"G-26 64 bytes", tensor_name, 64, LIMIT, "64 bytes; at most 63"},
    {"G-26 65 bytes", tensor_name, 65, LIMIT, "65 bytes"},
    {"G-26 2^32", tensor_name_announced, P2(32), LIMIT, "at most 63"},
    {"G-26 looks like a path", tensor_path, 0, OK, ""},
    {"G-28 65536 tensors", tensor_many, 65536, OK, ""},
    {"G-28 100000 tensors", tensor_many, 100000, LIMIT, "100000 tensors; at most 65536"},
};

static void write_corpus(const struct row *r, const struct gw *w)
{
    const char *dir = getenv("HEARTH_WRITE_CORPUS");
    char path[600];
    if (!dir || w->len > (1u << 20))
        return;
    int n = snprintf(path, sizeof path, "%s/%s", dir, r->id);
    for (int i = (int)strlen(dir) + 1; i < n; i++)
        if (path[i] == ' ' || path[i] == '/')
            path[i] = '_';
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fwrite(w->at, 1, w->len, f);
    fclose(f);
}

static void every_row_has_its_outcome(void **state)
{
    (void)state;
    size_t refused = 0;
    for (size_t i = 0; i < HB_COUNT(rows); i++) {
        const struct row *r = &rows[i];
        struct gw w = {0};
        hearth_error err = {0};
        r->build(&w, r->a);
        write_corpus(r, &w);
        hearth_status s = open_bytes(w.at, w.len, &err);
        if (s != r->status || (s != HEARTH_OK && !strstr(err.text, r->words)))
            fail_msg("%s: status %d \"%s\"; %d \"%s\" is expected", r->id, s, err.text, r->status,
                     r->words);
        refused += s != HEARTH_OK;
        gw_free(&w);
    }
    print_message("%zu rows: %zu refused as expected, %zu accepted as documented\n",
                  HB_COUNT(rows), refused, HB_COUNT(rows) - refused);
}

static void a_truncated_header_is_refused(void **state)
{
    (void)state;
    struct gw w = {0};
    gw_header(&w, 3, 0, 0);
    hearth_error err;
    for (size_t n = 0; n < w.len; n++)
        assert_int_equal(open_bytes(w.at, n, &err), HEARTH_E_TRUNCATED);
    assert_int_equal(open_bytes(w.at, w.len, &err), HEARTH_OK);
    gw_free(&w);
}

static void rows_that_are_no_whole_number_of_blocks_are_refused(void **state) /* G-21 */
{
    (void)state;
    for (int i = 0; i < HK_QTYPE_COUNT; i++) {
        const struct hk_qtype_info *info = &hk_qtype_info[i];
        if (info->gguf < 0 || info->block_elements == 1)
            continue;
        for (int plus = -1; plus <= 1; plus++) {
            const uint64_t dim[2] = {(uint64_t)((int64_t)2 * info->block_elements + plus), 3};
            struct gw w = {0};
            hearth_error err;
            gw_header(&w, 3, 1, 0);
            gw_tensor(&w, "t", 2, dim, (uint32_t)info->gguf, 0);
            gw_pad(&w, 32);
            for (int j = 0; j < 6 * (int)info->block_bytes; j++)
                gw_int(&w, 0, 1);
            assert_int_equal(open_bytes(w.at, w.len, &err), plus ? HEARTH_E_FORMAT : HEARTH_OK);
            w.len--; /* and one byte less is too little */
            if (!plus)
                assert_int_equal(open_bytes(w.at, w.len, &err), HEARTH_E_TRUNCATED);
            gw_free(&w);
        }
    }
}

/* ---- split sets, G-38 ---- */

static void split_part(struct gw *w, uint32_t no, uint32_t count, uint32_t tensors,
                       const char *name)
{
    const uint64_t dim[1] = {8};
    char tensor[16];
    gw_header(w, 3, 1, 3u + (name != NULL));
    gw_key(w, "split.no", HG_U16);
    gw_int(w, no, 2);
    gw_key(w, "split.count", HG_U16);
    gw_int(w, count, 2);
    gw_key(w, "split.tensors.count", HG_I32);
    gw_u32(w, tensors);
    if (name)
        gw_key_text(w, "general.name", name);
    snprintf(tensor, sizeof tensor, "t%u", no);
    gw_tensor(w, tensor, 1, dim, 0, 0);
    gw_pad(w, 32);
    for (int i = 0; i < 8; i++)
        gw_f32(w, (float)no);
}

static void split_sets_are_checked(void **state)
{
    static const struct {
        uint32_t no[3], count[3], tensors, n;
        const char *name[3];
        hearth_status status;
        const char *words;
    } sets[] = {
        {{0, 1, 2}, {3, 3, 3}, 3, 3, {"a", NULL, NULL}, HEARTH_OK, ""},
        {{0, 1, 2}, {3, 3, 3}, 3, 3, {"a", "a", NULL}, HEARTH_OK, ""},
        {{0, 1, 2}, {3, 3, 3}, 3, 2, {"a", NULL}, HEARTH_E_MISMATCH, "all parts are needed"},
        {{0, 1, 2}, {3, 3, 3}, 3, 1, {"a"}, HEARTH_E_MISMATCH, "all parts are needed"},
        {{0, 1, 1}, {3, 3, 3}, 3, 3, {"a"}, HEARTH_E_MISMATCH, "split.no is 1, 2 was expected"},
        {{0, 2, 1}, {3, 3, 3}, 3, 3, {"a"}, HEARTH_E_MISMATCH, "given once, in order"},
        {{0, 1, 2}, {3, 3, 2}, 3, 3, {"a"}, HEARTH_E_MISMATCH, "split.count is 2"},
        {{0, 1, 2}, {3, 3, 3}, 4, 3, {"a"}, HEARTH_E_MISMATCH, "split.tensors.count is 4"},
        {{0, 1, 2}, {3, 3, 3}, 3, 3, {"a", "b", NULL}, HEARTH_E_MISMATCH, "general.name differs"},
        {{0, 1}, {1, 1}, 3, 2, {"a"}, HEARTH_E_MISMATCH, "split.count is 1 and 2 files"},
    };
    (void)state;
    for (size_t i = 0; i < HB_COUNT(sets); i++) {
        struct gw w[3] = {{0}};
        hearth_bytes parts[3];
        hearth_error err = {0};
        for (uint32_t j = 0; j < sets[i].n; j++) {
            split_part(&w[j], sets[i].no[j], sets[i].count[j], sets[i].tensors, sets[i].name[j]);
            parts[j] = (hearth_bytes){w[j].at, w[j].len};
        }
        hearth_status s = open_parts(parts, sets[i].n, &err);
        if (s != sets[i].status || (s != HEARTH_OK && !strstr(err.text, sets[i].words)))
            fail_msg("set %zu: status %d \"%s\"", i, s, err.text);
        for (int j = 0; j < 3; j++)
            gw_free(&w[j]);
    }
}

static void tensors_of_all_parts_are_found(void **state)
{
    (void)state;
    struct gw w[3] = {{0}};
    hearth_bytes parts[3];
    struct gw_heap heap = {.refuse_at = -1};
    struct hb_arena arena = gw_arena(&heap);
    struct hg_file file;
    for (uint32_t j = 0; j < 3; j++) {
        split_part(&w[j], j, 3, 3, j ? NULL : "a");
        parts[j] = (hearth_bytes){w[j].at, w[j].len};
    }
    assert_int_equal(hg_open(parts, 3, &arena, &file, NULL), HEARTH_OK);
    assert_int_equal(file.n_tensors, 3);
    for (uint32_t j = 0; j < 3; j++) {
        char name[16];
        float first;
        snprintf(name, sizeof name, "t%u", j);
        const struct hg_tensor *t = hg_tensor_find(&file, name);
        assert_non_null(t);
        memcpy(&first, t->data, sizeof first);
        assert_true(first == (float)j);
        assert_int_equal(t->part, j);
    }
    assert_null(hg_tensor_find(&file, "t3"));
    assert_null(hg_tensor_find(&file, ""));
    hb_arena_release(&arena);
    for (int j = 0; j < 3; j++)
        gw_free(&w[j]);
}

/* ---- the metadata table ---- */

static void typed_access_checks_kind_and_range(void **state)
{
    (void)state;
    struct gw w = {0};
    struct gw_heap heap = {.refuse_at = -1};
    struct hb_arena arena = gw_arena(&heap);
    struct hg_file f;
    hearth_error err;
    gw_header(&w, 3, 0, 9);
    gw_key_u32(&w, "u32", 7);
    gw_key(&w, "i8", HG_I8);
    gw_int(&w, 0xFE, 1);
    gw_key(&w, "u64", HG_U64);
    gw_u64(&w, UINT64_MAX);
    gw_key_f32(&w, "f32", 1.5f);
    gw_key(&w, "f64", HG_F64);
    gw_u64(&w, 0x7FF8000000000000u); /* NaN */
    gw_key_text(&w, "text", "hello");
    gw_key_array(&w, "ints", HG_I16, 3);
    gw_int(&w, 1, 2);
    gw_int(&w, 2, 2);
    gw_int(&w, 0xFFFF, 2);
    gw_key_array(&w, "texts", HG_STRING, 2);
    gw_text(&w, "one");
    gw_text(&w, "");
    gw_key(&w, "bool", HG_BOOL);
    gw_int(&w, 1, 1);
    hearth_bytes part = {w.at, w.len};
    assert_int_equal(hg_open(&part, 1, &arena, &f, &err), HEARTH_OK);

    int64_t i = 99;
    double d = 99;
    bool b = false;
    int32_t ints[3];
    struct hg_text t = {NULL, 0};
    const struct hg_meta *m;
    assert_int_equal(hg_meta_int(&f, "u32", true, 0, 7, &i, &err), HEARTH_OK);
    assert_int_equal(i, 7);
    assert_int_equal(hg_meta_int(&f, "u32", true, 0, 6, &i, &err), HEARTH_E_RANGE);
    assert_string_equal(err.text, "gguf: key u32 is 7; 0 to 6 is accepted");
    assert_int_equal(hg_meta_int(&f, "i8", true, -2, 0, &i, &err), HEARTH_OK);
    assert_int_equal(i, -2);
    assert_int_equal(hg_meta_int(&f, "u64", true, 0, INT64_MAX, &i, &err), HEARTH_E_RANGE);
    assert_int_equal(hg_meta_int(&f, "f32", true, 0, 9, &i, &err), HEARTH_E_FORMAT);
    assert_string_equal(err.text, "gguf: key f32 is f32; a whole number is required");
    assert_int_equal(hg_meta_int(&f, "bool", true, 0, 9, &i, &err), HEARTH_E_FORMAT);
    assert_int_equal(hg_meta_int(&f, "none", true, 0, 9, &i, &err), HEARTH_E_NOT_FOUND);
    assert_int_equal(hg_meta_int(&f, "none", false, 0, 9, &i, &err), HEARTH_OK);
    assert_int_equal(i, -2);
    assert_int_equal(hg_meta_real(&f, "f32", true, 0, 2, &d, &err), HEARTH_OK);
    assert_true(d == 1.5);
    assert_int_equal(hg_meta_real(&f, "f64", true, 0, 2, &d, &err), HEARTH_E_RANGE);
    assert_int_equal(hg_meta_real(&f, "u32", true, 0, 9, &d, &err), HEARTH_E_FORMAT);
    assert_int_equal(hg_meta_bool(&f, "bool", true, &b, &err), HEARTH_OK);
    assert_true(b);
    assert_int_equal(hg_meta_bool(&f, "u32", true, &b, &err), HEARTH_E_FORMAT);
    assert_int_equal(hg_meta_string(&f, "text", true, 5, &t, &err), HEARTH_OK);
    assert_int_equal(t.len, 5);
    assert_int_equal(hg_meta_string(&f, "text", true, 4, &t, &err), HEARTH_E_LIMIT);
    assert_int_equal(hg_meta_string(&f, "texts", true, 4, &t, &err), HEARTH_E_FORMAT);
    assert_int_equal(hg_meta_ints(&f, "ints", true, -1, 2, 3, ints, &err), HEARTH_OK);
    assert_int_equal(ints[2], -1);
    assert_int_equal(hg_meta_ints(&f, "ints", true, -1, 2, 2, ints, &err), HEARTH_E_MISMATCH);
    assert_int_equal(hg_meta_ints(&f, "u32", true, 0, 9, 3, ints, &err), HEARTH_OK);
    assert_int_equal(ints[0] + ints[1] + ints[2], 21);
    assert_int_equal(hg_meta_array(&f, "texts", true, HG_STRING, 2, &m, &err), HEARTH_OK);
    assert_int_equal(hg_meta_array(&f, "texts", true, HG_STRING, 1, &m, &err), HEARTH_E_LIMIT);
    assert_int_equal(hg_meta_array(&f, "texts", true, HG_F32, 2, &m, &err), HEARTH_E_FORMAT);

    char text[64];
    hg_meta_print(hg_meta_find(&f, "texts"), text, sizeof text);
    assert_string_equal(text, "string[2] one, ");
    hg_meta_print(hg_meta_find(&f, "ints"), text, sizeof text);
    assert_string_equal(text, "i16[3] 1, 2, -1");
    hg_meta_print(hg_meta_find(&f, "u64"), text, sizeof text);
    assert_string_equal(text, "18446744073709551615");
    for (size_t n = 0; n < 8; n++) /* any room is enough */
        assert_true(hg_meta_print(hg_meta_find(&f, "texts"), text, n) < (n ? n : 1));
    hb_arena_release(&arena);
    gw_free(&w);
}

/* 65536 keys whose order is hostile to simple tables: opening stays fast. */
static void many_keys_stay_fast(void **state)
{
    (void)state;
    struct gw w = {0};
    char key[80];
    hearth_error err;
    gw_header(&w, 3, 0, HG_MAX_META);
    for (int i = 0; i < HG_MAX_META; i++) {
        memset(key, 'a', 64);
        snprintf(key + 64, sizeof key - 64, "%05d", HG_MAX_META - i);
        gw_key_u32(&w, key, 0);
    }
    double start = gw_now_ms();
    assert_int_equal(open_bytes(w.at, w.len, &err), HEARTH_OK);
    print_message("65536 keys: %.0f ms\n", gw_now_ms() - start);
    assert_true(gw_now_ms() - start < 2000);
    gw_free(&w);
}

static void zero_and_too_many_files_are_refused(void **state)
{
    (void)state;
    static hearth_bytes parts[HG_MAX_FILES + 1];
    assert_int_equal(open_parts(parts, 0, NULL), HEARTH_E_ARGUMENT);
    assert_int_equal(open_parts(parts, HG_MAX_FILES + 1, NULL), HEARTH_E_ARGUMENT);
    assert_int_equal(open_parts(parts, 1, NULL), HEARTH_E_TRUNCATED);
    parts[0].size = 24;
    assert_int_equal(open_parts(parts, 1, NULL), HEARTH_E_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_truncated_header_is_refused),
        cmocka_unit_test(every_row_has_its_outcome),
        cmocka_unit_test(rows_that_are_no_whole_number_of_blocks_are_refused),
        cmocka_unit_test(split_sets_are_checked),
        cmocka_unit_test(tensors_of_all_parts_are_found),
        cmocka_unit_test(typed_access_checks_kind_and_range),
        cmocka_unit_test(many_keys_stay_fast),
        cmocka_unit_test(zero_and_too_many_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Tensors in files. .npy: NumPy Enhancement Proposal 1; .pb: TensorProto by the loader of src/onnx. */
#include "tensor_io.h"
#include "base/os/hb_os.h"
#include "onnx/hx_model.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *descr;
    hearth_dtype type;
} tensor_io_types[] = {
    {"<f4", HEARTH_DTYPE_F32}, {"<f8", HEARTH_DTYPE_F64}, {"<f2", HEARTH_DTYPE_F16},
    {"|i1", HEARTH_DTYPE_I8},  {"<i2", HEARTH_DTYPE_I16}, {"<i4", HEARTH_DTYPE_I32},
    {"<i8", HEARTH_DTYPE_I64}, {"|u1", HEARTH_DTYPE_U8},  {"<u2", HEARTH_DTYPE_U16},
    {"<u4", HEARTH_DTYPE_U32}, {"<u8", HEARTH_DTYPE_U64}, {"|b1", HEARTH_DTYPE_BOOL},
};

static hearth_status tensor_io_fail(hearth_error *err, hearth_status status, const char *text)
{
    err->status = status;
    snprintf(err->text, sizeof err->text, "%s", text);
    return status;
}

static hearth_status tensor_io_own(struct hc_tensor *t, const void *data, hearth_error *err)
{
    void *copy = NULL;
    if (posix_memalign(&copy, 64, t->tensor.bytes + 64) != 0)
        return tensor_io_fail(err, HEARTH_E_MEMORY, "tensor: no memory");
    if (t->tensor.bytes)
        memcpy(copy, data, t->tensor.bytes);
    t->tensor.data = copy;
    return HEARTH_OK;
}

/* The header is a Python dictionary of three known keys. */
static hearth_status tensor_io_npy(const char *bytes, size_t size, struct hc_tensor *t,
                                   hearth_error *err)
{
    char header[4096];
    size_t off = bytes[6] == 1 ? 10 : 12;
    if (size < off)
        return tensor_io_fail(err, HEARTH_E_TRUNCATED, "npy: the file ends inside the header");
    const unsigned char *u = (const unsigned char *)bytes;
    size_t len = (size_t)u[8] | (size_t)u[9] << 8 | (off == 12 ? (size_t)u[10] << 16 : 0);
    if (len >= sizeof header || len > size - off)
        return tensor_io_fail(err, HEARTH_E_FORMAT, "npy: a header of that length is not accepted");
    memcpy(header, bytes + off, len);
    header[len] = 0;
    const char *descr = strstr(header, "'descr':"), *shape = strstr(header, "'shape':");
    if (!descr || !shape || !(shape = strchr(shape, '(')) || strstr(header, "'fortran_order': True"))
        return tensor_io_fail(err, HEARTH_E_UNSUPPORTED, "npy: header; C order is accepted");
    for (size_t i = 0; i < HC_COUNT(tensor_io_types); i++) {
        char quoted[16];
        snprintf(quoted, sizeof quoted, "'%s'", tensor_io_types[i].descr);
        if (strncmp(descr + 8 + strspn(descr + 8, " "), quoted, strlen(quoted)) == 0)
            t->tensor.type = tensor_io_types[i].type;
    }
    if (t->tensor.type == HEARTH_DTYPE_NONE)
        return tensor_io_fail(err, HEARTH_E_UNSUPPORTED, "npy: element type; numbers are accepted");
    t->tensor.bytes = hearth_dtype_size(t->tensor.type);
    for (char *p = (char *)(uintptr_t)shape + 1; *p && *p != ')' && t->tensor.rank < 8;) {
        char *end;
        long long d = strtoll(p, &end, 10);
        if (end == p)
            break;
        t->tensor.dim[t->tensor.rank++] = d;
        if (d < 0 || (d && t->tensor.bytes > size / (size_t)d + 64))
            return tensor_io_fail(err, HEARTH_E_FORMAT, "npy: the shape is larger than the file");
        t->tensor.bytes *= (size_t)d;
        p = end + strspn(end, ", L");
    }
    if (t->tensor.bytes > size - off - len)
        return tensor_io_fail(err, HEARTH_E_TRUNCATED, "npy: the data are shorter than the shape");
    return tensor_io_own(t, bytes + off + len, err);
}

static hearth_status tensor_io_pb(const char *bytes, size_t size, struct hc_tensor *t,
                                  const char **name, struct hb_arena *arena, hearth_error *err)
{
    struct hx_tensor x;
    hearth_status status = hx_load_tensor(bytes, size, arena, &x, err);
    if (status != HEARTH_OK)
        return status;
    t->onnx_type = x.type;
    t->tensor.type = (hearth_dtype)x.type;
    if (hearth_dtype_size(t->tensor.type) == 0) {
        snprintf(err->text, sizeof err->text, "type %s", hx_type_name(x.type));
        return err->status = HEARTH_E_UNSUPPORTED;
    }
    t->tensor.rank = x.rank;
    for (int d = 0; d < x.rank; d++)
        t->tensor.dim[d] = x.dim[d];
    t->tensor.bytes = x.size_bytes;
    if (!*name)
        *name = x.name;
    return tensor_io_own(t, x.data, err);
}

hearth_status hc_tensor_read(const char *path, const char *name, struct hc_tensor *t,
                             hearth_error *err)
{
    struct hb_file file;
    struct hb_arena arena;
    memset(t, 0, sizeof *t);
    hearth_status status = hb_os_file_open(path, HB_MAP_NO_MMAP, 0, &file, err);
    if (status != HEARTH_OK)
        return status;
    hb_arena_init_growing(&arena, hb_os_heap());
    const char *bytes = (const char *)file.bytes;
    if (file.size > 10 && memcmp(bytes, "\x93NUMPY", 6) == 0)
        status = tensor_io_npy(bytes, file.size, t, err);
    else
        status = tensor_io_pb(bytes, file.size, t, &name, &arena, err);
    if (status == HEARTH_OK)
        t->tensor.name = strdup(name ? name : "");
    hb_arena_release(&arena);
    hb_os_file_close(&file);
    return status;
}

void hc_tensor_free(struct hc_tensor *t)
{
    free((void *)(uintptr_t)t->tensor.name);
    free((void *)(uintptr_t)t->tensor.data);
    memset(t, 0, sizeof *t);
}

int hc_tensor_write_npy(const char *path, const hearth_tensor *t)
{
    const char *descr = "<u2"; /* bf16 */
    char header[256], shape[160] = "";
    size_t n = 0;
    for (size_t i = 0; i < HC_COUNT(tensor_io_types); i++)
        if (tensor_io_types[i].type == t->type)
            descr = tensor_io_types[i].descr;
    for (int d = 0; d < t->rank; d++)
        n += (size_t)snprintf(shape + n, sizeof shape - n, "%lld,%s", (long long)t->dim[d],
                              d + 1 < t->rank ? " " : "");
    int len = snprintf(header, sizeof header,
                       "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, shape);
    int total = (10 + len + 1 + 63) / 64 * 64 - 10; /* data start on a multiple of 64 */
    FILE *f = fopen(path, "wb");
    if (!f)
        return hc_fail(HC_FAILED, path, "cannot be written");
    fwrite("\x93NUMPY\x01\x00", 1, 8, f);
    fputc(total & 255, f);
    fputc(total >> 8, f);
    fprintf(f, "%s%*s\n", header, total - len - 1, "");
    if (t->bytes)
        fwrite(t->data, 1, t->bytes, f);
    bool bad = ferror(f) != 0;
    bad = fclose(f) != 0 || bad;
    return bad ? hc_fail(HC_FAILED, path, "cannot be written to the end") : HC_OK;
}

bool hc_tensor_is_float(const hearth_tensor *t)
{
    return t->type == HEARTH_DTYPE_F32 || t->type == HEARTH_DTYPE_F64 ||
           t->type == HEARTH_DTYPE_F16 || t->type == HEARTH_DTYPE_BF16;
}

size_t hc_tensor_count(const hearth_tensor *t)
{
    return t->bytes / hearth_dtype_size(t->type);
}

static double tensor_io_f16(uint16_t h)
{
    int e = h >> 10 & 31, m = h & 1023;
    double v = e == 31 ? (m ? (double)NAN : (double)INFINITY)
               : e ? (1024 + m) * 0x1p-25 * (double)(1u << e)
                   : m * 0x1p-24;
    return h & 0x8000 ? -v : v;
}

#define AT(T) (((const T *)t->data)[i])

int64_t hc_tensor_int(const hearth_tensor *t, size_t i)
{
    switch (t->type) {
    case HEARTH_DTYPE_I8: return AT(int8_t);
    case HEARTH_DTYPE_BOOL: return AT(uint8_t) != 0;
    case HEARTH_DTYPE_U8: return AT(uint8_t);
    case HEARTH_DTYPE_I16: return AT(int16_t);
    case HEARTH_DTYPE_U16: return AT(uint16_t);
    case HEARTH_DTYPE_I32: return AT(int32_t);
    case HEARTH_DTYPE_U32: return AT(uint32_t);
    default: return AT(int64_t);
    }
}

double hc_tensor_real(const hearth_tensor *t, size_t i)
{
    union {
        uint32_t u;
        float f;
    } bits;
    switch (t->type) {
    case HEARTH_DTYPE_F32: return (double)AT(float);
    case HEARTH_DTYPE_F64: return AT(double);
    case HEARTH_DTYPE_F16: return tensor_io_f16(AT(uint16_t));
    case HEARTH_DTYPE_BF16: bits.u = (uint32_t)AT(uint16_t) << 16; return (double)bits.f;
    case HEARTH_DTYPE_U64: return (double)AT(uint64_t);
    default: return (double)hc_tensor_int(t, i);
    }
}

void hc_tensor_shape(const hearth_tensor *t, char *dst, size_t size)
{
    int n = snprintf(dst, size, "%s [", hearth_dtype_name(t->type));
    for (int d = 0; d < t->rank && n > 0 && (size_t)n < size; d++)
        n += snprintf(dst + n, size - (size_t)n, "%s%lld", d ? ", " : "", (long long)t->dim[d]);
    if (n > 0 && (size_t)n < size)
        snprintf(dst + n, size - (size_t)n, "]");
}

/* Tensors in files: .npy, and the TensorProto messages of the ONNX test layout. */
#ifndef TENSOR_IO_H
#define TENSOR_IO_H

#include "client.h"

struct hc_tensor {
    hearth_tensor tensor; /* name and data are owned */
    int32_t onnx_type;    /* of a .pb: TensorProto.DataType, also of types hearth does not know */
};

/* Read a file, its format told by content. `name` becomes the tensor's; NULL: the file's own. Returns the
 * status of the library with a sentence in err. hc_tensor_free is due in both cases. */
hearth_status hc_tensor_read(const char *path, const char *name, struct hc_tensor *t,
                             hearth_error *err);
void hc_tensor_free(struct hc_tensor *t);

/* Write a .npy file (version 1.0). bf16 is written as u16. */
int hc_tensor_write_npy(const char *path, const hearth_tensor *t);

/* Element i as a double, and as an integer for integer types. */
double hc_tensor_real(const hearth_tensor *t, size_t i);
int64_t hc_tensor_int(const hearth_tensor *t, size_t i);
bool hc_tensor_is_float(const hearth_tensor *t);
size_t hc_tensor_count(const hearth_tensor *t);
/* "f32 [2, 3]" */
void hc_tensor_shape(const hearth_tensor *t, char *dst, size_t size);

#endif

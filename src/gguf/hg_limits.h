/* What a GGUF file may ask of us. Every count that is read is compared with one of these before
 * anything is allocated, and with the bytes that are left, whichever is less; tests stand at n and
 * n + 1. */
#ifndef HG_LIMITS_H
#define HG_LIMITS_H

#define HG_MAX_FILES     1024                 /* parts of a split set */
#define HG_MAX_META      65536                /* keys of one file */
#define HG_MAX_TENSORS   65536                /* over all parts */
#define HG_MAX_KEY       65535                /* bytes */
#define HG_MAX_NAME      63                   /* bytes of a tensor name */
#define HG_MAX_STRING    (16u << 20)          /* bytes */
#define HG_MAX_ARRAY     (16u << 20)          /* elements */
#define HG_MAX_RANK      4
#define HG_MAX_DIM       INT32_MAX
#define HG_MAX_ELEMENTS  ((int64_t)1 << 40)   /* of one tensor */
#define HG_MIN_ALIGNMENT 8
#define HG_MAX_ALIGNMENT 65536

#define HG_MAX_ARCH_NAME 63                   /* bytes of general.architecture */
#define HG_MAX_LAYERS    4096
#define HG_MAX_EXPERTS   1024                 /* as many as the op that picks them takes */
#define HG_MAX_EMBD      (1 << 20)
#define HG_MAX_FF        (1 << 24)
#define HG_MAX_HEADS     65536
#define HG_MAX_HEAD_DIM  8192
#define HG_MAX_CONTEXT   (1 << 30)            /* a larger context_length is taken as this */
#define HG_MAX_VOCAB     (1 << 20)            /* tokens */
#define HG_MAX_MERGES    (1 << 22)
#define HG_MAX_TEMPLATE  (1u << 20)           /* bytes of a chat template */

#endif

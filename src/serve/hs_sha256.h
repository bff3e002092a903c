/* SHA-256 (FIPS 180-4, section 6.2), in pieces of any size. Digests of model files and of secrets. */
#ifndef HS_SHA256_H
#define HS_SHA256_H

#include "base/hb_port.h"

#define HS_SHA256_BYTES 32

struct hs_sha256 {
    uint32_t h[8];
    uint64_t len;     /* bytes so far */
    uint8_t part[64]; /* of a block, its first len % 64 bytes */
};

void hs_sha256_init(struct hs_sha256 *s);
void hs_sha256_add(struct hs_sha256 *s, const void *bytes, size_t n);
/* Ends it; init starts the next. */
void hs_sha256_end(struct hs_sha256 *s, uint8_t digest[HS_SHA256_BYTES]);

/* Lower case, terminated. */
void hs_sha256_hex(const uint8_t digest[HS_SHA256_BYTES], char text[2 * HS_SHA256_BYTES + 1]);
/* 64 hexadecimal digits of either case; false for anything else. */
bool hs_sha256_parse(const char *text, size_t len, uint8_t digest[HS_SHA256_BYTES]);
/* In a time that does not depend on where they differ. */
bool hs_sha256_equal(const uint8_t a[HS_SHA256_BYTES], const uint8_t b[HS_SHA256_BYTES]);

/* Which way blocks go on this machine: "scalar", "x86 sha" or "aarch64 sha2". For reports and tests;
 * `scalar` makes all that follows take that one. */
const char *hs_sha256_way(void);
void hs_sha256_use_scalar(bool scalar);

#endif

/* Writes JSON as it goes: no tree, commas and escapes are its business.
 *
 *     hj_open(&j, NULL, '{');
 *     hj_text(&j, "text", bytes, len);
 *     hj_open(&j, "tokens", '[');
 *     hj_int(&j, NULL, 17);
 *     hj_close(&j, ']');
 *     hj_close(&j, '}');
 *
 * `key` is NULL inside arrays and at the top. Texts may hold any bytes: what is no UTF-8 becomes
 * U+FFFD. Numbers read back to the same value; NaN and infinity, which JSON lacks, become null.
 * Source: RFC 8259. */
#ifndef JSON_OUT_H
#define JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct hj {
    FILE *file;
    bool inside; /* something stands before in this object or array */
};

void hj_open(struct hj *j, const char *key, char bracket); /* '{' or '[' */
void hj_close(struct hj *j, char bracket);                 /* '}' or ']' */
void hj_text(struct hj *j, const char *key, const char *bytes, size_t len);
void hj_string(struct hj *j, const char *key, const char *text); /* NUL-terminated */
void hj_int(struct hj *j, const char *key, int64_t value);
void hj_uint(struct hj *j, const char *key, uint64_t value);
void hj_real(struct hj *j, const char *key, double value);
void hj_bool(struct hj *j, const char *key, bool value);

/* The shortest text that reads back as the same double; at least 32 bytes. */
void hj_format_real(char *dst, size_t size, double value);

#endif

/* All of a C library that hearth calls on a machine without an operating system. Builds with
 * HEARTH_OS=bare find this file before any other <string.h>; the product gives the functions, by its C
 * library or by those of examples/firmware/libc_few.c. tools/check_symbols.py --bare holds the archive
 * to this list. */
#ifndef HB_BARE_STRING_H
#define HB_BARE_STRING_H

#include <stddef.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *p, int byte, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
char *strstr(const char *s, const char *part);

#endif

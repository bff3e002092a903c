/* The functions of src/base/bare/string.h, for products without a C library: short rather than fast, but
 * for memcpy and memset, which move words. Compiled with -fno-tree-loop-distribute-patterns, or the compiler
 * would recognise memcpy in memcpy and call it. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
    uint8_t *d = dst;
    const uint8_t *s = src;
    if ((((uintptr_t)d | (uintptr_t)s) & 3) == 0)
        for (; n >= 4; n -= 4, d += 4, s += 4)
            *(uint32_t *)(void *)d = *(const uint32_t *)(const void *)s;
    while (n--)
        *d++ = *s++;
    return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
    uint8_t *d = dst;
    const uint8_t *s = src;
    if ((uintptr_t)d - (uintptr_t)s >= n)
        return memcpy(dst, src, n);
    while (n--)
        d[n] = s[n];
    return dst;
}

void *memset(void *dst, int byte, size_t n)
{
    uint8_t *d = dst;
    uint32_t word = (uint8_t)byte * 0x01010101u;
    if (((uintptr_t)d & 3) == 0)
        for (; n >= 4; n -= 4, d += 4)
            *(uint32_t *)(void *)d = word;
    while (n--)
        *d++ = (uint8_t)byte;
    return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *p = a, *q = b;
    for (; n; n--, p++, q++)
        if (*p != *q)
            return *p - *q;
    return 0;
}

void *memchr(const void *p, int byte, size_t n)
{
    for (const uint8_t *s = p; n; n--, s++)
        if (*s == (uint8_t)byte)
            return (void *)(uintptr_t)s;
    return NULL;
}

size_t strlen(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (; n; n--, a++, b++)
        if (*a != *b || !*a)
            return (uint8_t)*a - (uint8_t)*b;
    return 0;
}

int strcmp(const char *a, const char *b)
{
    return strncmp(a, b, SIZE_MAX);
}

char *strchr(const char *s, int c)
{
    for (; *s != (char)c; s++)
        if (!*s)
            return NULL;
    return (char *)(uintptr_t)s;
}

char *strrchr(const char *s, int c)
{
    const char *last = NULL;
    do
        if (*s == (char)c)
            last = s;
    while (*s++);
    return (char *)(uintptr_t)last;
}

char *strstr(const char *s, const char *part)
{
    size_t n = strlen(part);
    for (;; s++) {
        if (strncmp(s, part, n) == 0)
            return (char *)(uintptr_t)s;
        if (!*s)
            return NULL;
    }
}

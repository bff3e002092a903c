/* malloc, calloc and realloc of a program linked with --wrap for each: it says which calls are refused.
 * Include once, in the program's own file. */
#ifndef SERVE_REFUSAL_H
#define SERVE_REFUSAL_H

#include <stdbool.h>
#include <stddef.h>

/* Asked at every allocation: true makes it fail. */
static bool refused(void);

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
    return refused() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return refused() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return refused() ? NULL : __real_realloc(p, n);
}

#endif

/* Buffers of a connection: see hs_conn_own.h. */
#include "serve/hs_conn_own.h"
#include <stdlib.h>
#include <string.h>

void hs_buffer_wipe(struct hs_buffer *b, size_t keep)
{
    if (b->at)
        hb_wipe(b->at, b->capacity);
    if (b->capacity > keep) {
        free(b->at);
        *b = (struct hs_buffer){0};
    }
    b->from = b->to = 0;
}

bool hs_buffer_reserve(struct hs_buffer *b, size_t n)
{
    size_t used = hs_buffer_used(b);
    if (b->capacity - b->to >= n && b->at)
        return true;
    if (b->capacity - used >= n && b->at) {
        memmove(b->at, b->at + b->from, used);
    } else {
        size_t capacity = b->capacity ? b->capacity : HS_BUFFER_SMALL;
        while (capacity - used < n)
            capacity *= 2;
        uint8_t *at = malloc(capacity);
        if (!at)
            return false;
        if (used)
            memcpy(at, b->at + b->from, used);
        if (b->at)
            hb_wipe(b->at, b->capacity);
        free(b->at);
        b->at = at;
        b->capacity = capacity;
    }
    b->from = 0;
    b->to = used;
    return true;
}

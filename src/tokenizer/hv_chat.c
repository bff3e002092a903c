/* Chat text with marks, and what is asked of messages whatever writes them. */
#include "base/hb_check.h"
#include "tokenizer/hv_chat.h"
#include <string.h>

/* ---- marked buffers ---- */

static hearth_status marked_room(struct hv_marked *out, size_t n, hearth_error *err)
{
    char *bytes;
    uint8_t *mark;
    if (n > out->max || out->len > out->max - n)
        return hb_fail(err, HEARTH_E_LIMIT, "chat: the text passes %zu bytes, the limit for these "
                       "messages", out->max);
    if (n <= out->capacity - out->len)
        return HEARTH_OK;
    size_t capacity = (out->len + n) * 2 + 64;
    HB_TRY(hb_arena_take_raw(out->arena, capacity, 1, (void **)&bytes, err));
    HB_TRY(hb_arena_take_raw(out->arena, capacity, 1, (void **)&mark, err));
    if (out->len) {
        memcpy(bytes, out->bytes, out->len);
        memcpy(mark, out->mark, out->len);
    }
    out->bytes = bytes;
    out->mark = mark;
    out->capacity = capacity;
    return HEARTH_OK;
}

hearth_status hv_marked_put(struct hv_marked *out, const char *bytes, const uint8_t *mark, size_t n,
                            hearth_error *err)
{
    if (!mark)
        return hv_marked_fill(out, bytes, n, 0, err);
    HB_TRY(marked_room(out, n, err));
    memcpy(out->bytes + out->len, bytes, n);
    memcpy(out->mark + out->len, mark, n);
    out->len += n;
    return HEARTH_OK;
}

hearth_status hv_marked_fill(struct hv_marked *out, const char *bytes, size_t n, uint8_t mark,
                             hearth_error *err)
{
    if (n == 0)
        return HEARTH_OK;
    HB_TRY(marked_room(out, n, err));
    memcpy(out->bytes + out->len, bytes, n);
    memset(out->mark + out->len, mark, n);
    out->len += n;
    return HEARTH_OK;
}

/* ---- messages ---- */

static bool chat_role_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

hearth_status hv_chat_check(const struct hv_chat_input *in, size_t *bytes, hearth_error *err)
{
    size_t total = in->bos.len + in->eos.len;
    for (size_t i = 0; i < in->n; i++) {
        const struct hv_message *m = &in->messages[i];
        bool fine = m->role.len > 0 && m->role.len <= HV_CHAT_MAX_ROLE;
        for (size_t k = 0; fine && k < m->role.len; k++)
            fine = chat_role_byte(m->role.bytes[k]);
        if (!fine)
            return hb_fail(err, HEARTH_E_RANGE,
                           "chat: role \"%.*s\" of message %zu; 1 to %d letters, digits, _ and - are "
                           "accepted",
                           (int)(m->role.len > 40 ? 40 : m->role.len), m->role.bytes, i,
                           HV_CHAT_MAX_ROLE);
        if (!hb_add_size(total, m->role.len, &total) ||
            !hb_add_size(total, m->content.len, &total) || total > HV_MAX_TEXT)
            return hb_fail(err, HEARTH_E_LIMIT, "chat: the messages pass %zu bytes", HV_MAX_TEXT);
    }
    *bytes = total;
    return HEARTH_OK;
}

/* The messages as tables, made from messages.def. */
#include "serve/hs_wire.h"
#include <stddef.h>
#include <string.h>

#define KIND_U64     HS_U64, 0
#define KIND_I64     HS_I64, 0
#define KIND_F32     HS_F32, 0
#define KIND_BYTES   HS_BYTES, 0
#define KIND_TOKENS  HS_TOKENS, 0
#define KIND_FLOATS  HS_FLOATS, 0
#define KIND_TEXTS   HS_TEXTS, 0
#define KIND_LIST(m) HS_LIST, HS_M_##m
#define NEED_MUST    true
#define NEED_MAY     false

#define HS_MESSAGE(name, number, from, text) static const struct hs_field wire_fields_##name[] = {
#define HS_FIELD(message, number, kind, need, name, text)                                          \
    {#name, number, KIND_##kind, NEED_##need, (uint16_t)offsetof(struct hs_##message, name)},
#define HS_END(name) };
#include "serve/messages.def"

#define LOW_U64     32
#define LOW_I64     32
#define LOW_F32     32
#define LOW_BYTES   32
#define LOW_TOKENS  32
#define LOW_FLOATS  32
#define LOW_TEXTS   16
#define LOW_LIST(m) 16
#define HS_FIELD(message, number, kind, need, name, text)                                          \
    _Static_assert(number < LOW_##kind, "messages.def: the number of " #message "." #name " is too high");
#include "serve/messages.def"

const struct hs_message hs_messages[HS_M_COUNT] = {
#define HS_MESSAGE(name, number, from, text)                                                       \
    {#name, number, HS_FROM_##from, (uint8_t)HB_COUNT(wire_fields_##name), (uint16_t)sizeof(struct hs_##name), \
     wire_fields_##name},
#include "serve/messages.def"
};

const struct hs_message *hs_message_by_number(uint8_t number)
{
    for (size_t i = 0; i < HS_M_COUNT; i++)
        if (hs_messages[i].number == number && hs_messages[i].from != HS_FROM_P)
            return &hs_messages[i];
    return NULL;
}

const struct hs_message *hs_message_by_name(const char *name, size_t len)
{
    for (size_t i = 0; i < HS_M_COUNT; i++)
        if (strlen(hs_messages[i].name) == len && memcmp(hs_messages[i].name, name, len) == 0 &&
            hs_messages[i].from != HS_FROM_P)
            return &hs_messages[i];
    return NULL;
}

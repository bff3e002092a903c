/* Limits by name: see hs_limits.h. */
#include "serve/hs_limits.h"
#include <stdlib.h>
#include <string.h>

const struct hs_limits hs_limits_default = {
#define HS_LIMIT(name, value, least, most, text) .name = (value),
#include "serve/hs_limits.def"
};

static const struct {
    const char *name, *text;
    size_t offset;
    uint32_t value, least, most;
} limits_rows[] = {
#define HS_LIMIT(name, value, least, most, text) {#name, text, offsetof(struct hs_limits, name), value, least, most},
#include "serve/hs_limits.def"
};

hearth_status hs_limits_set(struct hs_limits *limits, const char *text, hearth_error *err)
{
    const char *equals = strchr(text, '=');
    size_t len = equals ? (size_t)(equals - text) : 0;
    for (size_t i = 0; equals && i < HB_COUNT(limits_rows); i++) {
        if (strlen(limits_rows[i].name) != len || memcmp(limits_rows[i].name, text, len) != 0)
            continue;
        char *end;
        unsigned long long value = strtoull(equals + 1, &end, 10);
        if (equals[1] < '0' || equals[1] > '9' || *end || value < limits_rows[i].least || value > limits_rows[i].most)
            return hb_fail(err, HEARTH_E_RANGE, "%s; %u to %u are accepted", text, limits_rows[i].least,
                           limits_rows[i].most);
        *(uint32_t *)(void *)((uint8_t *)limits + limits_rows[i].offset) = (uint32_t)value;
        return HEARTH_OK;
    }
    return hb_fail(err, HEARTH_E_NOT_FOUND, "\"%s\" is no NAME=VALUE of a known limit", text);
}

const char *hs_limits_name(size_t index, const char **text, uint32_t *value)
{
    if (index >= HB_COUNT(limits_rows))
        return NULL;
    *text = limits_rows[index].text;
    *value = limits_rows[index].value;
    return limits_rows[index].name;
}

/* Element types of tensors by their number in the file: what is not read is refused by name, and
 * the size of an unknown type is never guessed. */
#include "gguf/hg_gguf.h"

/* Numbers from here on are given out by other engines and mean different things there. */
#define TYPES_FIRST_PRIVATE 97

struct types_refused {
    uint32_t number;
    const char *name, *why;
};

static const struct types_refused types_refused[] = {
#define HG_REFUSED_TYPE(number, name, why) {number, name, why},
#include "gguf/hg_types.def"
#undef HG_REFUSED_TYPE
};

/* "f32, f16, ...": what can be stored and read. */
static void types_known(char *text, size_t size)
{
    size_t len = 0;
    text[0] = 0;
    for (int i = 0; i < HK_QTYPE_COUNT; i++)
        if (hk_qtype_info[i].gguf >= 0 && hk_qtype_info[i].family != HK_FAMILY_PLAIN)
            len += hb_format(text + len, size - len, "%s%s", len ? " " : "", hk_qtype_info[i].name);
}

hearth_status hg_tensor_type(const char *where, const char *tensor, uint32_t number,
                             enum hk_qtype *type, hearth_error *err)
{
    enum hk_qtype found = hk_qtype_from_gguf(number);
    if (found != HK_QTYPE_COUNT) {
        *type = found;
        return HEARTH_OK;
    }
    char known[160];
    types_known(known, sizeof known);
    for (size_t i = 0; i < HB_COUNT(types_refused); i++)
        if (types_refused[i].number == number)
            return hb_fail(err, HEARTH_E_UNSUPPORTED, "%s: tensor %s: type %s (%u) %s; known: %s",
                           where, tensor, types_refused[i].name, number, types_refused[i].why,
                           known);
    if (number >= TYPES_FIRST_PRIVATE && number <= INT32_MAX)
        return hb_fail(err, HEARTH_E_UNSUPPORTED,
                       "%s: tensor %s: type %u is private to another engine; known: %s", where,
                       tensor, number, known);
    return hb_fail(err, HEARTH_E_UNSUPPORTED, "%s: tensor %s: type %u is unknown; known: %s", where,
                   tensor, number, known);
}

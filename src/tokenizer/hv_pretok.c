/* The list of pre-tokenizers, and walking the words of a text through their stages. */
#include "tokenizer/hv_pretok.h"
#include "tokenizer/hv_scan.h"
#include <string.h>

#define STAGES(...) {__VA_ARGS__, NULL}
static const struct hv_pretok pretok_list[] = {
#define HV_PRETOK(name, stages, flags) {name, stages, flags},
#include "tokenizer/pretokenizers.def"
#undef HV_PRETOK
};

const struct hv_pretok *hv_pretok_find(const char *name, size_t len)
{
    if (len == 0) {
        name = "default";
        len = 7;
    }
    for (size_t i = 0; i < HB_COUNT(pretok_list); i++)
        if (strlen(pretok_list[i].name) == len && memcmp(pretok_list[i].name, name, len) == 0)
            return &pretok_list[i];
    return NULL;
}

const struct hv_pretok *hv_pretok_at(size_t i)
{
    return i < HB_COUNT(pretok_list) ? &pretok_list[i] : NULL;
}

size_t hv_words_next(const struct hv_pretok *pretok, struct hv_words *w)
{
    if (w->pos >= w->len)
        return 0;
    w->ends[0] = w->len;
    /* the deepest stage whose word is not used up; below it new words begin here */
    int k = 0;
    while (pretok->stages[k] && w->ends[k + 1] > w->pos)
        k++;
    for (; pretok->stages[k]; k++)
        w->ends[k + 1] = w->pos + pretok->stages[k](w->text + w->pos, w->ends[k] - w->pos);
    size_t n = w->ends[k] - w->pos;
    w->pos = w->ends[k];
    return n;
}

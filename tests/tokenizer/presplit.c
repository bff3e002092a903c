/* Pre-tokenizers on a pipe, for tools/check_pretokenizers.py.
 *
 * usage: presplit NAME   reads u32 length + bytes again and again, writes u32 count + u32 lengths
 *        presplit        writes the names of all rows */
#include "test_support.h"
#include "tokenizer/hv_pretok.h"

static void split(const struct hv_pretok *pretok, const uint8_t *text, uint32_t len)
{
    struct hv_words words = {.text = text, .len = len};
    uint32_t *lengths = malloc(((size_t)len + 1) * sizeof *lengths);
    size_t count = 0;
    for (;;) {
        uint32_t n = (uint32_t)hv_words_next(pretok, &words);
        if (n == 0)
            break;
        lengths[++count] = n;
    }
    lengths[0] = (uint32_t)count;
    fwrite(lengths, sizeof *lengths, count + 1, stdout);
    fflush(stdout);
    free(lengths);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        for (size_t i = 0; hv_pretok_at(i); i++)
            printf("%s\n", hv_pretok_at(i)->name);
        return 0;
    }
    const struct hv_pretok *pretok = hv_pretok_find(argv[1], strlen(argv[1]));
    if (!pretok) {
        fprintf(stderr, "presplit: no pre-tokenizer %s\n", argv[1]);
        return 2;
    }
    uint32_t len;
    while (fread(&len, sizeof len, 1, stdin) == 1) {
        uint8_t *text = malloc((size_t)len + 1);
        if (fread(text, 1, len, stdin) != len)
            return 1;
        split(pretok, text, len);
        free(text);
    }
    return 0;
}

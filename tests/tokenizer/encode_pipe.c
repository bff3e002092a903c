/* Tokenizers on a pipe, for tools/check_tokenizers.py.
 *
 * usage: encode_pipe FILE.gguf|vocab.txt [PRE]
 * Reads u32 length + bytes again and again, writes u32 count + i32 ids; no special tokens, control
 * tokens inert. PRE replaces the pre-tokenizer of the file. */
#include "tokenizer/vocab_support.h"

/* vocab.txt: a token a line, ## continues a word */
static bool open_lines(struct vocab *v, const char *path, hearth_error *err)
{
    memset(v, 0, sizeof *v);
    hb_arena_init_growing(&v->arena, &vocab_heap);
    v->file = vocab_read(path, &v->file_bytes);
    if (!v->file)
        return false;
    struct hv_text *tokens;
    if (HB_ARENA_NEW(&v->arena, struct hv_text, v->file_bytes + 1, &tokens, err) != HEARTH_OK)
        return false;
    hv_config_init(&v->config, HV_WPM);
    v->config.wpm_style = HV_WPM_CONTINUATION;
    v->config.pad = v->config.mask = -1;
    size_t n = 0;
    for (char *line = v->file, *end = v->file + v->file_bytes; line < end;) {
        char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t len = (size_t)((stop ? stop : end) - line);
        tokens[n] = (struct hv_text){line, len};
        if (len == 5 && memcmp(line, "[UNK]", 5) == 0)
            v->config.unk = (int32_t)n;
        if (len == 5 && memcmp(line, "[CLS]", 5) == 0)
            v->config.cls = (int32_t)n;
        if (len == 5 && memcmp(line, "[SEP]", 5) == 0)
            v->config.sep = (int32_t)n;
        n++;
        line += len + 1;
    }
    v->config.tokens = tokens;
    v->config.n_tokens = n;
    return hv_tokenizer_create(&v->arena, &v->config, &v->tok, err) == HEARTH_OK;
}

int main(int argc, char **argv)
{
    struct vocab v;
    hearth_error err = {0};
    if (argc < 2)
        return 2;
    size_t name_len = strlen(argv[1]);
    bool lines = name_len > 4 && strcmp(argv[1] + name_len - 4, ".txt") == 0;
    bool ok = lines ? open_lines(&v, argv[1], &err) : vocab_open(&v, argv[1], &err);
    if (ok && argc > 2) {
        v.config.pre = (struct hv_text){argv[2], strlen(argv[2])};
        ok = hv_tokenizer_create(&v.arena, &v.config, &v.tok, &err) == HEARTH_OK;
    }
    if (!ok) {
        fprintf(stderr, "encode_pipe: %s: %s\n", argv[1], err.text);
        return 2;
    }
    uint32_t len;
    while (fread(&len, sizeof len, 1, stdin) == 1) {
        char *text = malloc((size_t)len + 1);
        size_t n;
        if (fread(text, 1, len, stdin) != len)
            return 1;
        int32_t *ids = vocab_encode(v.tok, text, len, 0, &n);
        uint32_t count = (uint32_t)n;
        fwrite(&count, sizeof count, 1, stdout);
        fwrite(ids, sizeof *ids, n, stdout);
        fflush(stdout);
        free(ids);
        free(text);
    }
    vocab_close(&v);
    return 0;
}

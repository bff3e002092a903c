/* Ids of many texts for tools/check_tokenizer_json.py: reads texts from standard input, each as u32
 * length and bytes, and answers u32 count and the ids.
 *
 *     pipe_ids FILE [parse-special]        FILE is a tokenizer.json or a vocab.txt */
#include "base/os/hb_os.h"
#include "tokenizer/hv_pipe.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    struct hb_file file;
    struct hb_arena arena;
    struct hv_pipe *pipe;
    hearth_error err;
    uint32_t len;
    if (argc < 2)
        return 2;
    uint32_t flags = HV_ADD_SPECIAL | (argc > 2 ? HV_PARSE_SPECIAL : 0);
    hb_arena_init_growing(&arena, hb_os_heap());
    hearth_status status = hb_os_file_open(argv[1], 0, 0, &file, &err);
    if (status == HEARTH_OK)
        status = hv_pipe_is_json(file.bytes, file.size)
                     ? hv_pipe_from_json(file.bytes, file.size, &arena, &pipe, &err)
                     : hv_pipe_from_vocab(file.bytes, file.size, &arena, &pipe, &err);
    if (status != HEARTH_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    while (fread(&len, 4, 1, stdin) == 1) {
        struct hv_encoding e;
        struct hb_arena scratch;
        char *text = malloc(len + 1u);
        if (!text || fread(text, 1, len, stdin) != len)
            return 1;
        hb_arena_init_growing(&scratch, hb_os_heap());
        if (hv_pipe_encode(pipe, text, len, flags, 0, &scratch, &e, &err) != HEARTH_OK) {
            fprintf(stderr, "%s\n", err.text);
            return 1;
        }
        uint32_t n = (uint32_t)e.n;
        fwrite(&n, 4, 1, stdout);
        fwrite(e.ids, 4, e.n, stdout);
        fflush(stdout);
        hb_arena_release(&scratch);
        free(text);
    }
    hb_arena_release(&arena);
    hb_os_file_close(&file);
    return 0;
}

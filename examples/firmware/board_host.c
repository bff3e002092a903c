/* The demonstration on a host, with memory as fixed as on a board: board_host MODEL. */
#include "demo.h"
#include <stdio.h>
#include <stdlib.h>

static _Alignas(64) unsigned char host_model_mem[8 << 20], host_session_mem[2 << 20];

void board_put(const char *text, size_t len)
{
    fwrite(text, 1, len, stdout);
}

int main(int argc, char **argv)
{
    FILE *f = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (!f || fseek(f, 0, SEEK_END) != 0)
        return 2;
    long size = ftell(f);
    unsigned char *model = size > 0 ? aligned_alloc(64, ((size_t)size + 63) / 64 * 64) : NULL;
    rewind(f);
    if (!model || fread(model, 1, (size_t)size, f) != (size_t)size)
        return 2;
    fclose(f);
    int failed = demo_run(model, (size_t)size, host_model_mem, sizeof host_model_mem, host_session_mem,
                          sizeof host_session_mem, "The old man", 16);
    free(model);
    return failed;
}

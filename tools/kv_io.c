/* Sequences in files, for --save-kv and --load-kv. */
#include "client.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int hc_kv_load(struct hc_session *s, const char *path)
{
    hearth_error err = {0};
    hearth_file *file;
    hearth_status status = hearth_file_open(path, NULL, &file, &err);
    if (status == HEARTH_OK) {
        status = hearth_seq_restore(s->session, 0, hearth_file_bytes(file), hearth_file_size(file),
                                    &err);
        hearth_file_close(file);
    }
    return status == HEARTH_OK ? HC_OK : hc_fail_status(HC_REFUSED, path, status, &err);
}

int hc_kv_save(const struct hc_session *s, const char *path)
{
    hearth_error err = {0};
    size_t size = hearth_seq_save_size(s->session, 0);
    void *data = malloc(size);
    if (!data)
        return hc_fail(HC_LIMIT, path, "no memory for %zu bytes", size);
    hearth_status status = hearth_seq_save(s->session, 0, data, size, &err);
    FILE *f = status == HEARTH_OK ? fopen(path, "wb") : NULL;
    bool written = f && fwrite(data, 1, size, f) == size;
    int error = errno;
    if (f && fclose(f) != 0)
        written = false;
    free(data);
    if (status != HEARTH_OK)
        return hc_fail_status(HC_FAILED, path, status, &err);
    return written ? HC_OK : hc_fail(HC_FAILED, path, "cannot be written: %s", strerror(error));
}

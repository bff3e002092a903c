/* hearth_file: base/os's mapping behind a public handle. */
#include "runtime/hr_model.h"
#include "base/os/hb_os.h"

struct hearth_file {
    struct hb_file file;
    struct hb_alloc hooks;
};

hearth_status hearth_file_open(const char *path, const hearth_file_config *config,
                               hearth_file **file, hearth_error *err)
{
    const hearth_file_config none = {.struct_size = sizeof none};
    struct hb_alloc hooks;
    config = config ? config : &none;
    if (!path || !file)
        return hb_fail(err, HEARTH_E_ARGUMENT, "file: no path was given");
    HB_TRY(hr_hooks(&config->allocator, &hooks, err));
    hearth_file *f = hooks.alloc(hooks.user, sizeof *f);
    if (!f)
        return hb_fail(err, HEARTH_E_MEMORY, "%s: the allocator refused %zu bytes", path, sizeof *f);
    unsigned flags = 0;
    flags |= config->flags & HEARTH_FILE_POPULATE ? HB_MAP_POPULATE : 0;
    flags |= config->flags & HEARTH_FILE_LOCK ? HB_MAP_LOCK : 0;
    flags |= config->flags & HEARTH_FILE_NO_MMAP || !HEARTH_WITH_MMAP ? HB_MAP_NO_MMAP : 0;
    size_t max = config->max_bytes > SIZE_MAX ? SIZE_MAX : (size_t)config->max_bytes;
    hearth_status status = hb_os_file_open(path, flags, max, &f->file, err);
    if (status != HEARTH_OK) {
        hooks.free(hooks.user, f, sizeof *f);
        return status;
    }
    f->hooks = hooks;
    *file = f;
    return HEARTH_OK;
}

const void *hearth_file_bytes(const hearth_file *file)
{
    return file->file.bytes;
}

size_t hearth_file_size(const hearth_file *file)
{
    return file->file.size;
}

void hearth_file_forget(const hearth_file *file)
{
    hb_os_file_forget(&file->file);
}

void hearth_file_close(hearth_file *file)
{
    if (!file)
        return;
    struct hb_alloc hooks = file->hooks;
    hb_os_file_close(&file->file);
    hooks.free(hooks.user, file, sizeof *file);
}

/* hearth_file: base/os's mapping behind a public handle. */
#include "runtime/hr_model.h"
#include "base/os/hb_os.h"

struct hearth_file {
    struct hb_file file;
    struct hb_alloc hooks;
};

/* From the path, or without one from the descriptor. */
static hearth_status file_open(const char *path, int fd, const char *name, const hearth_file_config *config,
                               hearth_file **file, hearth_error *err)
{
    const hearth_file_config none = {.struct_size = sizeof none};
    struct hb_alloc hooks;
    config = config ? config : &none;
    HB_TRY(hr_hooks(&config->allocator, &hooks, err));
    hearth_file *f = hooks.alloc(hooks.user, sizeof *f);
    if (!f)
        return hb_fail(err, HEARTH_E_MEMORY, "%s: the allocator refused %zu bytes", name, sizeof *f);
    unsigned flags = 0;
    flags |= config->flags & HEARTH_FILE_POPULATE ? HB_MAP_POPULATE : 0;
    flags |= config->flags & HEARTH_FILE_LOCK ? HB_MAP_LOCK : 0;
    flags |= config->flags & HEARTH_FILE_NO_MMAP || !HEARTH_WITH_MMAP ? HB_MAP_NO_MMAP : 0;
    size_t max = config->max_bytes > SIZE_MAX ? SIZE_MAX : (size_t)config->max_bytes;
    hearth_status status = path ? hb_os_file_open(path, flags, max, &f->file, err)
                                : hb_os_file_open_handle(fd, name, flags, max, &f->file, err);
    if (status != HEARTH_OK) {
        hooks.free(hooks.user, f, sizeof *f);
        return status;
    }
    f->hooks = hooks;
    *file = f;
    return HEARTH_OK;
}

hearth_status hearth_file_open(const char *path, const hearth_file_config *config,
                               hearth_file **file, hearth_error *err)
{
    if (!path || !file)
        return hb_fail(err, HEARTH_E_ARGUMENT, "file: no path was given");
    return file_open(path, -1, path, config, file, err);
}

hearth_status hearth_file_open_fd(int fd, const char *name, const hearth_file_config *config,
                                  hearth_file **file, hearth_error *err)
{
    name = name ? name : "descriptor";
    if (fd < 0 || !file)
        return hb_fail(err, HEARTH_E_ARGUMENT, "%s: %d is no descriptor", name, fd);
    return file_open(NULL, fd, name, config, file, err);
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

#include "serve/http_library.h"
#include "base/hb_error.h"
#include <dlfcn.h>
#include <string.h>

#define HTTP_SONAME "libmicrohttpd.so.12" /* the interface of 0.9.34 to 1.0 */

hearth_status http_library_open(struct http_library *l, hearth_error *err)
{
    l->handle = dlopen(HTTP_SONAME, RTLD_NOW | RTLD_LOCAL);
    if (!l->handle)
        return hb_fail(err, HEARTH_E_UNSUPPORTED, "http: %s cannot be loaded (%s); HTTP needs libmicrohttpd",
                       HTTP_SONAME, dlerror());
    void *found;
    bool all = true;
#define HTTP_ROW(name)                                                                             \
    found = dlsym(l->handle, "MHD_" #name);                                                        \
    memcpy(&l->name, &found, sizeof found);                                                        \
    all = all && found;
    HTTP_LIBRARY(HTTP_ROW)
#undef HTTP_ROW
    if (all)
        return HEARTH_OK;
    http_library_close(l);
    return hb_fail(err, HEARTH_E_UNSUPPORTED, "http: %s lacks a function of version 0.9.75", HTTP_SONAME);
}

void http_library_close(struct http_library *l)
{
    if (l->handle)
        dlclose(l->handle);
    l->handle = NULL;
}

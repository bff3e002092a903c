/* The functions of libmicrohttpd that are used, found at run time. Linked in the ordinary way it would bring TLS and
 * nine more libraries into every command: 1.3 ms of start and 3 MiB. */
#ifndef HTTP_LIBRARY_H
#define HTTP_LIBRARY_H

#include "hearth.h"
#include <stdarg.h>
#include <sys/types.h>
#include <sys/socket.h>
#include <microhttpd.h>

#define HTTP_LIBRARY(ROW)                                                                          \
    ROW(start_daemon) ROW(stop_daemon) ROW(get_daemon_info) ROW(add_connection) ROW(run)           \
    ROW(get_timeout) ROW(suspend_connection) ROW(resume_connection) ROW(get_connection_info)       \
    ROW(get_connection_values) ROW(lookup_connection_value) ROW(create_response_from_callback)     \
    ROW(add_response_header) ROW(queue_response) ROW(destroy_response)

struct http_library {
    void *handle;
#define HTTP_ROW(name) __typeof__(MHD_##name) *name;
    HTTP_LIBRARY(HTTP_ROW)
#undef HTTP_ROW
};

hearth_status http_library_open(struct http_library *l, hearth_error *err);
void http_library_close(struct http_library *l);

#endif

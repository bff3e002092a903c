/* The demonstration of a machine without an operating system: a model in ROM, everything else in two
 * arrays, a few tokens out. The board gives what only it knows. */
#ifndef DEMO_H
#define DEMO_H

#include <stddef.h>
#include <stdint.h>

/* From the board: a text to wherever its user looks. */
void board_put(const char *text, size_t len);

/* model [model_bytes] in ROM or RAM, aligned to 32; model_mem and session_mem aligned to 64. Continues
 * `prompt` by n_tokens of greedy choice; prints ids and text. 0: all went well. */
int demo_run(const void *model, size_t model_bytes, void *model_mem, size_t model_mem_bytes,
             void *session_mem, size_t session_mem_bytes, const char *prompt, int n_tokens);

#endif

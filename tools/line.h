/* One line from the user: with editing and history on a terminal where the build has libedit. */
#ifndef LINE_H
#define LINE_H

#include "client.h"

/* prompt is shown on a terminal only. false: the input is at its end. Release with free(line->bytes);
 * the line end is not part of it. */
bool hc_line_read(const char *prompt, struct hc_text *line);

/* A conversation: turn for each line of standard input, clear where the user wants to start anew. On a terminal
 * a turn that fails is told and the next may go better; a pipe ends with it. Returns an exit status. */
int hc_line_turns(int (*turn)(void *user, const struct hc_text *line), void (*clear)(void *user), void *user);

#endif

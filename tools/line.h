/* One line from the user: with editing and history on a terminal where the build has libedit. */
#ifndef LINE_H
#define LINE_H

#include "client.h"

/* prompt is shown on a terminal only. false: the input is at its end. Release with free(line->bytes);
 * the line end is not part of it. */
bool hc_line_read(const char *prompt, struct hc_text *line);

#endif

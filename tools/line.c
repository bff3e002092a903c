/* Lines: libedit where it is built in and a terminal is there, else getline. */
#include "line.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if HEARTH_WITH_LINE_EDIT
#include <editline/readline.h>
#endif

#if HEARTH_WITH_LINE_EDIT
static bool line_edited(const char *prompt, struct hc_text *line)
{
    char *text = readline(prompt);
    if (!text)
        return false;
    if (*text)
        add_history(text);
    *line = (struct hc_text){text, strlen(text)};
    return true;
}
#endif

bool hc_line_read(const char *prompt, struct hc_text *line)
{
    char *text = NULL;
    size_t capacity = 0;
    bool terminal = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
#if HEARTH_WITH_LINE_EDIT
    if (terminal && isatty(STDOUT_FILENO))
        return line_edited(prompt, line);
#endif
    if (terminal)
        fputs(prompt, stderr);
    ssize_t n = getline(&text, &capacity, stdin);
    if (n < 0) {
        free(text);
        return false;
    }
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        text[--n] = 0;
    *line = (struct hc_text){text, (size_t)n};
    return true;
}

int hc_line_turns(int (*turn)(void *user, const struct hc_text *line), void (*clear)(void *user), void *user)
{
    bool terminal = isatty(STDIN_FILENO) != 0;
    struct hc_text line;
    int rc = HC_OK;
    if (terminal)
        fputs("Ctrl-C stops an answer, /clear starts anew, /exit or Ctrl-D ends\n", stderr);
    while ((rc == HC_OK || terminal) && hc_line_read("> ", &line)) {
        bool over = terminal && strcmp(line.bytes, "/exit") == 0;
        if (terminal && strcmp(line.bytes, "/clear") == 0)
            clear(user);
        else if (!over && line.len)
            rc = turn(user, &line);
        free(line.bytes);
        if (over)
            break;
    }
    return terminal ? HC_OK : rc;
}

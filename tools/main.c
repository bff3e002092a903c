/* hearth COMMAND [OPTIONS]: finds the command in commands.def and hands it the rest. */
#include "commands.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const struct hc_command *command; /* NULL: not in this build */
    const char *name;
    const char *text; /* what it does, or what is missing */
} main_commands[] = {
#define HC_COMMAND(name, text) {&hc_command_##name, #name, text},
#define HC_LATER_COMMAND(name, missing) {NULL, #name, missing},
#include "commands.def"
#undef HC_COMMAND
#undef HC_LATER_COMMAND
};

static void main_print_help(void)
{
    puts("hearth COMMAND [OPTIONS]: runs language models on the CPU\n");
    for (size_t i = 0; i < HC_COUNT(main_commands); i++)
        if (main_commands[i].command)
            printf("  %-12s %s\n", main_commands[i].name, main_commands[i].text);
    const char *title = "\nNot in this build:\n";
    for (size_t i = 0; i < HC_COUNT(main_commands); i++) {
        if (main_commands[i].command)
            continue;
        printf("%s  %-12s waits for %s\n", title, main_commands[i].name, main_commands[i].text);
        title = "";
    }
    puts("\n  hearth COMMAND -h    the options of a command\n"
         "  hearth --version     the version\n\n"
         "Results go to standard output; progress, statistics and errors to standard error.\n"
         "Exit status: 0 done, 2 usage, 3 a refused file, 4 memory or a limit, 1 anything else.");
}

static int main_run(const struct hc_command *command, int argc, char **argv)
{
    void *settings = malloc(command->settings_size);
    int rc = HC_LIMIT;
    if (!settings)
        return hc_fail(HC_LIMIT, command->name, "no memory for its settings");
    if (hc_parse(command, argc, argv, settings, &rc))
        rc = command->run(settings);
    free(settings);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return hc_fail(HC_USAGE, "command", "none given; hearth -h lists them");
    if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0) {
        main_print_help();
        return HC_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("hearth %s\n", hearth_version());
        return HC_OK;
    }
    for (size_t i = 0; i < HC_COUNT(main_commands); i++) {
        if (strcmp(argv[1], main_commands[i].name) != 0)
            continue;
        if (!main_commands[i].command)
            return hc_fail(HC_USAGE, argv[1], "not in this build, which has no %s yet; "
                           "hearth -h lists the commands", main_commands[i].text);
        return main_run(main_commands[i].command, argc - 2, argv + 2);
    }
    return hc_fail(HC_USAGE, argv[1], "no command of hearth; hearth -h lists them");
}

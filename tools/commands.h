#ifndef COMMANDS_H
#define COMMANDS_H

#include "cli.h"

#define HC_COMMAND(name, text) extern const struct hc_command hc_command_##name;
#define HC_LATER_COMMAND(name, missing)
#include "commands.def"
#undef HC_COMMAND
#undef HC_LATER_COMMAND

#endif

/* The title of this process as ps and pgrep -f show it. */
#pragma once

#include "common/defs.h"

/** Take over the memory where the kernel looks for the command line (proc_pid_cmdline(5)): it is
 *  that of argv and the environment, which is copied elsewhere first. Call at the very start of
 *  main, before anything keeps a pointer into either. Without memory the title stays as it is.
 *  The strings of argv are gone after the first title_set. */
void title_init(int argc, char **argv);
/** Write the title, cut where the room ends. Nothing before title_init. */
void title_set(const char *format, ...) PRINTF_LIKE(1, 2);

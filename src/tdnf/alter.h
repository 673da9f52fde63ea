/* Commands that change what is installed. */
#ifndef ALTER_H
#define ALTER_H

#include "solve.h"

/* install, reinstall, upgrade, downgrade, distro-sync, remove, autoremove. */
int alter_command(struct context *context);
/* These NEVRAs are there after it, the automatic ones for others, and those are not: for the history. */
int alter_exactly(struct context *context, const struct strings *add, const struct strings *drop,
                  const struct strings *automatic);
int mark_command(struct context *context);
/* Does `command` change something, and so needs root and the lock? */
bool is_alter_command(const char *command);

#endif

/* Children, from waiting to being a program. */
#ifndef CHILD_H
#define CHILD_H

#include "launch.h"

/* A child that waits to be told what to become. It shares our memory, root and working directory until then, so there
   is nothing to copy and nothing to tell; the first one waits in the template already. Its ends of the pipes are its
   own. */
struct child {
    pid_t pid;
    int go, report;
    /* Our ends of its stdin, stdout and stderr. */
    int streams[3];
    /* The child's own. */
    int waits_for, reports_to, own[3];
    const struct launch *launch;
};

/* A new child that waits, in a control group of its own (0: that of the main process). `first` is the one that is made
   before SETUP: it has a stack to itself. */
bool child_make(struct child *child, bool first, uint16_t cgroup, struct failure *failure);
/* Let it become the program, and wait until it has, or says why not: then it is gone. */
bool child_release(struct child *child, struct launch *launch, struct failure *failure);

#endif

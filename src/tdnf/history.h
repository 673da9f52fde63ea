/* Past transactions: one file each, `history/NUMBER` of the persistent folder. */
#ifndef HISTORY_H
#define HISTORY_H

#include "solve.h"

struct record {
    int id;
    long long time;
    char *command;
    bool good;
    struct strings added, removed, automatic; /* NEVRAs; automatic: of the removed, those that were there for others */
};

/* Write down what the plan changed. */
bool history_add(struct context *context, const struct plan *plan, bool good, struct failure *failure);
/* All records, the oldest first. */
struct record *history_read(const struct context *context, size_t *count);
int history_command(struct context *context);

#endif

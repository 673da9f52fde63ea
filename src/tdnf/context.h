/* What one run of the client works with. */
#ifndef CONTEXT_H
#define CONTEXT_H

#include <rpm/rpmts.h>
#include <solv/pool.h>

#include "config.h"
#include "metadata.h"

struct context {
    struct options options;
    struct config *config;
    char *command_line; /* for the history */
    rpmts ts;
    char rpm_says[512]; /* the last thing that librpm complained of */
    Pool *pool;
    struct repo *repos; /* those that are enabled and loaded */
    size_t repo_count;
    struct strings automatic; /* names that are there for others only */
    Map excluded;
    int lock;
};

/* Read the configuration, open librpm. */
void open_context(struct context *context, int argc, char **argv);
/* One process at a time may change the system or the cache; waits, unless exit_on_lock is set. */
void take_lock(struct context *context);
/* [y/N] on the terminal; --assumeyes and --assumeno answer. */
bool ask(struct context *context, const char *question);
/* Is the answer for a program? */
static inline bool json_wanted(const struct context *context)
{
    return context->options.json;
}

#endif

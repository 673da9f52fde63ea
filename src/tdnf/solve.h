/* From jobs to a plan, by libsolv. */
#ifndef SOLVE_H
#define SOLVE_H

#include <solv/solver.h>
#include <solv/transaction.h>

#include "packages.h"

struct goal {
    Queue jobs;   /* libsolv's pairs */
    Queue wanted; /* packages that were asked for by name */
    bool erasing, downgrading, unneeded; /* unneeded: what is there for others, and nobody needs, goes */
};

struct plan {
    Transaction *transaction;
    Queue install, upgrade, downgrade, reinstall, remove, unneeded, obsoleted;
    Queue replaced; /* pairs: a new package, an installed one that it replaces */
};

void goal_begin(struct goal *goal);
void goal_add(struct goal *goal, const struct context *context, Queue *selection, int action);
void goal_add_package(struct goal *goal, Id p, int action);
/* A plan, or false with what cannot be, as libsolv explains it. Protected packages stay; old kernels go. */
bool solve(struct context *context, struct goal *goal, struct plan *plan, struct failure *failure);
bool plan_is_empty(const struct plan *plan);
/* Every package that is to be fetched. */
void plan_incoming(const struct plan *plan, Queue *queue);

#endif

/* A plan is carried out by librpm. */
#ifndef TRANSACTION_H
#define TRANSACTION_H

#include "solve.h"

/* Check every package's signature, then let librpm check and run all of it. False before anything was changed, or after
   some of it could not be done. */
bool run_plan(struct context *context, const struct plan *plan, bool *changed, struct failure *failure);

#endif

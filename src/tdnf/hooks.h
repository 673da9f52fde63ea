/* Programs that others have put into /usr/lib/tdnf/transaction.d: run in order before and after packages are changed. */
#ifndef HOOKS_H
#define HOOKS_H

#include "config.h"

/* Each with one word, `begin` or `end`; the first that does not end with 0 is the failure. None where the system that is
   changed is not the running one. */
bool run_hooks(const struct config *config, const char *word, struct failure *failure);

#endif

/* An update on trial: what was there before it is kept, until a boot is found good. */
#ifndef TRIAL_H
#define TRIAL_H

#include <stdbool.h>

#include "env.h"

/* Is a kept tree there that GRUB goes back to when the tries are used up? */
bool on_trial(const struct env *env);
/* Keep /usr and /etc as they are, unless an update is on trial already, and begin to count. Errors end the process. */
void trial_begin(struct env *env);
/* The packages are changed: GRUB gets the list of kernels. */
void trial_end(struct env *env);
/* This boot is good: nothing is kept any more. */
void trial_good(struct env *env);
/* No more tries: the next boot goes back. */
void trial_give_up(struct env *env);
/* The list of kernels in the block, from what is installed. */
void list_kernels(struct env *env);

#endif

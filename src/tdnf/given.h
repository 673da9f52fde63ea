/* Packages that the command line gives as files or by their addresses, instead of by name. */
#ifndef GIVEN_H
#define GIVEN_H

#include <solv/queue.h>

#include "context.h"

/* Is this word the path of a package file, or the address of one? */
bool is_given(const char *word);
/* Those of the command's words, fetched where they are addresses; a mistake ends the process. */
void read_given(struct context *context, Queue *given);
/* Remove what was fetched. */
void drop_given(const struct context *context);

#endif

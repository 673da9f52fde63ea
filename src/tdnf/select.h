/* What people write for packages: name, name-version, name.arch, NEVRA, globs, paths and what is provided. */
#ifndef SELECT_H
#define SELECT_H

#include "packages.h"

enum side { INSTALLED_SIDE, AVAILABLE_SIDE, BOTH_SIDES };

/* A selection of libsolv, pairs of how and what, for a word; false if nothing matches. What is provided, and files, count
   only if names do not match. */
bool select_word(struct context *context, const char *word, enum side side, Queue *selection);
/* The packages that a word names by name, without what is provided. */
bool select_names(struct context *context, const char *word, enum side side, Queue *packages);
/* The packages of a selection. */
void packages_in(struct context *context, Queue *selection, Queue *packages);

#endif

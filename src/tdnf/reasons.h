/* Which installed packages are there for others only: names, one a line, in `automatic` of the persistent folder. */
#ifndef REASONS_H
#define REASONS_H

#include "context.h"

struct strings read_automatic(const struct context *context);
bool write_automatic(const struct context *context, const struct strings *names, struct failure *failure);

#endif

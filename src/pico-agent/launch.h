/* What START asks for. */
#ifndef LAUNCH_H
#define LAUNCH_H

#include "frame.h"
#include "users.h"

struct launch {
    uint16_t id;
    char **arguments, **environment;
    size_t argument_count, environment_count;
    const char *cwd, *user;
    bool tty, main, input;
    uint64_t rows, columns;
    struct identity identity;
    char terminal[64];
};

/* The records of START. They are split: `launch` points into the frame. */
bool launch_read(const struct frame *frame, struct launch *launch, struct failure *failure);
/* What the image decides: who the user is, where the work is done; and what is set by default. */
bool launch_complete(const struct frame *frame, struct launch *launch, struct failure *failure);
void launch_free(struct launch *launch);
/* The value of an environment variable, NULL without. */
const char *launch_variable(const struct launch *launch, const char *name);

#endif

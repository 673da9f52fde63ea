/* From a command and its words to jobs for the solver. */
#ifndef GOALS_H
#define GOALS_H

#include "solve.h"

/* Words that match nothing are put into `unmatched`. */
struct fill {
    struct context *context;
    struct goal *goal;
    struct strings unmatched;
    const Queue *given; /* package files of the command line */
};

typedef void fill_function(struct fill *fill, const char *word);

struct alter_kind {
    const char *name;
    fill_function *one; /* for each word */
    fill_function *all; /* without a word; NULL where one has to be given */
    bool needs_repos, erasing, downgrading;
};

const struct alter_kind *alter_kind_of(const char *command);
/* Every package that can be had and is this NEVRA, or an installed one; 0 if there is none. */
Id package_called(struct context *context, const char *nevra, bool installed);

#endif

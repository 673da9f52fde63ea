/* What a transaction is about to do and has done, on the disk: so that the next command can finish one that was cut. */
#ifndef JOURNAL_H
#define JOURNAL_H

#include "solve.h"

struct journal {
    struct strings install, replace, erase, begun, done; /* NEVRAs; replace: goes when its successor is there */
    char *command;
};

/* Before the first change, then as each package begins and ends; the last call after the history was written. */
bool journal_open(struct context *context, const struct plan *plan, struct failure *failure);
void journal_mark(const char *word, const char *nevra);
void journal_close(struct context *context);
/* The journal of a transaction that did not end; false if there is none. */
bool journal_left(const struct context *context, struct journal *journal);
/* Jobs that finish it. */
void journal_jobs(struct context *context, const struct journal *journal, struct goal *goal);

#endif

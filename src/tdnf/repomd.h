/* repomd.xml: read by libsolv, compared with what was seen before. */
#ifndef REPOMD_H
#define REPOMD_H

#include "metadata.h"

/* Fill in revision, timestamp and parts from the bytes of a repomd.xml. */
bool read_repomd(struct repo *repo, char *text, size_t size, const char *where, struct failure *failure);
/* Refuse metadata that are older than those that were seen at the same addresses; remember these. */
bool check_age(const struct context *context, const struct repo *repo, struct failure *failure);
bool remember_age(const struct context *context, const struct repo *repo, struct failure *failure);

#endif

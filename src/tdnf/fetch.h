/* Downloads: several at once, resumed, from the next mirror when one fails, checked by size and digest. */
#ifndef FETCH_H
#define FETCH_H

#include "config.h"

/* Where the files of a repository are: the addresses in the order in which they are tried. */
struct mirrors {
    const struct repo_config *repo;
    struct strings urls;
    size_t first; /* those before it have failed */
};

struct download {
    struct mirrors *mirrors;
    char *path;           /* below a mirror's address */
    char *target;         /* appears by rename when all of it is there and right */
    char *label;          /* what people are told */
    const char *checksum; /* hexadecimal, or NULL */
    int checksum_type;    /* libsolv's id of it */
    long long size;       /* that it has to have, or 0 when nobody knows */
    long long most;       /* bytes that it may have at most */
};

/* All of them, or false with the first failure; what is whole stays. */
bool fetch_all(const struct config *config, struct download *downloads, size_t count, struct failure *failure);
/* The mirrors of a repository; a mirror list is fetched. */
bool find_mirrors(const struct config *config, const struct repo_config *repo, struct mirrors *mirrors,
                  struct failure *failure);
/* One address, into memory. For file:// as well. */
char *fetch_text(const struct config *config, const struct repo_config *repo, const char *url, size_t most,
                 size_t *size, struct failure *failure);
/* Has the file this digest? */
bool has_checksum(const char *path, int type, const char *checksum);
void show_progress(bool show);

#endif

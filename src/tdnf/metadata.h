/* The metadata of one repository: fetched, checked, kept, and read into the pool. */
#ifndef METADATA_H
#define METADATA_H

#include <solv/pool.h>
#include <solv/repo.h>

#include "fetch.h"

struct context;

/* A file that repomd.xml names. */
struct part {
    char *href, *checksum, *path;
    int checksum_type;
    long long size;
};

struct repo {
    const struct repo_config *config;
    struct mirrors mirrors;
    char *folder; /* its part of the cache */
    char *revision;
    long long timestamp;
    struct part primary, filelists, updateinfo, other;
    unsigned char cookie[32];
    Repo *solv;
    bool loaded_filelists, loaded_other, loaded_updateinfo;
};

enum freshness { NO_REPOS, CACHED, AS_SET, ANEW };

/* Have metadata that are fresh enough, with repomd.xml checked and remembered, and read the packages into the pool. */
bool load_repo(struct context *context, struct repo *repo, enum freshness freshness, struct failure *failure);
/* Beyond the packages: what is asked for by few commands. */
bool load_filelists(struct context *context, struct repo *repo, struct failure *failure);
bool load_other(struct context *context, struct repo *repo, struct failure *failure);
bool load_updateinfo(struct context *context, struct repo *repo, struct failure *failure);
/* Is it a path below the repository, and no way out of it? */
bool is_inside(const char *href);

#endif

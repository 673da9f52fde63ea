/* Who a process runs as: the user of an OCI configuration, by the image's own passwd(5) and group(5). */
#ifndef USERS_H
#define USERS_H

#include "util.h"

enum { MAX_GROUPS = 64 };

struct identity {
    uid_t uid;
    gid_t gid;
    size_t group_count;
    gid_t groups[MAX_GROUPS];
    char home[256];
};

/* `user` is empty, NAME or UID, each with :GROUP or :GID or without. A number need not be in passwd, a name must.
   Without a group in `user` the supplementary groups are those that list the user's name. */
bool resolve_user(const char *user, const char *passwd, const char *group, struct identity *identity,
                  struct failure *failure);
/* One more supplementary group, by name or number. */
bool add_group(const char *name, const char *group, struct identity *identity, struct failure *failure);

#endif

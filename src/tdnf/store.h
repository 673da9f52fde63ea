/* Package files: fetched into the cache, checked, and their headers read. */
#ifndef STORE_H
#define STORE_H

#include "packages.h"

/* The file that a package has or will have: in `folder`, or in its repository's part of the cache. */
char *package_path(struct context *context, Id p, const char *folder);
char *package_url(struct context *context, Id p);
/* Fetch what is not there yet, all with the digests of the metadata; false with the first failure. */
bool fetch_packages(struct context *context, const Queue *packages, const char *folder, struct failure *failure);
/* Bytes that are to be fetched. */
long long bytes_to_fetch(struct context *context, const Queue *packages);

#endif

/* Commands of the cache: makecache, clean, download. */
#ifndef CACHE_H
#define CACHE_H

#include "context.h"

int makecache_command(struct context *context);
int clean_command(struct context *context);
int download_command(struct context *context);

#endif

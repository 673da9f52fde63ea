/* The pool: what is installed, and what the repositories have. */
#ifndef PACKAGES_H
#define PACKAGES_H

#include <solv/queue.h>

#include "context.h"

/* Read the rpm database and, unless freshness says none, the repositories. Ends the process when one cannot be had and
   is not marked skip_if_unavailable. */
void open_packages(struct context *context, bool installed, enum freshness freshness);
/* Read the lists of files as well; false if all have been read before. */
bool need_filelists(struct context *context);
/* After solvables were added. */
void index_packages(struct context *context);
/* A package file becomes a solvable of the repository @commandline. It must be signed if gpgcheck= of [main] says so and
   it was `fetched`, or localpkg_gpgcheck= for what was there. */
Id add_package_file(struct context *context, const char *path, bool fetched);

static inline bool is_installed(const Pool *pool, Id p)
{
    return pool->installed && pool->solvables[p].repo == pool->installed;
}
struct repo *repo_of(const Pool *pool, Id p);
/* Where it comes from, as list shows it: an id, @System or @commandline. */
const char *origin_of(const Pool *pool, Id p);
const char *name_of(const Pool *pool, Id p);
const char *arch_of(const Pool *pool, Id p);
/* Epoch, if not 0, version and release. */
const char *evr_of(const Pool *pool, Id p);
char *nevra_of(const Pool *pool, Id p);
bool is_automatic(const struct context *context, Id p);
bool is_installonly(const struct context *context, Id p);
/* Is it the kernel that runs, or a part of it? */
bool is_running_kernel(const struct context *context, Id p);
/* All packages, no advisories: installed, available or both, without those that are excluded. */
void all_packages(const struct context *context, bool installed, bool available, Queue *queue);
/* By name, then newest first, then architecture. */
void sort_packages(Pool *pool, Queue *queue);
/* Of a sorted queue only the newest of each name and architecture. */
void keep_newest(Pool *pool, Queue *queue);

#endif

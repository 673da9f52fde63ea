#include "store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "progress.h"

static const char *location_of(struct context *context, Id p)
{
    unsigned int medium;

    return solvable_lookup_location(pool_id2solvable(context->pool, p), &medium);
}

static bool is_given(struct context *context, Id p)
{
    return strcmp(origin_of(context->pool, p), "@commandline") == 0;
}

char *package_path(struct context *context, Id p, const char *folder)
{
    const char *location = location_of(context, p);

    if (is_given(context, p))
        return copy_text(location);
    if (location == NULL || !is_inside(location) || !ends_with(location, ".rpm"))
        stop_for(FAILED, repo_of(context->pool, p)->config->id,
                 "its publisher has to make the metadata anew: createrepo_c",
                 "the package %s has no location in the repository", nevra_of(context->pool, p));
    const char *base = strrchr(location, '/') ? strrchr(location, '/') + 1 : location;
    return folder ? text_of("%s/%s", folder, base) : text_of("%s/rpms/%s", repo_of(context->pool, p)->folder, base);
}

char *package_url(struct context *context, Id p)
{
    struct repo *repo = repo_of(context->pool, p);
    struct failure failure;

    if (is_given(context, p))
        return text_of("file://%s", location_of(context, p));
    if (repo->mirrors.urls.count == 0 && !find_mirrors(context->config, repo->config, &repo->mirrors, &failure))
        stop(FAILED, &failure);
    const char *base = repo->mirrors.urls.at[0];
    return masked(text_of("%s%s%s", base, ends_with(base, "/") ? "" : "/", location_of(context, p)));
}

static bool is_there(struct context *context, Id p, const char *path)
{
    Id type = 0;
    const char *checksum = solvable_lookup_checksum(pool_id2solvable(context->pool, p), SOLVABLE_CHECKSUM, &type);

    return is_given(context, p) || (checksum && access(path, R_OK) == 0 && has_checksum(path, type, checksum));
}

static long long size_of(struct context *context, Id p)
{
    return (long long)solvable_lookup_num(pool_id2solvable(context->pool, p), SOLVABLE_DOWNLOADSIZE, 0);
}

long long bytes_to_fetch(struct context *context, const Queue *packages)
{
    long long bytes = 0;

    for (int i = 0; i < packages->count; i++) {
        struct stat status;
        Id p = packages->elements[i];
        if (!is_given(context, p) &&
            (stat(package_path(context, p, NULL), &status) < 0 || status.st_size != size_of(context, p)))
            bytes += size_of(context, p);
    }
    return bytes;
}

static bool has_room(const char *folder, long long bytes, struct failure *failure)
{
    struct statvfs disk;

    if (statvfs(folder, &disk) < 0)
        return true;
    long long room = (long long)disk.f_bavail * (long long)disk.f_frsize;
    return room >= bytes ||
           fail(failure, folder, "tdnf clean all, or make room; cachedir= in tdnf.conf names another folder",
                "the disk is too full: %s are to be downloaded, %s are free", size_text(bytes), size_text(room));
}

bool fetch_packages(struct context *context, const Queue *packages, const char *folder, struct failure *failure)
{
    struct download *downloads = allocate(NULL, (size_t)packages->count * sizeof *downloads);
    long long bytes = 0;
    size_t count = 0;

    for (int i = 0; i < packages->count; i++) {
        Id p = packages->elements[i], type = 0;
        char *path = package_path(context, p, folder), *parent = copy_part(path, (size_t)(strrchr(path, '/') - path));
        const char *checksum = solvable_lookup_checksum(pool_id2solvable(context->pool, p), SOLVABLE_CHECKSUM, &type);
        if (is_there(context, p, path))
            continue;
        struct repo *repo = repo_of(context->pool, p);
        if (checksum == NULL)
            return fail(failure, repo->config->id, NULL, "the metadata have no digest of %s",
                        nevra_of(context->pool, p));
        if (context->options.cache_only)
            return fail(failure, path, "run it without --cacheonly", "it is not in the cache");
        if (repo->mirrors.urls.count == 0 && !find_mirrors(context->config, repo->config, &repo->mirrors, failure))
            return false;
        if (!make_directories(parent))
            return fail(failure, parent, errno == ENOSPC ? "make room" : NULL, "cannot be made: %s", strerror(errno));
        downloads[count++] = (struct download){.mirrors = &repo->mirrors,
                                               .path = copy_text(location_of(context, p)),
                                               .target = path,
                                               .label = context->options.quiet ? NULL : nevra_of(context->pool, p),
                                               .checksum = copy_text(checksum),
                                               .checksum_type = type,
                                               .size = size_of(context, p),
                                               .most = size_of(context, p) ? size_of(context, p) : 1LL << 40};
        bytes += size_of(context, p);
        if (!has_room(parent, bytes, failure))
            return false;
    }
    return count == 0 || fetch_all(context->config, downloads, count, failure);
}

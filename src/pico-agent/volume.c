#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "world.h"

/* Something to mount a single file on. */
static bool make_file(const char *path, struct failure *failure)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    int fd;

    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    if (folder[0] && !make_directories(folder, failure))
        return false;
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return fail(failure, errno, "cannot make %s", path);
    close(fd);
    return true;
}

static bool mount_share(const char *tag, const char *target, bool readonly, struct failure *failure)
{
    return make_directories(target, failure) &&
           mount_at(tag, target, "9p", readonly ? MS_RDONLY : 0,
                    "trans=virtio,version=9p2000.L,msize=65536,cache=mmap,access=any", failure);
}

/* One file or folder of a share: the share itself is seen by nobody. */
static bool mount_part(const char *tag, const char *part, const char *target, bool readonly, struct failure *failure)
{
    static const char aside[] = "/.share";
    char path[512];
    struct stat status;

    if (!mount_share(tag, aside, readonly, failure))
        return false;
    snprintf(path, sizeof path, "%s/%s", aside, part);
    bool done = stat(path, &status) == 0 || fail(failure, errno, "%s of volume %s", part, tag);
    if (done)
        done = S_ISDIR(status.st_mode) ? make_directories(target, failure) : make_file(target, failure);
    if (done)
        done = mount_at(path, target, NULL, MS_BIND, NULL, failure);
    umount2(aside, MNT_DETACH);
    rmdir(aside);
    return done;
}

bool mount_volume(const char *volume, struct failure *failure)
{
    char source[400], target[4096];
    const char *first = strchr(volume, ':'), *last = strrchr(volume, ':');
    bool readonly = last && strcmp(last, ":ro") == 0;

    if (first == NULL || last <= first || first == volume || (size_t)(first - volume) >= sizeof source ||
        (size_t)(last - first) > sizeof target || (!readonly && strcmp(last, ":rw") != 0))
        return fail(failure, 0, "not a volume (TAG:TARGET:ro or rw): %.200s", volume);
    snprintf(source, sizeof source, "%.*s", (int)(first - volume), volume);
    snprintf(target, sizeof target, "%.*s", (int)(last - first - 1), first + 1);
    if (target[0] != '/' || strcmp(target, "/") == 0)
        return fail(failure, 0, "the target of a volume must be an absolute path other than /: %.200s", target);
    char *slash = strchr(source, '/');
    if (slash == NULL)
        return mount_share(source, target, readonly, failure);
    *slash = '\0';
    return mount_part(source, slash + 1, target, readonly, failure);
}

bool mount_tmpfs(const char *value, struct failure *failure)
{
    char target[4096], options[512];
    const char *colon = strchr(value, ':');
    size_t size = colon ? (size_t)(colon - value) : strlen(value);

    if (size < 2 || size >= sizeof target || value[0] != '/')
        return fail(failure, 0, "the target of a tmpfs must be an absolute path other than /: %.200s", value);
    snprintf(target, sizeof target, "%.*s", (int)size, value);
    snprintf(options, sizeof options, "%s", colon && colon[1] ? colon + 1 : "mode=1777");
    return make_directories(target, failure) &&
           mount_at("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options, failure);
}

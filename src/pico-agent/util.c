#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

bool fail(struct failure *failure, int error, const char *format, ...)
{
    const char *name = error ? strerrorname_np(error) : "protocol";
    va_list arguments;

    snprintf(failure->code, sizeof failure->code, "%s", name ? name : "unknown");
    va_start(arguments, format);
    int used = vsnprintf(failure->message, sizeof failure->message, format, arguments);
    va_end(arguments);
    if (error && used >= 0 && (size_t)used < sizeof failure->message)
        snprintf(failure->message + used, sizeof failure->message - (size_t)used, ": %s", strerror(error));
    return false;
}

void *allocate(void *old, size_t size)
{
    void *new = realloc(old, size);

    if (new == NULL)
        abort();
    return new;
}

char *copy_text(const char *text)
{
    size_t size = strlen(text) + 1;

    return memcpy(allocate(NULL, size), text, size);
}

void queue_add(struct queue *queue, const void *bytes, size_t size)
{
    if (size == 0)
        return;
    if (queue->start + queue->size + size > queue->room) {
        if (queue->start > 0)
            memmove(queue->bytes, queue->bytes + queue->start, queue->size);
        queue->start = 0;
        if (queue->size + size > queue->room) {
            queue->room = 2 * (queue->size + size);
            queue->bytes = allocate(queue->bytes, queue->room);
        }
    }
    memcpy(queue->bytes + queue->start + queue->size, bytes, size);
    queue->size += size;
}

void queue_drop(struct queue *queue, size_t size)
{
    queue->start += size;
    queue->size -= size;
    if (queue->size == 0)
        queue->start = 0;
}

void queue_clear(struct queue *queue)
{
    free(queue->bytes);
    *queue = (struct queue){0};
}

bool make_directories(const char *path, struct failure *failure)
{
    char part[4096];

    if (strlen(path) >= sizeof part)
        return fail(failure, ENAMETOOLONG, "%.200s", path);
    for (size_t at = 1;; at++) {
        if (path[at] != '/' && path[at] != '\0')
            continue;
        memcpy(part, path, at);
        part[at] = '\0';
        struct stat status;
        if (mkdir(part, 0755) < 0 && errno != EEXIST)
            return fail(failure, errno, "cannot make the directory %s", part);
        if (stat(part, &status) < 0)
            return fail(failure, errno, "%s", part);
        if (!S_ISDIR(status.st_mode))
            return fail(failure, ENOTDIR, "%s", part);
        if (path[at] == '\0')
            return true;
    }
}

bool write_file(const char *path, const char *text, struct failure *failure)
{
    size_t size = strlen(text);

    if (unlink(path) < 0 && errno != ENOENT)
        return fail(failure, errno, "cannot replace %s", path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return fail(failure, errno, "cannot write %s", path);
    bool done = write(fd, text, size) == (ssize_t)size;
    int error = errno;
    close(fd);
    return done || fail(failure, error, "cannot write %s", path);
}

bool write_setting(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return false;
    bool done = write(fd, text, strlen(text)) >= 0;
    int error = errno;
    close(fd);
    errno = error;
    return done;
}

bool mount_at(const char *source, const char *target, const char *type, unsigned long flags, const char *options,
              struct failure *failure)
{
    if (mount(source, target, type, flags, options) == 0)
        return true;
    return fail(failure, errno, "cannot mount %s (%s) on %s", source, type ? type : "moved", target);
}

static uint64_t nanoseconds(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t wall_clock(void)
{
    return nanoseconds(CLOCK_REALTIME);
}

uint64_t steady_clock(void)
{
    return nanoseconds(CLOCK_MONOTONIC);
}

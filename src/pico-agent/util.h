/* Errors that reach the host, growing buffers, files. */
#ifndef UTIL_H
#define UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Why something could not be done: the name of an errno or "protocol", and one line for people. */
struct failure {
    char code[32];
    char message[600];
};

/* Fill in a failure; `error` is an errno, 0 for a breach of the protocol. Always false, to be returned. */
bool fail(struct failure *failure, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Bytes on their way; taken from the front, added at the end. */
struct queue {
    char *bytes;
    size_t start, size, room;
};

void queue_add(struct queue *queue, const void *bytes, size_t size);
void queue_drop(struct queue *queue, size_t size);
void queue_clear(struct queue *queue);
static inline const char *queue_front(const struct queue *queue)
{
    return queue->bytes + queue->start;
}

/* Make a directory and those above it, mode 0755; that it is there already is no error. */
bool make_directories(const char *path, struct failure *failure);
/* Write a file anew, in place of whatever has that name. */
bool write_file(const char *path, const char *text, struct failure *failure);
/* Write into a file of the kernel's; false with errno. */
bool write_setting(const char *path, const char *text);
bool mount_at(const char *source, const char *target, const char *type, unsigned long flags, const char *options,
              struct failure *failure);
/* Nanoseconds since 1970 and since the start. */
uint64_t wall_clock(void);
uint64_t steady_clock(void);
/* Memory or the end: a machine without memory is of no use. */
void *allocate(void *old, size_t size);
char *copy_text(const char *text);

#endif

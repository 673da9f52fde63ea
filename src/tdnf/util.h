/* Errors with what, where and hint; texts and lists; files. What is allocated lives until the process ends. */
#ifndef UTIL_H
#define UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Exit codes, as dnf(8) has them; those of usage errors and locks are its own as well. */
enum { DONE = 0, FAILED = 1, USAGE = 2, UPDATES = 100, INTERRUPTED = 130, LOCKED = 200 };

/* Why something could not be done: what, where, and what to do about it; each may be NULL. */
struct failure {
    char *what, *where, *hint;
};

struct strings {
    char **at;
    size_t count;
};

/* Fill in a failure. Always false, to be returned. */
bool fail(struct failure *failure, const char *where, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Say it, on stderr or as tdnf's JSON, and end the process. */
_Noreturn void stop(int code, const struct failure *failure);
_Noreturn void stop_for(int code, const char *where, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* One line on stderr that begins with "warning: ". */
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void warn_of(const struct failure *failure);
/* From now on errors are JSON on stdout. */
void errors_as_json(void);

void *allocate(void *old, size_t size);
char *copy_text(const char *text);
char *copy_part(const char *text, size_t size);
/* A new text, by printf. */
char *text_of(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The text without names and passwords in its addresses. What fails and warns is masked already. */
char *masked(const char *text);
bool starts_with(const char *text, const char *beginning);
bool ends_with(const char *text, const char *end);
void add_string(struct strings *list, char *text);
/* The words of a text, which spaces, line ends and commas part, behind those that the list has. */
void add_words(struct strings *list, const char *text);
bool has_string(const struct strings *list, const char *text);
/* Does one of the patterns, globs of fnmatch(3), match? */
bool has_match(const struct strings *patterns, const char *text);
void sort_strings(struct strings *list);

/* All of a file, ended by a zero byte; NULL with errno. More than `most` bytes are EFBIG. */
char *read_file(const char *path, size_t most, size_t *size);
/* A file appears by rename, with its bytes on the disk; false with errno. */
bool write_file(const char *path, const void *bytes, size_t size);
/* A directory and those above it, mode 0755; false with errno. */
bool make_directories(const char *path);
/* The names in a directory, sorted, without those that begin with a dot; none if it cannot be read. */
struct strings names_in(const char *folder);
/* Remove a file or a tree; false with errno. Nothing there is no error. */
bool remove_tree(const char *path);

#endif

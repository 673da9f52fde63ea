#include "util.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "json.h"

static bool in_json;

static char *format_text(const char *format, va_list arguments)
{
    char *text;

    if (vasprintf(&text, format, arguments) < 0)
        abort();
    return text;
}

char *masked(const char *text)
{
    char *copy = copy_text(text);

    for (char *at = strstr(copy, "://"); at; at = strstr(at, "://")) {
        at += 3;
        size_t size = strcspn(at, "/ \t\n'\")"), user = size;
        while (user > 0 && at[user - 1] != '@')
            user--;
        if (user > 0)
            memmove(at, at + user, strlen(at + user) + 1);
    }
    return copy;
}

static char *masked_format(const char *format, va_list arguments)
{
    char *text = format_text(format, arguments), *safe = masked(text);

    free(text);
    return safe;
}

bool fail(struct failure *failure, const char *where, const char *hint, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    *failure = (struct failure){.what = masked_format(format, arguments),
                                .where = where ? masked(where) : NULL,
                                .hint = hint ? copy_text(hint) : NULL};
    va_end(arguments);
    return false;
}

void errors_as_json(void)
{
    in_json = true;
}

void stop(int code, const struct failure *failure)
{
    const char *where = failure->where;

    fflush(stdout);
    if (in_json) {
        json_open('{');
        json_key("Error");
        json_number(code);
        json_field("ErrorMessage", text_of("%s%s%s", where ? where : "", where ? ": " : "", failure->what));
        if (failure->hint)
            json_field("Hint", failure->hint);
        json_close('}');
    }
    fprintf(stderr, "error: %s\n", failure->what);
    if (where)
        fprintf(stderr, "  where: %s\n", where);
    if (failure->hint)
        fprintf(stderr, "\nhint: %s\n", failure->hint);
    exit(code);
}

void stop_for(int code, const char *where, const char *hint, const char *format, ...)
{
    struct failure failure = {.where = where ? masked(where) : NULL, .hint = hint ? copy_text(hint) : NULL};
    va_list arguments;

    va_start(arguments, format);
    failure.what = masked_format(format, arguments);
    va_end(arguments);
    stop(code, &failure);
}

void warn(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    char *line = masked_format(format, arguments);
    va_end(arguments);
    fprintf(stderr, "warning: %s\n", line);
    free(line);
}

void warn_of(const struct failure *failure)
{
    warn("%s%s%s%s", failure->where ? failure->where : "", failure->where ? ": " : "", failure->what,
         failure->hint ? text_of(" (%s)", failure->hint) : "");
}

void *allocate(void *old, size_t size)
{
    void *new = realloc(old, size ? size : 1);

    if (new == NULL)
        abort();
    return new;
}

char *copy_part(const char *text, size_t size)
{
    char *copy = allocate(NULL, size + 1);

    memcpy(copy, text, size);
    copy[size] = '\0';
    return copy;
}

char *copy_text(const char *text)
{
    return copy_part(text, strlen(text));
}

char *text_of(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    char *text = format_text(format, arguments);
    va_end(arguments);
    return text;
}

bool starts_with(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), tail = strlen(end);

    return size >= tail && strcmp(text + size - tail, end) == 0;
}

void add_string(struct strings *list, char *text)
{
    if ((list->count & (list->count - 1)) == 0)
        list->at = allocate(list->at, (list->count ? 2 * list->count : 4) * sizeof *list->at);
    list->at[list->count++] = text;
}

void add_words(struct strings *list, const char *text)
{
    while (*text) {
        size_t size = strcspn(text, " \t\r\n,");
        if (size)
            add_string(list, copy_part(text, size));
        text += size;
        text += strspn(text, " \t\r\n,");
    }
}

bool has_string(const struct strings *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->at[i], text) == 0)
            return true;
    return false;
}

bool has_match(const struct strings *patterns, const char *text)
{
    for (size_t i = 0; i < patterns->count; i++)
        if (fnmatch(patterns->at[i], text, 0) == 0)
            return true;
    return false;
}

static int compare(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

void sort_strings(struct strings *list)
{
    if (list->count)
        qsort(list->at, list->count, sizeof *list->at, compare);
}

char *read_file(const char *path, size_t most, size_t *size)
{
    FILE *file = fopen(path, "re");
    char *bytes = NULL;
    size_t have = 0, room = 0;

    if (file == NULL)
        return NULL;
    for (;;) {
        if (have == room) {
            room = room ? 2 * room : 65536;
            bytes = allocate(bytes, room + 1);
        }
        size_t got = fread(bytes + have, 1, room - have, file);
        have += got;
        if (got == 0 || have > most)
            break;
    }
    int error = have > most ? EFBIG : ferror(file) ? errno : 0;
    fclose(file);
    if (error) {
        free(bytes);
        errno = error;
        return NULL;
    }
    bytes[have] = '\0';
    if (size)
        *size = have;
    return bytes;
}

bool write_file(const char *path, const void *bytes, size_t size)
{
    char *new = text_of("%s.new", path);
    int fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644), error = 0;

    if (fd < 0)
        return false;
    for (size_t done = 0; done < size && !error;) {
        ssize_t wrote = write(fd, (const char *)bytes + done, size - done);
        if (wrote < 0 && errno != EINTR)
            error = errno;
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    if (!error && fsync(fd) < 0)
        error = errno;
    close(fd);
    if (!error && rename(new, path) < 0)
        error = errno;
    if (error)
        unlink(new);
    free(new);
    errno = error;
    return error == 0;
}

bool make_directories(const char *path)
{
    char *part = copy_text(path);
    struct stat status;

    for (char *at = part + 1;; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        bool last = *at == '\0';
        *at = '\0';
        if (mkdir(part, 0755) < 0 && errno != EEXIST)
            break;
        if (last) {
            free(part);
            if (stat(path, &status) == 0 && !S_ISDIR(status.st_mode)) {
                errno = ENOTDIR;
                return false;
            }
            return true;
        }
        *at = '/';
    }
    free(part);
    return false;
}

struct strings names_in(const char *folder)
{
    struct strings names = {0};
    DIR *directory = opendir(folder);

    if (directory == NULL)
        return names;
    for (struct dirent *entry; (entry = readdir(directory));)
        if (entry->d_name[0] != '.')
            add_string(&names, copy_text(entry->d_name));
    closedir(directory);
    sort_strings(&names);
    return names;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

bool remove_tree(const char *path)
{
    return nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT;
}

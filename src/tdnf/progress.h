/* Progress on stderr: a bar on a terminal only, else nothing. */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

/* Shall anything be shown at all? */
void progress_allow(bool allow);
void progress_begin(size_t count, long long bytes);
void progress_bytes(long long bytes);
void progress_done(const char *label, long long bytes);
void progress_show(void);
void progress_end(void);
/* "12.3 MiB", in a buffer of its own. */
char *size_text(long long bytes);

#endif

/* Other programs, and messages. */
#ifndef COMMAND_H
#define COMMAND_H

#include <stdbool.h>

/* Run a program, found by PATH, with the descriptors of this one; did it end with 0? */
bool command(const char *const argv[]);
/* One line on stderr: error, what, where and a hint, each but the first may be NULL. Ends the process with code 1. */
_Noreturn void stop(const char *what, const char *where, const char *hint);
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

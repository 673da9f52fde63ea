/* Files of sections and settings: tdnf.conf and *.repo. Pure, and so tested and fuzzed alone. */
#ifndef INI_H
#define INI_H

#include "util.h"

struct setting {
    char *section, *key, *value;
    int line;
};

struct settings {
    struct setting *at;
    size_t count;
    struct strings sections; /* also those without a setting */
};

/* The settings of a text in their order. A line that begins with a blank goes on with the value before it, after a
   newline. `name` is what the file is called in a failure. */
bool read_settings(struct settings *settings, const char *text, const char *name, struct failure *failure);
void free_settings(struct settings *settings);

/* Values. Booleans are 1 0 yes no true false on off enabled disabled; sizes have k, M or G behind them; times s, m, h,
   d or w, "never" and -1 are -1. */
bool bool_of(const char *value, bool *into);
bool size_value(const char *value, long long *into);
bool time_value(const char *value, long long *into);

/* `text` with $name and ${name} replaced by what `lookup` knows; the others stay. */
char *replaced(const char *text, const char *(*lookup)(const void *data, const char *name), const void *data);

#endif

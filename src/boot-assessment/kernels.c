#include "kernels.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <rpm/rpmver.h>

static int newest_first(const struct dirent **one, const struct dirent **other)
{
    rpmver first = rpmverParse((*one)->d_name), second = rpmverParse((*other)->d_name);
    int order = first && second ? rpmverCmp(second, first) : strcmp((*other)->d_name, (*one)->d_name);

    rpmverFree(first);
    rpmverFree(second);
    return order;
}

/* A name that is one word for GRUB. */
static int is_plain(const struct dirent *entry)
{
    const char *allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+~^-";

    return entry->d_name[0] != '.' && strspn(entry->d_name, allowed) == strlen(entry->d_name);
}

size_t kernels_in(const char *folder, char *versions[MOST_KERNELS])
{
    struct dirent **found;
    size_t count = 0;
    int all = scandir(folder, &found, is_plain, newest_first);

    for (int i = 0; i < all; i++) {
        char *path;
        if (count < MOST_KERNELS && asprintf(&path, "%s/%s/vmlinuz", folder, found[i]->d_name) > 0) {
            if (access(path, R_OK) == 0)
                versions[count++] = strdup(found[i]->d_name);
            free(path);
        }
        free(found[i]);
    }
    if (all >= 0)
        free(found);
    return count;
}

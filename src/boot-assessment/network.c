#include "network.h"

#include <stdio.h>
#include <string.h>

static bool any_ipv4(const char *path)
{
    char line[512], device[64], destination[64];
    bool found = false;
    FILE *file = fopen(path, "re");

    while (file && !found && fgets(line, sizeof line, file))
        found = sscanf(line, "%63s %63s", device, destination) == 2 && strcmp(destination, "00000000") == 0;
    if (file)
        fclose(file);
    return found;
}

static bool any_ipv6(const char *path)
{
    char line[512], destination[64], length[16], device[64];
    bool found = false;
    FILE *file = fopen(path, "re");

    /* The kernel has rejecting default routes of its own on lo. */
    while (file && !found && fgets(line, sizeof line, file))
        found = sscanf(line, "%63s %15s %*s %*s %*s %*s %*s %*s %*s %63s", destination, length, device) == 3 &&
                strspn(destination, "0") == 32 && strcmp(length, "00") == 0 && strcmp(device, "lo") != 0;
    if (file)
        fclose(file);
    return found;
}

bool has_default_route(const char *ipv4, const char *ipv6)
{
    return any_ipv4(ipv4) || any_ipv6(ipv6);
}

#include "users.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"

enum { PASSWD_FIELDS = 7, GROUP_FIELDS = 4 };
static const uint64_t LAST_ID = UINT32_MAX - 1;

/* Cut a line at its colons; how many fields there are. */
static size_t split(char *line, char *fields[], size_t most)
{
    size_t count = 0;

    line[strcspn(line, "\n")] = '\0';
    for (char *field; count < most && (field = strsep(&line, ":")) != NULL;)
        fields[count++] = field;
    return count;
}

/* The line of a file in which field 0 is `name` or field 2 is `id`; true with its fields, to be freed by *line. */
static bool find(const char *path, size_t expected, const char *name, bool by_id, uint64_t id, char **line,
                 char *fields[])
{
    FILE *file = fopen(path, "re");
    size_t room = 0;
    bool found = false;

    *line = NULL;
    if (file == NULL)
        return false;
    while (!found && getline(line, &room, file) >= 0) {
        uint64_t number;
        if (split(*line, fields, expected) < expected || !parse_number(fields[2], LAST_ID, &number))
            continue;
        found = strcmp(fields[0], name) == 0 || (by_id && number == id);
    }
    fclose(file);
    return found;
}

static bool find_group(const char *name, const char *path, gid_t *gid)
{
    char *line, *fields[GROUP_FIELDS];
    uint64_t id = 0;
    bool number = parse_number(name, LAST_ID, &id);
    bool found = find(path, GROUP_FIELDS, name, false, 0, &line, fields);

    if (found && !parse_number(fields[2], LAST_ID, &id))
        found = false;
    free(line);
    *gid = (gid_t)id;
    return found || number;
}

static bool add(struct identity *identity, gid_t gid)
{
    for (size_t at = 0; at < identity->group_count; at++)
        if (identity->groups[at] == gid)
            return true;
    if (identity->group_count == MAX_GROUPS)
        return false;
    identity->groups[identity->group_count++] = gid;
    return true;
}

bool add_group(const char *name, const char *group, struct identity *identity, struct failure *failure)
{
    gid_t gid;

    if (!find_group(name, group, &gid))
        return fail(failure, ENOENT, "unknown group %s", name);
    return add(identity, gid) || fail(failure, E2BIG, "more than %d groups", MAX_GROUPS);
}

/* Every group that lists the user. */
static bool add_memberships(const char *user, const char *path, struct identity *identity)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t room = 0;
    bool fits = true;

    if (file == NULL)
        return true;
    while (fits && getline(&line, &room, file) >= 0) {
        char *fields[GROUP_FIELDS];
        uint64_t gid;
        if (split(line, fields, GROUP_FIELDS) < GROUP_FIELDS || !parse_number(fields[2], LAST_ID, &gid))
            continue;
        for (char *members = fields[3], *member; (member = strsep(&members, ",")) != NULL;)
            if (strcmp(member, user) == 0)
                fits = add(identity, (gid_t)gid);
    }
    free(line);
    fclose(file);
    return fits;
}

bool resolve_user(const char *user, const char *passwd, const char *group, struct identity *identity,
                  struct failure *failure)
{
    char name[256], *line, *fields[PASSWD_FIELDS];
    const char *colon = strchr(user, ':');
    size_t size = colon ? (size_t)(colon - user) : strlen(user);
    uint64_t uid = 0, gid = 0;

    *identity = (struct identity){.home = "/"};
    if (size >= sizeof name)
        return fail(failure, ENAMETOOLONG, "user %.100s", user);
    snprintf(name, sizeof name, "%.*s", (int)size, user);
    bool number = name[0] == '\0' || parse_number(name, LAST_ID, &uid);
    bool found = find(passwd, PASSWD_FIELDS, name, number, uid, &line, fields);
    if (found) {
        /* find() has parsed the uid; a gid that is none makes the line no line. */
        found = parse_number(fields[2], LAST_ID, &uid) && parse_number(fields[3], LAST_ID, &gid);
        snprintf(name, sizeof name, "%s", fields[0]);
        if (fields[5][0] == '/')
            snprintf(identity->home, sizeof identity->home, "%s", fields[5]);
    }
    free(line);
    if (!found && !number)
        return fail(failure, ENOENT, "unknown user %s", name);
    if (!found && uid == 0)
        snprintf(identity->home, sizeof identity->home, "/root");
    identity->uid = (uid_t)uid;
    identity->gid = (gid_t)gid;
    if (colon != NULL && colon[1] != '\0') {
        if (!find_group(colon + 1, group, &identity->gid))
            return fail(failure, ENOENT, "unknown group %s", colon + 1);
    } else if (found && !add_memberships(name, group, identity)) {
        return fail(failure, E2BIG, "user %s is in more than %d groups", name, MAX_GROUPS);
    }
    return true;
}

#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum kind { TEXT, BOOLEAN, NUMBER, SIZE, TIME, WORDS, IGNORED };

struct key {
    const char *name;
    enum kind kind;
    size_t offset;
};

#define OF(field) offsetof(struct repo_config, field)
static const struct key repo_keys[] = {
    {"name", TEXT, OF(name)},
    {"baseurl", WORDS, OF(baseurls)},
    {"mirrorlist", TEXT, OF(mirrorlist)},
    {"metalink", TEXT, OF(metalink)},
    {"gpgkey", WORDS, OF(gpgkeys)},
    {"enabled", BOOLEAN, OF(enabled)},
    {"gpgcheck", BOOLEAN, OF(gpgcheck)},
    {"pkg_gpgcheck", BOOLEAN, OF(gpgcheck)},
    {"repo_gpgcheck", BOOLEAN, OF(repo_gpgcheck)},
    {"sslverify", BOOLEAN, OF(sslverify)},
    {"sslcacert", TEXT, OF(sslcacert)},
    {"sslclientcert", TEXT, OF(sslclientcert)},
    {"sslclientkey", TEXT, OF(sslclientkey)},
    {"proxy", TEXT, OF(proxy)},
    {"proxy_username", TEXT, OF(proxy_username)},
    {"proxy_password", TEXT, OF(proxy_password)},
    {"username", TEXT, OF(username)},
    {"password", TEXT, OF(password)},
    {"user_agent", TEXT, OF(user_agent)},
    {"priority", NUMBER, OF(priority)},
    {"cost", NUMBER, OF(cost)},
    {"metadata_expire", TIME, OF(metadata_expire)},
    {"skip_if_unavailable", BOOLEAN, OF(skip_if_unavailable)},
    {"timeout", TIME, OF(timeout)},
    {"minrate", SIZE, OF(minrate)},
    {"retries", NUMBER, OF(retries)},
    {"excludepkgs", WORDS, OF(excludes)},
    {"exclude", WORDS, OF(excludes)},
    {"includepkgs", WORDS, OF(includes)},
    {"countme", IGNORED, 0},
    {"type", IGNORED, 0},
    {"enabled_metadata", IGNORED, 0},
    {"failovermethod", IGNORED, 0},
    {"fastestmirror", IGNORED, 0},
    {"deltarpm", IGNORED, 0},
    {"ui_repoid_vars", IGNORED, 0},
    {"skip_md_filelists", IGNORED, 0},
    {"skip_md_updateinfo", IGNORED, 0},
    {"skip_md_other", IGNORED, 0},
};
#undef OF
#define OF(field) offsetof(struct config, field)
static const struct key main_keys[] = {
    {"cachedir", TEXT, OF(cachedir)},
    {"persistdir", TEXT, OF(persistdir)},
    {"reposdir", WORDS, OF(reposdirs)},
    {"repodir", WORDS, OF(reposdirs)},
    {"varsdir", WORDS, OF(varsdirs)},
    {"releasever", TEXT, OF(releasever)},
    {"installonlypkgs", WORDS, OF(installonly)},
    {"installonly_limit", NUMBER, OF(installonly_limit)},
    {"protected_packages", WORDS, OF(protected)},
    {"protect_running_kernel", BOOLEAN, OF(protect_running_kernel)},
    {"best", BOOLEAN, OF(best)},
    {"clean_requirements_on_remove", BOOLEAN, OF(clean_requirements)},
    {"install_weak_deps", BOOLEAN, OF(weak_deps)},
    {"keepcache", BOOLEAN, OF(keepcache)},
    {"assumeyes", BOOLEAN, OF(assume_yes)},
    {"exit_on_lock", BOOLEAN, OF(exit_on_lock)},
    {"localpkg_gpgcheck", BOOLEAN, OF(localpkg_gpgcheck)},
    {"diskspacecheck", BOOLEAN, OF(diskspacecheck)},
    {"max_parallel_downloads", NUMBER, OF(parallel)},
    {"plugins", IGNORED, 0},
    {"distroverpkg", IGNORED, 0},
    {"color", IGNORED, 0},
    {"debuglevel", IGNORED, 0},
};
#define COUNT(table) (sizeof table / sizeof *table)

static bool set(char *base, const struct key *key, const char *value, const char *where, struct failure *failure)
{
    char *at = base + key->offset, *end;
    long long number;

    switch (key->kind) {
    case TEXT:
        *(char **)at = *value ? copy_text(value) : NULL;
        return true;
    case BOOLEAN:
        return bool_of(value, (bool *)at) ||
               fail(failure, where, "write 1 or 0", "'%s' is neither yes nor no: %s", value, key->name);
    case TIME:
        return time_value(value, (long long *)at) || fail(failure, where, "write seconds, or a number with m, h or d",
                                                          "'%s' is no time: %s", value, key->name);
    case SIZE:
        return size_value(value, (long long *)at) ||
               fail(failure, where, "write bytes, or a number with k, M or G", "'%s' is no size: %s", value, key->name);
    case NUMBER:
        errno = 0;
        number = strtoll(value, &end, 10);
        if (errno || end == value || *end || number < 0 || number > 1000000)
            return fail(failure, where, "write a whole number", "'%s' is no number: %s", value, key->name);
        *(long long *)at = number;
        return true;
    case WORDS:
        if (*value == '\0')
            *(struct strings *)at = (struct strings){0};
        add_words((struct strings *)at, value);
        return true;
    default:
        return true;
    }
}

static const struct key *find(const struct key *keys, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

bool set_repo(struct repo_config *repo, const char *key, const char *value, const char *where, struct failure *failure)
{
    const struct key *known = find(repo_keys, COUNT(repo_keys), key);

    if (known == NULL) {
        warn("%s: unknown setting '%s' is left out", where, key);
        return true;
    }
    return set((char *)repo, known, value, where, failure);
}

bool set_main(struct config *config, const char *key, const char *value, const char *where, struct failure *failure)
{
    const struct key *known = find(main_keys, COUNT(main_keys), key);

    return known ? set((char *)config, known, value, where, failure)
                 : set_repo(&config->defaults, key, value, where, failure);
}

void set_defaults(struct config *config)
{
    *config = (struct config){.root = copy_text("/"),
                              .cachedir = copy_text("/var/cache/tdnf"),
                              .persistdir = copy_text("/var/lib/tdnf"),
                              .clean_requirements = true,
                              .weak_deps = true,
                              .localpkg_gpgcheck = true,
                              .diskspacecheck = true,
                              .protect_running_kernel = true,
                              .installonly_limit = 3,
                              .parallel = 4};
    config->defaults = (struct repo_config){.enabled = true,
                                            .gpgcheck = true,
                                            .repo_gpgcheck = true,
                                            .sslverify = true,
                                            .priority = 50,
                                            .cost = 1000,
                                            .metadata_expire = 172800,
                                            .timeout = 30,
                                            .minrate = 1000,
                                            .retries = 3};
}

char *in_root(const struct config *config, const char *path)
{
    return strcmp(config->root, "/") == 0 ? copy_text(path) : text_of("%s%s", config->root, path);
}

void switch_repos(struct config *config, const struct options *options)
{
    for (size_t i = 0; i < options->repo_switches.count; i++) {
        const char *word = options->repo_switches.at[i];
        struct strings pattern = {.at = (char *[]){(char *)word + 1}, .count = 1};
        bool found = strcmp(word, "-*") == 0;
        for (size_t j = 0; j < config->repo_count; j++)
            if (has_match(&pattern, config->repos[j].id)) {
                config->repos[j].enabled = *word == '+';
                found = true;
            }
        if (!found)
            stop_for(FAILED, word + 1, "tdnf repolist --all lists the repositories", "no repository has this id");
    }
}

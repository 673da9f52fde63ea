/* Where settings come from: the files, variables, and --setopt. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "config.h"

enum { MOST_OF_A_FILE = 4 << 20 };

static const char *lookup(const void *data, const char *name)
{
    const struct config *config = data;

    if (strcmp(name, "releasever") == 0)
        return config->releasever;
    if (strcmp(name, "basearch") == 0)
        return config->basearch;
    if (strcmp(name, "arch") == 0)
        return config->arch;
    for (size_t i = config->variables.count; i > 1; i -= 2)
        if (strcmp(config->variables.at[i - 2], name) == 0)
            return config->variables.at[i - 1];
    return NULL;
}

static struct settings settings_of(const char *path)
{
    struct failure failure;
    struct settings settings;
    char *text = read_file(path, MOST_OF_A_FILE, NULL);

    if (text == NULL)
        stop_for(FAILED, path, NULL, "cannot be read: %s", strerror(errno));
    if (!read_settings(&settings, text, path, &failure))
        stop(FAILED, &failure);
    free(text);
    return settings;
}

/* In a root of its own a file or folder of that root goes before the host's. */
static char *own_or_host(const struct config *config, const char *path)
{
    char *own = in_root(config, path);

    return access(own, F_OK) == 0 ? own : copy_text(path);
}

static void read_variables(struct config *config)
{
    struct strings folders = config->varsdirs;

    if (folders.count == 0)
        add_words(&folders, "/etc/dnf/vars /etc/yum/vars /etc/tdnf/vars");
    for (size_t i = 0; i < folders.count; i++) {
        char *folder = own_or_host(config, folders.at[i]);
        struct strings names = names_in(folder);
        for (size_t j = 0; j < names.count; j++) {
            char *value = read_file(text_of("%s/%s", folder, names.at[j]), 4096, NULL);
            if (value == NULL)
                continue;
            value[strcspn(value, "\r\n")] = '\0';
            add_string(&config->variables, names.at[j]);
            add_string(&config->variables, value);
        }
    }
    for (int i = 0; i < 10; i++) {
        char *name = text_of("DNF%d", i), *value = getenv(name);
        if (value) {
            add_string(&config->variables, name);
            add_string(&config->variables, value);
        }
    }
}

/* The version of the distribution, as os-release(5) has it. */
static char *version_in(const char *path)
{
    char *text = read_file(path, MOST_OF_A_FILE, NULL);

    for (char *line = text; line && *line; line += *line == '\n') {
        size_t size = strcspn(line, "\n");
        if (starts_with(line, "VERSION_ID=")) {
            char *begin = line + 11 + (line[11] == '"');
            return copy_part(begin, strcspn(begin, "\"\n"));
        }
        line += size;
    }
    return NULL;
}

static void find_variables(struct config *config, const struct options *options)
{
    struct utsname system;

    uname(&system);
    config->arch = config->basearch = copy_text(options->forcearch ? options->forcearch : system.machine);
    read_variables(config);
    if (options->releasever)
        config->releasever = options->releasever;
    if (config->releasever == NULL)
        for (size_t i = 0; i + 1 < config->variables.count; i += 2)
            if (strcmp(config->variables.at[i], "releasever") == 0)
                config->releasever = config->variables.at[i + 1];
    if (config->releasever == NULL)
        config->releasever = version_in(in_root(config, "/etc/os-release"));
    if (config->releasever == NULL)
        config->releasever = version_in(in_root(config, "/usr/lib/os-release"));
    if (config->releasever == NULL)
        config->releasever = version_in("/etc/os-release");
}

static void replace_all(const struct config *config, struct strings *list)
{
    for (size_t i = 0; i < list->count; i++)
        list->at[i] = replaced(list->at[i], lookup, config);
}

static struct repo_config *new_repo(struct config *config, const char *id, const char *file)
{
    for (size_t i = 0; i < config->repo_count; i++)
        if (strcmp(config->repos[i].id, id) == 0)
            stop_for(FAILED, file, text_of("it is in %s as well: rename or remove one", config->repos[i].file),
                     "repository '%s' is there twice", id);
    for (const char *at = id; *at; at++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:", *at) || *id == '.')
            stop_for(FAILED, file, "take letters, digits and -_.: without a dot at the beginning",
                     "'%s' cannot be the id of a repository", id);
    config->repos = allocate(config->repos, (config->repo_count + 1) * sizeof *config->repos);
    struct repo_config *repo = &config->repos[config->repo_count++];
    *repo = config->defaults;
    /* Lists of its own; [main]'s excludes are asked for apart. */
    repo->baseurls = repo->gpgkeys = repo->excludes = repo->includes = (struct strings){0};
    repo->id = repo->name = copy_text(id);
    repo->file = copy_text(file);
    return repo;
}

static void read_repo_file(struct config *config, const char *path)
{
    struct settings settings = settings_of(path);
    struct failure failure;

    for (size_t i = 0; i < settings.sections.count; i++) {
        struct repo_config *repo = new_repo(config, settings.sections.at[i], path);
        for (size_t j = 0; j < settings.count; j++) {
            const struct setting *one = &settings.at[j];
            if (strcmp(one->section, repo->id) != 0)
                continue;
            char *value = replaced(one->value, lookup, config);
            if (!set_repo(repo, one->key, value, text_of("%s:%d", path, one->line), &failure))
                stop(FAILED, &failure);
        }
    }
}

static void check_repo(const struct repo_config *repo)
{
    if (!repo->enabled)
        return;
    if (repo->baseurls.count == 0 && repo->mirrorlist == NULL)
        stop_for(FAILED, repo->file,
                 repo->metalink ? "metalinks are not read: take baseurl= or mirrorlist="
                                : "add baseurl=ADDRESS, or enabled=0",
                 "repository '%s' has no address", repo->id);
    for (size_t i = 0; i < repo->baseurls.count; i++) {
        const char *url = repo->baseurls.at[i];
        if (strchr(url, '$'))
            stop_for(FAILED, repo->file, "set it: --releasever, or a file in /etc/tdnf/vars",
                     "repository '%s' has a variable that is not known: %s", repo->id, url);
        if (!starts_with(url, "http://") && !starts_with(url, "https://") && !starts_with(url, "file://") &&
            !starts_with(url, "ftp://"))
            stop_for(FAILED, repo->file, "take http://, https://, ftp:// or file://",
                     "repository '%s' has an address that is none: %s", repo->id, url);
    }
}

/* --setopt=KEY=VALUE for [main], --setopt=REPO.KEY=VALUE, where REPO may be a pattern. */
static void set_options(struct config *config, const struct options *options, bool repos)
{
    struct failure failure;

    for (size_t i = 0; i < options->setopts.count; i++) {
        char *text = options->setopts.at[i], *equals = strchr(text, '=');
        if (equals == NULL)
            stop_for(USAGE, text, "--setopt=KEY=VALUE", "this sets nothing");
        char *name = copy_part(text, (size_t)(equals - text)), *dot = strrchr(name, '.');
        char *where = text_of("--setopt=%s", text);
        if (dot == NULL && !repos && !set_main(config, name, equals + 1, where, &failure))
            stop(USAGE, &failure);
        if (dot == NULL || !repos)
            continue;
        struct strings pattern = {.at = (char *[]){copy_part(name, (size_t)(dot - name))}, .count = 1};
        for (size_t j = 0; j < config->repo_count; j++)
            if (has_match(&pattern, config->repos[j].id) &&
                !set_repo(&config->repos[j], dot + 1, replaced(equals + 1, lookup, config), where, &failure))
                stop(USAGE, &failure);
    }
}

static void read_protected(struct config *config)
{
    char *folder = own_or_host(config, "/etc/tdnf/protected.d");
    struct strings names = names_in(folder);

    for (size_t i = 0; i < names.count; i++) {
        char *text =
            ends_with(names.at[i], ".conf") ? read_file(text_of("%s/%s", folder, names.at[i]), 65536, NULL) : NULL;
        if (text)
            add_words(&config->protected, text);
    }
}

static void read_main(struct config *config, const struct options *options)
{
    struct failure failure;

    config->config_file = options->config ? options->config : own_or_host(config, "/etc/tdnf/tdnf.conf");
    if (options->config == NULL && access(config->config_file, F_OK) < 0)
        return;
    struct settings settings = settings_of(config->config_file);
    for (size_t i = 0; i < settings.count; i++)
        if (strcmp(settings.at[i].section, "main") == 0 &&
            !set_main(config, settings.at[i].key, settings.at[i].value,
                      text_of("%s:%d", config->config_file, settings.at[i].line), &failure))
            stop(FAILED, &failure);
}

/* Whoever is not root has a cache of their own. */
static void place_cache(struct config *config)
{
    const char *home = getenv("XDG_CACHE_HOME"), *user = getenv("HOME");

    config->cachedir = in_root(config, config->cachedir);
    config->persistdir = in_root(config, config->persistdir);
    if (geteuid() != 0 && access(config->cachedir, W_OK) < 0 && (home || user))
        config->cachedir = home ? text_of("%s/tdnf", home) : text_of("%s/.cache/tdnf", user);
}

struct config *read_config(const struct options *options)
{
    struct config *config = allocate(NULL, sizeof *config);
    char *root;

    set_defaults(config);
    if (options->installroot) {
        if (!make_directories(options->installroot) || (root = realpath(options->installroot, NULL)) == NULL)
            stop_for(FAILED, options->installroot, NULL, "cannot be the root of an installation: %s", strerror(errno));
        config->root = root;
    }
    read_main(config, options);
    set_options(config, options, false);
    if (config->installonly.count == 0)
        add_words(&config->installonly, "kernel installonlypkg(kernel)");
    if (config->reposdirs.count == 0)
        add_words(&config->reposdirs, "/etc/yum.repos.d");
    read_protected(config);
    find_variables(config, options);
    for (size_t i = 0; i < config->reposdirs.count; i++) {
        char *folder = own_or_host(config, config->reposdirs.at[i]);
        struct strings names = names_in(folder);
        for (size_t j = 0; j < names.count; j++)
            if (ends_with(names.at[j], ".repo"))
                read_repo_file(config, text_of("%s/%s", folder, names.at[j]));
    }
    set_options(config, options, true);
    switch_repos(config, options);
    replace_all(config, &config->protected);
    for (size_t i = 0; i < config->repo_count; i++) {
        if (options->no_gpgcheck)
            config->repos[i].gpgcheck = config->repos[i].repo_gpgcheck = false;
        check_repo(&config->repos[i]);
    }
    if (options->no_gpgcheck)
        config->defaults.gpgcheck = config->localpkg_gpgcheck = false;
    place_cache(config);
    return config;
}

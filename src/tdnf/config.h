/* tdnf.conf(5), *.repo and variables: what is set, with files and lines in what is said about mistakes. */
#ifndef CONFIG_H
#define CONFIG_H

#include "ini.h"
#include "options.h"

struct repo_config {
    char *id, *name, *file;
    struct strings baseurls, gpgkeys, excludes, includes;
    char *mirrorlist, *metalink, *proxy, *proxy_username, *proxy_password, *username, *password, *user_agent;
    char *sslcacert, *sslclientcert, *sslclientkey;
    bool enabled, gpgcheck, repo_gpgcheck, sslverify, skip_if_unavailable;
    long long priority, cost, metadata_expire, timeout, minrate, retries;
};

struct config {
    struct repo_config defaults; /* what [main] says for all repositories */
    struct repo_config *repos;
    size_t repo_count;
    struct strings installonly, protected, minversions, reposdirs, varsdirs;
    char *root, *cachedir, *persistdir, *releasever, *basearch, *arch, *config_file;
    bool best, clean_requirements, weak_deps, keepcache, assume_yes, exit_on_lock, localpkg_gpgcheck, diskspacecheck;
    bool protect_running_kernel;
    long long installonly_limit, parallel;
    struct strings variables; /* name, value, name, value */
};

/* Read all that there is to read; a mistake ends the process. */
struct config *read_config(const struct options *options);
/* The path of a file below the root that is worked on. */
char *in_root(const struct config *config, const char *path);
/* Enabled repositories, after --enablerepo and --disablerepo. A pattern that no repository has ends the process. */
void switch_repos(struct config *config, const struct options *options);
/* One setting into [main] or a repository: for tests as well. */
bool set_main(struct config *config, const char *key, const char *value, const char *where, struct failure *failure);
bool set_repo(struct repo_config *repo, const char *key, const char *value, const char *where, struct failure *failure);
void set_defaults(struct config *config);

#endif

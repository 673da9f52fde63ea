/* The command line. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "util.h"

struct options {
    struct strings words; /* the command and what follows it */
    struct strings setopts, excludes, repo_switches; /* a switch is "+GLOB" or "-GLOB", in their order */
    struct strings advisories, cves, severities;
    struct strings what_provides, what_requires, what_obsoletes, what_conflicts, what_depends, what_recommends,
        what_file;
    char *config, *installroot, *releasever, *forcearch, *downloaddir, *query_format, *query_kind;
    bool assume_yes, assume_no, quiet, verbose, json, cache_only, refresh, download_only, all_deps, best, no_best;
    bool allow_erasing, skip_broken, no_gpgcheck, no_autoremove, security, bugfix, enhancement, newpackage;
    bool installed, available, extras, duplicates, upgrades, all, recent, userinstalled, unneeded, latest;
    bool info, summary, list, location, changelogs, source, resolve, url, disable_excludes;
    bool reverse, version, help, debugsolver;
};

/* Parse; a mistake ends the process with USAGE. */
struct options parse_options(int argc, char **argv);
extern const char help_text[];

#endif

/* OpenPGP by librpm: keys of the rpm database, signatures of metadata and packages. */
#ifndef SIGN_H
#define SIGN_H

#include <rpm/header.h>
#include <rpm/rpmts.h>

#include "config.h"

struct context;

/* OTHER: it cannot be trusted, which it also says when it is the signature of another text. */
enum verdict { REFUSED, OTHER, TRUSTED };

/* Check the signature, armored, of a text. An unknown key is asked for, from the repository's gpgkey=, and kept. */
enum verdict verify_text(struct context *context, const struct repo_config *repo, const char *text, size_t size,
                         const char *signature, const char *where, struct failure *failure);
/* Read a package file, whose header must be signed by a known key if `wanted`. The header is the caller's. */
Header read_package(struct context *context, const struct repo_config *repo, const char *path, bool wanted,
                    struct failure *failure);

#endif

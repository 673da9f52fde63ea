/* The file systems: what can be mounted before SETUP, and how the image becomes the root. */
#ifndef WORLD_H
#define WORLD_H

#include "util.h"

/* A path where things are made before they become the root; good until the fourth call after this one. */
const char *staged(const char *name);
bool make_world(struct failure *failure);

/* Files of /etc that are written anew for each machine. */
enum identity_file { MACHINE_ID, HOSTNAME, HOSTS, RESOLV_CONF, IDENTITY_FILES };
/* Once for each, before mount_overlay. */
bool write_identity_file(enum identity_file which, const char *text, struct failure *failure);
/* As if nothing had been written. */
bool clear_identity_files(void);

bool mount_image(const char *root, const char *type, struct failure *failure);
bool mount_overlay(struct failure *failure);
bool enter_root(struct failure *failure);

/* "TAG:TARGET:ro|rw" or "TAG/PART:TARGET:ro|rw"; in the container's root. */
bool mount_volume(const char *volume, struct failure *failure);
/* "TARGET" or "TARGET:OPTIONS" */
bool mount_tmpfs(const char *value, struct failure *failure);

#endif

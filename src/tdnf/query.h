/* Commands that ask. */
#ifndef QUERY_H
#define QUERY_H

#include "packages.h"

int list_command(struct context *context); /* list and info */
int search_command(struct context *context);
int provides_command(struct context *context);
int check_update_command(struct context *context);
int count_command(struct context *context);
int repolist_command(struct context *context);
int repoquery_command(struct context *context);
int check_command(struct context *context);
/* Upgrades of installed packages that can be had, sorted. */
void upgrades(struct context *context, Queue *packages);

#endif

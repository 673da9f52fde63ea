/* Advisories: what updateinfo.xml says of packages that are installed. */
#ifndef UPDATEINFO_H
#define UPDATEINFO_H

#include "packages.h"

/* For each installed package the newest one that an advisory of the kinds asked for names and a repository has. */
void advised_packages(struct context *context, Queue *packages);
int updateinfo_command(struct context *context);

#endif

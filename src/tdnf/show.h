/* What people and programs are shown of packages and plans. */
#ifndef SHOW_H
#define SHOW_H

#include "solve.h"

void show_plan(struct context *context, const struct plan *plan);
/* name.arch, version and repository: as list has it. */
void show_list(struct context *context, const Queue *packages);
void show_info(struct context *context, const Queue *packages);
void show_summaries(struct context *context, const Queue *packages);
/* Name, Arch, Evr and Repo into an open JSON object. */
void json_package(const struct context *context, Id p);
const char *text_field(const struct context *context, Id p, Id key);

#endif

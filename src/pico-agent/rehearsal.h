/* Doing once, where nobody sees it, what each machine does. */
#ifndef REHEARSAL_H
#define REHEARSAL_H

#include "frame.h"
#include "util.h"

/* SETUP with the root that the frame names, START of a program in it, its end; afterwards everything is as before. */
bool rehearse(const struct frame *frame, struct failure *failure);
/* That program; its exit code. */
int rehearse_program(void);

#endif

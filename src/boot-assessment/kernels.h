/* The kernels that are installed. */
#ifndef KERNELS_H
#define KERNELS_H

#include <stddef.h>

enum { MOST_KERNELS = 16 };

/* Versions that have a kernel below `folder`, the newest first as rpm orders versions; how many. The rest is left out
   where there are more than MOST_KERNELS. */
size_t kernels_in(const char *folder, char *versions[MOST_KERNELS]);

#endif

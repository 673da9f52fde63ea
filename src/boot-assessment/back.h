/* The kept trees come back. */
#ifndef BACK_H
#define BACK_H

#include <stdbool.h>

/* /usr and /etc by one exchange of names each, then the environment block; false with errno. What was cut short is gone on
   with by the next call: a tree that was kept has a mark in it until it is back. */
bool put_back(void);

#endif

#include "mini.h"

int mini_answer(void)
{
    return 42;
}

#include <mini.h>
#include <stdio.h>

int main(void)
{
    printf("%d\n", mini_answer());
    return 0;
}

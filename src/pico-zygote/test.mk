# Programs of the tests (tests/native): a program with threads is copied by the library.
tests: zygote.so test-threads

test-threads: test_threads.c
	$(CC) -O2 -D_GNU_SOURCE -Wall -Wextra -Werror -pthread -o $@ $<

# What gcc's analyzer says; the compiler's warnings are errors in the build as well.
analyze:
	$(CC) -O2 -fanalyzer $(OWN) -c -o /dev/null zygote.c
	$(CC) -O2 -fanalyzer -D_GNU_SOURCE -Wall -Wextra -Werror -c -o /dev/null test_threads.c

.PHONY: tests analyze

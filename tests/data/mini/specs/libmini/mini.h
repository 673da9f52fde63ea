/* What libmini offers. */
int mini_answer(void);

/* JSON on stdout, written as it comes; commas come by themselves. */
#ifndef JSON_H
#define JSON_H

void json_open(char bracket);
/* The bracket of the outermost value ends the line. */
void json_close(char bracket);
void json_key(const char *key);
void json_string(const char *text);
void json_number(long long number);
void json_bool(int value);
/* A key and a text; NULL is the empty one. */
void json_field(const char *key, const char *text);
void json_count(const char *key, long long number);

#endif

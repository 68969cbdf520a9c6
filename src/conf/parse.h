/*
 * parse.h - the small notations of the command line and the settings: sizes,
 * times, numbers, words out of a list, and "value,key=value,flag" strings.
 */
#ifndef CONF_PARSE_H
#define CONF_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

/* 512M, 2G, 64K, 1T; a bare number is bytes.  Fractions as 1.5G. */
bool conf_parse_size(const char *text, uint64_t *bytes, GError **err);
/* 60s, 10m, 2h, 500ms; a bare number is seconds. */
bool conf_parse_time(const char *text, uint64_t *ms, GError **err);
/* Decimal in [min, max]; what names the thing in the message. */
bool conf_parse_uint(const char *text, const char *what, unsigned min,
	unsigned max, unsigned *out, GError **err);
/* "50%", "0.5%" in hundredths of a percent, 1 to 10000; "off": 0. */
bool conf_parse_share(const char *text, unsigned *out, GError **err);
bool conf_parse_bool(const char *text, bool *out, GError **err);

/* "512M", "1.5G": what conf_parse_size takes back.  Free with g_free. */
char *conf_format_size(uint64_t bytes);

/* A closed set of words; the index is the value of an enum. */
struct conf_word_list {
	const char *what;	  /* "engine" */
	const char *const *words; /* NULL-terminated */
};

bool conf_parse_word(const char *text, const struct conf_word_list *list,
	int *out, GError **err);
/* "auto, bt, kvm" */
char *conf_words_join(const struct conf_word_list *list);

/*
 * "value,key=value,flag": the value is what stands before the first comma,
 * unless it has the form key=... with a key of the list.  A comma in a value
 * is written twice.  A key without "=" means key=on.
 */
struct conf_options {
	char *value;	 /* or NULL */
	GPtrArray *keys; /* char *, in order, a key may repeat */
	GPtrArray *values;
};

/* What stands before the next comma, a double one made single; *pos goes behind
 * it.  Free with g_free. */
char *conf_options_item(const char **pos);

/* allowed: NULL-terminated keys. */
struct conf_options *conf_options_parse(
	const char *text, const char *const *allowed, GError **err);
void conf_options_free(struct conf_options *o);
/* Last value of key, or NULL. */
const char *conf_options_get(const struct conf_options *o, const char *key);

typedef struct conf_options conf_options_auto;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(conf_options_auto, conf_options_free)

#endif

/*
 * parse.c - the small notations of the command line and the settings.
 */
#include "conf/parse.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "conf/error.h"

/* A number and its unit; false if there is no number. */
static bool split_number(const char *text, double *n, const char **unit)
{
	char *end;

	if (!g_ascii_isdigit(text[0]) || strpbrk(text, "xX"))
		return false;
	*n = g_ascii_strtod(text, &end);
	*unit = end;
	return end != text && isfinite(*n) && *n >= 0;
}

bool conf_parse_size(const char *text, uint64_t *bytes, GError **err)
{
	static const char units[] = "KMGTP";
	const char *unit = "", *u;
	double n = 0;
	int shift = 0;
	bool ok = split_number(text, &n, &unit);

	if (ok && *unit && g_ascii_toupper(*unit) != 'B') {
		u = strchr(units, g_ascii_toupper(*unit));
		ok = u != NULL;
		shift = ok ? 10 * (int)(u - units + 1) : 0;
		unit++;
	}
	/* KiB, KB and K are one thing here. */
	if (ok && shift && *unit == 'i')
		unit++;
	if (ok && g_ascii_toupper(*unit) == 'B')
		unit++;
	n = ldexp(n, shift);
	if (!ok || *unit || n >= 0x1p62) {
		conf_error_set(err, CONF_ERROR_USAGE,
			"a size is a number and a unit: K, M, G or T",
			"write for example 512M or 2G", "bad size '%s'", text);
		return false;
	}
	*bytes = (uint64_t)n;
	return true;
}

bool conf_parse_time(const char *text, uint64_t *ms, GError **err)
{
	static const struct {
		const char *name;
		double ms;
	} units[] = {{"", 1000}, {"s", 1000}, {"ms", 1}, {"m", 60e3},
		{"min", 60e3}, {"h", 3600e3}, {"d", 86400e3}};
	const char *unit = "";
	double n = 0;

	if (split_number(text, &n, &unit)) {
		for (size_t i = 0; i < G_N_ELEMENTS(units); i++) {
			if (strcmp(unit, units[i].name) || n > 1e9)
				continue;
			*ms = (uint64_t)(n * units[i].ms);
			return true;
		}
	}
	conf_error_set(err, CONF_ERROR_USAGE,
		"a time is a number and a unit: ms, s, m or h",
		"write for example 60s or 5m", "bad time '%s'", text);
	return false;
}

bool conf_parse_uint(const char *text, const char *what, unsigned min,
	unsigned max, unsigned *out, GError **err)
{
	guint64 n;

	if (!g_ascii_string_to_unsigned(text, 10, min, max, &n, NULL)) {
		g_autofree char *why = g_strdup_printf(
			"%s is a number from %u to %u", what, min, max);

		conf_error_set(err, CONF_ERROR_USAGE, why, NULL, "bad %s '%s'",
			what, text);
		return false;
	}
	*out = (unsigned)n;
	return true;
}

bool conf_parse_share(const char *text, unsigned *out, GError **err)
{
	char *end;
	double v;

	*out = 0;
	if (!strcmp(text, "off") || !strcmp(text, "100%"))
		return true;
	v = g_ascii_strtod(text, &end) * 100;
	if (g_ascii_isdigit(*text) && end != text && !strcmp(end, "%") &&
		v >= 1 && v <= 10000) {
		*out = (unsigned)(v + 0.5);
		return true;
	}
	conf_error_set(err, CONF_ERROR_USAGE,
		"it is the share of time that a processor may run",
		"write off, or from 0.01% to 100%", "bad limit '%s'", text);
	return false;
}

bool conf_parse_bool(const char *text, bool *out, GError **err)
{
	static const char *const words[] = {
		"off", "on", "no", "yes", "false", "true", "0", "1", NULL};

	for (int i = 0; words[i]; i++) {
		if (!strcmp(text, words[i])) {
			*out = i & 1;
			return true;
		}
	}
	conf_error_set(err, CONF_ERROR_USAGE, NULL, "write on or off",
		"bad switch '%s'", text);
	return false;
}

char *conf_format_size(uint64_t bytes)
{
	static const char units[] = "KMGTP";
	int u = -1;
	uint64_t n = bytes;

	while (n && n % 1024 == 0 && u < 4) {
		n /= 1024;
		u++;
	}
	if (u < 0)
		return g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
	return g_strdup_printf("%" G_GUINT64_FORMAT "%c", n, units[u]);
}

char *conf_words_join(const struct conf_word_list *list)
{
	return g_strjoinv(", ", (char **)(uintptr_t)list->words);
}

bool conf_parse_word(const char *text, const struct conf_word_list *list,
	int *out, GError **err)
{
	for (int i = 0; list->words[i]; i++) {
		if (!strcmp(text, list->words[i])) {
			*out = i;
			return true;
		}
	}
	g_autofree char *all = conf_words_join(list);
	g_autofree char *fix = g_strdup_printf("choose one of %s", all);

	conf_error_set(err, CONF_ERROR_USAGE, NULL, fix, "unknown %s '%s'",
		list->what, text);
	return false;
}

char *conf_options_item(const char **pos)
{
	GString *s = g_string_new(NULL);
	const char *p = *pos;

	for (; *p; p++) {
		if (*p == ',' && p[1] != ',')
			break;
		if (*p == ',')
			p++;
		g_string_append_c(s, *p);
	}
	*pos = *p ? p + 1 : p;
	return g_string_free(s, FALSE);
}

static bool options_add(struct conf_options *o, const char *item,
	const char *const *allowed, GError **err)
{
	const char *eq = strchr(item, '=');
	g_autofree char *key =
		eq ? g_strndup(item, (size_t)(eq - item)) : g_strdup(item);

	if (!g_strv_contains(allowed, key)) {
		g_autofree char *all =
			g_strjoinv(", ", (char **)(uintptr_t)allowed);
		g_autofree char *fix =
			g_strdup_printf("the options here are %s", all);

		conf_error_set(err, CONF_ERROR_USAGE, NULL, fix,
			"unknown option '%s'", key);
		return false;
	}
	g_ptr_array_add(o->keys, g_steal_pointer(&key));
	g_ptr_array_add(o->values, g_strdup(eq ? eq + 1 : "on"));
	return true;
}

/* Does the item begin with "key=" of the list? */
static bool is_keyed(const char *item, const char *const *allowed)
{
	const char *eq = strchr(item, '=');
	g_autofree char *key = eq ? g_strndup(item, (size_t)(eq - item)) : NULL;

	return key && g_strv_contains(allowed, key);
}

struct conf_options *conf_options_parse(
	const char *text, const char *const *allowed, GError **err)
{
	struct conf_options *o = g_new0(struct conf_options, 1);
	const char *pos = text;

	o->keys = g_ptr_array_new_with_free_func(g_free);
	o->values = g_ptr_array_new_with_free_func(g_free);
	for (bool first = true; *pos || first; first = false) {
		g_autofree char *item = conf_options_item(&pos);

		if (first && !is_keyed(item, allowed))
			o->value = g_steal_pointer(&item);
		else if (!options_add(o, item, allowed, err)) {
			conf_options_free(o);
			return NULL;
		}
	}
	return o;
}

void conf_options_free(struct conf_options *o)
{
	g_free(o->value);
	g_ptr_array_unref(o->keys);
	g_ptr_array_unref(o->values);
	g_free(o);
}

const char *conf_options_get(const struct conf_options *o, const char *key)
{
	for (guint i = o->keys->len; i-- > 0;) {
		if (!strcmp(g_ptr_array_index(o->keys, i), key))
			return g_ptr_array_index(o->values, i);
	}
	return NULL;
}

/*
 * args.c - words of the command line, by the flags of a verb.
 */
#include "cli/verb.h"

#include <stdint.h>
#include <string.h>

#include "conf/error.h"

#define NAME_MAX_LEN 32

/* Levenshtein distance of short words. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[NAME_MAX_LEN + 1];
	size_t na = strlen(a), nb = strlen(b);

	if (na > NAME_MAX_LEN || nb > NAME_MAX_LEN)
		return NAME_MAX_LEN;
	for (size_t j = 0; j <= nb; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		unsigned diag = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned change = diag + (a[i - 1] != b[j - 1]);

			diag = row[j];
			row[j] = MIN(MIN(row[j], row[j - 1]) + 1, change);
		}
	}
	return row[nb];
}

const char *cli_nearest(const char *word, const char *const *names)
{
	const char *best = NULL;
	unsigned limit = (unsigned)strlen(word) / 3 + 1;

	for (; *names; names++) {
		unsigned d = distance(word, *names);

		if (d <= limit) {
			limit = d ? d - 1 : 0;
			best = *names;
		}
		if (!d)
			break;
	}
	return best;
}

static bool unknown_flag(
	const struct cli_verb *v, const char *word, GError **err)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new();
	g_autofree char *bare = g_strdup(word + strspn(word, "-"));
	g_autofree char *fix = NULL;
	const char *near;

	for (const struct cli_flag *f = v->flags; f && f->name; f++)
		g_ptr_array_add(names, (char *)(uintptr_t)f->name);
	g_ptr_array_add(names, NULL);
	*strchrnul(bare, '=') = '\0';
	near = cli_nearest(bare, (const char *const *)names->pdata);
	if (near)
		fix = g_strdup_printf("did you mean --%s? 'vmeste %s --help' "
				      "lists the flags",
			near, v->name);
	else
		fix = g_strdup_printf(
			"'vmeste %s --help' lists the flags", v->name);
	conf_error_set(
		err, CONF_ERROR_USAGE, NULL, fix, "unknown flag '%s'", word);
	return false;
}

static const struct cli_flag *find_flag(
	const struct cli_verb *v, const char *word, size_t len)
{
	bool is_long = word[1] == '-';

	for (const struct cli_flag *f = v->flags; f && f->name; f++) {
		if (is_long && strlen(f->name) == len - 2 &&
			!strncmp(f->name, word + 2, len - 2))
			return f;
		if (!is_long && len == 2 && f->letter == word[1])
			return f;
	}
	return NULL;
}

/* A verb's first flag is taken before the rest, wherever it stands. */
enum pass { FIRST, REST };

/* *words stands at a flag; left standing at its last word. */
static bool take_flag(const struct cli_verb *v, void *ctx, enum pass pass,
	char ***words, GError **err)
{
	const char *word = **words;
	const char *eq = strchr(word, '=');
	size_t len = eq ? (size_t)(eq - word) : strlen(word);
	const struct cli_flag *f = find_flag(v, word, len);
	const char *value = eq ? eq + 1 : NULL;

	if (!f)
		return unknown_flag(v, word, err);
	if (!f->arg && value) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL, NULL,
			"--%s takes no argument", f->name);
		return false;
	}
	if (f->arg && !value) {
		value = (*words)[1];
		if (!value) {
			conf_error_set(err, CONF_ERROR_USAGE, f->help, NULL,
				"--%s needs an argument: %s", f->name, f->arg);
			return false;
		}
		++*words;
	}
	if (pass == FIRST ? !v->first || strcmp(f->name, v->first)
			  : v->first && !strcmp(f->name, v->first))
		return true;
	return v->flag ? v->flag(ctx, f, value, err) : f->set(ctx, value, err);
}

/* What comes wrong on the way the other pass says. */
static bool take_first(
	const struct cli_verb *v, void *ctx, char **words, GError **err)
{
	for (; *words && strcmp(*words, "--") != 0; words++)
		if ((*words)[0] == '-' && (*words)[1] &&
			find_flag(v, *words, strcspn(*words, "=")) &&
			!take_flag(v, ctx, FIRST, &words, err))
			return false;
	return true;
}

bool cli_args_parse(const struct cli_verb *v, void *ctx, char **words,
	bool *help, GError **err)
{
	bool flags = true;

	if (v->first && !take_first(v, ctx, words, err))
		return false;
	for (; *words; words++) {
		const char *w = *words;

		if (flags && !strcmp(w, "--")) {
			flags = false;
		} else if (flags &&
			   (!strcmp(w, "--help") || !strcmp(w, "-h"))) {
			*help = true;
			return true;
		} else if (flags && w[0] == '-' && w[1]) {
			if (!take_flag(v, ctx, REST, &words, err))
				return false;
		} else if (v->positional) {
			if (!v->positional(ctx, w, err))
				return false;
		} else {
			conf_error_set(err, CONF_ERROR_USAGE, NULL, NULL,
				"'vmeste %s' takes no argument: '%s'", v->name,
				w);
			return false;
		}
	}
	return true;
}

bool cli_set_text(char **to, const char *v)
{
	g_free(*to);
	*to = g_strdup(v);
	return true;
}

int cli_status(GError **err)
{
	return err && *err ? conf_error_status(*err) : CONF_ERROR_FAILED;
}

/* ---- plain arguments ---- */

void cli_words_free(void *ctx)
{
	struct cli_words *w = ctx;

	for (unsigned i = 0; i < w->n; i++)
		g_free(w->word[i]);
	g_free(ctx);
}

bool cli_words_positional(void *ctx, const char *word, GError **err)
{
	struct cli_words *w = ctx;

	if (w->n < w->max) {
		w->word[w->n++] = g_strdup(word);
		return true;
	}
	conf_error_set(err, CONF_ERROR_USAGE, NULL, NULL,
		w->max == 1 ? "one machine at a time: '%s'"
			    : "too many arguments: '%s'",
		word);
	return false;
}

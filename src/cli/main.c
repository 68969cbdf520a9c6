/*
 * main.c - the whole program: which verb, and the smallest of them.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "cli/os.h"
#include "cli/verb.h"
#include "conf/error.h"

/* What help and completion take: up to two words. */
struct words {
	const char *word[2];
	unsigned n;
	bool man, json;
};

void *cli_help_new(void)
{
	return g_new0(struct words, 1);
}

bool cli_help_positional(void *ctx, const char *word, GError **err)
{
	struct words *w = ctx;

	if (w->n == G_N_ELEMENTS(w->word)) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL, NULL,
			"too many arguments: '%s'", word);
		return false;
	}
	w->word[w->n++] = word;
	return true;
}

static bool set_man(void *ctx, const char *value, GError **err)
{
	((struct words *)ctx)->man = true;
	return true;
}

static bool set_help_output(void *ctx, const char *value, GError **err)
{
	static const char *const words[] = {"table", "json", NULL};
	static const struct conf_word_list formats = {"format", words};
	int word;

	if (!conf_parse_word(value, &formats, &word, err))
		return false;
	((struct words *)ctx)->json = word == 1;
	return true;
}

/* Verbs of two words, as "disk create", begin with a noun. */
static bool is_noun(const char *word)
{
	size_t len = strlen(word);

	for (const struct cli_verb *v = cli_verbs; v->name; v++)
		if (!strncmp(v->name, word, len) && v->name[len] == ' ')
			return true;
	return false;
}

static int unknown_verb(const char *word, GError **err)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new();
	g_autofree char *fix = NULL;
	const char *near;

	for (const struct cli_verb *v = cli_verbs; v->name; v++)
		g_ptr_array_add(names, (char *)(uintptr_t)v->name);
	g_ptr_array_add(names, NULL);
	near = cli_nearest(word, (const char *const *)names->pdata);
	fix = near ? g_strdup_printf("did you mean 'vmeste %s'?", near)
		   : g_strdup("'vmeste help' lists the verbs");
	conf_error_set(
		err, CONF_ERROR_USAGE, NULL, fix, "unknown verb '%s'", word);
	return CONF_ERROR_USAGE;
}

int cli_help(void *ctx, GError **err)
{
	const struct words *w = ctx;
	g_autofree char *both =
		w->n > 1 ? g_strconcat(w->word[0], " ", w->word[1], NULL)
			 : NULL;
	const struct cli_verb *v =
		w->n ? cli_verb_find(both ? both : w->word[0]) : NULL;

	if (w->n && !strcmp(w->word[0], "os")) {
		cli_os_print(w->json);
		return 0;
	}
	if (w->n == 1 && !v && is_noun(w->word[0])) {
		cli_help_noun(w->word[0]);
		return 0;
	}
	if (w->n && !v)
		return unknown_verb(w->word[0], err);
	if (v && w->man)
		cli_man_verb(v);
	else if (v)
		cli_help_verb(v);
	else if (w->man)
		cli_man_main();
	else
		cli_help_all();
	return 0;
}

int cli_version(void *ctx, GError **err)
{
	puts("vmeste " VMESTE_VERSION);
	return 0;
}

int cli_completion(void *ctx, GError **err)
{
	const struct words *w = ctx;

	if (!w->n) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"choose one of bash, zsh, fish", "which shell?");
		return CONF_ERROR_USAGE;
	}
	return cli_completion_print(w->word[0], err) ? 0 : CONF_ERROR_USAGE;
}

const struct cli_flag cli_help_flags[] = {
	{"man", 0, NULL, "print a man page instead", NULL, set_man},
	{"output", 'o', "FORMAT", "of os: table (default) or json",
		"table json", set_help_output},
	{NULL}};

void cli_error_print(const GError *err)
{
	fprintf(stderr, "error: %s\n", err->message);
}

static int run_verb(const struct cli_verb *v, char **words, GError **err)
{
	void *ctx = v->new_ctx();
	bool help = false;
	int status;

	if (!cli_args_parse(v, ctx, words, &help, err))
		status = err && *err ? conf_error_status(*err) : 1;
	else if (help) {
		cli_help_verb(v);
		status = 0;
	} else {
		status = v->run(ctx, err);
	}
	v->free_ctx(ctx);
	return status;
}

int cli_main(int argc, char **argv)
{
	g_autoptr(GError) err = NULL;
	g_autofree char *both = NULL;
	const struct cli_verb *v;
	const char *name;
	char **words;
	int status;

	if (argc < 2) {
		cli_help_overview();
		return 0;
	}
	name = argv[1];
	if (!strcmp(name, "--help") || !strcmp(name, "-h"))
		name = "help";
	if (!strcmp(name, "--version"))
		name = "version";
	words = argv + 2;
	if (is_noun(name) && argc > 2 && argv[2][0] != '-')
		both = g_strconcat(name, " ", argv[2], NULL);
	if (both && (cli_verb_find(both) || !cli_verb_find(name))) {
		name = both;
		words++;
	} else if (is_noun(name) && !cli_verb_find(name)) {
		cli_help_noun(name);
		return argc > 2 ? 0 : CONF_ERROR_USAGE;
	}
	v = cli_verb_find(name);
	status = v ? run_verb(v, words, &err) : unknown_verb(name, &err);
	if (err)
		cli_error_print(err);
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "error: cannot write to standard output\n");
		return CONF_ERROR_FAILED;
	}
	return status;
}

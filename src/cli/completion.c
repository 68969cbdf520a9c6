/*
 * completion.c - shell completion out of the verb table.
 */
#include "cli/verb.h"

#include <stdio.h>
#include <string.h>

#include "conf/error.h"

static void print_bash_flag(const struct cli_flag *f)
{
	if (!f->arg)
		return;
	printf("\t\t--%s", f->name);
	if (f->letter)
		printf("|-%c", f->letter);
	if (!f->words)
		puts(") return ;;");
	else if (!strcmp(f->words, "@file"))
		puts(") COMPREPLY=($(compgen -f -- \"$cur\")); return ;;");
	else
		printf(") COMPREPLY=($(compgen -W '%s' -- \"$cur\")); "
		       "return ;;\n",
			f->words);
}

/* The first words of verbs, or the second ones of a noun's. */
static void print_bash_words(const char *noun)
{
	size_t len = noun ? strlen(noun) + 1 : 0;
	const char *last = "";

	for (const struct cli_verb *v = cli_verbs; v->name; v++) {
		const char *w = v->name + len;
		size_t n = strcspn(v->name, " ");

		if (noun && (n + 1 != len || strncmp(v->name, noun, n)))
			continue;
		if (!noun && !strncmp(v->name, last, n) && last[n] == ' ')
			continue;
		printf(" %.*s", noun ? (int)strlen(w) : (int)n, w);
		last = v->name;
	}
}

static void print_bash_verb(const struct cli_verb *v)
{
	printf("\t'%s')\n\t\tcase $prev in\n", v->name);
	for (const struct cli_flag *f = v->flags; f && f->name; f++)
		print_bash_flag(f);
	fputs("\t\tesac\n\t\tCOMPREPLY=($(compgen -W '--help", stdout);
	for (const struct cli_flag *f = v->flags; f && f->name; f++)
		printf(" --%s", f->name);
	puts("' -- \"$cur\"))\n\t\t;;");
}

static void print_bash(void)
{
	const char *last = "";

	puts("# bash completion for vmeste: source <(vmeste completion bash)");
	puts("_vmeste()\n{");
	puts("\tlocal cur=${COMP_WORDS[COMP_CWORD]} "
	     "prev=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]}");
	fputs("\tif [ \"$COMP_CWORD\" = 1 ]; then\n"
	      "\t\tCOMPREPLY=($(compgen -W '",
		stdout);
	print_bash_words(NULL);
	puts("' -- \"$cur\"))\n\t\treturn\n\tfi");
	puts("\tcase $verb in");
	for (const struct cli_verb *v = cli_verbs; v->name; v++) {
		size_t n = strcspn(v->name, " ");
		g_autofree char *noun = g_strndup(v->name, n);

		if (!v->name[n] || (!strncmp(v->name, last, n + 1)))
			continue;
		printf("\t%s)\n\t\tverb=\"$verb ${COMP_WORDS[2]}\"\n"
		       "\t\tif [ \"$COMP_CWORD\" = 2 ]; then\n"
		       "\t\t\tCOMPREPLY=($(compgen -W '",
			noun);
		print_bash_words(noun);
		puts("' -- \"$cur\"))\n\t\t\treturn\n\t\tfi\n\t\t;;");
		last = v->name;
	}
	puts("\tesac\n\tcase $verb in");
	for (const struct cli_verb *v = cli_verbs; v->name; v++)
		print_bash_verb(v);
	puts("\tesac\n}\ncomplete -o filenames -F _vmeste vmeste");
}

static void print_fish(void)
{
	puts("# fish completion for vmeste: vmeste completion fish | source");
	for (const struct cli_verb *v = cli_verbs; v->name; v++) {
		const char *second = strchr(v->name, ' ');

		if (second)
			printf("complete -c vmeste -n "
			       "'__fish_seen_subcommand_from %.*s' -f -a %s "
			       "-d '%s'\n",
				(int)(second - v->name), v->name, second + 1,
				v->summary);
		else
			printf("complete -c vmeste -n __fish_use_subcommand -f "
			       "-a %s -d '%s'\n",
				v->name, v->summary);
		for (const struct cli_flag *f = v->flags; f && f->name; f++) {
			printf("complete -c vmeste -n "
			       "'__fish_seen_subcommand_from %s' -l %s",
				second ? second + 1 : v->name, f->name);
			if (f->letter)
				printf(" -s %c", f->letter);
			if (f->arg)
				fputs(" -r", stdout);
			if (f->words && f->words[0] != '@')
				printf(" -f -a '%s'", f->words);
			putchar('\n');
		}
	}
}

bool cli_completion_print(const char *shell, GError **err)
{
	if (!strcmp(shell, "bash"))
		print_bash();
	else if (!strcmp(shell, "zsh")) {
		puts("autoload -U bashcompinit && bashcompinit");
		print_bash();
	} else if (!strcmp(shell, "fish"))
		print_fish();
	else {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"choose one of bash, zsh, fish", "unknown shell '%s'",
			shell);
		return false;
	}
	return true;
}

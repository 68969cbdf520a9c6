/*
 * help.c - help texts and man pages out of the verb table.
 */
#include "cli/verb.h"

#include <stdio.h>
#include <string.h>

#define TEXT_WIDTH 78

void cli_help_overview(void)
{
	puts("vmeste runs virtual machines, with or without hardware help.");
	puts("  vmeste run --kernel vmlinuz --initrd initrd.gz "
	     "--append console=ttyS0");
	puts("  vmeste run --disk disk.qcow2 --nic user      "
	     "boot a disk, with network");
	puts("  vmeste doctor                                "
	     "what this host can do, and why");
	puts("  vmeste help [VERB]                           "
	     "everything else, with examples");
	puts("Leave a running machine with Ctrl-A x.");
}

/* text in lines of at most TEXT_WIDTH columns, each after indent blanks; the
 * first line stands at column at already. */
static void print_wrapped(const char *text, int indent, int at)
{
	g_auto(GStrv) words = g_strsplit(text, " ", -1);
	int col = at;

	for (int i = 0; words[i]; i++) {
		int len = (int)g_utf8_strlen(words[i], -1);

		if (col > indent && col + 1 + len > TEXT_WIDTH) {
			printf("\n%*s", indent, "");
			col = indent;
		} else if (col > indent) {
			putchar(' ');
			col++;
		}
		fputs(words[i], stdout);
		col += len;
	}
	putchar('\n');
}

static char *flag_head(const struct cli_flag *f)
{
	char letter[8] = "    ";

	if (f->letter)
		snprintf(letter, sizeof(letter), "-%c, ", f->letter);
	return g_strdup_printf("  %s--%s%s%s", letter, f->name,
		f->arg ? " " : "", f->arg ? f->arg : "");
}

static void print_flags(const struct cli_flag *f)
{
	const int column = 26;

	for (; f && f->name; f++) {
		g_autofree char *head = flag_head(f);
		int at = (int)strlen(head);

		fputs(head, stdout);
		if (at + 1 > column) {
			putchar('\n');
			at = 0;
		}
		printf("%*s", column - at, "");
		print_wrapped(f->help, column, column);
	}
}

static void print_paragraphs(const char *text)
{
	g_auto(GStrv) paras = g_strsplit(text, "\n", -1);

	for (int i = 0; paras[i]; i++) {
		print_wrapped(paras[i], 0, 0);
		putchar('\n');
	}
}

void cli_help_verb(const struct cli_verb *v)
{
	printf("usage: vmeste %s %s\n\n", v->name, v->args);
	print_paragraphs(v->text);
	puts("Flags:");
	if (v->flags_of)
		printf("  those of vmeste %s\n", v->flags_of);
	else
		print_flags(v->flags);
	puts("  -h, --help              this text");
	puts("\nExamples:");
	for (const char *const *e = v->examples; *e; e += 2)
		printf("  # %s\n  %s\n", e[1], e[0]);
}

void cli_help_noun(const char *noun)
{
	size_t len = strlen(noun);

	printf("usage: vmeste %s VERB [FLAGS] [ARGUMENTS]\n\n", noun);
	for (const struct cli_verb *v = cli_verbs; v->name; v++)
		if (!strncmp(v->name, noun, len) && v->name[len] == ' ')
			printf("  %-12s %s\n", v->name + len + 1, v->summary);
	printf("\nExamples:\n  # flags and examples of one of them\n");
	for (const struct cli_verb *v = cli_verbs; v->name; v++)
		if (!strncmp(v->name, noun, len) && v->name[len] == ' ') {
			printf("  vmeste %s --help\n", v->name);
			break;
		}
}

void cli_help_all(void)
{
	puts("usage: vmeste VERB [FLAGS] [ARGUMENTS]\n");
	for (const struct cli_verb *v = cli_verbs; v->name; v++)
		printf("  %-12s %s\n", v->name, v->summary);
	puts("\nExit status: 0 ok, 1 failed, 2 usage, 3 not found, "
	     "4 exists or in use,\n5 denied, 6 timeout, 7 partial, "
	     "8 not supported here.");
	puts("\nExamples:");
	puts("  # flags and examples of one verb\n  vmeste run --help");
	puts("  # what this host can do\n  vmeste doctor");
}

/* ---- man pages ---- */

/* Text for troff: minus signs and backslashes as such. */
static void man_text(const char *s)
{
	bool line_start = true;

	for (; *s; s++) {
		if (line_start && (*s == '.' || *s == '\''))
			fputs("\\&", stdout);
		if (*s == '-')
			fputs("\\-", stdout);
		else if (*s == '\\')
			fputs("\\e", stdout);
		else
			putchar(*s);
		line_start = *s == '\n';
	}
}

static void man_line(const char *s)
{
	man_text(s);
	putchar('\n');
}

static void man_flag(const struct cli_flag *f)
{
	fputs(".TP\n\\fB", stdout);
	if (f->letter)
		printf("\\-%c\\fR, \\fB", f->letter);
	fputs("\\-\\-", stdout);
	man_text(f->name);
	fputs("\\fR", stdout);
	if (f->arg) {
		fputs(" \\fI", stdout);
		man_text(f->arg);
		fputs("\\fR", stdout);
	}
	putchar('\n');
	man_line(f->help);
}

static void man_examples(const char *const *e)
{
	puts(".SH EXAMPLES");
	for (; *e; e += 2) {
		man_line(e[1]);
		puts(".PP\n.nf");
		fputs(".RS\n", stdout);
		man_line(e[0]);
		puts(".RE\n.fi\n.PP");
	}
}

static void man_status(void)
{
	puts(".SH EXIT STATUS");
	puts("0 the guest powered off (run) or all is well; 1 failed; "
	     "2 usage; 3 not found;\n4 exists or in use; 5 denied; "
	     "6 timeout; 7 partial; 8 not supported here.\n"
	     "Each failure prints what, why and how to mend it on standard "
	     "error.");
}

void cli_man_verb(const struct cli_verb *v)
{
	g_auto(GStrv) paras = g_strsplit(v->text, "\n", -1);
	g_auto(GStrv) words = g_strsplit(v->name, " ", -1);
	g_autofree char *page = g_strjoinv("\\-", words);

	printf(".TH VMESTE\\-%s 1\n.SH NAME\n", page);
	printf("vmeste\\-%s \\- ", page);
	man_line(v->summary);
	printf(".SH SYNOPSIS\n.B vmeste %s\n", v->name);
	man_line(v->args);
	puts(".SH DESCRIPTION");
	for (int i = 0; paras[i]; i++) {
		puts(".PP");
		man_line(paras[i]);
	}
	puts(".SH OPTIONS");
	if (v->flags_of)
		printf("Those of\n.BR vmeste\\-%s (1).\n", v->flags_of);
	for (const struct cli_flag *f = v->flags; !v->flags_of && f && f->name;
		f++)
		man_flag(f);
	man_status();
	man_examples(v->examples);
	puts(".SH SEE ALSO\n.BR vmeste (1)");
}

void cli_man_main(void)
{
	puts(".TH VMESTE 1\n.SH NAME");
	puts("vmeste \\- run virtual machines, with or without hardware help");
	puts(".SH SYNOPSIS\n.B vmeste\n.I VERB\n[FLAGS] [ARGUMENTS]");
	puts(".SH DESCRIPTION");
	puts("vmeste boots unmodified x86 guests on a software processor\n"
	     "(binary translation), on KVM or on a reference interpreter.");
	puts(".SH VERBS");
	for (const struct cli_verb *v = cli_verbs; v->name; v++) {
		printf(".TP\n\\fB%s\\fR\n", v->name);
		man_line(v->summary);
	}
	man_status();
	puts(".SH SEE ALSO\n.BR vmeste\\-run (1)");
}

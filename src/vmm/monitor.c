/*
 * monitor.c - the small monitor behind Ctrl-A c.  Talks on standard error:
 * standard output belongs to the guest.
 */
#include <string.h>
#include <unistd.h>

#include "vmm/priv.h"

struct command {
	const char *name, *help;
	void (*run)(struct machine *m, GString *out);
	void (*run_with)(struct machine *m, const char *arg, GString *out);
};

static void cmd_help(struct machine *m, GString *out);

static void cmd_quit(struct machine *m, GString *out)
{
	machine_quit(m, 0, NULL);
}

static void cmd_reset(struct machine *m, GString *out)
{
	machine_reset(m);
}

static void cmd_powerdown(struct machine *m, GString *out)
{
	machine_powerdown(m);
}

static void cmd_nmi(struct machine *m, GString *out)
{
	if (!machine_nmi(m))
		g_string_append(out, "the guest holds NMIs back (bit 7 of "
				     "port 0x70)\n");
}

/* The first time starts it. */
static void cmd_dirty(struct machine *m, GString *out)
{
	g_autoptr(GError) err = NULL;

	if (m->dirty_log)
		g_string_append_printf(out, "%" PRIu64 " pages written\n",
			machine_dirty_fetch(m, NULL));
	else if (machine_dirty_start(m, &err))
		g_string_append(out, "dirty log on\n");
	else
		g_string_append_printf(out, "%s\n", err->message);
}

static void cmd_engine(struct machine *m, const char *arg, GString *out)
{
	g_autoptr(GError) err = NULL;

	if (*arg && !vmm_machine_set_engine(m, arg, &err))
		g_string_append_printf(out, "%s\n", err->message);
	else
		g_string_append_printf(out, "engine %s\n", machine_engine(m));
}

/* "ADDRESS [PROCESSOR]", both as strtoull takes them. */
static void cmd_page(struct machine *m, const char *arg, GString *out)
{
	struct x86_state *s;
	char *rest;
	gva_t a = g_ascii_strtoull(arg, &rest, 0);
	uint64_t cpu = g_ascii_strtoull(rest, NULL, 0);
	gpa_t gpa;

	if (!*arg || cpu >= m->ncpus || m->ended) {
		g_string_append(out, "page ADDRESS [PROCESSOR]\n");
		return;
	}
	s = aligned_alloc(64, m->ncpus * sizeof(*s));
	runloop_look(m, s);
	if (walk_translate(m, &s[cpu], a, &gpa, out))
		g_string_append_printf(out,
			"linear %" PRIx64 " = physical %" PRIx64 "\n", a, gpa);
	else
		g_string_append_printf(
			out, "linear %" PRIx64 " is not mapped\n", a);
	free(s);
}

static const struct command commands[] = {
	{"help", "this list", cmd_help},
	{"info", "what the machine consists of", stat_info},
	{"stat", "counters of processors and devices", stat_print},
	{"regs", "registers of all processors", stat_registers},
	{"page", "ADDRESS [PROCESSOR]: walk the page tables", NULL, cmd_page},
	{"dirty", "how many pages were written since it was asked last",
		cmd_dirty},
	{"engine", "E: go on with engine E; alone: which it is", NULL,
		cmd_engine},
	{"powerdown", "press the power button", cmd_powerdown},
	{"reset", "press the reset button", cmd_reset},
	{"nmi", "send a non-maskable interrupt", cmd_nmi},
	{"quit", "end the machine at once", cmd_quit},
};

static void cmd_help(struct machine *m, GString *out)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++)
		g_string_append_printf(
			out, "%-10s %s\n", commands[i].name, commands[i].help);
	g_string_append(out, "Ctrl-A c   back to the guest\n");
}

/* The terminal is raw: a new line needs a carriage return. */
static void print(const GString *out)
{
	g_auto(GStrv) lines = g_strsplit(out->str, "\n", -1);
	g_autofree char *text = g_strjoinv("\r\n", lines);
	size_t left = strlen(text);
	const char *p = text;

	while (left) {
		ssize_t n = write(STDERR_FILENO, p, left);

		if (n <= 0)
			return;
		p += n;
		left -= (size_t)n;
	}
}

void monitor_run(struct machine *m, const char *line, GString *out)
{
	g_autofree char *word = g_strstrip(g_strdup(line));
	size_t len = strcspn(word, " ");
	const char *arg = word + len + strspn(word + len, " ");
	bool known = !*word;

	for (unsigned i = 0; !known && i < G_N_ELEMENTS(commands); i++) {
		const struct command *c = &commands[i];

		if (strlen(c->name) != len || strncmp(word, c->name, len) ||
			(c->run && *arg))
			continue;
		known = true;
		if (c->run)
			c->run(m, out);
		else
			c->run_with(m, arg, out);
	}
	if (!known)
		g_string_append_printf(
			out, "no command '%s'; help lists them\n", word);
}

void monitor_command(struct machine *m, const char *line)
{
	GString *out = g_string_new(NULL);

	monitor_run(m, line, out);
	print(out);
	g_string_free(out, TRUE);
}

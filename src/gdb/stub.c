/*
 * stub.c - what gdb asks, and the answers.
 *
 * The machine stands whenever a packet is carried out; while it runs packets
 * wait in the socket (gdb sends none) and only Ctrl-C is heard.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gdb/priv.h"

#define MAX_BREAKS   256
#define MAX_REPLY    (GDB_PACKET_BYTES - 64)
#define SIG_INT	     2
#define SIG_TRAP     5
#define ERR_MEMORY   14
#define ERR_ARGUMENT 22

struct stub_break {
	enum gdb_break kind;
	uint64_t addr;
	unsigned len;
};

struct gdb {
	struct gdb_target t;
	struct gdb_packet in;
	struct gdb_regs regs;
	GString *out, *last; /* reply being made; last one sent, framed */
	struct gdb_stop stop;
	bool no_ack, leave, running;
	bool physical, events; /* monitor phys, monitor step-irq */
	unsigned cpu;	       /* of g, p, m: Hg */
	unsigned run_cpu;      /* of c, s: Hc; ncpus = all */
	unsigned nbreaks;
	struct stub_break brk[MAX_BREAKS];
};

/* ---- replies ---- */

static void reply_send(struct gdb *g)
{
	g_string_truncate(g->last, 0);
	gdb_packet_frame(g->last, g->out->str, g->out->len);
	g->t.send(g->t.opaque, g->last->str, g->last->len);
}

static void reply_error(struct gdb *g, unsigned code)
{
	g_string_printf(g->out, "E%02x", code);
}

static void reply_ok(struct gdb *g)
{
	g_string_assign(g->out, "OK");
}

/* Chosen when gdb connects and when it reads the description from its start. */
static void stub_describe(struct gdb *g)
{
	const struct x86_state *s = g->t.state(g->t.opaque, 0);
	bool wide = *g->t.arch == GDB_ARCH_X86_64;

	if (*g->t.arch == GDB_ARCH_AUTO)
		wide = g->t.auto_wide || (s->efer & X86_EFER_LMA);

	if (g->regs.xml && g->regs.wide == wide)
		return;
	gdb_regs_fini(&g->regs);
	gdb_regs_init(&g->regs, wide, g->t.avx, g->t.avx512);
}

static void put_stop(struct gdb *g)
{
	static const char *const watch[] = {[GDB_WATCH_WRITE] = "watch",
		[GDB_WATCH_READ] = "rwatch",
		[GDB_WATCH_ACCESS] = "awatch"};
	const struct gdb_stop *s = &g->stop;

	if (s->why == GDB_STOP_ENDED) {
		g_string_assign(g->out, "W00");
		return;
	}
	g_string_printf(g->out, "T%02xthread:%x;",
		s->why == GDB_STOP_SIGNAL ? SIG_INT : SIG_TRAP, s->cpu + 1);
	if (s->why == GDB_STOP_BREAK)
		g_string_append(g->out,
			s->kind == GDB_BREAK_HARD ? "hwbreak:;" : "swbreak:;");
	if (s->why == GDB_STOP_WATCH && s->kind >= GDB_WATCH_WRITE &&
		s->kind <= GDB_WATCH_ACCESS)
		g_string_append_printf(g->out, "%s:%" G_GINT64_MODIFIER "x;",
			watch[s->kind], s->addr);
}

/* ---- threads ---- */

/* "-1" and "0" are any; false for what does not exist. */
static bool get_thread(const struct gdb *g, const char **p, unsigned *cpu)
{
	uint64_t v;

	*cpu = g->t.ncpus;
	if ((*p)[0] == '-' && (*p)[1] == '1') {
		*p += 2;
		return true;
	}
	if (!gdb_hex_number(p, &v) || v > g->t.ncpus)
		return false;
	if (v)
		*cpu = (unsigned)v - 1;
	return true;
}

static void do_thread(struct gdb *g, const char *p)
{
	char what = *p++;
	unsigned cpu;

	if ((what != 'g' && what != 'c') || !get_thread(g, &p, &cpu) || *p) {
		reply_error(g, ERR_ARGUMENT);
		return;
	}
	if (what == 'c')
		g->run_cpu = cpu;
	else
		g->cpu = cpu == g->t.ncpus ? g->stop.cpu : cpu;
	reply_ok(g);
}

static void do_alive(struct gdb *g, const char *p)
{
	unsigned cpu;

	if (get_thread(g, &p, &cpu) && !*p && cpu < g->t.ncpus)
		reply_ok(g);
	else
		reply_error(g, ERR_ARGUMENT);
}

static void do_thread_list(struct gdb *g)
{
	g_string_assign(g->out, "m");
	for (unsigned i = 0; i < g->t.ncpus; i++)
		g_string_append_printf(g->out, "%s%x", i ? "," : "", i + 1);
}

static void do_thread_info(struct gdb *g, const char *p)
{
	GString *text = g_string_new(NULL);
	unsigned cpu;

	if (get_thread(g, &p, &cpu) && cpu < g->t.ncpus) {
		g->t.describe(g->t.opaque, cpu, text);
		gdb_hex_put(g->out, text->str, MIN(text->len, 256));
	} else {
		reply_error(g, ERR_ARGUMENT);
	}
	g_string_free(text, TRUE);
}

/* ---- registers ---- */

static void do_read_all(struct gdb *g)
{
	const struct x86_state *s = g->t.state(g->t.opaque, g->cpu);
	uint8_t value[GDB_MAX_BYTES];

	for (unsigned i = 0; i < g->regs.n; i++) {
		gdb_reg_get(&g->regs.reg[i], s, value);
		gdb_hex_put(g->out, value, g->regs.reg[i].bytes);
	}
}

static void do_read_one(struct gdb *g, const char *p)
{
	uint8_t value[GDB_MAX_BYTES];
	uint64_t n;

	if (!gdb_hex_number_then(&p, 0, &n) || n >= g->regs.n) {
		reply_error(g, ERR_ARGUMENT);
		return;
	}
	gdb_reg_get(&g->regs.reg[n], g->t.state(g->t.opaque, g->cpu), value);
	gdb_hex_put(g->out, value, g->regs.reg[n].bytes);
}

/* One value of text into *s if it differs from what is there. */
static bool write_reg(struct gdb *g, const struct gdb_reg *r,
	struct x86_state *s, const char *text)
{
	uint8_t now[GDB_MAX_BYTES], value[GDB_MAX_BYTES] = {0};

	if (gdb_hex_get(text, value, r->bytes) != r->bytes)
		return false;
	gdb_reg_get(r, s, now);
	return !memcmp(now, value, r->bytes) || gdb_reg_set(r, s, value);
}

static struct x86_state *copy_state(struct gdb *g)
{
	struct x86_state *s = g_aligned_alloc(1, sizeof(*s), 64);

	*s = *g->t.state(g->t.opaque, g->cpu);
	return s;
}

/* Registers from number first on; consumes *s. */
static void finish_write(struct gdb *g, struct x86_state *s, bool ok)
{
	if (ok && g->t.set_state(g->t.opaque, g->cpu, s))
		reply_ok(g);
	else
		reply_error(g, ERR_ARGUMENT);
	g_aligned_free(s);
}

static void do_write_all(struct gdb *g, const char *p)
{
	struct x86_state *s = copy_state(g);
	size_t left = strlen(p);
	bool ok = true;

	for (unsigned i = 0; ok && i < g->regs.n; i++) {
		const struct gdb_reg *r = &g->regs.reg[i];

		if (left < r->bytes * 2u)
			break; /* gdb may leave out the last ones */
		ok = write_reg(g, r, s, p);
		p += r->bytes * 2u;
		left -= r->bytes * 2u;
	}
	finish_write(g, s, ok);
}

static void do_write_one(struct gdb *g, const char *p)
{
	struct x86_state *s;
	uint64_t n;

	if (!gdb_hex_number_then(&p, '=', &n) || n >= g->regs.n) {
		reply_error(g, ERR_ARGUMENT);
		return;
	}
	s = copy_state(g);
	finish_write(g, s, write_reg(g, &g->regs.reg[n], s, p));
}

/* ---- memory ---- */

static int memory_cpu(const struct gdb *g)
{
	return g->physical ? -1 : (int)g->cpu;
}

static void do_read_memory(struct gdb *g, const char *p)
{
	uint8_t buf[MAX_REPLY / 2];
	uint64_t a, n;

	if (!gdb_hex_number_then(&p, ',', &a) ||
		!gdb_hex_number_then(&p, 0, &n)) {
		reply_error(g, ERR_ARGUMENT);
		return;
	}
	n = MIN(n, sizeof(buf));
	/* as far as there is something */
	while (n && !g->t.read(g->t.opaque, memory_cpu(g), a, buf, n)) {
		uint64_t last = (a + n - 1) & ~0xfffull;

		n = last > a ? last - a : 0;
	}
	if (n)
		gdb_hex_put(g->out, buf, n);
	else
		reply_error(g, ERR_MEMORY);
}

static void do_write_memory(struct gdb *g, const char *p, bool binary)
{
	const char *end = (const char *)g->in.data + g->in.len;
	uint8_t buf[GDB_PACKET_BYTES / 2];
	const void *data = buf;
	uint64_t a, n;

	if (!gdb_hex_number_then(&p, ',', &a) ||
		!gdb_hex_number_then(&p, ':', &n)) {
		reply_error(g, ERR_ARGUMENT);
		return;
	}
	if (binary) {
		data = p;
		if (n != (uint64_t)(end - p))
			n = UINT64_MAX;
	} else if (n > sizeof(buf) || gdb_hex_get(p, buf, n) != n) {
		n = UINT64_MAX;
	}
	if (n == UINT64_MAX)
		reply_error(g, ERR_ARGUMENT);
	else if (!n || g->t.write(g->t.opaque, memory_cpu(g), a, data, n))
		reply_ok(g);
	else
		reply_error(g, ERR_MEMORY);
}

/* ---- breakpoints ---- */

static int find_break(const struct gdb *g, const struct stub_break *b)
{
	for (unsigned i = 0; i < g->nbreaks; i++)
		if (g->brk[i].kind == b->kind && g->brk[i].addr == b->addr &&
			g->brk[i].len == b->len)
			return (int)i;
	return -1;
}

/* The same breakpoint may be set twice; it is one. */
static int change_break(struct gdb *g, const struct stub_break *b, bool on)
{
	int at = find_break(g, b), e;

	if ((at >= 0) == on)
		return 0;
	if (on && g->nbreaks == MAX_BREAKS)
		return -ENOSPC;
	e = g->t.set_break(g->t.opaque, b->kind, b->addr, b->len, on);
	if (e < 0 && on)
		return e;
	if (on)
		g->brk[g->nbreaks++] = *b;
	else
		g->brk[at] = g->brk[--g->nbreaks];
	return 0;
}

static void do_break(struct gdb *g, const char *p, bool on)
{
	struct stub_break b;
	uint64_t kind, len;
	int e;

	if (!gdb_hex_number_then(&p, ',', &kind) ||
		!gdb_hex_number_then(&p, ',', &b.addr) ||
		!gdb_hex_number(&p, &len)) {
		reply_error(g, ERR_ARGUMENT);
		return;
	}
	if (kind > GDB_WATCH_ACCESS)
		return; /* not supported */
	b.kind = (enum gdb_break)kind;
	b.len = kind <= GDB_BREAK_HARD ? 1 : (unsigned)MIN(len, 4096);
	if (!b.len)
		b.len = 1;
	e = change_break(g, &b, on);
	if (e < 0)
		reply_error(g, (unsigned)-e & 0xff);
	else
		reply_ok(g);
}

/* ---- going on ---- */

static void resume(struct gdb *g, const enum gdb_action *action)
{
	g->running = true;
	g_string_truncate(g->out, 0);
	g->t.resume(g->t.opaque, action, g->events);
}

/* c, s, C, S: one processor steps, or all go on. */
static bool do_go(struct gdb *g, const char *p, bool step, bool signal)
{
	enum gdb_action action[GDB_MAX_CPUS] = {GDB_STAND};
	unsigned cpu = g->run_cpu < g->t.ncpus ? g->run_cpu : g->stop.cpu;
	uint64_t v;

	/* signals do not exist here */
	if ((signal && !gdb_hex_number(&p, &v)) ||
		*p) { /* from an address: gdb writes the register instead */
		reply_error(g, ERR_ARGUMENT);
		return true;
	}
	for (unsigned i = 0; i < g->t.ncpus; i++)
		action[i] = step ? GDB_STAND : GDB_CONTINUE;
	if (step)
		action[cpu] = GDB_STEP;
	resume(g, action);
	return false;
}

/* One ";action[:thread]" of vCont: the leftmost that names a thread counts. */
static bool vcont_action(
	struct gdb *g, const char **p, enum gdb_action *action, bool *given)
{
	enum gdb_action a;
	unsigned cpu = g->t.ncpus;
	char c = *(*p)++;
	uint64_t v;

	if (c == 'c' || c == 'C')
		a = GDB_CONTINUE;
	else if (c == 's' || c == 'S')
		a = GDB_STEP;
	else if (c == 't')
		a = GDB_STAND;
	else
		return false;
	if ((c == 'C' || c == 'S') && !gdb_hex_number(p, &v))
		return false;
	if (**p == ':') {
		++*p;
		if (!get_thread(g, p, &cpu))
			return false;
	}
	for (unsigned i = 0; i < g->t.ncpus; i++) {
		if (given[i] || (cpu < g->t.ncpus && i != cpu))
			continue;
		given[i] = true;
		action[i] = a;
	}
	return **p == 0 || **p == ';';
}

static bool do_vcont(struct gdb *g, const char *p)
{
	enum gdb_action action[GDB_MAX_CPUS] = {GDB_STAND};
	bool given[GDB_MAX_CPUS] = {false}, any = false;

	if (*p == '?') {
		g_string_assign(g->out, "vCont;c;C;s;S;t");
		return true;
	}
	while (*p == ';') {
		p++;
		if (!vcont_action(g, &p, action, given)) {
			reply_error(g, ERR_ARGUMENT);
			return true;
		}
	}
	for (unsigned i = 0; i < g->t.ncpus; i++)
		any |= action[i] != GDB_STAND;
	if (!any) {
		reply_error(g, ERR_ARGUMENT);
		return true;
	}
	resume(g, action);
	return false;
}

/* ---- queries ---- */

static void do_supported(struct gdb *g)
{
	stub_describe(g);
	g_string_printf(g->out,
		"PacketSize=%x;qXfer:features:read+;vContSupported+;"
		"swbreak+;hwbreak+;QStartNoAckMode+",
		GDB_PACKET_BYTES);
}

static void do_features(struct gdb *g, const char *p)
{
	uint64_t off, n;
	const GString *xml;

	if (strncmp(p, "target.xml:", 11) != 0) {
		reply_error(g, 0);
		return;
	}
	p += 11;
	if (!gdb_hex_number_then(&p, ',', &off) ||
		!gdb_hex_number_then(&p, 0, &n)) {
		reply_error(g, ERR_ARGUMENT);
		return;
	}
	if (!off)
		stub_describe(g);
	xml = g->regs.xml;
	off = MIN(off, xml->len);
	n = MIN(n, MAX_REPLY / 2);
	n = MIN(n, xml->len - off);
	g_string_assign(g->out, off + n < xml->len ? "m" : "l");
	g_string_append_len(g->out, xml->str + off, (gssize)n);
}

static bool word_after(const char *line, const char *word, const char **rest)
{
	size_t n = strlen(word);

	if (strncmp(line, word, n) != 0 || (line[n] && line[n] != ' '))
		return false;
	*rest = line + n + strspn(line + n, " ");
	return true;
}

static void toggle(bool *what, const char *name, const char *arg, GString *out)
{
	if (!strcmp(arg, "on") || !strcmp(arg, "off"))
		*what = !strcmp(arg, "on");
	g_string_append_printf(out, "%s is %s\n", name, *what ? "on" : "off");
}

/* What concerns the stub itself; the rest is the machine's monitor. */
static void stub_monitor(struct gdb *g, const char *line, GString *out)
{
	const char *arg;

	if (word_after(line, "phys", &arg)) {
		toggle(&g->physical, "phys", arg, out);
	} else if (word_after(line, "step-irq", &arg)) {
		toggle(&g->events, "step-irq", arg, out);
	} else if (word_after(line, "arch", &arg)) {
		*g->t.arch = !strcmp(arg, "i386")     ? GDB_ARCH_I386
			     : !strcmp(arg, "x86-64") ? GDB_ARCH_X86_64
						      : GDB_ARCH_AUTO;
		g_string_append(out,
			"taken when gdb connects again or reads the "
			"description (disconnect and target remote)\n");
	} else {
		g->t.monitor(g->t.opaque, line, out);
		if (word_after(line, "help", &arg))
			g_string_append(out,
				"phys on|off      memory commands take "
				"physical addresses\n"
				"step-irq on|off  deliver interrupts while "
				"stepping\n"
				"arch i386|x86-64|auto  registers that gdb is "
				"told of\n");
	}
}

static void do_command(struct gdb *g, const char *p)
{
	char line[512] = "";
	GString *text = g_string_new(NULL);

	gdb_hex_get(p, (uint8_t *)line, sizeof(line) - 1);
	stub_monitor(g, line, text);
	for (size_t at = 0; at < text->len; at += MAX_REPLY / 2) {
		g_string_assign(g->out, "O");
		gdb_hex_put(g->out, text->str + at,
			MIN(text->len - at, MAX_REPLY / 2));
		reply_send(g);
	}
	g_string_free(text, TRUE);
	reply_ok(g);
}

static void do_query(struct gdb *g, const char *p)
{
	if (g_str_has_prefix(p, "Supported"))
		do_supported(g);
	else if (g_str_has_prefix(p, "Xfer:features:read:"))
		do_features(g, p + 19);
	else if (!strcmp(p, "fThreadInfo"))
		do_thread_list(g);
	else if (!strcmp(p, "sThreadInfo"))
		g_string_assign(g->out, "l");
	else if (g_str_has_prefix(p, "ThreadExtraInfo,"))
		do_thread_info(g, p + 16);
	else if (!strcmp(p, "C"))
		g_string_printf(g->out, "QC%x", g->cpu + 1);
	else if (g_str_has_prefix(p, "Attached"))
		g_string_assign(g->out, "1");
	else if (g_str_has_prefix(p, "Rcmd,"))
		do_command(g, p + 5);
	else if (g_str_has_prefix(p, "Symbol:"))
		reply_ok(g);
	else if (!strcmp(p, "qemu.PhyMemMode"))
		g_string_assign(g->out, g->physical ? "1" : "0");
}

static void do_set(struct gdb *g, const char *p)
{
	if (!strcmp(p, "StartNoAckMode")) {
		g->no_ack = true;
		reply_ok(g);
	} else if (g_str_has_prefix(p, "qemu.PhyMemMode:")) {
		g->physical = p[16] == '1';
		reply_ok(g);
	}
}

/* ---- packets ---- */

static void do_detach(struct gdb *g)
{
	g->leave = true;
	reply_ok(g);
}

/* True: the reply in g->out is to be sent. */
static bool packet(struct gdb *g)
{
	const char *p = (const char *)g->in.data + 1;

	switch (g->in.data[0]) {
	case '?': put_stop(g); break;
	case 'g': do_read_all(g); break;
	case 'G': do_write_all(g, p); break;
	case 'p': do_read_one(g, p); break;
	case 'P': do_write_one(g, p); break;
	case 'm': do_read_memory(g, p); break;
	case 'M': do_write_memory(g, p, false); break;
	case 'X': do_write_memory(g, p, true); break;
	case 'Z': do_break(g, p, true); break;
	case 'z': do_break(g, p, false); break;
	case 'H': do_thread(g, p); break;
	case 'T': do_alive(g, p); break;
	case 'q': do_query(g, p); break;
	case 'Q': do_set(g, p); break;
	case 'c': return do_go(g, p, false, false);
	case 'C': return do_go(g, p, false, true);
	case 's': return do_go(g, p, true, false);
	case 'S': return do_go(g, p, true, true);
	case 'v':
		if (g_str_has_prefix(p, "Cont"))
			return do_vcont(g, p + 4);
		if (g_str_has_prefix(p, "Kill"))
			g->t.kill(g->t.opaque), reply_ok(g);
		break;
	case 'D': do_detach(g); break;
	case 'k':
		g->leave = true;
		g->t.kill(g->t.opaque);
		return false;
	default: break;
	}
	return true;
}

static bool ack(struct gdb *g, const char *sign)
{
	if (!g->no_ack)
		g->t.send(g->t.opaque, sign, 1);
	return true;
}

static bool on_packet(struct gdb *g)
{
	if (g->running)
		return true; /* nothing can be asked now */
	ack(g, "+");
	g_string_truncate(g->out, 0);
	if (packet(g))
		reply_send(g);
	return !g->leave;
}

bool gdb_feed(struct gdb *g, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		bool stay = true;

		switch (gdb_packet_feed(&g->in, data[i])) {
		case GDB_EV_NONE: break;
		case GDB_EV_PACKET: stay = on_packet(g); break;
		case GDB_EV_BAD: ack(g, "-"); break;
		case GDB_EV_TOO_LONG: return false;
		case GDB_EV_INTERRUPT:
			if (g->running)
				g->t.interrupt(g->t.opaque);
			break;
		case GDB_EV_RESEND:
			if (!g->no_ack && g->last->len)
				g->t.send(g->t.opaque, g->last->str,
					g->last->len);
			break;
		}
		if (!stay)
			return false;
	}
	return true;
}

bool gdb_lets_go(const struct gdb *g)
{
	return g->running || g->leave;
}

void gdb_stopped(struct gdb *g, const struct gdb_stop *stop)
{
	if (!g->running)
		return;
	g->running = false;
	g->stop = *stop;
	if (stop->why == GDB_STOP_BREAK) {
		const struct stub_break soft = {GDB_BREAK_SOFT, stop->addr, 1};

		g->stop.kind = find_break(g, &soft) >= 0 ? GDB_BREAK_SOFT
							 : GDB_BREAK_HARD;
	}
	g->cpu = stop->cpu;
	put_stop(g);
	reply_send(g);
}

struct gdb *gdb_new(const struct gdb_target *t, const struct gdb_stop *stop)
{
	struct gdb *g = g_new0(struct gdb, 1);

	g->t = *t;
	g->stop = *stop;
	g->cpu = stop->cpu;
	g->run_cpu = t->ncpus;
	g->out = g_string_new(NULL);
	g->last = g_string_new(NULL);
	stub_describe(g);
	return g;
}

void gdb_free(struct gdb *g)
{
	gdb_regs_fini(&g->regs);
	g_string_free(g->out, TRUE);
	g_string_free(g->last, TRUE);
	g_free(g);
}

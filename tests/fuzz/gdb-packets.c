/*
 * gdb-packets.c - rubbish for the gdb stub, against a machine of 64 bytes.
 *
 *	gdb-packets [COUNT [SEED]]
 *
 * Packets of the protocol with broken numbers, lengths and order, and plain
 * noise.  Nothing may abort, and what comes out must be whole packets.  Built
 * with -fsanitize=fuzzer (by hand) it is a libFuzzer target as well.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gdb/priv.h"

#define CPUS 3

struct rig {
	struct x86_state *state;
	uint8_t memory[64];
	enum gdb_arch arch;
	unsigned breaks, sent;
	bool running;
	struct gdb_packet check; /* of what is sent */
};

static void rig_send(void *opaque, const void *data, size_t len)
{
	struct rig *r = opaque;
	const uint8_t *p = data;

	r->sent++;
	if (len == 1) {
		g_assert_true(*p == '+' || *p == '-');
		return;
	}
	for (size_t i = 0; i < len; i++) {
		enum gdb_event e = gdb_packet_feed(&r->check, p[i]);

		g_assert_cmpint(
			e, ==, i + 1 == len ? GDB_EV_PACKET : GDB_EV_NONE);
	}
}

static const struct x86_state *rig_state(void *opaque, unsigned cpu)
{
	g_assert_cmpuint(cpu, <, CPUS);
	return &((struct rig *)opaque)->state[cpu];
}

static bool rig_set_state(void *opaque, unsigned cpu, const struct x86_state *s)
{
	g_assert_cmpuint(cpu, <, CPUS);
	((struct rig *)opaque)->state[cpu] = *s;
	return true;
}

static bool rig_read(void *opaque, int cpu, uint64_t a, void *buf, size_t len)
{
	struct rig *r = opaque;

	g_assert_cmpint(cpu, <, CPUS);
	if (a > sizeof(r->memory) || len > sizeof(r->memory) - a)
		return false;
	memcpy(buf, r->memory + a, len);
	return true;
}

static bool rig_write(
	void *opaque, int cpu, uint64_t a, const void *buf, size_t len)
{
	struct rig *r = opaque;

	g_assert_cmpint(cpu, <, CPUS);
	if (a > sizeof(r->memory) || len > sizeof(r->memory) - a)
		return false;
	memcpy(r->memory + a, buf, len);
	return true;
}

static int rig_break(
	void *opaque, enum gdb_break kind, uint64_t a, unsigned len, bool on)
{
	struct rig *r = opaque;

	g_assert_cmpuint(len, >, 0);
	if (!on)
		g_assert_cmpuint(r->breaks--, >, 0);
	else if (r->breaks == 8)
		return -28;
	else
		r->breaks++;
	return 0;
}

static void rig_resume(void *opaque, const enum gdb_action *action, bool events)
{
	((struct rig *)opaque)->running = true;
}

static void rig_nothing(void *opaque)
{
}

static void rig_monitor(void *opaque, const char *line, GString *out)
{
	g_string_append_printf(out, "%s#$}*", line);
}

static void rig_describe(void *opaque, unsigned cpu, GString *out)
{
	g_assert_cmpuint(cpu, <, CPUS);
	g_string_append_printf(out, "%u", cpu);
}

static void rig_session(const uint8_t *data, size_t len)
{
	struct rig r = {.running = false};
	struct gdb_target t = {.opaque = &r,
		.ncpus = CPUS,
		.avx = true,
		.avx512 = true,
		.arch = &r.arch,
		.send = rig_send,
		.state = rig_state,
		.set_state = rig_set_state,
		.read = rig_read,
		.write = rig_write,
		.set_break = rig_break,
		.resume = rig_resume,
		.interrupt = rig_nothing,
		.kill = rig_nothing,
		.monitor = rig_monitor,
		.describe = rig_describe};
	struct gdb_stop stop = {.why = GDB_STOP_SIGNAL};
	struct gdb *g;

	r.state = g_aligned_alloc0(CPUS, sizeof(*r.state), 64);
	g = gdb_new(&t, &stop);
	for (size_t i = 0; i < len; i++) {
		if (!gdb_feed(g, data + i, 1))
			break;
		if (!r.running)
			continue;
		r.running = false;
		stop.why = (enum gdb_why)(data[i] % 5);
		stop.cpu = data[i] % CPUS;
		stop.kind = (enum gdb_break)(data[i] % 5);
		stop.addr = i;
		gdb_stopped(g, &stop);
	}
	gdb_free(g);
	g_aligned_free(r.state);
}

#ifdef __SANITIZE_FUZZER__
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	rig_session(data, len);
	return 0;
}
#else

static const char *const words[] = {"?", "g", "G", "p", "P", "m", "M", "X", "Z",
	"z", "H", "Hg", "Hc", "T", "qSupported:swbreak+", "QStartNoAckMode",
	"qXfer:features:read:target.xml:", "qfThreadInfo", "qsThreadInfo",
	"qThreadExtraInfo,", "qC", "qAttached", "qRcmd,", "qSymbol::", "vCont?",
	"vCont;c", "vCont;s:", "vCont;t", "vKill;1", "c", "s", "C05", "S05",
	"D", "k", "Qqemu.PhyMemMode:1", "!", "vMustReplyEmpty"};

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void put_number(GString *s, uint64_t *seed)
{
	static const char *const odd[] = {"", "0", "-1", "ffffffffffffffff",
		"fffffffffffffffff", "x", "40", "3f", "7fffffff", "1000"};
	uint64_t r = next(seed);

	if (r & 1)
		g_string_append(s, odd[r / 2 % G_N_ELEMENTS(odd)]);
	else
		g_string_append_printf(s, "%x", (unsigned)(r >> 8 & 0xfff));
}

static void put_packet(GString *out, uint64_t *seed)
{
	GString *s = g_string_new(words[next(seed) % G_N_ELEMENTS(words)]);

	for (unsigned n = next(seed) % 6; n--;) {
		put_number(s, seed);
		g_string_append_c(s, ",,::;=;."[next(seed) % 8]);
	}
	if (next(seed) % 4 == 0)
		for (unsigned n = next(seed) % 6000; n--;)
			g_string_append_c(
				s, "0123456789abcdefx"[next(seed) % 17]);
	if (next(seed) % 8 == 0 && s->len)
		s->str[next(seed) % s->len] = (char)next(seed);
	gdb_packet_frame(out, s->str, s->len);
	if (next(seed) % 16 == 0)
		out->str[next(seed) % out->len] = (char)next(seed);
	g_string_free(s, TRUE);
}

int main(int argc, char **argv)
{
	unsigned count = argc > 1 ? (unsigned)atoi(argv[1]) : 20000;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) | 1 : 12345;

	for (unsigned i = 0; i < count; i++) {
		GString *s = g_string_new(NULL);

		for (unsigned n = next(&seed) % 30; n--;)
			put_packet(s, &seed);
		for (unsigned n = next(&seed) % 40; n--;)
			g_string_append_c(s, (char)next(&seed));
		rig_session((const uint8_t *)s->str, s->len);
		g_string_free(s, TRUE);
	}
	printf("%u sessions\n", count);
	return 0;
}
#endif

/*
 * Consoles: the escape filter byte by byte, output through the writer thread
 * unchanged and complete, input to a device with little room.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "vmm/console.h"

static void test_escape(void)
{
	static const struct {
		const char *in;
		enum console_act last;
	} cases[] = {
		{"a", CONSOLE_PASS},
		{"\001", CONSOLE_SWALLOW},
		{"\001x", CONSOLE_LEAVE},
		{"\001c", CONSOLE_MONITOR},
		{"\001h", CONSOLE_HELP},
		{"\001\001", CONSOLE_PASS},
		{"\001a", CONSOLE_PASS},
		{"\001zx", CONSOLE_PASS},
		{"\001\001x", CONSOLE_PASS},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct console_escape e = {false};
		enum console_act act = CONSOLE_PASS;

		for (const char *p = cases[i].in; *p; p++)
			act = console_escape_feed(&e, (uint8_t)*p);
		g_assert_cmpint(act, ==, cases[i].last);
	}
}

struct device {
	struct dev_chardev *chr;
	GString *got;
	size_t room;
	unsigned writable;
};

static size_t device_can_receive(void *opaque)
{
	return ((struct device *)opaque)->room;
}

static void device_receive(void *opaque, const uint8_t *buf, size_t len)
{
	struct device *d = opaque;

	g_assert_cmpuint(len, <=, d->room);
	g_string_append_len(d->got, (const char *)buf, (gssize)len);
	d->room -= len;
}

static void device_writable(void *opaque)
{
	((struct device *)opaque)->writable++;
}

struct rig {
	struct bus *bus;
	GMainContext *loop;
	struct console *console;
	struct device dev;
	int in, out; /* our ends */
	unsigned left;
};

static void rig_leave(void *opaque)
{
	((struct rig *)opaque)->left++;
}

static void rig_command(void *opaque, const char *line)
{
}

static void rig_init(struct rig *r)
{
	struct conf_serial conf = {.kind = CONF_SERIAL_STDIO};
	struct console_owner owner = {
		.leave = rig_leave, .command = rig_command, .opaque = r};
	int in[2], out[2];

	memset(r, 0, sizeof(*r));
	g_assert_cmpint(pipe(in), ==, 0);
	g_assert_cmpint(pipe(out), ==, 0);
	r->bus = bus_new(1 << 20, 1 << 20);
	r->loop = g_main_context_new();
	owner.bus = r->bus;
	owner.loop = r->loop;
	conf.in_fd = in[0];
	conf.file.fd = out[1];
	r->in = in[1];
	r->out = out[0];
	r->console = console_new(&conf, &owner);
	r->dev.chr = console_chardev(r->console);
	r->dev.got = g_string_new(NULL);
	r->dev.chr->opaque = &r->dev;
	r->dev.chr->can_receive = device_can_receive;
	r->dev.chr->receive = device_receive;
	r->dev.chr->writable = device_writable;
	g_assert_true(console_start(r->console, NULL));
}

static void rig_fini(struct rig *r)
{
	console_free(r->console);
	close(r->in);
	close(r->out);
	g_string_free(r->dev.got, TRUE);
	g_main_context_unref(r->loop);
	bus_free(r->bus);
}

/* Run the loop until nothing happens for a moment. */
static void rig_settle(struct rig *r)
{
	for (int quiet = 0; quiet < 10; quiet++) {
		if (g_main_context_iteration(r->loop, FALSE))
			quiet = 0;
		else
			g_usleep(500);
	}
}

/* Every byte value, more than the ring holds at once, in order. */
static void test_output(void)
{
	enum { TOTAL = 300000 };
	struct rig r;
	unsigned sent = 0, seen = 0;
	uint8_t buf[4096];

	rig_init(&r);
	while (seen < TOTAL) {
		unsigned n = MIN(1000u, TOTAL - sent);
		size_t took;

		for (unsigned i = 0; i < n; i++)
			buf[i] = (uint8_t)((sent + i) * 7);
		bus_lock(r.bus);
		took = n ? r.dev.chr->write(r.dev.chr, buf, n) : 0;
		bus_unlock(r.bus);
		sent += (unsigned)took;
		if (took == n && n)
			continue;
		if (seen == sent) { /* all read, not yet counted */
			g_usleep(100);
			continue;
		}
		/* full: the reader takes some */
		took = (size_t)read(r.out, buf, sizeof(buf));
		for (unsigned i = 0; i < took; i++)
			g_assert_cmpuint(buf[i], ==, (uint8_t)((seen + i) * 7));
		seen += (unsigned)took;
	}
	rig_settle(&r);
	g_assert_cmpuint(r.dev.writable, >, 0);
	rig_fini(&r);
}

/* What the device has no room for waits; the escape is seen meanwhile. */
static void test_input(void)
{
	struct rig r;

	rig_init(&r);
	r.dev.room = 3;
	g_assert_cmpint(write(r.in, "hello\001\001!", 8), ==, 8);
	rig_settle(&r);
	g_assert_cmpstr(r.dev.got->str, ==, "hel");
	r.dev.room = 100;
	bus_lock(r.bus);
	r.dev.chr->accept_input(r.dev.chr);
	bus_unlock(r.bus);
	rig_settle(&r);
	g_assert_cmpstr(r.dev.got->str, ==, "hello\001!");
	r.dev.room = 0;
	g_assert_cmpint(write(r.in, "\001x", 2), ==, 2);
	rig_settle(&r);
	g_assert_cmpuint(r.left, ==, 1);
	rig_fini(&r);
}

/* The end of input is not the end of anything else. */
static void test_end_of_input(void)
{
	struct rig r;
	uint8_t c = 'x';

	rig_init(&r);
	close(r.in);
	rig_settle(&r);
	bus_lock(r.bus);
	g_assert_cmpuint(r.dev.chr->write(r.dev.chr, &c, 1), ==, 1);
	bus_unlock(r.bus);
	c = 0;
	g_assert_cmpint(read(r.out, &c, 1), ==, 1);
	g_assert_cmpint(c, ==, 'x');
	r.in = open("/dev/null", O_WRONLY);
	rig_fini(&r);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/console/escape", test_escape);
	g_test_add_func("/console/output", test_output);
	g_test_add_func("/console/input", test_input);
	g_test_add_func("/console/end-of-input", test_end_of_input);
	return g_test_run();
}

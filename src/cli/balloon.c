/*
 * balloon.c - what a machine says of its balloon and its guest's memory.
 */
#include "cli/balloon.h"

#include <stdio.h>
#include <unistd.h>

#include "cli/control.h"

#define ANSWER_MS 2000
#define FRESH_NS  1000000000
#define TRIES	  10
#define TRY_US	  30000

JsonObject *cli_balloon_of(JsonObject *status)
{
	JsonNode *n = status ? json_object_get_member(status, "balloon") : NULL;

	return n && JSON_NODE_HOLDS_OBJECT(n) ? json_node_get_object(n) : NULL;
}

static gint64 number(JsonObject *o, const char *key, gint64 none)
{
	JsonNode *n = json_object_get_member(o, key);

	return n && JSON_NODE_HOLDS_VALUE(n) ? json_node_get_int(n) : none;
}

static double mib(gint64 bytes)
{
	return (double)bytes / (1 << 20);
}

static void print_guest(JsonObject *guest, int width, double age_s)
{
	static const struct {
		const char *key, *name;
		bool bytes;
	} rows[] = {
		{"free_bytes", "free", true},
		{"available_bytes", "available", true},
		{"caches_bytes", "caches", true},
		{"total_bytes", "in all", true},
		{"swapped_in_bytes", "swapped in", true},
		{"swapped_out_bytes", "out", true},
		{"minor_faults", "minor faults", false},
		{"major_faults", "major", false},
		{"oom_kills", "killed for want of memory", false},
	};
	const char *comma = "";

	printf("%-*s ", width, "guest");
	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		gint64 n = number(guest, rows[i].key, -1);

		if (n < 0)
			continue;
		printf("%s%s ", comma, rows[i].name);
		if (rows[i].bytes)
			printf("%.1f MiB", mib(n));
		else
			printf("%" G_GINT64_FORMAT, n);
		comma = ", ";
	}
	printf("; %.1f s ago\n", age_s);
}

void cli_balloon_print(JsonObject *status, int width)
{
	JsonObject *balloon = cli_balloon_of(status);
	gint64 all = number(status, "mem_bytes", 0);
	gint64 mem = number(status, "mem_start_bytes", all);
	gint64 have = number(balloon, "actual_bytes", mem);
	gint64 want = number(balloon, "target_bytes", mem);
	JsonNode *guest = json_object_get_member(balloon, "guest");

	printf("%-*s the guest has %.1f of %.1f MiB", width, "balloon",
		mib(have), mib(mem));
	if (all > mem)
		printf(", and %.1f MiB plugged", mib(all - mem));
	if (want != have)
		printf(", shall have %.1f MiB", mib(want));
	if (!json_object_get_boolean_member_with_default(
		    balloon, "driver", FALSE))
		printf(", no driver runs");
	printf("; reported free so far: %.1f MiB\n",
		mib(number(balloon, "reported_bytes", 0)));
	if (guest && JSON_NODE_HOLDS_OBJECT(guest))
		print_guest(json_node_get_object(guest), width,
			(double)number(balloon, "age_ns", 0) / 1e9);
}

/* Will it say something newer soon? */
static bool is_old(const struct wire_msg *m)
{
	JsonObject *b = cli_balloon_of(m->body);

	return b &&
	       json_object_get_boolean_member_with_default(
		       b, "driver", FALSE) &&
	       !g_strcmp0(wire_msg_string(m, "state"), "running") &&
	       number(b, "age_ns", G_MAXINT64) > FRESH_NS;
}

struct wire_msg *cli_balloon_ask(const char *name)
{
	struct wire_msg *m;
	int sock = cli_control_try(name, "status", ANSWER_MS, &m);

	for (unsigned i = 0; m && i < TRIES && is_old(m); i++) {
		wire_msg_free(m);
		g_usleep(TRY_US);
		m = cli_control_ask(sock, "status", NULL, -1, ANSWER_MS, NULL);
	}
	if (sock >= 0)
		close(sock);
	return m;
}

/*
 * stat.c - `vmeste stat`: what a running machine counts.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/balloon.h"
#include "cli/control.h"
#include "cli/verb.h"
#include "conf/error.h"

#define ANSWER_MS 10000
#define SAMPLE_US (G_USEC_PER_SEC / 2) /* of the one-time output */
#define MAX_ROWS  24		       /* of a group in the table */

struct stat_ctx {
	struct cli_words words; /* machine */
	int output, cpu;
	bool watch, all;
	uint64_t every_ms;
};

static bool set_output(void *ctx, const char *v, GError **err)
{
	static const char *const words[] = {"table", "json", NULL};
	static const struct conf_word_list list = {"output format", words};

	return conf_parse_word(
		v, &list, &((struct stat_ctx *)ctx)->output, err);
}

static bool set_watch(void *ctx, const char *v, GError **err)
{
	((struct stat_ctx *)ctx)->watch = true;
	return true;
}

static bool set_every(void *ctx, const char *v, GError **err)
{
	((struct stat_ctx *)ctx)->watch = true;
	return conf_parse_time(v, &((struct stat_ctx *)ctx)->every_ms, err);
}

static bool set_cpu(void *ctx, const char *v, GError **err)
{
	unsigned n;

	if (!conf_parse_uint(v, "processor", 0, CONF_MAX_CPUS - 1, &n, err))
		return false;
	((struct stat_ctx *)ctx)->cpu = (int)n;
	return true;
}

static bool set_all(void *ctx, const char *v, GError **err)
{
	((struct stat_ctx *)ctx)->all = true;
	return true;
}

const struct cli_flag cli_stat_flags[] = {
	{"output", 'o', "FORMAT", "table (default) or json", "table json",
		set_output},
	{"watch", 'w', NULL, "each second what was counted in it", NULL,
		set_watch},
	{"every", 0, "TIME", "watch, but at this interval", NULL, set_every},
	{"cpu", 0, "N", "only processor N (from 0)", NULL, set_cpu},
	{"all", 'a', NULL, "all rows of long groups", NULL, set_all},
	{NULL},
};

void *cli_stat_new(void)
{
	struct stat_ctx *s = g_new0(struct stat_ctx, 1);

	s->words.max = 1;
	s->cpu = -1;
	s->every_ms = 1000;
	return s;
}

/* ---- the table ---- */

struct row {
	const char *key;
	gint64 value, last;
};

static JsonObject *member_object(JsonObject *o, const char *key)
{
	JsonNode *n = o ? json_object_get_member(o, key) : NULL;

	return n && JSON_NODE_HOLDS_OBJECT(n) ? json_node_get_object(n) : NULL;
}

static gint64 member_int(JsonObject *o, const char *key)
{
	JsonNode *n = o ? json_object_get_member(o, key) : NULL;

	return n && JSON_NODE_HOLDS_VALUE(n) ? json_node_get_int(n) : 0;
}

static gint by_group_and_value(gconstpointer pa, gconstpointer pb)
{
	const struct row *a = pa, *b = pb;
	size_t na = strcspn(a->key, "."), nb = strcspn(b->key, ".");
	int d = strncmp(a->key, b->key, MIN(na, nb));

	if (d || na != nb)
		return d ? d : na < nb ? -1 : 1;
	if (a->value != b->value)
		return a->value < b->value ? 1 : -1;
	return strcmp(a->key, b->key);
}

static GArray *rows_of(JsonObject *now, JsonObject *then)
{
	GArray *rows = g_array_new(FALSE, FALSE, sizeof(struct row));
	JsonObjectIter it;
	const char *key;
	JsonNode *v;

	json_object_iter_init(&it, now);
	while (json_object_iter_next(&it, &key, &v)) {
		struct row r = {key,
			JSON_NODE_HOLDS_VALUE(v) ? json_node_get_int(v) : 0,
			member_int(then, key)};

		g_array_append_val(rows, r);
	}
	g_array_sort(rows, by_group_and_value);
	return rows;
}

static void print_shares(JsonObject *now, JsonObject *then)
{
	static const char *const keys[] = {"guest", "engine", "outside"};
	gint64 n[3], sum = 0;

	for (int i = 0; i < 3; i++) {
		n[i] = member_int(now, keys[i]) - member_int(then, keys[i]);
		sum += n[i];
	}
	printf("time      ");
	for (int i = 0; i < 3; i++)
		printf(" %s %.1f %%%s", keys[i],
			sum ? 100.0 * (double)n[i] / (double)sum : 0.0,
			i < 2 ? "," : "\n");
}

static void print_rows(
	const struct stat_ctx *s, GArray *rows, bool delta, double seconds)
{
	const char *group = "";
	size_t len = 0;
	unsigned in_group = 0, more = 0;

	for (guint i = 0; i < rows->len; i++) {
		const struct row *r = &g_array_index(rows, struct row, i);
		size_t n = strcspn(r->key, ".");
		gint64 v = delta ? r->value - r->last : r->value;
		bool same = n == len && !strncmp(group, r->key, n);

		if (!same && more)
			printf("%-10s and %u more (--all)\n", "", more);
		if (!same)
			in_group = more = 0;
		group = r->key;
		len = n;
		if (delta && !v)
			continue;
		if (in_group >= MAX_ROWS && !s->all) {
			more++;
			continue;
		}
		printf("%-10.*s %-28s %16" G_GINT64_FORMAT,
			in_group++ ? 0 : (int)n, r->key,
			r->key[n] ? r->key + n + 1 : "", v);
		if (delta)
			printf(" %14.0f/s", (double)v / seconds);
		putchar('\n');
	}
	if (more)
		printf("%-10s and %u more (--all)\n", "", more);
}

static void print_table(
	const struct stat_ctx *s, JsonObject *now, JsonObject *then, bool delta)
{
	double seconds = (double)(member_int(now, "uptime_ns") -
				  member_int(then, "uptime_ns")) /
			 1e9;
	JsonObject *c = member_object(now, "counters");
	const char *state =
		json_object_get_string_member_with_default(now, "state", "-");
	const char *engine =
		json_object_get_string_member_with_default(now, "engine", "-");
	g_autoptr(GArray) rows = NULL;

	printf("machine    %s: %s on %s, %d processors, up %.1f s\n",
		s->words.word[0], state, engine, (int)member_int(now, "cpus"),
		(double)member_int(now, "uptime_ns") / 1e9);
	print_shares(
		member_object(now, "samples"), member_object(then, "samples"));
	if (cli_balloon_of(now))
		cli_balloon_print(now, 10);
	if (!c)
		return;
	rows = rows_of(c, member_object(then, "counters"));
	print_rows(s, rows, delta, MAX(seconds, 1e-3));
}

static void print_json(const struct wire_msg *m)
{
	g_autofree char *text = json_to_string(m->node, TRUE);

	puts(text);
}

static struct wire_msg *stat_ask(
	const struct stat_ctx *s, int sock, GError **err)
{
	JsonObject *body = json_object_new();

	json_object_set_int_member(body, "cpu", s->cpu);
	return cli_control_ask(sock, "stat", body, -1, ANSWER_MS, err);
}

/* The first answer starts the samples; what is printed is told by the
 * next. */
static bool stat_run(const struct stat_ctx *s, int sock, GError **err)
{
	g_autoptr(wire_msg_auto) then = stat_ask(s, sock, err);

	while (then) {
		struct wire_msg *now;

		g_usleep(s->watch ? s->every_ms * 1000 : SAMPLE_US);
		now = stat_ask(s, sock, err);
		if (!now)
			return false;
		if (s->output)
			print_json(now);
		else
			print_table(s, now->body, then->body, s->watch);
		wire_msg_free(then);
		then = now;
		if (!s->watch)
			return true;
		if (!s->output)
			putchar('\n');
		if (fflush(stdout))
			return true; /* the reader is gone */
	}
	return false;
}

int cli_stat(void *ctx, GError **err)
{
	struct stat_ctx *s = ctx;
	bool ok;
	int sock;

	if (!s->words.word[0]) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"vmeste ls lists the machines that run",
			"which machine?");
		return CONF_ERROR_USAGE;
	}
	sock = cli_control_connect(s->words.word[0], err);
	if (sock < 0)
		return conf_error_status(*err);
	ok = stat_run(s, sock, err);
	close(sock);
	return ok ? 0 : conf_error_status(*err);
}

/*
 * fork.c - `vmeste fork`: copies of a running machine that go on beside it.
 *
 * The machine stands for a moment and hands out what it is: its processors and
 * devices as a state, its memory page by page in a file without a name.  That
 * file is sealed then; all copies map it, and pages that one of them changes
 * are its own.  Each copy is started as any machine in the background is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib-unix.h>

#include "cli/control.h"
#include "cli/files.h"
#include "cli/fork.h"
#include "cli/stored.h"
#include "cli/verb.h"
#include "conf/error.h"
#include "node/folder.h"

#define ANSWER_MS   10000
#define MAX_COPIES  100
#define MAX_SCRATCH 16 /* drives that are ,snapshot */

struct ask {
	GPtrArray *words; /* machine, copies */
	unsigned count;	  /* 0: not stated */
};

void *cli_fork_new(void)
{
	struct ask *a = g_new0(struct ask, 1);

	a->words = g_ptr_array_new_with_free_func(g_free);
	return a;
}

void cli_fork_free(void *ctx)
{
	g_ptr_array_unref(((struct ask *)ctx)->words);
	g_free(ctx);
}

bool cli_fork_positional(void *ctx, const char *word, GError **err)
{
	g_ptr_array_add(((struct ask *)ctx)->words, g_strdup(word));
	return cli_control_name_ok(word, err);
}

static bool set_count(void *ctx, const char *v, GError **err)
{
	return conf_parse_uint(v, "number of copies", 1, MAX_COPIES,
		&((struct ask *)ctx)->count, err);
}

const struct cli_flag cli_fork_flags[] = {
	{"count", 'n', "N",
		"so many copies (default: as many as are named, else 1), called "
		"NAME-1, NAME-2 and so on unless they are named",
		NULL, set_count},
	{NULL},
};

/* ---- names ---- */

static bool taken(const char *name, GPtrArray *running)
{
	if (node_exists(name))
		return true;
	for (guint i = 0; i < running->len; i++)
		if (!strcmp(g_ptr_array_index(running, i), name))
			return true;
	return false;
}

static bool name_copies(
	struct fork *f, const struct ask *a, GPtrArray *running, GError **err)
{
	unsigned named = a->words->len - 1, n = 1;
	unsigned want = a->count ? a->count : MAX(named, 1u);

	if (want != named && named) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"name all copies, or none",
			"%u copies are wanted, %u are named", want, named);
		return false;
	}
	for (unsigned i = 0; i < named; i++) {
		const char *name = g_ptr_array_index(a->words, i + 1);

		for (unsigned k = 0; k < i; k++)
			if (!strcmp(name, g_ptr_array_index(f->names, k)))
				n = 0;
		if (!n || taken(name, running)) {
			conf_error_set(err, CONF_ERROR_CONFLICT, NULL,
				"choose another name, or leave names out",
				n ? "there is a machine '%s' already"
				  : "'%s' is named twice",
				name);
			return false;
		}
		g_ptr_array_add(f->names, g_strdup(name));
	}
	for (; f->names->len < want; n++) {
		g_autofree char *name = g_strdup_printf("%s-%u", f->name, n);

		if (!cli_control_name_ok(name, err))
			return false;
		if (!taken(name, running))
			g_ptr_array_add(f->names, g_steal_pointer(&name));
	}
	return true;
}

/* ---- what the machine is asked for ---- */

static int memory_file(uint64_t bytes, GError **err)
{
	int fd = memfd_create("vmeste", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && !ftruncate(fd, (off_t)bytes))
		return fd;
	conf_error_set_errno(
		err, errno, NULL, "cannot make a file for the memory");
	if (fd >= 0)
		close(fd);
	return -1;
}

static int scratch(GError **err)
{
	struct conf_file f = {.fd = -1};
	bool ok = cli_files_scratch(&f, err);

	g_free(f.path);
	return ok ? f.fd : -1;
}

/* What the process says that writes the state: vmm/priv.h has the same. */
struct snapshot_result {
	uint64_t ok, bytes, ns;
	char message[232];
};

static bool wait_copied(int from, GError **err)
{
	struct snapshot_result r = {0};
	ssize_t n = read(from, &r, sizeof(r));

	if (n == sizeof(r) && r.ok)
		return true;
	r.message[sizeof(r.message) - 1] = '\0';
	conf_error_set(err, CONF_ERROR_FAILED,
		n == sizeof(r) ? r.message
			       : "the process that copied it was killed",
		"look whether the host has memory left",
		"the machine cannot be copied");
	return false;
}

/* Files for what is written to ,snapshot drives from then on, and for UEFI's
 * variables: the machine takes what it needs of them. */
static bool more_files(
	struct fork *f, GArray *fds, JsonObject *body, GError **err)
{
	f->nvram = scratch(err);
	if (f->nvram < 0)
		return false;
	json_object_set_int_member(body, "nvram", fds->len);
	g_array_append_val(fds, f->nvram);
	for (unsigned i = 0; i < MAX_SCRATCH; i++) {
		int fd = scratch(err);

		if (fd < 0)
			return false;
		g_array_append_val(fds, fd);
	}
	return true;
}

/* *ns: how long the machine stood. */
static bool take(struct fork *f, uint64_t bytes, uint64_t *ns, GError **err)
{
	g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
	g_autoptr(wire_msg_auto) m = NULL;
	JsonObject *body = json_object_new();
	guint own;
	int result[2];
	bool ok;

	f->state = scratch(err);
	f->ram = f->state < 0 ? -1 : memory_file(bytes, err);
	if (f->ram < 0 || !g_unix_open_pipe(result, FD_CLOEXEC, err)) {
		json_object_unref(body);
		return false;
	}
	g_array_append_val(fds, f->state);
	g_array_append_val(fds, result[1]);
	g_array_append_val(fds, f->ram);
	json_object_set_boolean_member(body, "running", TRUE);
	json_object_set_int_member(body, "ram", 2);
	ok = more_files(f, fds, body, err) &&
	     fork_disks_plan(f, body, fds, err);
	own = 4; /* state, pipe, memory, variables */
	if (ok)
		m = cli_control_ask_fds(f->sock, "save", body, fds, -1, err);
	else
		json_object_unref(body);
	for (guint i = own; i < fds->len; i++)
		close(g_array_index(fds, int, i));
	close(result[1]);
	if (m)
		*ns = (uint64_t)wire_msg_int(m, "ns", 0);
	/* also if it failed */
	ok = fork_disks_done(f, m ? err : NULL) && m &&
	     wait_copied(result[0], err);
	f->result = result[0];
	return ok;
}

/* Its memory is there, and nobody can change it any more: the copies, which
 * were made meanwhile, go on. */
static bool give_memory(struct fork *f, GError **err)
{
	static const char bytes[MAX_COPIES];
	bool ok = wait_copied(f->result, err);

	if (ok && fcntl(f->ram, F_ADD_SEALS,
			  F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW |
				  F_SEAL_SEAL)) {
		conf_error_set_errno(
			err, errno, NULL, "cannot seal the copied memory");
		ok = false;
	}
	if (ok && write(f->ready[1], bytes, f->names->len) < 0)
		ok = false;
	close(f->ready[1]); /* or they hear that there is none */
	f->ready[1] = -1;
	return ok;
}

/* ---- starting ---- */

static void forget_files(void *opaque)
{
	struct fork *f = opaque;

	const int fds[] = {f->sock, f->state, f->ram, f->nvram, f->result,
		f->ready[0], f->ready[1]};

	for (unsigned i = 0; i < G_N_ELEMENTS(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	fork_disks_close(f);
}

/* What cli_stored_wait waits at, or -1. */
static int start(struct fork *f, const char *name, GError **err)
{
	struct cli_background b = {
		.name = name, .lock = -1, .forget = forget_files, .opaque = f};
	struct conf_machine *m;

	if (f->dir && !node_create(name, err))
		return -1;
	m = fork_copy(f, name, err);
	if (!m)
		return -1;
	b.run = cli_run_new();
	cli_run_adopt(b.run, m);
	if (f->dir)
		b.lock = node_begin(name, err);
	if ((!f->dir || b.lock >= 0) && cli_run_open(b.run, NULL, err))
		return cli_stored_background(&b, err);
	if (b.lock >= 0)
		close(b.lock);
	cli_run_free(b.run);
	fork_copy_drop(f, name);
	return -1;
}

/* How many of them run; what failed is said. */
static unsigned start_all(struct fork *f, GError **err)
{
	g_autofree int *fd = g_new(int, f->names->len);
	unsigned run = 0;

	for (guint i = 0; i < f->names->len; i++) {
		g_autoptr(GError) e = NULL;

		fd[i] = start(f, g_ptr_array_index(f->names, i), &e);
		if (e && err && !*err)
			g_propagate_error(err, g_steal_pointer(&e));
	}
	give_memory(f, err && !*err ? err : NULL);
	for (guint i = 0; i < f->names->len; i++) {
		const char *name = g_ptr_array_index(f->names, i);
		g_autoptr(GError) e = NULL;

		if (fd[i] < 0)
			continue;
		if (!cli_stored_wait(fd[i], &e)) {
			puts(name);
			run++;
			continue;
		}
		fork_copy_drop(f, name);
		if (err && !*err)
			g_propagate_error(err, g_steal_pointer(&e));
	}
	return run;
}

static void report(
	const struct fork *f, unsigned run, gint64 start_us, uint64_t stood_ns)
{
	gint64 us = g_get_monotonic_time() - start_us;
	struct stat st = {0};

	fstat(f->ram, &st);
	fprintf(stderr,
		"vmeste: %u cop%s of '%s' run%s after %.2f s; it stood for "
		"%.1f ms; %.0f MB of memory in common\n",
		run, run == 1 ? "y" : "ies", f->name, run == 1 ? "s" : "",
		(double)us * 1e-6, (double)stood_ns * 1e-6,
		(double)st.st_blocks * 512 * 1e-6);
}

/* ---- the verb ---- */

static int not_running(const char *name, GError **err)
{
	if (!node_exists(name))
		return cli_status(err);
	g_clear_error(err);
	conf_error_set(err, CONF_ERROR_CONFLICT,
		"what is copied is a running machine's memory",
		"vmeste start NAME, then fork it", "'%s' does not run", name);
	return CONF_ERROR_CONFLICT;
}

static bool look(struct fork *f, uint64_t *bytes, GError **err)
{
	g_autoptr(wire_msg_auto) m =
		cli_control_ask(f->sock, "status", NULL, -1, ANSWER_MS, err);
	const char *engine = m ? wire_msg_string(m, "engine") : NULL;
	int word = CONF_ENGINE_AUTO;

	if (!m)
		return false;
	/* There is no need to find out which one is the fastest. */
	if (engine && conf_parse_word(engine, &conf_engine_words, &word, NULL))
		f->engine = (enum conf_engine)word;
	*bytes = (uint64_t)wire_msg_int(m, "ram_bytes", 0);
	return true;
}

static int fork_machine(struct fork *f, GError **err)
{
	gint64 start_us = g_get_monotonic_time();
	uint64_t bytes, stood_ns = 0;
	unsigned run;

	if (!look(f, &bytes, err) ||
		!g_unix_open_pipe(f->ready, FD_CLOEXEC, err) ||
		!take(f, bytes, &stood_ns, err))
		return cli_status(err);
	run = start_all(f, err);
	if (run)
		report(f, run, start_us, stood_ns);
	if (run == f->names->len)
		return 0;
	return run ? CONF_ERROR_PARTIAL : cli_status(err);
}

int cli_fork(void *ctx, GError **err)
{
	const struct ask *a = ctx;
	struct fork f = {.state = -1,
		.ram = -1,
		.nvram = -1,
		.result = -1,
		.ready = {-1, -1},
		.snaps.lock = -1};
	g_autoptr(GPtrArray) running = NULL;
	int status;

	if (!a->words->len) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"vmeste ls lists the machines that run",
			"which machine?");
		return CONF_ERROR_USAGE;
	}
	f.name = g_ptr_array_index(a->words, 0);
	f.sock = cli_control_connect(f.name, err);
	if (f.sock < 0)
		return not_running(f.name, err);
	f.names = g_ptr_array_new_with_free_func(g_free);
	f.dir = node_exists(f.name) ? node_dir(f.name) : NULL;
	running = cli_control_names(err);
	status = running && name_copies(&f, a, running, err)
			 ? fork_machine(&f, err)
			 : cli_status(err);
	forget_files(&f);
	g_ptr_array_unref(f.names);
	g_free(f.dir);
	return status;
}

/*
 * job.c - taking a job, opening its images, telling how far it is.
 */
#include "disk/job.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "block/luks.h"
#include "conf/error.h"

#define TELL_US 100000

static const struct {
	const char *name;
	bool (*run)(struct disk_job *j, GError **err);
} jobs[] = {{"create", disk_create}, {"info", disk_info}, {"map", disk_map},
	{"check", disk_check}, {"compare", disk_compare},
	{"convert", disk_convert}, {"compact", disk_compact},
	{"resize", disk_resize}, {"rebase", disk_rebase},
	{"commit", disk_commit}, {"differ", disk_differ}, {"mount", disk_mount},
	{"serve", disk_nbd}};

/* ---- the request ---- */

const char *disk_arg(const struct disk_job *j, const char *key)
{
	return wire_msg_string(j->msg, key);
}

uint64_t disk_arg_size(const struct disk_job *j, const char *key)
{
	return (uint64_t)MAX(wire_msg_int(j->msg, key, 0), 0);
}

bool disk_arg_bool(const struct disk_job *j, const char *key)
{
	return json_object_get_boolean_member_with_default(
		j->msg->body, key, FALSE);
}

static JsonObject *role_of(const struct disk_job *j, const char *role)
{
	JsonNode *n = json_object_get_member(j->msg->body, "images");
	JsonObject *all =
		n && JSON_NODE_HOLDS_OBJECT(n) ? json_node_get_object(n) : NULL;

	n = all ? json_object_get_member(all, role) : NULL;
	return n && JSON_NODE_HOLDS_OBJECT(n) ? json_node_get_object(n) : NULL;
}

bool disk_has(const struct disk_job *j, const char *role)
{
	return role_of(j, role) != NULL;
}

const char *disk_path(const struct disk_job *j, const char *role)
{
	JsonObject *o = role_of(j, role);

	return o ? json_object_get_string_member_with_default(o, "path", NULL)
		 : NULL;
}

const struct image_format *disk_format(
	const struct disk_job *j, const char *role, GError **err)
{
	JsonObject *o = role_of(j, role);
	const char *name = o ? json_object_get_string_member_with_default(
				       o, "format", NULL)
			     : NULL;
	const struct image_format *f = image_format_find(name);

	if (!f)
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"one of raw, qcow2, vhd, vhdx, vdi, vmdk, parallels, "
			"dmg",
			"unknown format '%s'", name ? name : "");
	return f;
}

/* ---- files ---- */

/* A descriptor of our own, or -1. */
static int fd_of(const struct disk_job *j, JsonObject *o, const char *key)
{
	gint64 i = o ? json_object_get_int_member_with_default(o, key, -1) : -1;

	if (i < 0 || i >= j->msg->nfds || j->msg->fds[i] < 0)
		return -1;
	return fcntl(j->msg->fds[i], F_DUPFD_CLOEXEC, 3);
}

int disk_fd(struct disk_job *j, const char *role, GError **err)
{
	int fd = fd_of(j, role_of(j, role), "fd");

	if (fd >= 0)
		return fd;
	conf_error_set(err, CONF_ERROR_FAILED, NULL, NULL,
		"the client sent no file as %s", role);
	return -1;
}

/* The lock of a file belongs to all its descriptors together. */
struct blk *disk_file(struct disk_job *j, const char *role, GError **err)
{
	JsonObject *o = role_of(j, role);
	int fd = disk_fd(j, role, err);
	bool lazy = fd >= 0 && json_object_get_boolean_member_with_default(
				       o, "lazy", FALSE);
	bool write = fd >= 0 && json_object_get_boolean_member_with_default(
					o, "write", FALSE);
	struct blk *b = fd < 0 ? NULL : blk_raw_open(fd, !write, err);

	if (b && lazy)
		blk_raw_no_sync(b);
	return b;
}

/* struct image_source: ask the client. */
static struct blk *open_named(void *opaque, const char *from, const char *name,
	bool writable, char **path, GError **err)
{
	struct disk_job *j = opaque;
	JsonObject *body = json_object_new();
	g_autoptr(wire_msg_auto) answer = NULL;
	const char *text;
	int fd = -1;

	json_object_set_string_member(body, "name", name);
	json_object_set_boolean_member(body, "write", writable);
	json_object_set_boolean_member(body, "make", !from);
	if (from)
		json_object_set_string_member(body, "image", from);
	if (!wire_send(j->sock, "open", body, NULL, 0, err))
		return NULL;
	answer = wire_recv(j->sock, err);
	if (answer && !strcmp(answer->type, "opened") && answer->nfds == 1) {
		fd = answer->fds[0];
		answer->fds[0] = -1;
		*path = g_strdup(wire_msg_string(answer, "path"));
	} else if (!err || !*err) {
		text = answer ? wire_msg_string(answer, "error") : NULL;
		g_set_error(err, CONF_ERROR,
			answer ? (int)wire_msg_int(answer, "code", 1) : 1, "%s",
			text ? text : "the client is gone");
	}
	return fd < 0 ? NULL : blk_raw_open(fd, !writable, err);
}

struct blk *disk_file_named(struct disk_job *j, const char *name, GError **err)
{
	g_autofree char *path = NULL;
	struct blk *b = open_named(j, NULL, name ? name : "", true, &path, err);

	if (b)
		blk_raw_no_sync(b);
	return b;
}

struct image_source disk_source(struct disk_job *j)
{
	return (struct image_source){open_named, j};
}

/* ---- encryption ---- */

static uint8_t *secret_of(
	struct disk_job *j, const char *role, size_t *len, GError **err)
{
	JsonObject *o = role_of(j, role);
	int fd = fd_of(j, o, "key");

	if (fd >= 0)
		return luks_secret_read(fd, len, err);
	conf_error_set(err, CONF_ERROR_FAILED, NULL, NULL,
		"the client sent no key for %s", role);
	return NULL;
}

/* The disk that lies encrypted on b, if the client sent a key. */
static struct blk *unlock(
	struct disk_job *j, const char *role, struct blk *b, GError **err)
{
	JsonObject *o = role_of(j, role);
	struct blk *open = NULL;
	uint8_t *secret;
	size_t len;

	if (!json_object_has_member(o, "key"))
		return b;
	secret = secret_of(j, role, &len, err);
	if (secret)
		open = luks_open(b, secret, len, err);
	else
		blk_close(b);
	luks_secret_free(secret, len);
	return open;
}

/* False: nothing is to be encrypted. */
static bool encrypts(const struct disk_job *j, enum luks_kind *kind)
{
	const char *word = disk_arg(j, "encrypt");

	*kind = !g_strcmp0(word, "luks1") ? LUKS_1 : LUKS_2;
	return word != NULL;
}

uint64_t disk_overhead(const struct disk_job *j)
{
	enum luks_kind kind;

	return encrypts(j, &kind) ? luks_overhead(kind) : 0;
}

struct blk *disk_encrypt(struct disk_job *j, struct blk *b, GError **err)
{
	struct blk *open = NULL;
	enum luks_kind kind;
	struct luks_new how;
	uint8_t *secret;
	size_t len;

	if (!encrypts(j, &kind))
		return b;
	secret = secret_of(j, "dst", &len, err);
	how = (struct luks_new){.kind = kind, .secret = secret, .len = len};
	if (secret && luks_format(b, &how, err))
		open = luks_open(b, secret, len, err);
	else
		blk_close(b);
	luks_secret_free(secret, len);
	return open;
}

/* ---- images ---- */

/* No error in the tables of the image, nor in those that it stands on. */
static bool is_whole(const struct blk *top, GError **err)
{
	union {
		const struct blk *in;
		struct blk *out;
	} b;

	for (b.in = top; b.in; b.in = b.in->backing) {
		const struct image_format *f = image_format_of(b.in);
		struct image_check c = {0};
		int rc = f && f->check ? f->check(b.out, &c) : 0;

		if (rc && rc != -EFBIG) /* more than check can count */
			return disk_errno(err, rc, "cannot check the image");
		if (!c.errors)
			continue;
		conf_error_set(err, CONF_ERROR_FAILED,
			"what they show may be wrong",
			f->create ? "vmeste disk check tells more, and check "
				    "--repair, on a copy, mends what can be"
				  : "vmeste disk check tells more; such an "
				    "image must be made anew",
			"the %s image is damaged: errors in its tables: "
			"%" PRIu64,
			f->name, c.errors);
		return false;
	}
	return true;
}

static struct blk *open_image(struct disk_job *j, const char *role,
	unsigned how, const char *snapshot, GError **err)
{
	JsonObject *o = role_of(j, role);
	const struct image_format *f = disk_format(j, role, err);
	const struct image_source source = disk_source(j);
	struct image_open open = {.source = &source,
		.path = disk_path(j, role),
		.no_backing = how & DISK_ALONE,
		.repair = how & DISK_REPAIR,
		.snapshot = snapshot};
	struct blk *b;

	if (!f)
		return NULL;
	open.readonly =
		snapshot ||
		!json_object_get_boolean_member_with_default(o, "write", FALSE);
	open.lower = disk_file(j, role, err);
	b = open.lower ? image_open(f, &open, err) : NULL;
	/* check walks what a snapshot shows as what is, and other way round */
	if (b && how & DISK_WHOLE && !snapshot && !is_whole(b, err))
		g_clear_pointer(&b, blk_close);
	if (b)
		b = unlock(j, role, b, err);
	if (!b)
		g_prefix_error(err, "%s: ", disk_path(j, role));
	return b;
}

static const char *snapshot_of(const struct disk_job *j, const char *role)
{
	JsonObject *o = role_of(j, role);

	return o ? json_object_get_string_member_with_default(
			   o, "snapshot", NULL)
		 : NULL;
}

struct blk *disk_image(
	struct disk_job *j, const char *role, unsigned how, GError **err)
{
	return open_image(j, role, how, snapshot_of(j, role), err);
}

struct blk *disk_image_snapshot(
	struct disk_job *j, const char *role, const char *id, GError **err)
{
	return open_image(j, role, 0, id, err);
}

bool disk_image_has_snapshot(const struct disk_job *j, const char *role)
{
	return snapshot_of(j, role) != NULL;
}

struct blk *disk_open_made(struct disk_job *j, const char *role,
	struct blk *lower, bool alone, GError **err)
{
	const struct image_source source = disk_source(j);
	struct image_open open = {.lower = lower,
		.source = &source,
		.path = disk_path(j, role),
		.no_backing = alone};

	return image_open(disk_format(j, role, NULL), &open, err);
}

/* ---- telling ---- */

void disk_progress(struct disk_job *j, uint64_t done, uint64_t total)
{
	gint64 now = g_get_monotonic_time();
	JsonObject *body;

	if (now - j->told_us < TELL_US)
		return;
	j->told_us = now;
	body = json_object_new();
	json_object_set_int_member(body, "done", (gint64)done);
	json_object_set_int_member(body, "total", (gint64)total);
	wire_send(j->sock, "progress", body, NULL, 0, NULL);
}

void disk_note(struct disk_job *j, const char *text)
{
	JsonObject *body = json_object_new();

	json_object_set_string_member(body, "text", text);
	wire_send(j->sock, "note", body, NULL, 0, NULL);
}

bool disk_errno(GError **err, int rc, const char *what)
{
	conf_error_set_errno(err, -rc, NULL, "%s", what);
	return false;
}

/* ---- serving ---- */

bool disk_ask_fds(
	struct disk_job *j, const char *type, int *fd, unsigned n, GError **err)
{
	g_autoptr(wire_msg_auto) answer = NULL;
	const char *text;

	if (!wire_send(j->sock, type, NULL, NULL, 0, err))
		return false;
	answer = wire_recv(j->sock, err);
	if (answer && !strcmp(answer->type, "opened") && answer->nfds == n) {
		for (unsigned i = 0; i < n; i++) {
			fd[i] = answer->fds[i];
			answer->fds[i] = -1;
		}
		return true;
	}
	text = answer ? wire_msg_string(answer, "error") : NULL;
	if (!err || !*err)
		g_set_error(err, CONF_ERROR,
			answer ? (int)wire_msg_int(answer, "code", 1) : 1, "%s",
			text ? text : "the client is gone");
	return false;
}

static int stop_fd = -1; /* one job a process; for the signal */

static void on_stop(int sig)
{
	static const uint64_t one = 1;
	int was = errno;

	if (write(stop_fd, &one, sizeof(one)) < 0)
		errno = was;
	errno = was;
}

int disk_stop_fd(void)
{
	const struct sigaction a = {
		.sa_handler = on_stop, .sa_flags = SA_RESTART};

	stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	sigaction(SIGTERM, &a, NULL);
	sigaction(SIGHUP, &a, NULL);
	return stop_fd;
}

bool disk_ready(struct disk_job *j, JsonObject *body, GError **err)
{
	if (!body)
		body = json_object_new();
	json_object_set_int_member(body, "status", 0);
	if (disk_arg_bool(j, "background")) {
		prctl(PR_SET_PDEATHSIG, 0);
		/* Whoever waits for the end of what we might say. */
		dup2(1, 2);
	}
	return wire_send(j->sock, "ready", body, NULL, 0, err);
}

static int job_run(struct disk_job *j, GError **err)
{
	const char *what = disk_arg(j, "what");

	for (unsigned i = 0; i < G_N_ELEMENTS(jobs); i++)
		if (!g_strcmp0(what, jobs[i].name))
			return jobs[i].run(j, err) ? j->status
			       : err && *err	   ? conf_error_status(*err)
						   : CONF_ERROR_FAILED;
	conf_error_set(err, CONF_ERROR_FAILED, NULL, NULL, "unknown job");
	return CONF_ERROR_FAILED;
}

int disk_serve(int sock, void (*shut_door)(void))
{
	struct disk_job j = {.sock = sock, .result = json_object_new()};
	g_autoptr(GError) err = NULL;
	JsonObject *body = json_object_new();
	int status = CONF_ERROR_FAILED;

	j.msg = wire_recv(sock, &err);
	/* What the terminal is told does not mean us. */
	if (j.msg && disk_arg_bool(&j, "background"))
		setsid();
	shut_door();
	if (j.msg)
		status = job_run(&j, &err);
	json_object_set_int_member(body, "status", status);
	if (err)
		json_object_set_string_member(body, "message", err->message);
	json_object_set_object_member(body, "result", j.result);
	wire_send(sock, "done", body, NULL, 0, NULL);
	if (j.msg)
		wire_msg_free(j.msg);
	return status;
}

/*
 * fork_copy.c - one copy of a machine: its folder and what it has of its own.
 *
 * A copy sees the hardware of the machine, with other addresses and another
 * generation id, and goes to other places on the host: streams and screens of
 * its own, no forwarded ports.
 *
 * Files in the machine's folder that a copy needs become files of the copy's
 * folder too (hard links): who removes or moves the machine takes nothing away
 * from its copies.  What must not be shared is copied.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/control.h"
#include "cli/fork.h"
#include "cli/state.h"
#include "conf/error.h"
#include "node/folder.h"

#define FIRST_OWN_CID 0x1000 /* copies': below are those that users choose */

struct copy {
	const struct fork *f;
	const char *name;
	char *dir; /* its folder, or NULL */
	struct conf_machine *m;
};

/* ---- files ---- */

const char *fork_inside(const struct fork *f, const char *path)
{
	size_t n = f->dir ? strlen(f->dir) : 0;

	return n && path && !strncmp(path, f->dir, n) && path[n] == '/'
		       ? path + n + 1
		       : NULL;
}

static bool make_folder_of(const char *path, GError **err)
{
	g_autofree char *dir = g_path_get_dirname(path);

	if (!g_mkdir_with_parents(dir, 0700))
		return true;
	conf_error_set_errno(
		err, errno, NULL, "cannot make the folder %s", dir);
	return false;
}

bool fork_bring(
	const struct fork *f, const char *dir, const char *file, GError **err)
{
	g_autofree char *from = g_build_filename(f->dir, file, NULL);
	g_autofree char *to = g_build_filename(dir, file, NULL);

	if (!make_folder_of(to, err))
		return false;
	if (!link(from, to) || errno == EEXIST)
		return true;
	conf_error_set_errno(err, errno,
		"put it outside of the machine's folder",
		"copies of '%s' cannot share %s", f->name, from);
	return false;
}

/* The copy has the file in its own folder. */
static bool bring(const struct copy *c, struct conf_file *file, GError **err)
{
	const char *rest = fork_inside(c->f, file->path);
	char *to;

	if (!rest)
		return true;
	if (!fork_bring(c->f, c->dir, rest, err))
		return false;
	to = g_build_filename(c->dir, rest, NULL);
	g_free(file->path);
	file->path = to;
	return true;
}

static bool bring_files(const struct copy *c, GError **err)
{
	struct conf_machine *m = c->m;

	if (!bring(c, &m->kernel, err) || !bring(c, &m->initrd, err) ||
		!bring(c, &m->firmware_file, err) ||
		!bring(c, &m->tls_cert, err) || !bring(c, &m->tls_key, err) ||
		!bring(c, &m->audio_source_file, err))
		return false;
	for (guint i = 0; i < m->drives->len; i++) {
		struct conf_drive *d = g_ptr_array_index(m->drives, i);

		if (!bring(c, &d->file, err))
			return false;
	}
	return !c->dir || fork_disks_copy(c->f, c->dir, m, err);
}

/* UEFI's variables, as they were at the moment of the copy. */
static bool copy_nvram(const struct copy *c, GError **err)
{
	struct conf_machine *m = c->m;
	const char *rest = fork_inside(c->f, m->nvram.path);
	g_autofree uint8_t *buf = NULL;
	g_autoptr(GError) e = NULL;
	struct stat st;
	char *to;

	if (!m->nvram_keep)
		return true;
	if (!c->dir) {
		conf_error_set(err, CONF_ERROR_UNSUPPORTED,
			"two machines cannot write one file",
			"leave --nvram out, or make a machine that has a "
			"folder: vmeste create",
			"'%s' cannot be forked with its variable store",
			c->f->name);
		return false;
	}
	to = g_build_filename(c->dir, rest ? rest : "nvram.fd", NULL);
	g_free(m->nvram.path);
	m->nvram.path = to;
	if (!make_folder_of(to, err))
		return false;
	if (!fstat(c->f->nvram, &st) && st.st_size < 64 << 20) {
		buf = g_malloc((gsize)st.st_size + 1);
		if (pread(c->f->nvram, buf, (size_t)st.st_size, 0) ==
				st.st_size &&
			g_file_set_contents(
				to, (const char *)buf, st.st_size, &e))
			return true;
	}
	conf_error_set(err, CONF_ERROR_FAILED, e ? e->message : NULL, NULL,
		"cannot copy the variable store to %s", to);
	return false;
}

/* ---- who it is ---- */

/* Ours by the first three bytes, which say that it was given locally. */
static void new_mac(uint8_t mac[6])
{
	static const uint8_t ours[3] = {0x52, 0x56, 0x4d};
	uint32_t r = g_random_int();

	memcpy(mac, ours, sizeof(ours));
	for (unsigned i = 3; i < 6; i++)
		mac[i] = (uint8_t)(r >> (8 * (i - 3)));
}

static void own_identity(const struct copy *c)
{
	struct conf_machine *m = c->m;

	g_free(m->name);
	m->name = g_strdup(c->name);
	g_free(m->genid_value);
	m->genid_value = m->genid ? g_uuid_string_random() : NULL;
	for (guint i = 0; i < m->nics->len; i++) {
		struct conf_nic *n = g_ptr_array_index(m->nics, i);

		new_mac(n->mac);
		n->has_mac = true;
		g_array_set_size(n->forwards, 0);
	}
	m->copy = true;
	m->engine = c->f->engine;
}

/* ---- where it goes on the host ---- */

static void set_path(struct conf_file *f, char *path)
{
	g_free(f->path);
	f->path = path;
}

/* Two machines cannot write one stream: beside it, with the copy's name. */
static void beside(const struct copy *c, struct conf_file *f)
{
	if (f->path && strcmp(f->path, "/dev/null"))
		set_path(f, g_strdup_printf("%s.%s", f->path, c->name));
}

/* first: what vmeste console shows. */
static void own_stream(const struct copy *c, struct conf_serial *s, bool first)
{
	g_autofree char *console = cli_control_path(c->f->name, ".serial");

	if (s->kind == CONF_SERIAL_NONE)
		return;
	if (first && (s->kind == CONF_SERIAL_STDIO ||
			     !g_strcmp0(s->file.path, console))) {
		s->kind = CONF_SERIAL_UNIX;
		set_path(&s->file, cli_control_path(c->name, ".serial"));
		unlink(s->file.path); /* of one that was killed */
	} else if (s->kind == CONF_SERIAL_STDIO) {
		s->kind = CONF_SERIAL_FILE;
		set_path(&s->file, g_strdup("/dev/null"));
	} else {
		beside(c, &s->file);
	}
}

/* Where a guest's sockets are; its driver is told that they are others. */
static void own_vsock(const struct copy *c)
{
	struct conf_vsock *v = &c->m->vsock;

	v->cid = (unsigned)g_random_int_range(FIRST_OWN_CID, G_MAXINT);
	if (v->stated)
		beside(c, &v->socket);
}

static void own_streams(const struct copy *c)
{
	struct conf_machine *m = c->m;

	for (guint i = 0; i < m->serial->len; i++)
		own_stream(c, g_ptr_array_index(m->serial, i), i == 0);
	for (guint i = 0; i < m->parallel->len; i++)
		own_stream(c, g_ptr_array_index(m->parallel, i), false);
	own_stream(c, &m->console, false);
	own_stream(c, &m->debugcon, false);
	own_stream(c, &m->smartcard, false);
	own_vsock(c);
	beside(c, &m->audio_file);
	/* the socket that is named after it */
	g_clear_pointer(&m->display_addr, g_free);
}

/* ---- its folder ---- */

static bool write_vsock(
	const struct copy *c, struct node_settings *s, GError **err)
{
	const struct conf_vsock *v = &c->m->vsock;
	g_auto(GStrv) part =
		g_strsplit(v->stated ? v->socket.path : "", ",", -1);
	g_autofree char *path = g_strjoinv(",,", part);
	g_autofree char *text = g_strdup_printf(
		"%s%s,cid=%u", v->stated ? "unix:" : "on", path, v->cid);

	return !v->on || node_settings_add(s, "vsock", text, NULL, err);
}

static bool write_settings(const struct copy *c, GError **err)
{
	g_autofree char *to = node_path(c->name, "machine.xml");
	g_autoptr(node_settings_auto) s = NULL;

	if (!fork_disks_settings(c->f, c->name, c->dir, c->m, err))
		return false;
	s = node_settings_read(to, err);
	if (!s)
		return false;
	for (guint i = 0; i < c->m->nics->len; i++) {
		const struct conf_nic *n = g_ptr_array_index(c->m->nics, i);
		const uint8_t *a = n->mac;
		char mac[18];

		g_snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x",
			a[0], a[1], a[2], a[3], a[4], a[5]);
		node_settings_own_nic(s, i, mac);
	}
	node_settings_drop(s, "display");
	if (!write_vsock(c, s, err))
		return false;
	if (c->m->genid_value &&
		!node_settings_add(s, "genid", c->m->genid_value, NULL, err))
		return false;
	if (c->m->nvram_keep &&
		!node_settings_add(s, "nvram", c->m->nvram.path, c->dir, err))
		return false;
	return node_settings_write(s, to, err);
}

void fork_copy_drop(const struct fork *f, const char *name)
{
	if (f->dir)
		node_discard(name);
}

/* For each machine a file of its own: who reads has a position in it. */
static bool open_again(
	int fd, const char *what, struct conf_file *f, GError **err)
{
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);

	f->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (f->fd < 0) {
		conf_error_set_errno(err, errno, NULL, "cannot open %s", what);
		return false;
	}
	f->path = g_strdup(what);
	return true;
}

struct conf_machine *fork_copy(
	const struct fork *f, const char *name, GError **err)
{
	struct copy c = {.f = f,
		.name = name,
		.dir = f->dir ? node_dir(name) : NULL,
		.m = cli_state_copy(f->state, err)};
	bool ok = c.m != NULL;

	if (ok) {
		own_identity(&c);
		own_streams(&c);
		ok = bring_files(&c, err) && copy_nvram(&c, err) &&
		     (!f->dir || write_settings(&c, err)) &&
		     open_again(
			     f->state, "the copied state", &c.m->state, err) &&
		     open_again(f->ram, "the copied memory", &c.m->ram, err) &&
		     open_again(f->ready[0], "the pipe of the memory",
			     &c.m->ram_ready, err);
	}
	g_free(c.dir);
	if (ok)
		return c.m;
	if (c.m)
		conf_machine_free(c.m);
	fork_copy_drop(f, name);
	return NULL;
}

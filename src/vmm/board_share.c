/*
 * board_share.c - folders of the host that the guest mounts.
 */
#include <errno.h>
#include <sys/resource.h>

#include "conf/error.h"
#include "share/share.h"
#include "vmm/priv.h"

#define MIN_OPEN 64u
#define MAX_OPEN 16384u

/* Descriptors for one of them: what disks and all others need stays. */
static unsigned files_for(unsigned shares)
{
	struct rlimit r = {.rlim_cur = 1024};
	uint64_t n, spare;

	getrlimit(RLIMIT_NOFILE, &r);
	n = MIN((uint64_t)r.rlim_cur, 1u << 20);
	spare = MIN(n / 2, 1024);
	return (unsigned)CLAMP((n - spare) / shares, MIN_OPEN, MAX_OPEN);
}

static bool refuse(const struct conf_share *s, int error, GError **err)
{
	if (error == EACCES || error == EROFS)
		conf_error_set(err, CONF_ERROR_DENIED,
			"a machine that root has started runs as the owner of "
			"its first shared folder, or as nobody if that is root",
			s->readonly ? "let that user read it, or start the "
				      "machine as one who may"
				    : "let that user write to it, start the "
				      "machine as one who may, or add "
				      ",readonly",
			"the machine may not %s %s",
			s->readonly ? "read" : "write to", s->folder.path);
	else if (error == ENOSYS)
		conf_error_set(err, CONF_ERROR_UNSUPPORTED,
			"this host has neither namespaces nor Landlock, by "
			"which a machine sees that folder and no other, or no "
			"/proc",
			"leave --share out; 'vmeste doctor' tells more",
			"cannot share %s", s->folder.path);
	else
		conf_error_set_errno(err, error,
			"name a folder that stays where it is",
			"cannot share %s", s->folder.path);
	return false;
}

static bool add_share(
	struct machine *m, unsigned n, struct conf_share *s, GError **err)
{
	g_autofree char *id = g_strdup_printf("share%u", n);
	struct dev_host h = {.bus = m->bus,
		.gsi = m->board.gsi,
		.pci = m->board.pci,
		.pci_slot = -1};
	struct share_conf conf = {.tag = s->tag,
		.root = s->folder.fd,
		.self_fd = s->self_fd,
		.readonly = s->readonly,
		.uid = s->uid,
		.gid = s->gid,
		.max_open = files_for(m->conf->shares->len)};
	int rc;

	if (s->error)
		return refuse(s, s->error, err);
	s->folder.fd = s->self_fd = -1;
	rc = share_new(&conf, &h.share);
	if (rc)
		return refuse(s, -rc, err);
	g_ptr_array_add(m->board.shares, h.share);
	return board_add(m, "virtio-9p", id, &h, err);
}

bool board_add_shares(struct machine *m, GError **err)
{
	GPtrArray *list = m->conf->shares;

	m->board.shares = g_ptr_array_new();
	for (unsigned i = 0; i < list->len; i++)
		if (!add_share(m, i, g_ptr_array_index(list, i), err))
			return false;
	return true;
}

void board_close_shares(struct machine *m)
{
	GPtrArray *list = m->board.shares;

	for (unsigned i = 0; list && i < list->len; i++)
		share_free(g_ptr_array_index(list, i));
	g_clear_pointer(&m->board.shares, g_ptr_array_unref);
}

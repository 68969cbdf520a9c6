/*
 * media.c - disk images, and discs that come and go while the machine runs.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/image.h"
#include "block/luks.h"
#include "block/meter.h"
#include "conf/error.h"
#include "dev/storage/fdc.h"
#include "vmm/priv.h"

int media_take_fd(struct conf_file *f)
{
	int fd = f->fd;

	f->fd = -1;
	return fd;
}

/* ---- opening ---- */

struct named_request {
	struct machine *m;
	int drive;
};

/* struct image_source */
static struct blk *open_named(void *opaque, const char *from, const char *name,
	bool writable, char **path, GError **err)
{
	struct named_request *r = opaque;
	struct machine *m = r->m;
	struct machine_named what = {
		.from = from, .name = name, .writable = writable};
	int fd;

	if (!m->host.open_named || r->drive < 0) {
		fw_error(err, "nobody can open it here", NULL,
			"the image needs another file (%s)", name);
		return NULL;
	}
	what.drive = (unsigned)r->drive;
	fd = m->host.open_named(m->host.opaque, &what, err);
	*path = what.path;
	return fd < 0 ? NULL : blk_raw_open(fd, !writable, err);
}

static struct blk *open_format(struct machine *m, int drive,
	const struct conf_drive *d, struct blk *lower, GError **err)
{
	struct named_request r = {m, drive};
	const struct image_source source = {open_named, &r};
	struct image_open how = {
		.lower = lower, .readonly = lower->readonly, .source = &source};

	return image_open(image_format_find(conf_format_words.words[d->format]),
		&how, err);
}

#define ISO_VOLUME 32768u /* the primary volume descriptor: ECMA-119, 8.4 */
#define ISO_SECTOR 2048u
#define ISO_RUNOUT 150u /* sectors that copies of discs often lack */

static uint32_t le32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

/* A download that was broken off boots, and then fails anywhere. */
static bool check_iso(struct blk *b, GError **err)
{
	uint8_t v[ISO_SECTOR];
	uint64_t says;

	if (blk_pread(b, v, sizeof(v), ISO_VOLUME) ||
		memcmp(v, "\1CD001", 6) != 0)
		return true; /* not ISO 9660 */
	says = (uint64_t)le32(v + 80) * ISO_SECTOR;
	if (says <= b->size + ISO_RUNOUT * ISO_SECTOR)
		return true;
	return fw_error(err, "it is truncated", "fetch it again",
		"the image has %" PRIu64 " bytes of the %" PRIu64
		" that it says",
		b->size, says);
}

static bool check_content(
	const struct conf_drive *d, struct blk *b, GError **err)
{
	if (b->size < 512)
		return fw_error(err, "it has not even one sector",
			"check how it was made or copied",
			"the image is empty");
	return d->media != CONF_MEDIA_CDROM || check_iso(b, err);
}

/* The size says what disc it is. */
static bool check_floppy(int fd, GError **err)
{
	struct stat st;
	g_autofree char *fix =
		g_strdup_printf("floppies have %s", fdc_format_names);

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || fdc_format(st.st_size))
		return true;
	return fw_error(err,
		st.st_size % 512 ? "its size is no whole number of sectors"
				 : "no floppy is of that size",
		fix, "the image has %" PRIu64 " bytes", (uint64_t)st.st_size);
}

/* d->top becomes the image on b, which goes with it if it fails. */
static struct blk *put_top(struct conf_drive *d, struct blk *b, GError **err)
{
	const char *path = d->top.path ? d->top.path : "";
	g_autofree char *name = g_path_get_basename(path);
	int lock = fcntl(d->top.fd, F_DUPFD_CLOEXEC, 3);
	struct image_child c = {.fd = media_take_fd(&d->top),
		.format = image_format_find("qcow2"),
		.name = name,
		.backing = d->top_backing};
	struct blk *live = image_live_new(b, -1);
	struct blk *child = image_live_child(live, &c, err);

	if (child && blk_flush(child) < 0) {
		fw_error(err, "it cannot be written", NULL, "%s", path);
		image_live_drop(child);
		child = NULL;
	}
	if (!child) {
		if (lock >= 0)
			close(lock);
		blk_close(live);
		return NULL;
	}
	image_live_switch(live, child, lock);
	live->readonly = false;
	live->can_discard = child->can_discard;
	g_free(d->file.path);
	d->file.path = g_steal_pointer(&d->top.path);
	d->format = CONF_FORMAT_QCOW2;
	return live;
}

static struct meter_limits limits_of(const struct conf_drive *d)
{
	return (struct meter_limits){.iops = d->iops,
		.bps = d->bps,
		.burst_ms = d->burst_ms ? d->burst_ms : METER_BURST_MS};
}

/* The disk that lies encrypted on b, if there is a key.  b is consumed. */
static struct blk *unlock(struct conf_drive *d, struct blk *b, GError **err)
{
	uint8_t *secret;
	size_t len;

	if (!b || !d->key.path)
		return b;
	secret = luks_secret_read(media_take_fd(&d->key), &len, err);
	if (secret) {
		b = luks_open(b, secret, len, err);
	} else {
		blk_close(b);
		b = NULL;
	}
	luks_secret_free(secret, len);
	return b;
}

struct blk *media_open(struct machine *m, int drive, struct conf_drive *d,
	struct blk **image, GError **err)
{
	bool top = d->top.fd >= 0;
	bool readonly = d->readonly || d->snapshot || top;
	int lock = readonly ? -1 : fcntl(d->file.fd, F_DUPFD_CLOEXEC, 3);
	struct blk *b = NULL;

	if (d->media != CONF_MEDIA_FLOPPY || d->format != CONF_FORMAT_RAW ||
		check_floppy(d->file.fd, err))
		b = blk_raw_open(media_take_fd(&d->file), readonly, err);
	if (b)
		b = open_format(m, drive, d, b, err);
	if (b && d->snapshot && m->nlayers == BOARD_MAX_LAYERS) {
		fw_error(err, "there is a limit", NULL,
			"too many drives are ,snapshot");
		blk_close(b);
		b = NULL;
	}
	if (b && d->snapshot) {
		m->layer[m->nlayers++] = d->cow.fd;
		b = blk_cow_open(b, media_take_fd(&d->cow), err);
	}
	if (b && top)
		b = put_top(d, b, err);
	else if (b && !readonly)
		b = image_live_new(b, lock);
	else if (lock >= 0)
		close(lock);
	*image = b;
	b = unlock(d, b, err);
	if (b) {
		const struct meter_limits limits = limits_of(d);

		b = meter_new(b, &limits);
	}
	if (b && !check_content(d, b, err))
		g_clear_pointer(&b, blk_close);
	if (!b)
		g_prefix_error(err, "%s %s: ", conf_media_words.words[d->media],
			d->file.path);
	return b;
}

/* ---- changing ---- */

static struct board_drive *find(
	struct machine *m, const char *name, GError **err)
{
	for (unsigned i = 0; i < m->board.ndrives; i++) {
		struct board_drive *d = &m->board.drive[i];

		if (g_strcmp0(d->name, name) != 0)
			continue;
		if (d->conf->media != CONF_MEDIA_DISK)
			return d;
		conf_error_set(err, CONF_ERROR_UNSUPPORTED,
			"only CDs and floppies can be changed", NULL,
			"%s is a fixed disk", name);
		return NULL;
	}
	conf_error_set(err, CONF_ERROR_NOT_FOUND, NULL,
		"they are called cd0, cd1, floppy0, ... in the order of the "
		"flags of vmeste run",
		"there is no drive %s", name ? name : "");
	return NULL;
}

bool media_change(struct machine *m, const char *drive, struct conf_drive *d,
	bool force, GError **err)
{
	struct board_drive *to = find(m, drive, err);
	struct blk *b = NULL, *image = NULL;
	bool may, done;

	if (!to)
		return false;
	if (d) {
		d->media = to->conf->media;
		d->readonly |= to->conf->readonly;
		d->iops = to->conf->iops;
		d->bps = to->conf->bps;
		d->burst_ms = to->conf->burst_ms;
		b = media_open(m, -1, d, &image, err);
		if (!b)
			return false;
	}
	bus_lock(m->bus);
	may = board_may_eject(to) || force;
	done = may && board_swap_medium(to, b, d && d->readonly, &b, err);
	if (done)
		to->image = image;
	bus_unlock(m->bus);
	blk_close(b); /* the old one, or the one that may not go in */
	if (may)
		return done;
	conf_error_set(err, CONF_ERROR_CONFLICT,
		"the guest uses the disc; it has been asked to let it go",
		"try again when it has, or add --force",
		"the drive %s is locked", drive);
	return false;
}

/* ---- limits ---- */

bool media_limit(struct machine *m, const char *drive, const char *key,
	const char *value, GError **err)
{
	for (unsigned i = 0; i < m->board.ndrives; i++) {
		struct board_drive *d = &m->board.drive[i];
		struct meter_limits limits;

		if (strcmp(d->name, drive) != 0)
			continue;
		if (!conf_drive_limit(d->conf, key, value, err))
			return false;
		limits = limits_of(d->conf);
		if (d->blk)
			meter_limit(d->blk, &limits);
		return true;
	}
	conf_error_set(err, CONF_ERROR_NOT_FOUND, NULL,
		"they are called disk0, cd0, floppy0, ... in the order of the "
		"flags of vmeste run",
		"there is no drive %s", drive);
	return false;
}

/*
 * drives.c - the arguments of --disk, --cdrom and --floppy, and where on their
 * bus drives stand.
 */
#include <string.h>

#include "conf/error.h"
#include "conf/options.h"

/* ---- parsing ---- */

static bool bad_bus(GError **err, const char *text)
{
	conf_error_set(err, CONF_ERROR_USAGE, NULL,
		"write for example ide, ide1:0, sata3, scsi12, usb1 or floppy1",
		"bad bus '%s'", text);
	return false;
}

static unsigned slots_of(enum conf_bus bus)
{
	switch (bus) {
	case CONF_BUS_IDE: return CONF_IDE_SLOTS;
	case CONF_BUS_SATA: return CONF_SATA_SLOTS;
	case CONF_BUS_FLOPPY: return CONF_FLOPPY_SLOTS;
	case CONF_BUS_SCSI: return CONF_SCSI_SLOTS;
	default: return 0;
	}
}

/* Numbers that may stand behind a bus's name: slots, or USB controllers. */
static unsigned places_of(enum conf_bus bus)
{
	return bus == CONF_BUS_USB ? CONF_MAX_USB : slots_of(bus);
}

/* What stands behind the bus's name: "1:0" for IDE, "3" for others. */
static bool parse_slot(const char *at, struct conf_drive *d)
{
	unsigned n;

	if (d->bus == CONF_BUS_IDE) {
		if (strlen(at) != 3 || at[0] < '0' || at[0] > '1' ||
			at[1] != ':' || at[2] < '0' || at[2] > '1')
			return false;
		d->slot = (at[0] - '0') * 2 + at[2] - '0';
		return true;
	}
	if (!places_of(d->bus) || !conf_parse_uint(at, "place", 0,
					  places_of(d->bus) - 1, &n, NULL))
		return false;
	d->slot = (int)n;
	return true;
}

static bool parse_bus(const char *text, struct conf_drive *d, GError **err)
{
	size_t len = strcspn(text, "0123456789:");
	g_autofree char *word = g_strndup(text, len);
	int bus;

	if (!conf_parse_word(word, &conf_bus_words, &bus, err))
		return false;
	d->bus = (enum conf_bus)bus;
	return !text[len] || parse_slot(text + len, d) || bad_bus(err, text);
}

static bool drive_flag(
	const struct conf_options *o, const char *key, bool *out, GError **err)
{
	const char *v = conf_options_get(o, key);

	return !v || conf_parse_bool(v, out, err);
}

/* Never guessed from bytes that a guest can write: the name says. */
enum conf_format conf_format_by_name(const char *path)
{
	static const char *const suffix[] = {[CONF_FORMAT_QCOW2] = ".qcow2",
		[CONF_FORMAT_VHD] = ".vhd",
		[CONF_FORMAT_VHDX] = ".vhdx",
		[CONF_FORMAT_VDI] = ".vdi",
		[CONF_FORMAT_VMDK] = ".vmdk",
		[CONF_FORMAT_PARALLELS] = ".hdd",
		[CONF_FORMAT_DMG] = ".dmg"};
	g_autofree char *lower = g_ascii_strdown(path, -1);

	for (unsigned i = 1; i < G_N_ELEMENTS(suffix); i++)
		if (g_str_has_suffix(lower, suffix[i]))
			return (enum conf_format)i;
	return CONF_FORMAT_RAW;
}

bool conf_drive_limit(
	struct conf_drive *d, const char *key, const char *value, GError **err)
{
	bool iops = !strcmp(key, "iops"), bps = !strcmp(key, "bps");
	bool burst = !strcmp(key, "burst"), ok;
	uint64_t v = 0, least = bps ? CONF_MIN_BPS : 1;
	uint64_t most = burst ? CONF_MAX_BURST_MS : CONF_MAX_RATE;

	if (!iops && !bps && !burst)
		return false;
	ok = !*value || !strcmp(value, "off") ||
	     (burst ? conf_parse_time(value, &v, NULL)
		    : conf_parse_size(value, &v, NULL) && v >= least);
	if (!ok || v > most) {
		conf_error_set(err, CONF_ERROR_USAGE,
			bps ? "less than 64K in a second is too little" : NULL,
			"write for example iops=500, bps=20M, burst=1s, or off",
			"bad %s '%s'", key, value);
		return false;
	}
	*(iops ? &d->iops : bps ? &d->bps : &d->burst_ms) = v;
	return true;
}

static bool drive_limits(
	struct conf_drive *d, const struct conf_options *o, GError **err)
{
	static const char *const keys[] = {"iops", "bps", "burst"};

	for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
		const char *v = conf_options_get(o, keys[i]);

		if (v && !conf_drive_limit(d, keys[i], v, err))
			return false;
	}
	return true;
}

static bool drive_options(
	struct conf_drive *d, const struct conf_options *o, GError **err)
{
	const char *bus = conf_options_get(o, "bus");
	const char *format = conf_options_get(o, "format");
	const char *hba = conf_options_get(o, "hba");
	int word;

	if (bus && !parse_bus(bus, d, err))
		return false;
	d->bus_stated = bus != NULL;
	if (hba) {
		if (!conf_parse_word(hba, &conf_hba_words, &word, err))
			return false;
		d->hba = (enum conf_hba)word;
	}
	if (hba && d->bus != CONF_BUS_SCSI) {
		conf_error_set(err, CONF_ERROR_USAGE,
			"it says what drives a SCSI bus", "add bus=scsi",
			"hba=%s with bus=%s", hba,
			conf_bus_words.words[d->bus]);
		return false;
	}
	d->format = conf_format_by_name(o->value);
	if (format) {
		if (!conf_parse_word(format, &conf_format_words, &word, err))
			return false;
		d->format = (enum conf_format)word;
	}
	d->key.path = g_strdup(conf_options_get(o, "key-file"));
	if (d->key.path && (!*d->key.path || !strcmp(d->key.path, "-"))) {
		conf_error_set(err, CONF_ERROR_USAGE,
			"standard input is the guest's", "name a file",
			"bad key-file '%s'", d->key.path);
		return false;
	}
	d->serial = g_strdup(conf_options_get(o, "serial"));
	if (d->serial && strlen(d->serial) > CONF_SERIAL_BYTES) {
		conf_error_set(err, CONF_ERROR_USAGE,
			"serial numbers of disks have at most 20 characters",
			"choose a shorter one", "serial=%s is too long",
			d->serial);
		return false;
	}
	if (!conf_bootindex_parse(o, &d->bootindex, err))
		return false;
	return drive_limits(d, o, err) &&
	       drive_flag(o, "readonly", &d->readonly, err) &&
	       drive_flag(o, "snapshot", &d->snapshot, err);
}

bool conf_drive_parse(struct conf_machine *m, enum conf_media media,
	const char *text, GError **err)
{
	static const char *const keys[] = {"format", "bus", "hba", "readonly",
		"snapshot", "serial", "bootindex", "key-file", "iops", "bps",
		"burst", NULL};
	g_autoptr(conf_options_auto) o = conf_options_parse(text, keys, err);
	struct conf_drive *d;

	if (!o)
		return false;
	if (!o->value || !*o->value) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"begin with the name of the image file", "bad %s '%s'",
			conf_media_words.words[media], text);
		return false;
	}
	d = conf_drive_new();
	g_ptr_array_add(m->drives, d);
	d->media = media;
	d->bus = m->default_bus[media];
	d->readonly = media == CONF_MEDIA_CDROM;
	/* An empty drive; a file of that name is ./none. */
	if (media == CONF_MEDIA_DISK || strcmp(o->value, "none") != 0)
		d->file.path = g_strdup(o->value);
	return drive_options(d, o, err);
}

void conf_drives_default(struct conf_machine *m)
{
	for (guint i = 0; i < m->drives->len; i++) {
		struct conf_drive *d = g_ptr_array_index(m->drives, i);

		if (!d->bus_stated && d->bus == CONF_BUS_IDE &&
			m->board == CONF_BOARD_Q35)
			d->bus = CONF_BUS_SATA;
	}
}

/* ---- places ---- */

/* The adapter itself has a place on a parallel SCSI bus. */
static int host_slot(const struct conf_drive *d)
{
	return d->bus == CONF_BUS_SCSI && d->hba == CONF_HBA_LSI
		       ? CONF_SCSI_HOST_SLOT
		       : -1;
}

static unsigned room_of(const struct conf_drive *d)
{
	return slots_of(d->bus) - (host_slot(d) >= 0);
}

static bool host_place(const struct conf_drive *d, GError **err)
{
	conf_error_set(err, CONF_ERROR_USAGE,
		"the host adapter itself is there",
		"give it another place, or none", "no drive can be at %s%d",
		conf_bus_words.words[d->bus], d->slot);
	return false;
}

static bool no_place(const struct conf_drive *d, GError **err)
{
	g_autofree char *why = g_strdup_printf("%s has room for %u drives",
		conf_bus_words.words[d->bus], room_of(d));

	conf_error_set(err, CONF_ERROR_USAGE, why,
		d->media == CONF_MEDIA_FLOPPY  ? NULL
		: d->media == CONF_MEDIA_CDROM ? "use bus=scsi, sata or ide"
					       : "use bus=virtio or nvme",
		"too many drives on bus %s", conf_bus_words.words[d->bus]);
	return false;
}

static bool same_place(const struct conf_drive *d, GError **err)
{
	g_autofree char *place =
		d->bus == CONF_BUS_IDE
			? g_strdup_printf("%d:%d", d->slot / 2, d->slot % 2)
			: g_strdup_printf("%d", d->slot);

	conf_error_set(err, CONF_ERROR_USAGE, NULL,
		"give one of them another place, or none",
		"two drives are at %s%s", conf_bus_words.words[d->bus], place);
	return false;
}

/* On IDE, CDs begin with the second cable, as most PCs have them. */
static bool place_one(struct conf_drive *d, uint32_t *used, GError **err)
{
	static const int cd[CONF_IDE_SLOTS] = {2, 3, 1, 0};
	bool cd_on_ide = d->media == CONF_MEDIA_CDROM && d->bus == CONF_BUS_IDE;

	for (unsigned i = 0; i < slots_of(d->bus); i++) {
		int slot = cd_on_ide ? cd[i] : (int)i;

		if (*used >> slot & 1 || slot == host_slot(d))
			continue;
		d->slot = slot;
		*used |= 1u << slot;
		return true;
	}
	return no_place(d, err);
}

bool conf_drives_place(struct conf_machine *m, GError **err)
{
	uint32_t used[CONF_BUS_FLOPPY + 1][CONF_NHBA] = {0};

	for (guint i = 0; i < m->drives->len; i++) {
		const struct conf_drive *d = g_ptr_array_index(m->drives, i);

		/* Of USB it is the controller; many have room there. */
		if (d->slot < 0 || d->bus == CONF_BUS_USB ||
			d->bus == CONF_BUS_VIRTIO)
			continue;
		if ((unsigned)d->slot >= slots_of(d->bus))
			return no_place(d, err);
		if (d->slot == host_slot(d))
			return host_place(d, err);
		if (used[d->bus][d->hba] >> d->slot & 1)
			return same_place(d, err);
		used[d->bus][d->hba] |= 1u << d->slot;
	}
	for (guint i = 0; i < m->drives->len; i++) {
		struct conf_drive *d = g_ptr_array_index(m->drives, i);

		if (d->slot < 0 && slots_of(d->bus) &&
			!place_one(d, &used[d->bus][d->hba], err))
			return false;
	}
	return true;
}

char *conf_drive_name(const struct conf_machine *m, guint n)
{
	static const char *const name[] = {[CONF_MEDIA_DISK] = "disk",
		[CONF_MEDIA_CDROM] = "cd",
		[CONF_MEDIA_FLOPPY] = "floppy"};
	const struct conf_drive *d = g_ptr_array_index(m->drives, n);
	unsigned before = 0;

	if (d->name)
		return g_strdup(d->name);
	for (guint i = 0; i < n; i++) {
		const struct conf_drive *o = g_ptr_array_index(m->drives, i);

		before += o->media == d->media;
	}
	return g_strdup_printf("%s%u", name[d->media], before);
}

/*
 * load.c - images, plans, and telling kernels apart.
 */
#include "firmware/load.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK (1u << 20)

GQuark fw_error_quark(void)
{
	return g_quark_from_static_string("fw-error");
}

bool fw_error(
	GError **err, const char *why, const char *fix, const char *what, ...)
{
	GString *s = g_string_new(NULL);
	va_list ap;

	va_start(ap, what);
	g_string_vprintf(s, what, ap);
	va_end(ap);
	if (why)
		g_string_append_printf(s, "\n  why:  %s", why);
	if (fix)
		g_string_append_printf(s, "\n  fix:  %s", fix);
	g_set_error_literal(err, FW_ERROR, 1, s->str);
	g_string_free(s, TRUE);
	return false;
}

/* ---- images ---- */

static bool image_slurp(struct fw_image *i, uint64_t max, GError **err)
{
	GByteArray *all = g_byte_array_new();
	uint8_t *buf = g_malloc(CHUNK);
	ssize_t n = 0;

	while (all->len <= max) {
		n = read(i->fd, buf, CHUNK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		g_byte_array_append(all, buf, (unsigned)n);
	}
	g_free(buf);
	i->size = all->len;
	i->mem = g_byte_array_free(all, FALSE);
	if (n < 0)
		return fw_error(err, g_strerror(errno), NULL, "cannot read %s",
			i->path);
	close(i->fd);
	i->fd = -1;
	return true;
}

bool fw_image_open(struct fw_image *i, int fd, const char *path, uint64_t max,
	GError **err)
{
	struct stat st;

	*i = (struct fw_image){.path = g_strdup(path), .fd = fd};
	if (fstat(fd, &st) < 0)
		return fw_error(
			err, g_strerror(errno), NULL, "cannot read %s", path);
	if (S_ISDIR(st.st_mode))
		return fw_error(err, "it is a directory", "name a file",
			"cannot read %s", path);
	if (S_ISREG(st.st_mode))
		i->size = (uint64_t)st.st_size;
	else if (!image_slurp(i, max, err))
		return false;
	if (i->size > max)
		return fw_error(err, "it is larger than the machine's memory",
			"give the machine more memory: --mem",
			"cannot load %s (%" G_GUINT64_FORMAT " MiB)", path,
			i->size >> 20);
	return true;
}

void fw_image_close(struct fw_image *i)
{
	if (i->fd >= 0)
		close(i->fd);
	i->fd = -1;
	g_clear_pointer(&i->mem, g_free);
	g_clear_pointer(&i->path, g_free);
}

bool fw_image_read(
	const struct fw_image *i, uint64_t off, void *buf, size_t len)
{
	uint8_t *p = buf;

	if (off > i->size || len > i->size - off)
		return false;
	if (i->mem) {
		memcpy(p, i->mem + off, len);
		return true;
	}
	while (len) {
		ssize_t n = pread(i->fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return true;
}

/* ---- plans ---- */

static void piece_clear(gpointer p)
{
	struct fw_piece *piece = p;

	if (piece->bytes)
		g_bytes_unref(piece->bytes);
}

void fw_plan_init(struct fw_plan *p)
{
	*p = (struct fw_plan){.entry = FW_ENTRY_RESET, .kind = "bios"};
	p->pieces = g_array_new(FALSE, TRUE, sizeof(struct fw_piece));
	g_array_set_clear_func(p->pieces, piece_clear);
}

void fw_plan_fini(struct fw_plan *p)
{
	g_clear_pointer(&p->pieces, g_array_unref);
}

void fw_plan_bytes(struct fw_plan *p, gpa_t gpa, GBytes *bytes)
{
	struct fw_piece piece = {
		.gpa = gpa, .bytes = bytes, .len = g_bytes_get_size(bytes)};

	g_array_append_val(p->pieces, piece);
}

void fw_plan_image(struct fw_plan *p, gpa_t gpa, const struct fw_image *image,
	uint64_t off, uint64_t len, uint64_t zero)
{
	struct fw_piece piece = {.gpa = gpa,
		.image = image,
		.off = off,
		.len = len,
		.zero = zero};

	g_array_append_val(p->pieces, piece);
}

static bool no_ram(GError **err, gpa_t gpa)
{
	return fw_error(err, "the kernel asks for memory that is not there",
		"give the machine more memory: --mem",
		"cannot load the kernel at address %#" PRIx64, gpa);
}

static bool piece_zero(
	const struct fw_piece *piece, struct bus *bus, GError **err)
{
	gpa_t gpa = piece->gpa + piece->len;
	uint64_t left = piece->zero;

	while (left) {
		uint64_t n = MIN(left, CHUNK);
		uint8_t *ram = bus_dma_map(bus, gpa, n);

		if (!ram)
			return no_ram(err, gpa);
		memset(ram, 0, n);
		bus_dma_written(bus, gpa, n);
		gpa += n;
		left -= n;
	}
	return true;
}

static bool piece_load(
	const struct fw_piece *piece, struct bus *bus, GError **err)
{
	uint64_t done = 0;

	while (done < piece->len) {
		uint64_t n = MIN(piece->len - done, CHUNK);
		gpa_t gpa = piece->gpa + done;
		uint8_t *ram = bus_dma_map(bus, gpa, n);

		if (!ram)
			return no_ram(err, gpa);
		if (piece->bytes)
			memcpy(ram,
				(const uint8_t *)g_bytes_get_data(
					piece->bytes, NULL) +
					done,
				n);
		else if (!fw_image_read(
				 piece->image, piece->off + done, ram, n))
			return fw_error(err, "it ended early",
				"look whether the file is whole and unchanged",
				"cannot read %s", piece->image->path);
		bus_dma_written(bus, gpa, n);
		done += n;
	}
	return piece_zero(piece, bus, err);
}

bool fw_plan_load(const struct fw_plan *p, struct bus *bus, GError **err)
{
	for (unsigned i = 0; i < p->pieces->len; i++)
		if (!piece_load(&g_array_index(p->pieces, struct fw_piece, i),
			    bus, err))
			return false;
	return true;
}

gpa_t fw_place_high(
	const struct fw_boot *b, uint64_t len, uint64_t limit, uint64_t floor)
{
	uint64_t end = MIN(limit, b->low_bytes), at;

	if (len > end)
		return 0;
	at = (end - len) & ~(BUS_PAGE_SIZE - 1);
	return at < floor ? 0 : at;
}

/* ---- which kind ---- */

static bool looks_like_text(const struct fw_image *i)
{
	uint8_t head[256];
	size_t n = MIN(i->size, sizeof(head));

	if (!n || !fw_image_read(i, 0, head, n))
		return false;
	for (size_t k = 0; k < n; k++)
		if (head[k] < 0x20 && !strchr("\t\n\r\f\033", head[k]))
			return false;
	return true;
}

static bool unknown_kernel(const struct fw_image *k, GError **err)
{
	const char *why = "it has no Linux (bzImage), PVH or multiboot header";

	if (!k->size)
		why = "it is empty";
	else if (looks_like_text(k))
		why = "it is a text file";
	return fw_error(err, why,
		"name a Linux bzImage, an ELF kernel with a PVH note, or a "
		"multiboot kernel",
		"%s is not a kernel that can be started", k->path);
}

bool fw_boot_plan(struct fw_plan *p, struct fw_items *items,
	const struct fw_boot *b, GError **err)
{
	bool mine = false;

	if (!fw_linux_plan(p, items, b, &mine, err))
		return false;
	if (!mine && !fw_multiboot_plan(p, b, &mine, err))
		return false;
	if (!mine && !fw_pvh_plan(p, b, &mine, err))
		return false;
	return mine || unknown_kernel(b->kernel, err);
}

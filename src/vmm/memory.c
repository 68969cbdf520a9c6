/*
 * memory.c - what of the bus's RAM the guest has: some from the start, and some
 * that a virtio-mem device gives it while it runs.
 *
 * The device's region is RAM like any other to engines and to whoever saves,
 * copies and dumps it, only that it lies behind the memory that firmware and
 * ACPI tell of, and has nothing of the host's while nothing is plugged there.
 * Linux takes memory in by pieces of 128 MiB, large machines by up to 2 GiB:
 * the region begins and ends with such, so that none of it is lost, and may be
 * larger than all that is ever asked for.
 */
#include "conf/error.h"
#include "dev/virtio/virtio_mem.h"
#include "vmm/priv.h"

#define HIGH_START  (4ull << 30)
#define PIECE	    (128ull << 20)
#define LARGE_PIECE (2ull << 30)
#define LARGE	    (60ull << 30) /* RAM of a machine that is */

static uint64_t low_bytes(const struct conf_machine *c)
{
	return MIN(c->mem_bytes, board_kind_of(c)->low_max(c));
}

static uint64_t round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

static uint64_t reserve_bytes(const struct conf_machine *c)
{
	uint64_t n = c->mem_max_bytes ? c->mem_max_bytes - c->mem_bytes : 0;

	return round_up(n, c->mem_bytes < LARGE ? PIECE : LARGE_PIECE);
}

static gpa_t reserve_start(const struct conf_machine *c)
{
	gpa_t end = HIGH_START + c->mem_bytes - low_bytes(c);

	return round_up(end, LARGE_PIECE);
}

uint64_t memory_high_end(const struct conf_machine *c)
{
	return reserve_bytes(c) ? reserve_start(c) + reserve_bytes(c)
				: HIGH_START + c->mem_bytes - low_bytes(c);
}

/* ---- making ---- */

bool memory_new(struct machine *m, GError **err)
{
	const struct conf_machine *c = m->conf;
	gpa_t end = memory_high_end(c);
	g_autofree char *why = NULL, *at = conf_format_size(end);

	if (reserve_bytes(c) && (end - 1) >> m->model.phys_bits) {
		why = g_strdup_printf("its processors have addresses of %u "
				      "bits, and its memory would end at %s",
			m->model.phys_bits, at);
		conf_error_set(err, CONF_ERROR_UNSUPPORTED, why,
			"choose less in --mem SIZE,max=SIZE",
			"the machine cannot have so much memory");
		return false;
	}
	m->bus = bus_new_rom(low_bytes(c) + end - HIGH_START, low_bytes(c),
		board_firmware_room(c));
	if (m->bus)
		return true;
	return fw_error(err, g_strerror(errno),
		"give the machine less memory: --mem",
		"cannot have %" G_GUINT64_FORMAT " MiB of memory for the guest",
		MAX(c->mem_bytes, c->mem_max_bytes) >> 20);
}

bool memory_add(struct machine *m, const struct dev_host *host, GError **err)
{
	struct dev_host h = *host;

	if (!reserve_bytes(m->conf))
		return true;
	m->mem_room = (struct virtio_mem_room){.base = reserve_start(m->conf),
		.bytes = reserve_bytes(m->conf),
		.drop = ram_clear,
		.opaque = m};
	h.mem = &m->mem_room;
	m->board.mem = board_add(m, "virtio-mem", "mem", &h, err);
	return m->board.mem != NULL;
}

/* ---- what is there ---- */

bool memory_there(const struct machine *m, uint64_t off, uint64_t bytes)
{
	uint64_t first;

	if (off < m->conf->mem_bytes)
		return true;
	if (!m->board.mem)
		return off < bus_ram(m->bus)->bytes;
	first = (uint64_t)bus_ram_offset(m->bus, m->mem_room.base);
	return off + bytes > first &&
	       virtio_mem_any(m->board.mem, off > first ? off - first : 0,
		       off + bytes - first);
}

static bool memory_plugged_at(const struct machine *m, gpa_t at)
{
	uint64_t off = at - m->mem_room.base;

	return m->board.mem &&
	       virtio_mem_any(m->board.mem, off, off + VIRTIO_MEM_BLOCK);
}

bool memory_next(const struct machine *m, gpa_t *base, uint64_t *bytes)
{
	gpa_t low = low_bytes(m->conf), at = *base;
	gpa_t high = HIGH_START + m->conf->mem_bytes - low;
	gpa_t end = m->board.mem ? m->mem_room.base + m->mem_room.bytes : high;
	uint64_t n = 0;

	if (at < low) {
		*bytes = low - at;
		return true;
	}
	at = MAX(at, HIGH_START);
	if (at < high) {
		*base = at;
		*bytes = high - at;
		return true;
	}
	if (m->board.mem)
		at = MAX(at, m->mem_room.base);
	while (at < end && !memory_plugged_at(m, at))
		at += VIRTIO_MEM_BLOCK;
	while (at + n < end && memory_plugged_at(m, at + n))
		n += VIRTIO_MEM_BLOCK;
	*base = at;
	*bytes = n;
	return n > 0;
}

/* ---- live ---- */

uint64_t memory_bytes(const struct machine *m)
{
	return m->conf->mem_bytes +
	       (m->board.mem ? virtio_mem_plugged(m->board.mem) : 0);
}

static bool refuse(const char *why, const char *fix, uint64_t bytes,
	enum conf_error_code code, GError **err)
{
	g_autofree char *size = conf_format_size(bytes);

	conf_error_set(err, code, why, fix,
		"the machine's memory cannot become %s", size);
	return false;
}

bool memory_set(struct machine *m, uint64_t bytes, GError **err)
{
	const struct conf_machine *c = m->conf;
	g_autofree char *least = conf_format_size(c->mem_bytes);
	g_autofree char *most = conf_format_size(c->mem_max_bytes);
	g_autofree char *why = g_strdup_printf(
		"it was started with --mem %s,max=%s", least, most);

	if (!m->board.mem)
		return refuse("it was started without room for more",
			"start it with --mem SIZE,max=SIZE", bytes,
			CONF_ERROR_UNSUPPORTED, err);
	if (bytes < c->mem_bytes || bytes > c->mem_max_bytes)
		return refuse(why, "choose a size between these", bytes,
			CONF_ERROR_USAGE, err);
	if (bytes % CONF_MEM_BLOCK)
		return refuse("it comes and goes in pieces of 2M", NULL, bytes,
			CONF_ERROR_USAGE, err);
	bus_lock(m->bus);
	virtio_mem_ask(m->board.mem, bytes - c->mem_bytes);
	bus_unlock(m->bus);
	return true;
}

void memory_json(const struct machine *m, JsonObject *o)
{
	uint64_t asked = m->conf->mem_bytes;

	bus_lock(m->bus);
	if (m->board.mem)
		asked += virtio_mem_asked(m->board.mem);
	json_object_set_int_member(o, "mem_bytes", (gint64)memory_bytes(m));
	json_object_set_int_member(o, "mem_asked_bytes", (gint64)asked);
	bus_unlock(m->bus);
	json_object_set_int_member(
		o, "mem_start_bytes", (gint64)m->conf->mem_bytes);
	json_object_set_int_member(o, "mem_max_bytes",
		(gint64)MAX(m->conf->mem_bytes, m->conf->mem_max_bytes));
	json_object_set_int_member(
		o, "ram_bytes", (gint64)bus_ram(m->bus)->bytes);
}

/*
 * genid.c - who the machine is: numbers that follow from its name, and the
 * generation id, by which a guest learns that it is not the one it was.
 *
 * A UUID as text and the bytes that guests see differ in the order of the
 * first three numbers, which are little-endian in memory.
 */
#include <string.h>
#include <sys/random.h>

#include "dev/misc/vmgenid.h"
#include "dev/timer/acpi_regs.h"
#include "vmm/priv.h"

static const uint8_t place[16] = {
	3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

/* RFC 9562: random numbers are version 4, our own kinds version 8. */
static void stamp(uint8_t uuid[16], unsigned version)
{
	uuid[7] = (uint8_t)((uuid[7] & 0x0f) | version << 4);
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}

void genid_of_name(const char *name, const char *kind, uint8_t uuid[16])
{
	gsize len = 32;
	uint8_t sum[32];
	GChecksum *c = g_checksum_new(G_CHECKSUM_SHA256);

	g_checksum_update(c, (const guchar *)name, -1);
	g_checksum_update(c, (const guchar *)kind, -1);
	g_checksum_get_digest(c, sum, &len);
	g_checksum_free(c);
	memcpy(uuid, sum, 16);
	stamp(uuid, 8);
}

static void genid_parse(const char *text, uint8_t id[16])
{
	unsigned n = 0;

	memset(id, 0, 16);
	for (; *text && n < 32; text++) {
		int v = g_ascii_xdigit_value(*text);

		if (v < 0)
			continue;
		id[place[n / 2]] |= (uint8_t)(n % 2 ? v : v << 4);
		n++;
	}
}

char *genid_text(const struct machine *m)
{
	const uint8_t *id;
	GString *s;

	if (!m->board.genid)
		return NULL;
	id = vmgenid_get(m->board.genid);
	s = g_string_new(NULL);
	for (unsigned i = 0; i < 16; i++)
		g_string_append_printf(s, "%s%02x",
			i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			id[place[i]]);
	return g_string_free(s, FALSE);
}

uint32_t genid_page(const struct machine *m)
{
	return m->board.genid ? VMGENID_BASE : 0;
}

bool genid_init(struct machine *m, const struct dev_host *h, GError **err)
{
	uint8_t id[16];

	if (!m->conf->genid || !m->conf->acpi)
		return true;
	m->board.genid = board_add_class(m, &vmgenid_class, "genid", h, err);
	if (!m->board.genid)
		return false;
	if (m->conf->genid_value)
		genid_parse(m->conf->genid_value, id);
	else
		genid_of_name(m->conf->name, "generation", id);
	bus_lock(m->bus);
	vmgenid_set(m->board.genid, id);
	bus_unlock(m->bus);
	return true;
}

void genid_renew(struct machine *m)
{
	uint8_t id[16];
	bool changed = false;

	if (!m->board.genid)
		return;
	if (m->conf->genid_value) {
		genid_parse(m->conf->genid_value, id);
		changed = vmgenid_set(m->board.genid, id);
	}
	/* none is stated, or it had that one before */
	if (!changed && getrandom(id, sizeof(id), 0) == sizeof(id)) {
		stamp(id, 4);
		changed = vmgenid_set(m->board.genid, id);
	}
	if (changed)
		acpi_regs_gpe(m->board.acpi, VMGENID_GPE);
}

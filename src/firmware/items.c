/*
 * items.c - the list of fw_cfg entries and the entries every board has.
 *
 * Layouts follow QEMU's documentation of fw_cfg and what SeaBIOS reads
 * (src/fw/paravirt.c there).  Numbers are little-endian.
 */
#include "firmware/items.h"

#include <string.h>

#include "firmware/e820.h"

static void item_clear(gpointer p)
{
	struct fw_item *i = p;

	g_bytes_unref(i->data);
}

void fw_items_init(struct fw_items *l)
{
	l->list = g_array_new(FALSE, TRUE, sizeof(struct fw_item));
	g_array_set_clear_func(l->list, item_clear);
}

void fw_items_fini(struct fw_items *l)
{
	g_clear_pointer(&l->list, g_array_unref);
}

void fw_items_file(struct fw_items *l, const char *name, GBytes *data)
{
	struct fw_item i = {.key = FW_KEY_FILES, .data = data};

	g_strlcpy(i.name, name, sizeof(i.name));
	g_array_append_val(l->list, i);
}

void fw_items_key(struct fw_items *l, uint16_t key, GBytes *data)
{
	struct fw_item i = {.key = key, .data = data};

	g_array_append_val(l->list, i);
}

void fw_items_key_u16(struct fw_items *l, uint16_t key, uint16_t v)
{
	v = GUINT16_TO_LE(v);
	fw_items_key(l, key, g_bytes_new(&v, sizeof(v)));
}

void fw_items_key_u32(struct fw_items *l, uint16_t key, uint32_t v)
{
	v = GUINT32_TO_LE(v);
	fw_items_key(l, key, g_bytes_new(&v, sizeof(v)));
}

void fw_items_key_u64(struct fw_items *l, uint16_t key, uint64_t v)
{
	v = GUINT64_TO_LE(v);
	fw_items_key(l, key, g_bytes_new(&v, sizeof(v)));
}

/* One path a line; the last byte is NUL. */
static GBytes *boot_order(const char *const *paths)
{
	GString *s = g_string_new(NULL);

	for (; *paths; paths++) {
		if (s->len)
			g_string_append_c(s, '\n');
		g_string_append(s, *paths);
	}
	g_string_append_c(s, 0);
	return g_string_free_to_bytes(s);
}

static void item_u64(struct fw_items *l, const char *name, uint64_t v)
{
	v = GUINT64_TO_LE(v);
	fw_items_file(l, name, g_bytes_new(&v, sizeof(v)));
}

/* SeaBIOS's text screen on a serial port; with a display it shows on both. */
static void sercon(struct fw_items *l, const struct fw_board *b)
{
	if (b->nserial)
		item_u64(l, "etc/sercon-port", 0x3f8);
}

void fw_items_board(struct fw_items *l, const struct fw_board *b)
{
	uint64_t numa[2] = {0, 0};
	uint16_t wait_ms = GUINT16_TO_LE((uint16_t)MIN(b->boot_menu_ms, 65535));

	fw_items_key_u64(l, FW_KEY_RAM_SIZE, b->low_bytes);
	fw_items_key_u16(l, FW_KEY_NB_CPUS, (uint16_t)b->ncpus);
	/* SeaBIOS wants the bound of APIC ids here, not a count. */
	fw_items_key_u16(
		l, FW_KEY_MAX_CPUS, (uint16_t)(b->apic_ids[b->ncpus - 1] + 1));
	fw_items_key(l, FW_KEY_NUMA, g_bytes_new(numa, sizeof(numa)));
	fw_items_key_u16(l, FW_KEY_BOOT_MENU, b->boot_menu_ms != 0);
	fw_items_key_u32(l, FW_KEY_IRQ0_OVERRIDE, 1);
	fw_items_file(l, "etc/e820",
		fw_e820_table(b->low_bytes, b->ram_bytes - b->low_bytes,
			b->reserved_page));
	if (b->boot_order && b->boot_order[0])
		fw_items_file(l, "bootorder", boot_order(b->boot_order));
	if (b->boot_menu_ms)
		fw_items_file(l, "etc/boot-menu-wait",
			g_bytes_new(&wait_ms, sizeof(wait_ms)));
	if (b->reserved_end)
		item_u64(l, "etc/reserved-memory-end", b->reserved_end);
	sercon(l, b);
}

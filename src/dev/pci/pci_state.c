/*
 * pci_state.c - what of a PCI function is saved: its configuration space, its
 * interrupt pin and its MSI-X table.
 *
 * Where BARs are mapped, whether MSI-X is on and which pins of a slot are
 * pulled follows.  A device whose configuration space decides more than that
 * (windows, routing) derives it in its own list's hook.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dev/pci/pci_priv.h"
#include "dev/state.h"

#define SAME_BYTES 4 /* vendor and device: else it is another function */

/* ---- configuration space ---- */

static void config_get(const void *obj, GByteArray *out)
{
	const struct pci_func *f = obj;

	g_byte_array_append(out, f->config, sizeof(f->config));
}

static int config_put(
	void *obj, const struct state_bytes *from, char *err, unsigned errsize)
{
	struct pci_func *f = obj;
	const uint8_t *p = from->p;

	if (from->n != sizeof(f->config)) {
		snprintf(err, errsize, "it has %zu bytes", from->n);
		return -EINVAL;
	}
	if (memcmp(f->config, p, SAME_BYTES)) {
		snprintf(err, errsize,
			"it is of the PCI device %04x:%04x, not %04x:%04x",
			pci_get16(p), pci_get16(p + 2), pci_get16(f->config),
			pci_get16(f->config + 2));
		return -EINVAL;
	}
	if (from->apply)
		memcpy(f->config, p, from->n);
	return 0;
}

static const struct state_blob config_blob = {
	.get = config_get, .put = config_put, .max = PCI_CONFIG_SIZE};

/* ---- MSI-X ---- */

static size_t msix_pending_bytes(const struct pci_func *f)
{
	return (f->msix.nvectors + 63) / 64 * sizeof(f->msix.pending[0]);
}

static bool msix_there(const void *obj)
{
	return ((const struct pci_func *)obj)->msix.nvectors;
}

static void msix_get(const void *obj, GByteArray *out)
{
	const struct pci_func *f = obj;

	g_byte_array_append(out, f->msix.table, 16 * f->msix.nvectors);
	g_byte_array_append(out, (const uint8_t *)f->msix.pending,
		(guint)msix_pending_bytes(f));
}

static int msix_put(
	void *obj, const struct state_bytes *from, char *err, unsigned errsize)
{
	struct pci_func *f = obj;
	size_t table = 16ul * f->msix.nvectors;

	if (from->n != table + msix_pending_bytes(f)) {
		snprintf(err, errsize, "it is not of %u vectors",
			f->msix.nvectors);
		return -EINVAL;
	}
	if (!from->apply)
		return 0;
	memcpy(f->msix.table, from->p, table);
	memcpy(f->msix.pending, from->p + table, from->n - table);
	return 0;
}

static const struct state_blob msix_blob = {
	.get = msix_get, .put = msix_put, .max = 16 * 2048 + 256};

/* ---- the function ---- */

/* The pins of slots behind a bridge come out of its own, rotated. */
static void count_behind(struct pci_bus *b, uint8_t pins[4])
{
	for (unsigned slot = 0; slot < 32; slot++)
		for (unsigned pin = 0; pin < 4; pin++)
			pins[(slot + pin) & 3] += b->asserted[slot][pin] != 0;
}

/* How many functions of a slot pull each pin; so for the bridges above. */
static void count_pins(struct pci_bus *b, unsigned slot)
{
	for (;;) {
		uint8_t *pins = b->asserted[slot];

		memset(pins, 0, sizeof(b->asserted[slot]));
		for (unsigned n = 0; n < 8; n++) {
			const struct pci_func *f = b->func[slot << 3 | n];

			if (f && f->irq_pin && f->irq_out)
				pins[f->irq_pin - 1]++;
			if (f && f->secondary)
				count_behind(f->secondary, pins);
		}
		if (!b->bridge || !b->bridge->bus)
			return;
		slot = b->bridge->devfn >> 3;
		b = b->bridge->bus;
	}
}

static int func_loaded(void *obj, unsigned version, char *err, unsigned errsize)
{
	struct pci_func *f = obj;

	if (!f->bus)
		return 0;
	count_pins(f->bus, f->devfn >> 3);
	if (f->msix.nvectors)
		pci_msix_control(f);
	pci_func_remap(f);
	if (f->secondary)
		pci_bus_remap(f->secondary);
	return 0;
}

static const struct state_field func_fields[] = {
	STATE_BLOB("config", &config_blob),
	STATE(struct pci_func, irq_level),
	STATE(struct pci_func, irq_out),
	STATE_BLOB("msix", &msix_blob, .when = msix_there),
};

const struct state_list pci_func_state = STATE_LIST(
	"pci", struct pci_func, 1, func_fields, .loaded = func_loaded);

/* ---- the bus ---- */

static const struct state_field bus_fields[] = {
	STATE(struct pci_bus, address),
};

const struct state_list pci_bus_state =
	STATE_LIST("bus", struct pci_bus, 1, bus_fields);

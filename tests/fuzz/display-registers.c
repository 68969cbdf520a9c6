/*
 * display-registers.c - random accesses to a display card's ports, memory and
 * registers, with the picture drawn and read meanwhile.
 *
 *	display-registers vga|virtio-vga [ROUNDS [SEED]]
 *
 * Nothing is compared: it must not crash, hang or grow.  Build with sanitizers
 * to see more.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../unit/virtio-driver.h"
#include "dev/video/vga.h"
#include "dev/video/virtio_vga.h"

#define STEPS	4000
#define RINGS	0x200000u
#define BAR_LFB 0xe0000000u

struct rig {
	struct driver d;
	struct display_source source;
	struct display_view view;
	GRand *g;
};

static uint32_t any(struct rig *r, uint32_t below)
{
	return g_rand_int(r->g) % below;
}

/* Registers that switch modes are met as often as all others together. */
static void port(struct rig *r)
{
	static const uint16_t index[] = {0x3c4, 0x3ce, 0x3d4, 0x3b4};
	uint16_t at = index[any(r, 4)];

	switch (any(r, 4)) {
	case 0:
		bus_io_write(r->d.bus, 0x3b0 + any(r, 48), 1, g_rand_int(r->g));
		break;
	case 1:
		bus_io_write(r->d.bus, at, 2,
			any(r, 0x20) | (g_rand_int(r->g) & 0xff00));
		break;
	case 2:
		bus_io_write(r->d.bus, 0x1ce, 2, any(r, 12));
		bus_io_write(r->d.bus, 0x1cf, 2,
			any(r, 2) ? any(r, 0x100) : g_rand_int(r->g));
		break;
	case 3: bus_io_read(r->d.bus, 0x3b0 + any(r, 48), 1); break;
	}
}

static void memory(struct rig *r)
{
	static const uint32_t base[] = {
		0xa0000, BAR_LFB, BAR_MODERN, 0xfe030000};
	static const uint32_t bytes[] = {0x20000, 1 << 20, 0x4000, 0x1000};
	unsigned n = any(r, 4), size = 1u << any(r, 4);
	gpa_t at = base[n] + any(r, bytes[n] / size) * size;

	if (any(r, 3))
		bus_mmio_write(r->d.bus, NULL, at, size,
			(uint64_t)g_rand_int(r->g) << 32 | g_rand_int(r->g));
	else
		bus_mmio_read(r->d.bus, NULL, at, size);
}

/* Requests to a GPU, half of them nearly right. */
static void request(struct rig *r)
{
	uint32_t id, len;
	uint32_t word[16] = {
		any(r, 2) ? 0x100 + any(r, 12) : 0x300 + any(r, 2), any(r, 2)};

	if (!r->d.q[0].size)
		return;
	for (unsigned i = 6; i < 16; i++)
		word[i] = any(r, 8) ? any(r, 64) : g_rand_int(r->g);
	wr(&r->d, DATA_BASE, word, sizeof(word));
	driver_desc(
		&r->d, r->d.q[0].desc, 0, DATA_BASE, sizeof(word), D_NEXT, 1);
	driver_desc(&r->d, r->d.q[0].desc, 1, DATA_BASE + 4096, any(r, 2048),
		D_WRITE, 0);
	driver_offer(&r->d, 0, 0);
	driver_kick(&r->d, 0);
	driver_used(&r->d, 0, 0, &id, &len);
}

static void look(struct rig *r)
{
	struct display_text *t = g_new(struct display_text, 1);

	r->source.draw(r->source.opaque, &r->view);
	r->source.text(r->source.opaque, t);
	g_free(t);
}

static void woken(void *opaque)
{
}

static void open_card(struct rig *r, const struct dev_class *cls)
{
	struct dev_host host = {.vram_bytes = 1 << 20};

	driver_open(&r->d, cls, &host);
	vga_source(r->d.dev, &r->source);
	bus_lock(r->d.bus);
	pci_config_write(r->d.pci, 0, r->d.devfn, 0x10, 4, BAR_LFB);
	pci_config_write(r->d.pci, 0, r->d.devfn, 0x18, 4, 0xfe030000);
	bus_unlock(r->d.bus);
	if (cls != &virtio_vga_class || !any(r, 2))
		return;
	driver_negotiate(&r->d, driver_offered(&r->d) & (1ull << 32 | 3));
	driver_queue(&r->d, 0, 16);
	driver_queue(&r->d, 1, 16);
	driver_go(&r->d);
}

static void round_of(const struct dev_class *cls, uint32_t seed)
{
	struct rig r = {.g = g_rand_new_with_seed(seed)};

	open_card(&r, cls);
	for (unsigned i = 0; i < STEPS; i++) {
		uint32_t what = any(&r, 1000);

		if (what < 500)
			port(&r);
		else if (what < 900)
			memory(&r);
		else if (what < 990)
			request(&r);
		else if (what < 995)
			look(&r);
		else
			r.source.arm(r.source.opaque, woken, &r);
	}
	look(&r);
	r.source.arm(r.source.opaque, NULL, NULL);
	display_view_fini(&r.view);
	driver_close(&r.d);
	g_rand_free(r.g);
}

int main(int argc, char **argv)
{
	const struct dev_class *cls = dev_class_find(argc > 1 ? argv[1] : "");
	uint32_t rounds = argc > 2 ? (uint32_t)atoi(argv[2]) : 20;
	uint32_t seed = argc > 3 ? (uint32_t)atoi(argv[3]) : 1;

	if (cls != &vga_class && cls != &virtio_vga_class) {
		fprintf(stderr, "%s vga|virtio-vga [ROUNDS [SEED]]\n", argv[0]);
		return 2;
	}
	for (uint32_t i = 0; i < rounds; i++)
		round_of(cls, seed + i);
	printf("%u rounds of %u accesses from seed %u\n", rounds, STEPS, seed);
	return 0;
}

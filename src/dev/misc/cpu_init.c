/*
 * cpu_init.c - pulses INIT# of all processors.
 *
 * 82371SB data sheet 290550, 2.5.6 (RC#, fast reset and soft reset by the
 * reset control register assert INIT); SDM vol. 3, 10.1 and 11.4.7.3.  The
 * pulse travels as a message with INIT delivery to everybody, which every
 * interrupt complex understands.  Memory and devices keep their state, so that
 * a return from protected mode through CMOS byte 0x0f works.
 */
#include "dev/misc/cpu_init.h"

#define RESET_VECTOR  0xffff0 /* and at the top of 4 GiB */
#define MSI_EVERYBODY (0xfee00000ull | 0xff << 12)
#define MSI_INIT      (1u << 14 | 5u << 8)

/* Firmware has run if it left an entry where real mode looks for one; a boot
 * without firmware leaves zeros, or no memory at all. */
static bool cpu_init_has_firmware(struct bus *b)
{
	uint8_t entry;

	return bus_dma_read(b, RESET_VECTOR, &entry, 1) && entry != 0 &&
	       entry != 0xff;
}

void cpu_init_pulse(struct bus *b)
{
	if (!cpu_init_has_firmware(b)) {
		bus_request(b, BUS_REQ_RESET);
		return;
	}
	bus_set_a20(b, true);
	bus_msi_send(b, MSI_EVERYBODY, MSI_INIT);
}

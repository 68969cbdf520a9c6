/*
 * spd.c - memory modules: the largest first, until all memory is on one.
 */
#include "dev/misc/spd.h"

#include <string.h>

#define RANK_MIN (128ull << 20)
#define RANK_MAX (16ull << 30)

/* Module n's size; 0: there is none. */
static uint64_t spd_module(uint64_t ram, unsigned n)
{
	for (uint64_t size = RANK_MAX; size >= RANK_MIN; size >>= 1)
		for (; ram >= size; ram -= size)
			if (!n--)
				return size;
	return 0;
}

/* Byte 31: from bit 5 on 128 MiB, 256, 512, then from bit 0 on 1 GiB, ... */
static uint8_t spd_density(uint64_t size)
{
	unsigned n = 0;

	while (RANK_MIN << n < size)
		n++;
	return 1u << (n < 3 ? n + 5 : n - 3);
}

bool spd_make(uint64_t ram_bytes, unsigned n, uint8_t spd[SPD_BYTES])
{
	/* DDR2-667 without ECC, one rank of 64 bits, unbuffered, 1.8 V */
	static const uint8_t head[] = {128, 8, 8, 14, 10, 0x60, 64, 0, 5, 0x30,
		0x45, 0, 0x82, 8, 0, 0, 0x0c, 8, 0x38, 1, 2, 0, 3, 0x3d, 0x50,
		0x50, 0x60, 0x3c, 0x1e, 0x3c, 0x2d};
	uint64_t size = n < SPD_MODULES ? spd_module(ram_bytes, n) : 0;
	uint8_t sum = 0;

	memset(spd, 0, SPD_BYTES);
	if (!size)
		return false;
	memcpy(spd, head, sizeof(head));
	spd[31] = spd_density(size);
	spd[62] = 0x12; /* revision 1.2 */
	for (unsigned i = 0; i < 63; i++)
		sum += spd[i];
	spd[63] = sum;
	memcpy(spd + 73, "vmeste            ", 18);
	spd[98] = n + 1;
	return true;
}

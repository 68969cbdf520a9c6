/*
 * edid.c - what the monitor says of itself.
 *
 * VESA Enhanced EDID Standard, release A, revision 2: EDID 1.4 (header,
 * identification, established and standard timings, descriptors); the detailed
 * timing by VESA CVT 1.2 with reduced blanking.
 */
#include <string.h>

#include "dev/video/vga_priv.h"

#define EDID_HZ 60

/* CVT 1.2, 3.4: reduced blanking, pixels and lines */
#define CVT_HBLANK 160
#define CVT_HSYNC  32
#define CVT_HFRONT 48
#define CVT_VFRONT 3
#define CVT_VSYNC  6 /* for 16:10 */
#define CVT_VBLANK 23

static void edid_text(uint8_t *d, uint8_t tag, const char *text)
{
	size_t n = strlen(text);

	memset(d, 0, 18);
	d[3] = tag;
	memset(d + 5, ' ', 13);
	memcpy(d + 5, text, n < 13 ? n : 13);
	if (n < 13)
		d[5 + n] = '\n';
}

/* 3.10.2 */
static void edid_timing(uint8_t *d, unsigned width, unsigned height)
{
	unsigned clock =
		(width + CVT_HBLANK) * (height + CVT_VBLANK) / 10000 * EDID_HZ;

	d[0] = clock;
	d[1] = clock >> 8;
	d[2] = width & 0xff;
	d[3] = CVT_HBLANK;
	d[4] = width >> 8 << 4;
	d[5] = height & 0xff;
	d[6] = CVT_VBLANK;
	d[7] = height >> 8 << 4;
	d[8] = CVT_HFRONT;
	d[9] = CVT_HSYNC;
	d[10] = CVT_VFRONT << 4 | CVT_VSYNC;
	d[12] = 340 & 0xff; /* mm */
	d[13] = 212;
	d[14] = 340 >> 8 << 4;
	d[17] = 0x1a; /* digital separate sync, horizontal positive */
}

/* 3.9: the width / 8 - 31, the aspect and the rate - 60 */
static void edid_standard(uint8_t *e)
{
	static const uint8_t timing[8][2] = {
		{1920 / 8 - 31, 0xc0}, /* 1920x1080, 16:9 */
		{1680 / 8 - 31, 0x00}, /* 1680x1050, 16:10 */
		{1600 / 8 - 31, 0x40}, /* 1600x1200, 4:3 */
		{1440 / 8 - 31, 0x00}, /* 1440x900 */
		{1280 / 8 - 31, 0x80}, /* 1280x1024, 5:4 */
		{1280 / 8 - 31, 0xc0}, /* 1280x720 */
		{1152 / 8 - 31, 0x40}, /* 1152x864 */
		{1280 / 8 - 31, 0x00}, /* 1280x800 */
	};

	memcpy(e, timing, sizeof(timing));
}

void vga_edid(uint8_t e[128], unsigned width, unsigned height)
{
	static const uint8_t header[8] = {
		0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0};
	/* sRGB, 3.7 */
	static const uint8_t colours[10] = {
		0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54};
	uint8_t sum = 0;

	memset(e, 0, 128);
	memcpy(e, header, sizeof(header));
	/* "VMS", five bits a letter */
	e[8] = ('V' - '@') << 2 | ('M' - '@') >> 3;
	e[9] = (uint8_t)(('M' - '@') << 5 | ('S' - '@'));
	e[10] = 1;
	e[17] = 2026 - 1990;
	e[18] = 1;
	e[19] = 4;
	e[20] = 0xa5; /* digital, 8 bits a colour, DisplayPort */
	e[21] = 34;   /* cm */
	e[22] = 21;
	e[23] = 120;  /* gamma 2.2 */
	e[24] = 0x06; /* sRGB, the preferred timing is native */
	memcpy(e + 25, colours, sizeof(colours));
	e[35] = 0x21; /* 640x480, 800x600 at 60 Hz */
	e[36] = 0x08; /* 1024x768 */
	edid_standard(e + 38);
	edid_timing(e + 54, width, height);
	edid_text(e + 72, 0xfc, "vmeste");
	edid_text(e + 90, 0x10, "");
	edid_text(e + 108, 0x10, "");
	memset(e + 93 + 2, 0, 13);
	memset(e + 111 + 2, 0, 13);
	for (unsigned i = 0; i < 127; i++)
		sum += e[i];
	e[127] = -sum;
}

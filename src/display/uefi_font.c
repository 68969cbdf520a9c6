/*
 * uefi_font.c - the font that UEFI firmware writes with, out of its memory.
 *
 * As long as firmware draws text it has a package of the human interface
 * infrastructure there, whose glyphs of 8x19 dots stand in the order of their
 * characters (UEFI 2.10, 33.3.2: EFI_HII_SIMPLE_FONT_PACKAGE_HDR and
 * EFI_NARROW_GLYPH).  It is found by how it begins: a space without any dot,
 * then an exclamation mark.
 */
#include <string.h>

#include "display/display.h"

/* EFI_NARROW_GLYPH: the character, attributes, the rows. */
#define GLYPH_BYTES (3u + DISPLAY_UEFI_ROWS)
#define MAX_GLYPHS  1024u
#define MAX_TRIES   64u /* a guest may fill its memory with beginnings */
#define FIRST	    0x20
#define LAST_ASCII  0x7e

/* 0: not in code page 437. */
static uint8_t code_of(unsigned unicode)
{
	for (unsigned c = 1; c < 256; c++)
		if (display_cp437((uint8_t)c) == unicode)
			return (uint8_t)c;
	return 0;
}

/* false: what begins there is no font. */
static bool take(const uint8_t *mem, size_t bytes, uint8_t *font)
{
	unsigned before = FIRST - 1, n = 0;

	memset(font, 0, 256 * DISPLAY_UEFI_ROWS);
	for (; n < MAX_GLYPHS && bytes >= GLYPH_BYTES; n++) {
		uint8_t g[GLYPH_BYTES];
		unsigned unicode, c;

		memcpy(g, mem, sizeof(g));
		unicode = g[0] | g[1] << 8;
		if (n <= LAST_ASCII - FIRST && unicode != before + 1)
			return false;
		if (unicode <= before && unicode < 0x2190)
			break;
		c = code_of(unicode);
		if (c)
			memcpy(font + c * DISPLAY_UEFI_ROWS, g + 3,
				DISPLAY_UEFI_ROWS);
		before = unicode;
		mem += sizeof(g);
		bytes -= sizeof(g);
	}
	return n > LAST_ASCII - FIRST;
}

bool display_uefi_font(
	const uint8_t *mem, size_t bytes, uint8_t font[256 * DISPLAY_UEFI_ROWS])
{
	uint8_t head[GLYPH_BYTES + 3] = {
		[0] = FIRST, [GLYPH_BYTES] = FIRST + 1};
	const uint8_t *end = mem + bytes, *at = mem;

	for (unsigned i = 0; i < MAX_TRIES; i++, at++) {
		at = memmem(at, (size_t)(end - at), head, sizeof(head));
		if (!at)
			return false;
		if (take(at, (size_t)(end - at), font))
			return true;
	}
	return false;
}

/*
 * keys.c - keys by name, by the character they give, and by X11's keysym.
 *
 * Positions are those of a 101/102-key keyboard with US legends; scan codes
 * of set 1: IBM PS/2 Hardware Interface Technical Reference, "Keyboards".
 * Keysyms: X Window System Protocol, appendix A.
 */
#include <string.h>

#include <glib.h>

#include "display/display.h"

/* Keys in a row, left to right: what they give alone and with Shift. */
static const struct {
	unsigned first;
	const char *plain, *shifted;
} rows[] = {
	{0x02, "1234567890-=", "!@#$%^&*()_+"},
	{0x10, "qwertyuiop[]\n", "QWERTYUIOP{}\n"},
	{0x1e, "asdfghjkl;'`", "ASDFGHJKL:\"~"},
	{0x2b, "\\zxcvbnm,./", "|ZXCVBNM<>?"},
	{0x39, " ", " "},
	{0x01, "\033", "\033"},
	{0x0e, "\b\t", "\b\t"},
};

static const struct {
	const char *name;
	unsigned code;
	uint32_t keysym;
} keys[] = {
	{"esc", 0x01, 0xff1b},
	{"minus", 0x0c, 0},
	{"equal", 0x0d, 0},
	{"backspace", 0x0e, 0xff08},
	{"tab", 0x0f, 0xff09},
	{"ret", 0x1c, 0xff0d},
	{"enter", 0x1c, 0},
	{"ctrl", 0x1d, 0xffe3},
	{"semicolon", 0x27, 0},
	{"apostrophe", 0x28, 0},
	{"grave", 0x29, 0},
	{"shift", 0x2a, 0xffe1},
	{"backslash", 0x2b, 0},
	{"comma", 0x33, 0},
	{"dot", 0x34, 0},
	{"slash", 0x35, 0},
	{"shift_r", 0x36, 0xffe2},
	{"kp_multiply", 0x37, 0xffaa},
	{"alt", 0x38, 0xffe9},
	{"spc", 0x39, 0},
	{"space", 0x39, 0},
	{"caps", 0x3a, 0xffe5},
	{"num", 0x45, 0xff7f},
	{"scroll", 0x46, 0xff14},
	{"kp_7", 0x47, 0xffb7},
	{"kp_8", 0x48, 0xffb8},
	{"kp_9", 0x49, 0xffb9},
	{"kp_subtract", 0x4a, 0xffad},
	{"kp_4", 0x4b, 0xffb4},
	{"kp_5", 0x4c, 0xffb5},
	{"kp_6", 0x4d, 0xffb6},
	{"kp_add", 0x4e, 0xffab},
	{"kp_1", 0x4f, 0xffb1},
	{"kp_2", 0x50, 0xffb2},
	{"kp_3", 0x51, 0xffb3},
	{"kp_0", 0x52, 0xffb0},
	{"kp_decimal", 0x53, 0xffae},
	{"sysrq", 0x54, 0xff15},
	{"less", 0x56, 0},
	{"kp_enter", 0x9c, 0xff8d},
	{"ctrl_r", 0x9d, 0xffe4},
	{"kp_divide", 0xb5, 0xffaf},
	{"print", 0xb7, 0xff61},
	{"alt_r", 0xb8, 0xffea},
	{"home", 0xc7, 0xff50},
	{"up", 0xc8, 0xff52},
	{"pgup", 0xc9, 0xff55},
	{"left", 0xcb, 0xff51},
	{"right", 0xcd, 0xff53},
	{"end", 0xcf, 0xff57},
	{"down", 0xd0, 0xff54},
	{"pgdn", 0xd1, 0xff56},
	{"insert", 0xd2, 0xff63},
	{"delete", 0xd3, 0xffff},
	{"del", 0xd3, 0},
	{"meta", 0xdb, 0xffeb},
	{"meta_r", 0xdc, 0xffec},
	{"menu", 0xdd, 0xff67},
	{"pause", DISPLAY_KEY_PAUSE, 0xff13},
};

/* Keysyms that some keyboards have instead. */
static const struct {
	uint32_t keysym;
	unsigned code;
} more[] = {
	{0xfe03, 0xb8},			/* AltGr */
	{0xffe7, 0x38}, {0xffe8, 0xb8}, /* Meta */
	{0xff95, 0x47}, {0xff97, 0x48}, /* keypad without Num Lock */
	{0xff9a, 0x49}, {0xff96, 0x4b}, {0xff9d, 0x4c}, {0xff98, 0x4d},
	{0xff9c, 0x4f}, {0xff99, 0x50}, {0xff9b, 0x51}, {0xff9e, 0x52},
	{0xff9f, 0x53}, {0xfe20, 0x0f}, /* Shift-Tab */
};

int display_key_by_char(uint32_t c, bool *shift)
{
	*shift = false;
	if (!c || c > 0x7f)
		return -1;
	if (c == '\r')
		c = '\n';
	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		const char *p = strchr(rows[i].plain, (int)c);
		const char *s = strchr(rows[i].shifted, (int)c);

		if (p)
			return (int)(rows[i].first + (p - rows[i].plain));
		if (s) {
			*shift = true;
			return (int)(rows[i].first + (s - rows[i].shifted));
		}
	}
	return -1;
}

/* "f1" to "f12" */
static int function_key(unsigned long n)
{
	if (n >= 1 && n <= 10)
		return (int)(0x3b + n - 1);
	return n == 11 || n == 12 ? (int)(0x57 + n - 11) : -1;
}

int display_key_by_name(const char *name)
{
	bool shift;

	for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++)
		if (!g_ascii_strcasecmp(name, keys[i].name))
			return (int)keys[i].code;
	if ((name[0] == 'f' || name[0] == 'F') && name[1])
		return strspn(name + 1, "0123456789") == strlen(name + 1)
			       ? function_key(strtoul(name + 1, NULL, 10))
			       : -1;
	if (name[0] && !name[1])
		return display_key_by_char(
			(uint8_t)g_ascii_tolower(name[0]), &shift);
	return -1;
}

int display_key_by_keysym(uint32_t sym)
{
	bool shift;

	if (sym < 0x80)
		return display_key_by_char(sym, &shift);
	if (sym >= 0xffbe && sym <= 0xffc9)
		return function_key(sym - 0xffbe + 1);
	for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++)
		if (keys[i].keysym == sym)
			return (int)keys[i].code;
	for (unsigned i = 0; i < G_N_ELEMENTS(more); i++)
		if (more[i].keysym == sym)
			return (int)more[i].code;
	return -1;
}

/*
 * linux.c - the Linux/x86 boot protocol (kernel Documentation/arch/x86/boot).
 *
 * Kernels of protocol 2.08 and later loaded high are entered at their 32-bit
 * entry with a zero page, without a BIOS.  Older headers promise only the
 * real-mode entry, which expects a BIOS under it (iPXE's and memdisk's images
 * are of that kind): these go to fw_cfg, from where our option ROM
 * (realboot.S) loads them once the BIOS is up.
 */
#include <string.h>

#include "firmware/e820.h"
#include "firmware/load.h"
#include "firmware/realboot.h"

enum {
	HDR_SETUP_SECTS = 0x1f1,
	HDR_SYSSIZE = 0x1f4, /* kernel's size / 16, rounded up */
	HDR_BOOT_FLAG = 0x1fe,
	HDR_JUMP = 0x201, /* byte: the header ends at 0x202 + it */
	HDR_MAGIC = 0x202,
	HDR_VERSION = 0x206,
	HDR_LOADER = 0x210,
	HDR_LOADFLAGS = 0x211,
	HDR_CODE32 = 0x214,
	HDR_RAMDISK = 0x218,
	HDR_RAMDISK_SIZE = 0x21c,
	HDR_HEAP_END = 0x224,
	HDR_CMDLINE = 0x228,
	HDR_INITRD_MAX = 0x22c,
	HDR_ALIGN = 0x230,
	HDR_RELOCATABLE = 0x234,
	HDR_CMDLINE_SIZE = 0x238,
	HDR_PREF_ADDRESS = 0x258,
	HDR_INIT_SIZE = 0x260,
	HDR_END = 0x290,

	BP_SCREEN = 0x000, /* struct screen_info */
	BP_ALT_MEM_K = 0x1e0,
	BP_E820_COUNT = 0x1e8,
	BP_RSDP = 0x070,
	BP_E820 = 0x2d0,
	BP_SIZE = 0x1000,

	LOADED_HIGH = 0x01,
	CAN_USE_HEAP = 0x80,

	REAL_SETUP = 0x10000,	  /* setup code in real-mode boots */
	REAL_SETUP_LOW = 0x90000, /* with a kernel at 0x10000 (zImage) */
	REAL_HEAP_END = 0xe000,	  /* offset in its segment */
	REAL_CMDLINE = 0xe000,
	REAL_CMDLINE_MAX = 0x1000,
	REAL_TOP_RESERVE = 0x100000,
};

/* What the header says, checked for being inside the file. */
struct linux_image {
	uint8_t hdr[HDR_END];
	unsigned version, hdr_end;
	uint64_t setup_bytes;  /* real-mode part with its boot sector */
	uint64_t kernel_bytes; /* what follows it */
	uint64_t cmdline_max;
	uint64_t initrd_limit; /* first byte that the initrd may not use */
	bool high, direct;
};

static uint64_t get(const uint8_t *p, unsigned len)
{
	uint64_t v = 0;

	memcpy(&v, p, len);
	return GUINT64_FROM_LE(v);
}

static void set(uint8_t *p, uint64_t v, unsigned len)
{
	v = GUINT64_TO_LE(v);
	memcpy(p, &v, len);
}

static bool truncated(const struct fw_image *k, GError **err)
{
	return fw_error(err, "the file is shorter than its header says",
		"copy or download it again", "%s is a truncated Linux kernel",
		k->path);
}

static bool parse(struct linux_image *l, const struct fw_image *k, bool *mine,
	GError **err)
{
	size_t n = MIN(k->size, sizeof(l->hdr));
	unsigned sects;

	memset(l, 0, sizeof(*l));
	*mine = false;
	if (n < HDR_CODE32 || !fw_image_read(k, 0, l->hdr, n))
		return true;
	if (get(l->hdr + HDR_BOOT_FLAG, 2) != 0xaa55 ||
		memcmp(l->hdr + HDR_MAGIC, "HdrS", 4) != 0)
		return true;
	*mine = true;
	l->version = (unsigned)get(l->hdr + HDR_VERSION, 2);
	if (l->version < 0x202)
		return fw_error(err, "its boot protocol is older than 2.02",
			"use a kernel of Linux 2.4.0-test3 or later",
			"%s is too old a Linux kernel", k->path);
	sects = l->hdr[HDR_SETUP_SECTS] ? l->hdr[HDR_SETUP_SECTS] : 4;
	l->setup_bytes = (sects + 1) * 512u;
	if (k->size <= l->setup_bytes || n < HDR_INITRD_MAX)
		return truncated(k, err);
	l->kernel_bytes = k->size - l->setup_bytes;
	if (l->version >= 0x204 &&
		l->kernel_bytes + 15 < get(l->hdr + HDR_SYSSIZE, 4) * 16)
		return truncated(k, err);
	l->hdr_end =
		MIN((unsigned)HDR_END, (unsigned)HDR_MAGIC + l->hdr[HDR_JUMP]);
	/* fields that the header's version or length does not have: zero */
	memset(l->hdr + l->hdr_end, 0, HDR_END - l->hdr_end);
	l->high = l->hdr[HDR_LOADFLAGS] & LOADED_HIGH;
	l->direct = l->high && l->version >= 0x208;
	l->cmdline_max =
		l->version >= 0x206 ? get(l->hdr + HDR_CMDLINE_SIZE, 4) : 255;
	l->initrd_limit = l->version >= 0x203
				  ? get(l->hdr + HDR_INITRD_MAX, 4) + 1
				  : 0x38000000;
	return true;
}

static bool check_cmdline(
	const struct linux_image *l, const struct fw_boot *b, GError **err)
{
	uint64_t max = MIN(l->cmdline_max, (uint64_t)FW_MAX_CMDLINE);
	g_autofree char *why = NULL;

	if (!l->direct)
		max = MIN(max, (uint64_t)REAL_CMDLINE_MAX - 1);
	if (strlen(b->cmdline) <= max)
		return true;
	why = g_strdup_printf("it has %zu bytes, the kernel takes %" PRIu64,
		strlen(b->cmdline), max);
	return fw_error(err, why, "shorten --append",
		"the kernel command line is too long");
}

static bool too_little(const struct fw_boot *b, const struct fw_image *i,
	uint64_t need, GError **err)
{
	g_autofree char *why = g_strdup_printf("it needs about %" PRIu64
					       " MiB, the machine has %" PRIu64,
		(need >> 20) + 1, (b->low_bytes + b->high_bytes) >> 20);
	g_autofree char *fix = g_strdup_printf(
		"give the machine more memory: --mem %" PRIu64 "M",
		((need >> 20) + 64) & ~(uint64_t)31);

	return fw_error(err, why, fix, "too little memory for %s", i->path);
}

/* The initrd as high as it may be; 0 with *err if there is no room. */
static bool place_initrd(const struct linux_image *l, const struct fw_boot *b,
	uint64_t kernel_end, gpa_t *at, GError **err)
{
	uint64_t limit;

	*at = 0;
	if (!b->initrd || !b->initrd->size)
		return true;
	limit = MIN(l->initrd_limit, b->low_bytes);
	/* the BIOS keeps its tables at the top of low RAM */
	if (!l->direct)
		limit -= MIN(limit, (uint64_t)REAL_TOP_RESERVE);
	*at = fw_place_high(b, b->initrd->size, limit, kernel_end);
	return *at ||
	       too_little(b, b->initrd, kernel_end + b->initrd->size, err);
}

/* ---- direct entry ---- */

/* Where the kernel goes and how much from there it uses until it knows its
 * memory map. */
static bool place_kernel(const struct linux_image *l, const struct fw_boot *b,
	gpa_t *at, uint64_t *end, GError **err)
{
	uint64_t need = l->kernel_bytes, pref = FW_HIGH_START;
	bool relocatable = l->hdr[HDR_RELOCATABLE];
	uint64_t step = get(l->hdr + HDR_ALIGN, 4);

	if (l->version >= 0x20a) {
		need = MAX(need, get(l->hdr + HDR_INIT_SIZE, 4));
		pref = get(l->hdr + HDR_PREF_ADDRESS, 8);
	}
	if (!relocatable)
		pref = get(l->hdr + HDR_CODE32, 4);
	if (pref < FW_HIGH_START || pref >= 1ull << 32)
		pref = FW_HIGH_START;
	if (pref + need > b->low_bytes && relocatable) {
		if (step < BUS_PAGE_SIZE || step & (step - 1))
			step = BUS_PAGE_SIZE;
		pref = (FW_HIGH_START + step - 1) & ~(step - 1);
	}
	if (pref + need > b->low_bytes)
		return too_little(b, b->kernel, pref + need, err);
	*at = pref;
	*end = pref + need;
	return true;
}

/* The screen as setup code would have found it: 80x25, EGA and VGA. */
static void screen_info(uint8_t *s)
{
	s[0x06] = 3; /* mode */
	s[0x07] = 80;
	set(s + 0x0a, 3, 2); /* 256 KB */
	s[0x0e] = 25;
	s[0x0f] = 1;	      /* VGA */
	set(s + 0x10, 16, 2); /* lines of a character */
}

static GBytes *zero_page(const struct linux_image *l, const struct fw_boot *b,
	gpa_t initrd, gpa_t kernel)
{
	uint8_t *bp = g_malloc0(BP_SIZE);
	struct fw_e820 map[FW_E820_MAX];
	unsigned n = fw_e820_direct(
		map, b->low_bytes, b->high_bytes, b->ecam, b->reserved_page);

	memcpy(bp + HDR_SETUP_SECTS, l->hdr + HDR_SETUP_SECTS,
		l->hdr_end - HDR_SETUP_SECTS);
	bp[HDR_LOADER] = 0xff; /* a loader without a number of its own */
	set(bp + HDR_CODE32, kernel, 4);
	set(bp + HDR_RAMDISK, initrd, 4);
	set(bp + HDR_RAMDISK_SIZE, initrd ? b->initrd->size : 0, 4);
	set(bp + HDR_CMDLINE, FW_LOW_CMDLINE, 4);
	set(bp + BP_ALT_MEM_K, (MIN(b->low_bytes, 1ull << 32) >> 10) - 1024, 4);
	set(bp + BP_RSDP, b->rsdp_gpa, 8);
	if (b->text_screen)
		screen_info(bp + BP_SCREEN);
	bp[BP_E820_COUNT] = (uint8_t)n;
	memcpy(bp + BP_E820, map, n * sizeof(map[0]));
	return g_bytes_new_take(bp, BP_SIZE);
}

static bool plan_direct(struct fw_plan *p, const struct linux_image *l,
	const struct fw_boot *b, GError **err)
{
	gpa_t kernel = 0, initrd = 0;
	uint64_t end = 0;

	if (!place_kernel(l, b, &kernel, &end, err) ||
		!place_initrd(l, b, end, &initrd, err))
		return false;
	fw_plan_image(p, kernel, b->kernel, l->setup_bytes, l->kernel_bytes, 0);
	if (initrd)
		fw_plan_image(p, initrd, b->initrd, 0, b->initrd->size, 0);
	fw_plan_bytes(p, FW_LOW_ZEROPG, zero_page(l, b, initrd, kernel));
	fw_plan_bytes(p, FW_LOW_CMDLINE,
		g_bytes_new(b->cmdline, strlen(b->cmdline) + 1));
	p->entry = FW_ENTRY_PROTECTED;
	p->eip = (uint32_t)kernel;
	p->esi = FW_LOW_ZEROPG;
	p->kind = "linux";
	return true;
}

/* ---- through the BIOS ---- */

static GBytes *image_bytes(
	const struct fw_image *i, uint64_t off, uint64_t len, GError **err)
{
	uint8_t *buf = g_try_malloc(len ? len : 1);

	if (buf && fw_image_read(i, off, buf, len))
		return g_bytes_new_take(buf, len);
	g_free(buf);
	fw_error(err, "it cannot be read", NULL, "cannot load %s", i->path);
	return NULL;
}

static GBytes *patched_setup(const struct linux_image *l,
	const struct fw_boot *b, gpa_t setup, gpa_t initrd, GError **err)
{
	GBytes *bytes = image_bytes(b->kernel, 0, l->setup_bytes, err);
	uint8_t *s;
	gsize len;

	if (!bytes)
		return NULL;
	s = g_bytes_unref_to_data(bytes, &len);
	s[HDR_LOADER] = 0xff;
	s[HDR_LOADFLAGS] |= CAN_USE_HEAP;
	set(s + HDR_HEAP_END, REAL_HEAP_END - 0x200, 2);
	set(s + HDR_RAMDISK, initrd, 4);
	set(s + HDR_RAMDISK_SIZE, initrd ? b->initrd->size : 0, 4);
	set(s + HDR_CMDLINE, setup + REAL_CMDLINE, 4);
	return g_bytes_new_take(s, len);
}

static bool plan_real(struct fw_plan *p, struct fw_items *items,
	const struct linux_image *l, const struct fw_boot *b, GError **err)
{
	gpa_t kernel = l->high ? FW_HIGH_START : REAL_SETUP, initrd = 0;
	gpa_t setup = l->high ? REAL_SETUP : REAL_SETUP_LOW;
	uint64_t end = FW_HIGH_START + (l->high ? l->kernel_bytes : 0);
	struct fw_realboot r = {0};

	if (l->setup_bytes > REAL_HEAP_END - 0x1000 ||
		(!l->high && l->kernel_bytes > REAL_SETUP_LOW - REAL_SETUP))
		return fw_error(err, "its parts do not fit into low memory",
			NULL, "cannot start %s", b->kernel->path);
	if (end > b->low_bytes)
		return too_little(b, b->kernel, end, err);
	if (!place_initrd(l, b, end, &initrd, err))
		return false;
	r.setup = patched_setup(l, b, setup, initrd, err);
	r.kernel = image_bytes(b->kernel, l->setup_bytes, l->kernel_bytes, err);
	r.setup_addr = (uint32_t)setup;
	r.kernel_addr = (uint32_t)kernel;
	r.cmdline_addr = (uint32_t)(setup + REAL_CMDLINE);
	r.cmdline = g_bytes_new(b->cmdline, strlen(b->cmdline) + 1);
	if (initrd) {
		r.initrd = image_bytes(b->initrd, 0, b->initrd->size, err);
		r.initrd_addr = (uint32_t)initrd;
	}
	if (!r.setup || !r.kernel || (initrd && !r.initrd)) {
		fw_realboot_clear(&r);
		return false;
	}
	fw_realboot_items(items, &r);
	p->entry = FW_ENTRY_RESET;
	p->kind = "linux-realmode";
	return true;
}

/* UEFI takes the image in two parts and starts it as the program it is. */
static bool plan_uefi(struct fw_plan *p, struct fw_items *items,
	const struct linux_image *l, const struct fw_boot *b, GError **err)
{
	struct fw_realboot r = {.no_rom = true};

	r.setup = image_bytes(b->kernel, 0, l->setup_bytes, err);
	if (r.setup)
		r.kernel = image_bytes(
			b->kernel, l->setup_bytes, l->kernel_bytes, err);
	if (r.kernel && b->initrd)
		r.initrd = image_bytes(b->initrd, 0, b->initrd->size, err);
	r.cmdline = g_bytes_new(b->cmdline, strlen(b->cmdline) + 1);
	if (!r.kernel || (b->initrd && !r.initrd)) {
		fw_realboot_clear(&r);
		return false;
	}
	fw_realboot_items(items, &r);
	p->entry = FW_ENTRY_RESET;
	p->kind = "linux-efi";
	return true;
}

bool fw_linux_plan(struct fw_plan *p, struct fw_items *items,
	const struct fw_boot *b, bool *mine, GError **err)
{
	struct linux_image l;

	if (!parse(&l, b->kernel, mine, err))
		return false;
	if (!*mine)
		return true;
	if (!check_cmdline(&l, b, err))
		return false;
	if (b->uefi)
		return plan_uefi(p, items, &l, b, err);
	return l.direct ? plan_direct(p, &l, b, err)
			: plan_real(p, items, &l, b, err);
}

/*
 * Kernels, well-formed and hostile: where they go, and that nothing in a
 * header makes us read or write outside the file or the guest's RAM.
 */
#include <elf.h>
#include <string.h>
#include <unistd.h>

#include "firmware/load.h"

#define MIB (1ull << 20)

struct fixture {
	struct fw_image kernel, initrd;
	struct fw_boot boot;
	struct fw_plan plan;
	struct fw_items items;
};

static void fixture_init(struct fixture *f, void *bytes, size_t len)
{
	memset(f, 0, sizeof(*f));
	f->kernel = (struct fw_image){.path = (char *)(uintptr_t) "k",
		.fd = -1,
		.size = len,
		.mem = bytes};
	f->boot = (struct fw_boot){.kernel = &f->kernel,
		.cmdline = "quiet",
		.low_bytes = 64 * MIB,
		.rsdp_gpa = 0xe0000};
	fw_plan_init(&f->plan);
	fw_items_init(&f->items);
}

static void fixture_fini(struct fixture *f)
{
	fw_plan_fini(&f->plan);
	fw_items_fini(&f->items);
}

static bool plan(struct fixture *f, GError **err)
{
	return fw_boot_plan(&f->plan, &f->items, &f->boot, err);
}

/* What planning says; every piece must lie in the file and in RAM. */
static void check_pieces(const struct fixture *f)
{
	for (unsigned i = 0; i < f->plan.pieces->len; i++) {
		const struct fw_piece *p =
			&g_array_index(f->plan.pieces, struct fw_piece, i);

		g_assert_cmpuint(
			p->gpa + p->len + p->zero, <=, f->boot.low_bytes);
		if (p->image)
			g_assert_cmpuint(p->off + p->len, <=, p->image->size);
	}
}

static void expect_error(void *bytes, size_t len, const char *text)
{
	struct fixture f;
	g_autoptr(GError) err = NULL;

	fixture_init(&f, bytes, len);
	g_assert_false(plan(&f, &err));
	g_assert_nonnull(err);
	if (!strstr(err->message, text))
		g_error("'%s' does not say '%s'", err->message, text);
	fixture_fini(&f);
}

static void put(uint8_t *p, uint64_t v, unsigned len)
{
	memcpy(p, &v, len);
}

/* A bzImage of protocol 2.15 with 64 KiB behind its setup. */
static uint8_t *linux_kernel(size_t *len)
{
	uint8_t *k;

	*len = 5 * 512 + 65536;
	k = g_malloc0(*len);
	k[0x1f1] = 4;
	put(k + 0x1f4, 65536 / 16, 4);
	put(k + 0x1fe, 0xaa55, 2);
	k[0x200] = 0xeb;
	k[0x201] = 0x6a;
	memcpy(k + 0x202, "HdrS", 4);
	put(k + 0x206, 0x20f, 2);
	k[0x211] = 1;
	put(k + 0x214, 0x100000, 4);
	put(k + 0x22c, 0x7fffffff, 4);
	put(k + 0x230, 0x200000, 4);
	k[0x234] = 1;
	put(k + 0x238, 2047, 4);
	put(k + 0x258, 0x1000000, 8);
	put(k + 0x260, 0x800000, 4);
	return k;
}

static const struct fw_piece *piece_at(const struct fixture *f, gpa_t gpa)
{
	for (unsigned i = 0; i < f->plan.pieces->len; i++) {
		const struct fw_piece *p =
			&g_array_index(f->plan.pieces, struct fw_piece, i);

		if (p->gpa == gpa)
			return p;
	}
	return NULL;
}

static void test_linux_direct(void)
{
	size_t len;
	g_autofree uint8_t *k = linux_kernel(&len);
	uint8_t initrd[5000] = {1};
	struct fixture f;
	const uint8_t *bp;
	uint32_t at;

	fixture_init(&f, k, len);
	f.initrd = (struct fw_image){.path = (char *)(uintptr_t) "i",
		.fd = -1,
		.size = sizeof(initrd),
		.mem = initrd};
	f.boot.initrd = &f.initrd;
	g_assert_true(plan(&f, NULL));
	check_pieces(&f);
	g_assert_cmpint(f.plan.entry, ==, FW_ENTRY_PROTECTED);
	g_assert_cmpuint(f.plan.eip, ==, 0x1000000); /* where it prefers */
	g_assert_cmpuint(f.plan.esi, ==, FW_LOW_ZEROPG);
	bp = g_bytes_get_data(piece_at(&f, FW_LOW_ZEROPG)->bytes, NULL);
	memcpy(&at, bp + 0x218, 4);
	/* the initrd lies at the top of RAM, page aligned */
	g_assert_cmpuint(at, ==, 64 * MIB - 8192);
	g_assert_nonnull(piece_at(&f, at));
	g_assert_cmpuint(bp[0x210], ==, 0xff);
	memcpy(&at, bp + 0x228, 4);
	g_assert_cmpuint(at, ==, FW_LOW_CMDLINE);
	g_assert_cmpstr(
		g_bytes_get_data(piece_at(&f, FW_LOW_CMDLINE)->bytes, NULL), ==,
		"quiet");
	g_assert_cmpuint(bp[0x1e8], >=, 4); /* memory map */
	fixture_fini(&f);
}

/* Not enough room where it prefers: as low as its alignment lets it. */
static void test_linux_relocates(void)
{
	size_t len;
	g_autofree uint8_t *k = linux_kernel(&len);
	struct fixture f;
	g_autoptr(GError) err = NULL;

	fixture_init(&f, k, len);
	f.boot.low_bytes = 16 * MIB;
	g_assert_true(plan(&f, NULL));
	g_assert_cmpuint(f.plan.eip, ==, 0x200000);
	fixture_fini(&f);
	fixture_init(&f, k, len);
	f.boot.low_bytes = 8 * MIB;
	g_assert_false(plan(&f, &err));
	g_assert_nonnull(strstr(err->message, "too little memory"));
	g_assert_nonnull(strstr(err->message, "--mem"));
	fixture_fini(&f);
}

static void test_linux_initrd_limits(void)
{
	size_t len;
	g_autofree uint8_t *k = linux_kernel(&len);
	struct fixture f;
	g_autoptr(GError) err = NULL;
	uint8_t initrd[4096] = {0};

	/* the header's limit is kept */
	put(k + 0x22c, 0x2ffffff, 4);
	fixture_init(&f, k, len);
	f.initrd = (struct fw_image){.path = (char *)(uintptr_t) "i",
		.fd = -1,
		.size = sizeof(initrd),
		.mem = initrd};
	f.boot.initrd = &f.initrd;
	g_assert_true(plan(&f, NULL));
	g_assert_nonnull(piece_at(&f, 0x3000000 - 4096));
	fixture_fini(&f);
	/* and not bent where there is no room under it */
	put(k + 0x22c, 0x1000fff, 4);
	fixture_init(&f, k, len);
	f.boot.initrd = &f.initrd;
	f.initrd.size = 4096;
	f.initrd.mem = initrd;
	f.initrd.path = (char *)(uintptr_t) "i";
	g_assert_false(plan(&f, &err));
	fixture_fini(&f);
}

/* Old protocols start at the real-mode entry, through the BIOS. */
static void test_linux_real_mode(void)
{
	size_t len;
	g_autofree uint8_t *k = linux_kernel(&len);
	struct fixture f;
	bool rom = false;

	put(k + 0x206, 0x207, 2);
	fixture_init(&f, k, len);
	g_assert_true(plan(&f, NULL));
	g_assert_cmpint(f.plan.entry, ==, FW_ENTRY_RESET);
	g_assert_cmpuint(f.plan.pieces->len, ==, 0);
	for (unsigned i = 0; i < f.items.list->len; i++) {
		struct fw_item *it =
			&g_array_index(f.items.list, struct fw_item, i);

		rom |= it->key == FW_KEY_FILES &&
		       g_str_has_prefix(it->name, "genroms/");
	}
	g_assert_true(rom);
	fixture_fini(&f);
}

static void test_linux_errors(void)
{
	size_t len;
	g_autofree uint8_t *k = linux_kernel(&len);
	g_autofree char *line = g_strnfill(3000, 'x');
	struct fixture f;
	g_autoptr(GError) err = NULL;

	expect_error(k, 5 * 512, "truncated");
	expect_error(k, 0x220, "truncated");
	expect_error(k, len - 16, "truncated");
	put(k + 0x206, 0x201, 2);
	expect_error(k, len, "too old");
	put(k + 0x206, 0x20f, 2);
	fixture_init(&f, k, len);
	f.boot.cmdline = line;
	g_assert_false(plan(&f, &err));
	g_assert_nonnull(strstr(err->message, "command line is too long"));
	fixture_fini(&f);
}

static void test_no_kernel(void)
{
	char text[] = "#!/bin/sh\necho this is no kernel\n";
	uint8_t noise[64] = {1, 2, 3};

	expect_error(text, sizeof(text) - 1, "text file");
	expect_error(noise, sizeof(noise), "not a kernel");
	expect_error(noise, 0, "empty");
}

/* An ELF file with one segment and a Xen note. */
struct elf_image {
	Elf64_Ehdr eh;
	Elf64_Phdr load, note;
	Elf64_Nhdr nh;
	char name[4];
	uint32_t entry;
	uint8_t code[64];
};

static struct elf_image elf_kernel(void)
{
	struct elf_image e = {0};

	memcpy(e.eh.e_ident, ELFMAG, SELFMAG);
	e.eh.e_ident[EI_CLASS] = ELFCLASS64;
	e.eh.e_ident[EI_DATA] = ELFDATA2LSB;
	e.eh.e_machine = EM_X86_64;
	e.eh.e_phoff = offsetof(struct elf_image, load);
	e.eh.e_phnum = 2;
	e.eh.e_phentsize = sizeof(Elf64_Phdr);
	e.load.p_type = PT_LOAD;
	e.load.p_offset = offsetof(struct elf_image, code);
	e.load.p_vaddr = 0xffffffff81000000;
	e.load.p_paddr = 0x1000000;
	e.load.p_filesz = sizeof(e.code);
	e.load.p_memsz = 4096;
	e.note.p_type = PT_NOTE;
	e.note.p_offset = offsetof(struct elf_image, nh);
	e.note.p_filesz = 20;
	e.nh.n_namesz = 4;
	e.nh.n_descsz = 4;
	e.nh.n_type = 18;
	memcpy(e.name, "Xen", 4);
	e.entry = 0x1000040;
	return e;
}

static void test_pvh(void)
{
	struct elf_image e = elf_kernel();
	struct fixture f;
	const uint8_t *info;
	uint32_t v;
	const struct fw_piece *p;

	fixture_init(&f, &e, sizeof(e));
	g_assert_true(plan(&f, NULL));
	check_pieces(&f);
	g_assert_cmpuint(f.plan.eip, ==, 0x1000040);
	p = piece_at(&f, 0x1000000);
	g_assert_nonnull(p);
	g_assert_cmpuint(p->zero, ==, 4096 - sizeof(e.code));
	info = g_bytes_get_data(piece_at(&f, f.plan.ebx)->bytes, NULL);
	memcpy(&v, info, 4);
	g_assert_cmphex(v, ==, 0x336ec578);
	fixture_fini(&f);
}

static void test_elf_hostile(void)
{
	struct elf_image e = elf_kernel();

	e.load.p_offset = UINT64_MAX - 8;
	expect_error(&e, sizeof(e), "broken");
	e = elf_kernel();
	e.load.p_paddr = UINT64_MAX - 100;
	expect_error(&e, sizeof(e), "memory");
	e = elf_kernel();
	e.load.p_memsz = 1ull << 40;
	expect_error(&e, sizeof(e), "memory");
	e = elf_kernel();
	e.eh.e_phnum = 65535;
	expect_error(&e, sizeof(e), "broken");
	e = elf_kernel();
	e.nh.n_namesz = UINT32_MAX;
	expect_error(&e, sizeof(e), "PVH note");
	e = elf_kernel();
	e.note.p_filesz = UINT64_MAX;
	expect_error(&e, sizeof(e), "PVH note");
	e = elf_kernel();
	e.eh.e_machine = EM_ARM;
	expect_error(&e, sizeof(e), "another processor");
	e = elf_kernel();
	expect_error(&e, sizeof(e.eh) - 1, "broken");
}

static void test_multiboot(void)
{
	uint32_t k[1024] = {0};
	struct fixture f;
	const struct fw_piece *p;

	k[4] = 0x1badb002;
	k[5] = 1 << 16 | 3;
	k[6] = -(k[4] + k[5]);
	k[7] = 0x100010; /* header, load, end of load, end of bss, entry */
	k[8] = 0x100000;
	k[9] = 0x100000 + 4096;
	k[10] = 0x102000;
	k[11] = 0x100030;
	fixture_init(&f, k, sizeof(k));
	g_assert_true(plan(&f, NULL));
	check_pieces(&f);
	g_assert_cmpuint(f.plan.eip, ==, 0x100030);
	g_assert_cmphex(f.plan.eax, ==, 0x2badb002);
	p = piece_at(&f, 0x100000);
	g_assert_nonnull(p);
	g_assert_cmpuint(p->len, ==, 4096);
	g_assert_cmpuint(p->zero, ==, 4096);
	fixture_fini(&f);
	k[9] = 0x100000 + 8192;
	expect_error(k, sizeof(k), "truncated");
	k[9] = 0;
	k[8] = 0x100020;
	expect_error(k, sizeof(k), "multiboot");
	k[8] = 0xffff0000;
	k[7] = 0xffff0010;
	expect_error(k, sizeof(k), "memory");
	k[5] = 1 << 16 | 1 << 15;
	k[6] = -(k[4] + k[5]);
	expect_error(k, sizeof(k), "features");
}

/* Any bytes: an answer, never a piece outside. */
static void test_random_headers(void)
{
	size_t len;
	g_autofree uint8_t *good = linux_kernel(&len);
	struct elf_image elf = elf_kernel();
	g_autofree uint8_t *k = g_malloc(len);

	for (unsigned i = 0; i < 20000; i++) {
		struct fixture f;
		size_t n = i & 1 ? len : sizeof(elf);

		memcpy(k, i & 1 ? good : (uint8_t *)&elf, n);
		for (int b = 0; b < 6; b++)
			k[i & 1 ? g_test_rand_int_range(0x1f0, 0x270)
				: g_test_rand_int_range(0, sizeof(elf))] =
				(uint8_t)g_test_rand_int();
		fixture_init(&f, k, n);
		if (plan(&f, NULL))
			check_pieces(&f);
		fixture_fini(&f);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/kernel/linux/direct", test_linux_direct);
	g_test_add_func("/kernel/linux/relocates", test_linux_relocates);
	g_test_add_func("/kernel/linux/initrd", test_linux_initrd_limits);
	g_test_add_func("/kernel/linux/real-mode", test_linux_real_mode);
	g_test_add_func("/kernel/linux/errors", test_linux_errors);
	g_test_add_func("/kernel/none", test_no_kernel);
	g_test_add_func("/kernel/pvh", test_pvh);
	g_test_add_func("/kernel/elf-hostile", test_elf_hostile);
	g_test_add_func("/kernel/multiboot", test_multiboot);
	g_test_add_func("/kernel/random", test_random_headers);
	return g_test_run();
}

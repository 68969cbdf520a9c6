/*
 * dump.c - memory and processors as an ELF core file that gdb opens.
 *
 * Every processor is a thread (NT_PRSTATUS, NT_FPREGSET, NT_X86_XSTATE) and
 * has a note of ours with all its registers as text.  RAM stands once in the
 * file, pages of zeroes as holes; segments say where it appears: at its
 * physical addresses, or where processor 0 has it mapped.  Page tables are the
 * guest's and may be anything, loops included: what is visited and what is
 * written down are bounded.
 *
 * Source: ELF-64 object file format; Linux include/uapi/linux/elfcore.h,
 * arch/x86/include/asm/elf.h for the layout of the notes.
 */
#include <elf.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/error.h"
#include "vmm/priv.h"

#define MAX_SEGMENTS 60000u  /* of 65534 that the header can count */
#define MAX_TABLES   100000u /* page tables that are visited */
#define CHUNK_BYTES  (1u << 20)
#define XSAVE_BYTES  2688u /* legacy, header, AVX, AVX-512 */

struct run { /* of mapped memory */
	gva_t va;
	gpa_t gpa;
	uint64_t bytes;
};

struct dump {
	struct machine *m;
	int fd;
	GArray *runs; /* struct run */
	GByteArray *notes;
	unsigned tables;
	struct run open; /* the run being gathered */
	bool cut;	 /* not everything fitted */
};

/* ---- what is mapped where ---- */

static void run_close(struct dump *d)
{
	if (!d->open.bytes)
		return;
	if (d->runs->len < MAX_SEGMENTS)
		g_array_append_val(d->runs, d->open);
	else
		d->cut = true;
	d->open.bytes = 0;
}

/* The part of it that is RAM; each run lies in one of its two parts. */
static void run_add(struct dump *d, gva_t va, gpa_t gpa, uint64_t bytes)
{
	const struct bus_ram *ram = bus_ram(d->m->bus);
	uint64_t high = ram->bytes - ram->low;
	gpa_t end = gpa < ram->low ? ram->low : (1ull << 32) + high;

	if ((gpa >= ram->low && gpa < 1ull << 32) || gpa >= end)
		return;
	bytes = MIN(bytes, end - gpa);
	if (d->open.bytes && va == d->open.va + d->open.bytes &&
		gpa == d->open.gpa + d->open.bytes && gpa != 1ull << 32) {
		d->open.bytes += bytes;
		return;
	}
	run_close(d);
	d->open = (struct run){va, gpa, bytes};
}

static bool table_read(struct dump *d, gpa_t at, void *table, size_t bytes)
{
	if (d->tables++ >= MAX_TABLES) {
		d->cut = true;
		return false;
	}
	return bus_dma_read(
		d->m->bus, at & bus_a20_mask(d->m->bus), table, bytes);
}

#define ENTRY_ADDR 0xffffffffff000ull

/* level 3 is the PML4; PAE's three levels begin at 2 with 4 entries. */
static void map_table(
	struct dump *d, gpa_t at, unsigned level, gva_t va, unsigned entries)
{
	unsigned shift = 12 + 9 * level;
	uint64_t mask = (1ull << shift) - 1;
	uint64_t table[512];

	if (!table_read(d, at, table, entries * 8))
		return;
	for (unsigned i = 0; i < entries; i++) {
		gva_t a = va | (uint64_t)i << shift;
		uint64_t e = table[i];

		if (!(e & 1) || d->cut)
			continue;
		if (level == 3 && (i & 256))
			a |= 0xffff000000000000ull;
		if (!level || (level < 3 && (e & 0x80)))
			run_add(d, a, e & ENTRY_ADDR & ~mask, mask + 1);
		else
			map_table(d, e & ENTRY_ADDR, level - 1, a, 512);
	}
}

static void map_legacy(struct dump *d, const struct x86_state *s)
{
	uint32_t dir[1024], table[1024];

	if (!table_read(d, s->cr3 & 0xfffff000, dir, sizeof(dir)))
		return;
	for (unsigned i = 0; i < 1024; i++) {
		uint64_t e = dir[i];

		if (!(e & 1))
			continue;
		if ((e & 0x80) && (s->cr4 & X86_CR4_PSE)) {
			run_add(d, (gva_t)i << 22,
				(e & 0xffc00000) | (e >> 13 & 0xff) << 32,
				4u << 20);
			continue;
		}
		if (!table_read(d, e & 0xfffff000, table, sizeof(table)))
			continue;
		for (unsigned k = 0; k < 1024; k++)
			if (table[k] & 1)
				run_add(d, (gva_t)i << 22 | k << 12,
					table[k] & 0xfffff000, 4096);
	}
}

/* Segments by processor 0's page tables; false: it has no paging on. */
static bool map_virtual(struct dump *d, const struct x86_state *s)
{
	if (!(s->cr0 & X86_CR0_PG))
		return false;
	if (s->efer & X86_EFER_LMA)
		map_table(d, s->cr3 & ENTRY_ADDR, 3, 0, 512);
	else if (s->cr4 & X86_CR4_PAE)
		map_table(d, s->cr3 & 0xffffffe0, 2, 0, 4);
	else
		map_legacy(d, s);
	run_close(d);
	return true;
}

static void map_physical(struct dump *d)
{
	uint64_t bytes;

	for (gpa_t at = 0; memory_next(d->m, &at, &bytes); at += bytes) {
		run_add(d, at, at, bytes);
		run_close(d);
	}
}

/* ---- processors ---- */

static void note_add(struct dump *d, const char *name, uint32_t type,
	const void *data, uint32_t bytes)
{
	static const uint8_t zero[4];
	uint32_t len = (uint32_t)strlen(name) + 1;
	Elf64_Nhdr h = {.n_namesz = len, .n_descsz = bytes, .n_type = type};

	g_byte_array_append(d->notes, (const uint8_t *)&h, sizeof(h));
	g_byte_array_append(d->notes, (const uint8_t *)name, len);
	g_byte_array_append(d->notes, zero, -len & 3);
	g_byte_array_append(d->notes, data, bytes);
	g_byte_array_append(d->notes, zero, -bytes & 3);
}

static void note_prstatus(
	struct dump *d, unsigned cpu, const struct x86_state *s)
{
	const uint64_t *g = s->gpr;
	const struct x86_seg *seg = s->seg;
	const uint64_t regs[] = {g[X86_R15], g[X86_R14], g[X86_R13], g[X86_R12],
		g[X86_RBP], g[X86_RBX], g[X86_R11], g[X86_R10], g[X86_R9],
		g[X86_R8], g[X86_RAX], g[X86_RCX], g[X86_RDX], g[X86_RSI],
		g[X86_RDI], UINT64_MAX, s->rip, seg[X86_CS].sel, s->rflags,
		g[X86_RSP], seg[X86_SS].sel, seg[X86_FS].base, seg[X86_GS].base,
		seg[X86_DS].sel, seg[X86_ES].sel, seg[X86_FS].sel,
		seg[X86_GS].sel};
	struct elf_prstatus p = {.pr_pid = (pid_t)cpu + 1, .pr_fpvalid = 1};

	_Static_assert(sizeof(regs) == sizeof(p.pr_reg), "registers of a core");
	memcpy(&p.pr_reg, regs, sizeof(regs));
	note_add(d, "CORE", NT_PRSTATUS, &p, sizeof(p));
}

/* The layout of XSAVE without compaction, as all processors have it. */
static void note_vectors(struct dump *d, const struct x86_state *s)
{
	const struct x86_cpu_model *model = &d->m->model;
	bool avx = model->feature[X86_FEAT_AVX];
	bool avx512 = avx && model->feature[X86_FEAT_AVX512F];
	uint64_t mask = avx512 ? 0xe7 : avx ? 7 : 3;
	g_autofree uint8_t *x = g_malloc0(XSAVE_BYTES);

	memcpy(x, s->fpu.fx, 160);
	memcpy(x + 464, &mask, 8); /* where gdb looks for XCR0 */
	memcpy(x + 512, &mask, 8);
	for (unsigned i = 0; i < 16; i++) {
		memcpy(x + 160 + i * 16, s->fpu.zmm[i], 16);
		memcpy(x + 576 + i * 16, s->fpu.zmm[i] + 16, 16);
		memcpy(x + 1152 + i * 32, s->fpu.zmm[i] + 32, 32);
		memcpy(x + 1664 + i * 64, s->fpu.zmm[16 + i], 64);
	}
	memcpy(x + 1088, s->fpu.k, 64);
	note_add(d, "CORE", NT_FPREGSET, x, 512);
	note_add(d, "LINUX", NT_X86_XSTATE, x,
		avx512 ? XSAVE_BYTES
		: avx  ? 832
		       : 576);
}

static void note_cpu(struct dump *d, unsigned cpu, const struct x86_state *s)
{
	char text[2048];

	note_prstatus(d, cpu, s);
	note_vectors(d, s);
	x86_state_print(s, text, sizeof(text));
	note_add(d, "VMESTE", cpu, text, (uint32_t)strlen(text) + 1);
}

/* ---- writing ---- */

static bool put(
	struct dump *d, uint64_t off, const void *buf, size_t len, GError **err)
{
	const uint8_t *p = buf;

	while (len) {
		ssize_t n = pwrite(d->fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int e = n ? errno : ENOSPC;

			conf_error_set_errno(err, e,
				e == ENOSPC || e == EDQUOT || e == EFBIG
					? "choose a file system with room for "
					  "the guest's memory"
					: NULL,
				"cannot write the dump");
			return false;
		}
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return true;
}

static bool is_zero(const uint8_t *p, size_t len)
{
	uint64_t first;

	memcpy(&first, p, sizeof(first));
	return !first && !memcmp(p, p + 8, len - 8);
}

/* Pages of zeroes stay holes. */
static bool put_memory(struct dump *d, uint64_t base, GError **err)
{
	const struct bus_ram *ram = bus_ram(d->m->bus);
	uint64_t at = 0;

	while (at < ram->bytes) {
		uint64_t end = at;

		if (!memory_there(d->m, at, BUS_PAGE_SIZE)) {
			at += BUS_PAGE_SIZE;
			continue;
		}
		while (end < ram->bytes && end - at < CHUNK_BYTES &&
			!is_zero(ram->host + end, BUS_PAGE_SIZE))
			end += BUS_PAGE_SIZE;
		if (end > at && !put(d, base + at, ram->host + at,
					(size_t)(end - at), err))
			return false;
		at = end > at ? end : at + BUS_PAGE_SIZE;
	}
	if (!ftruncate(d->fd, (off_t)(base + ram->bytes)))
		return true;
	conf_error_set_errno(err, errno, NULL, "cannot write the dump");
	return false;
}

static bool put_headers(struct dump *d, uint64_t base, GError **err)
{
	unsigned n = d->runs->len;
	g_autofree Elf64_Phdr *ph = g_new0(Elf64_Phdr, n + 1);
	Elf64_Ehdr eh = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3,
				 ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_CORE,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(eh),
		.e_ehsize = sizeof(eh),
		.e_phentsize = sizeof(*ph),
		.e_phnum = (Elf64_Half)(n + 1)};
	uint64_t notes = sizeof(eh) + (n + 1) * sizeof(*ph);

	ph[0] = (Elf64_Phdr){.p_type = PT_NOTE,
		.p_offset = notes,
		.p_filesz = d->notes->len,
		.p_align = 4};
	for (unsigned i = 0; i < n; i++) {
		const struct run *r = &g_array_index(d->runs, struct run, i);
		int64_t ram = bus_ram_offset(d->m->bus, r->gpa);

		ph[i + 1] = (Elf64_Phdr){.p_type = PT_LOAD,
			.p_flags = PF_R | PF_W | PF_X,
			.p_offset = base + (uint64_t)ram,
			.p_vaddr = r->va,
			.p_paddr = r->gpa,
			.p_filesz = r->bytes,
			.p_memsz = r->bytes,
			.p_align = BUS_PAGE_SIZE};
	}
	return put(d, 0, &eh, sizeof(eh), err) &&
	       put(d, sizeof(eh), ph, (n + 1) * sizeof(*ph), err) &&
	       put(d, notes, d->notes->data, d->notes->len, err);
}

static bool dump_held(struct dump *d, bool virtual, GError **err)
{
	struct machine *m = d->m;
	struct x86_state *s = g_aligned_alloc0(1, sizeof(*s), 64);
	uint64_t base;
	bool paged = true;

	for (unsigned i = 0; i < m->ncpus; i++) {
		runloop_get_state(m, i, s);
		note_cpu(d, i, s);
		if (i == 0 && virtual)
			paged = map_virtual(d, s);
	}
	g_aligned_free(s);
	if (!virtual || !paged)
		map_physical(d);
	base = sizeof(Elf64_Ehdr) + (d->runs->len + 1) * sizeof(Elf64_Phdr) +
	       d->notes->len;
	base = (base + BUS_PAGE_SIZE - 1) & ~(BUS_PAGE_SIZE - 1);
	return put_headers(d, base, err) && put_memory(d, base, err);
}

bool dump_write(
	struct machine *m, int fd, bool virtual, bool *cut, GError **err)
{
	struct dump d = {.m = m, .fd = fd};
	struct stat st;
	bool ok;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		conf_error_set(err, CONF_ERROR_USAGE, "it is no ordinary file",
			NULL, "cannot write the dump");
		return false;
	}
	d.runs = g_array_new(FALSE, FALSE, sizeof(struct run));
	d.notes = g_byte_array_new();
	machine_hold(m, MACHINE_HOLD_DUMP);
	ok = dump_held(&d, virtual, err);
	machine_release(m, MACHINE_HOLD_DUMP);
	*cut = d.cut;
	g_array_unref(d.runs);
	g_byte_array_unref(d.notes);
	return ok;
}

/*
 * translate.c - how long translation takes, per guest instruction.
 *
 *	translate FILE [MEGABYTES [ROUNDS]]
 *
 * The code of an ELF program is put into a guest's RAM and translated as if all
 * of it ran in ring 3: from its beginning, then from wherever a block's exits
 * lead within the page, then from behind what has been translated.
 */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <glib.h>

#include "cpu/bt/tr.h"
#include "x86/cpuid.h"

#define RAM_BYTES (64ull << 20)
#define TABLES	  0x1000
#define CODE	  0x200000

static struct bus *bus;
static struct x86_cpu_model model;

struct work {
	uint64_t off[4096];
	unsigned n;
};

/* The executable segments' bytes into RAM; how many. */
static uint64_t load(const char *path, uint64_t most)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const Elf64_Ehdr *h;
	struct stat st;
	const uint8_t *p;
	uint64_t n = 0;

	if (fd < 0 || fstat(fd, &st))
		return 0;
	p = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return 0;
	h = (const void *)p;
	for (unsigned i = 0; i < h->e_phnum; i++) {
		const Elf64_Phdr *s =
			(const void *)(p + h->e_phoff + i * sizeof(*s));
		uint64_t k = s->p_filesz;

		if (s->p_type != PT_LOAD || !(s->p_flags & PF_X))
			continue;
		uint64_t skip = 0;

		if (k > most - n) { /* from the middle */
			skip = (k - (most - n)) / 2 & ~4095ull;
			k = most - n;
		}
		memcpy(bus_ram(bus)->host + CODE + n, p + s->p_offset + skip,
			k);
		n += k;
	}
	munmap((void *)(uintptr_t)p, st.st_size);
	return n;
}

/* One to one, by pages of 2 MiB. */
static void map(void)
{
	uint64_t *t = (void *)(bus_ram(bus)->host + TABLES);

	t[0] = (TABLES + 4096) | 7;
	t[512] = (TABLES + 8192) | 7;
	for (uint64_t i = 0; i < RAM_BYTES >> 21; i++)
		t[1024 + i] = i << 21 | 0xe7;
}

static void state(struct cpu *cpu)
{
	struct x86_state s;

	cpu_bt.get(cpu, &s);
	s.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP;
	s.cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT |
		X86_CR4_OSXSAVE;
	s.xcr0 = model.xcr0_mask & 0xe7;
	s.efer = X86_EFER_LME | X86_EFER_LMA;
	s.cr3 = TABLES;
	s.seg[X86_CS] = (struct x86_seg){0, 0xffffffff, 0x33, 0xa0fb};
	s.seg[X86_SS] = (struct x86_seg){0, 0xffffffff, 0x2b, 0xc0f3};
	s.rflags = 2;
	s.fpu.fx[0] = 0x7f; /* as FNINIT leaves it */
	s.fpu.fx[1] = 0x03;
	s.activity = X86_ACT_RUN;
	cpu_bt.set(cpu, &s);
}

/* The block at a offset of the code, and what it leads to. */
static uint64_t visit(struct soft_cpu *c, struct work *w, uint64_t off)
{
	struct cpu_vm *vm = bt_vm(c);
	struct bt_block *b;
	uint64_t page = off & ~4095ull;

	c->st.rip = CODE + off;
	b = bt_block_get(c);
	if (!b)
		return off + 1;
	for (unsigned i = 0; i < b->nexits; i++) {
		const struct bt_exit *x = &vm->exits[b->first_exit + i];
		uint64_t to = page + x->off;

		if (x->key == b->key &&
			w->n < sizeof(w->off) / sizeof(w->off[0]))
			w->off[w->n++] = to;
	}
	return page + vm->tr->end;
}

static void sweep(struct soft_cpu *c, uint64_t bytes)
{
	static struct work w;
	g_autofree bool *seen = g_new0(bool, bytes + 4096);
	uint64_t at = 0;

	while (at < bytes) {
		uint64_t next = visit(c, &w, at);

		while (w.n) {
			uint64_t off = w.off[--w.n], end;

			if (off >= bytes || seen[off])
				continue;
			seen[off] = true;
			end = visit(c, &w, off);
			if (end > next)
				next = end;
		}
		/* A block that was there already tells no end. */
		at = next > at ? next : at + 1;
	}
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static int measure(uint64_t bytes)
{
	struct cpu_vm_conf conf = {
		.model = &model, .code_cache_bytes = 512ull << 20};
	struct cpu_vm *vm;
	struct cpu *cpu;
	char err[256];
	uint64_t *n;
	double start, took;
	struct bus_cpu *bc = bus_cpu_new(bus, 0);

	if (cpu_bt.vm_new(&vm, bus, &conf, err, sizeof(err)) ||
		cpu_bt.cpu_new(&cpu, vm, bc, err, sizeof(err))) {
		fprintf(stderr, "%s\n", err);
		return 1;
	}
	state(cpu);
	start = now_ns();
	sweep(cpu->c, bytes);
	took = now_ns() - start;
	n = vm->counters;
	printf("%lu blocks, %lu instructions, %.1f bytes each, %.0f ns each\n",
		n[BT_VMC_BLOCKS], n[BT_VMC_INSNS],
		(double)n[BT_VMC_BYTES] / n[BT_VMC_INSNS],
		took / n[BT_VMC_INSNS]);
	cpu_bt.cpu_free(cpu);
	cpu_bt.vm_free(vm);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned mb = argc > 2 ? atoi(argv[2]) : 2;
	unsigned rounds = argc > 3 ? atoi(argv[3]) : 3;
	struct x86_topology one = {1, 1, 1};
	const char *missing;
	uint64_t bytes;

	if (argc < 2 || mb < 1 || mb > 32) {
		fprintf(stderr, "usage: translate FILE [MEGABYTES [ROUNDS]]\n");
		return 2;
	}
	bus = bus_new(RAM_BYTES, RAM_BYTES);
	if (!bus || x86_cpu_model_init(&model, "host", NULL, &one, &missing))
		return 1;
	map();
	bytes = load(argv[1], (uint64_t)mb << 20);
	for (unsigned i = 0; i < rounds; i++)
		if (measure(bytes))
			return 1;
	bus_free(bus);
	return !bytes;
}

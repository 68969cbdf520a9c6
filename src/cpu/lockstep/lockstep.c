/*
 * lockstep.c - run bt and interp side by side and compare them.
 *
 * The translator leads: it runs one block with the real devices while every
 * input that is not a function of its state (ports, MMIO, TSC, interrupts) is
 * written to a log.  The interpreter follows: it carries out as many
 * instructions on its own copy of RAM, taking those inputs from the log and
 * checking its outputs against it.  Then all registers are compared, and RAM
 * now and then.  One processor; the bus lock is held during a step, so that
 * devices act between steps only; their DMA is mirrored then.
 *
 * Not compared: flags that the architecture leaves undefined, x87 instruction
 * and data pointers, and accessed and dirty bits that a page walk may set
 * early.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <x86intrin.h>

#include <glib.h>

#include "cpu/bt/bt.h"
#include "cpu/interp/interp.h"

#define LOG_MAX		   (1u << 22) /* a string instruction's, at most */
#define DMA_ENTRIES	   4096
#define RAM_CHECK_INTERVAL (1ull << 28) /* instructions */
#define REP_STEPS	   (1u << 26)

enum log_kind {
	LOG_MMIO_READ,
	LOG_MMIO_WRITE,
	LOG_IO_READ,
	LOG_IO_WRITE,
	LOG_TSC,
	LOG_ACK,
	LOG_RDMSR,
	LOG_WRMSR,
	LOG_GET_TPR,
	LOG_SET_TPR,
	LOG_RANDOM,
	LOG_HYPERCALL,
	LOG_X87_ERROR,
};

static const char *const log_names[] = {"MMIO read", "MMIO write", "port read",
	"port write", "RDTSC", "interrupt", "RDMSR", "WRMSR", "TPR read",
	"TPR write", "RDRAND", "hypercall", "FERR#"};

struct log_entry {
	enum log_kind kind;
	unsigned size;
	uint64_t where, val;
	bool ok;
};

struct cpu_vm {
	struct bus *bus;
	struct cpu_vm *bt; /* the leader's machine in the bt engine */
	struct soft_vm follow;
	struct bus_listener listener;
	pthread_mutex_t dma_lock;
	struct {
		gpa_t gpa;
		size_t len;
	} dma[DMA_ENTRIES];
	unsigned ndma;
	bool dma_all; /* too many: copy the whole RAM */
};

struct cpu {
	struct cpu_vm *vm;
	struct cpu *bt; /* the leader in the bt engine */
	struct soft_cpu *lead, *follow;
	struct bus_cpu shadow; /* the follower's events are set by hand */
	struct log_entry *log;
	unsigned nlog, nread, log_room;
	bool log_full;
	char diff[512]; /* first difference of this step */
	uint64_t insns, steps, next_ram_check;
};

static void *cpu_of(struct soft_cpu *c)
{
	return c->env_opaque;
}

/* ---- the leader's inputs, written down ---- */

static void log_add(struct cpu *k, struct log_entry e)
{
	if (k->nlog == LOG_MAX) {
		k->log_full = true;
		return;
	}
	if (k->nlog == k->log_room) {
		k->log_room = k->log_room ? 2 * k->log_room : 64;
		k->log = g_renew(struct log_entry, k->log, k->log_room);
	}
	k->log[k->nlog++] = e;
}

static uint64_t lead_mmio_read(struct soft_cpu *c, gpa_t gpa, unsigned size)
{
	uint64_t v = bus_mmio_read(c->bus, c->bc, gpa, size);

	log_add(cpu_of(c),
		(struct log_entry){LOG_MMIO_READ, size, gpa, v, true});
	return v;
}

static void lead_mmio_write(
	struct soft_cpu *c, gpa_t gpa, unsigned size, uint64_t val)
{
	log_add(cpu_of(c),
		(struct log_entry){LOG_MMIO_WRITE, size, gpa, val, true});
	bus_mmio_write(c->bus, c->bc, gpa, size, val);
}

static uint32_t lead_io_read(struct soft_cpu *c, uint16_t port, unsigned size)
{
	uint32_t v = bus_io_read(c->bus, port, size);

	log_add(cpu_of(c),
		(struct log_entry){LOG_IO_READ, size, port, v, true});
	return v;
}

static void lead_io_write(
	struct soft_cpu *c, uint16_t port, unsigned size, uint32_t val)
{
	log_add(cpu_of(c),
		(struct log_entry){LOG_IO_WRITE, size, port, val, true});
	bus_io_write(c->bus, port, size, val);
}

static uint64_t lead_rdtsc(struct soft_cpu *c)
{
	uint64_t v = __rdtsc();

	log_add(cpu_of(c), (struct log_entry){LOG_TSC, 8, 0, v, true});
	return v;
}

static int lead_ack(struct soft_cpu *c)
{
	int v = bus_cpu_ack_interrupt(c->bc);

	log_add(cpu_of(c),
		(struct log_entry){LOG_ACK, 4, 0, (uint64_t)v, true});
	return v;
}

static bool lead_rdmsr(struct soft_cpu *c, uint32_t msr, uint64_t *val)
{
	bool ok = bus_cpu_rdmsr(c->bc, msr, val);

	log_add(cpu_of(c), (struct log_entry){LOG_RDMSR, 8, msr, *val, ok});
	return ok;
}

static bool lead_wrmsr(struct soft_cpu *c, uint32_t msr, uint64_t val)
{
	bool ok = bus_cpu_wrmsr(c->bc, msr, val);

	log_add(cpu_of(c), (struct log_entry){LOG_WRMSR, 8, msr, val, ok});
	return ok;
}

static uint8_t lead_get_tpr(struct soft_cpu *c)
{
	uint8_t v = bus_cpu_get_tpr(c->bc);

	log_add(cpu_of(c), (struct log_entry){LOG_GET_TPR, 1, 0, v, true});
	return v;
}

static void lead_set_tpr(struct soft_cpu *c, uint8_t cr8)
{
	log_add(cpu_of(c), (struct log_entry){LOG_SET_TPR, 1, 0, cr8, true});
	bus_cpu_set_tpr(c->bc, cr8);
}

static uint64_t lead_random(struct soft_cpu *c)
{
	uint64_t v = (uint64_t)g_random_int() << 32 | g_random_int();

	log_add(cpu_of(c), (struct log_entry){LOG_RANDOM, 8, 0, v, true});
	return v;
}

static int64_t lead_hypercall(
	struct soft_cpu *c, uint64_t nr, const uint64_t arg[4], bool wide)
{
	int64_t v = bus_cpu_hypercall(c->bc, nr, arg, wide);

	log_add(cpu_of(c),
		(struct log_entry){LOG_HYPERCALL, 8, nr, (uint64_t)v, true});
	return v;
}

static bool lead_x87_error(struct soft_cpu *c, bool pending)
{
	bool v = bus_x87_error(c->bus, pending);

	log_add(cpu_of(c),
		(struct log_entry){LOG_X87_ERROR, 1, pending, v, true});
	return v;
}

static const struct soft_env lead_env = {lead_mmio_read, lead_mmio_write,
	lead_io_read, lead_io_write, lead_rdtsc, lead_ack, lead_rdmsr,
	lead_wrmsr, lead_get_tpr, lead_set_tpr, lead_random, lead_hypercall,
	lead_x87_error};

/* ---- the follower's, read back ---- */

static void follow_diff(struct cpu *k, const char *fmt, ...)
	G_GNUC_PRINTF(2, 3);

static void follow_diff(struct cpu *k, const char *fmt, ...)
{
	va_list ap;

	if (k->diff[0])
		return;
	va_start(ap, fmt);
	g_vsnprintf(k->diff, sizeof(k->diff), fmt, ap);
	va_end(ap);
}

static struct log_entry follow_take(
	struct soft_cpu *c, enum log_kind kind, unsigned size, uint64_t where)
{
	struct cpu *k = cpu_of(c);
	struct log_entry e = {kind, size, where, ~0ull, false};

	if (k->nread >= k->nlog) {
		follow_diff(k, "interp: %s at 0x%" PRIx64 ", bt did none",
			log_names[kind], where);
		return e;
	}
	if (k->log[k->nread].kind != kind || k->log[k->nread].size != size ||
		k->log[k->nread].where != where) {
		follow_diff(k,
			"interp: %s of %u at 0x%" PRIx64
			"; bt: %s of %u at 0x%" PRIx64,
			log_names[kind], size, where,
			log_names[k->log[k->nread].kind], k->log[k->nread].size,
			k->log[k->nread].where);
		return e;
	}
	return k->log[k->nread++];
}

static void follow_put(struct soft_cpu *c, enum log_kind kind, unsigned size,
	uint64_t where, uint64_t val)
{
	struct log_entry e = follow_take(c, kind, size, where);

	if (e.ok && e.val != val)
		follow_diff(cpu_of(c),
			"interp: %s at 0x%" PRIx64 " of 0x%" PRIx64
			", bt 0x%" PRIx64,
			log_names[kind], where, val, e.val);
}

static uint64_t follow_mmio_read(struct soft_cpu *c, gpa_t gpa, unsigned size)
{
	return follow_take(c, LOG_MMIO_READ, size, gpa).val;
}

static void follow_mmio_write(
	struct soft_cpu *c, gpa_t gpa, unsigned size, uint64_t val)
{
	follow_put(c, LOG_MMIO_WRITE, size, gpa, val);
}

static uint32_t follow_io_read(struct soft_cpu *c, uint16_t port, unsigned size)
{
	return follow_take(c, LOG_IO_READ, size, port).val;
}

static void follow_io_write(
	struct soft_cpu *c, uint16_t port, unsigned size, uint32_t val)
{
	follow_put(c, LOG_IO_WRITE, size, port, val);
}

static uint64_t follow_rdtsc(struct soft_cpu *c)
{
	return follow_take(c, LOG_TSC, 8, 0).val;
}

static int follow_ack(struct soft_cpu *c)
{
	return (int)follow_take(c, LOG_ACK, 4, 0).val;
}

static bool follow_rdmsr(struct soft_cpu *c, uint32_t msr, uint64_t *val)
{
	struct log_entry e = follow_take(c, LOG_RDMSR, 8, msr);

	*val = e.val;
	return e.ok;
}

static bool follow_wrmsr(struct soft_cpu *c, uint32_t msr, uint64_t val)
{
	struct log_entry e = follow_take(c, LOG_WRMSR, 8, msr);

	if (e.val != val)
		follow_diff(cpu_of(c),
			"WRMSR 0x%x: interp 0x%" PRIx64 ", bt 0x%" PRIx64, msr,
			val, e.val);
	return e.ok;
}

static uint8_t follow_get_tpr(struct soft_cpu *c)
{
	return follow_take(c, LOG_GET_TPR, 1, 0).val;
}

static void follow_set_tpr(struct soft_cpu *c, uint8_t cr8)
{
	follow_put(c, LOG_SET_TPR, 1, 0, cr8);
}

static uint64_t follow_random(struct soft_cpu *c)
{
	return follow_take(c, LOG_RANDOM, 8, 0).val;
}

static int64_t follow_hypercall(
	struct soft_cpu *c, uint64_t nr, const uint64_t arg[4], bool wide)
{
	return (int64_t)follow_take(c, LOG_HYPERCALL, 8, nr).val;
}

static bool follow_x87_error(struct soft_cpu *c, bool pending)
{
	return follow_take(c, LOG_X87_ERROR, 1, pending).val;
}

static const struct soft_env follow_env = {follow_mmio_read, follow_mmio_write,
	follow_io_read, follow_io_write, follow_rdtsc, follow_ack, follow_rdmsr,
	follow_wrmsr, follow_get_tpr, follow_set_tpr, follow_random,
	follow_hypercall, follow_x87_error};

/* ---- RAM ---- */

static void lockstep_dma(void *opaque, gpa_t gpa, size_t len)
{
	struct cpu_vm *vm = opaque;

	pthread_mutex_lock(&vm->dma_lock);
	if (vm->ndma < DMA_ENTRIES) {
		vm->dma[vm->ndma].gpa = gpa;
		vm->dma[vm->ndma++].len = len;
	} else {
		vm->dma_all = true;
	}
	pthread_mutex_unlock(&vm->dma_lock);
}

/* What is the same is not written: memory that nobody has used, as that which
 * can be plugged, shall not become memory of the follower's either. */
static void mirror_copy(struct cpu_vm *vm, uint64_t off, uint64_t len)
{
	const uint8_t *from = bus_ram(vm->bus)->host;
	uint8_t *to = vm->follow.ram_host;
	uint64_t end = off + len, n;

	for (; off < end; off += n) {
		n = MIN(end - off, BUS_PAGE_SIZE - off % BUS_PAGE_SIZE);
		if (memcmp(to + off, from + off, n))
			memcpy(to + off, from + off, n);
	}
}

/* Bring what devices wrote into the follower's RAM. */
static unsigned lockstep_mirror(struct cpu_vm *vm)
{
	const struct bus_ram *ram = bus_ram(vm->bus);
	unsigned n;

	pthread_mutex_lock(&vm->dma_lock);
	n = vm->ndma + vm->dma_all;
	for (unsigned i = 0; i < vm->ndma && !vm->dma_all; i++) {
		int64_t off = bus_ram_offset(vm->bus, vm->dma[i].gpa);

		if (off < 0)
			continue;
		mirror_copy(vm, off, MIN(vm->dma[i].len, ram->bytes - off));
		if (vm->follow.code_written)
			vm->follow.code_written(
				&vm->follow, NULL, off, vm->dma[i].len);
	}
	if (vm->dma_all)
		mirror_copy(vm, 0, ram->bytes);
	vm->ndma = 0;
	vm->dma_all = false;
	pthread_mutex_unlock(&vm->dma_lock);
	return n;
}

/* Accessed and dirty bits of a page-table entry. */
#define PTE_AD 0x60ull

/* Compare all of RAM; the first true difference into diff. */
static void lockstep_check_ram(struct cpu *k)
{
	const struct bus_ram *ram = bus_ram(k->vm->bus);
	const uint64_t *a = (const uint64_t *)ram->host;
	const uint64_t *b = (const uint64_t *)k->vm->follow.ram_host;

	for (uint64_t page = 0; page < ram->bytes; page += BUS_PAGE_SIZE) {
		if (!memcmp(&a[page / 8], &b[page / 8], BUS_PAGE_SIZE))
			continue;
		for (uint64_t i = page / 8; i < (page + BUS_PAGE_SIZE) / 8; i++)
			if ((a[i] ^ b[i]) & ~PTE_AD)
				follow_diff(k,
					"RAM at 0x%" PRIx64 ": bt 0x%" PRIx64
					", interp 0x%" PRIx64,
					i * 8, a[i], b[i]);
		if (k->diff[0])
			return;
	}
}

/* ---- one step ---- */

/* Decode the instruction at a linear address of the follower's memory. */
static bool lockstep_decode(
	struct cpu *k, uint64_t linear, struct x86_insn *insn)
{
	uint8_t code[15];
	unsigned have = 0;

	for (; have < sizeof(code); have++) {
		gpa_t gpa;
		struct bus_page pg;

		if (soft_translate(k->follow, linear + have, SOFT_READ,
			    SOFT_KERNEL_AC, false, &gpa))
			break;
		bus_resolve(k->vm->bus, gpa, &pg);
		if (!pg.read)
			break;
		code[have] = pg.read[gpa & (BUS_PAGE_SIZE - 1)];
	}
	return x86_decode(insn, code, have, k->follow->code_size) == X86_DEC_OK;
}

/* Flags left undefined by the last of the n instructions from linear. */
static uint32_t lockstep_undefined(struct cpu *k, uint64_t linear, unsigned n)
{
	uint32_t undef = 0;
	struct x86_insn insn;

	while (n-- && lockstep_decode(k, linear, &insn)) {
		undef = (undef | insn.def->flags_undef) &
			~insn.def->flags_written;
		linear += insn.len;
	}
	return undef;
}

/* What the n instructions from linear were, as far as they lie in a row. */
static void lockstep_print_code(struct cpu *k, uint64_t linear, unsigned n)
{
	struct x86_insn insn;
	char text[128];

	while (n-- && lockstep_decode(k, linear, &insn)) {
		x86_disasm(&insn, linear, text, sizeof(text));
		g_printerr("%16" PRIx64 "  %s\n", linear, text);
		linear += insn.len;
	}
}

/* Copies of what is compared, without what is not. */
static void lockstep_normalize(struct x86_state *s)
{
	memset(s->fpu.fx + 6, 0, 18); /* FOP, FIP, FDP */
	memset(s->fpu.fx + 28, 0, 4); /* MXCSR_MASK */
	memset(s->fpu.fx + 160, 0, sizeof(s->fpu.fx) - 160);
	for (unsigned i = 0; i < 8; i++) /* above the 80 bits of ST(i) */
		memset(s->fpu.fx + 32 + 16 * i + 10, 0, 6);
}

static bool lockstep_same(struct cpu *k, uint64_t start, unsigned n)
{
	static const size_t head = offsetof(struct x86_state, fpu);
	struct x86_state *a = &k->lead->st, *b = &k->follow->st;
	uint64_t flags = (a->rflags ^ b->rflags) & X86_FL_ARITH;
	struct x86_state ca, cb;

	if (flags && !((a->rflags ^ b->rflags) & ~X86_FL_ARITH) &&
		!(flags & ~lockstep_undefined(k, start, n)))
		b->rflags = a->rflags;
	if (!memcmp(a, b, head) && !memcmp(&a->fpu, &b->fpu, sizeof(a->fpu)))
		return true;
	ca = *a;
	cb = *b;
	lockstep_normalize(&ca);
	lockstep_normalize(&cb);
	return x86_state_diff(&ca, &cb, k->diff, sizeof(k->diff)) == 0;
}

/*
 * Carry out n instructions on the follower.  The last may be a string
 * instruction that the leader left unfinished (RF says so): it is followed to
 * the same iteration.
 */
static void lockstep_follow(struct cpu *k, unsigned n)
{
	struct soft_cpu *f = k->follow;
	const struct x86_state *to = &k->lead->st;
	struct cpu_exit exit;
	unsigned left = REP_STEPS;
	uint64_t done;

	/* A pending event makes REP return after each chunk. */
	atomic_store(&k->shadow.events, BUS_EV_ENGINE);
	for (unsigned i = 0; i < n && !k->diff[0] && left; left--) {
		uint64_t rip = f->st.rip;

		interp_run(f, 1, false, &done, &exit);
		if (f->st.rip != rip || !(f->st.rflags & X86_FL_RF))
			i++;
		else if (i + 1 == n && to->rip == rip &&
			 to->gpr[X86_RCX] == f->st.gpr[X86_RCX])
			break;
	}
}

static void lockstep_poll_follower(struct cpu *k, uint32_t events)
{
	struct cpu_exit ignored;

	events &= ~(BUS_EV_STOP | BUS_EV_INIT | BUS_EV_SIPI);
	if (!k->nlog)
		events &= ~BUS_EV_INTR;
	atomic_store(&k->shadow.events, events);
	soft_poll(k->follow, &ignored);
}

static void lockstep_report(struct cpu *k, uint64_t rip, uint64_t linear,
	unsigned n, struct cpu_exit *exit)
{
	char a[1600], b[1600];

	x86_state_print(&k->lead->st, a, sizeof(a));
	x86_state_print(&k->follow->st, b, sizeof(b));
	exit->reason = CPU_EXIT_DIFF;
	g_snprintf(exit->text, sizeof(exit->text),
		"lockstep: difference after %" PRIu64
		" instructions, in the %u from RIP 0x%" PRIx64 ": %s",
		k->insns, n, rip, k->diff);
	g_printerr("%s\nbt:\n%s\ninterp:\n%s\n", exit->text, a, b);
	lockstep_print_code(k, linear, n);
}

/* True if run() must return. */
static bool lockstep_step(struct cpu *k, struct cpu_exit *exit)
{
	uint32_t events = atomic_load(&k->lead->bc->events);
	uint64_t rip, linear;
	unsigned n;
	bool leave, held;

	lockstep_mirror(k->vm);
	k->nlog = k->nread = 0;
	k->diff[0] = 0;
	atomic_store(&k->shadow.unhalted, atomic_load(&k->lead->bc->unhalted));
	held = k->lead->st.sti_shadow | k->lead->st.movss_shadow;
	leave = soft_poll(k->lead, exit);
	/* acknowledging an interrupt may write into memory (PV EOI) */
	lockstep_mirror(k->vm);
	lockstep_poll_follower(k, events);
	rip = k->lead->st.rip;
	linear = rip + k->lead->st.seg[X86_CS].base;
	if (leave)
		return true;
	leave = bt_step_block(k->lead, held, &n, exit);
	lockstep_follow(k, n);
	k->insns += n;
	k->steps++;
	if (k->nread < k->nlog)
		follow_diff(k, "bt: %s at 0x%" PRIx64 ", interp did none",
			log_names[k->log[k->nread].kind],
			k->log[k->nread].where);
	if (k->log_full)
		follow_diff(k, "more than %u inputs in one block", LOG_MAX);
	lockstep_same(k, linear, n);
	if (!k->diff[0] && k->insns >= k->next_ram_check) {
		lockstep_mirror(k->vm);
		lockstep_check_ram(k);
		k->next_ram_check = k->insns + RAM_CHECK_INTERVAL;
	}
	if (!k->diff[0])
		return leave;
	lockstep_report(k, rip, linear, n, exit);
	return true;
}

static void lockstep_run(struct cpu *k, struct cpu_exit *exit)
{
	bool leave = false;

	while (!leave) {
		bus_lock(k->vm->bus);
		leave = lockstep_step(k, exit);
		bus_unlock(k->vm->bus);
	}
}

/* ---- the engine ---- */

static void lockstep_probe(struct cpu_probe *out)
{
	cpu_bt.probe(out);
	out->mips = 0;
	g_strlcpy(out->why, "compares bt with interp; for tests",
		sizeof(out->why));
}

static void lockstep_vm_free(struct cpu_vm *vm)
{
	bus_unlisten(vm->bus, &vm->listener);
	munmap(vm->follow.ram_host, bus_ram(vm->bus)->bytes);
	if (vm->bt)
		cpu_bt.vm_free(vm->bt);
	soft_vm_fini(&vm->follow);
	pthread_mutex_destroy(&vm->dma_lock);
	g_free(vm);
}

static int lockstep_vm_new(struct cpu_vm **out, struct bus *bus,
	const struct cpu_vm_conf *conf, char *err, unsigned errsize)
{
	const struct bus_ram *ram = bus_ram(bus);
	struct cpu_vm *vm;
	uint8_t *copy = mmap(NULL, ram->bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int e;

	if (copy == MAP_FAILED) {
		g_snprintf(err, errsize,
			"lockstep: no memory for a second copy of guest RAM");
		return -ENOMEM;
	}
	vm = g_new0(struct cpu_vm, 1);
	vm->bus = bus;
	pthread_mutex_init(&vm->dma_lock, NULL);
	soft_vm_init(&vm->follow, bus, conf->model);
	vm->follow.ram_host = copy;
	vm->listener = (struct bus_listener){.opaque = vm,
		.ram_written = lockstep_dma,
		.want_all_writes = true};
	bus_listen(bus, &vm->listener);
	e = cpu_bt.vm_new(&vm->bt, bus, conf, err, errsize);
	if (e < 0) {
		lockstep_vm_free(vm);
		return e;
	}
	/* what firmware loaders put into RAM before the start */
	vm->dma_all = true;
	*out = vm;
	return 0;
}

static void lockstep_cpu_free(struct cpu *k)
{
	if (k->bt)
		cpu_bt.cpu_free(k->bt);
	soft_cpu_free(k->follow);
	pthread_mutex_destroy(&k->shadow.wait_lock);
	pthread_cond_destroy(&k->shadow.wait_cond);
	g_free(k->log);
	g_free(k);
}

static int lockstep_cpu_new(struct cpu **out, struct cpu_vm *vm,
	struct bus_cpu *bc, char *err, unsigned errsize)
{
	struct cpu *k;
	int e;

	if (vm->follow.ncpus) {
		g_snprintf(err, errsize,
			"lockstep compares one processor: use --cpus 1");
		return -ENOTSUP;
	}
	k = g_new0(struct cpu, 1);
	k->vm = vm;
	k->shadow.bus = bc->bus;
	k->shadow.index = bc->index;
	k->shadow.apic_id = bc->apic_id;
	pthread_mutex_init(&k->shadow.wait_lock, NULL);
	pthread_cond_init(&k->shadow.wait_cond, NULL);
	k->follow = soft_cpu_alloc(&vm->follow, &k->shadow);
	k->follow->env = &follow_env;
	k->follow->env_opaque = k;
	k->next_ram_check = RAM_CHECK_INTERVAL;
	e = cpu_bt.cpu_new(&k->bt, vm->bt, bc, err, errsize);
	if (e < 0) {
		lockstep_cpu_free(k);
		return e;
	}
	k->lead = bt_soft(k->bt);
	k->lead->env = &lead_env;
	k->lead->env_opaque = k;
	bt_set_stepping(k->lead, true);
	*out = k;
	return 0;
}

static void lockstep_get(struct cpu *k, struct x86_state *s)
{
	cpu_bt.get(k->bt, s);
}

static int lockstep_set(struct cpu *k, const struct x86_state *s)
{
	int e = cpu_bt.set(k->bt, s);

	return e ? e : soft_set_state(k->follow, s);
}

static void lockstep_stats(struct cpu *k, struct cpu_stats *out)
{
	cpu_stats_add(out, "lockstep", "instructions", k->insns);
	cpu_stats_add(out, "lockstep", "blocks", k->steps);
	cpu_bt.stats(k->bt, out);
}

static void lockstep_vm_stats(struct cpu_vm *vm, struct cpu_stats *out)
{
	cpu_bt.vm_stats(vm->bt, out);
}

static enum cpu_where lockstep_where(struct cpu *k)
{
	return cpu_bt.where(k->bt);
}

/* The follower writes into RAM of its own. */
static int lockstep_dirty(struct cpu_vm *vm, enum cpu_dirty what)
{
	return cpu_bt.dirty(vm->bt, what);
}

const struct cpu_engine cpu_lockstep = {
	.name = "lockstep",
	.probe = lockstep_probe,
	.vm_new = lockstep_vm_new,
	.vm_free = lockstep_vm_free,
	.cpu_new = lockstep_cpu_new,
	.cpu_free = lockstep_cpu_free,
	.run = lockstep_run,
	.get = lockstep_get,
	.set = lockstep_set,
	.dirty = lockstep_dirty,
	.stats = lockstep_stats,
	.vm_stats = lockstep_vm_stats,
	.where = lockstep_where,
};

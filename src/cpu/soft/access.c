/*
 * access.c - loads and stores at linear addresses, beyond what the inline TLB
 * check settles: misses, page crossings, devices, watched pages, alignment.
 *
 * An access that crosses a page has both pages translated, and so all its
 * faults raised, before any byte is moved.
 */
#include "cpu/soft/priv.h"

uint64_t soft_mmio_read(struct soft_cpu *c, gpa_t gpa, unsigned size)
{
	uint64_t val;

	c->counters[SOFT_CNT_MMIO]++;
	if (c->env && c->env->mmio_read)
		val = c->env->mmio_read(c, gpa, size);
	else
		val = bus_mmio_read(c->bus, c->bc, gpa, size);
	soft_trace(c, CPU_TRACE_READ, size, gpa, val);
	return val;
}

static void soft_mmio_write(
	struct soft_cpu *c, gpa_t gpa, unsigned size, uint64_t val)
{
	c->counters[SOFT_CNT_MMIO]++;
	soft_trace(c, CPU_TRACE_WRITE, size, gpa, val);
	if (c->env && c->env->mmio_write)
		c->env->mmio_write(c, gpa, size, val);
	else
		bus_mmio_write(c->bus, c->bc, gpa, size, val);
}

void soft_code_written(struct soft_cpu *c, int64_t ram, unsigned size)
{
	if (ram >= 0 && c->vm->code_written)
		c->vm->code_written(c->vm, c, ram, size);
}

/* One page's part of an access. */
struct soft_part {
	struct soft_place p;
	unsigned n;
};

static unsigned soft_split(gva_t a, unsigned n)
{
	unsigned room = BUS_PAGE_SIZE - (a & (BUS_PAGE_SIZE - 1));

	return n < room ? n : room;
}

static void soft_parts(struct soft_cpu *c, gva_t a, unsigned n,
	enum soft_access acc, enum soft_mode m, struct soft_part part[2])
{
	gva_t second = a + soft_split(a, n);

	part[0].n = soft_split(a, n);
	part[1].n = n - part[0].n;
	if (a <= UINT32_MAX && !c->code64)
		second = (uint32_t)second;
	soft_tlb_place(c, a, acc, m, &part[0].p);
	if (part[1].n)
		soft_tlb_place(c, second, acc, m, &part[1].p);
}

/* Largest power of two that fits. */
static unsigned soft_chunk(unsigned n)
{
	return n >= 8 ? 8 : n >= 4 ? 4 : n >= 2 ? 2 : 1;
}

static void soft_part_read(
	struct soft_cpu *c, struct soft_part *part, uint8_t *buf)
{
	if (part->p.host) {
		memcpy(buf, part->p.host, part->n);
		return;
	}
	for (unsigned i = 0, k; i < part->n; i += k) {
		uint64_t v;

		k = soft_chunk(part->n - i);
		v = soft_mmio_read(c, part->p.gpa + i, k);
		memcpy(buf + i, &v, k);
	}
}

static void soft_part_write(
	struct soft_cpu *c, struct soft_part *part, const uint8_t *buf)
{
	if (part->p.host) {
		memcpy(part->p.host, buf, part->n);
		soft_code_written(c, part->p.ram, part->n);
		return;
	}
	for (unsigned i = 0, k; i < part->n; i += k) {
		uint64_t v = 0;

		k = soft_chunk(part->n - i);
		memcpy(&v, buf + i, k);
		soft_mmio_write(c, part->p.gpa + i, k, v);
	}
}

static void soft_check_alignment(
	struct soft_cpu *c, gva_t a, unsigned size, enum soft_mode m)
{
	if (m == SOFT_USER_AC && (a & (size - 1)))
		soft_raise_err(c, X86_AC, 0);
}

uint64_t soft_load_slow(
	struct soft_cpu *c, gva_t a, unsigned size, enum soft_mode m)
{
	struct soft_part part[2];
	uint64_t v = 0;

	soft_check_alignment(c, a, size, m);
	soft_parts(c, a, size, SOFT_READ, m, part);
	if (!part[1].n && part[0].p.host)
		return soft_host_load(part[0].p.host, size);
	if (!part[1].n)
		return soft_mmio_read(c, part[0].p.gpa, size) &
		       soft_size_mask(size);
	soft_part_read(c, &part[0], (uint8_t *)&v);
	soft_part_read(c, &part[1], (uint8_t *)&v + part[0].n);
	return v;
}

void soft_store_slow(struct soft_cpu *c, gva_t a, unsigned size, uint64_t val,
	enum soft_mode m)
{
	struct soft_part part[2];

	soft_check_alignment(c, a, size, m);
	soft_parts(c, a, size, SOFT_WRITE, m, part);
	if (!part[1].n && part[0].p.host) {
		soft_host_store(part[0].p.host, size, val);
		soft_code_written(c, part[0].p.ram, size);
		return;
	}
	if (!part[1].n) {
		soft_mmio_write(
			c, part[0].p.gpa, size, val & soft_size_mask(size));
		return;
	}
	soft_part_write(c, &part[0], (uint8_t *)&val);
	soft_part_write(c, &part[1], (uint8_t *)&val + part[0].n);
}

uint64_t soft_load(struct soft_cpu *c, gva_t a, unsigned size, enum soft_mode m)
{
	return soft_fast_load(c, a, size, m);
}

void soft_store(struct soft_cpu *c, gva_t a, unsigned size, uint64_t val,
	enum soft_mode m)
{
	soft_fast_store(c, a, size, val, m);
}

void soft_load_bytes(
	struct soft_cpu *c, gva_t a, void *buf, unsigned n, enum soft_mode m)
{
	const void *p = soft_fast_host(c, a, n, SOFT_READ, m);
	struct soft_part part[2];

	if (p) {
		memcpy(buf, p, n);
		return;
	}
	soft_parts(c, a, n, SOFT_READ, m, part);
	soft_part_read(c, &part[0], buf);
	if (part[1].n)
		soft_part_read(c, &part[1], (uint8_t *)buf + part[0].n);
}

void soft_store_bytes(struct soft_cpu *c, gva_t a, const void *buf, unsigned n,
	enum soft_mode m)
{
	void *p = soft_fast_host(c, a, n, SOFT_WRITE, m);
	struct soft_part part[2];

	if (p) {
		memcpy(p, buf, n);
		return;
	}
	soft_parts(c, a, n, SOFT_WRITE, m, part);
	soft_part_write(c, &part[0], buf);
	if (part[1].n)
		soft_part_write(c, &part[1], (const uint8_t *)buf + part[0].n);
}

void soft_probe_write(struct soft_cpu *c, gva_t a, unsigned n, enum soft_mode m)
{
	struct soft_part part[2];

	if (!soft_fast_host(c, a, n, SOFT_WRITE, m))
		soft_parts(c, a, n, SOFT_WRITE, m, part);
}

void soft_probe_operand(
	struct soft_cpu *c, gva_t a, unsigned size, enum soft_mode m)
{
	if (size <= 8)
		soft_check_alignment(c, a, size, m);
	soft_probe_write(c, a, size, m);
}

void *soft_host(struct soft_cpu *c, gva_t a, unsigned size,
	enum soft_access acc, enum soft_mode m)
{
	struct soft_place p;
	struct soft_tlb_entry *e = &c->tlb[m][acc][soft_tlb_index(a)];

	if ((a ^ e->tag) <= BUS_PAGE_SIZE - size) {
		if (acc == SOFT_EXEC)
			return (void *)(e->addend + (a & (BUS_PAGE_SIZE - 1)));
		return (void *)(a + e->addend);
	}
	if (soft_split(a, size) != size)
		return NULL;
	if (acc != SOFT_EXEC && size <= 8)
		soft_check_alignment(c, a, size, m);
	soft_tlb_place(c, a, acc, m, &p);
	if (p.ram >= 0 || (c->data_bp && soft_page_watched(c, a, acc)))
		return NULL;
	return p.host;
}

void *soft_host_rmw(struct soft_cpu *c, gva_t a, unsigned size,
	enum soft_mode m, int64_t *ram)
{
	struct soft_place p;
	void *h = soft_fast_host(c, a, size, SOFT_WRITE, m);

	*ram = -1;
	if (h || soft_split(a, size) != size)
		return h;
	if (size <= 8)
		soft_check_alignment(c, a, size, m);
	soft_tlb_place(c, a, SOFT_WRITE, m, &p);
	*ram = p.ram;
	return p.host;
}

/* Bytes up to the end of the code segment; raises if there is none. */
static unsigned soft_fetch_room(struct soft_cpu *c, gva_t a)
{
	const struct x86_seg *cs = &c->st.seg[X86_CS];
	uint32_t off = (uint32_t)(a - cs->base);

	if (c->code64) {
		if (!soft_canonical(a))
			soft_raise_err(c, X86_GP, 0);
		return 15;
	}
	if (off > cs->limit)
		soft_raise_err(c, X86_GP, 0);
	return cs->limit - off < 14 ? cs->limit - off + 1 : 15;
}

static void soft_fetch_part(
	struct soft_cpu *c, uint8_t *host, gpa_t gpa, uint8_t *buf, unsigned n)
{
	if (host) {
		memcpy(buf, host, n);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		buf[i] = soft_mmio_read(c, gpa + i, 1);
}

unsigned soft_fetch(
	struct soft_cpu *c, gva_t a, uint8_t buf[15], bool from_device)
{
	enum soft_mode m = c->cpl == 3 ? SOFT_USER : SOFT_KERNEL;
	unsigned room = soft_fetch_room(c, a);
	unsigned n = soft_split(a, room);
	uint8_t *host = soft_host(c, a, n, SOFT_EXEC, m);
	const struct soft_tlb_entry *e;
	struct soft_place p;
	gpa_t gpa;

	if (host) {
		memcpy(buf, host, n);
	} else {
		soft_tlb_place(c, a, SOFT_EXEC, m, &p);
		soft_fetch_part(c, p.host, p.gpa, buf, n);
	}
	if (n == room)
		return n;
	a += n;
	if (!c->code64)
		a = (uint32_t)a;
	else if (!soft_canonical(a))
		return n;
	e = &c->tlb[m][SOFT_EXEC][soft_tlb_index(a)];
	if (e->tag == a) {
		memcpy(buf + n, (const void *)e->addend, room - n);
		return room;
	}
	if (soft_translate(c, a, SOFT_EXEC, m, false, &gpa))
		return n;
	soft_tlb_place(c, a, SOFT_EXEC, m, &p);
	if (!p.host && !from_device)
		return n;
	soft_fetch_part(c, p.host, p.gpa, buf + n, room - n);
	return room;
}

/*
 * io.c - port access under IOPL and the TSS's permission bitmap.
 *
 * Intel SDM vol. 1, 19.5; vol. 3, 17.2.4 (I/O breakpoints).
 */
#include "cpu/soft/priv.h"

void soft_io_check(struct soft_cpu *c, uint16_t port, unsigned size)
{
	const struct x86_seg *tr = &c->st.seg[X86_TR];
	unsigned iopl = (c->st.rflags & X86_FL_IOPL) >> X86_FL_IOPL_SHIFT;
	uint32_t base, map;

	if (!c->protected_mode || (!c->v86 && c->cpl <= iopl))
		return;
	if (!(tr->attr & X86_SEG_P) || (tr->attr & 0xd) != SOFT_TSS32 ||
		tr->limit < 103)
		soft_raise_err(c, X86_GP, 0);
	base = soft_load(c, tr->base + 102, 2, SOFT_KERNEL);
	/* Two bytes are always read, so the map ends with one of ones. */
	base += port / 8;
	if (base + 1 > tr->limit)
		soft_raise_err(c, X86_GP, 0);
	map = soft_load(c, tr->base + base, 2, SOFT_KERNEL);
	if (map >> (port & 7) & ((1u << size) - 1))
		soft_raise_err(c, X86_GP, 0);
}

uint32_t soft_in(struct soft_cpu *c, uint16_t port, unsigned size)
{
	uint32_t val;

	soft_io_check(c, port, size);
	if (c->data_bp)
		soft_check_io_bp(c, port, size);
	c->counters[SOFT_CNT_IO_IN]++;
	if (c->env && c->env->io_read)
		val = c->env->io_read(c, port, size);
	else
		val = bus_io_read(c->bus, port, size);
	soft_trace(c, CPU_TRACE_IN, size, port, val);
	return val;
}

void soft_out(struct soft_cpu *c, uint16_t port, unsigned size, uint32_t val)
{
	soft_io_check(c, port, size);
	if (c->data_bp)
		soft_check_io_bp(c, port, size);
	c->counters[SOFT_CNT_IO_OUT]++;
	val &= soft_size_mask(size);
	soft_trace(c, CPU_TRACE_OUT, size, port, val);
	if (c->env && c->env->io_write)
		c->env->io_write(c, port, size, val);
	else
		bus_io_write(c->bus, port, size, val);
}

bool soft_io_many(struct soft_cpu *c, uint16_t port, unsigned size, void *buf,
	unsigned n, bool write)
{
	if (c->env || c->trace || c->data_bp)
		return false;
	c->counters[write ? SOFT_CNT_IO_OUT : SOFT_CNT_IO_IN] += n;
	bus_io_many(c->bus, port, size, buf, n, write);
	return true;
}

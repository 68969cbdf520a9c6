/*
 * string.c - MOVS, CMPS, SCAS, LODS, STOS, INS, OUTS and REP.
 *
 * Registers are committed after each iteration, so a fault leaves those of the
 * last complete one.  A repeated instruction leaves with RIP still on it when
 * an event is pending or after a bounded piece of work; RF is then set, as the
 * hardware does, so that breakpoints on it do not hit again.  Runs of plain
 * memory within a page are copied, filled, compared or searched at once.
 */
#include "cpu/interp/ops.h"

/* Iterations or runs before the run loop gets a look in; events are looked for
 * after each. */
#define STRING_CHUNK 4096u

static uint64_t string_reg(
	const struct soft_cpu *c, const struct x86_insn *i, unsigned reg)
{
	return interp_asize_mask(i, c->st.gpr[reg]);
}

static void string_advance(struct soft_cpu *c, const struct x86_insn *i,
	unsigned reg, uint64_t bytes)
{
	uint64_t v = c->st.gpr[reg];

	v = c->st.rflags & X86_FL_DF ? v - bytes : v + bytes;
	interp_set_reg(c, reg, i->asize, v);
}

static gva_t string_src(
	struct soft_cpu *c, const struct x86_insn *i, unsigned size)
{
	return interp_linear(c, interp_data_seg(i), string_reg(c, i, X86_RSI),
		size, SOFT_READ);
}

static gva_t string_dst(struct soft_cpu *c, const struct x86_insn *i,
	unsigned size, enum soft_access acc)
{
	return interp_linear(c, X86_ES, string_reg(c, i, X86_RDI), size, acc);
}

/* ---- one iteration each ---- */

static void string_movs(struct soft_cpu *c, const struct x86_insn *i,
	unsigned size, uint64_t *fl)
{
	gva_t src = string_src(c, i, size);
	uint64_t v = soft_fast_load(c, src, size, c->tlb_mode);
	gva_t dst = string_dst(c, i, size, SOFT_WRITE);

	soft_fast_store(c, dst, size, v, c->tlb_mode);
	string_advance(c, i, X86_RSI, size);
	string_advance(c, i, X86_RDI, size);
}

static void string_stos(struct soft_cpu *c, const struct x86_insn *i,
	unsigned size, uint64_t *fl)
{
	gva_t dst = string_dst(c, i, size, SOFT_WRITE);

	soft_fast_store(c, dst, size, c->st.gpr[X86_RAX], c->tlb_mode);
	string_advance(c, i, X86_RDI, size);
}

static void string_lods(struct soft_cpu *c, const struct x86_insn *i,
	unsigned size, uint64_t *fl)
{
	gva_t src = string_src(c, i, size);
	uint64_t v = soft_fast_load(c, src, size, c->tlb_mode);

	interp_set_reg(c, X86_RAX, size, v);
	string_advance(c, i, X86_RSI, size);
}

static void string_cmps(struct soft_cpu *c, const struct x86_insn *i,
	unsigned size, uint64_t *fl)
{
	/* processors read ES:rDI first */
	gva_t dst = string_dst(c, i, size, SOFT_READ), src;
	uint64_t b = soft_fast_load(c, dst, size, c->tlb_mode), a;

	src = string_src(c, i, size);
	a = soft_fast_load(c, src, size, c->tlb_mode);
	interp_compare(size, a, b, fl);
	string_advance(c, i, X86_RSI, size);
	string_advance(c, i, X86_RDI, size);
}

static void string_scas(struct soft_cpu *c, const struct x86_insn *i,
	unsigned size, uint64_t *fl)
{
	gva_t dst = string_dst(c, i, size, SOFT_READ);
	uint64_t b = soft_fast_load(c, dst, size, c->tlb_mode);

	interp_compare(size, c->st.gpr[X86_RAX], b, fl);
	string_advance(c, i, X86_RDI, size);
}

static void string_ins(struct soft_cpu *c, const struct x86_insn *i,
	unsigned size, uint64_t *fl)
{
	uint16_t port = c->st.gpr[X86_RDX];
	gva_t dst;

	/* The device must not be read if the store would fault. */
	dst = string_dst(c, i, size, SOFT_WRITE);
	soft_probe_operand(c, dst, size, c->tlb_mode);
	soft_store(c, dst, size, soft_in(c, port, size), c->tlb_mode);
	string_advance(c, i, X86_RDI, size);
}

static void string_outs(struct soft_cpu *c, const struct x86_insn *i,
	unsigned size, uint64_t *fl)
{
	uint16_t port = c->st.gpr[X86_RDX];
	gva_t src = string_src(c, i, size);

	soft_out(c, port, size, soft_load(c, src, size, c->tlb_mode));
	string_advance(c, i, X86_RSI, size);
}

/* ---- runs of plain memory ---- */

static unsigned string_size(const struct x86_insn *i)
{
	/* Bit 0 of the opcode chooses between bytes and the operand size. */
	if (!(i->opcode & 1))
		return 1;
	return i->opcode < 0x70 && i->osize == 8 ? 4 : i->osize;
}

/* Bytes from off that stay inside the page, the segment and the address size;
 * 0 if that is not easily said. */
static uint64_t string_span(const struct soft_cpu *c, const struct x86_insn *i,
	unsigned seg, uint64_t off, gva_t a)
{
	const struct x86_seg *s = &c->st.seg[seg];
	uint64_t n = BUS_PAGE_SIZE - (a & (BUS_PAGE_SIZE - 1));
	uint64_t room;

	if (i->asize != 8) {
		room = interp_mask(i->asize) - off + 1;
		n = n < room ? n : room;
	}
	if (c->code64)
		return n;
	if (!(s->attr & X86_SEG_CODE) && s->attr & X86_SEG_E)
		return 0;
	if (off > s->limit)
		return 0;
	room = (uint64_t)s->limit - off + 1;
	return n < room ? n : room;
}

#define STRING_HOST(op, ...) __asm__ volatile(op:__VA_ARGS__ : : "memory")

/* Overlapping forward copies repeat what they have just written. */
static void string_copy(uint8_t *d, const uint8_t *s, uint64_t n, unsigned size)
{
	if (d >= s + n * size || d <= s) {
		memmove(d, s, n * size);
		return;
	}
	switch (size) {
	case 1: STRING_HOST("rep movsb", "+D"(d), "+S"(s), "+c"(n)); break;
	case 2: STRING_HOST("rep movsw", "+D"(d), "+S"(s), "+c"(n)); break;
	case 4: STRING_HOST("rep movsl", "+D"(d), "+S"(s), "+c"(n)); break;
	default: STRING_HOST("rep movsq", "+D"(d), "+S"(s), "+c"(n)); break;
	}
}

static void string_fill(uint8_t *d, uint64_t v, uint64_t n, unsigned size)
{
	switch (size) {
	case 1: memset(d, (uint8_t)v, n); break;
	case 2: STRING_HOST("rep stosw", "+D"(d), "+c"(n), "+a"(v)); break;
	case 4: STRING_HOST("rep stosl", "+D"(d), "+c"(n), "+a"(v)); break;
	default: STRING_HOST("rep stosq", "+D"(d), "+c"(n), "+a"(v)); break;
	}
}

/* How many of n iterations are done until the elements differ, or are equal. */
static uint64_t string_compare(const uint8_t *d, const uint8_t *s, uint64_t n,
	unsigned size, bool until_equal)
{
	uint64_t at = 0;

	while (!until_equal && (n - at) * size >= 8 &&
		soft_host_load(d + at * size, 8) ==
			soft_host_load(s + at * size, 8))
		at += 8 / size;
	while (at < n) {
		bool same = soft_host_load(d + at * size, size) ==
			    soft_host_load(s + at * size, size);

		at++;
		if (same == until_equal)
			break;
	}
	return at;
}

static uint64_t string_search(const uint8_t *d, uint64_t v, uint64_t n,
	unsigned size, bool until_equal)
{
	uint64_t at = 0, mask = interp_mask(size);
	const uint8_t *found;

	if (size == 1 && until_equal) {
		found = memchr(d, (uint8_t)v, n);
		return found ? (uint64_t)(found - d) + 1 : n;
	}
	while (at < n) {
		bool same = soft_host_load(d + at * size, size) == (v & mask);

		at++;
		if (same == until_equal)
			break;
	}
	return at;
}

/* One operand of a run: elements of plain memory. */
struct string_part {
	uint8_t *host;
	uint64_t n;
};

/* Up to *n elements at rSI or rDI; false if they are not plain memory, or cross
 * pages: their faults come first. */
static bool string_part(struct soft_cpu *c, const struct x86_insn *i,
	unsigned reg, enum soft_access acc, struct string_part *p)
{
	unsigned seg = reg == X86_RSI ? interp_data_seg(i) : X86_ES;
	unsigned size = string_size(i);
	uint64_t off = string_reg(c, i, reg), n;
	gva_t a = soft_fast_linear(c, seg, off, size, acc);

	p->host = soft_host(c, a, size, acc, c->tlb_mode);
	if (!p->host)
		return false;
	n = string_span(c, i, seg, off, a) / size;
	p->n = n < p->n ? n : p->n;
	return p->n;
}

/* Up to count iterations of MOVS at once; how many were done. */
static uint64_t string_movs_run(struct soft_cpu *c, const struct x86_insn *i,
	unsigned size, uint64_t count, uint64_t *fl)
{
	struct string_part s = {.n = count}, d;

	if (!string_part(c, i, X86_RSI, SOFT_READ, &s))
		return 0;
	d.n = s.n;
	if (!string_part(c, i, X86_RDI, SOFT_WRITE, &d))
		return 0;
	string_copy(d.host, s.host, d.n, size);
	string_advance(c, i, X86_RSI, d.n * size);
	string_advance(c, i, X86_RDI, d.n * size);
	return d.n;
}

static uint64_t string_stos_run(struct soft_cpu *c, const struct x86_insn *i,
	unsigned size, uint64_t count, uint64_t *fl)
{
	struct string_part d = {.n = count};

	if (!string_part(c, i, X86_RDI, SOFT_WRITE, &d))
		return 0;
	string_fill(d.host, c->st.gpr[X86_RAX], d.n, size);
	string_advance(c, i, X86_RDI, d.n * size);
	return d.n;
}

static bool string_until_equal(const struct x86_insn *i)
{
	return i->prefix & X86_PFX_REPNE;
}

static uint64_t string_cmps_run(struct soft_cpu *c, const struct x86_insn *i,
	unsigned size, uint64_t count, uint64_t *fl)
{
	struct string_part s, d = {.n = count};
	uint64_t n;

	if (!string_part(c, i, X86_RDI, SOFT_READ, &d))
		return 0;
	s.n = d.n;
	if (!string_part(c, i, X86_RSI, SOFT_READ, &s))
		return 0;
	n = string_compare(d.host, s.host, s.n, size, string_until_equal(i));
	interp_compare(size, soft_host_load(s.host + (n - 1) * size, size),
		soft_host_load(d.host + (n - 1) * size, size), fl);
	string_advance(c, i, X86_RSI, n * size);
	string_advance(c, i, X86_RDI, n * size);
	return n;
}

static uint64_t string_scas_run(struct soft_cpu *c, const struct x86_insn *i,
	unsigned size, uint64_t count, uint64_t *fl)
{
	uint64_t v = c->st.gpr[X86_RAX], n;
	struct string_part d = {.n = count};

	if (!string_part(c, i, X86_RDI, SOFT_READ, &d))
		return 0;
	n = string_search(d.host, v, d.n, size, string_until_equal(i));
	interp_compare(
		size, v, soft_host_load(d.host + (n - 1) * size, size), fl);
	string_advance(c, i, X86_RDI, n * size);
	return n;
}

/* INS and OUTS, whose port was checked. */
static uint64_t string_io_run(struct soft_cpu *c, const struct x86_insn *i,
	unsigned size, uint64_t count, uint64_t *fl)
{
	bool out = i->op == X86_OP_OUTS;
	unsigned reg = out ? X86_RSI : X86_RDI;
	unsigned seg = out ? interp_data_seg(i) : X86_ES;
	enum soft_access acc = out ? SOFT_READ : SOFT_WRITE;
	uint64_t off = string_reg(c, i, reg), n;
	gva_t a = soft_fast_linear(c, seg, off, size, acc);
	uint8_t *p = soft_host(c, a, size, acc, c->tlb_mode);

	if (!p)
		return 0;
	n = string_span(c, i, seg, off, a) / size;
	n = n < count ? n : count;
	if (!soft_io_many(c, c->st.gpr[X86_RDX], size, p, n, out))
		return 0;
	string_advance(c, i, reg, n * size);
	return n;
}

/* ---- repetition ---- */

/* *fl: RFLAGS as the iterations leave them, committed when no fault comes. */
typedef void string_fn(struct soft_cpu *c, const struct x86_insn *i,
	unsigned size, uint64_t *fl);
typedef uint64_t string_run_fn(struct soft_cpu *c, const struct x86_insn *i,
	unsigned size, uint64_t count, uint64_t *fl);

struct string_kind {
	string_fn *one;
	string_run_fn *run;
	bool compares, io;
};

/* Is something to be looked at after this iteration? */
static bool string_stops(struct soft_cpu *c)
{
	return soft_attention(c) || c->db_pending || (c->debug & SOFT_DBG_HIT);
}

static bool string_done(const struct x86_insn *i, const struct string_kind *k,
	uint64_t left, uint64_t fl)
{
	if (!left)
		return true;
	if (!k->compares)
		return false;
	return !(fl & X86_FL_ZF) == !(i->prefix & X86_PFX_REPNE);
}

/*
 * With 32-bit addresses in 64-bit code, processors clear the upper halves of
 * rCX, and for MOVS and STOS of the pointers, before the first iteration.
 */
static void string_truncate(struct soft_cpu *c, const struct x86_insn *i,
	const struct string_kind *k)
{
	uint64_t *g = c->st.gpr;

	if (i->asize != 4)
		return;
	g[X86_RCX] = (uint32_t)g[X86_RCX];
	if (!k->run || k->compares || k->io)
		return;
	g[X86_RDI] = (uint32_t)g[X86_RDI];
	if (i->op == X86_OP_MOVS)
		g[X86_RSI] = (uint32_t)g[X86_RSI];
}

/* Some iterations; true when there are no more to do. */
static bool string_some(struct soft_cpu *c, const struct x86_insn *i,
	const struct string_kind *k, unsigned size)
{
	bool runs = k->run && !(c->st.rflags & X86_FL_DF);
	uint64_t left = string_reg(c, i, X86_RCX), budget = STRING_CHUNK;
	uint64_t fl = c->st.rflags;
	bool done = !left;

	string_truncate(c, i, k);
	if (c->st.rflags & X86_FL_TF)
		budget = 1;
	while (!done && budget) {
		uint64_t n = 0;

		if (runs && budget > 1)
			n = k->run(c, i, size, left, &fl);
		if (!n) {
			k->one(c, i, size, &fl);
			n = 1;
		}
		left -= n;
		budget--;
		interp_set_reg(c, X86_RCX, i->asize, left);
		done = string_done(i, k, left, fl);
		if (string_stops(c))
			break;
	}
	/* Flags are written once, at the end. */
	if (done)
		c->st.rflags = fl;
	return done;
}

static void string_exec(struct soft_cpu *c, const struct x86_insn *i,
	const struct string_kind *k, unsigned size)
{
	if (k->io)
		soft_io_check(c, c->st.gpr[X86_RDX], size);
	if (!(i->prefix & (X86_PFX_REP | X86_PFX_REPNE))) {
		uint64_t fl = c->st.rflags;

		k->one(c, i, size, &fl);
		c->st.rflags = fl;
	} else if (!string_some(c, i, k, size)) {
		c->st.rflags |= X86_FL_RF;
		return;
	}
	c->st.rip = interp_next(c, i);
}

#define STRING_OP(name, run, ...)                                              \
	INTERP_FN(name)                                                        \
	{                                                                      \
		static const struct string_kind k = {                          \
			string_##name, run, __VA_ARGS__};                      \
		string_exec(c, i, &k, string_size(i));                         \
	}

STRING_OP(movs, string_movs_run, false, false)
STRING_OP(stos, string_stos_run, false, false)
STRING_OP(lods, NULL, false, false)
STRING_OP(cmps, string_cmps_run, true, false)
STRING_OP(scas, string_scas_run, true, false)
STRING_OP(ins, string_io_run, false, true)
STRING_OP(outs, string_io_run, false, true)

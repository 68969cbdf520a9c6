/*
 * state.c - reset values, start-up, comparison and printing of x86_state.
 *
 * Source: SDM vol. 3, table 10-1 and 9.4.4.1 (MP start-up).
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "x86/state.h"

#define APIC_BASE_RESET	  0xfee00000ull
#define APIC_BASE_BSP	  (1ull << 8)
#define APIC_BASE_ENABLE  (1ull << 11)
#define PAT_RESET	  0x0007040600070406ull
#define MISC_FAST_STRING  1ull
#define RESET_FCW	  0x0040
#define RESET_FTW	  0xff /* abridged: all valid (tag word 5555H) */
#define DEFAULT_SIGNATURE 0x600
#define INIT_MXCSR	  0x1f80

static void x86_seg_real(struct x86_seg *s, uint16_t sel, uint16_t type)
{
	*s = (struct x86_seg){
		(uint32_t)sel << 4, 0xffff, sel, X86_SEG_P | type};
}

/* What RESET and INIT set alike. */
static void x86_state_common(struct x86_state *s)
{
	memset(s->gpr, 0, sizeof(s->gpr));
	s->gpr[X86_RDX] = DEFAULT_SIGNATURE;
	s->rip = 0xfff0;
	s->rflags = X86_FL_1;
	for (unsigned i = X86_ES; i <= X86_GS; i++)
		x86_seg_real(&s->seg[i], 0, X86_SEG_S | X86_SEG_W | X86_SEG_A);
	x86_seg_real(&s->seg[X86_CS], 0xf000,
		X86_SEG_S | X86_SEG_CODE | X86_SEG_W | X86_SEG_A);
	s->seg[X86_CS].base = 0xffff0000;
	/* an LDT and a busy 32-bit TSS, as far as that can be told */
	x86_seg_real(&s->seg[X86_LDTR], 0, 2);
	x86_seg_real(&s->seg[X86_TR], 0, 11);
	s->gdtr = s->idtr = (struct x86_dtab){0, 0xffff};
	s->cr2 = s->cr3 = s->cr4 = s->cr8 = 0;
	memset(s->dr, 0, sizeof(s->dr));
	s->dr6 = 0xffff0ff0;
	s->dr7 = 0x400;
	s->efer = 0;
	s->debugctl = 0;
	s->activity = X86_ACT_RUN;
	s->sti_shadow = s->movss_shadow = s->nmi_blocked = 0;
	s->inject = s->nmi_pending = 0;
}

void x86_state_reset(struct x86_state *s, bool init, bool bsp)
{
	uint16_t fcw = RESET_FCW;
	uint32_t mxcsr = INIT_MXCSR;

	if (init) {
		/* CD and NW keep their values, ET is fixed. */
		uint64_t cr0 = s->cr0 & (X86_CR0_CD | X86_CR0_NW);

		x86_state_common(s);
		s->cr0 = cr0 | X86_CR0_ET;
	} else {
		memset(s, 0, sizeof(*s));
		x86_state_common(s);
		s->cr0 = X86_CR0_CD | X86_CR0_NW | X86_CR0_ET;
		s->xcr0 = 1;
		s->pat = PAT_RESET;
		s->misc_enable = MISC_FAST_STRING;
		s->apic_base = APIC_BASE_RESET | APIC_BASE_ENABLE;
		memcpy(s->fpu.fx, &fcw, 2);
		s->fpu.fx[4] = RESET_FTW;
		memcpy(s->fpu.fx + 24, &mxcsr, 4);
	}
	if (bsp)
		s->apic_base |= APIC_BASE_BSP;
	else
		s->activity = X86_ACT_WAIT_SIPI;
}

void x86_state_sipi(struct x86_state *s, uint8_t vector)
{
	s->seg[X86_CS].sel = (uint16_t)(vector << 8);
	s->seg[X86_CS].base = (uint64_t)vector << 12;
	s->rip = 0;
	s->activity = X86_ACT_RUN;
}

/* ---- comparing ---- */

struct diff {
	char *buf;
	unsigned size, used, count;
};

static void diff_say(struct diff *d, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void diff_say(struct diff *d, const char *fmt, ...)
{
	va_list ap;
	int n;

	d->count++;
	if (d->used >= d->size)
		return;
	va_start(ap, fmt);
	n = vsnprintf(d->buf + d->used, d->size - d->used, fmt, ap);
	va_end(ap);
	d->used += n > 0 ? (unsigned)n : 0;
}

static const char *const gpr_names[] = {"rax", "rcx", "rdx", "rbx", "rsp",
	"rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
	"r15"};
static const char *const seg_names[] = {
	"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};

#define F(name)                                                                \
	{                                                                      \
#name, offsetof(struct x86_state, name)                        \
	}
static const struct {
	const char *name;
	size_t offset;
} x86_fields[] = {F(rip), F(rflags), F(gdtr.base), F(idtr.base), F(cr0), F(cr2),
	F(cr3), F(cr4), F(cr8), F(dr[0]), F(dr[1]), F(dr[2]), F(dr[3]), F(dr6),
	F(dr7), F(xcr0), F(efer), F(star), F(lstar), F(cstar), F(sfmask),
	F(kernel_gs_base), F(sysenter_cs), F(sysenter_esp), F(sysenter_eip),
	F(tsc_offset), F(tsc_adjust), F(tsc_aux), F(tsc_deadline), F(apic_base),
	F(pat), F(misc_enable), F(debugctl), F(spec_ctrl), F(xss),
	F(mtrr_def_type)};
#undef F

static uint64_t x86_field(const struct x86_state *s, size_t offset)
{
	uint64_t v;

	memcpy(&v, (const char *)s + offset, 8);
	return v;
}

static void x86_diff_segs(
	struct diff *d, const struct x86_state *a, const struct x86_state *b)
{
	for (unsigned i = 0; i < X86_NSEG; i++) {
		const struct x86_seg *x = &a->seg[i], *y = &b->seg[i];

		if (x->sel == y->sel && x->base == y->base &&
			x->limit == y->limit && x->attr == y->attr)
			continue;
		diff_say(d,
			"%s %04x:%" PRIx64 ":%x:%04x / %04x:%" PRIx64
			":%x:%04x\n",
			seg_names[i], x->sel, x->base, x->limit, x->attr,
			y->sel, y->base, y->limit, y->attr);
	}
}

static void x86_diff_fpu(
	struct diff *d, const struct x86_fpu *a, const struct x86_fpu *b)
{
	for (unsigned i = 0; i < 160; i++)
		if (a->fx[i] != b->fx[i])
			diff_say(d, "fxsave[%u] %02x / %02x\n", i, a->fx[i],
				b->fx[i]);
	for (unsigned i = 0; i < 32; i++)
		for (unsigned j = 0; j < 64; j += 8)
			if (memcmp(a->zmm[i] + j, b->zmm[i] + j, 8)) {
				uint64_t x, y;

				memcpy(&x, a->zmm[i] + j, 8);
				memcpy(&y, b->zmm[i] + j, 8);
				diff_say(d,
					"zmm%u[%u] %" PRIx64 " / %" PRIx64 "\n",
					i, j / 8, x, y);
			}
	for (unsigned i = 0; i < 8; i++)
		if (a->k[i] != b->k[i])
			diff_say(d, "k%u %" PRIx64 " / %" PRIx64 "\n", i,
				a->k[i], b->k[i]);
	if (a->pkru != b->pkru)
		diff_say(d, "pkru %x / %x\n", a->pkru, b->pkru);
}

unsigned x86_state_diff(const struct x86_state *a, const struct x86_state *b,
	char *buf, unsigned size)
{
	struct diff d = {buf, size, 0, 0};

	if (size)
		buf[0] = 0;
	for (unsigned i = 0; i < X86_NGPR; i++)
		if (a->gpr[i] != b->gpr[i])
			diff_say(&d, "%s %" PRIx64 " / %" PRIx64 "\n",
				gpr_names[i], a->gpr[i], b->gpr[i]);
	for (unsigned i = 0; i < sizeof(x86_fields) / sizeof(*x86_fields);
		i++) {
		uint64_t x = x86_field(a, x86_fields[i].offset);
		uint64_t y = x86_field(b, x86_fields[i].offset);

		if (x != y)
			diff_say(&d, "%s %" PRIx64 " / %" PRIx64 "\n",
				x86_fields[i].name, x, y);
	}
	x86_diff_segs(&d, a, b);
	if (a->gdtr.limit != b->gdtr.limit)
		diff_say(&d, "gdtr.limit %x / %x\n", a->gdtr.limit,
			b->gdtr.limit);
	if (a->idtr.limit != b->idtr.limit)
		diff_say(&d, "idtr.limit %x / %x\n", a->idtr.limit,
			b->idtr.limit);
	if (memcmp(a->mtrr_fixed, b->mtrr_fixed, sizeof(a->mtrr_fixed)) ||
		memcmp(a->mtrr_var, b->mtrr_var, sizeof(a->mtrr_var)))
		diff_say(&d, "MTRRs differ\n");
	if (a->activity != b->activity || a->sti_shadow != b->sti_shadow ||
		a->movss_shadow != b->movss_shadow ||
		a->nmi_blocked != b->nmi_blocked)
		diff_say(&d,
			"activity %u sti %u movss %u nmi %u / %u %u %u %u\n",
			a->activity, a->sti_shadow, a->movss_shadow,
			a->nmi_blocked, b->activity, b->sti_shadow,
			b->movss_shadow, b->nmi_blocked);
	x86_diff_fpu(&d, &a->fpu, &b->fpu);
	return d.count;
}

/* ---- printing ---- */

void x86_state_print(const struct x86_state *s, char *buf, unsigned size)
{
	struct diff d = {buf, size, 0, 0};

	if (size)
		buf[0] = 0;
	for (unsigned i = 0; i < X86_NGPR; i++)
		diff_say(&d, "%-3s %016" PRIx64 "%s", gpr_names[i], s->gpr[i],
			i % 4 == 3 ? "\n" : "  ");
	diff_say(&d, "rip %016" PRIx64 "  rflags %08" PRIx64 "\n", s->rip,
		s->rflags);
	for (unsigned i = 0; i < X86_NSEG; i++)
		diff_say(&d,
			"%-4s %04x base %016" PRIx64 " limit %08x attr %04x\n",
			seg_names[i], s->seg[i].sel, s->seg[i].base,
			s->seg[i].limit, s->seg[i].attr);
	diff_say(&d, "gdtr %016" PRIx64 ":%04x  idtr %016" PRIx64 ":%04x\n",
		s->gdtr.base, s->gdtr.limit, s->idtr.base, s->idtr.limit);
	diff_say(&d,
		"cr0 %" PRIx64 " cr2 %" PRIx64 " cr3 %" PRIx64 " cr4 %" PRIx64
		" cr8 %" PRIx64 " efer %" PRIx64 "\n",
		s->cr0, s->cr2, s->cr3, s->cr4, s->cr8, s->efer);
	diff_say(&d, "dr6 %" PRIx64 " dr7 %" PRIx64 " activity %u\n", s->dr6,
		s->dr7, s->activity);
}

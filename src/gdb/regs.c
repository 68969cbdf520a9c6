/*
 * regs.c - the registers that gdb sees, and the description that it reads.
 *
 * The names and features up to AVX-512 are gdb's own; org.vmeste.system adds
 * what system software has: control, debug and table registers, the hidden
 * parts of segments, model-specific registers.
 */
#include <string.h>

#include "gdb/priv.h"

enum reg_kind {
	REG_FIELD, /* bytes of x86_state at at */
	REG_PC,
	REG_FLAGS,
	REG_SEL, /* selector of segment index, as 32 bits */
	REG_FTAG,
	REG_CUT, /* a field that is narrower there: index bytes */
};

#define STATE(field) ((uint16_t)offsetof(struct x86_state, field))

/* ---- making the list ---- */

static void reg_add(struct gdb_regs *r, const char *name, const char *type,
	const char *group, struct gdb_reg reg)
{
	if (r->n == GDB_MAX_REGS)
		return;
	g_strlcpy(reg.name, name, sizeof(reg.name));
	r->reg[r->n++] = reg;
	g_string_append_printf(r->xml,
		"<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"%s%s%s/>\n", name,
		reg.bytes * 8u, type, group ? " group=\"" : "",
		group ? group : "", group ? "\"" : "");
}

static void reg_field(struct gdb_regs *r, const char *name, const char *type,
	const char *group, unsigned at, unsigned bytes)
{
	reg_add(r, name, type, group,
		(struct gdb_reg){.kind = REG_FIELD,
			.at = (uint16_t)at,
			.bytes = (uint8_t)bytes});
}

/* name0 .. name<n - 1>, each stride bytes further. */
struct reg_row {
	const char *format, *type;
	unsigned from, to, at, stride, bytes;
};

static void reg_row(struct gdb_regs *r, const struct reg_row *row)
{
	for (unsigned i = row->from; i < row->to; i++) {
		char name[16];

		g_snprintf(name, sizeof(name), "%s%u%s", row->format, i,
			row->at >= STATE(fpu.zmm) && row->bytes != 8 &&
					strcmp(row->format, "xmm") != 0
				? "h"
				: "");
		reg_field(r, name, row->type, NULL, row->at + i * row->stride,
			row->bytes);
	}
}

static void feature(struct gdb_regs *r, const char *name)
{
	g_string_append_printf(r->xml, "<feature name=\"%s\">\n", name);
}

static void feature_end(struct gdb_regs *r)
{
	g_string_append(r->xml, "</feature>\n");
}

static void types_flags(struct gdb_regs *r)
{
	static const struct {
		const char *name;
		unsigned bit;
	} fl[] = {{"CF", 0}, {"", 1}, {"PF", 2}, {"AF", 4}, {"ZF", 6},
		{"SF", 7}, {"TF", 8}, {"IF", 9}, {"DF", 10}, {"OF", 11},
		{"NT", 14}, {"RF", 16}, {"VM", 17}, {"AC", 18}, {"VIF", 19},
		{"VIP", 20}, {"ID", 21}};

	g_string_append(r->xml, "<flags id=\"i386_eflags\" size=\"4\">\n");
	for (unsigned i = 0; i < G_N_ELEMENTS(fl); i++)
		g_string_append_printf(r->xml,
			"<field name=\"%s\" start=\"%u\" end=\"%u\"/>\n",
			fl[i].name, fl[i].bit, fl[i].bit);
	g_string_append(r->xml, "</flags>\n");
}

static void core_x87(struct gdb_regs *r)
{
	static const struct {
		const char *name;
		uint8_t at, bytes;
	} control[] = {{"fctrl", 0, 2}, {"fstat", 2, 2}, {"ftag", 4, 0},
		{"fiseg", 12, 2}, {"fioff", 8, 4}, {"foseg", 20, 2},
		{"fooff", 16, 4}, {"fop", 6, 2}};

	for (unsigned i = 0; i < 8; i++) {
		char name[8];

		g_snprintf(name, sizeof(name), "st%u", i);
		reg_field(r, name, "i387_ext", NULL,
			STATE(fpu.fx) + 32 + i * 16, 10);
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(control); i++)
		reg_add(r, control[i].name, "int", "float",
			(struct gdb_reg){
				.kind = control[i].bytes ? REG_CUT : REG_FTAG,
				.index = control[i].bytes,
				.at = (uint16_t)(STATE(fpu.fx) + control[i].at),
				.bytes = 4});
}

static void core(struct gdb_regs *r)
{
	static const char *const wide[] = {"rax", "rbx", "rcx", "rdx", "rsi",
		"rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13",
		"r14", "r15"};
	static const uint8_t wide_n[] = {
		0, 3, 1, 2, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15};
	static const char *const narrow[] = {
		"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
	static const char *const seg[] = {"cs", "ss", "ds", "es", "fs", "gs"};
	static const uint8_t seg_n[] = {
		X86_CS, X86_SS, X86_DS, X86_ES, X86_FS, X86_GS};
	unsigned bytes = r->wide ? 8 : 4;

	feature(r, "org.gnu.gdb.i386.core");
	types_flags(r);
	for (unsigned i = 0; i < (r->wide ? 16 : 8); i++) {
		unsigned n = r->wide ? wide_n[i] : i;
		bool ptr = n == X86_RSP || n == X86_RBP;

		reg_field(r, r->wide ? wide[i] : narrow[i],
			ptr	  ? "data_ptr"
			: r->wide ? "int64"
				  : "int32",
			NULL, STATE(gpr) + n * 8, bytes);
	}
	reg_add(r, r->wide ? "rip" : "eip", "code_ptr", NULL,
		(struct gdb_reg){.kind = REG_PC, .bytes = (uint8_t)bytes});
	reg_add(r, "eflags", "i386_eflags", NULL,
		(struct gdb_reg){.kind = REG_FLAGS, .bytes = 4});
	for (unsigned i = 0; i < 6; i++)
		reg_add(r, seg[i], "int32", NULL,
			(struct gdb_reg){.kind = REG_SEL,
				.index = seg_n[i],
				.bytes = 4});
	core_x87(r);
	feature_end(r);
}

#define ZMM(byte) (STATE(fpu.zmm) + (byte))

static void vector_types(struct gdb_regs *r)
{
	static const struct {
		const char *id, *type;
		unsigned n;
	} v[] = {{"v4f", "ieee_single", 4}, {"v2d", "ieee_double", 2},
		{"v16i8", "int8", 16}, {"v8i16", "int16", 8},
		{"v4i32", "int32", 4}, {"v2i64", "int64", 2}};
	static const char *const field[] = {"v4_float", "v2_double", "v16_int8",
		"v8_int16", "v4_int32", "v2_int64"};

	for (unsigned i = 0; i < G_N_ELEMENTS(v); i++)
		g_string_append_printf(r->xml,
			"<vector id=\"%s\" type=\"%s\" count=\"%u\"/>\n",
			v[i].id, v[i].type, v[i].n);
	g_string_append(r->xml, "<union id=\"vec128\">\n");
	for (unsigned i = 0; i < G_N_ELEMENTS(v); i++)
		g_string_append_printf(r->xml,
			"<field name=\"%s\" type=\"%s\"/>\n", field[i],
			v[i].id);
	g_string_append(r->xml, "<field name=\"uint128\" type=\"uint128\"/>\n"
				"</union>\n");
}

static void sse(struct gdb_regs *r)
{
	struct reg_row xmm = {
		"xmm", "vec128", 0, r->wide ? 16 : 8, ZMM(0), 64, 16};

	feature(r, "org.gnu.gdb.i386.sse");
	vector_types(r);
	reg_row(r, &xmm);
	reg_field(r, "mxcsr", "int", "vector", STATE(fpu.fx) + 24, 4);
	feature_end(r);
}

static void avx(struct gdb_regs *r)
{
	struct reg_row ymm = {
		"ymm", "uint128", 0, r->wide ? 16 : 8, ZMM(16), 64, 16};

	feature(r, "org.gnu.gdb.i386.avx");
	reg_row(r, &ymm);
	feature_end(r);
}

static void avx512(struct gdb_regs *r)
{
	const struct reg_row rows[] = {
		{"xmm", "vec128", 16, 32, ZMM(0), 64, 16},
		{"ymm", "uint128", 16, 32, ZMM(16), 64, 16},
		{"k", "uint64", 0, 8, STATE(fpu.k), 8, 8},
		{"zmm", "v2ui128", 0, r->wide ? 32 : 8, ZMM(32), 64, 32}};

	feature(r, "org.gnu.gdb.i386.avx512");
	vector_types(r);
	g_string_append(r->xml,
		"<vector id=\"v2ui128\" type=\"uint128\" count=\"2\"/>\n");
	for (unsigned i = r->wide ? 0 : 2; i < G_N_ELEMENTS(rows); i++)
		reg_row(r, &rows[i]);
	feature_end(r);
}

static void system_segments(struct gdb_regs *r)
{
	static const char *const seg[] = {
		"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};
	char name[16];

	for (unsigned i = 0; i < X86_NSEG; i++) {
		unsigned at = STATE(seg) + i * sizeof(struct x86_seg);

		if (i >= X86_LDTR)
			reg_field(r, seg[i], "int16", "system",
				at + offsetof(struct x86_seg, sel), 2);
		g_snprintf(name, sizeof(name), "%s_base", seg[i]);
		if (!r->wide || (i != X86_FS && i != X86_GS))
			reg_field(r, name, "int64", "system",
				at + offsetof(struct x86_seg, base), 8);
		g_snprintf(name, sizeof(name), "%s_limit", seg[i]);
		reg_field(r, name, "uint32", "system",
			at + offsetof(struct x86_seg, limit), 4);
		g_snprintf(name, sizeof(name), "%s_attr", seg[i]);
		reg_field(r, name, "uint16", "system",
			at + offsetof(struct x86_seg, attr), 2);
	}
}

static void system_regs(struct gdb_regs *r)
{
	static const struct {
		const char *name;
		uint16_t at;
		uint8_t bytes;
	} f[] = {{"ip", STATE(rip), 8}, {"cr0", STATE(cr0), 8},
		{"cr2", STATE(cr2), 8}, {"cr3", STATE(cr3), 8},
		{"cr4", STATE(cr4), 8}, {"cr8", STATE(cr8), 8},
		{"dr0", STATE(dr[0]), 8}, {"dr1", STATE(dr[1]), 8},
		{"dr2", STATE(dr[2]), 8}, {"dr3", STATE(dr[3]), 8},
		{"dr6", STATE(dr6), 8}, {"dr7", STATE(dr7), 8},
		{"xcr0", STATE(xcr0), 8}, {"efer", STATE(efer), 8},
		{"gdtr_base", STATE(gdtr.base), 8},
		{"gdtr_limit", STATE(gdtr.limit), 2},
		{"idtr_base", STATE(idtr.base), 8},
		{"idtr_limit", STATE(idtr.limit), 2},
		{"k_gs_base", STATE(kernel_gs_base), 8},
		{"star", STATE(star), 8}, {"lstar", STATE(lstar), 8},
		{"cstar", STATE(cstar), 8}, {"sfmask", STATE(sfmask), 8},
		{"sysenter_cs", STATE(sysenter_cs), 8},
		{"sysenter_esp", STATE(sysenter_esp), 8},
		{"sysenter_eip", STATE(sysenter_eip), 8},
		{"apic_base", STATE(apic_base), 8}, {"pat", STATE(pat), 8},
		{"tsc_offset", STATE(tsc_offset), 8},
		{"activity", STATE(activity), 1},
		{"sti_shadow", STATE(sti_shadow), 1},
		{"movss_shadow", STATE(movss_shadow), 1},
		{"nmi_blocked", STATE(nmi_blocked), 1}};
	static const char *const type[] = {
		[1] = "uint8", [2] = "uint16", [4] = "uint32", [8] = "uint64"};

	feature(r, "org.vmeste.system");
	for (unsigned i = 0; i < G_N_ELEMENTS(f); i++)
		reg_field(r, f[i].name, type[f[i].bytes], "system", f[i].at,
			f[i].bytes);
	system_segments(r);
	feature_end(r);
}

void gdb_regs_init(struct gdb_regs *r, bool wide, bool has_avx, bool has_avx512)
{
	r->n = 0;
	r->wide = wide;
	r->xml = g_string_new("<?xml version=\"1.0\"?>\n"
			      "<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
			      "<target>\n");
	g_string_append_printf(r->xml, "<architecture>%s</architecture>\n",
		wide ? "i386:x86-64" : "i386");
	core(r);
	sse(r);
	if (wide) {
		feature(r, "org.gnu.gdb.i386.segments");
		reg_field(r, "fs_base", "int64", NULL, STATE(seg[X86_FS].base),
			8);
		reg_field(r, "gs_base", "int64", NULL, STATE(seg[X86_GS].base),
			8);
		feature_end(r);
	}
	if (has_avx)
		avx(r);
	if (has_avx && has_avx512)
		avx512(r);
	system_regs(r);
	g_string_append(r->xml, "</target>\n");
}

void gdb_regs_fini(struct gdb_regs *r)
{
	if (r->xml)
		g_string_free(r->xml, TRUE);
	r->xml = NULL;
}

/* ---- values ---- */

/* The base that the program counter is relative to. */
static uint64_t cs_base(const struct x86_state *s)
{
	const struct x86_seg *cs = &s->seg[X86_CS];

	return (s->efer & X86_EFER_LMA) && (cs->attr & X86_SEG_L) ? 0
								  : cs->base;
}

static bool flat64(const struct x86_state *s)
{
	return (s->efer & X86_EFER_LMA) && (s->seg[X86_CS].attr & X86_SEG_L);
}

/* The tag of one x87 register, as the word that FSAVE gives has it. */
static unsigned x87_tag(const uint8_t st[10])
{
	uint64_t mantissa;
	uint16_t exp;

	memcpy(&mantissa, st, 8);
	memcpy(&exp, st + 8, 2);
	exp &= 0x7fff;
	if (exp == 0x7fff || (exp && !(mantissa >> 63)))
		return 2;
	if (!exp)
		return mantissa ? 2 : 1;
	return 0;
}

static uint32_t x87_tags(const struct x86_fpu *f)
{
	unsigned top = f->fx[3] >> 3 & 7;
	uint32_t tags = 0;

	for (unsigned i = 0; i < 8; i++) {
		unsigned tag = 3;

		if (f->fx[4] >> i & 1)
			tag = x87_tag(f->fx + 32 + ((i - top) & 7) * 16);
		tags |= tag << (i * 2);
	}
	return tags;
}

void gdb_reg_get(const struct gdb_reg *r, const struct x86_state *s,
	uint8_t out[GDB_MAX_BYTES])
{
	uint64_t v;

	memset(out, 0, GDB_MAX_BYTES);
	switch ((enum reg_kind)r->kind) {
	case REG_FIELD:
		memcpy(out, (const uint8_t *)s + r->at, r->bytes);
		return;
	case REG_CUT: memcpy(out, (const uint8_t *)s + r->at, r->index); return;
	case REG_PC:
		v = cs_base(s) + s->rip;
		if (!flat64(s))
			v = (uint32_t)v;
		break;
	case REG_FLAGS: v = s->rflags; break;
	case REG_SEL: v = s->seg[r->index].sel; break;
	case REG_FTAG: v = x87_tags(&s->fpu); break;
	default: v = 0; break;
	}
	memcpy(out, &v, r->bytes);
}

/* Only in real and V86 mode does a selector tell the base. */
static bool set_selector(struct x86_state *s, unsigned n, uint32_t sel)
{
	if (s->seg[n].sel == sel)
		return true;
	if (sel > 0xffff || ((s->cr0 & X86_CR0_PE) && !(s->rflags & X86_FL_VM)))
		return false;
	s->seg[n].sel = (uint16_t)sel;
	s->seg[n].base = sel << 4;
	return true;
}

static void set_tags(struct x86_fpu *f, uint32_t tags)
{
	f->fx[4] = 0;
	for (unsigned i = 0; i < 8; i++)
		if ((tags >> (i * 2) & 3) != 3)
			f->fx[4] |= (uint8_t)(1u << i);
}

bool gdb_reg_set(const struct gdb_reg *r, struct x86_state *s,
	const uint8_t in[GDB_MAX_BYTES])
{
	uint64_t v = 0;

	memcpy(&v, in, MIN(r->bytes, 8));
	switch ((enum reg_kind)r->kind) {
	case REG_FIELD: memcpy((uint8_t *)s + r->at, in, r->bytes); break;
	case REG_CUT: memcpy((uint8_t *)s + r->at, in, r->index); break;
	case REG_PC:
		s->rip = v - cs_base(s);
		if (!flat64(s))
			s->rip = (uint32_t)s->rip;
		break;
	case REG_FLAGS: s->rflags = (v & 0x3f7fd5) | X86_FL_1; break;
	case REG_SEL: return set_selector(s, r->index, (uint32_t)v);
	case REG_FTAG: set_tags(&s->fpu, (uint32_t)v); break;
	}
	return true;
}

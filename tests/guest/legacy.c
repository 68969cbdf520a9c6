/*
 * legacy.c - what 16- and 32-bit systems use and later ones forgot: BCD, ENTER
 * with levels, BOUND, far pointers, inner rings by call gates, and returns
 * (SDM vol. 2; vol. 3, 5.8).
 */
#include "lib.h"

#define USED	__attribute__((used))
#define FREE(n) (SEL_FREE + (n)*8)

enum { CF = 1, PF = 4, AF = 16, ZF = 64, SF = 128, OF = 2048 };

/* ---- decimal adjust, all inputs against the manual's text ---- */

uint32_t in_ax USED, out_ax USED, in_fl USED, out_fl USED;

#define BCD(name, code)                                                        \
	FN(bcd_##name, "mov in_ax, %eax; push in_fl; popf\n" code              \
		       "\nmov %eax, out_ax; pushf; pop out_fl")
BCD(aaa, "aaa");
BCD(aas, "aas");
BCD(daa, "daa");
BCD(das, "das");
BCD(aam, "aam");
BCD(aam_16, ".byte 0xd4, 0x10");
BCD(aam_0, ".byte 0xd4, 0");
BCD(aad, "aad");
BCD(aad_7, ".byte 0xd5, 7");

static unsigned result_flags(uint8_t al)
{
	unsigned ones = 0;

	for (unsigned i = 0; i < 8; i++)
		ones += al >> i & 1;
	return (al ? 0 : ZF) | (al & 128 ? SF : 0) | (ones & 1 ? 0 : PF);
}

static void model_ascii(int sign, uint16_t ax, uint32_t fl)
{
	bool adjust = (ax & 15) > 9 || fl & AF;

	if (adjust)
		ax = (uint16_t)(ax + sign * 0x106);
	out_ax = ax & 0xff0f;
	out_fl = adjust ? AF | CF : 0;
}

static void model_decimal(int sign, uint16_t ax, uint32_t fl)
{
	uint8_t al = (uint8_t)ax, old = al;
	unsigned f = 0;

	if ((al & 15) > 9 || fl & AF) {
		int sum = al + sign * 6;

		f |= AF | ((sum & ~255 || fl & CF) ? CF : 0);
		al = (uint8_t)sum;
	}
	if (old > 0x99 || fl & CF) {
		al = (uint8_t)(al + sign * 0x60);
		f |= CF;
	} else if (sign > 0) {
		f &= ~(unsigned)CF;
	}
	out_ax = (ax & 0xff00) | al;
	out_fl = f | result_flags(al);
}

static const struct bcd {
	void (*fn)(void);
	uint8_t kind, base;
	int sign;
	uint16_t flags; /* that are defined */
	const char *name;
} bcds[] = {
	{bcd_aaa, 0, 0, 1, CF | AF, "AAA of all AX, CF, AF"},
	{bcd_aas, 0, 0, -1, CF | AF, "AAS"},
	{bcd_daa, 1, 0, 1, CF | AF | SF | ZF | PF, "DAA"},
	{bcd_das, 1, 0, -1, CF | AF | SF | ZF | PF, "DAS"},
	{bcd_aam, 2, 10, 0, SF | ZF | PF, "AAM"},
	{bcd_aam_16, 2, 16, 0, SF | ZF | PF, "AAM 16"},
	{bcd_aad, 3, 10, 0, SF | ZF | PF, "AAD"},
	{bcd_aad_7, 3, 7, 0, SF | ZF | PF, "AAD 7"},
};

static void model_bcd(const struct bcd *b, uint16_t ax, uint32_t fl)
{
	uint8_t al = (uint8_t)ax, ah = ax >> 8;

	switch (b->kind) {
	case 0: model_ascii(b->sign, ax, fl); return;
	case 1: model_decimal(b->sign, ax, fl); return;
	case 2: out_ax = (uint32_t)(al / b->base) << 8 | al % b->base; break;
	default: out_ax = (uint8_t)(al + ah * b->base);
	}
	out_fl = result_flags((uint8_t)out_ax);
}

static void check_bcd(void)
{
	for (unsigned i = 0; i < sizeof(bcds) / sizeof(*bcds); i++) {
		unsigned bad = 0;

		for (unsigned n = 0; n < 0x4000; n++) {
			uint32_t ax, fl;

			in_ax = 0xabcd0000 | (n & 255) | (n >> 8 & 15) * 0x1100;
			in_fl = 2 | (n >> 12 & 1 ? CF : 0) |
				(n >> 13 & 1 ? AF : 0);
			bcds[i].fn();
			ax = out_ax;
			fl = out_fl & bcds[i].flags;
			model_bcd(&bcds[i], (uint16_t)in_ax, in_fl);
			bad += ax != (0xabcd0000 | out_ax);
			bad += fl != (out_fl & bcds[i].flags);
		}
		ok_eq(bad, 0, bcds[i].name);
	}
	ok_eq((word)guarded(bcd_aam_0), 0, "AAM 0 is #DE");
}

/* ---- ENTER ---- */

uint32_t frames[128] USED, sp_got USED, bp_got USED;

/* The frame pointers that it copies lie below frames[64]. */
#define ENTER(name, insn)                                                      \
	FN(enter_##name,                                                       \
		"mov %esp, %ecx; mov $frames + 256, %ebp\n"                    \
		"mov $frames + 480, %esp\n" insn                               \
		"\nmov %esp, sp_got; mov %ebp, bp_got; mov %ecx, %esp")
ENTER(0, "enter $8, $0");
ENTER(1, "enter $8, $1");
ENTER(2, "enter $8, $2");
ENTER(9, "enter $0, $9");
ENTER(31, "enter $4, $31");
ENTER(33, "enter $4, $33");
ENTER(word_3, "enterw $8, $3");

static void enter(
	void (*fn)(void), unsigned level, unsigned room, const char *name)
{
	uint32_t at = (uint32_t)frames + 480, bad = 0, *p = frames + 119;

	for (unsigned i = 0; i < 128; i++)
		frames[i] = i < 64 ? 0xf0000000 + i : 0;
	fn();
	ok_eq(bp_got, at - 4, name);
	ok_eq(sp_got, at - 4 - level * 4 - room, "  the stack pointer");
	bad += *p-- != (uint32_t)frames + 256;
	for (unsigned i = 1; i < level; i++)
		bad += *p-- != 0xf0000000 + 64 - i;
	if (level)
		bad += *p != at - 4;
	ok_eq(bad, 0, "  what is on the stack");
}

static void check_enter(void)
{
	uint16_t *words = (uint16_t *)frames;

	enter(enter_0, 0, 8, "ENTER 8, 0");
	enter(enter_1, 1, 8, "ENTER 8, 1");
	enter(enter_2, 2, 8, "ENTER 8, 2");
	enter(enter_9, 9, 0, "ENTER 0, 9");
	enter(enter_31, 31, 4, "ENTER 4, 31");
	enter(enter_33, 1, 4, "ENTER 4, 33: modulo 32");
	for (unsigned i = 0; i < 128; i++)
		frames[i] = i < 64 ? 0x11110000 + i : 0;
	enter_word_3();
	ok_eq(sp_got, (uint32_t)frames + 480 - 2 - 6 - 8, "with words");
	ok_eq((uint16_t)bp_got, (uint16_t)((uint32_t)frames + 478), "  BP");
	ok_eq(bp_got >> 16, (uint32_t)frames >> 16, "  the rest of EBP stays");
	ok_eq(words[239], (uint16_t)((uint32_t)frames + 256), "  BP first");
	ok_eq(words[238], words[127], "  then the display");
	ok_eq(words[237], words[126], "  downwards");
	ok_eq(words[236], (uint16_t)bp_got, "  and the frame itself");
}

/* ---- BOUND, ARPL, XLAT, CMPXCHG8B ---- */

int32_t bounds[2] USED, index_of USED;
int16_t bounds16[2] USED;
FN(bound_32, "mov index_of, %eax; bound %eax, bounds");
FN(bound_16, "mov index_of, %eax; bound %ax, bounds16");

static const struct {
	int32_t index, low, high;
	int vector;
} in_bounds[] = {
	{0, 0, 0, -1},
	{-1, 0, 5, 5},
	{6, 0, 5, 5},
	{5, 0, 5, -1},
	{-3, -3, 3, -1},
	{-4, -3, 3, 5},
	{0x7fff, -0x8000, 0x7fff, -1},
	{-0x8000, -0x8000, 0x7fff, -1},
	{3, 5, 1, 5},
};

static void check_bound(void)
{
	unsigned bad = 0;

	for (unsigned i = 0; i < sizeof(in_bounds) / sizeof(*in_bounds); i++) {
		int want = in_bounds[i].vector;

		index_of = in_bounds[i].index;
		bounds[0] = in_bounds[i].low;
		bounds[1] = in_bounds[i].high;
		bounds16[0] = (int16_t)bounds[0];
		bounds16[1] = (int16_t)bounds[1];
		bad += guarded(bound_32) != want;
		if (want > 0)
			bad += *(uint8_t *)fault.rip != 0x62;
		index_of ^= 0x55550000;
		bad += guarded(bound_16) != want;
	}
	ok_eq(bad, 0, "BOUND");
}

uint32_t arpl_d USED, arpl_s USED;
FN(arpl, "mov arpl_d, %eax; mov arpl_s, %ecx; arpl %cx, %ax\n"
	 "mov %eax, arpl_d; pushf; pop out_fl");
FN(arpl_mem, "mov arpl_s, %ecx; arpl %cx, arpl_d; pushf; pop out_fl");

static void check_arpl(void)
{
	unsigned bad = 0;

	for (unsigned n = 0; n < 32; n++) {
		unsigned d = n & 3, s = n >> 2 & 3, max = d > s ? d : s;

		arpl_d = 0x12345670 + d;
		arpl_s = 0xfff0 + s;
		guarded(n & 16 ? arpl_mem : arpl);
		bad += arpl_d != 0x12345670 + max;
		bad += !(out_fl & ZF) != (d >= s);
	}
	ok_eq(bad, 0, "ARPL");
}

uint64_t pair USED, pair_want USED, pair_new USED;
uint32_t pair_zf USED;
FN(cmpxchg8b, "mov pair_want, %eax; mov pair_want + 4, %edx\n"
	      "mov pair_new, %ebx; mov pair_new + 4, %ecx; cmpxchg8b pair\n"
	      "mov %eax, pair_want; mov %edx, pair_want + 4; setz %al\n"
	      "movzbl %al, %eax; mov %eax, pair_zf");
FN(cmpxchg8b_reg, ".byte 0x0f, 0xc7, 0xc8");
FN(cmpxchg8b_odd, "xor %eax, %eax; lock; cmpxchg8b pair + 3");

static void check_cmpxchg8b(void)
{
	pair = pair_want = 0x1122334455667788;
	pair_new = 0x99aabbccddeeff00;
	guarded(cmpxchg8b);
	ok(pair == pair_new && pair_zf, "CMPXCHG8B, equal");
	guarded(cmpxchg8b);
	ok(pair_want == pair && !pair_zf, "not equal: it is loaded");
	ok_eq((word)guarded(cmpxchg8b_reg), 6, "of a register it is #UD");
	ok_eq((word)guarded(cmpxchg8b_odd), (word)-1, "and may be unaligned");
}

/* XLAT, far pointers of both sizes. */
uint8_t table[256] USED;
FN(xlat, "mov $table, %ebx; mov $0xffffff05, %eax; xlat; movzbl %al, %eax\n"
	 "mov %eax, out_ax");
struct {
	uint32_t off;
	uint16_t sel;
} __attribute__((packed)) far_32 USED = {0x12345678, SEL_DATA};
struct {
	uint16_t off, sel;
} __attribute__((packed)) far_16 USED = {0x4321, SEL_DATA};
FN(lfs_32, "lfs far_32, %eax; mov %eax, out_ax; mov %fs, out_fl");
FN(lgs_16, "mov $-1, %eax; lgsw far_16, %ax; mov %eax, out_ax\n"
	   "mov %gs, out_fl");
FN(lss_32, "mov %esp, far_32; lss far_32, %esp");
FN(les_reg, ".byte 0xc4, 0xc0");
FN(push_fs, "mov $0x10, %eax; mov %eax, %fs; push $-1; pop %eax; push %fs\n"
	    "pop out_ax; mov %esp, sp_got");
FN(pusha_16, "mov $0x11112222, %eax; mov %esp, %ecx; pushaw; popaw\n"
	     "sub %esp, %ecx; mov %ecx, sp_got; mov %eax, out_ax");

static void check_pointers(void)
{
	for (unsigned i = 0; i < 256; i++)
		table[i] = (uint8_t)(i ^ 0x5a);
	guarded(xlat);
	ok_eq(out_ax, 5 ^ 0x5a, "XLAT adds AL only");
	ok_eq((word)guarded(lfs_32), (word)-1, "LFS");
	ok_eq(out_ax, 0x12345678, "the offset");
	ok_eq((uint16_t)out_fl, SEL_DATA, "the selector");
	ok_eq((word)guarded(lgs_16), (word)-1, "LGS, words");
	ok_eq(out_ax, 0xffff4321, "the offset's word");
	ok_eq((word)guarded(lss_32), (word)-1, "LSS");
	ok_eq((word)guarded(les_reg), 6, "LES of a register is #UD");
	guarded(push_fs);
	ok_eq(out_ax & 0xffff, SEL_DATA, "PUSH FS");
	guarded(pusha_16);
	ok_eq(sp_got, 0, "PUSHA and POPA of words");
	ok_eq(out_ax, 0x11112222, "keep the rest");
}

/* ---- near transfers beyond the limit change nothing ---- */

static uint8_t edge[4096] __attribute__((aligned(4096)));
static uint32_t edge_cx, edge_sp;
uint32_t edge_esp USED;
FN(to_edge, "mov $5, %ecx; mov $0x1100, %eax; push %eax; mov %esp, edge_esp\n"
	    "ljmp $0xb8, $0xff0; from_edge: add $4, %esp");
extern char from_edge[];

static const struct {
	uint8_t code[6];
	const char *name;
} edges[] = {
	{{0xe2, 0x40}, "LOOP"},
	{{0xe1, 0x40}, "LOOPE"},
	{{0x67, 0xe2, 0x40}, "LOOP of CX"},
	{{0xeb, 0x40}, "JMP"},
	{{0xe9, 0, 1, 0, 0}, "JMP, 32 bits"},
	{{0x74, 0x40}, "JE"},
	{{0x0f, 0x84, 0, 1, 0, 0}, "JE, 32 bits"},
	{{0xe8, 0, 1, 0, 0}, "CALL"},
	{{0xff, 0xd0}, "CALL EAX"},
	{{0xff, 0xe0}, "JMP EAX"},
	{{0xc3}, "RET"},
	{{0xc2, 8, 0}, "RET 8"},
};

static void on_edge(struct frame *f)
{
	edge_cx = f->gpr[6];
	edge_sp = (uint32_t)&f->rsp;
	fault.rip = f->rip;
	f->cs = SEL_CODE;
	f->rip = (word)from_edge;
}

static void check_edges(void)
{
	gdt[0xb8 / 8] = descriptor((uint32_t)edge, 0xfff, 0x9b, 4);
	on_vector(13, on_edge);
	for (unsigned i = 0; i < sizeof(edges) / sizeof(*edges); i++) {
		for (unsigned n = 0; n < sizeof(edges[i].code); n++)
			((volatile uint8_t *)edge)[0xff2 + n] =
				edges[i].code[n];
		*(volatile uint16_t *)(edge + 0xff0) = 0xc039; /* cmp */
		guarded(to_edge);
		ok(fault.rip == 0xff2 && edge_cx == 5 && edge_sp == edge_esp,
			edges[i].name);
	}
	on_vector(13, NULL);
}

/* ---- call gates into rings 1 and 2, and their stacks ---- */

#define CODE1 FREE(2)
#define DATA1 FREE(3)
#define CODE2 FREE(4)
#define DATA2 FREE(5)
#define BAD   FREE(6)
#define CONF  FREE(7)
#define GATE  FREE(8)

static uint32_t inner_stack[256];
uint32_t seen[40] USED, seen_sp USED, seen_cs USED, seen_ss USED;
struct {
	uint32_t off;
	uint16_t sel;
} __attribute__((packed)) gate_ptr USED = {0, GATE | 3};

/* In the inner ring: what is on the stack, then back with 4 * n parameters. */
#define INNER(name, drop)                                                      \
	FN(inner_##name, "mov %cs, %eax; mov %eax, %ss:seen_cs\n"              \
			 "mov %ss, %eax; mov %eax, %ss:seen_ss\n"              \
			 "mov %esp, %ss:seen_sp; mov %esp, %esi\n"             \
			 "mov $seen, %edi; mov $36, %ecx\n"                    \
			 "1: mov %ss:(%esi), %eax; mov %eax, %ss:(%edi)\n"     \
			 "add $4, %esi; add $4, %edi; loop 1b; lret $" drop)
INNER(0, "0");
INNER(2, "8");
INNER(31, "124");

FN(call_0, "lcall *gate_ptr; mov %esp, sp_got");
FN(call_2, "push $0x22; push $0x11; lcall *gate_ptr; mov %esp, sp_got");
FN(call_31, "mov $31, %ecx; 1: push %ecx; loop 1b; lcall *gate_ptr\n"
	    "mov %esp, sp_got");

static void put_gate(uint16_t cs, void (*to)(void), unsigned params)
{
	uint32_t a = (uint32_t)to;

	gdt[GATE / 8] = (a & 0xffff) | (uint64_t)cs << 16 |
			(uint64_t)params << 32 | 0xecull << 40 |
			(uint64_t)(a >> 16) << 48;
}

static void put_rings(void)
{
	gdt[CODE1 / 8] = descriptor(0, 0xfffff, 0xbb, 0xc);
	gdt[DATA1 / 8] = descriptor(0, 0xfffff, 0xb3, 0xc);
	gdt[CODE2 / 8] = descriptor(0, 0xfffff, 0xdb, 0xc);
	gdt[DATA2 / 8] = descriptor(0, 0xfffff, 0xd3, 0xc);
	gdt[CONF / 8] = descriptor(0, 0xfffff, 0x9f, 0xc);
	tss[3] = tss[5] = (uint32_t)(inner_stack + 200);
	tss[4] = DATA1 | 1;
	tss[6] = DATA2 | 2;
}

static void through(void (*call)(void), void (*to)(void), unsigned params,
	unsigned ring, const char *name)
{
	uint32_t top = (uint32_t)(inner_stack + 200), bad = 0;
	uint16_t cs = ring == 1 ? CODE1 : CODE2;

	put_gate(cs, to, params);
	ok_eq((word)guarded_user(call), (word)-1, name);
	ok_eq(seen_cs, cs | ring, "  CS of that ring");
	ok_eq(seen_ss, ring == 1 ? DATA1 | 1 : DATA2 | 2, "  SS of the TSS");
	ok_eq(seen_sp, top - 16 - params * 4, "  its stack");
	ok_eq(seen[1], SEL_UCODE, "  the caller's CS");
	for (unsigned i = 0; i < params; i++)
		bad += seen[2 + i] != (params == 2 ? 0x11 * (i + 1) : i + 1);
	ok_eq(bad, 0, "  the parameters");
	ok_eq(seen[3 + params], SEL_UDATA, "  the caller's SS");
	ok_eq(seen[2 + params] + params * 4, sp_got,
		"  its stack, freed of them on return");
}

static const struct {
	uint16_t sel;
	uint64_t descriptor;
	int vector;
	word error;
	const char *name;
} stacks[] = {
	{0, 0, 10, 0, "ring 1's SS null: #TS"},
	{1, 0, 10, 0, "null with an RPL: #TS"},
	{0xfff9, 0, 10, 0xfff8, "past the GDT: #TS"},
	{BAD, 0x00cfb3000000ffff, 10, BAD, "RPL 0: #TS"},
	{BAD | 1, 0x00cf93000000ffff, 10, BAD, "DPL 0: #TS"},
	{BAD | 1, 0x00cfb1000000ffff, 10, BAD, "not writable: #TS"},
	{BAD | 1, 0x00cfbb000000ffff, 10, BAD, "code: #TS"},
	{BAD | 1, 0x00cf33000000ffff, 12, BAD, "absent: #SS"},
	{BAD | 1, 0x0040b30000000fff, 12, BAD, "too small: #SS"},
	{BAD | 1, 0x00cfb3000000ffff, -1, 0, "a good one"},
};

static void check_gates(void)
{
	put_rings();
	through(call_0, inner_0, 0, 1, "a gate into ring 1");
	through(call_2, inner_2, 2, 1, "with two parameters");
	through(call_31, inner_31, 31, 1, "with 31");
	through(call_2, inner_2, 2, 2, "into ring 2");
	put_gate(CONF, inner_0, 0);
	ok_eq((word)guarded_user(call_0), (word)-1, "to conforming code");
	ok_eq(seen_cs, CONF | 3, "  stays in ring 3");
	put_gate(CODE1, inner_0, 0);
	for (unsigned i = 0; i < sizeof(stacks) / sizeof(*stacks); i++) {
		gdt[BAD / 8] = stacks[i].descriptor;
		tss[4] = stacks[i].sel;
		ok_eq((word)guarded_user(call_0), (word)stacks[i].vector,
			stacks[i].name);
		if (stacks[i].vector > 0)
			ok_eq(fault.error, stacks[i].error, "  error code");
	}
	put_rings();
}

/* ---- far returns and IRET outwards ---- */

uint32_t ret_cs USED, ret_ss USED, ret_ip USED, ret_fl USED;
uint32_t segs[4] USED;
FN(do_lret, "push ret_ss; push $user_stack + 8000; push ret_cs; push ret_ip\n"
	    "lret");
FN(do_iret, "push ret_ss; push $user_stack + 8000; push ret_fl\n"
	    "push ret_cs; push ret_ip; iret");
FN(note_segs, "mov %fs, %eax; mov %gs, %ecx; mov $0x33, %edx; mov %edx, %ds\n"
	      "mov %eax, segs; mov %ecx, segs + 4; int $0x81");
FN(lret_segs, "mov $0x10, %eax; mov %eax, %fs; mov $0x33, %eax\n"
	      "mov %eax, %gs; jmp do_lret");

static const struct {
	uint16_t cs, ss;
	uint64_t bad;
	int vector;
	word error;
	const char *name;
} returns[] = {
	{SEL_UCODE, SEL_UDATA, 0, -1, 0, "to ring 3"},
	{0, SEL_UDATA, 0, 13, 0, "CS null: #GP"},
	{0xfffb, SEL_UDATA, 0, 13, 0xfff8, "CS past the GDT: #GP"},
	{SEL_UDATA, SEL_UDATA, 0, 13, SEL_UDATA & ~3, "CS of data: #GP"},
	{SEL_UCODE & ~3, SEL_UDATA, 0, 13, SEL_UCODE & ~3,
		"CS of RPL 0, DPL 3: #GP"},
	{SEL_CODE | 3, SEL_UDATA, 0, 13, SEL_CODE, "RPL 3, DPL 0: #GP"},
	{BAD | 3, SEL_UDATA, 0x00cf7b000000ffff, 11, BAD, "CS absent: #NP"},
	{BAD | 3, SEL_UDATA, 0x00cf9f000000ffff, -1, 0, "conforming, DPL 0"},
	{BAD | 1, SEL_UDATA, 0x00cfff000000ffff, 13, BAD,
		"conforming, DPL 3, RPL 1: #GP"},
	{BAD | 3, SEL_UDATA, 0x0040fb0000000fff, 13, 0,
		"EIP past the limit: #GP"},
	{SEL_UCODE, 0, 0, 13, 0, "SS null: #GP"},
	{SEL_UCODE, 0xfffb, 0, 13, 0xfff8, "SS past the GDT: #GP"},
	{SEL_UCODE, SEL_UDATA & ~3, 0, 13, SEL_UDATA & ~3, "SS of RPL 0: #GP"},
	{SEL_UCODE, SEL_DATA | 3, 0, 13, SEL_DATA, "SS of DPL 0: #GP"},
	{SEL_UCODE, SEL_UCODE, 0, 13, SEL_UCODE & ~3, "SS of code: #GP"},
	{SEL_UCODE, BAD | 3, 0x00cff1000000ffff, 13, BAD,
		"SS not writable: #GP"},
	{SEL_UCODE, BAD | 3, 0x00cf73000000ffff, 12, BAD, "SS absent: #SS"},
};

static void check_returns(void)
{
	for (unsigned k = 0; k < 2; k++) {
		print(k ? "# IRET\n" : "# RET far\n");
		ret_fl = 2;
		ret_ip = (uint32_t)note_segs;
		for (unsigned i = 0; i < sizeof(returns) / sizeof(*returns);
			i++) {
			ret_cs = returns[i].cs;
			ret_ss = returns[i].ss;
			gdt[BAD / 8] = returns[i].bad;
			ok_eq((word)guarded(k ? do_iret : do_lret),
				(word)returns[i].vector, returns[i].name);
			if (returns[i].vector > 0)
				ok_eq(fault.error, returns[i].error,
					"  error code");
		}
	}
	ret_cs = SEL_UCODE;
	ret_ss = SEL_UDATA;
	ret_ip = (uint32_t)note_segs;
	guarded(lret_segs);
	ok_eq(segs[0], 0, "a segment of ring 0 is null in ring 3");
	ok_eq(segs[1], SEL_UDATA, "one of ring 3 stays");
}

/* Which flags IRET and POPF load in which ring. */
FN(iret_flags,
	"mov $0x33, %eax; mov %eax, %ds; push $0x33; push $user_stack + 8000; push ret_fl; push $0x2b\n"
	"push $flags_there; iret");
FN(user_iret, "push ret_fl; push $0x2b; push $flags_there; iret");
FN(flags_there, "pushf; pop out_fl; int $0x81");

static void check_iret_flags(void)
{
	ret_fl = 0x3d7ed7 & ~0x100u; /* all but VM and TF */
	ok_eq((word)guarded_user(user_iret), (word)-1, "IRET of ring 3");
	ok_eq(out_fl, 0x244cd7, "loads all but IF, IOPL, VIF and VIP");
	ok_eq((word)guarded(iret_flags), (word)-1, "IRET of ring 0");
	ok_eq(out_fl, ret_fl & ~0x10000u, "loads all");
}

void test_main(void)
{
	check_bcd();
	check_enter();
	check_bound();
	check_arpl();
	check_cmpxchg8b();
	check_pointers();
	check_edges();
	check_gates();
	check_returns();
	check_iret_flags();
}

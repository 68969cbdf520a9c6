/*
 * debug.c - debug registers: breakpoints of every size, place and kind on
 * every kind of access, and what DR6 and DR7 say (SDM vol. 3, ch. 18.2, 18.3).
 */
#include "lib.h"

#define USED __attribute__((used))
#define DE   8
#define TF   0x100

#ifdef __x86_64__
#define AX "%rax"
#define SP "%rsp"
#define BP "%rbp"
#else
#define AX "%eax"
#define SP "%esp"
#define BP "%ebp"
#endif

enum { EXEC, WRITE, IO, ACCESS };

static uint8_t data[256] __attribute__((aligned(64), used));
word at USED;

static word get_dr6(void)
{
	word v;

	__asm__ volatile("mov %%dr6, %0" : "=r"(v));
	return v;
}

static word get_dr7(void)
{
	word v;

	__asm__ volatile("mov %%dr7, %0" : "=r"(v));
	return v;
}

static void set_dr6(word v)
{
	__asm__ volatile("mov %0, %%dr6" : : "r"(v));
}

static void set_dr7(word v)
{
	__asm__ volatile("mov %0, %%dr7" : : "r"(v));
}

static void set_addr(unsigned n, word v)
{
	switch (n) {
	case 0: __asm__ volatile("mov %0, %%dr0" : : "r"(v)); break;
	case 1: __asm__ volatile("mov %0, %%dr1" : : "r"(v)); break;
	case 2: __asm__ volatile("mov %0, %%dr2" : : "r"(v)); break;
	default: __asm__ volatile("mov %0, %%dr3" : : "r"(v)); break;
	}
}

/* DR7 of breakpoint n; len is the number of bytes. */
static word dr7_of(unsigned n, unsigned type, unsigned len)
{
	static const uint8_t code[] = {[1] = 0, [2] = 1, [4] = 3, [8] = 2};

	return 0x400 | 1u << (n * 2) | (word)type << (16 + n * 4) |
	       (word)code[len] << (18 + n * 4);
}

static void watch(unsigned n, word a, unsigned type, unsigned len)
{
	set_dr6(0);
	set_addr(n, a);
	set_dr7(dr7_of(n, type, len));
}

/* ---- every size at every place ---- */

FN(read_1, "mov at, " AX "; mov (" AX "), %al");
FN(read_2, "mov at, " AX "; mov (" AX "), %ax");
FN(read_4, "mov at, " AX "; mov (" AX "), %eax");
FN(write_1, "mov at, " AX "; movb $1, (" AX ")");
FN(write_2, "mov at, " AX "; movw $1, (" AX ")");
FN(write_4, "mov at, " AX "; movl $1, (" AX ")");
FN(read_16, "mov at, " AX "; movups (" AX "), %xmm0");
FN(write_16, "mov at, " AX "; movups %xmm0, (" AX ")");
#ifdef __x86_64__
FN(read_8, "mov at, %rax; mov (%rax), %rax");
FN(write_8, "mov at, %rax; movq $1, (%rax)");
#else
FN(read_8, "mov at, %eax; fildll (%eax)");
FN(write_8, "mov at, %eax; fldz; fistpll (%eax); fninit");
#endif

static const struct {
	void (*fn)(void);
	uint8_t size;
	bool write;
	const char *name;
} moves[] = {
	{read_1, 1, false, "reads of a byte"},
	{read_2, 2, false, "of a word"},
	{read_4, 4, false, "of four bytes"},
	{read_8, 8, false, "of eight"},
	{read_16, 16, false, "of sixteen"},
	{write_1, 1, true, "writes of a byte"},
	{write_2, 2, true, "of a word"},
	{write_4, 4, true, "of four bytes"},
	{write_8, 8, true, "of eight"},
	{write_16, 16, true, "of sixteen"},
};

static bool hits(unsigned m, int off, unsigned type, unsigned len)
{
	int from = off, to = off + moves[m].size;

	if (type == WRITE && !moves[m].write)
		return false;
	return from < (int)len && to > 0;
}

static void check_places(void)
{
	word mid = (word)data + 64;
	unsigned longest = sizeof(word) == 8 ? 8 : 4;

	for (unsigned m = 0; m < sizeof(moves) / sizeof(*moves); m++) {
		unsigned bad = 0;

		for (unsigned len = 1; len <= longest; len *= 2)
			for (int n = -20; n < 20; n++) {
				unsigned type = n & 1 ? WRITE : ACCESS;
				bool want = hits(m, n, type, len);

				at = mid + n;
				watch(len & 3, mid, type, len);
				bad += guarded(moves[m].fn) != (want ? 1 : -1);
				bad += (get_dr6() & 15) !=
				       (want ? 1u << (len & 3) : 0);
				set_dr7(0x400);
			}
		ok_eq(bad, 0, moves[m].name);
	}
	/* The address is rounded down to the length. */
	at = mid;
	watch(0, mid + 3, ACCESS, 4);
	ok_eq((word)guarded(read_1), 1, "an address is aligned to its length");
	set_dr7(0x400);
}

/* ---- every kind of access ---- */

static uint8_t pile[4096] __attribute__((aligned(16), used)); /* a stack */

#define ACC(name, setup, code)                                                 \
	FN(acc_##name, setup "\n" code "\nacc_" #name "_end: nop");            \
	extern char acc_##name##_end[]

ACC(add_mem, "", "addl $1, data");
ACC(cmp_mem, "", "cmpl $1, data");
ACC(test_mem, "", "testl $1, data");
ACC(inc, "", "incl data");
ACC(xchg, "", "xchg %eax, data");
ACC(lock, "", "lock; addl $1, data");
ACC(xadd, "", "lock; xadd %eax, data");
ACC(cmpxchg, "mov $0x1234567, %eax", "lock; cmpxchg %ecx, data");
ACC(cmpxchg8b, "mov $0x1234567, %eax; xor %edx, %edx", "cmpxchg8b data");
ACC(movzx, "", "movzbl data, %eax");
ACC(bt, "", "btl $3, data");
ACC(bts_far, "mov $-25, %eax", "bts %eax, data + 4");
ACC(push, "mov $pile + 2064, %esp", "1: push " AX);
ACC(push_mem, "", "push data");
ACC(pop_mem, "push $0", "pop data");
ACC(pop, "mov $pile + 2048, %esp", "pop " AX);
ACC(call, "mov $pile + 2064, %esp", "call 1f; 1:");
ACC(call_mem, "", "call *data");
ACC(jmp_mem, "", "jmp *data");
ACC(ret, "mov $pile + 2048, %esp", "ret");
ACC(movsb_from, "cld; mov $data, %esi; mov $data + 100, %edi", "movsb");
ACC(movsb_to, "cld; mov $data + 100, %esi; mov $data, %edi", "movsb");
ACC(stosd, "cld; mov $data, %edi", "stosl");
ACC(lodsd, "cld; mov $data, %esi", "lodsl");
ACC(cmpsb, "cld; mov $data, %esi; mov $data, %edi", "cmpsb");
ACC(scasb, "cld; mov $data, %edi", "scasb");
ACC(xlat, "mov $data, %ebx; xor %eax, %eax", "xlat");
ACC(fld, "fninit", "fldl data");
ACC(fst, "fninit; fldz", "fstps data");
ACC(fnstsw, "", "fnstsw data");
ACC(addps, "", "addps data, %xmm0");
ACC(addss, "", "addss data, %xmm0");
ACC(paddb, "", "paddb data, %mm0");
ACC(stmxcsr, "", "stmxcsr data");
ACC(mov_to_ds, "", "mov data, %ds");
ACC(mov_from_ds, "", "mov %ds, data");
ACC(sgdt, "", "sgdt data");
ACC(div, "xor %edx, %edx", "divl data");
ACC(imul, "", "imul data, %eax");
ACC(shl, "", "shll $1, data");
ACC(not, "", "notl data");
ACC(setcc, "", "setz data");
ACC(cmov, "cmp %eax, %eax", "cmovne data, %eax");
ACC(enter, "mov $pile + 2064, %esp", "enter $0, $0");
ACC(leave, "mov $pile + 2048, %ebp", "leave");
ACC(movnti, "", "movnti %eax, data");
ACC(smsw, "", "smsw data");
ACC(str, "", "str data");
ACC(verr, "", "verr data");
ACC(crc32, "", "crc32l data, %eax");

/* What is at data: where the instruction ends, or a value. */
#define A(name, type)                                                          \
	{                                                                      \
		acc_##name, acc_##name##_end, type, 0, #name                   \
	}
#define V(name, type, v)                                                       \
	{                                                                      \
		acc_##name, acc_##name##_end, type, v, #name                   \
	}

static const struct {
	void (*fn)(void);
	char *end;
	uint8_t type; /* the least that hits */
	uint32_t value;
	const char *name;
} kinds[] = {
	A(add_mem, WRITE),
	A(cmp_mem, ACCESS),
	A(test_mem, ACCESS),
	A(inc, WRITE),
	A(xchg, WRITE),
	A(lock, WRITE),
	A(xadd, WRITE),
	V(cmpxchg, WRITE, 0x1234567),
	V(cmpxchg8b, WRITE, 0x1234567),
	A(movzx, ACCESS),
	A(bt, ACCESS),
	A(bts_far, WRITE),
	A(push_mem, ACCESS),
	A(pop_mem, WRITE),
	A(call_mem, ACCESS),
	A(jmp_mem, ACCESS),
	A(movsb_from, ACCESS),
	A(movsb_to, WRITE),
	A(stosd, WRITE),
	A(lodsd, ACCESS),
	A(cmpsb, ACCESS),
	A(scasb, ACCESS),
	A(xlat, ACCESS),
	A(fld, ACCESS),
	A(fst, WRITE),
	A(fnstsw, WRITE),
	A(addps, ACCESS),
	A(addss, ACCESS),
	A(paddb, ACCESS),
	A(stmxcsr, WRITE),
	V(mov_to_ds, ACCESS, SEL_DATA),
	A(mov_from_ds, WRITE),
	A(sgdt, WRITE),
	A(div, ACCESS),
	A(imul, ACCESS),
	A(shl, WRITE),
	A(not, WRITE),
	A(setcc, WRITE),
	A(cmov, ACCESS),
	A(movnti, WRITE),
	A(smsw, WRITE),
	A(str, WRITE),
	A(verr, ACCESS),
	A(crc32, ACCESS),
};

static void check_kinds(void)
{
	print("# what reads or writes\n");
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		bool w = kinds[i].type == WRITE, good;
		word v = kinds[i].value;

		*(volatile word *)(data + 4) = 0;
		*(volatile word *)data = v ? v : (word)kinds[i].end;
		watch(1, (word)data, WRITE, 1);
		good = guarded(kinds[i].fn) == (w ? 1 : -1);
		set_dr7(0x400);
		if (w)
			good &= fault.rip == (word)kinds[i].end;
		*(volatile word *)data = v ? v : (word)kinds[i].end;
		watch(1, (word)data, ACCESS, 1);
		good &= guarded(kinds[i].fn) == 1;
		good &= fault.rip == (word)kinds[i].end;
		good &= (get_dr6() & 0xf) == 2;
		set_dr7(0x400);
		ok(good, kinds[i].name);
	}
}

/* In ring 3, for the handler to have a stack of its own. */
static void check_stack(void)
{
	static const struct {
		void (*fn)(void);
		char *end;
		int off;
		const char *name;
	} list[] = {
		{acc_push, acc_push_end, 16 - (int)sizeof(word), "push"},
		{acc_pop, acc_pop_end, 0, "pop"},
		{acc_call, acc_call_end, 16 - (int)sizeof(word), "call"},
		{acc_enter, acc_enter_end, 16 - (int)sizeof(word), "enter"},
		{acc_ret, acc_ret_end, 0, "ret"},
		{acc_leave, acc_leave_end, 0, "leave"},
	};

	for (unsigned i = 0; i < sizeof(list) / sizeof(*list); i++) {
		word a = (word)pile + 2048;

		*(volatile word *)a = (word)list[i].end;
		watch(2, a + list[i].off, ACCESS, 1);
		ok_eq((word)guarded_user(list[i].fn), 1, list[i].name);
		ok_eq(fault.rip, (word)list[i].end, "  behind it");
		set_dr7(0x400);
	}
}

/* ---- REP, and what MOV SS holds back ---- */

FN(rep_movs, "cld; mov $data + 128, %esi; mov $data, %edi; mov $8, %ecx\n"
	     "rep_at: rep movsb");
FN(rep_last, "cld; mov $data + 128, %esi; mov $data, %edi; mov $4, %ecx\n"
	     "rep movsb\nrep_last_end: nop");
FN(mov_ss_bp, "mov %ss, %eax; mov %eax, %ss\nmov_ss_bp_at: nop; nop");
FN(late_bp, "mov %ss, %eax; mov %eax, %ss; nop\n"
	    "mov $0x402, %eax; mov " AX ", %dr7\nlate_bp_at: nop; nop");
FN(sti_bp, "sti\nsti_bp_at: nop; cli");
extern char rep_at[], rep_last_end[], mov_ss_bp_at[], sti_bp_at[], late_bp_at[];
uint16_t ss_word USED;

static void check_held(void)
{
	watch(0, (word)data + 4, WRITE, 1);
	ok_eq((word)guarded(rep_movs), 1, "REP MOVSB");
	ok_eq(fault.rip, (word)rep_at, "traps behind the turn that hit");
	watch(0, (word)data + 3, WRITE, 1);
	ok_eq((word)guarded(rep_last), 1, "in the last one");
	ok_eq(fault.rip, (word)rep_last_end, "behind the instruction");
	set_dr7(0x400);
}

FN(only_mov_ss, "mov ss_word, %ss; nop\nonly_mov_ss_end: nop");
FN(only_icebp, "mov ss_word, %ss; .byte 0xf1\nonly_icebp_end: nop");
extern char only_mov_ss_end[], only_icebp_end[];

static void check_mov_ss(void)
{
	__asm__ volatile("mov %%ss, %0" : "=m"(ss_word));
	watch(3, (word)&ss_word, ACCESS, 2);
	ok_eq((word)guarded(only_mov_ss), 1, "MOV SS from a watched word");
	ok_eq(fault.rip, (word)only_mov_ss_end, "traps one later");
	ok_eq(get_dr6() & 15, 8, "with its breakpoint");
	watch(3, (word)&ss_word, ACCESS, 2);
	ok_eq((word)guarded(only_icebp), 1, "ICEBP behind it");
	ok_eq(fault.rip, (word)only_icebp_end, "is one #DB");
	ok_eq(get_dr6() & 15, 8, "with its breakpoint");
	set_dr7(0x400);
	set_dr6(0);
	set_addr(0, (word)mov_ss_bp_at);
	set_dr7(0x402);
	ok_eq((word)guarded(mov_ss_bp), (word)-1,
		"a breakpoint behind MOV SS is missed");
	set_addr(0, (word)sti_bp_at);
	ok_eq((word)guarded(sti_bp), 1, "behind STI it is not");
	set_dr7(0x400);
	set_addr(0, (word)late_bp_at);
	ok_eq((word)guarded(late_bp), 1, "nor one that is enabled later");
	set_dr7(0x400);
}

/* ---- instruction breakpoints ---- */

FN(code_4, "code_0: nop\ncode_1: nop\ncode_2: nop\ncode_3: nop");
extern char code_0[], code_1[], code_2[], code_3[];
static unsigned count, dr6s[8];

static void on_code(struct frame *f)
{
	if (count < 8)
		dr6s[count] = (unsigned)(get_dr6() & 0xe00f);
	count++;
	f->flags |= 1 << 16;
}

static void check_code(void)
{
	word dr7 = 0x4aa;

	set_addr(0, (word)code_0);
	set_addr(1, (word)code_1);
	set_addr(2, (word)code_2);
	set_addr(3, (word)code_2);
	set_dr6(0);
	count = 0;
	on_vector(1, on_code);
	set_dr7(dr7);
	guarded(code_4);
	set_dr7(0x400);
	ok_eq(count, 3, "three breakpoints of code");
	ok_eq(dr6s[0], 1, "the first");
	ok_eq(dr6s[1], 2, "the second, the other's bit is cleared");
	ok_eq(dr6s[2], 12, "two at one place");
	count = 0;
	set_dr7(0x400);
	guarded(code_4);
	ok_eq(count, 0, "none enabled: none");
	/* by L or by G */
	set_dr7(0x401);
	guarded(code_4);
	ok_eq(count, 1, "enabled by L");
	set_dr7(0x400);
	on_vector(1, NULL);
}

/* ---- I/O breakpoints ---- */

FN(in_1, "mov at, %edx; in %dx, %al");
FN(in_2, "mov at, %edx; in %dx, %ax");
FN(in_4, "mov at, %edx; in %dx, %eax");
FN(out_1, "mov at, %edx; xor %eax, %eax; out %al, %dx");
FN(out_imm, "xor %eax, %eax; out %al, $0x84");
FN(ins, "mov at, %edx; mov $data, %edi; insb");
FN(outs, "mov at, %edx; mov $data, %esi; outsb");
FN(rep_outs, "mov at, %edx; mov $data, %esi; mov $3, %ecx\n"
	     "rep_outs_at: rep outsb");
extern char rep_outs_at[];

static void check_io(void)
{
	static void (*const fn[])(void) = {in_1, in_2, in_4, out_1, ins, outs};
	static const uint8_t size[] = {1, 2, 4, 1, 1, 1};
	unsigned bad = 0;

	write_cr4(read_cr4() | DE);
	for (unsigned i = 0; i < sizeof(fn) / sizeof(*fn); i++)
		for (unsigned len = 1; len <= 4; len *= 2)
			for (int n = -5; n < 5; n++) {
				bool want = n < (int)len && n + size[i] > 0;

				watch(0, 0x2f8, IO, len);
				at = 0x2f8 + (word)n;
				bad += guarded(fn[i]) != (want ? 1 : -1);
				set_dr7(0x400);
			}
	ok_eq(bad, 0, "I/O breakpoints: each length at each place");
	watch(2, 0x84, IO, 1);
	ok_eq((word)guarded(out_imm), 1, "of OUT to an immediate port");
	ok_eq(get_dr6() & 15, 4, "with its bit");
	watch(0, 0x2f8, IO, 1);
	at = 0x2f8;
	ok_eq((word)guarded(rep_outs), 1, "REP OUTSB");
	ok_eq(fault.rip, (word)rep_outs_at, "traps behind the first turn");
	at = 0x84;
	watch(0, 0x84, ACCESS, 1);
	ok_eq((word)guarded(in_1), (word)-1, "a data breakpoint is none of IN");
	set_dr7(0x400);
	write_cr4(read_cr4() & ~(word)DE);
}

/* ---- the registers themselves ---- */

FN(read_dr4, "mov %db4, " AX "; mov " AX ", at");
FN(write_dr5, "mov at, " AX "; mov " AX ", %db5");
FN(write_dr7, "mov at, " AX "; mov " AX ", %db7");
FN(write_dr6, "mov at, " AX "; mov " AX ", %db6");
FN(read_dr7, "mov %db7, " AX);
FN(icebp, ".byte 0xf1\nicebp_end: nop");
FN(step, "pushf; orl $0x100, (" SP "); popf; nop");
FN(step_watch, "pushf; orl $0x100, (" SP "); popf; movl $1, data");
extern char icebp_end[];

static void check_registers(void)
{
	unsigned bad = 0;

	for (unsigned n = 0; n < 4; n++)
		set_addr(n, (word)0x123456789abcdef0ull + n);
	set_dr6(0);
	ok_eq(get_dr6(), 0xffff0ff0, "DR6: reserved bits are ones");
	set_dr6(0xffffffff);
	ok_eq(get_dr6(), 0xffffefff, "all that can be set, but bit 12");
	set_dr6(0);
	set_dr7(0);
	ok_eq(get_dr7(), 0x400, "DR7: bit 10 is one");
	set_dr7(0xd800);
	ok_eq(get_dr7(), 0x400, "15, 14, 12 and 11 are zero");
	set_dr7(0x300);
	ok_eq(get_dr7(), 0x700, "LE and GE are kept");
	set_dr7(0x400);
	write_cr4(read_cr4() & ~(word)DE);
	set_dr6(5);
	ok_eq((word)guarded(read_dr4), (word)-1, "DR4 is DR6");
	ok_eq(at, 0xffff0ff5, "as it reads");
	at = 0x700;
	ok_eq((word)guarded(write_dr5), (word)-1, "DR5 is DR7");
	ok_eq(get_dr7(), 0x700, "as it writes");
	set_dr7(0x400);
	write_cr4(read_cr4() | DE);
	ok_eq((word)guarded(read_dr4), 6, "with CR4.DE DR4 is #UD");
	ok_eq((word)guarded(write_dr5), 6, "so is DR5");
	ok_eq((word)guarded_user(read_dr4), 13, "in ring 3 #GP comes first");
	write_cr4(read_cr4() & ~(word)DE);
	ok_eq((word)guarded_user(read_dr7), 13, "DR7 in ring 3 is #GP");
	for (unsigned b = 32; b < sizeof(word) * 8; b++) {
		at = (word)1 << b;
		bad += guarded(write_dr7) != 13;
		bad += guarded(write_dr6) != 13;
	}
	ok_eq(bad, 0, "their upper halves are #GP");
}

static void check_dr6(void)
{
	set_dr6(0);
	ok_eq((word)guarded(icebp), 1, "ICEBP");
	ok_eq(fault.rip, (word)icebp_end, "traps");
	ok_eq(get_dr6(), 0xffff0ff0, "and sets nothing in DR6");
	ok_eq((word)guarded(step), 1, "a step");
	ok_eq(get_dr6(), 0xffff4ff0, "sets BS");
	watch(0, (word)data, WRITE, 4);
	set_dr6(0x400f);
	ok_eq((word)guarded(step_watch), 1, "a step over a watched write");
	set_dr7(0x400);
	ok_eq(get_dr6() & 0x4001, 0x4001, "sets both");
	ok_eq((word)guarded(icebp), 1, "ICEBP");
	ok_eq(get_dr6() & 0x4000, 0x4000, "leaves BS");
	set_dr6(0);
	set_dr7(0x2400);
	ok_eq((word)guarded(read_dr7), 1, "GD: reading DR7 is #DB");
	ok_eq(get_dr6(), 0xffff2ff0, "sets BD");
	ok_eq(get_dr7(), 0x400, "and GD is clear");
	set_dr7(0x2400);
	ok_eq((word)guarded(read_dr4), 1, "so is DR4");
	set_dr7(0x2400);
	ok_eq((word)guarded(icebp), 1, "any #DB");
	ok_eq(get_dr7(), 0x400, "clears GD");
}

void test_main(void)
{
	write_cr0(read_cr0() & ~(word)0xc);
	write_cr4(read_cr4() | 0x600);
	__asm__ volatile("fninit");
	check_places();
	check_kinds();
	check_stack();
	check_held();
	check_mov_ss();
	check_code();
	check_io();
	check_registers();
	check_dr6();
}

/*
 * real.c - real mode as DOS, OS/2 and Windows 9x know it (SDM vol. 3, ch. 20;
 * vol. 2 for the instructions), unreal mode and both A20 gates.
 */
#include <stdbool.h>
#include <stdint.h>

int guarded(void (*fn)(void));
void real_main(void);

extern uint8_t stubs16[32][8];
extern uint16_t fault_ip, fault_cs, fault_flags, fault_sp;

static unsigned ntests, nfailed;

static inline void outb(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static void print(const char *s)
{
	while (*s)
		outb(0xe9, (uint8_t)*s++);
}

static void print_number(uint32_t n, unsigned base)
{
	if (n >= base)
		print_number(n / base, base);
	outb(0xe9, (uint8_t) "0123456789abcdef"[n % base]);
}

static void ok_eq(uint32_t got, uint32_t want, const char *name)
{
	ntests++;
	nfailed += got != want;
	print(got == want ? "ok " : "not ok ");
	print_number(ntests, 10);
	print(" ");
	print(name);
	if (got != want) {
		print("\n# got 0x");
		print_number(got, 16);
		print(", want 0x");
		print_number(want, 16);
	}
	print("\n");
}

static void ok(bool cond, const char *name)
{
	ok_eq(cond, true, name);
}

/* Functions end by returning or by an exception. */
#define FN(name, code)                                                         \
	void name(void);                                                       \
	__asm__(".code16\n.globl " #name "\n" #name ":\n" code                 \
		"\nretl\n.code16gcc\n")

static uint32_t out[8] __attribute__((used));

static void set_vector(unsigned v, void *to)
{
	uint16_t *p = (uint16_t *)(uintptr_t)(v * 4);

	__asm__ volatile("" : "+r"(p));
	p[0] = (uint16_t)(uintptr_t)to;
	p[1] = 0;
}

static void expect(void (*fn)(void), int vector, const char *name)
{
	ok_eq((uint32_t)guarded(fn), (uint32_t)vector, name);
}

/* ---- stack ---- */

FN(push_sp, "mov %sp, %ax; push %sp; pop %bx; mov %ax, out; mov %bx, out + 4");
FN(pusha_sp, "mov %sp, %ax; mov %ax, out; pusha; mov %sp, %bp\n"
	     "mov 6(%bp), %bx; mov %bx, out + 4; popa");
FN(bp_at_ffff, "mov $0xffff, %bp; mov (%bp), %ax");
FN(push_top, "mov %esp, %ecx; movw $0x55aa, 0xfffe; xor %esp, %esp\n"
	     "pushw $0x1234; mov %sp, out; mov %ecx, %esp\n"
	     "mov 0xfffe, %ax; mov %ax, out + 4");
FN(enter_2, "mov %esp, %ecx; mov %ebp, %edx; movw $0x7000, %bp\n"
	    "mov %sp, %bx; enter $8, $2\n"
	    "sub %sp, %bx; mov %bx, out; mov %edx, %ebp; mov %ecx, %esp");
FN(popf_all, "push $0xfcff; popf; pushf; pop %ax; mov %ax, out; push $2; popf\n"
	     "pushf; pop %ax; mov %ax, out + 4");

static void check_stack(void)
{
	expect(push_sp, -1, "PUSH SP");
	ok_eq((uint16_t)out[1], (uint16_t)out[0], "pushes SP as it was");
	expect(pusha_sp, -1, "PUSHA");
	ok_eq((uint16_t)out[1], (uint16_t)out[0], "pushes SP as it was");
	expect(push_top, -1, "PUSH with SP 0");
	ok_eq((uint16_t)out[0], 0xfffe, "wraps SP");
	ok_eq((uint16_t)out[1], 0x1234, "to the top of the segment");
	expect(enter_2, -1, "ENTER 8, 2");
	ok_eq((uint16_t)out[0], 2 + 2 * 2 + 8, "takes frame, display and room");
	expect(popf_all, -1, "POPF of all but TF and IF");
	ok_eq((uint16_t)out[0], 0x7cd7, "IOPL and NT can be set, bit 15 not");
	ok_eq((uint16_t)out[1], 0x0002, "and cleared");
}

/* ---- limits and wraps ---- */

FN(word_at_ffff, "mov $0xffff, %bx; mov (%bx), %ax");
FN(dword_at_fffe, "mov $0xfffe, %bx; mov (%bx), %eax");
FN(byte_at_ffff, "mov $0xffff, %bx; mov (%bx), %al");
FN(above_64k, "mov $0x10000, %ebx; mov (%ebx), %al");
FN(sum_wraps, "mov $0xfff0, %bx; mov $0x20, %si; movb $0x5a, 0x7000\n"
	      "mov 0x6ff0(%bx, %si), %al; movzbl %al, %eax; mov %eax, out");
FN(lea_wraps, "mov $0xfff0, %bx; mov $0x20, %si; lea (%bx, %si), %eax\n"
	      "mov %eax, out");
FN(si_wraps, "mov $0xffff, %esi; lodsb; mov %esi, out");
FN(si_keeps, "mov $0x1ffff, %esi; lodsb; mov %esi, out");
FN(rep_wraps, "mov $0x12340003, %ecx; mov $0xfffe, %di; xor %ax, %ax\n"
	      "mov $0x5000, %dx; mov %dx, %es; rep stosb; mov %edi, %eax\n"
	      "movzwl %ax, %eax; mov %eax, out; mov %ecx, out + 4");
FN(rep_word_wraps, "mov $3, %cx; mov $0xfffd, %di; xor %ax, %ax\n"
		   "mov $0x5000, %dx; mov %dx, %es; rep stosw");
FN(jump_above, "mov $0x20000, %eax; jmp *%eax");
FN(loop_ecx, "mov $0x10001, %ecx; mov $0, %eax\n"
	     "1: inc %eax; cmp $10, %eax; je 2f; addr32 loop 1b\n"
	     "2: mov %eax, out; mov $0x10001, %ecx; xor %eax, %eax\n"
	     "1: inc %eax; cmp $10, %eax; je 2f; loop 1b\n"
	     "2: mov %eax, out + 4; mov %ecx, out + 8");
FN(fetch_wraps, "mov $0x2000, %ax; mov %ax, %es\n"
		"movw $0x9090, %es:0xfffd; movb $0xb8, %es:0xffff\n"
		"ljmp $0x2000, $0xfffd");

static void check_wraps(void)
{
	expect(word_at_ffff, 13, "a word at FFFFh is #GP");
	expect(dword_at_fffe, 13, "a doubleword at FFFEh is #GP");
	expect(byte_at_ffff, -1, "a byte at FFFFh is there");
	expect(above_64k, 13, "beyond 64 KiB is #GP");
	expect(bp_at_ffff, 12, "through BP it is #SS");
	expect(sum_wraps, -1, "16-bit addresses");
	ok_eq(out[0], 0x5a, "wrap at 64 KiB");
	expect(lea_wraps, -1, "LEA");
	ok_eq(out[0], 0x10, "wraps too");
	expect(si_wraps, -1, "LODSB at FFFFh");
	ok_eq(out[0], 0, "wraps SI");
	expect(si_keeps, -1, "LODSB");
	ok_eq(out[0], 0x10000, "keeps the upper half of ESI");
	expect(rep_wraps, -1, "REP STOSB over the end");
	ok_eq(out[0], 1, "wraps DI");
	ok_eq(out[1], 0x12340000, "and counts in CX only");
	expect(rep_word_wraps, 13, "REP STOSW at FFFFh is #GP");
	expect(jump_above, 13, "a jump beyond 64 KiB is #GP");
	expect(loop_ecx, -1, "LOOP");
	ok_eq(out[0], 10, "counts in ECX with a prefix");
	ok_eq(out[1], 1, "and in CX without");
	ok_eq(out[2], 0x10000, "  whose upper half stays");
	expect(fetch_wraps, 13, "an instruction over FFFFh is #GP");
	ok_eq(fault_ip, 0xffff, "  at it");
}

/* ---- exceptions and interrupts ---- */

FN(div_0, "xor %cl, %cl; div_0_at: div %cl");
FN(aam_0, "aam_0_at: .byte 0xd4, 0");
FN(bound_out, "movl $0x00050001, out; mov $6, %ax; bound %ax, out");
FN(bound_in, "movl $0x00050001, out; mov $5, %ax; bound %ax, out");
FN(into_set, "mov $0x7f, %al; inc %al; into");
FN(into_clear, "xor %al, %al; into");
FN(int_3, "int3; int_3_end:");
FN(icebp, ".byte 0xf1; icebp_end:");
FN(ud2_real, "ud2");
FN(hole, "mov $0, %al; lidt small_idt; int $0x80");
FN(mov_cs, ".byte 0x8e, 0xc8");
FN(lock_nop, ".byte 0xf0; nop");
FN(lock_mov, ".byte 0xf0; movb %al, out");
FN(lock_cmp, ".byte 0xf0; cmpb %al, out");
FN(lock_inc, ".byte 0xf0; incb out");
FN(lock_bt, ".byte 0xf0; btw %ax, out");
FN(too_long, ".rept 15; .byte 0x2e; .endr; nop");
FN(long_enough, ".rept 14; .byte 0x2e; .endr; nop");
FN(lea_reg, ".byte 0x8d, 0xc0");
FN(les_reg, ".byte 0xc4, 0xc0");
FN(loadall_286, ".byte 0x0f, 0x05");
FN(loadall_386, ".byte 0x0f, 0x07");
FN(umov, ".byte 0x0f, 0x10, 0xc0");
FN(sldt_real, "sldt %ax");
FN(str_real, "str %ax");
FN(lar_real, "lar %ax, %ax");
FN(lsl_real, "lsl %ax, %ax");
FN(verr_real, "verr %ax");
FN(lldt_real, "lldt %ax");
FN(ltr_real, "ltr %ax");
FN(arpl_real, ".byte 0x63, 0xc0");
FN(smsw_real, "smsw %eax; mov %eax, out");
FN(sysenter_real, "sysenter");
FN(fwait_em, "smsw %ax; or $4, %al; lmsw %ax; fninit");

extern char div_0_at[], aam_0_at[], int_3_end[], icebp_end[];
struct {
	uint16_t limit;
	uint32_t base;
} __attribute__((packed)) small_idt = {0x7f, 0}, full_idt = {0x3ff, 0};

static const struct {
	void (*fn)(void);
	int vector;
	const char *name;
} traps[] = {
	{bound_out, 5, "BOUND outside is #BR"},
	{bound_in, -1, "BOUND inside is none"},
	{into_set, 4, "INTO with OF is #OF"},
	{into_clear, -1, "INTO without is none"},
	{ud2_real, 6, "UD2 is #UD"},
	{mov_cs, 6, "MOV to CS is #UD"},
	{lock_nop, 6, "LOCK NOP is #UD"},
	{lock_mov, 6, "LOCK MOV is #UD"},
	{lock_cmp, 6, "LOCK CMP is #UD"},
	{lock_inc, -1, "LOCK INC is fine"},
	{lock_bt, 6, "LOCK BT is #UD"},
	{too_long, 13, "16 bytes are #GP"},
	{long_enough, -1, "15 bytes are fine"},
	{lea_reg, 6, "LEA of a register is #UD"},
	{les_reg, 6, "LES of a register is #UD"},
	{loadall_286, 6, "0F 05 (LOADALL) is #UD"},
	{loadall_386, 6, "0F 07 (LOADALL) is #UD"},
	{sldt_real, 6, "SLDT is #UD"},
	{str_real, 6, "STR is #UD"},
	{lar_real, 6, "LAR is #UD"},
	{lsl_real, 6, "LSL is #UD"},
	{verr_real, 6, "VERR is #UD"},
	{lldt_real, 6, "LLDT is #UD"},
	{ltr_real, 6, "LTR is #UD"},
	{arpl_real, 6, "ARPL is #UD"},
	{sysenter_real, 13, "SYSENTER is #GP"},
};

static void check_traps(void)
{
	for (unsigned i = 0; i < sizeof(traps) / sizeof(*traps); i++)
		expect(traps[i].fn, traps[i].vector, traps[i].name);
	expect(div_0, 0, "DIV by 0 is #DE");
	ok_eq(fault_ip, (uint16_t)(uintptr_t)div_0_at, "at the instruction");
	expect(aam_0, 0, "AAM 0 is #DE");
	ok_eq(fault_ip, (uint16_t)(uintptr_t)aam_0_at, "at the instruction");
	expect(int_3, 3, "INT3 is #BP");
	ok_eq(fault_ip, (uint16_t)(uintptr_t)int_3_end, "behind it");
	expect(icebp, 1, "ICEBP is #DB");
	ok_eq(fault_ip, (uint16_t)(uintptr_t)icebp_end, "behind it");
	expect(hole, 13, "INT past the IDT's limit is #GP");
	__asm__ volatile("lidt full_idt");
	expect(smsw_real, -1, "SMSW");
	ok_eq(out[0] & 1, 0, "shows real mode");
	expect(fwait_em, 7, "x87 with EM is #NM");
	__asm__ volatile("clts; mov %%cr0, %%eax; and $~4, %%al; "
			 "mov %%eax, %%cr0"
			 :
			 :
			 : "eax");
}

FN(step_nop, "pushf; pop %ax; or $0x100, %ax; push %ax; popf; nop; step_end:");
FN(step_ss, "pushf; pop %ax; or $0x100, %ax; xor %bx, %bx; push %ax; popf\n"
	    "mov %bx, %ss; nop; step_ss_end: nop");
FN(int_flags, "sti; int $0x20");
FN(sti_shadow, "cli; int $0x20");
extern char step_end[], step_ss_end[];

static void check_step(void)
{
	expect(step_nop, 1, "TF traps");
	ok_eq(fault_ip, (uint16_t)(uintptr_t)step_end,
		"behind one instruction");
	ok_eq(fault_flags & 0x100, 0x100, "TF is in the saved flags");
	expect(step_ss, 1, "TF at MOV SS");
	ok_eq(fault_ip, (uint16_t)(uintptr_t)step_ss_end,
		"waits for the instruction behind it");
}

/* ---- arithmetic oddities ---- */

FN(aam_7, "mov $50, %al; .byte 0xd4, 7; movzwl %ax, %eax; mov %eax, out");
FN(aad_7, "mov $0x0301, %ax; .byte 0xd5, 7; movzwl %ax, %eax; mov %eax, out");
FN(daa_9a, "mov $0x9a, %al; clc; sub %ah, %ah; daa; lahf\n"
	   "movzwl %ax, %eax; mov %eax, out");
FN(salc, "stc; .byte 0xd6; movzbl %al, %eax; mov %eax, out\n"
	 "clc; .byte 0xd6; movzbl %al, %eax; mov %eax, out + 4");
FN(shl_33, "mov $1, %eax; mov $33, %cl; shl %cl, %eax; mov %eax, out\n"
	   "mov $0x8001, %ax; mov $17, %cl; shl %cl, %ax; movzwl %ax, %eax\n"
	   "mov %eax, out + 4; stc; mov $32, %cl; shl %cl, %ax; setc %al\n"
	   "movzbl %al, %eax; mov %eax, out + 8");
FN(sal_alias, "mov $3, %al; .byte 0xc0, 0xf0, 2; movzbl %al, %eax\n"
	      "mov %eax, out");
FN(test_alias, "mov $5, %al; .byte 0xf6, 0xc8, 4; setz %al; movzbl %al, %eax\n"
	       "mov %eax, out");
FN(rcl_9, "stc; mov $0x81, %al; mov $9, %cl; rcl %cl, %al; movzbl %al, %eax\n"
	  "mov %eax, out");
FN(sahf_all, "mov $0xff, %ah; sahf; lahf; movzbl %ah, %eax; mov %eax, out\n"
	     "xor %ah, %ah; sahf; lahf; movzbl %ah, %eax; mov %eax, out + 4");
FN(imul_flags, "mov $0x80, %al; mov $2, %bl; imul %bl; seto %bl\n"
	       "movzwl %ax, %eax; mov %eax, out; movzbl %bl, %ebx\n"
	       "mov %ebx, out + 4");
FN(xlat_seg, "mov $0x3000, %ax; mov %ax, %es; movb $0x77, %es:0x105\n"
	     "mov $0x100, %bx; mov $5, %al; xlat %es:(%bx)\n"
	     "movzbl %al, %eax; mov %eax, out");
FN(x87_alias, "fninit; fld1; fldz; .byte 0xdd, 0xc8\n"	     /* FXCH4 ST(0) */
	      ".byte 0xdd, 0xc9\n"			     /* FXCH4 ST(1) */
	      ".byte 0xdc, 0xd1; fnstsw %ax; mov %ax, out\n" /* FCOM2 */
	      ".byte 0xdf, 0xc0\n"			     /* FFREEP */
	      "fnstsw %ax; mov %ax, out + 4\n"
	      ".byte 0xd9, 0xd8; fnstsw %ax; mov %ax, out + 8"); /* FSTP1 */
FN(cmpxchg_old, "mov $7, %al; movb $7, out; mov $9, %bl; cmpxchg %bl, out\n");

static void check_arithmetic(void)
{
	expect(aam_7, -1, "AAM 7");
	ok_eq(out[0], 0x0701, "divides by 7");
	expect(aad_7, -1, "AAD 7");
	ok_eq(out[0], 22, "multiplies by 7");
	expect(daa_9a, -1, "DAA of 9Ah");
	ok_eq(out[0] & 0x11ff, 0x1100, "is 00h with CF and AF");
	expect(salc, -1, "SALC");
	ok_eq(out[0], 0xff, "is FFh with CF");
	ok_eq(out[1], 0, "and 0 without");
	expect(shl_33, -1, "SHL by 33");
	ok_eq(out[0], 2, "is by 1");
	ok_eq(out[1], 0, "17 of 16 bits leave nothing");
	ok_eq(out[2], 1, "32 change no flag");
	expect(sal_alias, -1, "group 2, /6");
	ok_eq(out[0], 12, "is SHL");
	expect(test_alias, -1, "group 3, /1");
	ok_eq(out[0], 0, "is TEST");
	expect(rcl_9, -1, "RCL by 9");
	ok_eq(out[0], 0x81, "is a full turn of 8 bits and CF");
	expect(sahf_all, -1, "SAHF");
	ok_eq(out[0], 0xd7, "sets what there is");
	ok_eq(out[1], 0x02, "and bit 1 stays");
	expect(imul_flags, -1, "IMUL");
	ok_eq(out[0], 0xff00, "-128 * 2");
	ok_eq(out[1], 1, "overflows AL");
	expect(xlat_seg, -1, "XLAT");
	ok_eq(out[0], 0x77, "obeys a segment prefix");
	expect(x87_alias, -1, "aliases of x87 instructions");
	ok_eq(out[0] & 0x4700, 0, "FCOM2: 1 > 0");
	ok_eq(out[1] >> 11 & 7, 7, "FFREEP pops");
	ok_eq(out[2] >> 11 & 7, 0, "FSTP1 pops");
}

/* ---- images of the x87 environment (SDM vol. 1, figures 8-11, 8-12) ---- */

uint16_t x87_cw = 0x37b, env16[7];
uint32_t x87_zero, env32[7];
static uint8_t x87_area[108] __attribute__((used));
FN(x87_env16, "fninit; fldcw x87_cw; fld1; x87_at: fdivs x87_zero\n"
	      "fnstenv env16; fninit");
FN(x87_env32, "fninit; fldcw x87_cw; fld1; x87_at2: fdivs x87_zero\n"
	      ".byte 0x66; fnstenv env32; fninit");
FN(x87_back, "fninit; fldz; fld1; fnsave x87_area; fnstsw %ax; mov %ax, out\n"
	     "frstor x87_area; fnstsw %ax; mov %ax, out + 4; fnstenv env16");
FN(x87_mf, "mov %cr0, %eax; or $0x20, %al; mov %eax, %cr0; fninit\n"
	   "fldcw x87_cw; fld1; fdivs x87_zero; x87_mf_at: fwait");
FN(x87_off, "fninit; mov %cr0, %eax; and $~0x20, %al; mov %eax, %cr0");
extern char x87_at[], x87_at2[], x87_mf_at[];

static void check_x87(void)
{
	expect(x87_env16, -1, "FNSTENV, words");
	ok_eq(env16[0], 0x37b, "FCW");
	ok_eq(env16[1] & 0xb884, 0xb884, "FSW: ES, B, ZE and TOP 7");
	ok_eq(env16[2], 0x3fff, "tags");
	ok_eq(env16[3], (uint16_t)(uintptr_t)x87_at, "IP 15:0");
	ok_eq(env16[4] >> 12, 0, "IP 19:16");
	ok_eq(env16[5], (uint16_t)(uintptr_t)&x87_zero, "operand 15:0");
	ok_eq(env16[6], 0, "operand 19:16");
	expect(x87_env32, -1, "doublewords");
	ok_eq(env32[0], 0xffff037b, "FCW and ones");
	ok_eq(env32[1] >> 16, 0xffff, "ones behind FSW");
	ok_eq(env32[2], 0xffff3fff, "tags and ones");
	ok_eq(env32[3], 0xffff0000 | (uint16_t)(uintptr_t)x87_at2, "IP 15:0");
	ok_eq(env32[4] & ~0x7ffu, 0, "IP 31:16 in 27:12");
	ok_eq(env32[5], 0xffff0000 | (uint16_t)(uintptr_t)&x87_zero,
		"operand 15:0");
	ok_eq(env32[6], 0, "operand 31:16 in 27:12");
	expect(x87_back, -1, "FNSAVE and FRSTOR");
	ok_eq((uint16_t)out[0], 0, "FNSAVE initializes");
	ok_eq((uint16_t)out[1], 0x3000, "FRSTOR brings TOP back");
	ok_eq(env16[2], 0x4fff, "and the tags: zero, valid");
	expect(x87_mf, 16, "with CR0.NE an error is #MF");
	ok_eq(fault_ip, (uint16_t)(uintptr_t)x87_mf_at,
		"at the next that waits");
	expect(x87_off, -1, "without");
}

/* ---- segments and unreal mode ---- */

FN(seg_shift, "mov $0x1234, %ax; mov %ax, %es; movb $0xa5, %es:0x10\n"
	      "mov $0x1235, %ax; mov %ax, %fs; mov %fs:0, %al\n"
	      "movzbl %al, %eax; mov %eax, out");
FN(lds_pair, "movl $0x12340010, out + 12; les out + 12, %bx\n"
	     "mov %es:(%bx), %al; movzbl %al, %eax; mov %eax, out");

struct {
	uint16_t limit;
	uint32_t base;
} __attribute__((packed)) gdtr;
uint64_t big_gdt[4] = {
	0, 0x00cf93000000ffffull, 0x00009b000000ffffull, 0x000093000000ffffull};

/* Load FS with 4 GiB in protected mode, and come back. */
FN(go_unreal, "cli; lgdt gdtr; mov %cr0, %eax; or $1, %al; mov %eax, %cr0\n"
	      "jmp 1f; 1: mov $8, %bx; mov %bx, %fs\n"
	      "and $0xfe, %al; mov %eax, %cr0; jmp 1f; 1: ");
FN(unreal_peek, "mov $0x123456, %ebx; movl $0xcafebabe, %fs:(%ebx)\n"
		"mov %fs:(%ebx), %eax; mov %eax, out");
FN(unreal_reload, "mov $0x100, %ax; mov %ax, %fs; movb $0x3c, 0x1000\n"
		  "xor %ebx, %ebx; mov %fs:(%ebx), %al; movzbl %al, %eax\n"
		  "mov %eax, out; mov $0x20000, %ebx; mov %fs:(%ebx), %al");
FN(close_unreal, "cli; lgdt gdtr; mov %cr0, %eax; or $1, %al; mov %eax, %cr0\n"
		 "jmp 1f; 1: mov $24, %bx; mov %bx, %fs\n"
		 "and $0xfe, %al; mov %eax, %cr0; jmp 1f; 1: ");
FN(lmsw_pe, "cli; lgdt gdtr; mov $1, %ax; lmsw %ax; jmp 1f\n"
	    "1: xor %ax, %ax; lmsw %ax; smsw %ax; movzwl %ax, %eax\n"
	    "mov %eax, %ebx; mov %cr0, %eax; and $0xfe, %al; mov %eax, %cr0\n"
	    "jmp 1f; 1: mov %ebx, out");

static void check_unreal(void)
{
	gdtr.limit = sizeof(big_gdt) - 1;
	gdtr.base = (uint32_t)(uintptr_t)big_gdt;
	expect(seg_shift, -1, "a segment");
	ok_eq(out[0], 0xa5, "starts at 16 times its selector");
	expect(lds_pair, -1, "LES");
	ok_eq(out[0], 0xa5, "loads both");
	expect(unreal_peek, 13, "1 MiB is out of reach");
	expect(go_unreal, -1, "into protected mode and back");
	expect(unreal_peek, -1, "unreal mode reaches it");
	ok_eq(out[0], 0xcafebabe, "for read and write");
	expect(unreal_reload, -1, "a load of the segment keeps the limit");
	ok_eq(out[0], 0x3c, "and changes the base");
	expect(close_unreal, -1, "again with 64 KiB");
	expect(unreal_peek, 13, "1 MiB is out of reach again");
	expect(lmsw_pe, -1, "LMSW");
	ok_eq(out[0] & 1, 1, "does not clear PE");
}

/* ---- A20 ---- */

FN(a20_probe, "mov $0xffff, %ax; mov %ax, %es; movl $0x11111111, 0x500\n"
	      "movl $0x22222222, %es:0x510; mov 0x500, %eax; mov %eax, out");

static uint32_t probe(void)
{
	guarded(a20_probe);
	return out[0];
}

static void kbc_wait(void)
{
	for (unsigned n = 0; n < 1000 && inb(0x64) & 2; n++)
		;
}

static void kbc_output(uint8_t v)
{
	kbc_wait();
	outb(0x64, 0xd1);
	kbc_wait();
	outb(0x60, v);
	kbc_wait();
}

static void check_a20(void)
{
	ok_eq(probe(), 0x11111111, "A20 open: FFFF:0510 is above 1 MiB");
	outb(0x92, inb(0x92) & ~3);
	ok_eq(probe(), 0x22222222, "port 92h closes it: the megabyte wraps");
	outb(0x92, (inb(0x92) & ~1) | 2);
	ok_eq(probe(), 0x11111111, "and opens it");
	kbc_output(0xdd);
	ok_eq(probe(), 0x22222222, "the keyboard controller closes it");
	kbc_output(0xdf);
	ok_eq(probe(), 0x11111111, "and opens it");
}

/* ---- HLT and the timer ---- */

static volatile uint16_t ticks __attribute__((used));
FN(on_tick, "push %ax; incw %cs:ticks; mov $0x20, %al; out %al, $0x20\n"
	    "pop %ax; iret");
FN(wait_tick, "sti; hlt; hlt; cli");
FN(shadow, "cli; mov ticks, %ax; sti; cli; sti; cli; mov ticks, %bx\n"
	   "sub %ax, %bx; movzwl %bx, %ebx; mov %ebx, out");

static void check_timer(void)
{
	static const uint8_t init[][2] = {{0x20, 0x11}, {0x21, 8}, {0x21, 4},
		{0x21, 1}, {0xa0, 0x11}, {0xa1, 0x70}, {0xa1, 2}, {0xa1, 1},
		{0x21, 0xfe}, {0xa1, 0xff}, {0x43, 0x34}, {0x40, 0xa9},
		{0x40, 4}};

	set_vector(8, on_tick);
	for (unsigned i = 0; i < sizeof(init) / 2; i++)
		outb(init[i][0], init[i][1]);
	expect(wait_tick, -1, "HLT waits for the timer");
	ok_eq(ticks >= 2, true, "whose handler runs");
	for (unsigned n = 0; n < 20000; n++)
		guarded(shadow);
	ok_eq(out[0], 0, "STI and CLI in a row let nothing in");
	outb(0x21, 0xff);
}

void real_main(void)
{
	for (unsigned v = 0; v < 32; v++)
		set_vector(v, stubs16[v]);
	ok(true, "real mode");
	check_stack();
	check_wraps();
	check_traps();
	check_step();
	check_arithmetic();
	check_x87();
	check_unreal();
	check_a20();
	check_timer();
	print("1..");
	print_number(ntests, 10);
	print("\n");
	outb(0xf4, nfailed ? 1 : 0);
}

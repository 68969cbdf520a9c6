/*
 * x86-decode.c - known encodings, the tricky ones above all.
 *
 * Each vector says mode, bytes, and the text of x86_disasm() at address 0, or
 * "UD", "LONG", "MORE".  The length must be all bytes given.
 */
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "x86/cpuid.h"
#include "x86/decode.h"

struct vector {
	unsigned mode;
	const char *hex, *text;
};

static const struct vector vectors[] = {
	/* operand and address size */
	{8, "4803 44cb10", "add rax, qword ptr [rbx+rcx*8+0x10]"},
	{4, "0300", "add eax, dword ptr [eax]"},
	{4, "66 0300", "add ax, word ptr [eax]"},
	{4, "67 0300", "add eax, dword ptr [bx+si]"},
	{2, "0300", "add ax, word ptr [bx+si]"},
	{2, "66 0300", "add eax, dword ptr [bx+si]"},
	{2, "67 0300", "add ax, word ptr [eax]"},
	{2, "8b06 3412", "mov ax, word ptr [0x1234]"},
	{2, "8b46 fe", "mov ax, word ptr [bp-0x2]"},
	{8, "8b05 10000000", "mov eax, dword ptr [rip+0x10] {0x16}"},
	{8, "67 8b05 f0ffffff", "mov eax, dword ptr [rip-0x10] {0xfffffff7}"},
	{4, "8b05 10000000", "mov eax, dword ptr [0x10]"},
	{8, "8b0425 10000000", "mov eax, dword ptr [0x10]"},
	{8, "41 8b0425 10000000", "mov eax, dword ptr [0x10]"},
	{8, "41 8b0424", "mov eax, dword ptr [r12]"},
	{8, "42 8b0420", "mov eax, dword ptr [rax+r12]"},
	{8, "a1 8877665544332211", "mov eax, dword ptr [0x1122334455667788]"},
	{8, "67 a1 44332211", "mov eax, dword ptr [0x11223344]"},
	{4, "a1 44332211", "mov eax, dword ptr [0x11223344]"},
	{8, "48b8 8877665544332211", "mov rax, 0x1122334455667788"},
	{8, "48c7c0 ffffffff", "mov rax, 0xffffffffffffffff"},
	{8, "4883c0 80", "add rax, 0xffffffffffffff80"},
	{8, "6683c0 80", "add ax, 0xff80"},
	{8, "6681c0 8000", "add ax, 0x80"},
	{8, "8a e0", "mov ah, al"},
	{8, "40 8ae0", "mov spl, al"},
	/* prefixes: order, repetition, REX that is not last */
	{8, "48 66 01c0", "add ax, ax"},
	{8, "66 48 01c0", "add rax, rax"},
	{8, "6666 01c0", "add ax, ax"},
	{8, "f2f3 90", "pause"},
	{8, "f3f2 90", "nop"},
	{8, "f2 660f58c0", "addsd xmm0, xmm0"},
	{8, "66 f30f58c0", "addss xmm0, xmm0"},
	{8, "2e 8b00", "mov eax, dword ptr [rax]"},
	{8, "64 2e 8b00", "mov eax, dword ptr fs:[rax]"},
	{4, "64 2e 8b00", "mov eax, dword ptr cs:[eax]"},
	/* 90 and relatives */
	{8, "90", "nop"},
	{8, "41 90", "xchg r8d, eax"},
	{8, "48 90", "nop"},
	{8, "f3 90", "pause"},
	{8, "f3 4190", "pause"},
	{8, "0f1f 4000", "nop dword ptr [rax]"},
	{8, "660f1f 440000", "nop word ptr [rax+rax]"},
	{8, "0f19 c0", "nop eax, eax"},
	{8, "f30f1efa", "endbr64"},
	{4, "f30f1efb", "endbr32"},
	{8, "0f0d 08", "prefetchw [rax]"},
	{8, "0f0d c8", "nop eax, ecx"},
	{8, "0f18 08", "prefetcht0 [rax]"},
	/* undocumented but real */
	{4, "82c0 01", "add al, 0x1"},
	{8, "82c0 01", "UD"},
	{4, "d6", "salc"},
	{8, "d6", "UD"},
	{8, "f1", "int1"},
	{8, "f6c8 01", "test al, 0x1"},
	{8, "f7c8 01000000", "test eax, 0x1"},
	{8, "d0f0", "shl al, 1"},
	{8, "c1f0 03", "shl eax, 0x3"},
	{8, "d9d9", "fstpnce st(1)"},
	{8, "ddc9", "fxch st(1)"},
	{8, "dfc1", "ffreep st(1)"},
	{8, "dcd1", "fcom st(0), st(1)"},
	{8, "0fff c0", "ud0 eax, eax"},
	{8, "0fb9 c0", "ud1 eax, eax"},
	{8, "0f0b", "ud2"},
	/* by mode */
	{8, "63c1", "movsxd eax, ecx"},
	{8, "4863c1", "movsxd rax, ecx"},
	{4, "63c1", "arpl cx, ax"},
	{4, "40", "inc eax"},
	{2, "66 48", "dec eax"},
	{8, "06", "UD"},
	{4, "06", "push es"},
	{8, "60", "UD"},
	{8, "d40a", "UD"},
	{4, "d40a", "aam 0xa"},
	{8, "9a 0000000000 00", "UD"},
	{2, "9a 34127856", "call far 0x5678:0x1234"},
	{4, "ea 78563412 bc9a", "jmp far 0x9abc:0x12345678"},
	{8, "ce", "UD"},
	{8, "c5f877", "vzeroupper"},
	{8, "c5fc77", "vzeroall"},
	{4, "c508", "lds ecx, fword ptr [eax]"},
	{4, "c5f8 77", "vzeroupper"},
	{2, "c408", "les cx, dword ptr [bx+si]"},
	{4, "6208", "bound ecx, qword ptr [eax]"},
	{8, "0f05", "syscall"},
	{8, "0f01f8", "swapgs"},
	{4, "0f01f8", "UD"},
	/* branches: 66 is ignored in 64-bit mode */
	{8, "66 e9 10000000", "jmp 0x16"},
	{4, "66 e9 1000", "jmp 0x14"},
	{8, "66 c3", "ret"},
	{8, "7f fe", "jg 0x0"},
	{8, "67 e3 00", "jecxz 0x3"},
	{8, "ff10", "call qword ptr [rax]"},
	{8, "ff18", "call far fword ptr [rax]"},
	{8, "48ff18", "call far tbyte ptr [rax]"},
	{8, "ffd8", "UD"},
	/* stack */
	{8, "50", "push rax"},
	{8, "66 50", "push ax"},
	{8, "6a ff", "push 0xffffffffffffffff"},
	{8, "8f00", "pop qword ptr [rax]"},
	{8, "8fc8", "UD"},
	{8, "c8 1000 02", "enter 0x10, 0x2"},
	{8, "0fa0", "push fs"},
	{8, "9d", "popfq"},
	/* LOCK */
	{8, "f0 0100", "lock add dword ptr [rax], eax"},
	{8, "f0 01c0", "UD"},
	{8, "f0 0300", "UD"},
	{8, "f0 3900", "UD"},
	{8, "f0 8700", "lock xchg dword ptr [rax], eax"},
	{8, "f0 0fc708", "lock cmpxchg8b qword ptr [rax]"},
	{8, "f0 480fc708", "lock cmpxchg16b xmmword ptr [rax]"},
	{8, "f0 90", "UD"},
	{8, "f0 0fba2001", "UD"},
	{8, "f0 0fba2801", "lock bts dword ptr [rax], 0x1"},
	/* system registers: mod is ignored, some do not exist */
	{8, "0f2000", "mov rax, cr0"},
	{8, "0f20c8", "UD"},
	{8, "440f20c0", "mov rax, cr8"},
	{8, "0f2338", "mov dr7, rax"},
	{8, "440f23c0", "UD"},
	{8, "8ec8", "UD"},
	{8, "8ee0", "mov fs, ax"},
	{8, "8ef0", "UD"},
	{8, "8cd8", "mov eax, ds"},
	{8, "8c18", "mov word ptr [rax], ds"},
	{8, "0f01e0", "smsw eax"},
	{8, "0f0110", "lgdt tbyte ptr [rax]"},
	{4, "0f0110", "lgdt fword ptr [eax]"},
	/* strings */
	{8, "f3 48a5", "rep movsq qword ptr es:[rdi], qword ptr ds:[rsi]"},
	{4, "f2 a6", "repne cmpsb byte ptr ds:[esi], byte ptr es:[edi]"},
	{8, "64 67 ac", "lodsb al, byte ptr fs:[esi]"},
	{8, "486d", "insd dword ptr es:[rdi], dx"},
	/* 0F 38 with mandatory prefixes */
	{8, "0f38f000", "movbe eax, dword ptr [rax]"},
	{8, "660f38f000", "movbe ax, word ptr [rax]"},
	{8, "0f38f0c0", "UD"},
	{8, "f20f38f0c0", "crc32 eax, al"},
	{8, "66f20f38f1c1", "crc32 eax, cx"},
	{8, "660f38f6c1", "adcx eax, ecx"},
	{8, "f3480f38f6c1", "adox rax, rcx"},
	{8, "f30fbcc1", "tzcnt eax, ecx"},
	{8, "0fbcc1", "bsf eax, ecx"},
	{8, "f30fb8c1", "popcnt eax, ecx"},
	{8, "0fb8c1", "UD"},
	/* MMX and SSE */
	{8, "0f6ec0", "movd mm0, eax"},
	{8, "66480f6ec0", "movq xmm0, rax"},
	{8, "660fd6c1", "movq xmm1, xmm0"},
	{8, "f30f7ec1", "movq xmm0, xmm1"},
	{8, "0f12c1", "movhlps xmm0, xmm1"},
	{8, "0f1200", "movlps xmm0, qword ptr [rax]"},
	{8, "660f12c1", "UD"},
	{8, "0faee8", "lfence"},
	{8, "0faef0", "mfence"},
	{8, "0faef8", "sfence"},
	{8, "0fae38", "clflush [rax]"},
	{8, "660fae38", "clflushopt [rax]"},
	{8, "f30faec0", "rdfsbase eax"},
	{4, "f30faec0", "UD"},
	{8, "660f3a14c001", "pextrb eax, xmm0, 0x1"},
	{8, "660f3a140001", "pextrb byte ptr [rax], xmm0, 0x1"},
	{8, "660f3810c1", "pblendvb xmm0, xmm1, xmm0"},
	/* VEX: prefixes before it, vvvv, L, W, is4 */
	{8, "c5f058c2", "vaddps xmm0, xmm1, xmm2"},
	{8, "c5f458c2", "vaddps ymm0, ymm1, ymm2"},
	{8, "66 c5f058c2", "UD"},
	{8, "f3 c5f058c2", "UD"},
	{8, "f0 c5f058c2", "UD"},
	{8, "48 c5f058c2", "UD"},
	{8, "64 c5f05800", "vaddps xmm0, xmm1, xmmword ptr fs:[rax]"},
	{8, "c5f010c2", "UD"},
	{8, "c5f810c2", "vmovups xmm0, xmm2"},
	{8, "c5f210c2", "vmovss xmm0, xmm1, xmm2"},
	{8, "c5f21000", "UD"},
	{8, "c5fa1000", "vmovss xmm0, dword ptr [rax]"},
	{8, "c4e3714ac230", "vblendvps xmm0, xmm1, xmm2, xmm3"},
	{8, "c4e3f14ac230", "UD"},
	{8, "c4e2f0f2c2", "andn rax, rcx, rdx"},
	{4, "c4e2f0f2c2", "andn eax, ecx, edx"},
	{8, "c4e2f4f2c2", "UD"},
	{8, "c4e2699004a5 10000000",
		"vpgatherdd xmm0, dword ptr [xmm4*4+0x10], xmm2"},
	{8, "c4e2699014a5 10000000", "UD"},
	{8, "c4e0f058c2", "UD"},
	{8, "c5f99300", "UD"},
	{8, "c5f993c1", "kmovb eax, k1"},
	{8, "c4e1fb92c1", "kmovq k0, rcx"},
	{4, "c4e1fb92c1", "kmovd k0, ecx"},
	/* EVEX: disp8*N, broadcast, masks, rounding, reserved bits */
	{8, "62f17448584001", "vaddps zmm0, zmm1, zmmword ptr [rax+0x40]"},
	{8, "62f17458584001", "vaddps zmm0, zmm1, dword ptr [rax+0x4]{1to16}"},
	{8, "62f17628584001", "vaddss xmm0, xmm1, dword ptr [rax+0x4]"},
	{8, "62f174c958c2", "vaddps zmm0 {k1}{z}, zmm1, zmm2"},
	{8, "62f174c858c2", "UD"},
	{8, "62f1741858c2", "vaddps zmm0, zmm1, zmm2 {er/sae}"},
	{8, "62f1746858c2", "UD"},
	{8, "62a17440 58c2", "vaddps zmm16, zmm17, zmm18"},
	{4, "62f17440 58c2", "UD"},
	{8, "62f9744858c2", "UD"},
	{8, "62f1704858c2", "UD"},
	{8, "62f27d49904488 01",
		"vpgatherdd zmm0 {k1}, dword ptr [rax+zmm1*4+0x4]"},
	{8, "62f27d48904488 01", "UD"},
	{8, "62f27d49904480 01", "UD"},
	{8, "62f17c497f00", "UD"},
	{8, "62f17d497f00", "vmovdqa32 zmmword ptr [rax] {k1}, zmm0"},
	{8, "62f17dc97f00", "UD"},
	{8, "62f27d498a4001", "vcompressps zmmword ptr [rax+0x4] {k1}, zmm0"},
	{8, "62f1ff4812 4001", "vmovddup zmm0, zmmword ptr [rax+0x40]"},
	{8, "62f1ff0812 4001", "vmovddup xmm0, qword ptr [rax+0x8]"},
	{8, "62f1fe08 7ec1", "vmovq xmm0, xmm1"},
	{8, "62f67e4856c2", "UD"},
	{8, "62f66e4856c2", "vfmaddcph zmm0, zmm2, zmm2"},
	/* length */
	{8, "666666666666666666666666666690", "nop"},
	{8, "666666666666666666666666666666", "LONG"},
	{8, "66666666666666666666 4881c0 000000", "LONG"},
	{8, "48", "MORE"},
	{8, "0f", "MORE"},
	{8, "8b", "MORE"},
	{8, "8b04", "MORE"},
	{8, "81c0 000000", "MORE"},
	{8, "62f174", "MORE"},
	{4, "c5", "MORE"},
	{8, "0f04", "UD"},
	{8, "0f0f c00d", "UD"},
};

static unsigned parse_hex(const char *s, uint8_t *b)
{
	unsigned n = 0;

	while (*s) {
		char two[3] = {s[0], s[1], 0};

		if (*s == ' ') {
			s++;
			continue;
		}
		b[n++] = (uint8_t)strtoul(two, NULL, 16);
		s += 2;
	}
	return n;
}

static void test_vectors(void)
{
	static const char *const failed[] = {NULL, "MORE", "LONG", "UD"};

	for (unsigned i = 0; i < G_N_ELEMENTS(vectors); i++) {
		const struct vector *v = &vectors[i];
		uint8_t b[32];
		unsigned n = parse_hex(v->hex, b);
		struct x86_insn in;
		enum x86_dec_status st = x86_decode(&in, b, n, v->mode);
		char text[128];

		if (st == X86_DEC_OK)
			x86_disasm(&in, 0, text, sizeof(text));
		else
			g_strlcpy(text, failed[st], sizeof(text));
		if (strcmp(text, v->text))
			g_test_message("%u: %s", v->mode * 8, v->hex);
		g_assert_cmpstr(text, ==, v->text);
		if (st == X86_DEC_OK)
			g_assert_cmpuint(in.len, ==, n);
	}
}

/* Reads nothing past n: every proper prefix of a good one wants more. */
static void test_short(void)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(vectors); i++) {
		uint8_t b[32];
		unsigned n = parse_hex(vectors[i].hex, b);
		struct x86_insn in;

		if (x86_decode(&in, b, n, vectors[i].mode) != X86_DEC_OK)
			continue;
		for (unsigned k = 0; k < n; k++) {
			g_autofree uint8_t *cut = g_memdup2(b, k ? k : 1);

			g_assert_cmpint(
				x86_decode(&in, cut, k, vectors[i].mode), ==,
				X86_DEC_MORE);
		}
	}
}

static struct x86_insn decode64(const char *hex)
{
	uint8_t b[32];
	unsigned n = parse_hex(hex, b);
	struct x86_insn in;

	g_assert_cmpint(x86_decode(&in, b, n, 8), ==, X86_DEC_OK);
	return in;
}

static void test_parts(void)
{
	struct x86_insn in = decode64("f0 48 81 44 8b 10 78563412");

	g_assert_cmpuint(in.op, ==, X86_OP_ADD);
	g_assert_cmpuint(in.opcode_off, ==, 2);
	g_assert_cmpuint(in.modrm_off, ==, 3);
	g_assert_cmpuint(in.disp_off, ==, 5);
	g_assert_cmpuint(in.disp_size, ==, 1);
	g_assert_cmpuint(in.imm_off, ==, 6);
	g_assert_cmpuint(in.imm_size, ==, 4);
	g_assert_cmphex(in.imm, ==, 0x12345678);
	g_assert_cmpuint(in.opnd[0].access, ==, X86_OA_R | X86_OA_W);
	g_assert_cmpuint(in.opnd[1].access, ==, X86_OA_R);
	/* SS for rSP and rBP */
	g_assert_cmpuint(decode64("8b0424").seg, ==, X86_SS);
	g_assert_cmpuint(decode64("8b4500").seg, ==, X86_SS);
	g_assert_cmpuint(decode64("418b4500").seg, ==, X86_DS);
	/* merging reads the destination, zeroing and blending do not */
	g_assert_cmpuint(decode64("62f1744958c2").opnd[0].access, ==, 3);
	g_assert_cmpuint(decode64("62f174c958c2").opnd[0].access, ==, 2);
	g_assert_cmpuint(decode64("62f2754964c2").opnd[0].access, ==, 2);
	g_assert_true(decode64("660ff7c1").def->attr & X86_AT_IMPGPR);
	g_assert_true(decode64("d3e0").def->attr & X86_AT_MAYFLAGS);
	g_assert_false(decode64("d1e0").def->attr & X86_AT_MAYFLAGS);
}

static void test_flags(void)
{
	static const struct {
		const char *hex;
		unsigned read, written, undef;
	} f[] = {
		{"01c0", 0, X86_FL_ARITH, 0},
		{"11c0", X86_FL_CF, X86_FL_ARITH, 0},
		{"21c0", 0, X86_FL_ARITH & ~X86_FL_AF, X86_FL_AF},
		{"ffc0", 0, X86_FL_ARITH & ~X86_FL_CF, 0},
		{"f7e0", 0, X86_FL_CF | X86_FL_OF,
			X86_FL_ARITH & ~(X86_FL_CF | X86_FL_OF)},
		{"f7f0", 0, 0, X86_FL_ARITH},
		{"7400", X86_FL_ZF, 0, 0},
		{"7f00", X86_FL_ZF | X86_FL_SF | X86_FL_OF, 0, 0},
		{"0f2fc0", 0, X86_FL_ARITH, 0},
		{"dbf0", 0, X86_FL_ARITH, 0},
		{"c5f898c0", 0, X86_FL_ARITH, 0},
		{"f348a5", X86_FL_DF, 0, 0},
		{"89c0", 0, 0, 0},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(f); i++) {
		const struct x86_opdef *d = decode64(f[i].hex).def;

		g_assert_cmphex(d->flags_read, ==, f[i].read);
		g_assert_cmphex(d->flags_written, ==, f[i].written);
		g_assert_cmphex(d->flags_undef, ==, f[i].undef);
	}
}

static void test_allowed(void)
{
	static struct x86_cpu_model m;
	struct x86_insn in = decode64("f30fbcc1");

	g_assert_true(x86_insn_allowed(&in, &m));
	g_assert_true(x86_insn_fit(&in, &m));
	g_assert_cmpuint(in.op, ==, X86_OP_BSF);
	g_assert_cmpuint(in.nopnds, ==, 2);
	in = decode64("0f1c00");
	g_assert_true(x86_insn_fit(&in, &m));
	g_assert_cmpuint(in.op, ==, X86_OP_HINT_NOP);
	in = decode64("c4e2f0f2c2");
	g_assert_false(x86_insn_allowed(&in, &m));
	m.feature[X86_FEAT_BMI1] = true;
	g_assert_true(x86_insn_allowed(&in, &m));
	in = decode64("f30fbcc1");
	g_assert_true(x86_insn_fit(&in, &m));
	g_assert_cmpuint(in.op, ==, X86_OP_TZCNT);
	/* EVEX of 128 and 256 bits needs VL, scalars do not */
	m.feature[X86_FEAT_AVX] = m.feature[X86_FEAT_AVX512F] = true;
	in = decode64("62f1740858c2");
	g_assert_false(x86_insn_allowed(&in, &m));
	in = decode64("62f1744858c2");
	g_assert_true(x86_insn_allowed(&in, &m));
	in = decode64("62f1760858c2");
	g_assert_true(x86_insn_allowed(&in, &m));
	/* two 256-bit features */
	in = decode64("c4e275dcc2");
	m.feature[X86_FEAT_AES] = true;
	g_assert_false(x86_insn_allowed(&in, &m));
	m.feature[X86_FEAT_VAES] = true;
	g_assert_true(x86_insn_allowed(&in, &m));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/x86/decode/vectors", test_vectors);
	g_test_add_func("/x86/decode/short", test_short);
	g_test_add_func("/x86/decode/parts", test_parts);
	g_test_add_func("/x86/decode/flags", test_flags);
	g_test_add_func("/x86/decode/allowed", test_allowed);
	return g_test_run();
}

/*
 * form.c - decoding and classifying, remembered.
 *
 * Programs repeat themselves: most instructions differ from one met before in
 * their displacement and immediate operand only.  So what the decoder and
 * bt_classify said is kept by the bytes that precede those, which are all that
 * it depends on, beside the key.  The number of bytes that is hashed is a
 * guess; what is compared is exact.
 */
#include "cpu/bt/tr.h"
#include "x86/optab.h"

static uint64_t form_load(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

/* What an instruction's first bytes are. */
enum { FORM_OPCODE, FORM_PREFIX, FORM_REX, FORM_0F, FORM_VEX };

static const uint8_t form_first[256] = {
	[0x0f] = FORM_0F,
	[0x26] = FORM_PREFIX,
	[0x2e] = FORM_PREFIX,
	[0x36] = FORM_PREFIX,
	[0x3e] = FORM_PREFIX,
	[0x40 ... 0x4f] = FORM_REX,
	[0x64 ... 0x67] = FORM_PREFIX,
	[0xc4] = FORM_VEX,
	[0xc5] = FORM_VEX,
	[0xf0] = FORM_PREFIX,
	[0xf2] = FORM_PREFIX,
	[0xf3] = FORM_PREFIX,
};

/* How many bytes up to the SIB byte?  Of the usual encodings. */
static unsigned form_guess(const struct bt_tr *t, const uint8_t *p)
{
	unsigned n = 0, map = 0, kind = form_first[p[0]];

	while (kind >= FORM_PREFIX && kind <= FORM_REX && n < 3 &&
		(kind == FORM_PREFIX || t->code64))
		kind = form_first[p[++n]];
	if (kind == FORM_VEX)
		return n + 5 - (p[n] & 1);
	if (kind == FORM_0F) {
		map = 1;
		n++;
	}
	if (!x86_opcodes[map][p[n]].modrm)
		return n + 1;
	return (p[n + 1] & 7) == 4 && p[n + 1] < 0xc0 ? n + 3 : n + 2;
}

static struct bt_form *form_slot(struct bt_tr *t, const uint8_t *p)
{
	unsigned n = form_guess(t, p);
	uint64_t h = form_load(p) << (64 - 8 * n);

	h ^= (uint64_t)(uint32_t)t->key << n;
	return &t->form[h * 0x9e3779b97f4a7c15ull >> (64 - BT_FORM_BITS)];
}

/* The part of an instruction behind its form: v begins with the number. */
static int64_t form_number(uint64_t v, unsigned bytes)
{
	return (int64_t)(v << (64 - 8 * bytes)) >> (64 - 8 * bytes);
}

/* May the operand be out of reach from the instruction's page? */
static bool form_is_far(const struct x86_insn *in)
{
	return in->base == X86_RIP && in->disp != in->disp << 1 >> 1;
}

/* Bytes that decide about all but displacement and immediate; 0: not to be
 * kept. */
static unsigned form_bytes(const struct bt_form *f)
{
	const struct x86_insn *in = &f->in;
	const struct x86_rowinfo *ri = &x86_rowinfos[in->def - x86_optab];
	unsigned n = in->len;

	if (in->imm_size)
		n = in->imm_off;
	if (in->disp_size)
		n = in->disp_off;
	if (n > 8 || ri->imm2 || form_is_far(in) ||
		(ri->flags & (X86_RI_MOFFS | X86_RI_IS4)) ||
		(in->enc == X86_ENC_EVEX && in->disp_size == 1))
		return 0;
	return n;
}

/* Is its row's immediate sign-extended? */
static bool form_signed(const struct x86_insn *in)
{
	unsigned rule = x86_rowinfos[in->def - x86_optab].imm;

	return rule == X86_SZ_Z || rule == X86_SZ_SX8;
}

static void form_keep(struct bt_tr *t, const uint8_t *p, struct bt_form *f)
{
	unsigned n = form_bytes(f);

	if (!n)
		return;
	f->mask = ~0ull >> (64 - 8 * n);
	f->bytes = form_load(p) & f->mask;
	f->key = (uint32_t)t->key;
	f->imm_signed = form_signed(&f->in);
	*form_slot(t, p) = *f;
}

/* in is of the form: its own numbers. */
static void form_fill(
	const struct bt_form *f, struct x86_insn *in, const uint8_t *p)
{
	if (in->disp_size)
		in->disp =
			form_number(form_load(p + in->disp_off), in->disp_size);
	if (!in->imm_size)
		return;
	in->imm = form_load(p + in->imm_off) << (64 - 8 * in->imm_size);
	if (f->imm_signed)
		in->imm = (int64_t)in->imm >> (64 - 8 * in->imm_size);
	else
		in->imm >>= 64 - 8 * in->imm_size;
}

const struct bt_form *bt_form_at(
	struct bt_tr *t, const uint8_t *p, unsigned n, struct x86_insn *in)
{
	struct bt_form *f = n < BT_FORM_BYTES ? NULL : form_slot(t, p);

	if (f && (form_load(p) & f->mask) == f->bytes &&
		f->key == (uint32_t)t->key) {
		*in = f->in;
		form_fill(f, in, p);
		if (!form_is_far(in))
			return f;
	}
	f = &t->new_form;
	if (x86_decode(in, p, n, t->code_size) != X86_DEC_OK)
		return NULL;
	f->in = *in;
	f->ends = false;
	f->emitter = bt_classify(t, in, &f->ends);
	bt_plan(t, &f->plan, in);
	f->reads = bt_flags_read(in);
	f->kills = bt_flags_killed(in);
	/* a shift by zero writes none */
	f->vary = in->imm_size && (in->def->attr & X86_AT_MAYFLAGS);
	if (n >= BT_FORM_BYTES)
		form_keep(t, p, f);
	return f;
}

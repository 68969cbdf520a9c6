/*
 * flags.c - where the arithmetic flags are, and which of them matter.
 */
#include "cpu/bt/tr.h"

#define LOOKAHEAD 8

int64_t bt_branch_to(
	const struct bt_tr *t, const struct x86_insn *in, int64_t off)
{
	/* of a branch; any other immediate may be of any size */
	uint64_t to = (uint64_t)off + in->len + in->imm;
	uint32_t base = t->key >> 32;

	if (!t->segs)
		return (int64_t)to;
	to += base;
	return (int32_t)((in->osize == 2 ? (uint16_t)to : (uint32_t)to) - base);
}

uint32_t bt_flags_read(const struct x86_insn *in)
{
	const struct x86_opdef *d = in->def;

	switch (in->op) {
	case X86_OP_CLI:
	case X86_OP_STI:
	case X86_OP_CLAC:
	case X86_OP_STAC:
	case X86_OP_SWAPGS:
	case X86_OP_RDTSC:
	case X86_OP_RDTSCP:
	case X86_OP_RDFSBASE:
	case X86_OP_RDGSBASE:
	case X86_OP_WRFSBASE:
	case X86_OP_WRGSBASE:
	case X86_OP_MOV_CR: return 0;
	default: break;
	}
	if (d->attr & (X86_AT_SYSTEM | X86_AT_PRIV | X86_AT_IOPL))
		return X86_FL_ARITH;
	return d->flags_read & X86_FL_ARITH;
}

uint32_t bt_flags_killed(const struct x86_insn *in)
{
	const struct x86_opdef *d = in->def;

	switch (in->op) {
	case X86_OP_DIV:
	case X86_OP_IDIV: return 0;
	case X86_OP_BT: /* processors keep what the manual calls undefined */
	case X86_OP_BTS:
	case X86_OP_BTR:
	case X86_OP_BTC:
	case X86_OP_AAA:
	case X86_OP_AAS: return d->flags_written & X86_FL_ARITH;
	default: break;
	}
	if (d->attr & X86_AT_MAYFLAGS) {
		/* shifts by an immediate that is not zero do write; a rotate
		 * keeps what it does not write anyway */
		if (in->nopnds < 2 || !in->imm_size ||
			in->opnd[in->nopnds - 1].kind != X86_OK_IMM ||
			!(in->imm & (in->opnd[0].size == 8 ? 63 : 31)) ||
			(in->op != X86_OP_SHL && in->op != X86_OP_SHR &&
				in->op != X86_OP_SAR))
			return 0;
	}
	return (d->flags_written | d->flags_undef) & X86_FL_ARITH;
}

/* Flags live at a page offset, by looking a few instructions ahead. */
static uint32_t bt_flags_ahead(struct bt_tr *t, int64_t off)
{
	uint32_t live = 0, open = X86_FL_ARITH;
	struct x86_insn in;
	struct bt_block *b;
	const struct bt_form *f;
	uint8_t buf[BT_FORM_BYTES];
	unsigned n;

	if (t->step || t->check)
		return X86_FL_ARITH;
	for (unsigned i = 0; i < LOOKAHEAD; i++) {
		if (off < 0 || off >= (int64_t)BUS_PAGE_SIZE ||
			bt_stops_at(t->vm, off))
			return live | open;
		b = i ? NULL
		      : bt_block_lookup(t->vm, t->b->ram_page, off, t->key);
		if (b && !b->checked) {
			t->b->mask |= b->mask;
			return live | (b->live_in & open);
		}
		n = BUS_PAGE_SIZE - off;
		if (n > sizeof(buf))
			n = sizeof(buf);
		memcpy(buf, t->live_page + off, n);
		f = bt_form_at(t, buf, n, &in);
		if (!f)
			return live | open;
		t->b->mask |=
			1ull << (off >> 6) | 1ull << ((off + in.len - 1) >> 6);
		live |= f->reads & open;
		open &= ~bt_form_kills(f, &in);
		if (!open)
			return live;
		if (in.op == X86_OP_JMP_REL) {
			off = bt_branch_to(t, &in, off);
			continue;
		}
		off += in.len;
		if (in.def->attr & (X86_AT_BRANCH | X86_AT_SYSTEM))
			return live | open;
	}
	return live | open;
}

static uint32_t bt_flags_out(struct bt_tr *t, unsigned i, uint32_t next)
{
	const struct x86_insn *in = &t->insn[i];
	int64_t to = bt_branch_to(t, in, t->off[i]);

	if (in->op == X86_OP_JCC)
		return next | bt_flags_ahead(t, to);
	if (in->op == X86_OP_JMP_REL)
		return bt_flags_ahead(t, to);
	if (in->def->attr & X86_AT_BRANCH)
		return X86_FL_ARITH;
	return next;
}

void bt_flags_liveness(struct bt_tr *t)
{
	uint32_t live = X86_FL_ARITH;

	if (!t->ended && !t->straddle)
		live = bt_flags_ahead(t, t->end);
	if (t->ended && t->n && t->insn[t->n - 1].op == X86_OP_JCC)
		live = bt_flags_ahead(t, t->end);
	t->live[t->n] = live;
	for (unsigned i = t->n; i--;) {
		live = bt_flags_out(t, i, live);
		/* live[] after the last instruction is used by its emitter */
		if (i + 1 == t->n)
			t->live[t->n] = live;
		live = (live & ~(uint32_t)t->kills[i]) | t->reads[i];
		/* What is compared must be exact wherever a block is left. */
		if (t->step)
			live = X86_FL_ARITH;
		t->live[i] = live;
	}
}

/* The next four work on insn t->i: live[i] before it, live[i + 1] after. */

void bt_flags_clobber(struct bt_tr *t)
{
	if (t->fl == BT_FL_HOST && t->live[t->i]) {
		bt_emit_flags_save(&t->hot);
		t->held = 0;
	}
	t->fl = BT_FL_SAVED;
}

void bt_flags_clobber_after(struct bt_tr *t)
{
	if (t->fl == BT_FL_HOST && t->live[t->i + 1]) {
		bt_emit_flags_save(&t->hot);
		t->held = 0;
	}
	t->fl = BT_FL_SAVED;
}

void bt_flags_need(struct bt_tr *t, unsigned scratch)
{
	const struct x86_insn *in = &t->insn[t->i];
	uint32_t written =
		(in->def->flags_written | in->def->flags_undef) & X86_FL_ARITH;
	uint32_t keep =
		written ? t->live[t->i + 1] & ~(uint32_t)t->kills[t->i] : 0;

	if (t->fl != BT_FL_SAVED || !(t->reads[t->i] | keep))
		return;
	bt_emit_flags_load(&t->hot, scratch);
	if (scratch == BT_T1)
		t->held = 0;
	t->fl = BT_FL_BOTH;
}

void bt_flags_done(struct bt_tr *t)
{
	const struct x86_insn *in = &t->insn[t->i];

	if ((in->def->flags_written | in->def->flags_undef) & X86_FL_ARITH)
		t->fl = BT_FL_HOST;
}

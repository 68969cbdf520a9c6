/*
 * share.c - one check for several accesses to the same surroundings.
 *
 * Accesses at constant distances from each other, through the stack pointer, a
 * field's structure or RIP, are checked at the first of them: the whole span
 * must be in one page that all of them may access.  The host address of the
 * span is kept in bt_near.share for the others, which are one or two host
 * instructions each then and leave the flags alone.
 *
 * What the TLB said stays true until the block is left: nothing in between
 * changes mappings, events wait, and who takes rights to a page away waits for
 * all processors that are in code (bt_grace_over).  If C code on behalf of an
 * instruction changes the memory map, the block is left behind it.
 *
 * A span that is in two pages, or that does not allow all the accesses, goes
 * on in a translation of the rest of the block without sharing (BT_KEY_SINGLE).
 */
#include "cpu/bt/tr.h"

/* ---- the block ---- */

static void share_access(struct bt_tr *t, struct bt_groups *all,
	const struct bt_place *p, bool stack)
{
	bt_group_add(t, all, p, stack,
		!bt_marked(t->vm, BT_NO_SHARE, t->b->ram_page, t->off[t->i]));
}

/* An access of the stack at base + at; afterwards RSP = base + to. */
static void share_stack(struct bt_tr *t, struct bt_groups *all, unsigned base,
	bool write, int to)
{
	struct bt_value *reg = all->values.reg;
	struct bt_place p = {.base = reg[base],
		.index = BT_VALUE_NONE,
		.size = 8,
		.write = write};

	if (write)
		p.base.at -= 8;
	share_access(t, all, &p, true);
	reg[X86_RSP] = reg[base];
	reg[X86_RSP].at += to;
}

/* Insn t->i; false: what was checked before it is not known behind it. */
static bool share_insn(struct bt_tr *t, struct bt_groups *all)
{
	const struct x86_insn *in = &t->insn[t->i];
	bt_emitter *fn = t->emitter[t->i];
	struct bt_place p;

	if (fn == bt_emit_push || fn == bt_emit_pop) {
		if (in->osize != 8 || in->has_mem)
			return false;
		share_stack(t, all, X86_RSP, fn == bt_emit_push,
			fn == bt_emit_push ? -8 : 8);
		if (fn == bt_emit_pop)
			bt_value_new(&all->values, in->opnd[0].reg);
		return true;
	}
	if (fn == bt_emit_leave) {
		share_stack(t, all, X86_RBP, false, 8);
		bt_value_new(&all->values, X86_RBP);
		return true;
	}
	if (fn == bt_emit_ret || fn == bt_emit_call_rel) {
		share_stack(t, all, X86_RSP, fn != bt_emit_ret, 0);
		return true;
	}
	if (!bt_place_counts(t))
		return false;
	if (bt_place_of(t, &all->values, &p) && !p.align)
		share_access(t, all, &p, false);
	bt_values_step(&all->values, in, t->off[t->i]);
	return true;
}

/* Groups of one are none. */
static void share_settle(struct bt_tr *t, const struct bt_groups *all)
{
	uint8_t number[BT_GROUPS + 1] = {0};

	for (unsigned n = 0; n < all->n; n++) {
		const struct bt_group *g = &all->group[n];

		if (g->n < (t->loop ? 3u : 2u) || t->nshares == BT_SHARES)
			continue;
		t->shares[t->nshares] =
			(struct bt_share){.write = g->place.write,
				.low = (int32_t)g->place.base.at,
				.span = bt_group_span(g)};
		number[n + 1] = ++t->nshares;
	}
	for (unsigned i = 0; i < t->n; i++)
		for (unsigned k = 0; k < 2; k++)
			t->member[i][k].group = number[t->member[i][k].group];
}

void bt_share_plan(struct bt_tr *t)
{
	struct bt_groups all;

	t->nshares = 0;
	t->held = 0;
	memset(t->member, 0, t->n * sizeof(t->member[0]));
	/* in a second page there is no exit to the same place */
	if (!t->code64 || t->single || t->step || t->check ||
		t->page2 != BT_PAGE_NONE || t->mode == SOFT_USER_AC)
		return;
	bt_groups_init(&all);
	for (t->i = 0; t->i < t->n; t->i++)
		if (!share_insn(t, &all)) {
			all.open = all.n;
			bt_values_forget(&all.values);
		}
	if (all.n)
		share_settle(t, &all);
}

/* ---- code ---- */

bool bt_share_holds(const struct bt_tr *t)
{
	const struct x86_insn *in = &t->insn[t->i];
	bt_emitter *fn = t->emitter[t->i];

	if (fn == bt_emit_lea)
		return in->index == X86_NOREG || bt_reg[in->index] != BT_HOMED;
	if (fn == bt_emit_vec)
		return !(in->def->attr & X86_AT_X87);
	return fn == bt_emit_copy || fn == bt_emit_nothing ||
	       fn == bt_emit_jcc || fn == bt_emit_push || fn == bt_emit_pop;
}

bool bt_share_next(const struct bt_tr *t)
{
	unsigned i = t->i + 1, k;
	const struct x86_opnd *o = &t->insn[i].opnd[0];

	if (i >= t->n)
		return false;
	k = t->member[i][1].group;
	if (!k || !t->shares[k - 1].made)
		return false;
	if (t->emitter[i] == bt_emit_push || t->emitter[i] == bt_emit_pop)
		return o->kind != X86_OK_GPR || o->reg != X86_RSP;
	return t->emitter[i] == bt_emit_ret ||
	       t->emitter[i] == bt_emit_call_rel;
}

/* Register d = linear address of the access + by; T0 stays if it is the
 * stack's and d is T1. */
static void share_linear(struct bt_tr *t, bool stack, unsigned d, int32_t by)
{
	struct x86_insn in = t->insn[t->i];
	bt_emitter *fn = t->emitter[t->i];

	if (!stack) {
		in.disp += by;
		bt_linear(t, &in, d);
		return;
	}
	if (fn == bt_emit_push || fn == bt_emit_call_rel)
		by -= 8;
	em_lea(&t->hot, 8, d, em_at(fn == bt_emit_leave ? H_RBP : BT_GRSP, by));
}

/* Many accesses of this kind are through RSP or of the same page. */
static bool share_by_stack(struct bt_tr *t, bool stack)
{
	const struct x86_insn *in = &t->insn[t->i];

	return stack || (in->base == X86_RSP && in->seg_override != X86_FS &&
				in->seg_override != X86_GS);
}

/* Where the host address of the span is kept. */
static int32_t share_word(const struct bt_member *m)
{
	return bt_share_word(m->group - 1);
}

/* T1 = host address of the span, kept; afterwards flags are destroyed. */
static void share_check(struct bt_tr *t, bool stack)
{
	const struct bt_member *m = &t->member[t->i][stack];
	struct bt_share *g = &t->shares[m->group - 1];
	struct emit *e = &t->hot;
	const uint8_t *retry;
	struct bt_cold *cold;
	int32_t at;

	bt_flags_clobber(t);
	retry = e->p;
	if (share_by_stack(t, stack)) {
		share_linear(t, stack, BT_T1, g->low - m->at);
		at = bt_stack_at(t->mode, g->write);
		em_op_rm(e, 8, 0x33, BT_T1, bt_at_rsp(at));
		em_alu_ri(
			e, 8, EM_CMP, BT_T1, (int32_t)BUS_PAGE_SIZE - g->span);
		cold = bt_cold(t, BT_TH_SPAN, em_jcc(e, CC_A, e->p));
		em_op_rm(e, 8, 0x03, BT_T1, bt_at_rsp(at + 8));
	} else {
		share_linear(t, stack, BT_T0, g->low - m->at);
		cold = bt_cold(
			t, BT_TH_SPAN, bt_check_tlb(t, g->span, g->write));
		em_load(e, 8, BT_T1,
			em_sib(H_RSP, BT_T1, 1, bt_tlb(t, g->write) + 16));
		em_op_rr(e, 8, 0x03, BT_T1, BT_T0);
	}
	cold->retry = retry;
	cold->stack = stack;
	em_store(e, 8, bt_at_rsp(share_word(m)), BT_T1);
	g->made = true;
	t->held = m->group;
}

bool bt_share(struct bt_tr *t, bool stack, struct bt_access *acc)
{
	const struct bt_member *m = &t->member[t->i][stack];
	struct bt_share *g;

	if (!m->group || t->stream)
		return false;
	g = &t->shares[m->group - 1];
	if (!g->made)
		share_check(t, stack);
	else if (t->held != m->group)
		em_load(&t->hot, 8, BT_T1, bt_at_rsp(share_word(m)));
	t->held = m->group;
	acc->m = em_at(BT_T1, m->at - g->low);
	acc->free = BT_T0;
	return true;
}

/*
 * The check failed.  In two pages: to the translation without sharing.  Else C
 * fills the TLB, or says that there is no access of that kind.
 */
void bt_share_cold(struct bt_tr *t, const struct bt_cold *r)
{
	const struct bt_share *g;
	const struct bt_member *m;
	struct emit hot = t->hot, *e = &t->hot;
	const uint8_t *site;
	uint8_t *within;
	bt_key_t key = t->key;

	/* what computes addresses writes to hot, for insn i */
	t->hot = t->cold;
	t->i = r->insn;
	t->mode = r->mode;
	m = &t->member[t->i][r->stack];
	g = &t->shares[m->group - 1];
	share_linear(t, r->stack, BT_T1, g->low - m->at);
	em_alu_ri(e, 4, EM_AND, BT_T1, BUS_PAGE_SIZE - 1);
	em_alu_ri(e, 4, EM_CMP, BT_T1, (int32_t)BUS_PAGE_SIZE - g->span);
	within = em_jcc(e, CC_BE, e->p);
	if (t->live[t->i])
		bt_emit_flags_load(e, BT_T1);
	t->key = r->key | BT_KEY_SINGLE;
	bt_exit_jump(t, -1, t->off[t->i]);
	t->key = key;
	em_patch(within, e->p);
	share_linear(t, r->stack, BT_T1, g->low - m->at);
	em_call(e, t->vm->thunk[BT_TH_SPAN]);
	site = e->p;
	em_32(e, BT_INFO(t->off[t->i], 0, 0) | (g->write ? BT_INFO_WRITE : 0) |
			 (share_by_stack(t, r->stack) ? BT_INFO_STACK : 0));
	em_32(e, (uint32_t)(r->retry - site));
	em_32(e, t->b - t->vm->blocks);
	em_32(e, g->span);
	t->cold = *e;
	t->hot = hot;
}

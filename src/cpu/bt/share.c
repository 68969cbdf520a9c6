/*
 * share.c - one check for several accesses to the same surroundings.
 *
 * Accesses at constant distances from each other, through the stack pointer, a
 * field's structure or RIP, are checked at the first of them: the whole span
 * must be in one page that all of them may access.  The host address of the
 * span is kept in bt_near.share for the others, which are one or two host
 * instructions each then and leave the flags alone.
 *
 * To know the distances, each register has a value number and a displacement
 * from it; moves copy them, and additions of constants change the latter only.
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

#define SHARE_SPAN   1024
#define SHARE_GROUPS 24
#define SHARE_FAR    (1 << 28)

/* Values that are no register's first one. */
#define SHARE_RIP  (X86_NGPR + 0u)
#define SHARE_NONE (X86_NGPR + 1u)
#define SHARE_NEW  (X86_NGPR + 2u)

struct share_value {
	unsigned id;
	int64_t at;
};

struct share_group {
	struct share_value base; /* at: lowest address */
	unsigned index, scale, seg, n;
	int64_t end;
	bool write;
};

struct share_plan {
	struct share_value reg[X86_NGPR];
	unsigned next, ngroups, open; /* groups before open are closed */
	struct share_group group[SHARE_GROUPS];
};

/* ---- values ---- */

static struct share_value share_fresh(struct share_plan *p)
{
	return (struct share_value){p->next++, 0};
}

static bool share_gpr(const struct x86_opnd *o, unsigned size)
{
	return o->kind == X86_OK_GPR && o->size == size && !o->high8;
}

/* The value that in, writing one whole register, moves or adds to. */
static bool share_moved(struct share_plan *p, const struct x86_insn *in,
	unsigned off, struct share_value *v)
{
	const struct x86_opnd *o = in->opnd;
	int64_t by = (int64_t)in->imm;

	if (!in->nopnds || !share_gpr(&o[0], 8))
		return false;
	*v = p->reg[o[0].reg];
	switch (in->op) {
	case X86_OP_MOV:
		if (!share_gpr(&o[1], 8))
			return false;
		*v = p->reg[o[1].reg];
		return true;
	case X86_OP_LEA:
		if (in->index != X86_NOREG || in->asize != 8 ||
			in->base == X86_NOREG)
			return false;
		if (in->base == X86_RIP)
			*v = (struct share_value){SHARE_RIP, off + in->len};
		else
			*v = p->reg[in->base];
		v->at += in->disp;
		return true;
	case X86_OP_ADD:
	case X86_OP_SUB:
		if (o[1].kind != X86_OK_IMM || by != (int32_t)by)
			return false;
		v->at += in->op == X86_OP_ADD ? by : -by;
		return true;
	case X86_OP_INC: v->at++; return true;
	case X86_OP_DEC: v->at--; return true;
	default: return false;
	}
}

static void share_written(
	struct share_plan *p, const struct x86_insn *in, unsigned off)
{
	struct share_value v;

	if (share_moved(p, in, off, &v)) {
		p->reg[in->opnd[0].reg] = v;
		return;
	}
	if ((in->def->attr & X86_AT_IMPGPR) ||
		(!bt_names_all(in->op) && !(in->def->attr & BT_VECTOR)))
		for (unsigned r = X86_RAX; r <= X86_RBX; r++)
			p->reg[r] = share_fresh(p);
	for (unsigned n = 0; n < in->nopnds; n++)
		if (in->opnd[n].kind == X86_OK_GPR &&
			(in->opnd[n].access & X86_OA_W))
			p->reg[in->opnd[n].reg] = share_fresh(p);
}

/* ---- groups ---- */

static void share_join(struct share_group *g, int64_t at, unsigned size)
{
	if (at < g->base.at)
		g->base.at = at;
	if (at + size > g->end)
		g->end = at + size;
	g->n++;
}

static struct share_group *share_find(
	struct share_plan *p, const struct share_group *like, unsigned size)
{
	int64_t at = like->base.at, lo, hi;

	for (unsigned n = p->ngroups; n-- > p->open;) {
		struct share_group *g = &p->group[n];

		lo = at < g->base.at ? at : g->base.at;
		hi = at + size > g->end ? at + size : g->end;
		if (g->base.id == like->base.id && g->index == like->index &&
			g->scale == like->scale && g->seg == like->seg &&
			hi - lo <= SHARE_SPAN)
			return g;
	}
	return NULL;
}

/* An access of insn i, the stack's or its memory operand's. */
static void share_access(struct bt_tr *t, struct share_plan *p, bool stack,
	struct share_group *like, const struct bt_access *acc)
{
	struct bt_member *m = &t->member[t->i][stack];
	struct share_group *g;

	if (like->base.at > SHARE_FAR || like->base.at < -SHARE_FAR)
		return;
	g = share_find(p, like, acc->size);
	if (!g) {
		if (p->ngroups == SHARE_GROUPS ||
			bt_banned(t->vm, BT_BAN_SHARE, t->b->ram_page,
				t->off[t->i]))
			return;
		g = &p->group[p->ngroups++];
		*g = *like;
		g->end = g->base.at;
	}
	m->group = g - p->group + 1;
	m->at = (int32_t)like->base.at;
	share_join(g, like->base.at, acc->size);
	g->write |= acc->write;
}

static bool share_operand(
	struct bt_tr *t, const struct x86_insn *in, struct bt_access *acc)
{
	const struct bt_plan *p = &t->plan[t->i];

	if (p->mem < 0 || p->align || p->masked || in->asize != 8 || in->vsib ||
		(in->def->attr & X86_AT_IMPGPR) || in->disp > SHARE_FAR ||
		in->disp < -SHARE_FAR || in->disp_size == 8)
		return false;
	acc->size = in->opnd[p->mem].size;
	acc->write = p->write;
	if (!acc->size || acc->size > 64)
		return false;
	return true;
}

static void share_memory(
	struct bt_tr *t, struct share_plan *p, const struct x86_insn *in)
{
	struct share_group like = {.index = SHARE_NONE};
	struct bt_access acc = {0};

	if (!share_operand(t, in, &acc))
		return;
	if (in->seg_override == X86_FS || in->seg_override == X86_GS)
		like.seg = in->seg_override;
	if (in->base == X86_RIP)
		like.base =
			(struct share_value){SHARE_RIP, t->off[t->i] + in->len};
	else if (in->base == X86_NOREG)
		like.base.id = SHARE_NONE;
	else
		like.base = p->reg[in->base];
	if (in->index != X86_NOREG) {
		like.index = p->reg[in->index].id;
		like.scale = in->scale;
		like.base.at += p->reg[in->index].at * in->scale;
	}
	like.base.at += in->disp;
	share_access(t, p, false, &like, &acc);
}

/* An access of the stack at base + at; afterwards RSP = base + to. */
static void share_stack(struct bt_tr *t, struct share_plan *p, unsigned base,
	bool write, int to)
{
	struct share_group like = {.base = p->reg[base], .index = SHARE_NONE};
	struct bt_access acc = {.size = 8, .write = write};

	if (write)
		like.base.at -= 8;
	share_access(t, p, true, &like, &acc);
	p->reg[X86_RSP] = p->reg[base];
	p->reg[X86_RSP].at += to;
}

/* ---- the block ---- */

/* Insn t->i; false: what was checked before it is not known behind it. */
static bool share_insn(struct bt_tr *t, struct share_plan *p)
{
	const struct x86_insn *in = &t->insn[t->i];
	bt_emitter *fn = t->emitter[t->i];

	if (fn == bt_emit_push || fn == bt_emit_pop) {
		if (in->osize != 8 || in->has_mem)
			return false;
		share_stack(t, p, X86_RSP, fn == bt_emit_push,
			fn == bt_emit_push ? -8 : 8);
		if (fn == bt_emit_pop)
			p->reg[in->opnd[0].reg] = share_fresh(p);
		return true;
	}
	if (fn == bt_emit_leave) {
		share_stack(t, p, X86_RBP, false, 8);
		p->reg[X86_RBP] = share_fresh(p);
		return true;
	}
	if (fn == bt_emit_ret || fn == bt_emit_call_rel) {
		share_stack(t, p, X86_RSP, fn != bt_emit_ret, 0);
		return true;
	}
	if (fn == bt_emit_copy || fn == bt_emit_vec || fn == bt_emit_div ||
		fn == bt_emit_div_narrow)
		share_memory(t, p, in);
	else if (fn != bt_emit_lea && fn != bt_emit_nothing &&
		 fn != bt_emit_jcc)
		return false;
	share_written(p, in, t->off[t->i]);
	return true;
}

/* Groups of one are none. */
static void share_settle(struct bt_tr *t, const struct share_plan *p)
{
	uint8_t number[SHARE_GROUPS + 1] = {0};

	t->nshares = 0;
	for (unsigned n = 0; n < p->ngroups; n++) {
		const struct share_group *g = &p->group[n];

		if (g->n < (t->loop ? 3u : 2u) || t->nshares == BT_SHARES)
			continue;
		t->shares[t->nshares] = (struct bt_share){.write = g->write,
			.low = (int32_t)g->base.at,
			.span = (uint16_t)(g->end - g->base.at)};
		number[n + 1] = ++t->nshares;
	}
	for (unsigned i = 0; i < t->n; i++)
		for (unsigned k = 0; k < 2; k++)
			t->member[i][k].group = number[t->member[i][k].group];
}

void bt_share_plan(struct bt_tr *t)
{
	struct share_plan p;

	t->nshares = 0;
	t->held = 0;
	memset(t->member, 0, t->n * sizeof(t->member[0]));
	/* in a second page there is no exit to the same place */
	if (!t->code64 || t->single || t->step || t->check ||
		t->page2 != BT_PAGE_NONE || t->mode == SOFT_USER_AC)
		return;
	p.ngroups = p.open = 0;
	p.next = SHARE_NEW;
	for (unsigned r = 0; r < X86_NGPR; r++)
		p.reg[r] = (struct share_value){r, 0};
	for (t->i = 0; t->i < t->n; t->i++)
		if (!share_insn(t, &p)) {
			p.open = p.ngroups;
			for (unsigned r = 0; r < X86_NGPR; r++)
				p.reg[r] = share_fresh(&p);
		}
	if (p.ngroups)
		share_settle(t, &p);
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
	unsigned k = m->group - 1;

	if (k < BT_NEAR_SHARES)
		return BT_NEAR(share) + (int32_t)k * 8;
	return BT_AREA(share) + (int32_t)k * 8;
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

	if (!m->group)
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

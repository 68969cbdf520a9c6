/*
 * place.c - which accesses of a block are at constant distances.
 *
 * Each register has a value number and a displacement from it: moves copy
 * them, additions of constants change the latter only.  So two operands are at
 * a known distance if they are formed with the same values.  Numbers below
 * X86_NGPR are what the registers held when the block was entered.
 */
#include "cpu/bt/tr.h"

#define PLACE_FAR  (1 << 28)
#define GROUP_SPAN 1024 /* bytes from the first to the last */

static struct bt_value value_fresh(struct bt_values *v)
{
	return (struct bt_value){v->next++, 0};
}

void bt_values_forget(struct bt_values *v)
{
	for (unsigned r = 0; r < X86_NGPR; r++)
		v->reg[r] = value_fresh(v);
}

void bt_value_new(struct bt_values *v, unsigned reg)
{
	v->reg[reg] = value_fresh(v);
}

static bool value_gpr(const struct x86_opnd *o, unsigned size)
{
	return o->kind == X86_OK_GPR && o->size == size && !o->high8;
}

/* The value that in, writing one whole register, moves or adds to. */
static bool value_moved(const struct bt_values *v, const struct x86_insn *in,
	unsigned off, struct bt_value *to)
{
	const struct x86_opnd *o = in->opnd;
	int64_t by = (int64_t)in->imm;

	if (!in->nopnds || !value_gpr(&o[0], 8))
		return false;
	*to = v->reg[o[0].reg];
	switch (in->op) {
	case X86_OP_MOV:
		if (!value_gpr(&o[1], 8))
			return false;
		*to = v->reg[o[1].reg];
		return true;
	case X86_OP_LEA:
		if (in->index != X86_NOREG || in->asize != 8 ||
			in->base == X86_NOREG)
			return false;
		if (in->base == X86_RIP)
			*to = (struct bt_value){BT_VALUE_RIP, off + in->len};
		else
			*to = v->reg[in->base];
		to->at += in->disp;
		return true;
	case X86_OP_ADD:
	case X86_OP_SUB:
		if (o[1].kind != X86_OK_IMM || by != (int32_t)by)
			return false;
		to->at += in->op == X86_OP_ADD ? by : -by;
		return true;
	case X86_OP_INC: to->at++; return true;
	case X86_OP_DEC: to->at--; return true;
	default: return false;
	}
}

void bt_values_step(
	struct bt_values *v, const struct x86_insn *in, unsigned off)
{
	struct bt_value to;

	if (value_moved(v, in, off, &to)) {
		v->reg[in->opnd[0].reg] = to;
		return;
	}
	if ((in->def->attr & X86_AT_IMPGPR) ||
		(!bt_names_all(in->op) && !(in->def->attr & BT_VECTOR)))
		for (unsigned r = X86_RAX; r <= X86_RBX; r++)
			bt_value_new(v, r);
	for (unsigned n = 0; n < in->nopnds; n++)
		if (in->opnd[n].kind == X86_OK_GPR &&
			(in->opnd[n].access & X86_OA_W))
			bt_value_new(v, in->opnd[n].reg);
}

bool bt_place_counts(const struct bt_tr *t)
{
	bt_emitter *fn = t->emitter[t->i];

	return fn == bt_emit_copy || fn == bt_emit_vec || fn == bt_emit_div ||
	       fn == bt_emit_div_narrow || fn == bt_emit_lea ||
	       fn == bt_emit_nothing || fn == bt_emit_jcc;
}

static bool place_far(int64_t at)
{
	return at > PLACE_FAR || at < -PLACE_FAR;
}

bool bt_place_of(
	const struct bt_tr *t, const struct bt_values *v, struct bt_place *p)
{
	const struct x86_insn *in = &t->insn[t->i];
	const struct bt_plan *plan = &t->plan[t->i];

	if (plan->mem < 0 || plan->masked || in->asize != 8 || in->vsib ||
		(in->def->attr & X86_AT_IMPGPR) || place_far(in->disp) ||
		in->disp_size == 8)
		return false;
	*p = (struct bt_place){.index = BT_VALUE_NONE,
		.size = in->opnd[plan->mem].size,
		.write = plan->write,
		.align = plan->align};
	if (in->seg_override == X86_FS || in->seg_override == X86_GS)
		p->seg = in->seg_override;
	if (in->base == X86_RIP)
		p->base =
			(struct bt_value){BT_VALUE_RIP, t->off[t->i] + in->len};
	else if (in->base == X86_NOREG)
		p->base.id = BT_VALUE_NONE;
	else
		p->base = v->reg[in->base];
	if (in->index != X86_NOREG) {
		p->index = v->reg[in->index].id;
		p->scale = in->scale;
		p->base.at += v->reg[in->index].at * in->scale;
	}
	p->base.at += in->disp;
	return p->size && p->size <= 64 && !place_far(p->base.at);
}

static bool place_same(const struct bt_place *a, const struct bt_place *b)
{
	return a->base.id == b->base.id && a->index == b->index &&
	       a->scale == b->scale && a->seg == b->seg;
}

/* ---- groups ---- */

static struct bt_group *group_find(
	struct bt_groups *all, const struct bt_place *p)
{
	int64_t at = p->base.at, lo, hi;

	for (unsigned n = all->n; n-- > all->open;) {
		struct bt_group *g = &all->group[n];

		lo = at < g->place.base.at ? at : g->place.base.at;
		hi = at + p->size > g->end ? at + p->size : g->end;
		if (place_same(&g->place, p) && hi - lo <= GROUP_SPAN)
			return g;
	}
	return NULL;
}

void bt_groups_init(struct bt_groups *all)
{
	all->n = all->open = 0;
	all->values.next = BT_VALUE_NEW;
	for (unsigned r = 0; r < X86_NGPR; r++)
		all->values.reg[r] = (struct bt_value){r, 0};
}

void bt_group_add(struct bt_tr *t, struct bt_groups *all,
	const struct bt_place *p, bool stack, bool make)
{
	struct bt_member *m = &t->member[t->i][stack];
	struct bt_group *g = place_far(p->base.at) ? NULL : group_find(all, p);

	if (!g) {
		if (!make || place_far(p->base.at) || all->n == BT_GROUPS)
			return;
		g = &all->group[all->n++];
		*g = (struct bt_group){.place = *p, .end = p->base.at};
	}
	m->group = g - all->group + 1;
	m->at = (int32_t)p->base.at;
	if (p->base.at < g->place.base.at)
		g->place.base.at = p->base.at;
	if (p->base.at + p->size > g->end)
		g->end = p->base.at + p->size;
	g->place.write |= p->write;
	g->n++;
}

/*
 * stream.c - loops that walk through memory, checked once for many passes.
 *
 * A block of ring 3 that jumps to itself and whose slots are refilled with one
 * page after the other is given a second translation (BT_KEY_STREAM), to which
 * its jump back leads.  That one begins with a header: for each group of
 * operands that moves by a constant in a pass, or not at all, it looks up the
 * page, keeps the addend, and counts the passes until the group leaves the
 * page.  So many passes run without checks; then comes the header again.
 *
 *	near:	(poll) t0 = address; look it up, or one pass of the other block
 *		addend[k] = ...; left = min(left, passes in the page)
 *		limit = what register r is after so many passes; jmp body
 *	next:	cmp r, limit; je near
 *	body:	instructions ... jcc next
 *
 * What the TLB said stays true until the header, for the reasons of share.c.
 * A header whose count runs out is worth it.  One that others enter again and
 * again, because the loops are short, is given up.
 */
#include "cpu/bt/tr.h"

#define STREAM_STRIDE 512  /* bytes in a pass, at most */
#define STREAM_PASSES 4095 /* without a poll, at most */

/* ---- which loops ---- */

/* What a register, or nothing, moves by in a pass.  False: it is not known. */
static bool stream_moves(
	const struct bt_values *v, unsigned id, unsigned scale, int64_t *by)
{
	if (id < X86_NGPR && v->reg[id].id == id)
		*by += v->reg[id].at * scale;
	else if (id != BT_VALUE_RIP && id != BT_VALUE_NONE)
		return false;
	return true;
}

static bool stream_stride(
	const struct bt_groups *all, const struct bt_group *g, int64_t *by)
{
	const struct bt_place *p = &g->place;

	*by = 0;
	if (p->seg || !stream_moves(&all->values, p->base.id, 1, by) ||
		!stream_moves(&all->values, p->index, p->scale, by))
		return false;
	return *by <= STREAM_STRIDE && *by >= -STREAM_STRIDE &&
	       bt_group_span(g) <= BUS_PAGE_SIZE / 4;
}

/* What must be aligned stays so if the first one is. */
static bool stream_aligned(const struct bt_tr *t, unsigned group,
	struct bt_stream *s, const struct bt_group *g)
{
	for (unsigned i = 0; i < t->n; i++) {
		const struct bt_plan *p = &t->plan[i];
		unsigned size;

		if (t->member[i][0].group != group || !p->align)
			continue;
		size = t->insn[i].opnd[p->mem].size;
		if ((size & (size - 1)) || s->stride % (int)size ||
			(t->member[i][0].at - g->place.base.at) % size)
			return false;
		if (size > s->align)
			s->align = size;
	}
	return true;
}

/* Is the base of all its operands what it was at the beginning, in each pass?
 * Then the addend can hold it, too. */
static bool stream_folds(const struct bt_tr *t, const struct bt_values *v,
	unsigned group, const struct bt_group *g)
{
	unsigned base = g->place.base.id;

	if (g->place.index >= X86_NGPR || base >= X86_NGPR || v->reg[base].at)
		return false;
	for (unsigned i = 0; i < t->n; i++) {
		const struct bt_member *m = &t->member[i][0];

		if (m->group == group &&
			(!m->kept || !bt_by_addend(t, &t->insn[i])))
			return false;
	}
	return true;
}

static void stream_settle(struct bt_tr *t, const struct bt_groups *all)
{
	uint8_t number[BT_GROUPS + 1] = {0};

	t->nstreams = 0;
	for (unsigned n = 0; n < all->n && t->nstreams < BT_STREAM_MOST; n++) {
		const struct bt_group *g = &all->group[n];
		struct bt_stream s = {.base = g->place.base.id,
			.index = g->place.index,
			.scale = g->place.scale,
			.low = (int32_t)g->place.base.at,
			.span = bt_group_span(g),
			.write = g->place.write};
		int64_t by;

		if (!stream_stride(all, g, &by))
			continue;
		s.stride = (int)by;
		s.fold = stream_folds(t, &all->values, n + 1, g);
		if (!stream_aligned(t, n + 1, &s, g))
			continue;
		t->streams[t->nstreams] = s;
		number[n + 1] = ++t->nstreams;
	}
	for (unsigned i = 0; i < t->n; i++)
		t->member[i][0].group = number[t->member[i][0].group];
}

/* A register that moves in each pass: those left are known by it. */
static bool stream_counts(struct bt_tr *t, const struct bt_values *v)
{
	for (unsigned r = 0; r < X86_NGPR; r++) {
		int64_t by = v->reg[r].at;

		if (v->reg[r].id != r || !by || by > STREAM_STRIDE ||
			by < -STREAM_STRIDE)
			continue;
		t->stream_reg = r;
		t->stream_by = (int)by;
		return true;
	}
	return false;
}

/* The first jump to the block's own beginning, or -1. */
static int stream_back(const struct bt_tr *t)
{
	for (unsigned i = 0; i < t->n; i++) {
		const struct x86_insn *in = &t->insn[i];

		if ((in->op == X86_OP_JCC || in->op == X86_OP_JMP_REL) &&
			bt_branch_to(t, in, t->off[i]) == t->b->off)
			return i;
	}
	return -1;
}

static void stream_keeps(struct bt_tr *t, const struct bt_values *v)
{
	unsigned r = t->insn[t->i].base;

	t->member[t->i][0].kept =
		r < X86_NGPR && v->reg[r].id == r && !v->reg[r].at;
}

/* Plan the first n instructions, the last of which jumps back. */
static bool stream_plan(struct bt_tr *t, unsigned n)
{
	struct bt_groups all;
	struct bt_place p;

	memset(t->member, 0, t->n * sizeof(t->member[0]));
	bt_groups_init(&all);
	for (t->i = 0; t->i + 1 < n; t->i++) {
		if (!bt_place_counts(t))
			return false;
		if (bt_place_of(t, &all.values, &p))
			bt_group_add(t, &all, &p, false, true);
		stream_keeps(t, &all.values);
		bt_values_step(&all.values, &t->insn[t->i], t->off[t->i]);
	}
	if (!stream_counts(t, &all.values))
		return false;
	stream_settle(t, &all);
	return t->nstreams;
}

static bool stream_may(const struct bt_tr *t)
{
	return t->loop && t->code64 && !t->single && !t->step && !t->check &&
	       t->page2 == BT_PAGE_NONE && t->mode == SOFT_USER && !t->live[0];
}

void bt_stream_offer(struct bt_tr *t)
{
	uint64_t page = t->b->ram_page;
	int back;

	if (!stream_may(t) || !bt_marked(t->vm, BT_STREAM, page, t->b->off) ||
		bt_marked(t->vm, BT_NO_STREAM, page, t->b->off))
		return;
	back = stream_back(t);
	t->stream_back = back >= 0 && stream_plan(t, back + 1);
}

bool bt_stream_plan(struct bt_tr *t)
{
	int back = stream_back(t);

	t->nstreams = 0;
	if (back < 0)
		return false;
	t->n = back + 1;
	t->end = t->off[back] + t->insn[back].len;
	t->ended = true;
	t->straddle = false;
	bt_flags_liveness(t);
	return stream_may(t) && stream_plan(t, t->n);
}

/* ---- the header ---- */

/* bt_share_word: of the limit (0) and of the addend of stream k - 1 (k). */

/* T0 = address of the group's lowest byte in this pass */
static void stream_address(struct bt_tr *t, const struct bt_stream *s)
{
	struct x86_insn in = {.asize = 8,
		.base = s->base < X86_NGPR ? s->base : X86_NOREG,
		.index = s->index < X86_NGPR ? s->index : X86_NOREG,
		.scale = s->scale,
		.disp = s->low};

	if (s->base == BT_VALUE_RIP)
		bt_emit_rip(t, BT_T0, s->low);
	else
		bt_effective(t, &in, BT_T0);
}

/* T0 = offset in the page.  T1 = passes that can follow the next one. */
static void stream_passes(struct bt_tr *t, const struct bt_stream *s)
{
	unsigned by = s->stride < 0 ? -s->stride : s->stride;
	struct emit *e = &t->hot;

	if (s->stride > 0) {
		em_mov_ri(e, BT_T1, BUS_PAGE_SIZE - s->span);
		em_op_rr(e, 4, 0x2b, BT_T1, BT_T0);
	} else {
		em_mov_rr(e, 4, BT_T1, BT_T0);
	}
	if (by == 1)
		return;
	em_op_rr(e, 4, 0x69, BT_T1, BT_T1); /* imul */
	em_32(e, 65536 / by);
	em_op_rr(e, 4, 0xc1, 5, BT_T1); /* shr */
	em_8(e, 16);
}

/* T1 += the guest's register */
static void stream_add(struct bt_tr *t, unsigned g)
{
	if (bt_reg[g] == BT_HOMED)
		em_op_rm(&t->hot, 8, 0x03, BT_T1, bt_home(g));
	else
		em_op_rr(&t->hot, 8, 0x03, BT_T1, bt_reg[g]);
}

/* Jumps to where it fails go to fail[]. */
static unsigned stream_check(struct bt_tr *t, unsigned k, uint8_t **fail)
{
	const struct bt_stream *s = &t->streams[k];
	struct emit *e = &t->hot;
	unsigned n = 0;

	stream_address(t, s);
	fail[n++] = bt_check_tlb(t, s->span, s->write);
	if (s->align)
		fail[n++] = bt_test_align(t, s->align, BT_T0);
	em_load(e, 8, BT_T1, em_sib(H_RSP, BT_T1, 1, bt_tlb(t, s->write) + 8));
	if (s->fold)
		stream_add(t, s->base);
	em_store(e, 8, bt_at_rsp(bt_share_word(k + 1)), BT_T1);
	return n;
}

static void stream_count(struct bt_tr *t, const struct bt_stream *s)
{
	struct emit *e = &t->hot;
	uint8_t *over;

	if (!s->stride)
		return;
	stream_passes(t, s);
	em_op_rm(e, 4, 0x3b, BT_T1, bt_at_rsp(BT_AREA(stream_left)));
	over = em_jcc(e, CC_AE, e->p);
	em_store(e, 4, bt_at_rsp(BT_AREA(stream_left)), BT_T1);
	em_patch(over, e->p);
}

/* The register when as many passes as are left have followed the next one. */
static void stream_limit(struct bt_tr *t)
{
	struct emit *e = &t->hot;

	em_op_rm(e, 8, 0x69, BT_T1, bt_at_rsp(BT_AREA(stream_left))); /* imul */
	em_32(e, t->stream_by);
	stream_add(t, t->stream_reg);
	em_alu_ri(e, 8, EM_ADD, BT_T1, t->stream_by);
	em_store(e, 8, bt_at_rsp(bt_share_word(0)), BT_T1);
}

/* Is it the limit?  Then jump there. */
static void stream_next(struct bt_tr *t, const uint8_t *ends)
{
	struct emit *e = &t->hot;
	unsigned r = bt_reg[t->stream_reg];

	if (r == BT_HOMED) {
		em_load(e, 8, BT_T1, bt_home(t->stream_reg));
		r = BT_T1;
	}
	em_op_rm(e, 8, 0x3b, r, bt_at_rsp(bt_share_word(0)));
	em_jcc(e, CC_E, ends);
}

/* Vector registers are live in each pass then. */
static void stream_live(struct bt_tr *t)
{
	for (unsigned i = 0; i < t->n; i++)
		if (t->emitter[i] == bt_emit_vec)
			bt_emit_live_for(t, &t->insn[i]);
}

void bt_stream_header(struct bt_tr *t)
{
	uint8_t *fail[2 * BT_SHARES], *body, *ends;
	struct emit *e = &t->hot;
	struct bt_cold *cold;
	int32_t trips = BT_AREA(stream_trips) +
			(int32_t)(t->vm->stream_next++ % BT_STREAMS);
	unsigned n = 0;

	em_op_rm(e, 4, 0x80, EM_ADD, bt_at_rsp(trips));
	em_8(e, 1);
	cold = bt_cold(t, BT_TH_SHORT, em_jcc(e, CC_S, e->p));
	cold->data[0] = BT_INFO(t->b->off, 0, 0);
	cold->data[1] = trips;
	stream_live(t);
	em_mov_mi(e, 8, bt_at_rsp(BT_AREA(stream_left)), STREAM_PASSES);
	for (unsigned k = 0; k < t->nstreams; k++) {
		n += stream_check(t, k, fail + n);
		stream_count(t, &t->streams[k]);
	}
	stream_limit(t);
	body = em_jmp(e, e->p);
	for (unsigned i = 0; i < n; i++)
		em_patch(fail[i], e->p);
	bt_exit_jump(t, -1, t->b->off);
	ends = e->p;
	em_op_rm(e, 4, 0xc6, 0, bt_at_rsp(trips));
	em_8(e, 0);
	em_jmp(e, t->b->near_entry);
	t->stream_next = e->p;
	stream_next(t, ends);
	em_patch(body, e->p);
}

/* ---- accesses ---- */

bool bt_stream(
	struct bt_tr *t, const struct x86_insn *in, struct bt_access *acc)
{
	unsigned k = t->member[t->i][0].group;
	struct emit *e = &t->hot;

	if (!k)
		return false;
	if (bt_by_addend(t, in)) {
		if (t->held != k)
			em_load(e, 8, BT_T1, bt_at_rsp(bt_share_word(k)));
		t->held = k;
		if (t->streams[k - 1].fold) {
			acc->m = em_sib(
				BT_T1, bt_reg[in->index], in->scale, in->disp);
			acc->free = BT_T0;
			return true;
		}
		bt_access_base(t, in, acc);
		if (in->index != X86_NOREG)
			t->held = 0;
		return true;
	}
	bt_linear(t, in, BT_T0);
	em_load(e, 8, BT_T1, bt_at_rsp(bt_share_word(k)));
	em_lea(e, 8, BT_T0, em_sib(BT_T0, BT_T1, 1, 0));
	acc->m = em_at(BT_T0, 0);
	acc->free = BT_T1;
	t->held = 0;
	return true;
}

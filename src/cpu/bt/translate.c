/*
 * translate.c - one block, from guest bytes to linked host code.
 *
 * A block starts with an entry for the jump cache (T0 = RIP) followed by the
 * one for links:
 *
 *	far:	and t0, -4096; mov [rip_base], t0
 *		(load flags, or jump over their saving)
 *	near:	(save flags)
 *		(poll, if an exit leads backwards)
 *		instructions ...
 *
 * It goes on behind conditional branches that are not taken, up to the end of
 * the page.  An instruction that crosses it begins another block, which first
 * asks the TLB whether the second page is the one that it was made from, and
 * may go on there.
 */
#include <stdlib.h>

#include "cpu/bt/tr.h"

struct bt_cold *bt_cold(struct bt_tr *t, unsigned thunk, uint8_t *disp)
{
	struct bt_cold *cold = &t->coldrec[t->ncold++];

	memset(cold, 0, sizeof(*cold));
	cold->thunk = thunk;
	cold->insn = t->i;
	cold->mode = t->mode;
	cold->key = t->key;
	if (disp)
		cold->patch[cold->npatch++] = disp;
	return cold;
}

uint32_t bt_info(struct bt_tr *t)
{
	return BT_INFO(t->off[t->i], t->step ? t->i : 0, t->insn[t->i].len);
}

struct bt_tr *bt_tr_new(void)
{
	return calloc(1, sizeof(struct bt_tr));
}

void bt_tr_free(struct bt_tr *t)
{
	free(t);
}

/* ---- decoding ---- */

/* May the block go on behind this branch? */
static bool bt_go_on(struct bt_tr *t, const struct x86_insn *in, unsigned i)
{
	int64_t next = t->off[i] + in->len, to = bt_branch_to(t, in, t->off[i]);

	if (t->step || in->op != X86_OP_JCC)
		return false;
	if (to < 0 || to >= (int64_t)BUS_PAGE_SIZE ||
		next >= (int64_t)BUS_PAGE_SIZE)
		return false;
	return !bt_block_lookup(t->vm, t->b->ram_page, next, t->key);
}

/* The block depends on the bytes up to end. */
static void bt_depend(struct bt_tr *t, unsigned end)
{
	unsigned first = t->b->off >> 6, last;

	if (end > BUS_PAGE_SIZE) {
		last = (end - BUS_PAGE_SIZE - 1) >> 6;
		t->b->mask2 |= ~0ull >> (63 - last);
		end = BUS_PAGE_SIZE;
	}
	last = (end - 1) >> 6;
	t->b->mask |= ~0ull << first & ~0ull >> (63 - last);
}

/* Where the direct jump at off goes. */
static int64_t bt_jumps_to(
	struct bt_tr *t, const struct x86_insn *in, unsigned off)
{
	switch (in->op) {
	case X86_OP_JCC:
	case X86_OP_JMP_REL:
	case X86_OP_LOOP:
	case X86_OP_JCXZ: return (int64_t)((uint64_t)off + in->len + in->imm);
	default: return -1;
	}
}

/* The same by a link: the jump cache looks for events itself. */
static int64_t bt_linked_to(
	struct bt_tr *t, const struct x86_insn *in, unsigned off)
{
	switch (in->op) {
	case X86_OP_JCC:
	case X86_OP_JMP_REL:
	case X86_OP_CALL_REL:
	case X86_OP_LOOP:
	case X86_OP_JCXZ: return bt_branch_to(t, in, off);
	default: return -1;
	}
}

/* Loops of ring 3 gain from long blocks; the kernel is mostly passed through.
 */
static unsigned bt_max_insns(const struct bt_tr *t)
{
	return t->mode == SOFT_USER && !t->step ? BT_MAX_INSNS
						: BT_KERNEL_INSNS;
}

/* Read once: the guest may change it while we look. */
static void bt_copy_more(struct bt_tr *t, unsigned off)
{
	unsigned n = BT_COPY_STEP;

	if (off + BT_FORM_BYTES <= t->copied || t->copied == t->page_end)
		return;
	if (n > t->page_end - t->copied)
		n = t->page_end - t->copied;
	memcpy(t->copy + (t->copied - t->b->off), t->live_page + t->copied, n);
	t->copied += n;
}

/* A branch at off that ends what can be decoded in one go. */
static bool bt_branches(
	struct bt_tr *t, const struct x86_insn *in, unsigned exits)
{
	unsigned off = t->off[t->n];
	int64_t to;

	if (bt_jumps_to(t, in, off) == t->b->off)
		t->loop = true;
	to = bt_linked_to(t, in, off);
	t->back |= to >= 0 && to <= (int64_t)off;
	return exits + 1 >= BT_MAX_BRANCHES || !bt_go_on(t, in, t->n);
}

static void bt_decode(struct bt_tr *t, unsigned off)
{
	unsigned exits = 0, most = bt_max_insns(t);
	bool ends = false;

	while (!ends && t->n < most && off < t->page_end) {
		struct x86_insn *in = &t->insn[t->n];
		const struct bt_form *f;

		if (t->n && bt_stops_at(t->vm, off))
			break;
		bt_copy_more(t, off);
		t->i = t->n;
		t->off[t->n] = off;
		f = bt_form_at(t, t->page + off, t->page_end - off, in);
		if (!f) {
			/* the rest of the page, or #UD */
			if (!t->n)
				t->straddle = true;
			break;
		}
		ends = f->ends;
		t->emitter[t->n] = f->emitter;
		t->plan[t->n] = f->plan;
		t->reads[t->n] = f->reads;
		t->kills[t->n] = bt_form_kills(f, in);
		if (t->check)
			bt_check_classify(t, in);
		if (ends)
			ends = bt_branches(t, in, ++exits);
		off += in->len;
		t->n++;
		if (t->check_ends)
			break;
	}
	bt_depend(t, t->n ? off : off + 1);
	t->end = off;
	t->ended = ends;
	if (t->loop)
		memset(t->slot, 0, sizeof(t->slot));
}

/* ---- entries ---- */

enum bt_entry { BT_EN_NONE, BT_EN_SAVE, BT_EN_HOST };

/* What the block does first with the flags that it needs. */
static enum bt_entry bt_entry_kind(struct bt_tr *t, bool poll)
{
	if (!t->live[0])
		return BT_EN_NONE;
	if (poll || t->straddle || t->page2 != BT_PAGE_NONE)
		return BT_EN_SAVE;
	for (unsigned i = 0; i < t->n; i++) {
		const struct x86_insn *in = &t->insn[i];
		uint32_t written =
			(in->def->flags_written | in->def->flags_undef) &
			X86_FL_ARITH;

		if (in->has_mem || (in->def->attr & X86_AT_STACK) ||
			t->emitter[i] == bt_emit_interp ||
			t->emitter[i] == bt_emit_interp_end ||
			t->emitter[i] == bt_emit_vec ||
			t->emitter[i] == bt_emit_control ||
			t->emitter[i] == bt_emit_div ||
			t->emitter[i] == bt_emit_div_narrow ||
			t->emitter[i] == bt_emit_sys)
			return BT_EN_SAVE;
		if (bt_flags_read(in) || written)
			return BT_EN_HOST;
	}
	return BT_EN_SAVE;
}

/* Is the second page still mapped behind the first one? */
static void bt_emit_page2(struct bt_tr *t)
{
	struct emit *e = &t->hot;
	int32_t tlb =
		(int32_t)(offsetof(struct soft_cpu, tlb) +
			  (t->mode * SOFT_NACCESS + SOFT_EXEC) * SOFT_TLB_SIZE *
				  sizeof(struct soft_tlb_entry));
	struct bt_cold *cold;

	em_load(e, 8, BT_T0, bt_at_rsp(BT_NEAR(rip_base)));
	em_lea(e, 8, BT_T0, em_at(BT_T0, BUS_PAGE_SIZE));
	if (t->segs)
		em_op_rm(e, 4, 0x03, BT_T0, bt_at_rsp(BT_SEG(X86_CS, base)));
	em_mov_rr(e, 4, BT_T1, BT_T0);
	em_op_rr(e, 4, 0xc1, 5, BT_T1); /* shr */
	em_8(e, 7);
	em_alu_ri(e, 4, EM_AND, BT_T1, (SOFT_TLB_SIZE - 1) << 5);
	em_op_rm(e, 8, 0x3b, BT_T0, em_sib(H_RSP, BT_T1, 1, tlb));
	cold = bt_cold(t, BT_TH_PAGE, em_jcc(e, CC_NE, e->p));
	cold->data[0] = BT_INFO(t->b->off, 0, 0);
	em_mov_ri(e, BT_T0,
		(uintptr_t)t->vm->soft.ram_host +
			((uint64_t)t->page2 << BUS_PAGE_SHIFT));
	em_op_rm(e, 8, 0x3b, BT_T0, em_sib(H_RSP, BT_T1, 1, tlb + 8));
	cold->patch[cold->npatch++] = em_jcc(e, CC_NE, e->p);
}

static void bt_emit_entries(struct bt_tr *t)
{
	struct emit *e = &t->hot;
	bool poll = !t->step && t->back;
	enum bt_entry kind = bt_entry_kind(t, poll || t->check);
	uint8_t *over = NULL;
	struct bt_cold *cold;

	if (t->check)
		bt_emit_check_fail(t);
	while ((uintptr_t)e->p & 15)
		em_8(e, 0xcc);
	t->b->far_entry = e->p;
	if (t->segs) {
		em_mov_mi(e, 8, bt_at_rsp(BT_NEAR(rip_base)),
			(int32_t)(t->key >> 32));
	} else {
		em_alu_ri(e, 8, EM_AND, BT_T0, -(int32_t)BUS_PAGE_SIZE);
		em_store(e, 8, bt_at_rsp(BT_NEAR(rip_base)), BT_T0);
	}
	if (kind == BT_EN_HOST)
		bt_emit_flags_load(e, BT_T1);
	else if (kind == BT_EN_SAVE)
		over = em_jmp(e, e->p);
	t->b->near_entry = e->p;
	if (kind == BT_EN_SAVE) {
		bt_emit_flags_save(e);
		em_patch(over, e->p);
	}
	t->fl = kind == BT_EN_HOST ? BT_FL_HOST : BT_FL_SAVED;
	t->i = 0;
	if (poll) {
		em_alu_mi(e, 4, EM_CMP, bt_at_rsp(BT_NEAR(poll)), 0);
		cold = bt_cold(t, BT_TH_POLL, em_jcc(e, CC_NE, e->p));
		cold->data[0] = BT_INFO(t->b->off, 0, 0);
	}
	if (t->page2 < t->vm->npages)
		bt_emit_page2(t);
	if (t->check)
		bt_emit_check(t);
	if (t->stream)
		bt_stream_header(t);
}

/* ---- rare paths ---- */

uint32_t bt_to_next(const struct bt_tr *t, unsigned n, const uint8_t *site)
{
	return t->ended && n + 1u == t->n ? 0 : (uint32_t)(t->at[n + 1] - site);
}

static void bt_emit_cold(struct bt_tr *t, const struct bt_cold *r)
{
	struct emit *e = &t->cold;
	const uint8_t *site;

	for (unsigned i = 0; i < r->npatch; i++)
		em_patch(r->patch[i], e->p);
	if (r->slot) {
		bt_access_cold(t, r);
		return;
	}
	if (r->thunk == BT_TH_SPAN) {
		bt_share_cold(t, r);
		return;
	}
	if (r->thunk == BT_TH_LINK)
		t->vm->exits[r->data[0]].stub = e->p;
	if (r->thunk == BT_TH_MISS && (r->data[0] & BT_INFO_STACK))
		em_call(e, t->vm->stack_miss[r->mode]
					    [!!(r->data[0] & BT_INFO_WRITE)]);
	else
		em_call(e, t->vm->thunk[r->thunk]);
	site = e->p;
	switch ((enum bt_thunk)r->thunk) {
	case BT_TH_MISS:
		em_32(e, r->data[0]);
		em_32(e, (uint32_t)(r->retry - site));
		em_32(e, bt_to_next(t, r->insn, site));
		break;
	case BT_TH_INTERP:
		em_32(e, r->data[0]);
		em_32(e, bt_to_next(t, r->insn, site));
		break;
	case BT_TH_SYS:
		em_32(e, r->data[0]);
		em_32(e, r->data[1]);
		break;
	case BT_TH_JC:
		em_32(e, r->data[0]);
		em_32(e, r->data[1]);
		em_32(e, r->key);
		break;
	case BT_TH_SHORT:
		em_32(e, r->data[0]);
		em_32(e, r->data[1]);
		em_32(e, t->b - t->vm->blocks);
		break;
	case BT_TH_PAUSE:
	case BT_TH_FPU:
		em_32(e, (uint32_t)(r->retry - site));
		em_32(e, r->data[0]);
		break;
	default: em_32(e, r->data[0]); break;
	}
}

/* ---- all of it ---- */

static void bt_emit_body(struct bt_tr *t)
{
	for (t->i = 0; t->i < t->n; t->i++) {
		t->at[t->i] = t->hot.p;
		t->emitter[t->i](t, &t->insn[t->i]);
		if (!bt_share_holds(t))
			t->held = 0;
	}
	if (t->straddle) {
		/* off[0] is where it starts */
		em_call(&t->hot, t->vm->thunk[BT_TH_INTERP]);
		em_32(&t->hot, BT_INFO(t->off[0], 0, 0));
		em_32(&t->hot, 0);
	} else if (!t->ended) {
		t->i = t->n - 1;
		t->at[t->n] = t->hot.p;
		bt_emit_goto(t, t->end);
		return;
	}
	t->at[t->n] = t->hot.p;
}

static void bt_tr_init(struct bt_tr *t, struct soft_cpu *c, bt_key_t key)
{
	struct cpu_vm *vm = bt_vm(c);

	t->c = c;
	t->vm = vm;
	t->b = &vm->blocks[vm->nblocks];
	t->key = key & ~(bt_key_t)(BT_KEY_SINGLE | BT_KEY_STREAM);
	t->single = key & BT_KEY_SINGLE;
	t->stream = key & BT_KEY_STREAM;
	t->stream_back = false;
	t->stream_next = NULL;
	t->held = 0;
	t->code_size = 2u << (key & BT_KEY_SIZE);
	t->code64 = t->code_size == 8;
	t->segs = key & BT_KEY_SEGS;
	t->step = key & BT_KEY_STEP;
	t->mode = (key & BT_KEY_MODE) >> BT_KEY_MODE_SHIFT;
	t->hot.p = vm->hot;
	t->cold.p = vm->cold;
	t->n = t->ncold = 0;
	t->loop = false;
	t->back = false;
	t->straddle = t->ended = false;
	t->rsp_by = 0;
	t->fpu_checked = 0;
	t->x87_page = false;
	t->check_ends = false;
	t->check_skip = 0;
}

static void bt_copy_code(struct bt_tr *t, const struct bt_at *at)
{
	unsigned n = BUS_PAGE_SIZE - at->off, m;
	unsigned most = bt_max_insns(t) == BT_MAX_INSNS ? BT_COPY : 208;

	if (n > most)
		n = most;
	t->live_page = t->vm->soft.ram_host + (at->ram_page << BUS_PAGE_SHIFT);
	t->page = t->copy - at->off;
	t->page_end = at->off + n;
	t->copied = at->off;
	t->page2 = at->page2;
	if (at->page2 >= t->vm->npages)
		return;
	memcpy(t->copy, t->live_page + at->off, n);
	m = most - n;
	memcpy(t->copy + n,
		t->vm->soft.ram_host + ((uint64_t)at->page2 << BUS_PAGE_SHIFT),
		m);
	t->page_end += m;
	t->copied = t->page_end;
}

struct bt_block *bt_translate(
	struct soft_cpu *c, const struct bt_at *at, bt_key_t key, bool checked)
{
	struct cpu_vm *vm = bt_vm(c);
	struct bt_tr *t = vm->tr;
	struct bt_block *b;

	bt_tr_init(t, c, key);
	b = t->b;
	memset(b, 0, sizeof(*b));
	b->ram_page = at->ram_page;
	b->off = at->off;
	b->page2 = at->page2;
	b->key = key;
	b->first_exit = vm->nexits;
	bt_copy_code(t, at);
	b->checked = t->check = checked;

	bt_decode(t, at->off);
	bt_flags_liveness(t);
	t->stream = t->stream && bt_stream_plan(t);
	if (!t->stream) {
		bt_stream_offer(t);
		bt_share_plan(t);
	}
	b->live_in = t->live[0];
	bt_emit_entries(t);
	bt_emit_body(t);
	for (unsigned i = 0; i < t->ncold; i++)
		bt_emit_cold(t, &t->coldrec[i]);

	if (checked) {
		b->mask = b->mask2 = 0;
		vm->counters[BT_VMC_CHECKED]++;
	}
	vm->counters[BT_VMC_STREAMS] += t->stream;
	b->ninsns = t->n ? t->n : 1;
	b->valid = true;
	vm->counters[BT_VMC_BLOCKS]++;
	vm->counters[BT_VMC_INSNS] += b->ninsns;
	vm->counters[BT_VMC_BYTES] +=
		(t->hot.p - vm->hot) + (t->cold.p - vm->cold);
	vm->hot = t->hot.p;
	vm->cold = t->cold.p;
	vm->nblocks++;
	return b;
}

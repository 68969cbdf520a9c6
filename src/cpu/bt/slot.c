/*
 * slot.c - caches of one region each, for the sites of memory accesses.
 *
 * In a block of ring 3 that jumps to itself, a base register has slots, by
 * access and size, that remember the page which it pointed to last.  To hit
 * costs no look-up by address, so no latency. Where addresses jump about, so
 * that refills come in quick succession, the block is made anew with a look-up
 * in the TLB for that instruction.
 *
 * Other code has none: where each site is passed once in a while, entries of
 * the TLB are shared by more of them, and survive more.
 */
#include "cpu/bt/tr.h"

/* Slots for each size of access, reads and writes. */
static const uint16_t slot_counts[2][BT_SLOT_SIZES] = {
	{192, 64, 512, 640, 96, 64, 32},
	{48, 32, 128, 192, 24, 16, 7},
};

static unsigned slot_first(unsigned write, unsigned log)
{
	unsigned n = 1;

	for (unsigned w = 0; w < 2; w++)
		for (unsigned i = 0; i < BT_SLOT_SIZES; i++) {
			if (w == write && i == log)
				return n;
			n += slot_counts[w][i];
		}
	return n;
}

#define SLOTS_WRITE slot_first(1, 0)

static unsigned mark_hash(uint64_t ram_page, unsigned off)
{
	return ((ram_page << BUS_PAGE_SHIFT | off) * 0x9e3779b97f4a7c15ull >>
		       40) %
	       BT_MARKS;
}

void bt_mark(
	struct cpu_vm *vm, enum bt_mark what, uint64_t ram_page, unsigned off)
{
	unsigned h = mark_hash(ram_page, off);

	vm->marks[what][h / 64] |= 1ull << (h % 64);
}

bool bt_marked(const struct cpu_vm *vm, enum bt_mark what, uint64_t ram_page,
	unsigned off)
{
	unsigned h = mark_hash(ram_page, off);

	return vm->marks[what][h / 64] >> (h % 64) & 1;
}

/* Accesses in a block from the same base register share a slot. */
static int32_t *slot_shared(
	struct bt_tr *t, const struct x86_insn *in, unsigned log, bool write)
{
	unsigned base = in->base < X86_NGPR ? in->base : X86_NGPR;

	return &t->slot[base][write][log];
}

int32_t bt_slot_new(
	struct bt_tr *t, const struct x86_insn *in, unsigned size, bool write)
{
	unsigned log = __builtin_ctz(size), n;
	int32_t *slot;

	if (!t->loop || t->mode != SOFT_USER || (size & (size - 1)) ||
		log >= BT_SLOT_SIZES ||
		bt_marked(t->vm, BT_NO_SLOT, t->b->ram_page, t->off[t->i]))
		return 0;
	slot = slot_shared(t, in, log, write);
	if (*slot && in->base != X86_NOREG)
		return *slot;
	n = t->vm->slot_next[write][log]++ % slot_counts[write][log];
	*slot = BT_AREA(slot) + (int32_t)((slot_first(write, log) + n) *
					  sizeof(struct bt_slot));
	return *slot;
}

static void slot_empty(struct bt_slot *s)
{
	__atomic_store_n(&s->lim, 0, __ATOMIC_RELAXED);
	s->credit = BT_SLOT_CREDIT;
	s->seq = BT_SLOT_SEQ;
}

void bt_slots_init(struct soft_cpu *c)
{
	for (unsigned i = 0; i < BT_NSLOTS; i++)
		slot_empty(&bt_area(c)->slot[i]);
}

void bt_slots_flush(struct soft_cpu *c)
{
	struct bt_area *a = bt_area(c);

	if (a->nfilled > BT_SLOT_JOURNAL)
		bt_slots_init(c);
	else
		for (unsigned i = 0; i < a->nfilled; i++)
			slot_empty((struct bt_slot *)(void *)((uint8_t *)c +
							      a->filled[i]));
	a->nfilled = 0;
}

bool bt_slots_drop(struct soft_cpu *c, uintptr_t host)
{
	struct bt_slot *s = bt_area(c)->slot;
	bool found = false;

	for (unsigned i = SLOTS_WRITE; i < BT_NSLOTS; i++) {
		uint64_t lim = __atomic_load_n(&s[i].lim, __ATOMIC_RELAXED);

		/* lim is the region's bytes, less up to 63 */
		if (!lim || host - (s[i].lo + s[i].addend) > lim + 63)
			continue;
		__atomic_store_n(&s[i].lim, 0, __ATOMIC_SEQ_CST);
		found = true;
	}
	return found;
}

/* ---- stubs ---- */

/* Displacement while the return address of the call is on the stack. */
#define BELOW(disp) em_at(H_RSP, (disp) + 8)

/* RCX = the slot's displacement.  Refilled too often in quick succession? */
static uint8_t *slot_emit_judge(struct emit *e)
{
	int32_t last = (int32_t)offsetof(struct bt_slot, last) + 8;
	int32_t credit = (int32_t)offsetof(struct bt_slot, credit) + 8;
	uint8_t *late, *spent;

	em_store(e, 8, BELOW(BT_AREA(tmp)), H_RDX);
	em_16(e, 0x310f); /* rdtsc */
	em_mov_rr(e, 4, H_RDX, H_RAX);
	em_op_rm(e, 4, 0x2b, H_RDX, em_sib(H_RSP, H_RCX, 1, last));
	em_store(e, 4, em_sib(H_RSP, H_RCX, 1, last), H_RAX);
	em_alu_ri(e, 4, EM_CMP, H_RDX, BT_SLOT_TICKS);
	em_load(e, 8, H_RDX, BELOW(BT_AREA(tmp)));
	late = em_jcc(e, CC_A, e->p);
	em_alu_mi(e, 4, EM_SUB, em_sib(H_RSP, H_RCX, 1, credit), 1);
	spent = em_jcc(e, CC_S, e->p);
	em_patch(late, e->p);
	return spent;
}

/* RCX = the slot's displacement, RAX = the words, T0 = address, T1 = addend.
 * Afterwards T0 = how far the region has moved. */
static void slot_store(struct emit *e)
{
	int32_t lo = (int32_t)offsetof(struct bt_slot, lo) + 8;
	int32_t lim = (int32_t)offsetof(struct bt_slot, lim) + 8;
	int32_t addend = (int32_t)offsetof(struct bt_slot, addend) + 8;

	em_alu_ri(e, 8, EM_AND, BT_T0, -(int32_t)BUS_PAGE_SIZE);
	em_op_rm(e, 8, 0x2b, BT_T0, em_sib(H_RSP, H_RCX, 1, lo));
	em_op_rm(e, 8, 0x01, BT_T0, em_sib(H_RSP, H_RCX, 1, lo));
	em_store(e, 8, em_sib(H_RSP, H_RCX, 1, addend), BT_T1);
	em_mov_ri(e, BT_T1, BUS_PAGE_SIZE + 1);
	em_op_rm(e, 4, 0x2b, BT_T1, em_at(H_RAX, 12)); /* less the size */
	em_store(e, 8, em_sib(H_RSP, H_RCX, 1, lim), BT_T1);
}

/* RCX = the slot's displacement, T0 as above.  The jump of who has come from
 * the page before or behind often enough. */
static uint8_t *slot_emit_walk(struct emit *e)
{
	int32_t seq = (int32_t)offsetof(struct bt_slot, seq) + 8;
	uint8_t *other, *walks;

	em_alu_ri(e, 8, EM_ADD, BT_T0, BUS_PAGE_SIZE);
	em_alu_ri(e, 8, EM_AND, BT_T0, ~(2 * (int32_t)BUS_PAGE_SIZE));
	other = em_jcc(e, CC_NE, e->p);
	em_alu_mi(e, 4, EM_SUB, em_sib(H_RSP, H_RCX, 1, seq), 1);
	walks = em_jcc(e, CC_S, e->p);
	em_patch(other, e->p);
	return walks;
}

static void slot_log(struct emit *e)
{
	uint8_t *full;

	em_load(e, 4, BT_T1, BELOW(BT_AREA(nfilled)));
	em_alu_mi(e, 4, EM_ADD, BELOW(BT_AREA(nfilled)), 1);
	em_alu_ri(e, 4, EM_CMP, BT_T1, BT_SLOT_JOURNAL - 1);
	full = em_jcc(e, CC_A, e->p);
	em_store(e, 4, em_sib(H_RSP, BT_T1, 4, BT_AREA(filled) + 8), H_RCX);
	em_patch(full, e->p);
}

/* Called with T0 = address, T1 = addend.  Words behind the call: block, where
 * to try again, slot, size, page offset. */
void bt_slot_stub(struct cpu_vm *vm, struct emit *e)
{
	uint8_t *spent, *walks;

	em_store(e, 8, BELOW(BT_AREA(save0)), H_RAX);
	em_store(e, 8, BELOW(BT_AREA(save1)), H_RCX);
	em_load(e, 8, H_RAX, em_at(H_RSP, 0));
	em_op_rm(e, 8, 0x63, H_RCX, em_at(H_RAX, 8)); /* movsxd */
	spent = slot_emit_judge(e);
	em_load(e, 8, H_RAX, em_at(H_RSP, 0));
	slot_store(e);
	slot_log(e);
	walks = slot_emit_walk(e);
	em_op_rm(e, 8, 0x63, H_RCX, em_at(H_RAX, 4)); /* movsxd */
	em_op_rr(e, 8, 0x03, H_RAX, H_RCX);
	em_store(e, 8, em_at(H_RSP, 0), H_RAX);
	em_load(e, 8, H_RAX, BELOW(BT_AREA(save0)));
	em_load(e, 8, H_RCX, BELOW(BT_AREA(save1)));
	em_lea(e, 8, H_RSP, em_at(H_RSP, 8));
	em_jmp_mem(e, em_at(H_RSP, -8));

	em_patch(spent, e->p);
	em_load(e, 8, H_RAX, BELOW(BT_AREA(save0)));
	em_load(e, 8, H_RCX, BELOW(BT_AREA(save1)));
	em_jmp(e, vm->thunk[BT_TH_BAN]);

	em_patch(walks, e->p);
	em_load(e, 8, H_RAX, BELOW(BT_AREA(save0)));
	em_load(e, 8, H_RCX, BELOW(BT_AREA(save1)));
	em_jmp(e, vm->thunk[BT_TH_STREAM]);
}

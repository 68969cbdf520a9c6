/*
 * tr.h - the translation of one block in progress.
 *
 * First the instructions are decoded up to the end of the block, then the
 * liveness of arithmetic flags is computed backwards, then code is emitted
 * forwards.  Checks of memory accesses destroy EFLAGS; flags that are live
 * across one are saved before.
 */
#ifndef CPU_BT_TR_H
#define CPU_BT_TR_H

#include "cpu/bt/priv.h"

#define BT_VECTOR                                                              \
	(X86_AT_MMX | X86_AT_SSE | X86_AT_AVX | X86_AT_AVX512 | X86_AT_X87)

#define BT_MAX_COLD (BT_MAX_INSNS * 6 + 16)

enum bt_flags_at {
	BT_FL_HOST,  /* in EFLAGS */
	BT_FL_SAVED, /* in fl */
	BT_FL_BOTH,
};

struct bt_tr;

/* Accesses with one check (share.c): bytes from displacement low on. */
struct bt_share {
	bool made; /* the check is emitted */
	bool write;
	uint16_t span;
	int32_t low;
};

/* Accesses of a loop that move by stride in each pass (stream.c). */
struct bt_stream {
	unsigned base, index, scale; /* values, as in struct bt_place */
	int32_t low;
	int stride;
	unsigned span, align; /* bytes; 0: it need not be aligned */
	bool write;
	bool fold; /* the addend is one of index * scale */
};

struct bt_member {
	uint8_t group; /* number of the bt_share or bt_stream, from 1, or 0 */
	bool kept;     /* the base is what it was at the beginning */
	int32_t at;    /* displacement */
};

/* What a register holds, or an address is: a value's number and a distance from
 * it.  Below X86_NGPR: what the register held at the block's beginning. */
#define BT_VALUE_RIP  (X86_NGPR + 0u) /* at: offset in the page */
#define BT_VALUE_NONE (X86_NGPR + 1u)
#define BT_VALUE_NEW  (X86_NGPR + 2u)

struct bt_value {
	unsigned id;
	int64_t at;
};

struct bt_values {
	struct bt_value reg[X86_NGPR];
	unsigned next;
};

/* What an access is of: base.id + index * scale + base.at, of a segment with a
 * base if that is not 0. */
struct bt_place {
	struct bt_value base;
	unsigned index, scale, seg;
	unsigned size;
	bool write, align;
};

#define BT_GROUPS 24

struct bt_group {
	struct bt_place place; /* of its lowest byte; writes if one does */
	int64_t end;
	unsigned n; /* accesses */
};

struct bt_groups {
	struct bt_values values;
	unsigned n, open; /* groups before open are closed */
	struct bt_group group[BT_GROUPS];
};

/* How one operation is translated. */
typedef void bt_emitter(struct bt_tr *t, const struct x86_insn *in);

struct bt_cold {
	uint8_t thunk;
	uint8_t insn;
	uint8_t npatch;
	uint8_t mode;
	uint8_t *patch[6]; /* displacements of jumps to it */
	const uint8_t *retry;
	uint32_t key;
	uint32_t data[2];
	/* BT_TH_MISS of a slot */
	int32_t slot; /* or 0 */
	uint8_t size;
	bool write, align;
	bool stack; /* BT_TH_SPAN */
};

/* How an instruction is carried out by the same one: registers in the fields of
 * its encoding, those of them that live in memory, the operand in memory. */
enum { BT_F_REG, BT_F_RM, BT_F_VVVV, BT_NFIELDS };

struct bt_plan {
	uint8_t field[BT_NFIELDS];
	int8_t mem;  /* operand number of the memory operand or -1 */
	int8_t home; /* of a register used in its home, or -1 */
	uint8_t ntemp;
	struct {
		uint8_t opnd, field;
	} temp[4];
	bool same : 1; /* the bytes can stay */
	bool high8 : 1, extended : 1, reencode : 1;
	bool write : 1, align : 1, masked : 1; /* the access */
};

/* What instructions have in common that differ in displacement and immediate
 * only; see form.c. */
struct bt_form {
	uint64_t bytes, mask;
	uint32_t key;
	uint16_t reads, kills; /* arithmetic flags */
	bool ends, vary, imm_signed;
	struct bt_plan plan; /* of bt_emit_copy */
	bt_emitter *emitter;
	struct x86_insn in;
};

#define BT_COPY	      640 /* bytes of 128 instructions, mostly */
#define BT_COPY_STEP  64
#define BT_FORM_BITS  10
#define BT_FORM_BYTES 24 /* that must be there to look for one */

struct bt_tr {
	struct emit hot, cold;
	struct soft_cpu *c;
	struct cpu_vm *vm;
	struct bt_block *b;
	const uint8_t *page; /* guest code: copy, as if of the whole page */
	unsigned page_end;   /* page offset where the copy is to end */
	unsigned copied;     /* and where it ends by now */
	const uint8_t *live_page; /* the guest's own; to be read once */
	uint32_t page2;		  /* follows, see bt_block */
	bt_key_t key;		  /* changes with mode behind STAC and CLAC */
	bool code64, segs, step;
	unsigned code_size; /* 2, 4, 8 */
	unsigned mode;	    /* enum soft_mode */
	unsigned n;	    /* instructions */
	unsigned i;	    /* the one being emitted */
	unsigned end;	    /* page offset behind the last */
	enum bt_flags_at fl;
	bool ended;	     /* the last instruction leaves by itself */
	bool straddle;	     /* the last one crosses the page: step it */
	bool check;	     /* compare the code on entry (check.c) */
	bool check_ends;     /* the block must end here */
	uint64_t check_skip; /* bytes that are not compared */
	const uint8_t *check_fail;
	unsigned fpu_checked; /* BT_LIVE_* known to be live */
	bool x87_page;	      /* area's is this block's */
	unsigned ncold;
	int32_t slot[X86_NGPR + 1][2][BT_SLOT_SIZES]; /* by base register */
	bool loop;   /* it jumps to its own beginning */
	bool back;   /* it has a link that leads back */
	bool single; /* BT_KEY_SINGLE */
	unsigned nshares, nstreams;
	bool stream;	     /* BT_KEY_STREAM */
	bool stream_back;    /* the jump back leads to the block that has it */
	unsigned stream_reg; /* moves by stream_by in each pass */
	int stream_by;
	uint8_t *stream_next; /* where its own jump back leads */
	int32_t rsp_by;	      /* what RSP is to be moved by */
	unsigned held;	      /* group whose host address is in T1, or 0 */
	struct bt_share shares[BT_SHARES];
	struct bt_stream streams[BT_SHARES];
	struct bt_member member[BT_MAX_INSNS][2]; /* operand, stack */
	struct x86_insn insn[BT_MAX_INSNS];
	uint16_t off[BT_MAX_INSNS + 1];
	uint32_t live[BT_MAX_INSNS + 1]; /* flags live before insn i */
	uint16_t reads[BT_MAX_INSNS], kills[BT_MAX_INSNS]; /* flags */
	bt_emitter *emitter[BT_MAX_INSNS];
	struct bt_plan plan[BT_MAX_INSNS];
	const uint8_t *at[BT_MAX_INSNS + 1]; /* host code of insn i */
	struct bt_cold coldrec[BT_MAX_COLD];
	uint8_t copy[BT_COPY + BT_FORM_BYTES];
	struct bt_form new_form, form[1 << BT_FORM_BITS];
};

static inline struct em_mem bt_at_rsp(int32_t disp)
{
	return em_at(H_RSP, disp);
}

static inline struct em_mem bt_home(unsigned guest)
{
	return em_at(H_RSP, (int32_t)guest * 8);
}

/* One of the words that a block keeps while it runs: k below BT_SHARES. */
static inline int32_t bt_share_word(unsigned k)
{
	if (k < BT_NEAR_SHARES)
		return BT_NEAR(share) + (int32_t)k * 8;
	return BT_AREA(share) + (int32_t)k * 8;
}

/* Host register of a guest register, BT_HOMED for those in memory. */
extern const uint8_t bt_reg[16];

/* ---- flags.c ---- */

/* Flags that in reads, and those it surely overwrites. */
uint32_t bt_flags_read(const struct x86_insn *in);
uint32_t bt_flags_killed(const struct x86_insn *in);
/* Compute live[] of the decoded block. */
void bt_flags_liveness(struct bt_tr *t);
/* EFLAGS is about to be destroyed before or by insn i, not by its result.
 * Destroys T1. */
void bt_flags_clobber(struct bt_tr *t);
/* The same behind insn i. */
void bt_flags_clobber_after(struct bt_tr *t);
/* Make EFLAGS hold what insn i reads or keeps; scratch as above. */
void bt_flags_need(struct bt_tr *t, unsigned scratch);
/* insn i has been carried out by the host. */
void bt_flags_done(struct bt_tr *t);

/* Page offset where branch in at page offset off goes; it may be outside the
 * page. */
int64_t bt_branch_to(
	const struct bt_tr *t, const struct x86_insn *in, int64_t off);

/* ---- access.c ---- */

/*
 * Check the memory operand of in (or [base + disp] of bt_access_stack) for an
 * access of size bytes; *m is then the host operand.  Destroys T1, EFLAGS, and
 * T0 unless it is the stack; afterwards *free is a scratch register that m
 * does not use (T0 or T1).  False: cannot be encoded, nothing was emitted.
 */
struct bt_access {
	unsigned size;
	bool write, align;
	struct em_mem m;
	uint8_t free;
};

bool bt_access(
	struct bt_tr *t, const struct x86_insn *in, struct bt_access *acc);
void bt_access_stack(
	struct bt_tr *t, unsigned base, int32_t disp, struct bt_access *acc);
/* 64-bit code: the same for in with another effective address, which is in T0;
 * retry is where its computation began. */
void bt_access_linear(struct bt_tr *t, const struct x86_insn *in,
	struct bt_access *acc, const uint8_t *retry);
/* Effective address without segment base into host register d; scratch
 * registers may be used. */
void bt_effective(struct bt_tr *t, const struct x86_insn *in, unsigned d);
/* The same, zero-extended from the lower size bytes (4 or 8). */
void bt_effective_size(
	struct bt_tr *t, const struct x86_insn *in, unsigned d, unsigned size);
/* What the check of a slot jumps to if it fails. */
void bt_access_cold(struct bt_tr *t, const struct bt_cold *r);
bool bt_can_address(struct bt_tr *t, const struct x86_insn *in, bool write);

/* May the access be [registers + addend]?  So it is, with the addend in T1, and
 * flags stay. */
bool bt_by_addend(const struct bt_tr *t, const struct x86_insn *in);
void bt_access_base(
	struct bt_tr *t, const struct x86_insn *in, struct bt_access *acc);
/* Displacement of the TLB. */
int32_t bt_tlb(struct bt_tr *t, bool write);
/* T0 = address; afterwards its offset in the page, T1 = index of its entry.
 * The jump of who finds none for so many bytes. */
uint8_t *bt_check_tlb(struct bt_tr *t, unsigned size, bool write);
/* Behind it: host address into T0, which is acc's operand. */
void bt_access_host(struct bt_tr *t, struct bt_access *acc);
/* Jump if r (T0 or T1) is not aligned to the size. */
uint8_t *bt_test_align(struct bt_tr *t, unsigned size, unsigned r);
/* Linear address of in's operand, whose segment has no limit, into register d
 * (T0 or T1). */
void bt_linear(struct bt_tr *t, const struct x86_insn *in, unsigned d);

/* ---- place.c ---- */

void bt_groups_init(struct bt_groups *all); /* none, at the block's beginning */
/* Access p of insn t->i, by the stack or its operand, joins one of the open
 * groups, or a new one if it may make one; t->member says which. */
void bt_group_add(struct bt_tr *t, struct bt_groups *all,
	const struct bt_place *p, bool stack, bool make);
static inline unsigned bt_group_span(const struct bt_group *g)
{
	return g->end - g->place.base.at;
}

/* Is it known what insn t->i writes and accesses? */
bool bt_place_counts(const struct bt_tr *t);
/* Where its memory operand is; false: there is none of that kind. */
bool bt_place_of(
	const struct bt_tr *t, const struct bt_values *v, struct bt_place *p);
/* in, at offset off of the page, is carried out. */
void bt_values_step(
	struct bt_values *v, const struct x86_insn *in, unsigned off);
void bt_value_new(struct bt_values *v, unsigned reg); /* it holds another */
void bt_values_forget(struct bt_values *v);	      /* all of them */

/* ---- share.c ---- */

void bt_share_plan(struct bt_tr *t);
/* Is the next one a push, a pop, a call or a return that cannot fault? */
bool bt_share_next(const struct bt_tr *t);
/* Does T1 outlive insn t->i, but for what sets t->held? */
bool bt_share_holds(const struct bt_tr *t);
/* As bt_access for insn t->i, its stack access or its operand, if that shares
 * a check: else false.  Flags are destroyed by the first of them only. */
bool bt_share(struct bt_tr *t, bool stack, struct bt_access *acc);
void bt_share_cold(struct bt_tr *t, const struct bt_cold *r);

/* ---- stream.c ---- */

/* Shall the jump back of this block lead to one that streams? */
void bt_stream_offer(struct bt_tr *t);
/* Plan that one; false: it cannot. */
bool bt_stream_plan(struct bt_tr *t);
/* Behind the block's entry: checks for all passes that do not leave pages. */
void bt_stream_header(struct bt_tr *t);
/* As bt_access for the operand of insn t->i, if that was checked there: else
 * false.  Flags stay. */
bool bt_stream(
	struct bt_tr *t, const struct x86_insn *in, struct bt_access *acc);

/* ---- slot.c ---- */

/* The displacement of a slot for insn t->i; 0: it shall have none. */
int32_t bt_slot_new(
	struct bt_tr *t, const struct x86_insn *in, unsigned size, bool write);

/* ---- alu.c ---- */

bt_emitter bt_emit_copy, bt_emit_vec, bt_emit_control, bt_emit_lea,
	bt_emit_nothing, bt_emit_div, bt_emit_div_narrow;
/* How bt_emit_copy shall do it. */
void bt_plan(struct bt_tr *t, struct bt_plan *p, const struct x86_insn *in);
/* May in be translated by bt_emit_copy? */
bool bt_copyable(struct bt_tr *t, const struct x86_insn *in);
/* in with host registers: reg and rm by number (GPR operands only), or memory
 * m; vvvv as is unless it is a GPR. */
struct bt_enc {
	unsigned reg, rm, vvvv;
	const struct em_mem *m;
	unsigned opcode;
};
void bt_encode(
	struct bt_tr *t, const struct x86_insn *in, const struct bt_enc *enc);
/* Read guest register g into host register d / write it. */
void bt_get(struct bt_tr *t, unsigned size, unsigned d, unsigned g);
void bt_put(struct bt_tr *t, unsigned size, unsigned g, unsigned s);

/* ---- branch.c ---- */

bt_emitter bt_emit_push, bt_emit_pop, bt_emit_leave, bt_emit_call_rel,
	bt_emit_call_ind, bt_emit_jmp_rel, bt_emit_jmp_ind, bt_emit_ret,
	bt_emit_jcc, bt_emit_pushf, bt_emit_jcxz, bt_emit_loop;
/* Jump, on condition cc if that is not -1, to the block at page offset off. */
void bt_exit_jump(struct bt_tr *t, int cc, unsigned off);
/* Go to page offset off (may be outside the page). */
void bt_emit_goto(struct bt_tr *t, int64_t off);
/* From site to the code behind insn n; 0 if that leaves by itself: a jump to
 * the next instruction is no falling through. */
uint32_t bt_to_next(const struct bt_tr *t, unsigned n, const uint8_t *site);
/* T0 = RIP to go to.  undo: what to add to RSP if that is not canonical or
 * beyond the limit, or BT_UNDO_RCX and LOOP's size; -1: do not look. */
void bt_emit_indirect(struct bt_tr *t, int32_t undo);
/* T0 = RFLAGS as PUSHF shows them, VM and RF clear; flags are saved. */
void bt_emit_rflags_image(struct bt_tr *t);
/* Load zero-extended, size 2, 4, 8. */
void bt_load(struct bt_tr *t, unsigned size, unsigned d, struct em_mem m);
/* Push host register r, which is not T1; the word at stack pointer + at into
 * T0; both of the operand size.  RSP += by. */
void bt_push_reg(struct bt_tr *t, unsigned r);
void bt_pop_reg(struct bt_tr *t, int32_t at, unsigned size);
void bt_move_rsp(struct bt_tr *t, int32_t by);
/* d = the guest's RIP at page offset off. */
void bt_emit_rip(struct bt_tr *t, unsigned d, int64_t off);

/* ---- system.c ---- */

bt_emitter bt_emit_interp, bt_emit_interp_end, bt_emit_sti, bt_emit_cli,
	bt_emit_cld, bt_emit_std, bt_emit_pause, bt_emit_rdtsc, bt_emit_sys,
	bt_emit_swapgs, bt_emit_ac, bt_emit_read_base, bt_emit_write_base,
	bt_emit_read_cr, bt_emit_bit;

/* ---- segs.c ---- */

bt_emitter bt_emit_push_sreg, bt_emit_mov_from_sreg;
/* Of real mode only. */
bt_emitter bt_emit_pop_sreg, bt_emit_mov_to_sreg, bt_emit_lxs, bt_emit_jmp_far,
	bt_emit_call_far, bt_emit_retf;

/* ---- vector.c ---- */

/* An access whose elements a mask chooses: those left out must not fault. */
bool bt_is_masked(const struct x86_insn *in);
/* The same for it as bt_access; what misses is interpreted. */
void bt_access_masked(
	struct bt_tr *t, const struct x86_insn *in, struct bt_access *acc);
/* VEX.W or EVEX.W for the host. */
bool bt_vex_w(const struct bt_tr *t, const struct x86_insn *in);
/* Have the guest's registers in the host's: BT_LIVE_*, its flag in bt_area. */
void bt_emit_live(struct bt_tr *t, unsigned live, int32_t flag);
void bt_emit_live_for(struct bt_tr *t, const struct x86_insn *in);
bt_emitter bt_emit_vzero; /* outside 64-bit code */

/* ---- string.c ---- */

/* Of MOVS, STOS, LODS, CMPS, SCAS. */
bt_emitter *bt_class_string(struct bt_tr *t, const struct x86_insn *in);

/* ---- x87.c ---- */

/* insn i is done: keep what the host's pointers cannot tell. */
void bt_emit_x87_pointers(struct bt_tr *t, const struct x86_insn *in);

/* ---- classify.c ---- */

/* How in is translated, and whether the block ends with it. */
bt_emitter *bt_classify(struct bt_tr *t, const struct x86_insn *in, bool *ends);
/* Does the operation (enum x86_op) write no register but its operands? */
bool bt_names_all(unsigned op);

/* ---- form.c ---- */

/* Decode what is at p, of which n bytes are there, and say how it is
 * translated.  NULL: it cannot be decoded.  Valid until the next call. */
const struct bt_form *bt_form_at(
	struct bt_tr *t, const uint8_t *p, unsigned n, struct x86_insn *in);

static inline uint32_t bt_form_kills(
	const struct bt_form *f, const struct x86_insn *in)
{
	return f->vary ? bt_flags_killed(in) : f->kills;
}

/* ---- check.c ---- */

/* The block is to check itself: insn t->n was decoded, emitter chosen. */
void bt_check_classify(struct bt_tr *t, const struct x86_insn *in);
/* The way out, before the entries; the comparison, behind them. */
void bt_emit_check_fail(struct bt_tr *t);
void bt_emit_check(struct bt_tr *t);

/* ---- translate.c ---- */

/* A rare path reached by the jump at disp (NULL: fill in patch later). */
struct bt_cold *bt_cold(struct bt_tr *t, unsigned thunk, uint8_t *disp);
uint32_t bt_info(struct bt_tr *t);

#endif

/*
 * priv.h - inside the binary translator.
 *
 * Registers of translated code: RSP = the soft_cpu; guest RAX RCX RDX RBX RBP
 * RSI RDI R8 R9 R12 R13 R14 live in the host registers of the same name, guest
 * RSP in R15; guest R10, R11 and R15 live in st.gpr; host R10 (T0) and R11
 * (T1) are scratch.
 *
 * Arithmetic flags are in the host's EFLAGS or in bt_near.fl, as the translator
 * knows at each point; all other bits of RFLAGS are always in st.rflags.
 *
 * RIP is not kept.  A block is translated for a page of RAM, wherever it is
 * mapped: bt_near.rip_base + offset in the page = RIP, and every call into C
 * carries the offset of its instruction.
 */
#ifndef CPU_BT_PRIV_H
#define CPU_BT_PRIV_H

#include <stddef.h>

#include "cpu/bt/bt.h"
#include "cpu/bt/emit.h"
#include "cpu/interp/interp.h"

#define BT_T0	 H_R10
#define BT_T1	 H_R11
#define BT_GRSP	 H_R15
#define BT_HOMED 0xfe

#define BT_MAX_INSNS	 128
#define BT_KERNEL_INSNS	 40 /* or stepping: BT_INFO counts to 63 */
#define BT_SHARE_REFUSED 8
#define BT_MAX_BRANCHES	 8
#define BT_SHARES	 8
#define BT_NEAR_SHARES	 3
#define BT_MAX_EXITS	 (BT_MAX_BRANCHES + BT_SHARES)
#define BT_BLOCK_ROOM	 32768 /* bytes of hot or cold code a block may need */

/* ---- what generated code sees of a processor ---- */

#define BT_JC_BITS    17
#define BT_JC_JOURNAL 8192
#define BT_JC_HINTS   16384
#define BT_JC_SIZE    (1u << BT_JC_BITS)
#define BT_JC_PAGE    (BUS_PAGE_SIZE >> 2) /* for entries into one page */
#define BT_JC_MASK    ((BT_JC_SIZE - 1) << 4)

/* Jump cache entry: guest RIP -> host code.  Empty: rip = 0 in any entry but
 * that of RIP 0, which is never filled: a kick makes all look-ups go there. */
struct bt_jc {
	uint64_t rip;
	const uint8_t *host;
};

static inline unsigned bt_jc_index(uint64_t rip)
{
	return rip >> 2 & (BT_JC_SIZE - 1);
}

/* Tag of an unused stack slot: one page out of 2^52, not canonical. */
#define BT_SLOT_EMPTY 0x5bd1e995a7c3d000ull

#define BT_SPINS 1000 /* PAUSEs: some 20 us */

/*
 * A slot remembers the region that the last access was in: the next one, of the
 * same mode, kind and size, hits at linear address a if a - lo < lim.  Empty:
 * lim = 0.
 */
struct bt_slot {
	uint64_t lo, lim;
	uintptr_t addend;
	uint32_t last;	/* host TSC at the last refill, */
	int32_t credit; /* how often it may come so soon again */
	int32_t seq;	/* pages next to the last one, until it counts */
};

#define BT_NSLOTS	2048
#define BT_SLOT_SIZES	7 /* 1 to 64 bytes */
#define BT_SLOT_CREDIT	32
#define BT_SLOT_SEQ	4
#define BT_SLOT_TICKS	500 /* refills further apart are cheap enough */
#define BT_SLOT_JOURNAL 256

#define BT_STREAMS     256 /* counted apart */
#define BT_STREAM_MOST (BT_SHARES - 1)

/* What an instruction shall not have again, or that its loop streams. */
enum bt_mark { BT_NO_SLOT, BT_NO_SHARE, BT_NO_STREAM, BT_STREAM, BT_NMARKS };
#define BT_MARKS 16384

/* One-page cache for accesses through the stack pointer; as an entry of the
 * TLB. */
struct bt_stack {
	uint64_t tag;
	uintptr_t host;
};

/* What code uses most, in reach of displacements of one byte: it ends below
 * the return address of a call that code makes. */
struct bt_near {
	uint64_t rip_base;
	_Atomic(uint32_t) poll;	    /* leave the code at the next occasion */
	_Atomic(uint32_t) jc_mask;  /* BT_JC_MASK, 0 = kicked */
	uint16_t fl;		    /* OF in bit 0, EFLAGS 7:0 in 15:8 */
	_Atomic(uint8_t) in_code;   /* enum bt_where */
	uint8_t vec_live, x87_live; /* guest's registers are the host's */
	uintptr_t share[BT_NEAR_SHARES];
	struct bt_stack stack[2][2]; /* of the kernel, of ring 3 */
};

#define BT_NEAR_BYTES 128

struct bt_area {
	uint64_t t0, t1;
	uint64_t tmp, tmp2, save0, save1;
	const uint8_t *resume;
	const uint8_t *site; /* return address of the last call into C */
	uint64_t host_rsp;
	uint32_t host_mxcsr;
	uint32_t spins; /* PAUSEs left until the host's processor is yielded */
	/* The last x87 instruction carried out in code: BT_X87_AT and the page
	 * it is in; what its memory operand's address was. */
	uint32_t x87_at;
	uint64_t x87_page, x87_fdp;
	uint32_t jc_key[SOFT_NMODES]; /* key of the blocks in the jump cache */
	struct bt_stack stack[SOFT_NMODES][2]; /* unless near */
	uintptr_t share[BT_SHARES]; /* host addresses of shared checks */
	/* Of the loop that streams: passes to the next header.  Of any: how
	 * often such loops were entered since one lasted. */
	uint64_t stream_left;
	uint8_t stream_trips[BT_STREAMS];
	/* Slots filled since the last flush, by displacement from RSP. */
	uint32_t nfilled, filled[BT_SLOT_JOURNAL];
	struct bt_slot slot[BT_NSLOTS]; /* [0] is not used */
	struct bt_jc jc[SOFT_NMODES][BT_JC_SIZE];
	_Alignas(64) uint8_t x87[576]; /* XSAVE area */
};

#define BT_LIVE_VEC 1
#define BT_LIVE_X87 2

/* Page offset of an x87 instruction and its FOP. */
#define BT_X87_AT(off, fop) ((uint32_t)(off) | (uint32_t)(fop) << 16)

/* OUT: in the run loop, holding no block.  IN_C: called from code, returns into
 * it. */
enum bt_where { BT_OUT, BT_IN_C, BT_IN_CODE };

_Static_assert(sizeof(struct bt_area) <= SOFT_ENGINE_AREA_BYTES,
	"engine area too small");

#define BT_AREA(field)                                                         \
	((int32_t)(offsetof(struct soft_cpu, engine_area) +                    \
		   offsetof(struct bt_area, field)))
#define BT_ST(field) ((int32_t)offsetof(struct soft_cpu, st.field))
#define BT_SEG(s, field)                                                       \
	(BT_ST(seg) + (int32_t)((s) * sizeof(struct x86_seg) +                 \
				offsetof(struct x86_seg, field)))

#define BT_NEAR(field)                                                         \
	((int32_t)offsetof(struct bt_near, field) - BT_NEAR_BYTES)

_Static_assert(sizeof(struct bt_near) <= BT_NEAR_BYTES - 16,
	"no room below the processor");

static inline struct bt_near *bt_near(struct soft_cpu *c)
{
	return (struct bt_near *)(void *)((uint8_t *)c - BT_NEAR_BYTES);
}

static inline struct bt_area *bt_area(struct soft_cpu *c)
{
	return (struct bt_area *)(void *)c->engine_area;
}

/* Displacement from the processor of the cache for the mode. */
static inline int32_t bt_stack_at(unsigned mode, bool write)
{
	int32_t by = write * (int32_t)sizeof(struct bt_stack);

	if (mode == SOFT_USER || mode == SOFT_KERNEL)
		return BT_NEAR(stack[mode == SOFT_USER]) + by;
	return BT_AREA(stack) + by +
	       (int32_t)(mode * 2 * sizeof(struct bt_stack));
}

static inline struct bt_stack *bt_stack(
	struct soft_cpu *c, unsigned mode, bool write)
{
	return (struct bt_stack *)(void *)((uint8_t *)c +
					   bt_stack_at(mode, write));
}

/* ---- keys: what code depends on beside its bytes ---- */

/*
 * The upper half of a key is the RIP of the page's first byte, as an offset
 * into the code segment, if that is not flat (BT_KEY_SEGS).
 */
typedef uint64_t bt_key_t;

#define BT_KEY_SIZE    0x00000003 /* code: 0 16-bit, 1 32-bit, 2 64-bit */
#define BT_KEY_MODE    0x0000000c /* enum soft_mode */
#define BT_KEY_CPL     0x00000030
#define BT_KEY_FLAT_ES 0x00000040 /* 32-bit: base 0, limit 4 GiB, writable */
#define BT_KEY_FLAT_SS 0x00000080
#define BT_KEY_FLAT_DS 0x00000100
#define BT_KEY_BIG_FS  0x00000200 /* 32-bit: limit 4 GiB, writable */
#define BT_KEY_BIG_GS  0x00000400
#define BT_KEY_CS_READ 0x00000800 /* 32-bit: CS readable */
#define BT_KEY_X87     0x00001000 /* may run x87 and MMX, all masked */
#define BT_KEY_SSE     0x00002000
#define BT_KEY_AVX     0x00004000
#define BT_KEY_AVX512  0x00008000
#define BT_KEY_TSC     0x00010000 /* RDTSC inline */
#define BT_KEY_STEP    0x00020000 /* bt_step_block */
#define BT_KEY_SEGS    0x00040000 /* CS is not flat, or the stack is 16-bit */
#define BT_KEY_SS16    0x00080000 /* SP, not ESP */
#define BT_KEY_REAL    0x00100000 /* real mode, CS as loaded there */
#define BT_KEY_V86     0x00200000
/* enum x86_sreg: may be read, and written but for CS, below its limit */
#define BT_KEY_OK(seg) (0x00400000u << (seg))
#define BT_KEY_STREAM  0x10000000 /* the rest of a loop (stream.c) */
#define BT_KEY_SINGLE  0x40000000 /* without shared checks (share.c) */
#define BT_KEY_VALID   0x80000000

#define BT_KEY_MODE_SHIFT 2
#define BT_KEY_CPL_SHIFT  4

/* The key of the current state; 0 if it must be interpreted. */
uint32_t bt_key(const struct soft_cpu *c); /* lower half */

/* ---- blocks ---- */

struct bt_exit {
	uint8_t *disp;	 /* displacement of the jump */
	uint8_t *stub;	 /* where it points unlinked */
	uint32_t block;	 /* whose exit it is */
	uint32_t target; /* block linked to, 0 = none */
	uint32_t next;	 /* in the target's list of incoming exits */
	bt_key_t key;	 /* of the block it goes to */
	uint16_t off;	 /* page offset it goes to */
};

#define BT_PAGE_NONE  UINT32_MAX       /* the block is within one page */
#define BT_PAGE_OTHER (UINT32_MAX - 1) /* not RAM: its insn is interpreted */

struct bt_block {
	/* What a look-up touches is one cache line. */
	_Alignas(64) uint64_t ram_page; /* RAM offset >> 12 */
	bt_key_t key;
	uint32_t hash_next;
	uint16_t off;
	_Atomic(bool) valid;
	bool checked; /* not watched: compares its bytes on entry */
	/* Begins with an instruction that crosses into this page, which must
	 * be mapped behind the first one; goes on there. */
	uint32_t page2;
	const uint8_t *far_entry;  /* by jump cache: T0 = RIP, flags in fl */
	const uint8_t *near_entry; /* by link: flags in EFLAGS */
	uint64_t jc_rip;	   /* 0: in none */
	bool jc_many;		   /* in jump caches at other RIPs than that */
	uint8_t refused; /* by pages that a shared check needs to write */
	uint8_t ninsns, nexits;
	uint32_t live_in; /* arithmetic flags it needs */
	uint64_t mask;	  /* 64-byte parts of the page it depends on */
	uint64_t mask2;
	uint32_t page2_next, page_next, incoming;
	uint32_t first_exit;
};

struct bt_page {
	uint32_t first;	     /* block */
	uint32_t watched;    /* blocks that are not checked */
	uint64_t mask;	     /* of those; read without the lock */
	uint64_t starts;     /* parts in which blocks begin, or did */
	uint32_t stamp;	     /* time of the first of writes */
	uint32_t retired;    /* when its blocks were dropped for those */
	uint32_t grace;	     /* after the last block dropped: bt_grace_over */
	uint16_t writes;     /* beside the watched blocks */
	uint8_t heat;	     /* how often it was retired in short time */
	uint8_t checked : 1; /* translate to checked blocks */
	uint8_t pending : 1; /* watched, but not to be read before grace */
};

/* Places where code was overwritten recently: a small hashed memory. */
#define BT_SITES 256

struct bt_site {
	uint64_t where; /* ram_page << 12 | off */
	uint32_t stamp;
	uint32_t hits;
};

/* x87 pointers that the host's instructions set though no exception comes: all
 * on old processors, FIP on newer Intel ones, none on AMD. */
#define BT_X87_FIP 1
#define BT_X87_FDP 2
#define BT_X87_FOP 4

/* Where FIP stands in the host's registers until an instruction sets it. */
#define BT_X87_NO_FIP 1

/* ---- calls out of code ---- */

/* Among the values of "undo", which are small or negative. */
#define BT_UNDO_RCX 0x1000000

enum bt_thunk {
	BT_TH_MISS,   /* data: info, retry, next */
	BT_TH_INTERP, /* data: info, next (0 = ends the block), enum x86_op */
	BT_TH_SYS,    /* data: info, operation: ends the block */
	BT_TH_LINK,   /* data: exit */
	BT_TH_JC,     /* data: info, undo, key (0: not known) */
	BT_TH_POLL,   /* data: info */
	BT_TH_STI,    /* data: info of the next instruction */
	BT_TH_FPU,    /* data: where to go on, BT_LIVE_* to load */
	BT_TH_PAGE,   /* data: info: another page follows this one */
	BT_TH_PAUSE,  /* data: where to go on, 0 */
	BT_TH_CHECK,  /* data: info, block: its bytes have changed */
	BT_TH_BAN,    /* data: block, retry, slot, size, page offset */
	BT_TH_SPAN,   /* data: info, retry, block, bytes; T1 = address */
	BT_TH_STREAM, /* data: as BT_TH_BAN: the loop walks through pages */
	BT_TH_SHORT,  /* data: info, stream_trips, block: not far enough */
	BT_NTHUNKS,
};

/* info: page offset of the instruction, its number in the block, its length,
 * and for BT_TH_MISS what the access is. */
#define BT_INFO(off, n, len)                                                   \
	((uint32_t)(off) | (uint32_t)(n) << 13 | (uint32_t)(len) << 28)
#define BT_INFO_OFF(i)	   ((i)&0x1fff)
#define BT_INFO_N(i)	   ((i) >> 13 & 0x3f)
#define BT_INFO_LEN(i)	   ((i) >> 28)
#define BT_INFO_WRITE	   (1u << 19)
#define BT_INFO_STACK	   (1u << 20) /* one-page cache, address in T1 */
#define BT_INFO_ALIGN	   (1u << 21) /* must be aligned to its size */
#define BT_INFO_SIZE_SHIFT 22	      /* bytes - 1, 0..63 */

/* ---- the machine ---- */

/* A part of the code cache with its records. */
struct bt_region {
	uint64_t used;	  /* bytes of code */
	uint32_t nblocks; /* both: set when it is full */
	uint32_t grace;
	bool retired; /* all its blocks are dropped, since grace */
};

enum bt_vm_counter {
	BT_VMC_BLOCKS,
	BT_VMC_INSNS,
	BT_VMC_BYTES,
	BT_VMC_TICKS, /* of the TSC, spent translating */
	BT_VMC_INVALS,
	BT_VMC_CHECKED, /* blocks that check themselves */
	BT_VMC_STREAMS, /* blocks that check for many passes */
	BT_VMC_RETIRED, /* pages whose blocks were dropped for other writes */
	BT_VMC_EVICTED, /* bytes */
	BT_VMC_FLUSHES, /* all processors stopped for it */
	BT_NVMCOUNTERS,
};

struct cpu_vm {
	struct soft_vm soft;  /* first */
	pthread_mutex_t lock; /* translation, links, invalidation */

	uint8_t *cache;
	size_t cache_bytes;
	struct bt_region *regions;
	unsigned nregions, region; /* the one being filled: */
	uint8_t *code;		   /* of the first region */
	uint8_t *hot, *hot_end;	   /* free */
	uint8_t *cold, *cold_end;
	uint32_t begun, trimmed; /* bt_stamp() of the last changes */
	_Atomic(uint32_t) grace; /* bt_grace_begin */

	struct bt_block *blocks; /* [0] is not used */
	uint32_t nblocks;	 /* the next one to be used */
	struct bt_exit *exits;
	uint32_t nexits;
	uint32_t *hash;
	struct bt_page *pages; /* per RAM page */
	uint64_t npages;
	_Atomic(uint32_t) inval_seq; /* counts invalidated blocks */
	struct bt_site sites[BT_SITES];

	const uint8_t *thunk[BT_NTHUNKS];
	const uint8_t *stack_miss[SOFT_NMODES][2]; /* as BT_TH_MISS */
	const uint8_t *slot_refill;
	unsigned slot_next[2][BT_SLOT_SIZES];	  /* to be given out */
	unsigned stream_next;			  /* the same */
	uint64_t marks[BT_NMARKS][BT_MARKS / 64]; /* hashed */
	void (*enter)(struct soft_cpu *c, const uint8_t *code);
	const uint8_t *leave;
	const uint8_t *jc_miss; /* jump to T0, nothing to undo */
	void (*vec_save)(struct soft_cpu *c), (*vec_load)(struct soft_cpu *c);
	bool bmi2, avx, avx512, xsave;
	uint8_t x87_kept; /* BT_X87_*: what the host keeps */

	/* The cache is full: start anew once every processor is out of it. */
	_Atomic(bool) flush_wanted;
	bool reset_wanted; /* lock: drop everything */
	_Atomic(uint32_t) epoch;

	/* Page offsets where a debugger has breakpoints, of any page: blocks
	 * end before them, and what is there is interpreted. */
	uint64_t stops[BUS_PAGE_SIZE / 64];

	int perf;	  /* perf map, or -1 */
	struct bt_tr *tr; /* the translation being made; lock held */

	/* Statistics; the lock is held. */
	uint64_t counters[BT_NVMCOUNTERS];
	uint64_t start_tsc, start_ns; /* to tell what a tick is */
};

enum bt_counter {
	BT_CNT_MISS,
	BT_CNT_EMULATED,
	BT_CNT_STEP,
	BT_CNT_LINK,
	BT_CNT_JC_MISS,
	BT_CNT_POLL,
	BT_CNT_SYS,
	BT_CNT_JC_FLUSH,
	BT_NCOUNTERS,
};

struct cpu {
	struct soft_cpu *c; /* c->engine is this */
	struct cpu_vm *vm;
	bool stepping;
	uint32_t tlb_gen, exec_gen, epoch;
	_Atomic(uint32_t) grace; /* of the machine when it last came in */
	uint32_t jc_journal[SOFT_NMODES][BT_JC_JOURNAL];
	uint32_t jc_fills[SOFT_NMODES];
	/* The block that was last put there, whatever has become of it: after
	 * a flush it mostly is the one that is looked for. */
	uint32_t jc_hint[SOFT_NMODES][BT_JC_HINTS];
	unsigned done;	  /* instructions of the block done, when stepping */
	uint32_t trimmed; /* vm->begun when jump caches were given back */
	/* Statistics, written by this processor's thread only. */
	uint64_t counters[BT_NCOUNTERS];
};

static inline struct cpu_vm *bt_vm(struct soft_cpu *c)
{
	return (struct cpu_vm *)c->vm;
}

static inline struct cpu *bt_cpu(struct soft_cpu *c)
{
	return c->engine;
}

static inline uint64_t bt_tsc(void)
{
	return __builtin_ia32_rdtsc();
}

/* Time in units of some 20 us. */
static inline uint32_t bt_stamp(void)
{
	return bt_tsc() >> 16;
}

/* ---- cache.c: memory for code and blocks ---- */

int bt_cache_init(struct cpu_vm *vm, uint64_t bytes);
void bt_cache_fini(struct cpu_vm *vm);
bool bt_cache_room(struct cpu_vm *vm); /* for one more block */
bool bt_cache_advance(struct cpu_vm *vm);
void bt_cache_idle(struct cpu *cpu); /* a processor halts; no lock held */
uint64_t bt_cache_used(const struct cpu_vm *vm);  /* bytes; any thread */
uint64_t bt_cache_bound(const struct cpu_vm *vm); /* the same */
uint32_t bt_grace_begin(struct cpu_vm *vm);
bool bt_grace_over(struct cpu_vm *vm, uint32_t g);
void bt_cache_reset(struct cpu_vm *vm); /* nobody runs in it */

static inline bool bt_stops_at(const struct cpu_vm *vm, unsigned off)
{
	return vm->stops[off >> 6 & 63] >> (off & 63) & 1;
}

/* ---- stubs.c: generated once ---- */

void bt_stubs_make(struct cpu_vm *vm, struct emit *e);
/* EFLAGS -> fl.  Destroys T1. */
void bt_emit_flags_save(struct emit *e);
/* fl -> EFLAGS, by way of the scratch register or, if it is H_NONE, memory. */
void bt_emit_flags_load(struct emit *e, unsigned scratch);

/* ---- slot.c ---- */

void bt_slot_stub(struct cpu_vm *vm, struct emit *e);
void bt_slots_init(struct soft_cpu *c);
void bt_slots_flush(struct soft_cpu *c);
/* Forget write entries for the page; true if there was one.  Any thread. */
bool bt_slots_drop(struct soft_cpu *c, uintptr_t host);
/* For the instruction at the offset of the RAM page. */
void bt_mark(
	struct cpu_vm *vm, enum bt_mark what, uint64_t ram_page, unsigned off);
bool bt_marked(const struct cpu_vm *vm, enum bt_mark what, uint64_t ram_page,
	unsigned off);

/* ---- block.c: finding blocks ---- */

/* The block at the current state, translated if need be.  NULL: interpret, or
 * the cache is full (flush_wanted is set then).  May raise on the fetch. */
struct bt_block *bt_block_get(struct soft_cpu *c);
/* The same without shared checks. */
struct bt_block *bt_block_get_single(struct soft_cpu *c);
/* The same if it is translated and its page in the TLB or quickly put there;
 * it goes into the jump cache.  The guest's vector registers may be live. */
struct bt_block *bt_block_quick(struct soft_cpu *c, uint32_t key);
struct bt_block *bt_block_lookup(
	struct cpu_vm *vm, uint64_t ram_page, unsigned off, bt_key_t key);
/* Where the link to the next block of the page's list is in b. */
static inline uint32_t *bt_block_next(struct bt_block *b, uint64_t page)
{
	return b->ram_page == page ? &b->page_next : &b->page2_next;
}
/* Same page as the exit's, same key.  st.rip is where it goes.  Lock not held.
 * May raise on the fetch of a second page. */
struct bt_block *bt_block_follow(struct soft_cpu *c, uint32_t exit);

/* Code of this key is about to run: the jump cache of its mode is for it. */
void bt_jc_use(struct soft_cpu *c, uint32_t key);
void bt_jc_fill(struct soft_cpu *c, struct bt_block *b); /* for st.rip */
/* What the jump cache knows st.rip by: the linear address below it if CS is
 * not flat. */
uint64_t bt_jc_tag(const struct soft_cpu *c, uint32_t key);

void bt_jc_flush(struct soft_cpu *c, unsigned mode);
/* Drop what c->exec_stale and exec_page tell. */
void bt_jc_sync(struct soft_cpu *c, unsigned mode);

/* ---- smc.c ---- */

/* Shall the block made at this place check itself?  If not, watch the page
 * and call for the changed bytes' sake with all writes to it. */
bool bt_smc_checked(struct cpu_vm *vm, uint64_t ram_page, unsigned off);
bool bt_smc_watch(struct soft_cpu *c, uint64_t ram_page); /* not yet: false */
/* Make it unreachable and take it off all lists.  Lock held. */
void bt_block_drop(struct cpu_vm *vm, struct bt_block *b);
/* Drop those of n blocks that are valid; their code is in that range. */
void bt_blocks_evict(struct cpu_vm *vm, uint32_t first, uint32_t n,
	const uint8_t *code, size_t bytes);
/* A checked block found its bytes changed.  Lock not held. */
void bt_smc_check_failed(struct cpu_vm *vm, uint32_t block);
void bt_smc_written(struct soft_vm *vm, struct soft_cpu *c, uint64_t ram_offset,
	unsigned len);

/* ---- perf.c ---- */

void bt_perf_init(struct cpu_vm *vm);
void bt_perf_fini(struct cpu_vm *vm);
/* The block just made, whose code begins at hot and cold. */
void bt_perf_block(struct soft_cpu *c, const struct bt_block *b,
	const uint8_t *hot, const uint8_t *cold);

/* ---- slow.c: what thunks call ---- */

typedef const uint8_t *bt_helper(struct soft_cpu *c, const uint8_t *site);
extern bt_helper *const bt_helpers[BT_NTHUNKS];

/* Unhook from the table; the page's list is the caller's. */
void bt_block_remove(struct cpu_vm *vm, struct bt_block *b);

/* State in st and area <-> complete state in st. */
void bt_flags_to_st(struct soft_cpu *c);
void bt_flags_from_st(struct soft_cpu *c);
void bt_step(struct soft_cpu *c);
/* The guest's vector registers back into st. */
void bt_fpu_save(struct soft_cpu *c);
/* Bring caches of translations up to date after C code ran. */
void bt_sync(struct soft_cpu *c);

static inline bool bt_attention(struct soft_cpu *c)
{
	uint32_t ev =
		atomic_load_explicit(&c->bc->events, memory_order_relaxed);

	if (!(c->st.rflags & X86_FL_IF))
		ev &= ~(uint32_t)BUS_EV_INTR;
	if (c->st.nmi_blocked)
		ev &= ~(uint32_t)BUS_EV_NMI;
	return ev | c->st.sti_shadow | c->st.movss_shadow | c->st.activity |
	       (c->debug & SOFT_DBG_HIT);
}

/* ---- x87.c ---- */

unsigned bt_x87_probe(void); /* BT_X87_* */

/* RF keeps instruction breakpoints off; without any it is the same to begin
 * the instruction with it and to end it without. */
static inline void bt_drop_rf(struct soft_cpu *c)
{
	if (!c->insn_bp)
		c->st.rflags &= ~(uint64_t)X86_FL_RF;
}

/* ---- translate.c ---- */

enum bt_sys {
	BT_SYS_SYSCALL,
	BT_SYS_SYSRET4,
	BT_SYS_SYSRET8,
	BT_SYS_IRET4,
	BT_SYS_IRET8,
	BT_NSYS,
};

/* Translate the block at offset off of the RAM page, whose first instruction
 * crosses into page2 if that is not BT_PAGE_NONE.  Lock held. */
struct bt_at {
	uint64_t ram_page;
	unsigned off;
	uint32_t page2;
};
struct bt_block *bt_translate(
	struct soft_cpu *c, const struct bt_at *at, bt_key_t key, bool checked);
struct bt_tr *bt_tr_new(void);
void bt_tr_free(struct bt_tr *t);

/* ---- dispatch.c ---- */

void bt_run(struct cpu *cpu, struct cpu_exit *exit);
void bt_kick(void *opaque);

#endif

/*
 * watch.c - data breakpoints set under code that has run without them: each
 * access that touches the watched bytes traps once, behind the instruction or
 * the iteration, and no other does (SDM vol. 3, 17.2).
 */
#include "lib.h"

#define BYTES	4096u
#define WATCHED 700u /* word of area */
#define WRITE	1u
#define ACCESS	3u

#ifdef __x86_64__
#define SP  "%%rsp"
#define DX  "%%rdx"
#define LEN 2u /* of a word, as DR7 has it */
#else
#define SP  "%%esp"
#define DX  "%%edx"
#define LEN 3u
#endif

static volatile word area[2 * BYTES / sizeof(word)]
	__attribute__((aligned(BYTES)));
static volatile word at; /* what the loops are at */

static volatile struct {
	unsigned hits;
	word at, rip, next, dr6;
} db;

static void set_dr(volatile void *a, unsigned type, unsigned len)
{
	word dr7 = type ? 0x402 | (type | len << 2) << 16 : 0x400;

	__asm__ volatile("mov %0, %%dr0; mov %1, %%dr6; mov %2, %%dr7"
			 :
			 : "r"(a), "r"((word)0), "r"(dr7)
			 : "memory");
}

static void on_db(struct frame *f)
{
	__asm__ volatile("mov %%dr6, %0" : "=r"(db.dr6));
	db.hits++;
	db.at = at;
	db.rip = f->rip;
	db.next = area[WATCHED + 1];
}

/* ---- accesses ---- */

#define LOOP for (at = 0; at < sizeof(area) / sizeof(word); at++)

static void do_stores(void)
{
	LOOP area[at] = at;
}

static void do_loads(void)
{
	LOOP(void) area[at];
}

static void do_changes(void)
{
	LOOP __asm__ volatile("incb %0" : "+m"(area[at]) : : "cc");
}

static void do_locked(void)
{
	LOOP __asm__ volatile("lock incb %0" : "+m"(area[at]) : : "cc");
}

static void do_fill(void)
{
	word n = sizeof(area);
	volatile word *to = area;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(0) : "memory");
}

static void do_copy(void)
{
	word n = sizeof(area);
	volatile word *from = area, *to = area;

	__asm__ volatile("rep movsb"
			 : "+S"(from), "+D"(to), "+c"(n)
			 :
			 : "memory");
}

/* Of four bytes, the last two are in the second page. */
static void do_cross(void)
{
	uint8_t *p = (uint8_t *)(word)area + BYTES - 2;

	for (at = 0; at < 10; at++)
		*(volatile uint32_t *)(word)p = (uint32_t)at;
}

/* The return address goes to the watched word and comes from there; what traps
 * then shall not push onto it. */
static void do_call(void)
{
	__asm__ volatile("mov " SP ", " DX "; mov %0, " SP "\n"
			 "call 1f; jmp 2f; 1: ret $2048\n"
			 "2: mov " DX ", " SP
			 :
			 : "r"(&area[WATCHED + 1])
			 : "edx", "memory");
}

#ifdef __x86_64__
extern char after_iret[];

__attribute__((noinline)) static void do_iret(void)
{
	__asm__ volatile(
		"mov %%rsp, %%rdx; mov %0, %%rsp; push %3; push %%rdx\n"
		"pushf; push %2; push %1; iretq\n"
		".globl after_iret; after_iret:"
		:
		: "r"(&area[WATCHED + 5]), "r"(after_iret), "r"((word)SEL_CODE),
		"r"((word)SEL_DATA)
		: "rdx", "cc", "memory");
}
#endif

static const struct {
	const char *name;
	void (*fn)(void);
	unsigned type, hits;
} accesses[] = {
	{"stores: writes", do_stores, WRITE, 1},
	{"stores: accesses", do_stores, ACCESS, 1},
	{"loads: writes", do_loads, WRITE, 0},
	{"loads: accesses", do_loads, ACCESS, 1},
	{"increments: writes", do_changes, WRITE, 1},
	{"LOCKed increments: writes", do_locked, WRITE, 1},
	{"REP STOS: writes", do_fill, WRITE, sizeof(word)},
	{"REP MOVS: writes", do_copy, WRITE, sizeof(word)},
	{"across pages: writes", do_cross, WRITE, 10},
	{"CALL and RET: writes", do_call, WRITE, 1},
	{"CALL and RET: accesses", do_call, ACCESS, 2},
#ifdef __x86_64__
	{"IRET: writes", do_iret, WRITE, 1},
	{"IRET: accesses", do_iret, ACCESS, 2},
#endif
};

static void check_accesses(void)
{
	for (unsigned i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++) {
		bool cross = accesses[i].fn == do_cross;
		volatile void *a = &area[WATCHED];

		if (cross) /* the first byte of the second page */
			a = (volatile uint8_t *)area + BYTES;
		for (unsigned n = 0; n < 3; n++)
			accesses[i].fn();
		db.hits = 0;
		set_dr(a, accesses[i].type, cross ? 0 : LEN);
		accesses[i].fn();
		set_dr(0, 0, 0);
		ok_eq(db.hits, accesses[i].hits, accesses[i].name);
		accesses[i].fn();
		ok_eq(db.hits, accesses[i].hits, "and none without it");
	}
}

/* ---- where ---- */

static void check_where(void)
{
	do_fill();
	set_dr(&area[WATCHED], WRITE, LEN);
	do_stores();
	ok_eq(db.at, WATCHED, "behind the store");
	ok_eq(area[WATCHED], WATCHED, "which is done");
	ok_eq(db.next, 0, "and before the next");
	ok_eq(db.dr6 & 15, 1, "DR6 names the breakpoint");
	db.next = 0;
	do_fill();
	ok_eq(db.next, WATCHED + 1, "between iterations");
#ifdef __x86_64__
	set_dr(&area[WATCHED], ACCESS, LEN);
	do_iret();
	ok_eq(db.rip, (word)after_iret, "where IRET goes");
#endif
	/* another address: enabled already */
	db.hits = 0;
	__asm__ volatile("mov %0, %%dr0" : : "r"(&area[5]));
	do_stores();
	ok_eq(db.hits, 1, "moved: one hit");
	ok_eq(db.at, 5, "at the new place");
	set_dr(0, 0, 0);
}

/* ---- the frame of an exception ---- */

static void do_int(void)
{
	__asm__ volatile("mov " SP ", " DX "; mov %0, " SP "; int3\n"
			 "mov " DX ", " SP
			 :
			 : "r"(&area[WATCHED + 3])
			 : "edx", "memory");
}

static unsigned nbreaks;

static void on_break(struct frame *f)
{
	(void)f;
	nbreaks++;
}

static void check_frame(void)
{
	on_vector(3, on_break);
	do_int();
	db.hits = 0;
	set_dr(&area[WATCHED], WRITE, LEN);
	do_int();
	set_dr(0, 0, 0);
	ok_eq(nbreaks, 2, "INT3 onto a watched stack is delivered");
	ok_eq(db.hits, 1, "and its frame traps");
	on_vector(3, NULL);
}

void test_main(void)
{
	on_vector(1, on_db);
	check_accesses();
	check_where();
	check_frame();
	on_vector(1, NULL);
}

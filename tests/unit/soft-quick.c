/*
 * soft-quick.c - the quick ways of soft/quick.c against the complete ones:
 * whenever they say that they did it, state and memory must be the same.
 */
#include "soft-rig.h"

#include "cpu/soft/quick.h"

#define RAM_SEEN 0x10000
#define ROUNDS	 20000

static uint64_t seed = 1;

static uint64_t rnd(void)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return seed >> 33;
}

static uint64_t pick(const uint64_t *v, unsigned n)
{
	return v[rnd() % n];
}

#define PICK(...)                                                              \
	pick((const uint64_t[]){__VA_ARGS__},                                  \
		sizeof((const uint64_t[]){__VA_ARGS__}) / 8)

enum op { SYSCALL, SYSRET, IRET, FAULT_IN, NOPS };

static const uint8_t vectors[] = {X86_UD, X86_GP, X86_NP};

static bool quick(struct soft_cpu *c, enum op op, unsigned vector)
{
	switch (op) {
	case SYSCALL: return soft_quick_syscall(c, c->st.rip + 2);
	case SYSRET: return soft_quick_sysret(c);
	case IRET: return soft_quick_iret(c);
	default:
		return soft_quick_fault(
			c, vector, vector == X86_UD ? -1 : 0x123);
	}
}

static void complete(struct soft_cpu *c, enum op op, unsigned vector)
{
	switch (op) {
	case SYSCALL: soft_syscall(c, c->st.rip + 2); break;
	case SYSRET: soft_sysret(c, 8); break;
	case IRET: soft_iret(c, 8, c->st.rip + 2); break;
	default:
		memset(&c->fault, 0, sizeof(c->fault));
		c->fault.vector = vector;
		c->fault.has_error = vector != X86_UD;
		c->fault.error = vector == X86_UD ? 0 : 0x123;
		soft_deliver_fault(c);
	}
}

static uint64_t some_flags(void)
{
	return (rnd() & 0x244ed5) | 2 | (rnd() % 8 ? 0 : X86_FL_TF) |
	       (rnd() % 8 ? 0 : X86_FL_NT) | (rnd() & 3) << 12;
}

static void frame(struct rig *r, uint32_t at)
{
	put8(r, at,
		PICK(0x5000, 0x6000, 0x7fffffffffff, 1ull << 47, ~0ull << 47));
	put8(r, at + 8,
		PICK(K_CODE, K_CODE, U_CODE | 3, U_CODE | 3, U_CODE | 3, CONF,
			CODE32, 0, U_CODE, K_DATA, 0x1000));
	put8(r, at + 16, some_flags() | (rnd() & X86_FL_RF));
	put8(r, at + 24, PICK(0x8800, 0x8808, ~0ull << 40));
	put8(r, at + 32,
		PICK(K_DATA, U_DATA | 3, U_DATA | 3, U_DATA | 3, 0, 3, U_DATA,
			K_CODE));
}

static void scene(struct rig *r, unsigned vector)
{
	struct x86_state *s = &r->c->st;
	unsigned cpl = rnd() & 1 ? 3 : 0;
	uint64_t g;

	rig_long(r, cpl);
	for (unsigned i = 0; i < 2; i++)
		put8(r, RIG_PT + i * 0x1000,
			get8(r, RIG_PT + i * 0x1000) | 0x20);
	put8(r, RIG_PT + 0x2000, 0xe7);
	s->rflags = some_flags() & ~(uint64_t)X86_FL_TF;
	s->cr0 = (s->cr0 & ~X86_CR0_AM) | (rnd() & X86_CR0_AM);
	s->gpr[X86_RSP] = PICK(0x8900, 0x8908, 0x8ff0, 0x9010, 1ull << 47);
	s->gpr[X86_RCX] = PICK(0x5000, 1ull << 47, ~0ull << 47);
	s->gpr[X86_R11] = some_flags();
	s->star = PICK(0x8, 0x1b, 0xfffc) << 32 | PICK(0x10, 0x8, 0xfff3) << 48;
	s->lstar = ~0ull << 31;
	s->sfmask = PICK(0x47700, 0x257fd5, 0);
	s->nmi_blocked = !(rnd() % 8);
	if (!(rnd() % 4))
		s->seg[X86_DS].attr ^= PICK(0x60, 0x80);
	if (s->gpr[X86_RSP] < RAM_SEEN)
		frame(r, s->gpr[X86_RSP]);
	g = gate(PICK(K_CODE, K_CODE, K_CODE, CONF, U_CODE, CODE32, 0), 0x6000,
		PICK(0x8e, 0x8e, 0x8f, 0x8f, 0xee, 0x0e, 0x85));
	put8(r, RIG_IDT + vector * 16, g | PICK(0, 0, 1, 7) << 32);
	put8(r, RIG_IDT + vector * 16 + 8, PICK(0, 0, 0x8000, 0x1f0000000000));
	put8(r, RIG_TSS + 4, PICK(0x8000, 0x8008, 1ull << 47));
	soft_update_mode(r->c);
	soft_tlb_flush(r->c);
}

static void test_op(gconstpointer opaque)
{
	static uint8_t before[RAM_SEEN], after[RAM_SEEN];
	enum op op = GPOINTER_TO_UINT(opaque);
	struct rig *r = rig_new();
	struct x86_state *st = g_new(struct x86_state, 2);
	unsigned done = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned vector = vectors[rnd() % sizeof(vectors)];
		uint8_t derived[3];

		scene(r, vector);
		st[0] = r->c->st;
		memcpy(before, r->ram, RAM_SEEN);
		if (!quick(r->c, op, vector)) {
			g_assert_cmpmem(&r->c->st, sizeof(st[0]), &st[0],
				sizeof(st[0]));
			g_assert_cmpmem(r->ram, RAM_SEEN, before, RAM_SEEN);
			continue;
		}
		done++;
		st[1] = r->c->st;
		derived[0] = r->c->cpl;
		derived[1] = r->c->tlb_mode;
		derived[2] = r->c->code64;
		memcpy(after, r->ram, RAM_SEEN);
		r->c->st = st[0];
		memcpy(r->ram, before, RAM_SEEN);
		soft_update_mode(r->c);
		g_assert_cmpint(
			FAULT(r->c, complete(r->c, op, vector)), ==, -1);
		g_assert_cmpmem(
			&r->c->st, sizeof(st[1]), &st[1], sizeof(st[1]));
		g_assert_cmpmem(r->ram, RAM_SEEN, after, RAM_SEEN);
		g_assert_cmpuint(r->c->cpl, ==, derived[0]);
		g_assert_cmpuint(r->c->tlb_mode, ==, derived[1]);
		g_assert_cmpuint(r->c->code64, ==, derived[2]);
	}
	g_assert_cmpuint(done, >, ROUNDS / 200);
	g_free(st);
	rig_free(r);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_data_func(
		"/soft/quick/syscall", GUINT_TO_POINTER(SYSCALL), test_op);
	g_test_add_data_func(
		"/soft/quick/sysret", GUINT_TO_POINTER(SYSRET), test_op);
	g_test_add_data_func(
		"/soft/quick/iret", GUINT_TO_POINTER(IRET), test_op);
	g_test_add_data_func(
		"/soft/quick/fault", GUINT_TO_POINTER(FAULT_IN), test_op);
	return g_test_run();
}

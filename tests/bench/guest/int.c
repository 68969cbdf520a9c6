/*
 * int.c - integer programs in small: what compilers make of plain C.
 *
 * Built without vectorisation and without loops turned into library calls,
 * so that the loops are what they look like.
 */
#include "bench.h"
#include <stdlib.h>
#include <string.h>

static uint64_t lcg(void)
{
	uint64_t x = 1;

	for (int i = 0; i < 1000000; i++)
		x = x * 6364136223846793005u + 1442695040888963407u;
	return x;
}

static uint64_t branchy(void)
{
	uint32_t x = 2463534242u;
	uint64_t a = 0;

	for (int i = 0; i < 200000; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		if (x & 1)
			a += x;
		else if (x & 2)
			a ^= x >> 3;
		else
			a -= 7;
	}
	return a;
}

static uint64_t divide(void)
{
	uint64_t x = 0x123456789abcdefu, sum = 0;

	for (uint64_t i = 1; i <= 50000; i++) {
		sum += x / (i * 3) + x % (i + 5);
		x += sum & 0xff;
	}
	return sum;
}

#define LIMBS 32

/* A product of 2048-bit numbers: carries and wide multiplications. */
static uint64_t bignum(void)
{
	static uint64_t a[LIMBS], b[LIMBS], r[2 * LIMBS];
	uint64_t check = 0;

	for (unsigned i = 0; i < LIMBS; i++) {
		a[i] = 0x9e3779b97f4a7c15u * (i + 1);
		b[i] = 0xc2b2ae3d27d4eb4fu * (i + 7);
	}
	for (unsigned round = 0; round < 40; round++) {
		memset(r, 0, sizeof(r));
		for (unsigned i = 0; i < LIMBS; i++) {
			unsigned __int128 t = 0;

			for (unsigned j = 0; j < LIMBS; j++) {
				t += (unsigned __int128)a[i] * b[j] + r[i + j];
				r[i + j] = (uint64_t)t;
				t >>= 64;
			}
			r[i + LIMBS] = (uint64_t)t;
		}
		a[round % LIMBS] = r[LIMBS + 1];
		check = bench_mix(check, r[LIMBS]);
	}
	return check;
}

__attribute__((noinline)) static unsigned fibonacci(unsigned n)
{
	return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static uint64_t fib(void)
{
	return fibonacci(24);
}

#define CALLEE(n)                                                              \
	__attribute__((noinline)) static uint64_t callee##n(uint64_t x)        \
	{                                                                      \
		return (x ^ x >> 7) * (2 * n + 3) + n;                         \
	}
CALLEE(0)
CALLEE(1)
CALLEE(2)
CALLEE(3)
CALLEE(4)
CALLEE(5)
CALLEE(6)
CALLEE(7)

static uint64_t (*const callees[8])(uint64_t) = {
	callee0,
	callee1,
	callee2,
	callee3,
	callee4,
	callee5,
	callee6,
	callee7,
};

/* In an order that a processor can learn, as of virtual functions. */
static uint64_t indirect(void)
{
	static const uint8_t order[16] = {
		0, 3, 1, 0, 5, 2, 7, 4, 1, 1, 6, 3, 0, 2, 5, 7};
	uint64_t x = 1;

	for (int i = 0; i < 200000; i++)
		x = callees[order[i % 16]](x);
	return x;
}

/* In no order: each a misprediction. */
static uint64_t indirect_random(void)
{
	uint64_t x = 1;
	uint32_t r = 5;

	for (int i = 0; i < 100000; i++) {
		r ^= r << 13;
		r ^= r >> 17;
		r ^= r << 5;
		x = callees[r & 7](x);
	}
	return x;
}

#define SORTED 50000
static uint32_t sorted[SORTED];

static void quicksort(uint32_t *a, long n)
{
	while (n > 12) {
		uint32_t pivot = a[n / 2];
		long i = 0, j = n - 1;

		for (;; i++, j--) {
			while (a[i] < pivot)
				i++;
			while (a[j] > pivot)
				j--;
			if (i >= j)
				break;
			uint32_t t = a[i];
			a[i] = a[j];
			a[j] = t;
		}
		quicksort(a, i);
		a += i;
		n -= i;
	}
	for (long i = 1; i < n; i++) {
		uint32_t t = a[i];
		long j = i;

		for (; j > 0 && a[j - 1] > t; j--)
			a[j] = a[j - 1];
		a[j] = t;
	}
}

static void fill_sorted(void)
{
	uint32_t x = 1;

	for (unsigned i = 0; i < SORTED; i++)
		sorted[i] = bench_random(&x);
}

static uint64_t check_sorted(void)
{
	uint64_t check = 0;

	for (unsigned i = 0; i < SORTED; i++)
		check = check * 31 + sorted[i];
	return check;
}

static uint64_t sort_inline(void)
{
	fill_sorted();
	quicksort(sorted, SORTED);
	return check_sorted();
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t sort_libc(void)
{
	fill_sorted();
	qsort(sorted, SORTED, sizeof(*sorted), compare);
	return check_sorted();
}

/* A stack machine that adds up i * i % 7 for i below a limit. */
enum op { PUSH, LOAD, STORE, ADD, MUL, MOD, LESS, JUMP_IF, END };

static const int32_t program[] = {
	PUSH,
	0,
	STORE,
	0,
	PUSH,
	0,
	STORE,
	1,
	LOAD,
	0,
	LOAD,
	1,
	LOAD,
	1,
	MUL,
	PUSH,
	7,
	MOD,
	ADD,
	STORE,
	0,
	LOAD,
	1,
	PUSH,
	1,
	ADD,
	STORE,
	1,
	LOAD,
	1,
	PUSH,
	8000,
	LESS,
	JUMP_IF,
	8,
	END,
};

static uint64_t bytecode(void)
{
	int64_t stack[16], variable[4] = {0};
	const int32_t *pc = program;
	int64_t *sp = stack;

	for (;;) {
		switch (*pc++) {
		case PUSH: *sp++ = *pc++; break;
		case LOAD: *sp++ = variable[*pc++]; break;
		case STORE: variable[*pc++] = *--sp; break;
		case ADD:
			sp--;
			sp[-1] += *sp;
			break;
		case MUL:
			sp--;
			sp[-1] *= *sp;
			break;
		case MOD:
			sp--;
			sp[-1] %= *sp;
			break;
		case LESS:
			sp--;
			sp[-1] = sp[-1] < *sp;
			break;
		case JUMP_IF: pc = *--sp ? program + *pc : pc + 1; break;
		default: return (uint64_t)variable[0];
		}
	}
}

static uint32_t rotate(uint32_t x, int n)
{
	return x >> n | x << (32 - n);
}

static uint32_t sha_k[64];

static void sha_block(uint32_t h[8], const uint8_t *p)
{
	uint32_t a = h[0], b = h[1], c = h[2], d = h[3];
	uint32_t e = h[4], f = h[5], g = h[6], k = h[7], w[64];

	for (int i = 0; i < 16; i++, p += 4)
		w[i] = (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
	for (int i = 16; i < 64; i++)
		w[i] = w[i - 16] + w[i - 7] +
		       (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^
			       w[i - 15] >> 3) +
		       (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^
			       w[i - 2] >> 10);
	for (int i = 0; i < 64; i++) {
		uint32_t t = k + sha_k[i] + w[i] + ((e & f) ^ (~e & g)) +
			     (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25));
		uint32_t u = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) +
			     ((a & b) ^ (a & c) ^ (b & c));

		k = g, g = f, f = e, e = d + t;
		d = c, c = b, b = a, a = t + u;
	}
	h[0] += a, h[1] += b, h[2] += c, h[3] += d;
	h[4] += e, h[5] += f, h[6] += g, h[7] += k;
}

static bool sha_setup(void)
{
	uint32_t x = 3;

	for (int i = 0; i < 64; i++)
		sha_k[i] = bench_random(&x) << 9 ^ bench_random(&x);
	return true;
}

/* The shape of SHA-256; its constants do not matter for speed. */
static uint64_t sha(void)
{
	static uint8_t data[16384];
	uint32_t h[8] = {1, 2, 3, 4, 5, 6, 7, 8};

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	for (size_t i = 0; i < sizeof(data); i += 64)
		sha_block(h, data + i);
	return (uint64_t)h[0] << 32 | h[7];
}

static uint64_t crc(void)
{
	static uint32_t table[256];
	uint32_t c = ~0u;

	for (uint32_t i = 0; i < 256; i++) {
		table[i] = i;
		for (int k = 0; k < 8; k++)
			table[i] =
				table[i] >> 1 ^ (-(table[i] & 1) & 0xedb88320);
	}
	for (uint32_t i = 0; i < 100000; i++)
		c = table[(c ^ i) & 0xff] ^ c >> 8;
	return c;
}

const struct bench_row rows_int[] = {
	{"lcg", "int", "Mop/s", 1, lcg},
	{"branchy", "int", "Mop/s", 0.2, branchy},
	{"divide", "int", "Mdiv/s", 0.1, divide},
	{"bignum", "int", "mul/s", 40, bignum},
	{"fib", "int", "run/s", 1, fib},
	{"icall", "int", "Mcall/s", 0.2, indirect},
	{"icall_random", "int", "Mcall/s", 0.1, indirect_random},
	{"qsort", "int", "sort/s", 1, sort_inline},
	{"qsort_libc", "int", "sort/s", 1, sort_libc},
	{"interp", "int", "run/s", 1, bytecode},
	{"sha256", "int", "MB/s", 0.016384, sha, sha_setup},
	{"crc32", "int", "MB/s", 0.1, crc},
	{NULL},
};

/*
 * fp.c - floating point, vectors, x87 and the library's string code.
 *
 * All results are exact by IEEE 754, so they are the same on every engine.
 * Built without vectorisation and contraction: what is wide says so.
 */
#include "bench.h"
#include <immintrin.h>
#include <string.h>

#define N 4096
static double a[N] __attribute__((aligned(64)));
static double b[N] __attribute__((aligned(64)));
static double c[N] __attribute__((aligned(64)));
static char line[32768] __attribute__((aligned(64)));
static char copied[32768] __attribute__((aligned(64)));

static uint64_t bits(double x)
{
	uint64_t u;

	memcpy(&u, &x, sizeof(u));
	return u;
}

static bool fill(void)
{
	for (int i = 0; i < N; i++) {
		a[i] = 1.0 + i * 0.001;
		b[i] = 2.0 - i * 0.0001;
	}
	memset(line, 'x', sizeof(line) - 1);
	return true;
}

static uint64_t check_c(void)
{
	uint64_t check = 0;

	for (int i = 5; i < N; i += 256)
		check = bench_mix(check, bits(c[i]));
	return check;
}

static uint64_t muladd(void)
{
	double x = 1.0, y = 1.0000001;

	__asm__("" : "+x"(y));
	for (int i = 0; i < 100000; i++)
		x = x * y + 1e-9;
	return bits(x);
}

static uint64_t polynomial(void)
{
	double sum = 0, x = 0.1;

	for (int i = 0; i < 20000; i++) {
		double p = 0.5;

		p = p * x + 0.25;
		p = p * x - 1.125;
		p = p * x + 0.75;
		p = p * x - 2.5;
		p = p * x + 3.0;
		sum += p;
		x += 1e-5;
	}
	return bits(sum);
}

static uint64_t divsqrt(void)
{
	double sum = 0;

	for (int i = 1; i < 20000; i++) {
		__m128d v = _mm_set_sd(sum + i);

		sum += 1.0 / _mm_cvtsd_f64(_mm_sqrt_sd(v, v));
	}
	return bits(sum);
}

static uint64_t mandelbrot(void)
{
	unsigned total = 0;

	for (int y = 0; y < 24; y++)
		for (int x = 0; x < 32; x++) {
			double cr = x * 0.09375 - 2.1, ci = y * 0.1 - 1.2;
			double r = 0, i = 0;

			for (int n = 0; n < 60 && r * r + i * i < 4; n++) {
				double t = r * r - i * i + cr;

				i = 2 * r * i + ci;
				r = t;
				total++;
			}
		}
	return total;
}

#define SIDE 48

static uint64_t matrix(void)
{
	for (int i = 0; i < SIDE; i++)
		for (int j = 0; j < SIDE; j++) {
			double sum = 0;

			for (int k = 0; k < SIDE; k++)
				sum += a[i * SIDE + k] * b[k * SIDE + j];
			c[i * SIDE + j] = sum;
		}
	return check_c();
}

static uint64_t daxpy_scalar(void)
{
	double k = 0.25;

	__asm__("" : "+x"(k));
	for (int i = 0; i < N; i++)
		c[i] = k * a[i] + b[i];
	return check_c();
}

static uint64_t daxpy_sse2(void)
{
	__m128d k = _mm_set1_pd(0.25);

	for (int i = 0; i < N; i += 2)
		_mm_store_pd(
			c + i, _mm_add_pd(_mm_mul_pd(k, _mm_load_pd(a + i)),
				       _mm_load_pd(b + i)));
	return check_c();
}

__attribute__((target("avx2,fma"))) static uint64_t daxpy_avx2(void)
{
	__m256d k = _mm256_set1_pd(0.25);

	for (int i = 0; i < N; i += 4)
		_mm256_store_pd(c + i, _mm256_fmadd_pd(k, _mm256_load_pd(a + i),
					       _mm256_load_pd(b + i)));
	return check_c();
}

__attribute__((target("avx512f"))) static uint64_t daxpy_avx512(void)
{
	__m512d k = _mm512_set1_pd(0.25);

	for (int i = 0; i < N; i += 8)
		_mm512_store_pd(c + i, _mm512_fmadd_pd(k, _mm512_load_pd(a + i),
					       _mm512_load_pd(b + i)));
	return check_c();
}

/* Bytes shuffled and compared in registers: the work of text and codecs. */
__attribute__((target("avx2"))) static uint64_t bytes_avx2(void)
{
	__m256i x = _mm256_set1_epi32(0x01234567), y = x, z;
	const __m256i order = _mm256_set1_epi64x(0x0001020304050607);

	for (int i = 0; i < 20000; i++) {
		y = _mm256_add_epi8(_mm256_shuffle_epi8(y, order), x);
		z = _mm256_cmpgt_epi8(y, x);
		x = _mm256_xor_si256(x, _mm256_srli_epi32(y, 3));
		y = _mm256_sub_epi8(y, z);
	}
	return (uint64_t)_mm256_extract_epi64(y, 2);
}

static bool has_avx2(void)
{
	return fill() && __builtin_cpu_supports("avx2") &&
	       __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
	return fill() && __builtin_cpu_supports("avx512f");
}

__attribute__((noinline)) static size_t length_sse2(const char *s)
{
	const __m128i zero = _mm_setzero_si128();
	size_t n = 0;

	for (;; n += 16) {
		__m128i v = _mm_load_si128((const __m128i *)(s + n));
		int mask = _mm_movemask_epi8(_mm_cmpeq_epi8(v, zero));

		if (mask)
			return n + (size_t)__builtin_ctz((unsigned)mask);
	}
}

static uint64_t strlen_sse2(void)
{
	size_t n = 0;

	for (int i = 0; i < 8; i++)
		n += length_sse2(line + i * 16);
	return n;
}

static uint64_t harmonic(void)
{
	volatile long double one = 1;
	long double sum = 0, i = one;

	for (int n = 0; n < 20000; n++, i += one)
		sum += one / i;
	return (uint64_t)(sum * 1e15L);
}

static uint64_t x87_memory(void)
{
	static long double v[512];
	double last;

	for (int i = 0; i < 512; i++)
		v[i] = i * 0.5L + 1;
	for (int round = 0; round < 20; round++)
		for (int i = 1; i < 512; i++)
			v[i] = v[i] * 0.75L + v[i - 1] * 0.125L;
	last = (double)v[511];
	return bits(last);
}

static uint64_t memcpy_small(void)
{
	for (int i = 0; i < 50; i++) {
		memcpy(copied, line, sizeof(line));
		__asm__ volatile("" ::: "memory");
	}
	return (uint64_t)copied[100];
}

static uint64_t strings(void)
{
	uint64_t n = 0;

	for (size_t i = 0; i < 2000; i++) {
		n += strlen(line + sizeof(line) - 200 + i % 150);
		n += !memchr(line + i, 'y', 80);
		n += !memcmp(line + i, line + i + 16, 60);
		__asm__ volatile("" ::: "memory");
	}
	return n;
}

#define LARGE (16u << 20)
static char *from, *to;

static bool make_large(void)
{
	from = bench_alloc(LARGE);
	to = bench_alloc(LARGE);
	memset(from, 5, LARGE);
	return true;
}

static uint64_t memcpy_large(void)
{
	memcpy(to, from, LARGE);
	return (uint64_t)to[LARGE - 3];
}

static uint64_t memset_large(void)
{
	memset(to, 7, LARGE);
	__asm__ volatile("" ::: "memory");
	return (uint64_t)to[LARGE - 3];
}

const struct bench_row rows_fp[] = {
	{"fp_muladd", "fp", "Mop/s", 0.1, muladd},
	{"fp_poly", "fp", "Mop/s", 0.02, polynomial},
	{"fp_divsqrt", "fp", "Mop/s", 0.02, divsqrt},
	{"fp_mandel", "fp", "run/s", 1, mandelbrot},
	{"fp_matrix", "fp", "run/s", 1, matrix, fill},
	{"daxpy", "fp", "Melem/s", N * 1e-6, daxpy_scalar, fill},
	{"daxpy_sse2", "fp", "Melem/s", N * 1e-6, daxpy_sse2, fill},
	{"daxpy_avx2", "fp", "Melem/s", N * 1e-6, daxpy_avx2, has_avx2},
	{"daxpy_avx512", "fp", "Melem/s", N * 1e-6, daxpy_avx512, has_avx512},
	{"bytes_avx2", "fp", "Mop/s", 0.02, bytes_avx2, has_avx2},
	{"strlen_sse2", "fp", "MB/s", 0.262, strlen_sse2, fill},
	{"x87_harmonic", "fp", "Mop/s", 0.02, harmonic},
	{"x87_memory", "fp", "Mop/s", 0.01, x87_memory},
	{"memcpy32K", "fp", "MB/s", 1.6384, memcpy_small, fill},
	{"memcpy16M", "fp", "MB/s", 16.777, memcpy_large, make_large},
	{"memset16M", "fp", "MB/s", 16.777, memset_large, make_large},
	{"libc_strings", "fp", "kop/s", 2, strings, fill},
	{NULL},
};

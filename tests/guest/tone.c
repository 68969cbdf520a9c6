/*
 * tone.c - a Linux program without a C library, for 32 bits: it runs on both
 * kinds of kernels.  Through OSS it plays a sine or records, and says how long
 * that took by the guest's clock.
 *
 *	tone play RATE BITS CHANNELS HERTZ MS [DEVICE]
 *	tone record RATE BITS CHANNELS HERTZ MS [DEVICE]
 *	tone mixer CONTROL PERCENT
 *
 * Recording counts how often the first channel rises through zero and how high
 * it goes; HERTZ is not used.
 */
#include <stdint.h>

#define SYS_EXIT  1
#define SYS_READ  3
#define SYS_WRITE 4
#define SYS_OPEN  5
#define SYS_IOCTL 54
#define SYS_CLOCK 265 /* clock_gettime, CLOCK_MONOTONIC = 1 */

#define DSP_SYNC     0x5001
#define DSP_SPEED    0xc0045002u
#define DSP_SETFMT   0xc0045005u
#define DSP_CHANNELS 0xc0045006u

#define MIXER_WRITE 0xc0044d00u

#define AMPLITUDE 16000

static long sys(long n, long a, long b, long c)
{
	long r;

	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "a"(n), "b"(a), "c"(b), "d"(c)
			 : "memory");
	return r;
}

static unsigned length(const char *s)
{
	unsigned n = 0;

	while (s[n])
		n++;
	return n;
}

static void print(const char *s)
{
	sys(SYS_WRITE, 1, (long)s, (long)length(s));
}

static void print_number(const char *what, unsigned n)
{
	char buf[12], *p = buf + sizeof(buf) - 1;

	*p = 0;
	do
		*--p = '0' + n % 10;
	while (n /= 10);
	print(what);
	print(p);
}

static unsigned number(const char *s)
{
	unsigned n = 0;

	while (*s)
		n = n * 10 + (unsigned)(*s++ - '0');
	return n;
}

static unsigned now_ms(void)
{
	int32_t t[2] = {0};

	sys(SYS_CLOCK, 1, (long)t, 0);
	return (unsigned)t[0] * 1000 + (unsigned)t[1] / 1000000;
}

/* The sine of a whole turn's phase/2^32, times 32768: a quarter by its
 * series. */
static int sine(uint32_t phase)
{
	uint32_t p = phase << 1 >> 1; /* half a turn is 2^31 */
	int64_t x, x2, x3, x5, x7, y;

	if (p > 1u << 30)
		p = (1u << 31) - p;
	/* radians, and the factors 1/3!, 1/5!, 1/7!, in 2^-28 */
	x = (int64_t)p * 421657428 >> 30;
	x2 = x * x >> 28;
	x3 = x * x2 >> 28;
	x5 = x3 * x2 >> 28;
	x7 = x5 * x2 >> 28;
	y = x - (x3 * 44739243 >> 28) + (x5 * 2236962 >> 28) -
	    (x7 * 53261 >> 28);
	y >>= 13;
	return phase >> 31 ? (int)-y : (int)y;
}

/* 2^32 * hertz / rate, in steps: no 64-bit division without a library. */
static uint32_t turn_step(unsigned hertz, unsigned rate)
{
	uint32_t step = 0, rest = 0;

	while (hertz--) {
		step += 0xffffffffu / rate;
		rest += 0xffffffffu % rate + 1;
		step += rest / rate;
		rest %= rate;
	}
	return step;
}

static uint8_t buf[4096];

static unsigned fill(unsigned bits, unsigned channels, uint32_t *phase,
	uint32_t step, unsigned frames)
{
	uint8_t *p = buf;

	for (; frames; frames--) {
		int v = sine(*phase) * (AMPLITUDE / 64) / 512;

		*phase += step;
		for (unsigned c = 0; c < channels; c++) {
			if (bits == 8) {
				*p++ = (uint8_t)((v >> 8) + 128);
				continue;
			}
			*p++ = (uint8_t)v;
			*p++ = (uint8_t)(v >> 8);
		}
	}
	return (unsigned)(p - buf);
}

static int sample(const uint8_t *p, unsigned bits)
{
	return bits == 8 ? (p[0] - 128) * 256 : (int16_t)(p[0] | p[1] << 8);
}

static void play(int fd, unsigned *rate, const char *const *arg)
{
	unsigned bits = number(arg[1]), channels = number(arg[2]);
	unsigned left = *rate / 1000 * number(arg[4]) +
			*rate % 1000 * number(arg[4]) / 1000;
	uint32_t phase = 0, step = turn_step(number(arg[3]), *rate);

	while (left) {
		unsigned frame = bits / 8 * channels;
		unsigned n = sizeof(buf) / frame, len;

		n = n < left ? n : left;
		left -= n;
		len = fill(bits, channels, &phase, step, n);
		for (unsigned done = 0; done < len;) {
			long r = sys(SYS_WRITE, fd, (long)(buf + done),
				(long)(len - done));

			if (r <= 0) {
				print("write failed\n");
				sys(SYS_EXIT, 1, 0, 0);
			}
			done += (unsigned)r;
		}
	}
	sys(SYS_IOCTL, fd, DSP_SYNC, 0);
}

static void record(int fd, unsigned *rate, const char *const *arg)
{
	unsigned bits = number(arg[1]), frame = bits / 8 * number(arg[2]);
	unsigned left = *rate / 1000 * number(arg[4]);
	unsigned rises = 0, peak = 0, low = 1;

	while (left) {
		unsigned want = sizeof(buf) / frame;
		long r;

		want = want < left ? want : left;
		r = sys(SYS_READ, fd, (long)buf, (long)(want * frame));
		if (r < (long)frame) {
			print("read failed\n");
			sys(SYS_EXIT, 1, 0, 0);
		}
		left -= (unsigned)r / frame;
		for (unsigned i = 0; i + frame <= (unsigned)r; i += frame) {
			int v = sample(buf + i, bits);

			peak = v > 0 && (unsigned)v > peak ? (unsigned)v : peak;
			rises += low && v > 1000;
			low = v < -1000 || (low && v <= 1000);
		}
	}
	print_number("rises ", rises);
	print_number(" peak ", peak);
	print(" ");
}

/* CONTROL: 0 master, 4 PCM, 11 recording, 12 its gain. */
static int set_mixer(const char *const *arg)
{
	unsigned percent = number(arg[1]);
	int fd = (int)sys(SYS_OPEN, (long)"/dev/mixer", 2, 0);

	percent |= percent << 8;
	if (sys(SYS_IOCTL, fd, (long)(MIXER_WRITE | number(arg[0])),
		    (long)&percent) == 0)
		return 0;
	print("no such control\n");
	return 1;
}

int begin(const char *const *arg)
{
	int playing = arg[1][0] == 'p';
	const char *const *opt = arg + 2;
	unsigned rate, bits, channels, start;
	int fd;

	if (arg[1][0] == 'm')
		return set_mixer(opt);
	fd = (int)sys(SYS_OPEN, (long)(opt[5] ? opt[5] : "/dev/dsp"),
		playing ? 1 : 0, 0);
	if (fd < 0) {
		print("cannot open the device\n");
		return 1;
	}
	rate = number(opt[0]);
	channels = number(opt[2]);
	bits = number(opt[1]) == 8 ? 8 : 16; /* AFMT_U8, AFMT_S16_LE */
	sys(SYS_IOCTL, fd, (long)DSP_SETFMT, (long)&bits);
	sys(SYS_IOCTL, fd, (long)DSP_CHANNELS, (long)&channels);
	sys(SYS_IOCTL, fd, (long)DSP_SPEED, (long)&rate);
	start = now_ms();
	if (playing)
		play(fd, &rate, opt);
	else
		record(fd, &rate, opt);
	print_number("rate ", rate);
	print_number(" ms ", now_ms() - start);
	print("\n");
	return 0;
}

__asm__(".globl _start\n"
	"_start:\n"
	"	movl %esp, %eax\n"
	"	addl $4, %eax\n"
	"	andl $-16, %esp\n"
	"	subl $12, %esp\n"
	"	pushl %eax\n"
	"	call begin\n"
	"	movl %eax, %ebx\n"
	"	movl $1, %eax\n"
	"	int $0x80\n");

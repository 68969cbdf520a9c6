/*
 * change.c - a multiboot kernel that verifies itself for ever, for tests that
 * change the engine below it.
 *
 * It runs a chain of integer, x87 and string work whose result after a round
 * is known, while the PIT interrupts 250 times a second through the 8259 and
 * its handler checks that no register of the chain was touched.  Prints
 * "round N ticks T" after each some of them, or "WRONG" and what.  With "nofpu"
 * on its command line it leaves out x87, which an emulated KVM lacks.
 */
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#define COM1	   0x3f8
#define PIT_HZ	   250
#define ROUND	   2000
#define CODE_SEL   8
#define TIMER_GATE 0x20

__asm__(".section .head, \"ax\"\n"
	".long 0x1badb002, 2, -0x1badb004\n"
	".globl _start\n"
	"_start: mov $stack + 16384, %esp\n"
	"lgdt gdtr\n"
	"ljmp $8, $1f\n"
	"1: mov $16, %eax\n"
	"mov %eax, %ds\n mov %eax, %es\n mov %eax, %ss\n"
	"push %ebx\n"
	"call main\n"
	"2: hlt\n jmp 2b\n"
	".globl timer_entry\n"
	"timer_entry: pusha\n cld\n call timer\n popa\n"
	/* instead of IRET, which an emulated KVM lacks, too */
	"push 8(%esp)\n popf\n lret $4\n"
	".balign 8\n"
	"gdt: .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff\n"
	"gdtr: .word 23\n .long gdt\n"
	".text\n");

u8 stack[16384];
static volatile u32 ticks;
static u64 idt[256];
static u8 source[4096], copy[4096];

void timer_entry(void);

static void outb(u32 port, u8 v)
{
	__asm__ volatile("outb %b0, %w1" : : "a"(v), "Nd"(port));
}

static u8 inb(u32 port)
{
	u8 v;

	__asm__ volatile("inb %w1, %b0" : "=a"(v) : "Nd"(port));
	return v;
}

static void say(const char *s)
{
	for (; *s; s++) {
		while (!(inb(COM1 + 5) & 0x20))
			;
		outb(COM1, *s);
	}
}

static void say_number(u32 n)
{
	char text[12];
	char *p = text + sizeof(text) - 1;

	*p = 0;
	do
		*--p = '0' + n % 10;
	while (n /= 10);
	say(p);
}

void timer(void)
{
	ticks++;
	outb(0x20, 0x20);
}

static void start_timer(void)
{
	static const u8 init[][2] = {{0x20, 0x11}, {0xa0, 0x11}, {0x21, 0x20},
		{0xa1, 0x28}, {0x21, 4}, {0xa1, 2}, {0x21, 1}, {0xa1, 1},
		{0x21, 0xfe}, {0xa1, 0xff}};
	u32 entry = (u32)(unsigned long)timer_entry;
	struct __attribute__((packed)) {
		unsigned short limit;
		u32 base;
	} idtr = {sizeof(idt) - 1, (u32)(unsigned long)idt};

	idt[TIMER_GATE] = (u64)(entry & 0xffff0000) << 32 | 0x8e00ull << 32 |
			  CODE_SEL << 16 | (entry & 0xffff);
	for (u32 i = 0; i < sizeof(init) / 2; i++)
		outb(init[i][0], init[i][1]);
	outb(0x43, 0x34);
	outb(0x40, (1193182 / PIT_HZ) & 255);
	outb(0x40, (1193182 / PIT_HZ) >> 8);
	__asm__ volatile("lidt %0; sti" : : "m"(idtr));
}

static u32 integers(u32 x)
{
	for (u32 i = 0; i < ROUND; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		x += (x / 7) * (x % 1001);
	}
	return x;
}

/* Sums that an x87 register stack holds exactly. */
static u32 floats(void)
{
	u32 v = 0, one = 3;

	__asm__ volatile("fldz\n mov $1000, %%ecx\n"
			 "1: fildl %1\n faddp\n dec %%ecx\n jnz 1b\n"
			 "fistpl %0"
			 : "=m"(v)
			 : "m"(one)
			 : "ecx", "cc");
	return v;
}

static u32 strings(u32 seed)
{
	u32 sum = 0, n = sizeof(copy);
	u8 *d = copy, *s = source;

	for (u32 i = 0; i < sizeof(source); i++)
		source[i] = seed = seed * 69069 + 1;
	__asm__ volatile("rep movsb" : "+S"(s), "+D"(d), "+c"(n) : : "memory");
	for (u32 i = 0; i < sizeof(copy); i++)
		sum = sum * 31 + copy[i] + (copy[i] != source[i]);
	return sum;
}

static int without_fpu(const u32 *info)
{
	const char *p = (const char *)(unsigned long)info[4];

	if (!(info[0] & 4))
		return 0;
	for (; *p; p++)
		if (p[0] == 'n' && p[1] == 'o' && p[2] == 'f')
			return 1;
	return 0;
}

void main(const u32 *info)
{
	int no_fpu = without_fpu(info);
	u32 want_i, want_s;

	say("begin\n");
	want_i = integers(12345);
	want_s = strings(99);
	start_timer();
	if (!no_fpu)
		__asm__ volatile("fninit");
	for (u32 round = 1;; round++) {
		if (integers(12345) != want_i)
			say("WRONG integers\n");
		if (!no_fpu && floats() != 3000)
			say("WRONG floats\n");
		if (strings(99) != want_s)
			say("WRONG strings\n");
		if (round % 8)
			continue;
		say("round ");
		say_number(round);
		say(" ticks ");
		say_number(ticks);
		say("\n");
		__asm__ volatile("hlt"); /* the timer goes on */
	}
}

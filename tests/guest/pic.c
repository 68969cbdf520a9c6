/*
 * pic.c - the pair of 8259A interrupt controllers and the edge/level registers
 * (Intel 8259A data sheet 231468; 82371AB data sheet 290562, 4.2 and 8.5).
 *
 * Each scenario is a list of steps: writes, reads with what they must give,
 * lines that rise and fall, and the interrupts that have to come then.
 */
#include "lib.h"

#define LINES 0x2000 /* the harness's: port LINES + n sets line n */

enum op {
	END,
	OUT,
	IN,   /* the port reads v */
	BIT7, /* bit 7 of the port is v */
	UP,
	DOWN,
	TAKE, /* exactly these come, first in the highest byte; 0: none */
};

struct step {
	enum op op;
	uint32_t a, v;
	const char *name;
};

#define STEP(...)	    ((struct step){__VA_ARGS__})
#define WRITE(port, v)	    STEP(OUT, port, v, NULL)
#define READ(port, v, name) STEP(IN, port, v, name)
#define RISE(n)		    STEP(UP, n, 0, NULL)
#define FALL(n)		    STEP(DOWN, n, 0, NULL)
#define STOP		    STEP(END, 0, 0, NULL)
#define IRR(chip, v, name)  WRITE(chip, 0x0a), READ(chip, v, name)
#define ISR(chip, v, name)  WRITE(chip, 0x0b), READ(chip, v, name)
#define EOI(chip)	    WRITE(chip, 0x20)
/* Both chips, vectors 20h and 28h; the masks are clear behind it. */
#define BOTH(icw4)                                                             \
	WRITE(0x20, 0x11), WRITE(0x21, 0x20), WRITE(0x21, 4),                  \
		WRITE(0x21, icw4), WRITE(0xa0, 0x11), WRITE(0xa1, 0x28),       \
		WRITE(0xa1, 2), WRITE(0xa1, 1)

static const struct step initialisation[] = {
	WRITE(0x21, 0xff),
	WRITE(0x20, 0x11),
	WRITE(0x21, 0x27),
	RISE(4),
	{TAKE, 0, 0, "no interrupt before the last ICW"},
	WRITE(0x21, 4),
	WRITE(0x21, 1),
	{IN, 0x21, 0, "ICW1 clears the mask"},
	{TAKE, 0, 0x24, "the vector has bits 7:3 of ICW2"},
	ISR(0x20, 0x10, "in service"),
	WRITE(0x20, 0x11),
	WRITE(0x21, 0x20),
	WRITE(0x21, 4),
	WRITE(0x21, 1),
	{IN, 0x20, 0, "ICW1 selects IRR; a line that is high is no edge"},
	ISR(0x20, 0, "and nothing is in service"),
	FALL(4),
	RISE(4),
	{TAKE, 0, 0x24, "it has to fall and rise"},
	WRITE(0x20, 0x10),
	WRITE(0x21, 0x30),
	WRITE(0x21, 4),
	WRITE(0x21, 0xaa),
	{IN, 0x21, 0xaa, "without IC4 there is no ICW4"},
	STOP,
};

static const struct step nested[] = {
	BOTH(1),
	EOI(0x20),
	RISE(5),
	RISE(3),
	{TAKE, 0, 0x23, "the higher one first"},
	IRR(0x20, 0x20, "the lower one waits in IRR"),
	WRITE(0x20, 0x63),
	{TAKE, 0, 0x25, "until the specific EOI"},
	FALL(3),
	RISE(3),
	{TAKE, 0, 0x23, "a higher one interrupts"},
	ISR(0x20, 0x28, "both are in service"),
	RISE(6),
	{TAKE, 0, 0, "a lower one does not"},
	EOI(0x20),
	{IN, 0x20, 0x20, "EOI ends the highest"},
	WRITE(0x20, 0x64),
	{IN, 0x20, 0x20, "a specific EOI of another ends nothing"},
	EOI(0x20),
	{TAKE, 0, 0x26, "and what waited comes"},
	EOI(0x20),
	EOI(0x20),
	{IN, 0x20, 0, "EOI with nothing in service does nothing"},
	STOP,
};

static const struct step masks[] = {
	BOTH(1),
	WRITE(0x21, 0x28),
	RISE(3),
	RISE(5),
	FALL(5),
	RISE(5),
	{TAKE, 0, 0, "masked ones do not come"},
	IRR(0x20, 0x28, "but are requested"),
	WRITE(0x21, 0x08),
	{TAKE, 0, 0x25, "unmasked it comes, two edges once"},
	WRITE(0x21, 0),
	WRITE(0x20, 0x65),
	{TAKE, 0, 0x23, "and the other"},
	EOI(0x20),
	WRITE(0x21, 0xfb),
	{IN, 0x21, 0xfb, "the mask can be read"},
	STOP,
};

static const struct step rotation[] = {
	BOTH(1),
	WRITE(0x20, 0xc3),
	RISE(3),
	RISE(5),
	{TAKE, 0, 0x25, "set priority 3: 5 is before 3"},
	EOI(0x20),
	{TAKE, 0, 0x23, "then 3"},
	FALL(5),
	RISE(5),
	{TAKE, 0, 0x25, "5 interrupts 3"},
	ISR(0x20, 0x28, "both in service"),
	EOI(0x20),
	{IN, 0x20, 0x08, "EOI ends 5, the higher"},
	WRITE(0x20, 0xa0),
	{IN, 0x20, 0, "rotate on EOI ends 3"},
	WRITE(0x20, 0xc7),
	FALL(3),
	RISE(3),
	{TAKE, 0, 0x23, "set priority 7 is as at the start"},
	WRITE(0x20, 0xa0),
	FALL(3),
	RISE(3),
	RISE(7),
	{TAKE, 0, 0x27, "after rotation 7 is before 3"},
	WRITE(0x20, 0xe7),
	{TAKE, 0, 0x23, "rotate on specific EOI ends 7"},
	RISE(6),
	{TAKE, 0, 0, "now 6 is behind 3"},
	EOI(0x20),
	{TAKE, 0, 0x26, "and comes then"},
	WRITE(0x20, 0x40),
	ISR(0x20, 0x40, "OCW2 010 does nothing"),
	STOP,
};

static const struct step special_mask[] = {
	BOTH(1),
	RISE(4),
	{TAKE, 0, 0x24, "4 is in service"},
	WRITE(0x21, 0x10),
	WRITE(0x20, 0x28),
	RISE(6),
	{TAKE, 0, 0, "SMM without ESMM changes nothing"},
	WRITE(0x20, 0x68),
	{TAKE, 0, 0x26, "special mask: masked 4 holds back none"},
	ISR(0x20, 0x50, "both in service"),
	EOI(0x20),
	{IN, 0x20, 0x10, "EOI ends 6"},
	EOI(0x20),
	{IN, 0x20, 0x10, "and passes over the masked 4"},
	WRITE(0x20, 0x48),
	FALL(6),
	RISE(6),
	{TAKE, 0, 0, "without the mode it holds back again"},
	WRITE(0x21, 0),
	WRITE(0x20, 0x64),
	{TAKE, 0, 0x26, "until its EOI"},
	STOP,
};

static const struct step automatic[] = {
	BOTH(3),
	RISE(6),
	RISE(3),
	{TAKE, 0, 0x2326, "automatic EOI: both come"},
	ISR(0x20, 0, "nothing stays in service"),
	WRITE(0x20, 0x80),
	FALL(3),
	RISE(3),
	{TAKE, 0, 0x23, "rotation in that mode"},
	FALL(3),
	RISE(3),
	RISE(7),
	{TAKE, 0, 0x2723, "puts 3 behind 7"},
	WRITE(0x20, 0),
	FALL(7),
	RISE(7),
	FALL(4),
	RISE(4),
	{TAKE, 0, 0x2427, "off, order stays"},
	STOP,
};

static const struct step polling[] = {
	BOTH(1),
	RISE(5),
	WRITE(0x20, 0x0c),
	{IN, 0x20, 0x85, "poll gives 5"},
	ISR(0x20, 0x20, "and puts it in service"),
	WRITE(0x20, 0x0c),
	{BIT7, 0x20, 0, "nothing more"},
	{IN, 0x20, 0x20, "then reads are as before"},
	{TAKE, 0, 0, "and no interrupt comes"},
	EOI(0x20),
	RISE(3),
	WRITE(0x20, 0x0c),
	{IN, 0x21, 0x83, "the other port polls as well"},
	{IN, 0x21, 0, "once"},
	EOI(0x20),
	RISE(12),
	WRITE(0x20, 0x0c),
	{IN, 0x20, 0x82, "poll gives the cascade"},
	WRITE(0xa0, 0x0c),
	{IN, 0xa0, 0x84, "poll of the secondary gives 12"},
	{TAKE, 0, 0, "which is taken"},
	EOI(0xa0),
	EOI(0x20),
	STOP,
};

static const struct step cascade[] = {
	BOTH(1),
	RISE(11),
	IRR(0x20, 4, "11 asks through 2"),
	{TAKE, 0, 0x2b, "11"},
	ISR(0x20, 4, "2 is in service"),
	ISR(0xa0, 8, "11 too"),
	RISE(12),
	RISE(10),
	RISE(3),
	{TAKE, 0, 0, "neither 12, 10 nor 3 come"},
	RISE(1),
	{TAKE, 0, 0x21, "1 does"},
	EOI(0x20),
	EOI(0x20),
	{TAKE, 0, 0x2a, "EOI of the primary lets 10 pass"},
	EOI(0x20),
	{TAKE, 0, 0x23, "not 12, so 3"},
	EOI(0x20),
	EOI(0xa0),
	{TAKE, 0, 0, "11 holds 12 back"},
	EOI(0xa0),
	{TAKE, 0, 0x2c, "until its EOI"},
	WRITE(0x21, 4),
	EOI(0xa0),
	EOI(0x20),
	FALL(11),
	RISE(11),
	{TAKE, 0, 0, "a masked cascade holds back all"},
	WRITE(0x21, 0),
	{TAKE, 0, 0x2b, "until it is not"},
	STOP,
};

static const struct step special_nested[] = {
	BOTH(0x11),
	RISE(11),
	{TAKE, 0, 0x2b, "11"},
	RISE(10),
	{TAKE, 0, 0x2a, "special fully nested: 10 interrupts 11"},
	ISR(0xa0, 0x0c, "both in service"),
	RISE(12),
	{TAKE, 0, 0, "12 does not"},
	EOI(0xa0),
	{IN, 0xa0, 0x08, "EOI of 10"},
	EOI(0xa0),
	{TAKE, 0, 0x2c, "EOI of 11 lets 12 in"},
	EOI(0xa0),
	EOI(0x20),
	ISR(0x20, 0, "one EOI for the primary"),
	STOP,
};

static const struct step levels[] = {
	WRITE(0x4d0, 0xff),
	WRITE(0x4d1, 0xff),
	{IN, 0x4d0, 0xf8, "0, 1 and 2 are edges always"},
	{IN, 0x4d1, 0xde, "8 and 13 too"},
	BOTH(1),
	RISE(5),
	{TAKE, 0, 0x25, "a level"},
	IRR(0x20, 0x20, "is requested as long as it is high"),
	EOI(0x20),
	{TAKE, 0, 0x25, "and comes again"},
	FALL(5),
	EOI(0x20),
	{TAKE, 0, 0, "not when it is low"},
	RISE(5),
	FALL(5),
	{IN, 0x20, 0, "one that went leaves nothing"},
	{TAKE, 0, 0, "and does not come"},
	RISE(10),
	{TAKE, 0, 0x2a, "a level behind the cascade"},
	EOI(0xa0),
	EOI(0x20),
	{TAKE, 0, 0x2a, "comes again"},
	FALL(10),
	EOI(0xa0),
	EOI(0x20),
	{TAKE, 0, 0, "until it is low"},
	WRITE(0x4d0, 0),
	WRITE(0x4d1, 0),
	RISE(5),
	FALL(5),
	{IN, 0x20, 0x20, "an edge stays requested"},
	WRITE(0x4d0, 0x20),
	{IN, 0x20, 0, "as a level it is not"},
	WRITE(0x4d0, 0),
	WRITE(0x20, 0x19),
	WRITE(0x21, 0x20),
	WRITE(0x21, 4),
	WRITE(0x21, 1),
	RISE(5),
	FALL(5),
	{IN, 0x20, 0x20, "LTIM is not there: the edge counts"},
	{TAKE, 0, 0x25, "and comes"},
	STOP,
};

static const struct {
	const struct step *steps;
	const char *name;
} scenarios[] = {
	{initialisation, "# initialisation\n"},
	{nested, "# fully nested\n"},
	{masks, "# masks\n"},
	{rotation, "# rotation\n"},
	{special_mask, "# special mask\n"},
	{automatic, "# automatic EOI\n"},
	{polling, "# poll\n"},
	{cascade, "# cascade\n"},
	{special_nested, "# special fully nested\n"},
	{levels, "# levels\n"},
};

static volatile uint32_t got;

static void on_any(struct frame *f)
{
	got = got << 8 | (uint32_t)f->vector;
}

static uint32_t take(void)
{
	got = 0;
	for (unsigned i = 0; i < 4; i++)
		__asm__ volatile("sti; nop; nop; cli" : : : "memory");
	return got;
}

static void act(const struct step *s)
{
	switch (s->op) {
	case OUT: outb((uint16_t)s->a, (uint8_t)s->v); break;
	case IN: ok_eq(inb((uint16_t)s->a), s->v, s->name); break;
	case BIT7: ok_eq(inb((uint16_t)s->a) >> 7, s->v, s->name); break;
	case UP: outb((uint16_t)(LINES + s->a), 1); break;
	case DOWN: outb((uint16_t)(LINES + s->a), 0); break;
	case TAKE: ok_eq(take(), s->v, s->name); break;
	case END: break;
	}
}

void test_main(void)
{
	for (unsigned v = 0x20; v < 0x30; v++)
		on_vector(v, on_any);
	for (unsigned i = 0; i < sizeof(scenarios) / sizeof(*scenarios); i++) {
		print(scenarios[i].name);
		for (const struct step *s = scenarios[i].steps; s->op; s++)
			act(s);
		for (unsigned n = 0; n < 16; n++)
			outb((uint16_t)(LINES + n), 0);
	}
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
}

/*
 * priv.h - inside the gdb stub.
 */
#ifndef GDB_PRIV_H
#define GDB_PRIV_H

#include "gdb/gdb.h"

#define GDB_PACKET_BYTES 0x4000u
#define GDB_MAX_CPUS	 64

/* ---- packet.c: framing, hexadecimal ---- */

enum gdb_rx {
	GDB_RX_IDLE,
	GDB_RX_DATA,
	GDB_RX_ESCAPE, /* behind '}' */
	GDB_RX_SUM1,
	GDB_RX_SUM2,
};

struct gdb_packet {
	enum gdb_rx rx;
	uint8_t sum, want;
	size_t len;
	uint8_t data[GDB_PACKET_BYTES + 1]; /* zero-terminated when whole */
};

enum gdb_event {
	GDB_EV_NONE,
	GDB_EV_PACKET, /* data, len */
	GDB_EV_BAD,    /* wrong sum: to be sent again */
	GDB_EV_TOO_LONG,
	GDB_EV_INTERRUPT, /* Ctrl-C */
	GDB_EV_RESEND,	  /* '-': the last reply was damaged */
};

enum gdb_event gdb_packet_feed(struct gdb_packet *p, uint8_t byte);
/* "$payload#sum" */
void gdb_packet_frame(GString *out, const char *payload, size_t len);

void gdb_hex_put(GString *out, const void *data, size_t len);
/* Number of whole bytes decoded from text, at most max. */
size_t gdb_hex_get(const char *text, uint8_t *out, size_t max);
/* A hexadecimal number of at most 16 digits; *text behind it. */
bool gdb_hex_number(const char **text, uint64_t *v);
/* The same and the character after it. */
bool gdb_hex_number_then(const char **text, char after, uint64_t *v);

/* ---- regs.c ---- */

#define GDB_MAX_REGS  320
#define GDB_MAX_BYTES 64 /* of a register */

struct gdb_reg {
	char name[16];
	uint8_t kind, index;
	uint16_t at; /* offset in x86_state */
	uint8_t bytes;
};

struct gdb_regs {
	bool wide; /* x86-64 */
	unsigned n;
	struct gdb_reg reg[GDB_MAX_REGS];
	GString *xml;
};

void gdb_regs_init(struct gdb_regs *r, bool wide, bool avx, bool avx512);
void gdb_regs_fini(struct gdb_regs *r);
void gdb_reg_get(const struct gdb_reg *r, const struct x86_state *s,
	uint8_t out[GDB_MAX_BYTES]);
/* False: the value is not possible, or cannot be set. */
bool gdb_reg_set(const struct gdb_reg *r, struct x86_state *s,
	const uint8_t in[GDB_MAX_BYTES]);

#endif

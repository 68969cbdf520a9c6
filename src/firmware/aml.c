/*
 * aml.c - the AML writer.  Opcodes as in ACPI 6.4, table 20.2 ff.
 */
#include "firmware/aml.h"

#include <string.h>

enum {
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_STRING = 0x0d,
	OP_QWORD = 0x0e,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_METHOD = 0x14,
	OP_DUAL_NAME = 0x2e,
	OP_EXT = 0x5b,
	OP_EXT_REGION = 0x80,
	OP_EXT_FIELD = 0x81,
	OP_EXT_DEVICE = 0x82,
	OP_EXT_PROCESSOR = 0x83,
	OP_LOCAL0 = 0x60,
	OP_ARG0 = 0x68,
	OP_STORE = 0x70,
	OP_AND = 0x7b,
	OP_OR = 0x7d,
	OP_NOTIFY = 0x86,
	OP_DWORD_FIELD = 0x8a,
	OP_EQUAL = 0x93,
	OP_IF = 0xa0,
	OP_ELSE = 0xa1,
	OP_RETURN = 0xa4,
	METHOD_SERIALIZED = 0x08,
	REGION_PCI_CONFIG = 0x02,
	FIELD_BYTE_ACCESS = 0x01,
};

static void put(GByteArray *b, uint64_t v, unsigned len)
{
	uint64_t le = GUINT64_TO_LE(v);

	g_byte_array_append(b, (const uint8_t *)&le, len);
}

static void op(struct aml *a, unsigned code)
{
	put(a->out, code, 1);
}

static void seg(struct aml *a, const char *s, size_t len)
{
	uint8_t four[4] = {'_', '_', '_', '_'};

	g_assert(len >= 1 && len <= 4);
	memcpy(four, s, len);
	g_byte_array_append(a->out, four, 4);
}

static void name_string(struct aml *a, const char *s)
{
	const char *dot;

	if (*s == '\\') {
		op(a, '\\');
		s++;
	}
	dot = strchr(s, '.');
	if (dot) {
		op(a, OP_DUAL_NAME);
		seg(a, s, (size_t)(dot - s));
		s = dot + 1;
	}
	seg(a, s, strlen(s));
}

/* Package length (20.2.4): 1 to 4 bytes, counting themselves unless bare. */
static unsigned pkg_length(uint8_t out[4], unsigned len, bool bare)
{
	unsigned n, total;

	for (n = 1; n < 4; n++) {
		total = len + (bare ? 0 : n);
		if (total < (n == 1 ? 1u << 6 : 1u << (8 * (n - 1) + 4)))
			break;
	}
	total = len + (bare ? 0 : n);
	if (n == 1) {
		out[0] = (uint8_t)total;
		return 1;
	}
	out[0] = (uint8_t)((n - 1) << 6 | (total & 0xf));
	for (unsigned i = 1; i < n; i++)
		out[i] = (uint8_t)(total >> (4 + 8 * (i - 1)));
	return n;
}

static void open_block(struct aml *a)
{
	g_assert(a->depth < AML_DEPTH);
	a->start[a->depth++] = a->out->len;
}

void aml_end(struct aml *a)
{
	uint8_t len[4];
	unsigned at, n, body;

	g_assert(a->depth > 0);
	at = a->start[--a->depth];
	body = a->out->len - at;
	n = pkg_length(len, body, false);
	g_byte_array_set_size(a->out, a->out->len + n);
	memmove(a->out->data + at + n, a->out->data + at, body);
	memcpy(a->out->data + at, len, n);
}

void aml_init(struct aml *a)
{
	memset(a, 0, sizeof(*a));
	a->out = g_byte_array_new();
}

GByteArray *aml_finish(struct aml *a)
{
	g_assert(a->depth == 0);
	return g_steal_pointer(&a->out);
}

void aml_scope(struct aml *a, const char *name)
{
	op(a, OP_SCOPE);
	open_block(a);
	name_string(a, name);
}

void aml_device(struct aml *a, const char *name)
{
	op(a, OP_EXT);
	op(a, OP_EXT_DEVICE);
	open_block(a);
	name_string(a, name);
}

void aml_method(struct aml *a, const char *name, unsigned nargs)
{
	op(a, OP_METHOD);
	open_block(a);
	name_string(a, name);
	op(a, nargs | METHOD_SERIALIZED);
}

void aml_processor(struct aml *a, const char *name, uint8_t id)
{
	op(a, OP_EXT);
	op(a, OP_EXT_PROCESSOR);
	open_block(a);
	name_string(a, name);
	put(a->out, id, 1);
	put(a->out, 0, 4); /* no processor block: C1 only */
	put(a->out, 0, 1);
}

void aml_package(struct aml *a, unsigned n)
{
	g_assert(n < 256);
	op(a, OP_PACKAGE);
	open_block(a);
	put(a->out, n, 1);
}

void aml_if(struct aml *a)
{
	op(a, OP_IF);
	open_block(a);
}

void aml_else(struct aml *a)
{
	op(a, OP_ELSE);
	open_block(a);
}

void aml_name(struct aml *a, const char *name)
{
	op(a, OP_NAME);
	name_string(a, name);
}

void aml_region_pci(struct aml *a, const char *name, uint8_t off, uint8_t len)
{
	op(a, OP_EXT);
	op(a, OP_EXT_REGION);
	name_string(a, name);
	op(a, REGION_PCI_CONFIG);
	aml_int(a, off);
	aml_int(a, len);
}

void aml_byte_fields(
	struct aml *a, const char *region, const char *const *names)
{
	op(a, OP_EXT);
	op(a, OP_EXT_FIELD);
	open_block(a);
	name_string(a, region);
	op(a, FIELD_BYTE_ACCESS);
	for (; *names; names++) {
		uint8_t len[4];

		seg(a, *names, strlen(*names));
		g_byte_array_append(a->out, len, pkg_length(len, 8, true));
	}
	aml_end(a);
}

void aml_dword_field(
	struct aml *a, const char *source, unsigned index, const char *name)
{
	op(a, OP_DWORD_FIELD);
	aml_ref(a, source);
	aml_int(a, index);
	name_string(a, name);
}

void aml_int(struct aml *a, uint64_t v)
{
	if (v <= 1) {
		op(a, (unsigned)v); /* ZeroOp, OneOp */
	} else if (v <= 0xff) {
		op(a, OP_BYTE);
		put(a->out, v, 1);
	} else if (v <= 0xffff) {
		op(a, OP_WORD);
		put(a->out, v, 2);
	} else if (v <= 0xffffffff) {
		op(a, OP_DWORD);
		put(a->out, v, 4);
	} else {
		op(a, OP_QWORD);
		put(a->out, v, 8);
	}
}

void aml_string(struct aml *a, const char *s)
{
	op(a, OP_STRING);
	g_byte_array_append(
		a->out, (const uint8_t *)s, (unsigned)strlen(s) + 1);
}

/* Three letters of five bits, four hexadecimal digits, big-endian (6.1.5). */
void aml_eisaid(struct aml *a, const char *id)
{
	uint32_t v;

	g_assert(strlen(id) == 7);
	v = (uint32_t)(id[0] - '@') << 26 | (uint32_t)(id[1] - '@') << 21 |
	    (uint32_t)(id[2] - '@') << 16 |
	    (uint32_t)g_ascii_strtoull(id + 3, NULL, 16);
	op(a, OP_DWORD);
	put(a->out, GUINT32_SWAP_LE_BE(v), 4);
}

void aml_buffer(struct aml *a, const void *data, unsigned len)
{
	op(a, OP_BUFFER);
	open_block(a);
	aml_int(a, len);
	g_byte_array_append(a->out, data, len);
	aml_end(a);
}

void aml_ref(struct aml *a, const char *name)
{
	if (name[0] == '$' && name[1] >= '0' && name[1] <= '6')
		op(a, OP_ARG0 + (unsigned)(name[1] - '0'));
	else if (!strcmp(name, AML_LOCAL0))
		op(a, OP_LOCAL0);
	else
		name_string(a, name);
}

void aml_equal(struct aml *a)
{
	op(a, OP_EQUAL);
}

void aml_return(struct aml *a)
{
	op(a, OP_RETURN);
}

void aml_store(struct aml *a, const char *from, const char *to)
{
	op(a, OP_STORE);
	aml_ref(a, from);
	aml_ref(a, to);
}

void aml_and(struct aml *a, const char *x, uint64_t mask, const char *to)
{
	op(a, OP_AND);
	aml_ref(a, x);
	aml_int(a, mask);
	if (to)
		aml_ref(a, to);
	else
		op(a, 0);
}

void aml_or(struct aml *a, const char *x, uint64_t mask, const char *to)
{
	op(a, OP_OR);
	aml_ref(a, x);
	aml_int(a, mask);
	if (to)
		aml_ref(a, to);
	else
		op(a, 0);
}

void aml_notify(struct aml *a, const char *device, uint8_t what)
{
	op(a, OP_NOTIFY);
	name_string(a, device);
	aml_int(a, what);
}

void aml_res_io(GByteArray *r, uint16_t port, uint8_t len)
{
	put(r, 0x47, 1);
	put(r, 1, 1); /* decodes 16 bits */
	put(r, port, 2);
	put(r, port, 2);
	put(r, 1, 1);
	put(r, len, 1);
}

void aml_res_irq(GByteArray *r, unsigned irq)
{
	put(r, 0x22, 1);
	put(r, 1u << irq, 2);
}

/* 6.4.2.2: count only, no bus master */
void aml_res_dma(GByteArray *r, unsigned channel)
{
	uint8_t d[3] = {0x2a, (uint8_t)(1u << channel), 0};

	g_byte_array_append(r, d, sizeof(d));
}

void aml_res_fixed_mem(GByteArray *r, uint32_t base, uint32_t len)
{
	put(r, 0x86, 1);
	put(r, 9, 2);
	put(r, 1, 1); /* writeable */
	put(r, base, 4);
	put(r, len, 4);
}

void aml_res_gsi(GByteArray *r, const uint32_t *gsi, unsigned n)
{
	put(r, 0x89, 1);
	put(r, 2 + 4 * n, 2);
	put(r, 0x09, 1); /* consumer, level, active high, shared */
	put(r, n, 1);
	for (unsigned i = 0; i < n; i++)
		put(r, gsi[i], 4);
}

enum { RES_MEM, RES_IO, RES_BUS };

/* Address space descriptors of width 2, 4 or 8 (6.4.3.5). */
static void res_window(GByteArray *r, unsigned type, unsigned width,
	uint64_t first, uint64_t last)
{
	static const uint8_t tag[9] = {[2] = 0x88, [4] = 0x87, [8] = 0x8a};
	unsigned flags = type == RES_MEM ? 0x01 : type == RES_IO ? 0x03 : 0;

	put(r, tag[width], 1);
	put(r, 3 + 5 * width, 2);
	put(r, type, 1);
	put(r, 0x0c, 1); /* producer, positive decode, fixed bounds */
	put(r, flags, 1);
	put(r, 0, width); /* granularity */
	put(r, first, width);
	put(r, last, width);
	put(r, 0, width); /* translation */
	put(r, last - first + 1, width);
}

void aml_res_bus(GByteArray *r, uint16_t first, uint16_t last)
{
	res_window(r, RES_BUS, 2, first, last);
}

void aml_res_io_window(GByteArray *r, uint16_t first, uint16_t last)
{
	res_window(r, RES_IO, 2, first, last);
}

void aml_res_mem_window(GByteArray *r, uint32_t first, uint32_t last)
{
	res_window(r, RES_MEM, 4, first, last);
}

void aml_res_mem64_window(GByteArray *r, uint64_t first, uint64_t last)
{
	res_window(r, RES_MEM, 8, first, last);
}

void aml_resources(struct aml *a, GByteArray *r)
{
	put(r, 0x79, 1);
	put(r, 0, 1); /* checksum not used */
	aml_buffer(a, r->data, r->len);
	g_byte_array_unref(r);
}

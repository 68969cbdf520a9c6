/*
 * aml.h - writes ACPI machine language (ACPI 6.4, chapter 20).
 *
 * A linear writer: each call appends to the byte stream; calls marked "opens"
 * begin a block that the matching aml_end closes, which is when its length is
 * known and put in front.  Misuse (unbalanced blocks, bad names) is our bug
 * and asserts; no guest data comes here.
 */
#ifndef FIRMWARE_AML_H
#define FIRMWARE_AML_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#define AML_DEPTH 16

struct aml {
	GByteArray *out;
	unsigned depth;
	unsigned start[AML_DEPTH]; /* where a block's length belongs */
};

void aml_init(struct aml *a);
/* The finished stream; the writer is empty afterwards. */
GByteArray *aml_finish(struct aml *a);

/* Blocks.  Names are "ABCD", "\\ABCD" or "\\AB.CD", padded with '_'. */
void aml_scope(struct aml *a, const char *name);		  /* opens */
void aml_device(struct aml *a, const char *name);		  /* opens */
void aml_method(struct aml *a, const char *name, unsigned nargs); /* opens */
void aml_processor(struct aml *a, const char *name, uint8_t id);  /* opens */
void aml_package(struct aml *a, unsigned n);			  /* opens */
void aml_if(struct aml *a);   /* opens; the predicate comes next */
void aml_else(struct aml *a); /* opens; right behind the end of an if */
void aml_end(struct aml *a);

/* Declarations. */
void aml_name(struct aml *a, const char *name); /* its value comes next */
void aml_region_pci(struct aml *a, const char *name, uint8_t off, uint8_t len);
/* Byte-wide fields from the region's start, NULL-terminated. */
void aml_byte_fields(
	struct aml *a, const char *region, const char *const *names);
/* CreateDWordField(source, index, name); source is AML_ARG0 or a name. */
void aml_dword_field(
	struct aml *a, const char *source, unsigned index, const char *name);

/* Values. */
#define AML_ARG0   "$0"
#define AML_ARG1   "$1"
#define AML_ARG3   "$3"
#define AML_LOCAL0 "$L"
void aml_int(struct aml *a, uint64_t v);
void aml_string(struct aml *a, const char *s);
void aml_eisaid(struct aml *a, const char *id); /* "PNP0A03" */
void aml_buffer(struct aml *a, const void *data, unsigned len);
void aml_ref(struct aml *a, const char *name); /* a name, ARGn or LOCAL0 */
/* Are two values equal?  Both come next. */
void aml_equal(struct aml *a);

/* Statements. */
void aml_return(struct aml *a); /* value comes next */
void aml_store(struct aml *a, const char *from, const char *to);
void aml_and(struct aml *a, const char *x, uint64_t mask, const char *to);
void aml_or(struct aml *a, const char *x, uint64_t mask, const char *to);
void aml_notify(struct aml *a, const char *device, uint8_t what);

/* Resource descriptors (ACPI 6.4, section 6.4), gathered in r and then put
 * into the stream as a buffer with the end tag. */
void aml_res_io(GByteArray *r, uint16_t port, uint8_t len);
void aml_res_irq(GByteArray *r, unsigned irq);	   /* edge, active high */
void aml_res_dma(GByteArray *r, unsigned channel); /* 8 bit, compatible */
void aml_res_fixed_mem(GByteArray *r, uint32_t base, uint32_t len);
void aml_res_gsi(GByteArray *r, const uint32_t *gsi, unsigned n); /* level */
void aml_res_bus(GByteArray *r, uint16_t first, uint16_t last);
void aml_res_io_window(GByteArray *r, uint16_t first, uint16_t last);
void aml_res_mem_window(GByteArray *r, uint32_t first, uint32_t last);
void aml_res_mem64_window(GByteArray *r, uint64_t first, uint64_t last);
void aml_resources(struct aml *a, GByteArray *r); /* takes r over */

#endif

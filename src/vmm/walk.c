/*
 * walk.c - linear to physical addresses for who looks from outside: no rights
 * are checked and no accessed bits set.
 *
 * Intel SDM vol. 3, chapter 4.
 */
#include "vmm/priv.h"

struct walk {
	struct machine *m;
	GString *text; /* or NULL */
	gpa_t a20;
};

#define ENTRY_P	    1ull
#define ENTRY_LARGE 0x80ull
#define ENTRY_ADDR  0xffffffffff000ull

static bool walk_entry(struct walk *w, const char *name, gpa_t table,
	unsigned index, unsigned bytes, uint64_t *e)
{
	gpa_t a = (table + index * bytes) & w->a20;

	*e = 0;
	if (!bus_dma_read(w->m->bus, a, e, bytes))
		*e = 0;
	if (w->text)
		g_string_append_printf(w->text,
			"%-5s [%3x] at %012" PRIx64 ": %016" PRIx64
			"%s%s%s%s%s%s%s\n",
			name, index, a, *e, *e & ENTRY_P ? " P" : " -",
			*e & 2 ? "W" : "R", *e & 4 ? "U" : "S",
			*e & 0x20 ? "A" : "", *e & 0x40 ? "D" : "",
			*e & 0x100 ? "G" : "", *e >> 63 ? " NX" : "");
	return *e & ENTRY_P;
}

static bool walk_long(
	struct walk *w, const struct x86_state *s, gva_t a, gpa_t *out)
{
	static const char *const names[] = {"PT", "PD", "PDPT", "PML4"};
	gpa_t table = s->cr3 & ENTRY_ADDR;
	uint64_t e;

	if ((int64_t)(a << 16) >> 16 != (int64_t)a)
		return false;
	for (int level = 3; level >= 0; level--) {
		unsigned shift = 12 + 9 * (unsigned)level;
		uint64_t mask = (1ull << shift) - 1;

		if (!walk_entry(
			    w, names[level], table, a >> shift & 511, 8, &e))
			return false;
		if (!level || (level < 3 && (e & ENTRY_LARGE))) {
			*out = (e & ENTRY_ADDR & ~mask) | (a & mask);
			return true;
		}
		table = e & ENTRY_ADDR;
	}
	return false;
}

static bool walk_pae(
	struct walk *w, const struct x86_state *s, gva_t a, gpa_t *out)
{
	uint64_t e;

	if (!walk_entry(w, "PDPT", s->cr3 & 0xffffffe0, a >> 30 & 3, 8, &e) ||
		!walk_entry(w, "PD", e & ENTRY_ADDR, a >> 21 & 511, 8, &e))
		return false;
	if (e & ENTRY_LARGE) {
		*out = (e & ENTRY_ADDR & ~0x1fffffull) | (a & 0x1fffff);
		return true;
	}
	if (!walk_entry(w, "PT", e & ENTRY_ADDR, a >> 12 & 511, 8, &e))
		return false;
	*out = (e & ENTRY_ADDR) | (a & 0xfff);
	return true;
}

static bool walk_legacy(
	struct walk *w, const struct x86_state *s, gva_t a, gpa_t *out)
{
	uint64_t e;

	if (!walk_entry(w, "PD", s->cr3 & 0xfffff000, a >> 22 & 1023, 4, &e))
		return false;
	if ((e & ENTRY_LARGE) && (s->cr4 & X86_CR4_PSE)) {
		*out = (e & 0xffc00000) | (e >> 13 & 0xff) << 32 |
		       (a & 0x3fffff);
		return true;
	}
	if (!walk_entry(w, "PT", e & 0xfffff000, a >> 12 & 1023, 4, &e))
		return false;
	*out = (e & 0xfffff000) | (a & 0xfff);
	return true;
}

bool walk_translate(struct machine *m, const struct x86_state *s, gva_t a,
	gpa_t *out, GString *text)
{
	struct walk w = {m, text, bus_a20_mask(m->bus)};
	bool ok = true;

	if (!(s->efer & X86_EFER_LMA))
		a = (uint32_t)a;
	if (!(s->cr0 & X86_CR0_PG))
		*out = a;
	else if (s->efer & X86_EFER_LMA)
		ok = walk_long(&w, s, a, out);
	else if (s->cr4 & X86_CR4_PAE)
		ok = walk_pae(&w, s, a, out);
	else
		ok = walk_legacy(&w, s, a, out);
	if (ok)
		*out &= w.a20;
	return ok;
}

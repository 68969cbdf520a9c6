/*
 * quick.h - what a 64-bit guest does most, for code that holds the guest's
 * vector registers in the host's.  None of these raises; false: the complete
 * way is to be gone.
 */
#ifndef CPU_SOFT_QUICK_H
#define CPU_SOFT_QUICK_H

#include "cpu/soft/soft.h"

/* Make a TLB entry for an access at a. */
bool soft_quick_fill(
	struct soft_cpu *c, gva_t a, enum soft_access acc, enum soft_mode m);

/* The same for a write that may not come: the page must be dirty already. */
bool soft_quick_fill_dirty(struct soft_cpu *c, gva_t a, enum soft_mode m);

/* As soft_syscall, soft_sysret (64-bit) and soft_iret (64-bit). */
bool soft_quick_syscall(struct soft_cpu *c, uint64_t next);
bool soft_quick_sysret(struct soft_cpu *c);
bool soft_quick_iret(struct soft_cpu *c);

/* Deliver a fault at st.rip; error < 0: without error code. */
bool soft_quick_fault(struct soft_cpu *c, unsigned vector, int64_t error);
/* The same for the page fault that an access of 64-bit code at a makes, if
 * there is one. */
bool soft_quick_page_fault(
	struct soft_cpu *c, gva_t a, enum soft_access acc, enum soft_mode m);

#endif

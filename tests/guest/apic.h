/* apic.h - what the tests of local and I/O APICs share. */
#ifndef TESTS_GUEST_APIC_H
#define TESTS_GUEST_APIC_H

#include "clock.h"

#define APIC_BASE 0x1b
#define DEADLINE  0x6e0
#define LAPIC	  0xfee00000u
#define IOAPIC	  0xfec00000u
#define LINES	  0x2000 /* the harness's: port LINES + n sets line n */
#define NMI_PIN	  (LINES + 24)

#define ID    0x20
#define VER   0x30
#define TPR   0x80
#define PPR   0xa0
#define EOI   0xb0
#define LDR   0xd0
#define DFR   0xe0
#define SVR   0xf0
#define ISR   0x100
#define IRR   0x200
#define ESR   0x280
#define ICR   0x300
#define ICR_H 0x310
#define LVT_T 0x320
#define LVT_0 0x350
#define LVT_1 0x360
#define LVT_E 0x370
#define TICR  0x380
#define TCCR  0x390
#define TDCR  0x3e0
#define SELF  0x3f0

/* A register by its xAPIC offset, by way of what is on: x2 says. */
extern bool x2;
uint32_t reg(unsigned r);
void set_reg(unsigned r, uint32_t v);
void send(uint32_t dest, uint32_t icr);

/* Interrupts that came, by vector, and in which order; on each processor.
 * 70h is left without EOI. */
extern volatile unsigned came[256], came_on[2][256];
void count_interrupts(void);
void forget(void);
/* Let some in. */
void breathe(void);
/* Until the vector has come n times, or a long time has passed. */
bool wait_for(unsigned v, unsigned n);

uint64_t tsc(void);

/* lapic.c: one local APIC */
void check_local(void);
void check_x2apic(void);

#endif

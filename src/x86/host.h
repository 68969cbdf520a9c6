/* host.h - what the processor that we run on says; private to src/x86. */
#ifndef X86_HOST_H
#define X86_HOST_H

#include "x86/cpuid.h"

/* CPUID of this host, zeros above its highest leaf.  May take microseconds
 * where an outer hypervisor answers. */
struct x86_cpuid_regs x86_host_cpuid(uint32_t leaf, uint32_t sub);

/* Frequency of the time-stamp counter; found once. */
uint64_t x86_host_tsc_hz(void);

#endif

/* ticks.h - between nanoseconds and the ticks of a device's clock. */
#ifndef DEV_TIMER_TICKS_H
#define DEV_TIMER_TICKS_H

#include <stdint.h>

/* Whole ticks of an hz clock in ns. */
static inline uint64_t ticks_of_ns(uint64_t ns, uint32_t hz)
{
	return (unsigned __int128)ns * hz / 1000000000u;
}

/* The first nanosecond at which ticks have passed. */
static inline uint64_t ticks_to_ns(uint64_t ticks, uint32_t hz)
{
	return ((unsigned __int128)ticks * 1000000000u + hz - 1) / hz;
}

#endif

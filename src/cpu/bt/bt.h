/*
 * bt.h - the binary translator, as lockstep and the tests see it.
 *
 * The engine itself is cpu_bt of cpu/engine.h.
 */
#ifndef CPU_BT_BT_H
#define CPU_BT_BT_H

#include "cpu/soft/soft.h"

/* The soft_cpu of a processor of cpu_bt. */
struct soft_cpu *bt_soft(struct cpu *cpu);

/*
 * Before stepping: blocks are translated one by one from here on, unlinked,
 * ending at the first branch, with exact flags at their ends.
 */
void bt_set_stepping(struct soft_cpu *c, bool on);

/*
 * How many instructions the block at the current state holds, at least 1.  A
 * translation is made if there is none; 1 where the state goes through the
 * interpreter or the fetch faults.
 */
unsigned bt_block_insns(struct soft_cpu *c);

/*
 * Run the block at the current state once, delivering the exception that it
 * raises, but no external events; of it one instruction only if interrupts
 * were held back before it and may come behind.  *n_insns: instructions
 * retired, a delivered exception counting as one, an interrupted string
 * instruction too. bt_set_stepping must be on.  Returns true if *exit must be
 * returned to the run loop.
 */
bool bt_step_block(
	struct soft_cpu *c, bool one, unsigned *n_insns, struct cpu_exit *exit);

#endif

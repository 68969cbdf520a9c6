/*
 * pulse_load.c - the module for sound servers.
 */
#include "audio/pulse.h"
#include "base/module.h"

const struct pulse_ops *pulse_load(char **why)
{
	return module_load("vmeste-pulse.so", "vmeste_pulse_ops", why);
}

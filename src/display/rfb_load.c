/*
 * rfb_load.c - the module for remote screens.
 */
#include "base/module.h"
#include "display/rfb.h"

const struct rfb_ops *rfb_load(char **why)
{
	return module_load("vmeste-rfb.so", "vmeste_rfb_ops", why);
}

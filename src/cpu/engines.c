/* engines.c - the table of engines, and the automatic choice among them. */
#include <string.h>

#include <glib.h>

#include "cpu/engine.h"

const struct cpu_engine *const cpu_engines[] = {
	&cpu_kvm, &cpu_bt, &cpu_interp, &cpu_lockstep, NULL};

const struct cpu_engine *cpu_engine_find(const char *name)
{
	for (unsigned i = 0; cpu_engines[i]; i++)
		if (!strcmp(cpu_engines[i]->name, name))
			return cpu_engines[i];
	return NULL;
}

/*
 * The fastest by measurement.  The presence of /dev/kvm says nothing: where it
 * is emulated it is a thousand times slower than the translator.
 */
const struct cpu_engine *cpu_engine_choose(const struct cpu_probe *kvm,
	const struct cpu_probe *bt, char *why, unsigned size)
{
	if (kvm->usable && kvm->mips > bt->mips) {
		g_strlcpy(why, kvm->why, size);
		return &cpu_kvm;
	}
	if (bt->usable) {
		g_snprintf(why, size, "%s; using bt", kvm->why);
		return &cpu_bt;
	}
	g_snprintf(why, size, "%s; %s; using interp", kvm->why, bt->why);
	return &cpu_interp;
}

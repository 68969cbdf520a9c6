/*
 * dev.c - making and unmaking devices.
 *
 * A device is one zeroed object of its class's size; init() claims what it
 * needs, reset() brings it to the power-on state before anyone can reach it.
 */
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "dev/dev.h"

const struct dev_class *dev_class_find(const char *name)
{
	for (unsigned i = 0; dev_table[i]; i++)
		if (strcmp(dev_table[i]->name, name) == 0)
			return dev_table[i];
	return NULL;
}

struct dev *dev_new(const struct dev_class *cls, const char *id,
	const struct dev_host *host, char *err, unsigned errsize)
{
	struct dev *d = g_malloc0(cls->size);

	d->cls = cls;
	d->host = *host;
	d->id = g_strdup(id);
	if (errsize)
		err[0] = '\0';
	if (cls->init && cls->init(d, err, errsize) < 0) {
		if (errsize && !err[0])
			snprintf(err, errsize, "%s: cannot be set up", id);
		g_free((char *)(uintptr_t)d->id);
		g_free(d);
		return NULL;
	}
	if (cls->reset)
		cls->reset(d);
	return d;
}

void dev_free(struct dev *d)
{
	if (!d)
		return;
	if (d->cls->fini)
		d->cls->fini(d);
	g_free((char *)(uintptr_t)d->id);
	g_free(d);
}

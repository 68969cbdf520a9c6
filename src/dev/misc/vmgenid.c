/*
 * vmgenid.c - the generation id ("Virtual Machine Generation ID", Microsoft,
 * 2012).
 *
 * A device of ACPI's, without registers: its method ADDR says where the bytes
 * are.  They lie in a page of their own beside RAM, which guests read and
 * cannot write, and stay as they are when the guest resets.
 */
#include "dev/misc/vmgenid.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dev/state.h"

struct vmgenid {
	struct dev dev;
	uint8_t id[VMGENID_BYTES];
	struct bus_region region;
};

bool vmgenid_set(struct dev *d, const uint8_t id[VMGENID_BYTES])
{
	struct vmgenid *v = (struct vmgenid *)d;

	if (!memcmp(v->id, id, VMGENID_BYTES))
		return false;
	memcpy(v->id, id, VMGENID_BYTES);
	memcpy(v->region.host, id, VMGENID_BYTES);
	return true;
}

const uint8_t *vmgenid_get(const struct dev *d)
{
	return ((const struct vmgenid *)d)->id;
}

static int vmgenid_init(struct dev *d, char *err, unsigned errsize)
{
	struct vmgenid *v = (struct vmgenid *)d;
	uint8_t *page = aligned_alloc(BUS_PAGE_SIZE, BUS_PAGE_SIZE);

	if (!page) {
		snprintf(err, errsize, "no memory");
		return -ENOMEM;
	}
	memset(page, 0, BUS_PAGE_SIZE);
	v->region = (struct bus_region){.name = "vmgenid",
		.base = VMGENID_BASE,
		.size = BUS_PAGE_SIZE,
		.access = BUS_MAP_R,
		.host = page};
	bus_region_map(d->host.bus, &v->region);
	return 0;
}

static void vmgenid_fini(struct dev *d)
{
	struct vmgenid *v = (struct vmgenid *)d;

	bus_region_unmap(d->host.bus, &v->region);
	free(v->region.host);
}

static void vmgenid_describe(struct dev *d, char *buf, unsigned size)
{
	const uint8_t *id = vmgenid_get(d);
	unsigned at = 0;

	for (unsigned i = 0; i < VMGENID_BYTES && at < size; i++)
		at += (unsigned)snprintf(buf + at, size - at, "%02x", id[i]);
}

static int vmgenid_loaded(
	void *obj, unsigned version, char *err, unsigned errsize)
{
	struct vmgenid *v = obj;

	memcpy(v->region.host, v->id, VMGENID_BYTES);
	return 0;
}

static const struct state_field vmgenid_fields[] = {
	STATE_BYTES(struct vmgenid, id),
};

static const struct state_list vmgenid_state = STATE_LIST(
	"vmgenid", struct vmgenid, 1, vmgenid_fields, .loaded = vmgenid_loaded);

const struct dev_class vmgenid_class = {
	.name = "vmgenid",
	.size = sizeof(struct vmgenid),
	.init = vmgenid_init,
	.fini = vmgenid_fini,
	.describe = vmgenid_describe,
	.state = &vmgenid_state,
};

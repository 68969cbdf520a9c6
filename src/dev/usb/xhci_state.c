/* xhci_state.c - what of the xHCI controller is saved. */
#include <errno.h>
#include <stdio.h>

#include "dev/usb/xhci_priv.h"

static const struct state_field ring_fields[] = {
	STATE(struct xhci_ring, at),
	STATE(struct xhci_ring, cycle),
};

static const struct state_list ring_state =
	STATE_LIST("ring", struct xhci_ring, 1, ring_fields);

static const struct state_field ep_fields[] = {
	STATE(struct xhci_ep, state, .max = EP_ERROR),
	STATE(struct xhci_ep, type, .max = 7),
	STATE(struct xhci_ep, max_packet),
	STATE_STRUCT(struct xhci_ep, ring, &ring_state),
	STATE(struct xhci_ep, off),
	STATE(struct xhci_ep, edtla),
	STATE(struct xhci_ep, told_short),
	STATE(struct xhci_ep, is_short),
	STATE(struct xhci_ep, to_host),
	STATE(struct xhci_ep, waits),
};

static const struct state_list ep_state =
	STATE_LIST("endpoint", struct xhci_ep, 1, ep_fields);

static bool slot_used(const void *obj)
{
	return ((const struct xhci_slot *)obj)->used;
}

static const struct state_field slot_fields[] = {
	STATE(struct xhci_slot, used),
	STATE(struct xhci_slot, state, .max = SLOT_CONFIGURED),
	STATE(struct xhci_slot, port),
	STATE(struct xhci_slot, address, .max = 127),
	STATE(struct xhci_slot, route),
	STATE(struct xhci_slot, context),
	STATE(struct xhci_slot, pending),
	STATE_STRUCTS(struct xhci_slot, ep, &ep_state, .when = slot_used),
};

static const struct state_list slot_state =
	STATE_LIST("slot", struct xhci_slot, 1, slot_fields);

static const struct state_field interrupter_fields[] = {
	STATE(struct xhci_interrupter, iman),
	STATE(struct xhci_interrupter, imod),
	STATE(struct xhci_interrupter, erstsz),
	STATE(struct xhci_interrupter, erstba),
	STATE(struct xhci_interrupter, erdp),
	STATE(struct xhci_interrupter, loaded),
	STATE(struct xhci_interrupter, cycle),
	STATE(struct xhci_interrupter, nsegs, .max = XHCI_SEGMENTS),
	STATE(struct xhci_interrupter, seg, .max = XHCI_SEGMENTS - 1),
	STATE(struct xhci_interrupter, index, .max = 4095),
	STATE_ARRAY(struct xhci_interrupter, base),
	STATE_ARRAY(struct xhci_interrupter, size, .max = 4096),
};

static int interrupter_loaded(
	void *obj, unsigned version, char *err, unsigned errsize)
{
	const struct xhci_interrupter *i = obj;
	bool ok =
		!i->nsegs || (i->seg < i->nsegs && i->index < i->size[i->seg]);

	if (ok)
		return 0;
	snprintf(err, errsize, "an event beyond its ring");
	return -EINVAL;
}

static const struct state_list interrupter_state =
	STATE_LIST("interrupter", struct xhci_interrupter, 1,
		interrupter_fields, .loaded = interrupter_loaded);

static const struct state_field xhci_fields[] = {
	STATE_STRUCT(struct xhci, pci, &pci_func_state),
	STATE_ARRAY(struct xhci, portsc),
	STATE(struct xhci, cmd),
	STATE(struct xhci, status),
	STATE(struct xhci, notify),
	STATE(struct xhci, config),
	STATE(struct xhci, dcbaa),
	STATE(struct xhci, crcr),
	STATE(struct xhci, start_ns),
	STATE_STRUCT(struct xhci, commands, &ring_state),
	STATE(struct xhci, commands_run),
	STATE(struct xhci, commands_pending),
	STATE(struct xhci, crcr_stopped),
	STATE(struct xhci, port_events),
	STATE_STRUCTS(struct xhci, intr, &interrupter_state),
	STATE_STRUCTS(struct xhci, slot, &slot_state),
	STATE_TIMER(struct xhci, timer),
};

const struct state_list xhci_state =
	STATE_LIST("xhci", struct xhci, 1, xhci_fields);

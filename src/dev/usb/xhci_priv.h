/*
 * xhci_priv.h - what the files of the xHCI controller share (eXtensible Host
 * Controller Interface 1.2):
 *
 * xhci.c       PCI function, registers, ports
 * xhci_ring.c  rings of requests, event rings, interrupts
 * xhci_cmd.c   commands, slots and their contexts
 * xhci_xfer.c  transfers
 *
 * Nothing runs by itself: doorbells and devices that are ready make it go.
 * What had to stop, because one turn was long enough or the guest has no room
 * for events, is marked and goes on by a timer.
 */
#ifndef DEV_USB_XHCI_PRIV_H
#define DEV_USB_XHCI_PRIV_H

#include "dev/pci/pci.h"
#include "dev/usb/xhci.h"

#define XHCI_SLOTS	  64u
#define XHCI_EPS	  32u /* contexts of a slot; 0 is the slot's own */
#define XHCI_INTERRUPTERS 8u
#define XHCI_SEGMENTS	  16u	 /* of an event ring */
#define XHCI_CHUNK	  16384u /* moved at once; whole packets of any size */

/* 6.4.6: types of requests */
enum {
	TRB_NORMAL = 1,
	TRB_SETUP = 2,
	TRB_DATA = 3,
	TRB_STATUS = 4,
	TRB_ISOCH = 5,
	TRB_LINK = 6,
	TRB_EVENT_DATA = 7,
	TRB_NOOP = 8,
	TRB_ENABLE_SLOT = 9,
	TRB_DISABLE_SLOT = 10,
	TRB_ADDRESS_DEVICE = 11,
	TRB_CONFIGURE_EP = 12,
	TRB_EVALUATE = 13,
	TRB_RESET_EP = 14,
	TRB_STOP_EP = 15,
	TRB_SET_DEQUEUE = 16,
	TRB_RESET_DEVICE = 17,
	TRB_COMMAND_NOOP = 23,
	TRB_TRANSFER_EVENT = 32,
	TRB_COMMAND_EVENT = 33,
	TRB_PORT_EVENT = 34,
};

/* bits of a request's last word */
#define TRB_CYCLE     0x00000001u
#define TRB_TOGGLE    0x00000002u /* of a link */
#define TRB_SHORT     0x00000004u /* tell of a short packet */
#define TRB_CHAIN     0x00000010u
#define TRB_IOC	      0x00000020u
#define TRB_IMMEDIATE 0x00000040u
#define TRB_BLOCK_IRQ 0x00000200u
#define TRB_BSR	      0x00000200u /* of commands */
#define TRB_TO_HOST   0x00010000u
#define TRB_TYPE(w)   ((w) >> 10 & 63)
#define TRB_LENGTH(w) ((w)&0x1ffffu)
#define TRB_TARGET(w) ((w) >> 22)

/* 6.4.5: how a request ended */
enum {
	CC_SUCCESS = 1,
	CC_BUFFER = 2,
	CC_BABBLE = 3,
	CC_TRANSACTION = 4,
	CC_TRB = 5,
	CC_STALL = 6,
	CC_NO_SLOTS = 9,
	CC_SLOT_DISABLED = 11,
	CC_EP_DISABLED = 12,
	CC_SHORT = 13,
	CC_PARAMETER = 17,
	CC_CONTEXT_STATE = 19,
	CC_COMMAND_STOPPED = 24,
	CC_STOPPED = 26,
};

enum { /* of an endpoint: 6.2.3 */
	EP_DISABLED,
	EP_RUNNING,
	EP_HALTED,
	EP_STOPPED,
	EP_ERROR,
};

enum { /* of a slot: 6.2.2 */
	SLOT_ENABLED,
	SLOT_DEFAULT,
	SLOT_ADDRESSED,
	SLOT_CONFIGURED,
};

#define EP_TYPE_CONTROL 4

struct xhci_trb {
	uint64_t param;
	uint32_t status, control;
	uint64_t at; /* where it stands */
};

struct xhci_ring {
	uint64_t at;
	bool cycle;
};

struct xhci_ep {
	uint8_t state, type;
	uint16_t max_packet;
	struct xhci_ring ring; /* the request that is next or at work */
	uint32_t off;	       /* bytes of it that were moved */
	uint32_t edtla;	       /* bytes since the last event data: 4.11.5.2 */
	bool told_short;       /* and what follows of its transfer is passed */
	bool is_short;
	bool to_host; /* the data stage of a control transfer */
	bool waits;   /* for the device */
};

struct xhci_slot {
	bool used;
	uint8_t state, port; /* of the controller, from 1 */
	uint8_t address;
	uint32_t route;
	uint64_t context; /* the device context */
	uint32_t pending; /* endpoints that shall run */
	struct xhci_ep ep[XHCI_EPS];
};

struct xhci_interrupter {
	uint32_t iman, imod, erstsz;
	uint64_t erstba, erdp;
	/* as read at the first event */
	bool loaded, cycle;
	uint32_t nsegs, seg, index;
	uint64_t base[XHCI_SEGMENTS];
	uint32_t size[XHCI_SEGMENTS];
};

struct xhci {
	struct dev dev;
	struct pci_func pci;
	struct usb_port port[XHCI_PORTS];
	uint32_t portsc[XHCI_PORTS];
	uint32_t cmd, status, notify, config;
	uint64_t dcbaa, crcr;
	uint64_t start_ns; /* when MFINDEX was 0 */
	struct xhci_ring commands;
	bool commands_run, commands_pending;
	bool crcr_stopped;    /* by the low half of a write: no more counts */
	bool busy;	      /* an endpoint runs */
	uint32_t port_events; /* that are to be told */
	struct xhci_interrupter intr[XHCI_INTERRUPTERS];
	struct xhci_slot slot[XHCI_SLOTS + 1]; /* from 1 */
	struct bus_timer timer;
	uint8_t data[XHCI_CHUNK];
	uint64_t events, transfers;
};

static inline struct bus *xhci_bus(const struct xhci *x)
{
	return x->dev.host.bus;
}

/* Run/stop, and allowed to touch memory. */
bool xhci_running(const struct xhci *x);
/* Go on with what is marked, soon. */
void xhci_soon(struct xhci *x);

extern const struct state_list xhci_state; /* xhci_state.c */

/* ---- xhci_ring.c ---- */

void xhci_read32(struct xhci *x, uint64_t at, uint32_t *w, unsigned n);
void xhci_write32(struct xhci *x, uint64_t at, const uint32_t *w, unsigned n);
/* The request at r, links followed; false: there is none yet. */
bool xhci_ring_get(struct xhci *x, struct xhci_ring *r, struct xhci_trb *t);
/* How many events the interrupter's ring has room for. */
unsigned xhci_event_room(struct xhci *x, unsigned n);
struct xhci_event {
	uint64_t param;
	uint32_t status, control; /* without the cycle bit */
};
void xhci_event(
	struct xhci *x, unsigned n, const struct xhci_event *e, bool quiet);
/* ERDP was written; IMAN, INTE or the way of interrupts may have changed. */
void xhci_erdp_write(struct xhci *x, unsigned n, uint64_t val, bool busy);
void xhci_update_intx(struct xhci *x);
/* Tell of ports that have changed. */
void xhci_port_events(struct xhci *x);

/* ---- xhci_cmd.c ---- */

void xhci_commands_run(struct xhci *x);
void xhci_commands_stop(struct xhci *x);
/* What stands at the slot's port and route and has its address; or NULL. */
struct usb_device *xhci_slot_device(
	const struct xhci *x, const struct xhci_slot *s);
/* State and dequeue pointer into the context. */
void xhci_ep_store(struct xhci *x, struct xhci_slot *s, unsigned n);

/* ---- xhci_xfer.c ---- */

/* Go through the endpoint's ring as far as it goes. */
void xhci_ep_run(struct xhci *x, struct xhci_slot *s, unsigned n);
/* What was at work is given up; tell: with an event. */
void xhci_ep_stop(struct xhci *x, struct xhci_slot *s, unsigned n, bool tell);

#endif

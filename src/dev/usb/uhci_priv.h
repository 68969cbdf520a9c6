/*
 * uhci_priv.h - what the two files of the UHCI controller share: uhci.c has
 * the registers and ports, uhci_sched.c goes through the lists.
 */
#ifndef DEV_USB_UHCI_PRIV_H
#define DEV_USB_UHCI_PRIV_H

#include "dev/pci/pci.h"
#include "dev/usb/pace.h"
#include "dev/usb/uhci.h"

#define UHCI_PACKET 1280u /* the longest that a TD may hold */

/* status */
#define UHCI_STS_INT	0x01
#define UHCI_STS_ERROR	0x02
#define UHCI_STS_RESUME 0x04
#define UHCI_STS_PCI	0x08
#define UHCI_STS_PROC	0x10
#define UHCI_STS_HALTED 0x20

/* why UHCI_STS_INT, as the enable register has them */
#define UHCI_INT_DONE  0x04
#define UHCI_INT_SHORT 0x08

struct uhci {
	struct dev dev;
	struct pci_func pci;
	struct usb_port port[UHCI_PORTS];
	struct usb_pace pace;
	uint16_t cmd, status, enable, portsc[UHCI_PORTS];
	uint32_t list;
	uint8_t sof;
	uint8_t causes; /* UHCI_INT_DONE, UHCI_INT_SHORT */
	uint64_t frames, transactions;
};

/* What a walk through one frame may do at most. */
struct uhci_budget {
	unsigned steps, bytes;
};

/* Go through frame number n's list; true: something moved. */
bool uhci_sched_frame(struct uhci *u, unsigned n, struct uhci_budget *left);

#endif

/*
 * ehci_priv.h - what the two files of the EHCI controller share: ehci.c has
 * the registers and ports, ehci_sched.c goes through the lists.
 */
#ifndef DEV_USB_EHCI_PRIV_H
#define DEV_USB_EHCI_PRIV_H

#include "dev/pci/pci.h"
#include "dev/usb/ehci.h"
#include "dev/usb/pace.h"

#define EHCI_QTD_BYTES 20480u /* five pages */

#define EHCI_CMD_RUN	  0x00000001u
#define EHCI_CMD_PERIODIC 0x00000010u
#define EHCI_CMD_ASYNC	  0x00000020u
#define EHCI_CMD_DOORBELL 0x00000040u

#define EHCI_STS_INT	  0x00000001u
#define EHCI_STS_ERROR	  0x00000002u
#define EHCI_STS_PORT	  0x00000004u
#define EHCI_STS_ROLLOVER 0x00000008u
#define EHCI_STS_HOST	  0x00000010u
#define EHCI_STS_ADVANCE  0x00000020u

struct ehci {
	struct dev dev;
	struct pci_func pci;
	struct usb_port port[EHCI_PORTS];
	struct usb_pace pace;
	uint32_t cmd, status, enable, periodic, async, configured;
	uint32_t portsc[EHCI_PORTS];
	uint8_t data[EHCI_QTD_BYTES];
	uint64_t frames, transactions;
};

/* What one look at the lists may do at most. */
struct ehci_budget {
	unsigned steps, bytes;
};

/* The device that an enabled port leads to, or NULL. */
struct usb_device *ehci_find(struct ehci *e, uint8_t address);
/* Go through frame n, or once around the asynchronous list; true: something
 * moved. */
bool ehci_sched_frame(struct ehci *e, unsigned n, struct ehci_budget *left);
bool ehci_sched_async(struct ehci *e, struct ehci_budget *left);

#endif

/*
 * chardev.h - a byte stream between a device and the host.
 *
 * The owner (vmm) implements it over standard input and output, a file, a
 * socket or nothing.  A device that can take input sets receive.
 */
#ifndef DEV_CHARDEV_H
#define DEV_CHARDEV_H

#include <stddef.h>
#include <stdint.h>

struct dev_chardev {
	/* Output from the guest.  Returns bytes taken (0..len), never blocks;
	 * when fewer, writable() is called later.  Lock held. */
	size_t (*write)(struct dev_chardev *c, const uint8_t *buf, size_t len);
	/* Set by the device.  Control loop, lock held. */
	size_t (*can_receive)(void *opaque);
	void (*receive)(void *opaque, const uint8_t *buf, size_t len);
	void (*writable)(void *opaque);
	/* The device has room again: the owner may look at its input. */
	void (*accept_input)(struct dev_chardev *c);
	void *opaque; /* the device's */
	void *owner;
};

#endif

/*
 * vsock.h - where a virtio socket device meets the host.
 *
 * The owner (vmm) finds out who listens on the host and who wants to talk to
 * the guest; it hands over connected stream sockets that do not block.  The
 * device reads and writes them, and gives each back to be closed.
 *
 * Threads: all with the bus lock held.  What the owner offers is called on any
 * thread and never calls back; what the device offers, on the control loop.
 */
#ifndef DEV_VSOCK_H
#define DEV_VSOCK_H

#include <stdbool.h>
#include <stdint.h>

#define DEV_VSOCK_IN  1u /* something to read, or the end of it */
#define DEV_VSOCK_OUT 2u /* room to write */
#define DEV_VSOCK_HUP 4u /* the other end has gone */

struct dev_vsock {
	uint32_t cid; /* the guest's */
	/* ---- the owner's ---- */
	/* The guest wants a port of the host's: answered() follows, once. */
	void (*ask)(struct dev_vsock *s, uint32_t port, uint32_t id);
	/* From now on say by ready() what happens to fd; DEV_VSOCK_OUT only if
	 * out.  Changes are told, not how things are. */
	void (*watch)(struct dev_vsock *s, int fd, uint32_t id, bool out);
	void (*close)(struct dev_vsock *s, int fd);
	/* Call work() soon. */
	void (*again)(struct dev_vsock *s);
	/* ---- the device's ---- */
	/* The socket, which is taken over; -1: nobody listens there. */
	void (*answered)(void *dev, uint32_t id, int fd);
	/* A program that wants the guest's port and waits for a line that says
	 * OK.  True: its socket is taken over. */
	bool (*connect)(void *dev, uint32_t port, int fd);
	/* work() follows. */
	void (*ready)(void *dev, uint32_t id, unsigned events);
	void (*work)(void *dev);
	void *dev; /* NULL: there is none yet */
};

#endif

/*
 * pace.h - when UHCI and EHCI look through their lists.
 *
 * Drivers of both put work into memory without a word to the controller, which
 * looks there each millisecond.  So do we, as long as something moves; while
 * nothing does, ever more seldom, down to PACE_IDLE_NS.  A register written by
 * the guest, or a device that has something now, brings the full pace back.
 * Frames that have passed meanwhile are gone through one after another, so
 * that what hangs on some frame only is met all the same.
 *
 * Bus lock held.
 */
#ifndef DEV_USB_PACE_H
#define DEV_USB_PACE_H

#include "bus/bus.h"
#include "dev/state.h"

#define USB_FRAME_NS	1000000u
#define PACE_BUSY_NS	100000u	  /* while data move */
#define PACE_IDLE_NS	40000000u /* nothing for long */
#define PACE_MAX_FRAMES 64u	  /* gone through at once */

struct usb_pace {
	struct bus_timer timer;
	bool running;
	uint64_t start_ns;  /* when frame 0 began */
	uint64_t active_ns; /* when something moved last */
	uint64_t frame;	    /* the last one that was gone through */
};

extern const struct state_list usb_pace_state;

void usb_pace_init(struct usb_pace *p, struct bus *b,
	void (*fire)(void *opaque), void *opaque);
/* Begin with frame number first; stop. */
void usb_pace_start(struct usb_pace *p, uint64_t first);
void usb_pace_stop(struct usb_pace *p);
/* The frame that is now; when stopped, the last one. */
uint64_t usb_pace_now(const struct usb_pace *p);
/* The same in eighths of a frame. */
uint64_t usb_pace_micro(const struct usb_pace *p);
/* Look soon. */
void usb_pace_poke(struct usb_pace *p);
/* fire has looked; moved: something happened. */
void usb_pace_next(struct usb_pace *p, bool moved);

#endif

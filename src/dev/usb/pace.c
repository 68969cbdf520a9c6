/* pace.c - when controllers look through their lists; see pace.h. */
#include "dev/usb/pace.h"

#include <glib.h>

void usb_pace_init(struct usb_pace *p, struct bus *b,
	void (*fire)(void *opaque), void *opaque)
{
	bus_timer_init(&p->timer, b, fire, opaque);
}

void usb_pace_start(struct usb_pace *p, uint64_t first)
{
	uint64_t now = bus_clock_ns(p->timer.bus);

	p->running = true;
	/* Unsigned, it may be before the clock began. */
	p->start_ns = now - first * USB_FRAME_NS;
	p->active_ns = now;
	p->frame = first;
	bus_timer_arm(&p->timer, now + PACE_BUSY_NS);
}

void usb_pace_stop(struct usb_pace *p)
{
	p->frame = usb_pace_now(p);
	p->running = false;
	bus_timer_cancel(&p->timer);
}

uint64_t usb_pace_now(const struct usb_pace *p)
{
	return p->running ? (bus_clock_ns(p->timer.bus) - p->start_ns) /
				    USB_FRAME_NS
			  : p->frame;
}

uint64_t usb_pace_micro(const struct usb_pace *p)
{
	return p->running ? (bus_clock_ns(p->timer.bus) - p->start_ns) /
				    (USB_FRAME_NS / 8)
			  : p->frame * 8;
}

void usb_pace_poke(struct usb_pace *p)
{
	uint64_t now = bus_clock_ns(p->timer.bus);

	p->active_ns = now;
	if (p->running &&
		(!p->timer.slot || p->timer.deadline_ns > now + PACE_BUSY_NS))
		bus_timer_arm(&p->timer, now + PACE_BUSY_NS);
}

/* How long to wait when nothing has moved for so long. */
static uint64_t pace_rest(uint64_t quiet_ns)
{
	uint64_t ms = 1000000;

	if (quiet_ns < 100 * ms)
		return USB_FRAME_NS;
	return CLAMP(quiet_ns / 50, 2 * ms, PACE_IDLE_NS);
}

void usb_pace_next(struct usb_pace *p, bool moved)
{
	uint64_t now = bus_clock_ns(p->timer.bus);

	if (!p->running)
		return;
	if (moved)
		p->active_ns = now;
	bus_timer_arm(&p->timer,
		now + (moved ? PACE_BUSY_NS : pace_rest(now - p->active_ns)));
}

static const struct state_field pace_fields[] = {
	STATE_TIMER(struct usb_pace, timer),
	STATE(struct usb_pace, running),
	STATE(struct usb_pace, start_ns),
	STATE(struct usb_pace, active_ns),
	STATE(struct usb_pace, frame),
};

const struct state_list usb_pace_state =
	STATE_LIST("pace", struct usb_pace, 1, pace_fields);

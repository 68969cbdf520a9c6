/*
 * clock.c - virtual time and timers.
 *
 * Virtual time runs with CLOCK_MONOTONIC but stands still while paused.
 * Timers are a binary heap; one timerfd follows the earliest deadline.
 */
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <glib.h>

#include "bus/priv.h"

uint64_t bus_host_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}

bool bus_clock_init(struct bus *b)
{
	b->clock_offset_ns = bus_host_ns();
	b->timerfd =
		timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	return b->timerfd >= 0;
}

void bus_clock_fini(struct bus *b)
{
	close(b->timerfd);
	g_free(b->heap);
}

uint64_t bus_clock_ns(const struct bus *b)
{
	uint64_t paused = atomic_load(&b->paused_at_ns);

	return paused ? paused
		      : bus_host_ns() - atomic_load(&b->clock_offset_ns);
}

/* Set the timerfd to the earliest deadline; none while paused.  If it goes off
 * earlier than that, it is left alone and set then: guests put off their
 * timers much more often than they wait for them. */
static void bus_timers_program(struct bus *b)
{
	bool off = !b->ntimers || atomic_load(&b->paused_at_ns);
	uint64_t due =
		off ? 0
		    : b->heap[0]->deadline_ns +
				(uint64_t)atomic_load(&b->clock_offset_ns);
	struct itimerspec it = {0};

	atomic_store(&b->due_ns, due);
	if (b->armed_ns ? !due || due >= b->armed_ns : !due)
		return;
	b->armed_ns = due;
	it.it_value.tv_sec = due / 1000000000u;
	it.it_value.tv_nsec = due % 1000000000u;
	timerfd_settime(b->timerfd, TFD_TIMER_ABSTIME, &it, NULL);
}

uint64_t bus_clock_tsc(const struct bus *b)
{
	return atomic_load(&b->paused_at_ns) ? b->paused_tsc
					     : __builtin_ia32_rdtsc();
}

uint64_t bus_clock_pause(struct bus *b, bool pause)
{
	uint64_t paused = atomic_load(&b->paused_at_ns), ticks = 0;

	if (pause == !!paused)
		return 0;
	if (pause) {
		b->paused_tsc = __builtin_ia32_rdtsc();
		atomic_store(&b->paused_at_ns, MAX(bus_clock_ns(b), 1));
	} else {
		ticks = __builtin_ia32_rdtsc() - b->paused_tsc;
		atomic_store(&b->clock_offset_ns, bus_host_ns() - paused);
		atomic_store(&b->paused_at_ns, 0);
		for (unsigned i = 0; i < b->ncpus; i++)
			bus_cpu_stood_still(b->cpus[i], ticks);
	}
	bus_timers_program(b);
	return ticks;
}

void bus_clock_move(struct bus *b, uint64_t ns, uint64_t ticks)
{
	atomic_store(&b->paused_at_ns, MAX(ns, 1));
	b->paused_tsc += ticks;
}

static void heap_put(struct bus *b, unsigned i, struct bus_timer *t)
{
	b->heap[i] = t;
	t->slot = i + 1;
}

static void heap_up(struct bus *b, unsigned i, struct bus_timer *t)
{
	while (i && b->heap[(i - 1) / 2]->deadline_ns > t->deadline_ns) {
		heap_put(b, i, b->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	heap_put(b, i, t);
}

static void heap_down(struct bus *b, unsigned i, struct bus_timer *t)
{
	for (;;) {
		unsigned child = 2 * i + 1;

		if (child >= b->ntimers)
			break;
		if (child + 1 < b->ntimers &&
			b->heap[child + 1]->deadline_ns <
				b->heap[child]->deadline_ns)
			child++;
		if (b->heap[child]->deadline_ns >= t->deadline_ns)
			break;
		heap_put(b, i, b->heap[child]);
		i = child;
	}
	heap_put(b, i, t);
}

static void heap_remove(struct bus *b, struct bus_timer *t)
{
	unsigned i = t->slot - 1;
	struct bus_timer *last = b->heap[--b->ntimers];

	t->slot = 0;
	if (last == t)
		return;
	if (i && b->heap[(i - 1) / 2]->deadline_ns > last->deadline_ns)
		heap_up(b, i, last);
	else
		heap_down(b, i, last);
}

void bus_timer_init(struct bus_timer *t, struct bus *b,
	void (*fire)(void *opaque), void *opaque)
{
	*t = (struct bus_timer){.bus = b, .fire = fire, .opaque = opaque};
}

void bus_timer_arm(struct bus_timer *t, uint64_t deadline_ns)
{
	struct bus *b = t->bus;

	if (t->slot)
		heap_remove(b, t);
	if (b->ntimers == b->heap_room) {
		b->heap_room = b->heap_room ? 2 * b->heap_room : 64;
		b->heap = g_renew(struct bus_timer *, b->heap, b->heap_room);
	}
	t->deadline_ns = deadline_ns;
	b->ntimers++;
	heap_up(b, b->ntimers - 1, t);
	bus_timers_program(b);
}

void bus_timer_cancel(struct bus_timer *t)
{
	if (!t->slot)
		return;
	heap_remove(t->bus, t);
	bus_timers_program(t->bus);
}

int bus_timers_fd(struct bus *b)
{
	return b->timerfd;
}

void bus_timers_run(struct bus *b)
{
	uint64_t ticks, now;
	ssize_t n;

	bus_lock(b);
	n = read(b->timerfd, &ticks, sizeof(ticks));
	if (n == sizeof(ticks))
		b->armed_ns = 0;
	now = bus_clock_ns(b);
	/* A timer that its own callback arms in the past fires in the next
	 * turn of the loop, so that others get the lock. */
	for (unsigned left = b->ntimers;
		left && b->ntimers && b->heap[0]->deadline_ns <= now &&
		!atomic_load(&b->paused_at_ns);
		left--) {
		struct bus_timer *t = b->heap[0];

		heap_remove(b, t);
		t->fire(t->opaque);
	}
	bus_timers_program(b);
	bus_unlock(b);
}

/*
 * limit.c - a share of the host's processors that virtual ones may have.
 *
 * For software that a fast machine is too fast for, and for sharing.  Each
 * virtual processor has an account: time that its thread ran is charged, and
 * the share of the time that passed is credited.  In debt it rests until that
 * is paid.  What it did not use is lost, so a guest that slept gets no more
 * than the share afterwards.
 *
 * Slices are short (50 us to 1 ms), so that a program in the guest sees a
 * slower processor and not one that stops now and then; at 1 % a slice of
 * 50 us comes each 5 ms.  The guest's clocks run at their own speed.
 */
#include <errno.h>
#include <sys/prctl.h>
#include <time.h>

#include "vmm/priv.h"

#define SLICE_MIN_NS 50000
#define SLICE_MAX_NS 1000000
#define IDLE_NS	     2000000

struct account {
	clockid_t clock; /* of the processor's thread */
	int64_t seen_ns; /* on it */
	int64_t debt_ns;
};

struct limit {
	struct machine *m;
	pthread_t thread;
	pthread_mutex_t lock; /* before the run loop's */
	pthread_cond_t cond;
	unsigned share; /* of CONF_LIMIT_FULL; 0: none */
	bool quit;
	int64_t seen_ns;
	struct account account[];
};

static int64_t limit_clock(clockid_t id)
{
	struct timespec t;

	if (clock_gettime(id, &t))
		return 0;
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Charge one processor; gives how long it shall rest. */
static int64_t limit_charge(struct limit *l, struct account *a, int64_t passed)
{
	int64_t seen = limit_clock(a->clock);

	a->debt_ns += seen - a->seen_ns -
		      passed * (int64_t)l->share / CONF_LIMIT_FULL;
	a->seen_ns = seen;
	if (a->debt_ns < 0)
		a->debt_ns = 0;
	return a->debt_ns * CONF_LIMIT_FULL / (int64_t)l->share;
}

/* Let those rest that are in debt; how long until the next look. */
static int64_t limit_round(struct limit *l)
{
	struct runloop *r = &l->m->run;
	int64_t now = limit_clock(CLOCK_MONOTONIC), passed = now - l->seen_ns;
	int64_t slice = (int64_t)l->share * 2 * SLICE_MAX_NS / CONF_LIMIT_FULL;
	int64_t next = IDLE_NS;

	slice = CLAMP(slice, SLICE_MIN_NS, SLICE_MAX_NS);
	l->seen_ns = now;
	for (unsigned i = 0; i < r->n; i++) {
		int64_t before = l->account[i].seen_ns, rest;

		rest = limit_charge(l, &l->account[i], passed);
		runloop_rest(l->m, i, rest > 0);
		if (rest > 0)
			next = MIN(next, MAX(rest, SLICE_MIN_NS));
		else if (l->account[i].seen_ns != before)
			next = MIN(next, slice);
	}
	return next;
}

static void limit_sleep(struct limit *l, int64_t ns)
{
	int64_t end = limit_clock(CLOCK_MONOTONIC) + ns;
	struct timespec t = {end / 1000000000, end % 1000000000};

	pthread_cond_timedwait(&l->cond, &l->lock, &t);
}

static void limit_release(struct limit *l)
{
	for (unsigned i = 0; i < l->m->run.n; i++) {
		l->account[i].debt_ns = 0;
		runloop_rest(l->m, i, false);
	}
}

static void *limit_main(void *opaque)
{
	struct limit *l = opaque;

	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	pthread_mutex_lock(&l->lock);
	while (!l->quit) {
		if (l->share) {
			limit_sleep(l, limit_round(l));
			continue;
		}
		limit_release(l);
		pthread_cond_wait(&l->cond, &l->lock);
		/* what was used meanwhile is free */
		l->seen_ns = limit_clock(CLOCK_MONOTONIC);
		for (unsigned i = 0; i < l->m->run.n; i++)
			l->account[i].seen_ns =
				limit_clock(l->account[i].clock);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

static struct limit *limit_new(struct machine *m)
{
	struct limit *l =
		g_malloc0(sizeof(*l) + m->run.n * sizeof(struct account));
	pthread_condattr_t a;

	l->m = m;
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(&l->cond, &a);
	pthread_condattr_destroy(&a);
	l->seen_ns = limit_clock(CLOCK_MONOTONIC);
	for (unsigned i = 0; i < m->run.n; i++) {
		pthread_getcpuclockid(
			m->run.vcpu[i].thread, &l->account[i].clock);
		l->account[i].seen_ns = limit_clock(l->account[i].clock);
	}
	return l;
}

bool limit_set(struct machine *m, unsigned share, GError **err)
{
	int e;

	if (!m->limit) {
		if (!share)
			return true;
		m->limit = limit_new(m);
		e = pthread_create(
			&m->limit->thread, NULL, limit_main, m->limit);
		if (e) {
			g_clear_pointer(&m->limit, g_free);
			return fw_error(err, g_strerror(e), NULL,
				"cannot limit the processors");
		}
	}
	pthread_mutex_lock(&m->limit->lock);
	m->limit->share = share;
	pthread_cond_signal(&m->limit->cond);
	pthread_mutex_unlock(&m->limit->lock);
	return true;
}

void limit_fini(struct machine *m)
{
	struct limit *l = m->limit;

	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->quit = true;
	pthread_cond_signal(&l->cond);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->thread, NULL);
	limit_release(l);
	pthread_cond_destroy(&l->cond);
	pthread_mutex_destroy(&l->lock);
	g_clear_pointer(&m->limit, g_free);
}

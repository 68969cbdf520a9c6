/*
 * ehci_sched.c - the periodic and the asynchronous list (EHCI 1.0, chapters 3
 * and 4).
 *
 * All of it is the guest's memory: a queue head and a transfer descriptor are
 * read once, worked on here, and written back.  A slower device behind a hub
 * is asked in place of the hub's translator, which takes no time, so split
 * transactions look as if they were not split.  There are no devices with
 * isochronous endpoints: such descriptors end as if nobody had answered.
 */
#include <string.h>

#include <glib.h>

#include "dev/usb/ehci_priv.h"

#define LINK_END   1u
#define LINK_TYPE  6u
#define LINK_ITD   0u
#define LINK_QUEUE 2u
#define LINK_SITD  4u
#define LINK_FSTN  6u
#define LINK_AT	   (~31u)

/* words of a queue head: 3.6 */
enum {
	QH_LINK,
	QH_ENDPOINT,
	QH_MASKS,
	QH_CURRENT,
	QH_NEXT,
	QH_ALTERNATE,
	QH_TOKEN,
	QH_BUFFER,
	QH_WORDS = 12,
};

/* words of a transfer descriptor: 3.5; they stand in a queue from QH_NEXT on */
enum {
	QTD_NEXT,
	QTD_ALTERNATE,
	QTD_TOKEN,
	QTD_WORDS = 8,
};

#define TOKEN_XACT   0x00000008u
#define TOKEN_BABBLE 0x00000010u
#define TOKEN_BUFFER 0x00000020u
#define TOKEN_HALTED 0x00000040u
#define TOKEN_ACTIVE 0x00000080u
#define TOKEN_ERRORS 0x00000c00u /* how many more are borne */
#define TOKEN_PAGE   0x00007000u
#define TOKEN_IOC    0x00008000u
#define TOKEN_TOTAL  0x7fff0000u
#define TOKEN_TOGGLE 0x80000000u

#define ENDPOINT_DTC 0x00004000u /* the toggle comes from descriptors */

struct queue {
	struct ehci *e;
	struct ehci_budget *left;
	uint32_t at;
	uint32_t w[QH_WORDS];
	bool moved;
};

static bool read_words(struct ehci *e, uint32_t at, uint32_t *words, unsigned n)
{
	bool ok = bus_dma_read(e->dev.host.bus, at, words, n * 4);

	for (unsigned i = 0; i < n; i++)
		words[i] = GUINT32_FROM_LE(words[i]);
	return ok;
}

static void write_words(
	struct ehci *e, uint32_t at, const uint32_t *words, unsigned n)
{
	uint32_t out[QH_WORDS];

	for (unsigned i = 0; i < n; i++)
		out[i] = GUINT32_TO_LE(words[i]);
	bus_dma_write(e->dev.host.bus, at, out, n * 4);
}

static bool spend(struct ehci_budget *left, unsigned bytes)
{
	if (!left->steps || !left->bytes)
		return false;
	left->steps--;
	left->bytes -= MIN(left->bytes, bytes);
	return true;
}

/* ---- data ---- */

static unsigned token_total(uint32_t token)
{
	return (token & TOKEN_TOTAL) >> 16;
}

/* Between e->data and the pages of the queue's buffer, from where it is. */
static void copy_data(const struct queue *q, unsigned len, bool to_guest)
{
	struct bus *b = q->e->dev.host.bus;
	unsigned page = (q->w[QH_TOKEN] & TOKEN_PAGE) >> 12;
	unsigned off = q->w[QH_BUFFER] & 0xfff;

	for (unsigned at = 0; at < len; page++, off = 0) {
		uint32_t gpa = (q->w[QH_BUFFER + page] & ~0xfffu) + off;
		unsigned n = MIN(len - at, 4096 - off);

		if (to_guest)
			bus_dma_write(b, gpa, q->e->data + at, n);
		else
			bus_dma_read(b, gpa, q->e->data + at, n);
		at += n;
	}
}

/* Bytes for which there are pages. */
static unsigned data_room(const struct queue *q)
{
	unsigned page = (q->w[QH_TOKEN] & TOKEN_PAGE) >> 12;

	return page > 4 ? 0 : (5 - page) * 4096 - (q->w[QH_BUFFER] & 0xfff);
}

/* The token and where the buffer is after so many bytes. */
static void advance_data(struct queue *q, unsigned moved)
{
	unsigned packet = q->w[QH_ENDPOINT] >> 16 & 0x7ff;
	unsigned packets = moved && packet ? (moved + packet - 1) / packet : 1;
	unsigned off = (q->w[QH_BUFFER] & 0xfff) + moved;
	uint32_t token = q->w[QH_TOKEN];
	unsigned page = MIN(((token & TOKEN_PAGE) >> 12) + (off >> 12), 7u);

	token &= ~(TOKEN_PAGE | TOKEN_TOTAL);
	token |= page << 12 | (token_total(q->w[QH_TOKEN]) - moved) << 16;
	if (packets & 1)
		token ^= TOKEN_TOGGLE;
	q->w[QH_TOKEN] = token;
	q->w[QH_BUFFER] = (q->w[QH_BUFFER] & ~0xfffu) | (off & 0xfff);
}

/* ---- transactions ---- */

static void queue_fail(struct queue *q, uint32_t bits)
{
	q->w[QH_TOKEN] &= ~TOKEN_ACTIVE;
	q->w[QH_TOKEN] |= TOKEN_HALTED | bits;
	q->e->status |= EHCI_STS_ERROR;
}

/* False: NAK, ask again another time. */
static bool queue_transact(struct queue *q)
{
	static const enum usb_pid pids[4] = {
		USB_PID_OUT, USB_PID_IN, USB_PID_SETUP};
	struct ehci *e = q->e;
	struct usb_device *d = ehci_find(e, q->w[QH_ENDPOINT] & 127);
	struct usb_io io = {.pid = pids[q->w[QH_TOKEN] >> 8 & 3],
		.ep = q->w[QH_ENDPOINT] >> 8 & 15,
		.buf = e->data,
		.len = token_total(q->w[QH_TOKEN])};
	enum usb_result result;

	if (!io.pid || io.len > data_room(q)) {
		queue_fail(q, TOKEN_BUFFER);
		return true;
	}
	if (!d) { /* tried three times */
		q->w[QH_TOKEN] &= ~TOKEN_ERRORS;
		queue_fail(q, TOKEN_XACT);
		return true;
	}
	if (io.pid != USB_PID_IN)
		copy_data(q, io.len, false);
	result = usb_device_io(d, &io);
	if (io.pid == USB_PID_IN && io.moved)
		copy_data(q, io.moved, true);
	if (result == USB_NAK && !io.moved)
		return false;
	e->transactions++;
	spend(q->left, io.moved);
	advance_data(q, io.moved);
	if (result == USB_ACK)
		q->w[QH_TOKEN] &= ~TOKEN_ACTIVE;
	else if (result != USB_NAK)
		queue_fail(q, result == USB_BABBLE ? TOKEN_BABBLE : 0);
	return true;
}

/* 4.10.4: tell of a descriptor that has ended. */
static void queue_retire(struct queue *q)
{
	uint32_t token = q->w[QH_TOKEN];
	bool is_short = (token >> 8 & 3) == 1 && token_total(token) &&
			!(token & TOKEN_HALTED);

	write_words(
		q->e, (q->w[QH_CURRENT] & LINK_AT) + 4 * QTD_TOKEN, &token, 1);
	if ((token & TOKEN_IOC) || is_short)
		q->e->status |= EHCI_STS_INT;
}

/* 4.10.2: the next descriptor into the overlay.  False: there is none. */
static bool queue_advance(struct queue *q)
{
	uint32_t qtd[QTD_WORDS], at = q->w[QH_NEXT], toggle;

	if (token_total(q->w[QH_TOKEN]) && !(q->w[QH_ALTERNATE] & LINK_END))
		at = q->w[QH_ALTERNATE];
	if ((at & LINK_END) || !read_words(q->e, at & LINK_AT, qtd, QTD_WORDS))
		return false;
	if (!(qtd[QTD_TOKEN] & TOKEN_ACTIVE))
		return false;
	toggle = q->w[QH_TOKEN] & TOKEN_TOGGLE;
	q->w[QH_CURRENT] = at & LINK_AT;
	memcpy(&q->w[QH_NEXT], qtd, sizeof(qtd));
	if (!(q->w[QH_ENDPOINT] & ENDPOINT_DTC))
		q->w[QH_TOKEN] = (q->w[QH_TOKEN] & ~TOKEN_TOGGLE) | toggle;
	return true;
}

/* A queue head that was read: as far as it goes. */
static void queue_run(struct queue *q)
{
	bool changed = false;

	while (!(q->w[QH_TOKEN] & TOKEN_HALTED) && spend(q->left, 0)) {
		if (!(q->w[QH_TOKEN] & TOKEN_ACTIVE)) {
			if (!queue_advance(q))
				break;
			changed = true;
			continue;
		}
		if (!queue_transact(q))
			break;
		q->moved = changed = true;
		if (q->w[QH_TOKEN] & TOKEN_ACTIVE)
			break;
		queue_retire(q);
	}
	if (changed)
		write_words(q->e, q->at + 4 * QH_CURRENT, &q->w[QH_CURRENT],
			QH_WORDS - QH_CURRENT);
}

/* ---- lists ---- */

/* 3.3, 3.4: transactions that are active end with an error. */
static void isochronous(
	struct ehci *e, uint32_t at, bool split, const uint32_t *w)
{
	uint32_t active = split ? 0x00000080u : 0x80000000u;
	uint32_t error = split ? 0x00000008u : 0x10000000u;
	uint32_t ioc = split ? 0x80000000u : 0x00008000u;
	unsigned first = split ? 3 : 1, last = split ? 3 : 8;

	for (unsigned i = first; i <= last; i++) {
		uint32_t word = (w[i] & ~active) | error;

		if (!(w[i] & active))
			continue;
		write_words(e, at + 4 * i, &word, 1);
		e->status |= EHCI_STS_ERROR;
		if (word & ioc)
			e->status |= EHCI_STS_INT;
	}
}

bool ehci_sched_frame(struct ehci *e, unsigned n, struct ehci_budget *left)
{
	struct queue q = {.e = e, .left = left};
	uint32_t link;

	e->frames++;
	if (!read_words(e, e->periodic + (n & 1023) * 4, &link, 1))
		return false;
	while (!(link & LINK_END) && spend(left, 0)) {
		unsigned type = link & LINK_TYPE;

		q.at = link & LINK_AT;
		if (!read_words(e, q.at, q.w, QH_WORDS))
			break;
		link = q.w[QH_LINK];
		if (type == LINK_QUEUE)
			queue_run(&q);
		else if (type != LINK_FSTN)
			isochronous(e, q.at, type == LINK_SITD, q.w);
	}
	return q.moved;
}

bool ehci_sched_async(struct ehci *e, struct ehci_budget *left)
{
	struct queue q = {.e = e, .left = left};
	uint32_t link = e->async & LINK_AT;

	do {
		q.at = link & LINK_AT;
		if (!spend(left, 0) || !read_words(e, q.at, q.w, QH_WORDS))
			break;
		link = q.w[QH_LINK];
		queue_run(&q);
	} while (!(link & LINK_END) && (link & LINK_TYPE) == LINK_QUEUE &&
		 (link & LINK_AT) != (e->async & LINK_AT));
	return q.moved;
}

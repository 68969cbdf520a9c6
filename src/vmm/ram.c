/*
 * ram.c - memory that several machines have in common.
 *
 * It lies in a file without a name, which is sealed before anybody gets it:
 * what a machine changes are pages of its own (MAP_PRIVATE).  Where the file
 * has nothing a machine keeps the memory that it was made with, which is zero,
 * comes in huge pages and needs no room in the file when it is written.
 * docs/decisions/0008 says what else was tried.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/error.h"
#include "vmm/priv.h"

#define RUN_BYTES   (512u << 10) /* one thread's, at a time */
#define BLOCK_BYTES (2ull << 20) /* mapped as a whole: a huge page */
#define MAX_MAPS    16384u	 /* of the 65530 that a process may have */
#define MAX_CUTS    16384u	 /* each is two more, at most */
#define MAX_THREADS 8

/* ---- writing ---- */

struct writer {
	const struct machine *m;
	const struct bus_ram *ram;
	int fd;
	_Atomic(uint64_t) next;
	_Atomic(bool) failed;
};

static bool page_is_zero(const uint8_t *page)
{
	return blk_is_zero(page, BUS_PAGE_SIZE);
}

static bool write_at(int fd, const uint8_t *p, size_t n, uint64_t off)
{
	while (n) {
		ssize_t done = pwrite(fd, p, n, (off_t)off);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		p += done;
		n -= (size_t)done;
		off += (uint64_t)done;
	}
	return true;
}

static bool write_run(const struct writer *w, uint64_t at, uint64_t end)
{
	const uint8_t *ram = w->ram->host;

	while (at < end) {
		uint64_t from = at;

		while (at < end && !page_is_zero(ram + at))
			at += BUS_PAGE_SIZE;
		if (at > from && !write_at(w->fd, ram + from, at - from, from))
			return false;
		while (at < end && page_is_zero(ram + at))
			at += BUS_PAGE_SIZE;
	}
	return true;
}

static void *write_thread(void *opaque)
{
	struct writer *w = opaque;

	while (!atomic_load(&w->failed)) {
		uint64_t at = atomic_fetch_add(&w->next, RUN_BYTES);

		if (at >= w->ram->bytes)
			break;
		if (!memory_there(w->m, at, RUN_BYTES))
			continue;
		if (!write_run(w, at, MIN(at + RUN_BYTES, w->ram->bytes)))
			atomic_store(&w->failed, true);
	}
	return NULL;
}

bool ram_write(const struct machine *m, int fd, unsigned threads)
{
	struct writer w = {.m = m, .ram = bus_ram(m->bus), .fd = fd};
	pthread_t t[MAX_THREADS];
	unsigned n = 0;

	while (n + 1 < MIN(threads, MAX_THREADS) &&
		!pthread_create(&t[n], NULL, write_thread, &w))
		n++;
	write_thread(&w);
	while (n)
		pthread_join(t[--n], NULL);
	return !w.failed;
}

/* ---- giving back ---- */

static bool shared_at(const uint8_t *bits, uint64_t at)
{
	return bits &&
	       bits[at / BUS_PAGE_SIZE / 8] >> at / BUS_PAGE_SIZE % 8 & 1;
}

static void shared_set(uint8_t *bits, uint64_t at, uint64_t to, bool on)
{
	for (uint64_t p = at / BUS_PAGE_SIZE; p < to / BUS_PAGE_SIZE; p++)
		bits[p / 8] = (uint8_t)((bits[p / 8] & ~(1u << p % 8)) |
					(unsigned)on << p % 8);
}

/*
 * Of the shared file: what is there would come back, so pages of the machine's
 * own take its place.  Each run may cost two mappings more; when they are used
 * up memory stays, which is right, too.
 */
static void discard_shared(struct machine *m, uint64_t at, uint64_t to)
{
	uint8_t *p = bus_ram(m->bus)->host + at;

	if (m->ram_cuts == MAX_CUTS ||
		mmap(p, to - at, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE,
			-1, 0) == MAP_FAILED)
		return;
	m->ram_cuts++;
	/* as the rest is, so that neighbours become one mapping */
	madvise(p, to - at, MADV_HUGEPAGE);
	madvise(p, to - at, MADV_DONTDUMP);
	shared_set(m->ram_shared, at, to, false);
}

void ram_discard(void *opaque, uint64_t offset, uint64_t bytes)
{
	struct machine *m = opaque;
	uint64_t end = offset + bytes, to;

	if (!m->ram_shared) {
		madvise(bus_ram(m->bus)->host + offset, bytes, MADV_DONTNEED);
		return;
	}
	for (; offset < end; offset = to) {
		bool shared = shared_at(m->ram_shared, offset);

		for (to = offset + BUS_PAGE_SIZE;
			to < end && shared_at(m->ram_shared, to) == shared;
			to += BUS_PAGE_SIZE)
			;
		if (shared)
			discard_shared(m, offset, to);
		else
			madvise(bus_ram(m->bus)->host + offset, to - offset,
				MADV_DONTNEED);
	}
}

void ram_clear(void *opaque, uint64_t offset, uint64_t bytes)
{
	struct machine *m = opaque;
	uint8_t *host = bus_ram(m->bus)->host;
	uint64_t end = offset + bytes;

	ram_discard(m, offset, bytes);
	for (; m->ram_shared && offset < end; offset += BUS_PAGE_SIZE)
		if (shared_at(m->ram_shared, offset) &&
			!page_is_zero(host + offset))
			memset(host + offset, 0, BUS_PAGE_SIZE);
}

/* ---- sharing ---- */

/* The next range of whole blocks with something in it, from *at on; false:
 * there is none. */
static bool next_range(
	int fd, uint64_t block, uint64_t end, uint64_t *at, uint64_t *to)
{
	off_t data = *at < end ? lseek(fd, (off_t)*at, SEEK_DATA) : -1;
	off_t hole;

	if (data < 0 || (uint64_t)data >= end)
		return false;
	*at = (uint64_t)data / block * block;
	for (;;) {
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			hole = (off_t)end;
		*to = MIN(((uint64_t)hole + block - 1) / block * block, end);
		data = *to < end ? lseek(fd, (off_t)*to, SEEK_DATA) : -1;
		if (data < 0 || (uint64_t)data >= *to + block)
			return true;
	}
}

/* It is still being written while the machine is made. */
static bool ram_is_whole(const struct machine *m, GError **err)
{
	int fd = m->conf->ram_ready.fd;
	ssize_t n = 1;
	char c;

	while (fd >= 0 && (n = read(fd, &c, 1)) < 0 && errno == EINTR)
		;
	if (n == 1)
		return true;
	conf_error_set(err, CONF_ERROR_FAILED, "it was not copied", NULL,
		"the memory to share is not whole");
	return false;
}

bool ram_share(struct machine *m, int fd, GError **err)
{
	const struct bus_ram *ram = bus_ram(m->bus);
	uint64_t block = BLOCK_BYTES, at = 0, to;
	struct stat st;

	while (ram->bytes / block > MAX_MAPS)
		block *= 2;
	if (fstat(fd, &st) || (uint64_t)st.st_size != ram->bytes) {
		conf_error_set(err, CONF_ERROR_FAILED, NULL, NULL,
			"the memory to share is not the machine's");
		return false;
	}
	if (!ram_is_whole(m, err))
		return false;
	m->ram_shared = g_malloc0(ram->bytes / BUS_PAGE_SIZE / 8 + 1);
	for (; next_range(fd, block, ram->bytes, &at, &to); at = to) {
		void *p = mmap(ram->host + at, to - at, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd, (off_t)at);

		if (p != MAP_FAILED) {
			shared_set(m->ram_shared, at, to, true);
			continue;
		}
		conf_error_set_errno(
			err, errno, NULL, "cannot share the machine's memory");
		return false;
	}
	madvise(ram->host, ram->bytes, MADV_DONTDUMP);
	return true;
}

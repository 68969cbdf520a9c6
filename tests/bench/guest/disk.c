/*
 * disk.c - reads and writes past the page cache, of a device or a file, one at
 * a time or sixteen.
 *
 * Writes over what is there.
 */
#include "bench.h"
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEPTH 16
#define SMALL 4096u
#define LARGE (1u << 20)

struct row {
	const char *name;
	unsigned size, depth;
	bool write, sync;
};

static const struct row rows[] = {
	{"disk_read_4K", SMALL, 1, false, false},
	{"disk_read_4K_16", SMALL, DEPTH, false, false},
	{"disk_write_4K", SMALL, 1, true, false},
	{"disk_write_4K_16", SMALL, DEPTH, true, false},
	{"disk_read_1M", LARGE, 1, false, false},
	{"disk_write_1M", LARGE, 1, true, false},
	{"disk_sync_4K", SMALL, 1, true, true},
};

struct disk {
	int fd;
	aio_context_t aio;
	uint64_t bytes, at;
	uint8_t *buffer;
	uint32_t random;
};

/* Small ones at random, large ones in a row. */
static uint64_t next_place(struct disk *d, const struct row *r)
{
	if (r->size == SMALL)
		return bench_random(&d->random) % (d->bytes / SMALL) * SMALL;
	if ((d->at += r->size) + r->size > d->bytes)
		d->at = 0;
	return d->at;
}

static bool one(struct disk *d, const struct row *r)
{
	off_t at = (off_t)next_place(d, r);
	ssize_t n = r->write ? pwrite(d->fd, d->buffer, r->size, at)
			     : pread(d->fd, d->buffer, r->size, at);

	return n == (ssize_t)r->size && (!r->sync || !fdatasync(d->fd));
}

static bool submit(struct disk *d, const struct row *r, unsigned slot)
{
	struct iocb c = {.aio_data = slot,
		.aio_lio_opcode = r->write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)d->fd,
		.aio_buf = (uint64_t)(uintptr_t)(d->buffer + slot * SMALL),
		.aio_nbytes = r->size,
		.aio_offset = (int64_t)next_place(d, r)};
	struct iocb *list = &c;

	return syscall(SYS_io_submit, d->aio, 1L, &list) == 1;
}

/* What is done is replaced; -1: something failed. */
static int many(struct disk *d, const struct row *r)
{
	struct io_event e[DEPTH];
	long n = syscall(SYS_io_getevents, d->aio, 1L, (long)DEPTH, e, NULL);

	for (long i = 0; i < n; i++)
		if (e[i].res != (int64_t)r->size ||
			!submit(d, r, (unsigned)e[i].data))
			return -1;
	return n > 0 ? (int)n : -1;
}

static int measure(struct disk *d, const struct row *r, double seconds)
{
	double start, took, unit = r->size == LARGE ? 1.048576 : 1;
	uint64_t done = 0;
	int n = 1;

	/* What rows before this one left in caches is not its to write. */
	fdatasync(d->fd);
	start = bench_now();
	d->at = 0;
	for (unsigned i = 0; r->depth > 1 && i < r->depth && n > 0; i++)
		n = submit(d, r, i) ? 1 : -1;
	do {
		if (n > 0)
			n = r->depth > 1 ? many(d, r) : one(d, r) ? 1 : -1;
		if (n < 0) {
			printf("WRONG %s failed\n", r->name);
			return 1;
		}
		done += (unsigned)n;
	} while ((took = bench_now() - start) < seconds);
	for (unsigned left = r->depth > 1 ? r->depth : 0; left;) {
		struct io_event e[DEPTH];
		long got = syscall(
			SYS_io_getevents, d->aio, 1L, (long)DEPTH, e, NULL);

		left = got > 0 && (unsigned)got < left ? left - (unsigned)got
						       : 0;
	}
	printf("ROW %s %.6g 0\n", r->name, (double)done * unit / took);
	return 0;
}

int bench_disk(const char *path, double seconds, const char *row)
{
	struct disk d = {.random = 3};
	void *buffer = NULL;
	int bad = 0;

	d.fd = open(path, O_RDWR | O_DIRECT);
	if (d.fd < 0 || posix_memalign(&buffer, 4096, LARGE) ||
		syscall(SYS_io_setup, DEPTH, &d.aio)) {
		perror(path);
		return 1;
	}
	memset(buffer, 0x5a, LARGE);
	d.buffer = buffer;
	d.bytes = (uint64_t)lseek(d.fd, 0, SEEK_END);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]) && !bad; i++)
		if (!row || !strcmp(row, rows[i].name))
			bad = measure(&d, &rows[i], seconds);
	close(d.fd);
	free(buffer);
	return bad;
}

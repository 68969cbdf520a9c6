/*
 * disk.c - reads and writes past the page cache, of a device or a file.
 *
 * Writes over what is there.
 */
#include "bench.h"
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum kind { READ_4K, READ_1M, WRITE_1M, SYNC_4K };

struct disk {
	int fd;
	uint64_t bytes;
	char *buffer;
	uint64_t at;
	uint32_t random;
};

static bool transfer(struct disk *d, enum kind kind)
{
	size_t size = kind == READ_4K || kind == SYNC_4K ? 4096 : 1 << 20;
	ssize_t n;

	if (size == 4096)
		d->at = bench_random(&d->random) % (d->bytes / 4096) * 4096;
	else if ((d->at += size) + size > d->bytes)
		d->at = 0;
	n = kind == READ_4K || kind == READ_1M
		    ? pread(d->fd, d->buffer, size, (off_t)d->at)
		    : pwrite(d->fd, d->buffer, size, (off_t)d->at);
	return n == (ssize_t)size && (kind != SYNC_4K || !fdatasync(d->fd));
}

static int measure(
	struct disk *d, const char *name, enum kind kind, double seconds)
{
	double start = bench_now(), took, ops = 1;
	uint64_t n = 0;

	if (kind == READ_1M || kind == WRITE_1M)
		ops = 1.048576;
	d->at = 0;
	do {
		if (!transfer(d, kind)) {
			printf("WRONG %s failed\n", name);
			return 1;
		}
		n++;
	} while ((took = bench_now() - start) < seconds);
	printf("ROW %s %.6g 0\n", name, n * ops / took);
	return 0;
}

int bench_disk(const char *path, double seconds)
{
	struct disk d = {.random = 3};
	void *buffer = NULL;
	off_t end;
	int bad;

	d.fd = open(path, O_RDWR | O_DIRECT);
	if (d.fd < 0 || posix_memalign(&buffer, 4096, 1 << 20)) {
		perror(path);
		return 1;
	}
	memset(buffer, 0x5a, 1 << 20);
	d.buffer = buffer;
	end = lseek(d.fd, 0, SEEK_END);
	d.bytes = (uint64_t)end;
	bad = measure(&d, "disk_read_4K", READ_4K, seconds) ||
	      measure(&d, "disk_read_1M", READ_1M, seconds) ||
	      measure(&d, "disk_write_1M", WRITE_1M, seconds) ||
	      measure(&d, "disk_sync_4K", SYNC_4K, seconds);
	close(d.fd);
	free(buffer);
	return bad;
}

/*
 * raw.c - a file or block device whose bytes are the disk's.
 *
 * A disk is made of 512-byte sectors.  A file that ends inside one is shown
 * with that sector padded by zeros, and the file grows to the sector's end
 * when the guest writes there.
 */
#include "block/blk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/iov.h"

#define RAW_IOV_MAX 1024
#define RAW_PAGE    4096u

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

struct raw {
	struct blk blk;
	int fd;
	bool device;
	bool no_sync;
	atomic_bool no_punch, no_zero; /* found out by trying */
	/* Where data were found last.  What is out of date here does no harm:
	 * holes read as zeros. */
	_Atomic(uint64_t) data, hole;
};

/* Step past done bytes of an I/O vector; returns the first entry left. */
static int raw_iov_advance(struct iovec *iov, int n, size_t done)
{
	int i = 0;

	while (i < n && done >= iov[i].iov_len)
		done -= iov[i++].iov_len;
	if (i < n) {
		iov[i].iov_base = (uint8_t *)iov[i].iov_base + done;
		iov[i].iov_len -= done;
	}
	return i;
}

/* What a first short transfer left over; v is a copy that may be changed. */
static int raw_rest(
	struct raw *r, struct iovec *v, int n, uint64_t off, bool write)
{
	while (n) {
		int m = n < RAW_IOV_MAX ? n : RAW_IOV_MAX;
		ssize_t got = write ? pwritev(r->fd, v, m, off)
				    : preadv(r->fd, v, m, off);
		int skip;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0 && write)
			return -ENOSPC;
		if (got == 0) { /* past the end of the file */
			iov_zero(v, n);
			return 0;
		}
		skip = raw_iov_advance(v, n, got);
		v += skip;
		n -= skip;
		off += got;
	}
	return 0;
}

static int raw_transfer(
	struct raw *r, const struct iovec *iov, int n, uint64_t off, bool write)
{
	g_autofree struct iovec *copy = NULL;
	size_t total = iov_bytes(iov, n);
	ssize_t got = 0;
	int skip;

	if (n <= RAW_IOV_MAX)
		got = write ? pwritev(r->fd, iov, n, off)
			    : preadv(r->fd, iov, n, off);
	if (got == (ssize_t)total)
		return 0;
	if (got < 0 && errno != EINTR)
		return -errno;
	got = MAX(got, 0);
	copy = g_memdup2(iov, n * sizeof(*iov));
	skip = raw_iov_advance(copy, n, got);
	return raw_rest(r, copy + skip, n - skip, off + got, write);
}

/* What the host's page cache has. */
static int raw_preadv_now(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	struct raw *r = (struct raw *)b;
	ssize_t got = n > RAW_IOV_MAX
			      ? -1
			      : preadv2(r->fd, iov, n, (off_t)off, RWF_NOWAIT);

	return got >= 0 && (size_t)got == iov_bytes(iov, n) ? 0 : -EAGAIN;
}

static int raw_preadv(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	return raw_transfer((struct raw *)b, iov, n, off, false);
}

static int raw_pwritev(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	return raw_transfer((struct raw *)b, iov, n, off, true);
}

static int raw_flush(struct blk *b)
{
	struct raw *r = (struct raw *)b;

	return !r->no_sync && fdatasync(r->fd) ? -errno : 0;
}

static int raw_fallocate(struct raw *r, int mode, uint64_t off, uint64_t len)
{
	atomic_store(&r->hole, 0);
	while (fallocate(r->fd, mode, off, len))
		if (errno != EINTR)
			return errno == ENOSYS ? -EOPNOTSUPP : -errno;
	return 0;
}

/* Free the blocks; they read as zeros afterwards. */
static int raw_punch(struct raw *r, uint64_t off, uint64_t len)
{
	int rc;

	if (atomic_load_explicit(&r->no_punch, memory_order_relaxed))
		return -EOPNOTSUPP;
	rc = raw_fallocate(
		r, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len);
	if (rc == -EOPNOTSUPP)
		atomic_store(&r->no_punch, true);
	return rc;
}

static int raw_discard(struct blk *b, uint64_t off, uint64_t len)
{
	struct raw *r = (struct raw *)b;
	uint64_t range[2] = {off, len};
	int rc;

	if (r->device) {
		rc = ioctl(r->fd, BLKDISCARD, range) ? -errno : 0;
		if (rc == -ENOTTY)
			rc = -EOPNOTSUPP;
	} else {
		rc = raw_punch(r, off, len);
	}
	return rc == -EOPNOTSUPP ? 0 : rc;
}

static int raw_write_zeroes(
	struct blk *b, uint64_t off, uint64_t len, bool may_unmap)
{
	struct raw *r = (struct raw *)b;
	int rc = -EOPNOTSUPP;

	if (may_unmap)
		rc = raw_punch(r, off, len);
	if (rc == -EOPNOTSUPP && !atomic_load(&r->no_zero)) {
		rc = raw_fallocate(r,
			FALLOC_FL_ZERO_RANGE |
				(r->device ? FALLOC_FL_KEEP_SIZE : 0),
			off, len);
		if (rc == -EOPNOTSUPP)
			atomic_store(&r->no_zero, true);
	}
	return rc;
}

static int raw_resize(struct blk *b, uint64_t size)
{
	struct raw *r = (struct raw *)b;

	if (r->device)
		return -ENOSPC;
	atomic_store(&r->hole, 0);
	if (ftruncate(r->fd, size))
		return -errno;
	b->size = size;
	return 0;
}

/* Holes of the file; a host that cannot tell has none.  To look for the next
 * hole may be to walk through all pages of a file, so it is remembered. */
static int raw_map(
	struct blk *b, uint64_t off, uint64_t len, struct blk_extent *e)
{
	struct raw *r = (struct raw *)b;
	uint64_t known = atomic_load(&r->hole);
	off_t data, hole;

	e->plain = true;
	e->at = off;
	e->file = b;
	if (r->device)
		return 0;
	if (off < known && off >= atomic_load(&r->data)) {
		e->len = MIN(len, known - off);
		return 0;
	}
	data = lseek(r->fd, (off_t)off, SEEK_DATA);
	if (data < 0 && errno != ENXIO)
		return 0;
	if (data != (off_t)off) {
		e->state = BLK_ZERO;
		e->plain = false;
		if (data > 0)
			e->len = MIN(len, (uint64_t)data - off);
		return 0;
	}
	hole = lseek(r->fd, data, SEEK_HOLE);
	/* Not into the sector where the file ends. */
	if (hole > data) {
		known = ((uint64_t)hole + 511) & ~511ull;
		e->len = MIN(len, known - off);
		atomic_store(&r->data, off);
		atomic_store(&r->hole, known);
	}
	return 0;
}

/* Whole pages around it.  Reading ahead of touching is what makes this as fast
 * as read() for what is not in memory yet; where touching fails, reading tells
 * why. */
static int raw_view(struct blk *b, uint64_t off, size_t len, struct blk_view *v)
{
	struct raw *r = (struct raw *)b;
	uint64_t start = off & ~(uint64_t)(RAW_PAGE - 1);
	struct stat st;

	if (fstat(r->fd, &st) ||
		(S_ISREG(st.st_mode) && off + len > (uint64_t)st.st_size))
		return -EOPNOTSUPP;
	v->bytes = (size_t)(off + len - start);
	v->map = mmap(
		NULL, v->bytes, PROT_READ, MAP_SHARED, r->fd, (off_t)start);
	if (v->map == MAP_FAILED)
		return -EOPNOTSUPP;
	v->data = (const uint8_t *)v->map + (off - start);
	madvise(v->map, v->bytes, MADV_WILLNEED);
	if (!madvise(v->map, v->bytes, MADV_POPULATE_READ))
		return 0;
	munmap(v->map, v->bytes);
	return -EOPNOTSUPP;
}

static struct blk_stamp raw_stamp(struct blk *b)
{
	struct raw *r = (struct raw *)b;
	struct blk_stamp s = {0};
	struct stat st;

	if (r->device || fstat(r->fd, &st))
		return s;
	s.file = st.st_ino;
	s.dev = st.st_dev;
	s.changed_ns =
		(int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	return s;
}

static void raw_close(struct blk *b)
{
	struct raw *r = (struct raw *)b;

	close(r->fd);
	g_free(r);
}

static int raw_lock(struct blk *b, short type)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET};

	if (!fcntl(((struct raw *)b)->fd, F_OFD_SETLK, &l))
		return 0;
	/* or a file system without locks */
	return errno == EAGAIN || errno == EACCES ? -EAGAIN : 0;
}

static void raw_share(struct blk *b)
{
	raw_lock(b, F_RDLCK);
}

static const struct blk_ops raw_ops = {
	.name = "raw",
	.preadv = raw_preadv,
	.preadv_now = raw_preadv_now,
	.pwritev = raw_pwritev,
	.flush = raw_flush,
	.discard = raw_discard,
	.write_zeroes = raw_write_zeroes,
	.close = raw_close,
	.resize = raw_resize,
	.map = raw_map,
	.view = raw_view,
	.stamp = raw_stamp,
	.share = raw_share,
};

void blk_raw_no_sync(struct blk *b)
{
	((struct raw *)b)->no_sync = true;
}

int blk_raw_lock(struct blk *b, short type)
{
	while (b && b->ops != &raw_ops)
		b = b->ops->below ? b->ops->below(b) : NULL;
	return b ? raw_lock(b, type) : -EINVAL;
}

uint64_t blk_raw_used(struct blk *b)
{
	struct stat st;

	return fstat(((struct raw *)b)->fd, &st) ? 0 : st.st_blocks * 512ull;
}

static bool raw_writable(int fd)
{
	int fl = fcntl(fd, F_GETFL);

	return fl >= 0 && (fl & O_ACCMODE) == O_RDWR;
}

static int raw_size(int fd, const struct stat *st, uint64_t *size)
{
	if (S_ISREG(st->st_mode)) {
		*size = st->st_size;
		return 0;
	}
	if (!S_ISBLK(st->st_mode))
		return -EINVAL;
	return ioctl(fd, BLKGETSIZE64, size) ? -errno : 0;
}

struct blk *blk_raw_open(int fd, bool readonly, GError **err)
{
	struct raw *r;
	struct stat st;
	uint64_t size = 0;
	int rc = fstat(fd, &st) ? -errno : raw_size(fd, &st, &size);

	if (rc == -EINVAL) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"this is neither a file nor a block device");
	} else if (rc) {
		g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(-rc),
			"cannot read the disk's size: %s", g_strerror(-rc));
	} else if (!readonly && !raw_writable(fd)) {
		rc = -EBADF;
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_ACCES,
			"the disk was opened for reading only");
	}
	if (rc) {
		close(fd);
		return NULL;
	}
	r = g_new0(struct raw, 1);
	r->blk.ops = &raw_ops;
	r->blk.size = (size + 511) & ~511ull;
	r->blk.readonly = readonly;
	r->blk.can_discard = true;
	r->fd = fd;
	r->device = S_ISBLK(st.st_mode);
	return &r->blk;
}

/*
 * iov.h - parts of I/O vectors.
 */
#ifndef BLOCK_IOV_H
#define BLOCK_IOV_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

uint64_t iov_bytes(const struct iovec *iov, int n);

/* The part [skip, skip + len) in out[], which has room for n entries; how
 * many. */
int iov_slice(const struct iovec *iov, int n, uint64_t skip, uint64_t len,
	struct iovec *out);

void iov_zero(const struct iovec *iov, int n);
/* Copy len bytes from buf to the vector, from byte skip of it on. */
void iov_fill(const struct iovec *iov, int n, uint64_t skip, const void *buf,
	size_t len);

#endif

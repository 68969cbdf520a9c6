/* iov.c - parts of I/O vectors. */
#include "block/iov.h"

#include <string.h>

uint64_t iov_bytes(const struct iovec *iov, int n)
{
	uint64_t sum = 0;

	for (int i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

int iov_slice(const struct iovec *iov, int n, uint64_t skip, uint64_t len,
	struct iovec *out)
{
	int m = 0;

	for (int i = 0; i < n && len; i++) {
		uint64_t l = iov[i].iov_len;

		if (skip >= l) {
			skip -= l;
			continue;
		}
		l = l - skip < len ? l - skip : len;
		out[m].iov_base = (uint8_t *)iov[i].iov_base + skip;
		out[m++].iov_len = l;
		len -= l;
		skip = 0;
	}
	return m;
}

void iov_zero(const struct iovec *iov, int n)
{
	for (int i = 0; i < n; i++)
		memset(iov[i].iov_base, 0, iov[i].iov_len);
}

void iov_fill(const struct iovec *iov, int n, uint64_t skip, const void *buf,
	size_t len)
{
	const uint8_t *from = buf;

	for (int i = 0; i < n && len; i++) {
		uint64_t l = iov[i].iov_len;

		if (skip >= l) {
			skip -= l;
			continue;
		}
		l = l - skip < len ? l - skip : len;
		memcpy((uint8_t *)iov[i].iov_base + skip, from, l);
		from += l;
		len -= l;
		skip = 0;
	}
}

/*
 * bytes.h - numbers as they lie in files.
 */
#ifndef BLOCK_BYTES_H
#define BLOCK_BYTES_H

#include <stdint.h>
#include <string.h>

#include <glib.h>

#define BYTES_GETTER(name, bits, order)                                        \
	static inline uint##bits##_t name(const void *p)                       \
	{                                                                      \
		uint##bits##_t v;                                              \
                                                                               \
		memcpy(&v, p, sizeof(v));                                      \
		return GUINT##bits##_FROM_##order(v);                          \
	}
#define BYTES_PUTTER(name, bits, order)                                        \
	static inline void name(void *p, uint##bits##_t v)                     \
	{                                                                      \
		v = GUINT##bits##_TO_##order(v);                               \
		memcpy(p, &v, sizeof(v));                                      \
	}

BYTES_GETTER(get_be16, 16, BE)
BYTES_GETTER(get_be32, 32, BE)
BYTES_GETTER(get_be64, 64, BE)
BYTES_GETTER(get_le16, 16, LE)
BYTES_GETTER(get_le32, 32, LE)
BYTES_GETTER(get_le64, 64, LE)
BYTES_PUTTER(put_be16, 16, BE)
BYTES_PUTTER(put_be32, 32, BE)
BYTES_PUTTER(put_be64, 64, BE)
BYTES_PUTTER(put_le16, 16, LE)
BYTES_PUTTER(put_le32, 32, LE)
BYTES_PUTTER(put_le64, 64, LE)

#endif

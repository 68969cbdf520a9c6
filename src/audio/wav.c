/*
 * wav.c - sounds into and out of WAV files (RIFF, "Multimedia Programming
 * Interface and Data Specifications 1.0", 1991).
 *
 * Writing has a thread of its own: disks may be slow, the bus lock is not to
 * wait for them.  The header is right again whenever nothing plays, so a file
 * can be used although its machine was killed.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#include "audio/audio.h"

#define HEADER	    44
#define FRAME	    4		/* bytes: two channels of 16 bits */
#define MAX_DATA    0xffffff00u /* sizes are 32 bits */
#define MAX_WAITING 4096u	/* blocks, some 40 s */
#define MAX_SOURCE  (256u << 20)

/* ---- writing ---- */

struct wav_block {
	uint64_t at;
	unsigned n; /* 0: only the header */
	int16_t frames[];
};

struct wav_sink {
	struct audio_sink sink;
	int fd;
	GThread *thread;
	GAsyncQueue *blocks; /* of struct wav_block */
	bool begun;	     /* the thread's, as all below */
	uint64_t first, bytes;
};

static void wav_put16(uint8_t *p, unsigned v)
{
	p[0] = v & 0xff;
	p[1] = v >> 8 & 0xff;
}

static void wav_put32(uint8_t *p, uint32_t v)
{
	wav_put16(p, v);
	wav_put16(p + 2, v >> 16);
}

static void wav_write_at(int fd, const void *buf, size_t len, uint64_t at)
{
	const uint8_t *p = buf;

	while (len) {
		ssize_t n = pwrite(fd, p, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* a full disk: the rest is silence */
		p += n;
		at += (size_t)n;
		len -= (size_t)n;
	}
}

static void wav_write_header(struct wav_sink *w)
{
	uint8_t h[HEADER] = "RIFF....WAVEfmt ";

	wav_put32(h + 4, (uint32_t)w->bytes + HEADER - 8);
	wav_put32(h + 16, 16);
	wav_put16(h + 20, 1); /* PCM */
	wav_put16(h + 22, 2);
	wav_put32(h + 24, AUDIO_HZ);
	wav_put32(h + 28, AUDIO_HZ * FRAME);
	wav_put16(h + 32, FRAME);
	wav_put16(h + 34, 16);
	memcpy(h + 36, "data", 4);
	wav_put32(h + 40, (uint32_t)w->bytes);
	wav_write_at(w->fd, h, sizeof(h), 0);
}

static void wav_write_block(struct wav_sink *w, const struct wav_block *b)
{
	uint64_t at, len = b->n * FRAME;

	if (!w->begun)
		w->first = b->at;
	w->begun = true;
	at = (b->at - w->first) * FRAME;
	if (at + len > MAX_DATA)
		return;
	wav_write_at(w->fd, b->frames, len, HEADER + at);
	w->bytes = MAX(w->bytes, at + len);
}

static gpointer wav_thread(gpointer opaque)
{
	struct wav_sink *w = opaque;

	for (;;) {
		struct wav_block *b = g_async_queue_pop(w->blocks);
		bool end = b->at == UINT64_MAX;

		if (b->n)
			wav_write_block(w, b);
		else
			wav_write_header(w);
		g_free(b);
		if (end)
			return NULL;
	}
}

static void wav_post(
	struct wav_sink *w, uint64_t at, const int16_t *frames, unsigned n)
{
	struct wav_block *b = g_malloc(sizeof(*b) + n * FRAME);

	b->at = at;
	b->n = n;
	for (unsigned i = 0; i < 2 * n; i++)
		b->frames[i] = GINT16_TO_LE(frames[i]);
	if (!w->thread)
		w->thread = g_thread_new("wav", wav_thread, w);
	g_async_queue_push(w->blocks, b);
}

static void wav_sink_write(
	struct audio_sink *s, uint64_t at, const int16_t *frames, unsigned n)
{
	struct wav_sink *w = (struct wav_sink *)s;

	if (g_async_queue_length(w->blocks) < (gint)MAX_WAITING)
		wav_post(w, at, frames, n);
}

static void wav_sink_idle(struct audio_sink *s)
{
	wav_post((struct wav_sink *)s, 0, NULL, 0);
}

static void wav_sink_free(struct audio_sink *s)
{
	struct wav_sink *w = (struct wav_sink *)s;

	if (w->thread) {
		wav_post(w, UINT64_MAX, NULL, 0);
		g_thread_join(w->thread);
	}
	g_async_queue_unref(w->blocks);
	close(w->fd);
	g_free(w);
}

struct audio_sink *audio_wav_sink(int fd)
{
	struct wav_sink *w;

	if (lseek(fd, 0, SEEK_END) < 0) {
		close(fd);
		return NULL; /* a pipe: the header comes last */
	}
	w = g_new0(struct wav_sink, 1);
	w->sink = (struct audio_sink){
		.write = wav_sink_write,
		.idle = wav_sink_idle,
		.free = wav_sink_free,
	};
	w->fd = fd;
	w->blocks = g_async_queue_new_full(g_free);
	wav_write_header(w);
	return &w->sink;
}

/* ---- reading ---- */

struct wav_source {
	struct audio_source source;
	uint8_t *file;
	const uint8_t *data;
	unsigned channels, bits, frame; /* bytes */
	uint32_t left;			/* frames */
};

static unsigned wav_get16(const uint8_t *p)
{
	return p[0] | p[1] << 8;
}

static uint32_t wav_get32(const uint8_t *p)
{
	return wav_get16(p) | (uint32_t)wav_get16(p + 2) << 16;
}

static int16_t wav_sample(const struct wav_source *w, unsigned channel)
{
	const uint8_t *p = w->data + channel * (w->bits / 8);

	if (w->bits == 8)
		return (int16_t)((p[0] - 128) * 256);
	return (int16_t)wav_get16(p + w->bits / 8 - 2);
}

static unsigned wav_source_read(
	struct audio_source *s, int16_t *frames, unsigned n)
{
	struct wav_source *w = (struct wav_source *)s;
	unsigned done;

	for (done = 0; done < n && w->left; done++) {
		frames[2 * done] = wav_sample(w, 0);
		frames[2 * done + 1] = wav_sample(w, w->channels > 1);
		w->data += w->frame;
		w->left--;
	}
	return done;
}

static void wav_source_free(struct audio_source *s)
{
	struct wav_source *w = (struct wav_source *)s;

	g_free(w->file);
	g_free(w);
}

static bool wav_take_format(struct wav_source *w, const uint8_t *p)
{
	unsigned kind = wav_get16(p);

	w->channels = wav_get16(p + 2);
	w->source.rate = wav_get32(p + 4);
	w->frame = wav_get16(p + 12);
	w->bits = wav_get16(p + 14);
	return (kind == 1 || kind == 0xfffe) && w->channels &&
	       w->bits % 8 == 0 && w->bits >= 8 && w->bits <= 32 &&
	       w->frame == w->channels * w->bits / 8 &&
	       w->source.rate >= AUDIO_MIN_RATE &&
	       w->source.rate <= AUDIO_MAX_RATE;
}

/* The format's chunk and then the samples'. */
static const char *wav_parse(struct wav_source *w, size_t size)
{
	const uint8_t *p = w->file, *end = p + size;
	bool known = false;

	if (size < 12 || memcmp(p, "RIFF", 4) || memcmp(p + 8, "WAVE", 4))
		return "it is no WAV file";
	for (p += 12; end - p >= 8;) {
		uint64_t left = (uint64_t)(end - p) - 8;
		uint64_t len = MIN(wav_get32(p + 4), left);

		if (!memcmp(p, "fmt ", 4) && len >= 16)
			known = wav_take_format(w, p + 8);
		if (!memcmp(p, "data", 4)) {
			if (!known)
				return "only PCM of 8 to 32 bits, 2 to 192 kHz "
				       "is read";
			w->data = p + 8;
			w->left = (uint32_t)(len / w->frame);
			return NULL;
		}
		p += 8 + MIN(len + (len & 1), left);
	}
	return "it has no sound in it";
}

static size_t wav_slurp(int fd, uint8_t *buf, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, buf + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

struct audio_source *audio_wav_source(int fd, const char **why)
{
	struct wav_source *w = g_new0(struct wav_source, 1);
	off_t size = lseek(fd, 0, SEEK_END);

	w->source.read = wav_source_read;
	w->source.free = wav_source_free;
	*why = size < 0		   ? "it is no ordinary file"
	       : size > MAX_SOURCE ? "it is larger than 256M"
				   : NULL;
	if (!*why && lseek(fd, 0, SEEK_SET) == 0) {
		w->file = g_malloc((size_t)size + 1);
		*why = wav_parse(w, wav_slurp(fd, w->file, (size_t)size));
	}
	close(fd);
	if (!*why)
		return &w->source;
	wav_source_free(&w->source);
	return NULL;
}

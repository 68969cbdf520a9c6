/* audio.c - the mixer, changes of rate, WAV files. */
#include <sys/mman.h>
#include <unistd.h>

#include "audio-ear.h"

#define LOUD 12000

/* A sine of a second in the format. */
static uint8_t *make_sine(const struct audio_format *f, double hz, unsigned n)
{
	uint8_t *all = g_malloc0(n * audio_frame_bytes(f)), *p = all;

	for (unsigned i = 0; i < n; i++) {
		double v = LOUD * sin(2 * G_PI * hz * i / f->rate);
		int16_t s = (int16_t)lrint(v);
		uint16_t u = (uint16_t)(s + 32768);
		int32_t w = (int32_t)lrint(v * 65536);

		for (unsigned c = 0; c < f->channels; c++) {
			switch (f->sample) {
			case AUDIO_U8: *p++ = (uint8_t)(u >> 8); break;
			case AUDIO_S8: *p++ = (uint8_t)(s >> 8); break;
			case AUDIO_U16: memcpy(p, &u, 2), p += 2; break;
			case AUDIO_S16: memcpy(p, &s, 2), p += 2; break;
			case AUDIO_S32: memcpy(p, &w, 4), p += 4; break;
			}
		}
	}
	return all;
}

/* In pieces, as cards do it. */
static void push_all(struct audio_stream *s, const struct audio_format *f,
	const uint8_t *p, unsigned n)
{
	for (unsigned piece; n; n -= piece) {
		piece = MIN(n, f->rate / 100 + 1);
		audio_stream_push(s, p, piece);
		p += piece * audio_frame_bytes(f);
	}
}

/* Each format and rate comes out as the same tone, of the same length. */
static void test_formats(void)
{
	static const struct {
		struct audio_format f;
		double hz, noise;
	} cases[] = {
		{{AUDIO_S16, 2, 48000, 0}, 440, 1},
		{{AUDIO_S16, 2, 44100, 0}, 1000, 3},
		{{AUDIO_S16, 1, 8000, 0}, 1000, 3},
		{{AUDIO_U8, 1, 11025, 0}, 440, 150},
		{{AUDIO_U8, 2, 22050, 0}, 1000, 150},
		{{AUDIO_S8, 1, 45454, 0}, 1000, 150},
		{{AUDIO_U16, 2, 32000, 0}, 5000, 3},
		{{AUDIO_S32, 2, 96000, 0}, 3000, 3},
		{{AUDIO_S32, 6, 192000, 0}, 1000, 3},
		{{AUDIO_S16, 1, 4000, 0}, 440, 3},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		const struct audio_format *f = &cases[i].f;
		struct ear *e = ear_new();
		struct audio *a = audio_new(&e->sink, NULL);
		struct audio_stream *s = audio_stream_new(a);
		g_autofree uint8_t *wave = make_sine(f, cases[i].hz, f->rate);
		double tone, noise;

		audio_stream_format(s, f);
		audio_stream_start(s, 1000000000);
		push_all(s, f, wave, f->rate);
		audio_stream_stop(s);
		g_assert_cmpuint(e->first, ==, AUDIO_HZ);
		g_assert_cmpuint(e->n, ==, AUDIO_HZ);
		g_assert_cmpuint(e->idle, ==, 1);
		tone = ear_tone(e, 1, cases[i].hz, 4800, 24000);
		noise = ear_noise(e, 1, cases[i].hz, 4800, 24000);
		g_test_message("%u Hz: %.1f, noise %.1f", f->rate, tone, noise);
		g_assert_cmpfloat(fabs(tone - LOUD), <, 60);
		g_assert_cmpfloat(noise, <, cases[i].noise);
		audio_stream_free(s);
		audio_free(a);
		g_free(e);
	}
}

/* What a lower rate cannot hold is not folded back into it. */
static void test_alias(void)
{
	const struct audio_format f = {AUDIO_S16, 2, 96000, 0};
	struct ear *e = ear_new();
	struct audio *a = audio_new(&e->sink, NULL);
	struct audio_stream *s = audio_stream_new(a);
	g_autofree uint8_t *wave = make_sine(&f, 30000, f.rate);

	audio_stream_format(s, &f);
	audio_stream_start(s, 0);
	push_all(s, &f, wave, f.rate);
	audio_stream_free(s);
	g_assert_cmpfloat(ear_tone(e, 0, 18000, 4800, 24000), <, 15);
	audio_free(a);
	g_free(e);
}

static void play_constant(struct audio_stream *s, int16_t v, unsigned n)
{
	int16_t frame[2] = {v, (int16_t)-v};

	while (n--)
		audio_stream_push(s, frame, 1);
}

/* Two streams add up, are clipped, and have their places in time. */
static void test_mix(void)
{
	struct ear *e = ear_new();
	struct audio *a = audio_new(&e->sink, NULL);
	struct audio_stream *s[2] = {audio_stream_new(a), audio_stream_new(a)};

	audio_stream_start(s[0], 0);
	play_constant(s[0], 1000, 4800);
	audio_stream_start(s[1], 100000000); /* 4800 frames later */
	audio_stream_volume(s[1], AUDIO_UNITY / 2, AUDIO_UNITY);
	play_constant(s[1], 2000, 4800);
	/* it cannot go before the other one has come there */
	g_assert_cmpuint(e->n, <=, 4800);
	play_constant(s[0], 1000, 4800);
	g_assert_cmpuint(e->n, ==, 9600);
	g_assert_cmpint(e->frame[4799][0], ==, 1000);
	g_assert_cmpint(e->frame[4800][0], ==, 2000);
	g_assert_cmpint(e->frame[4800][1], ==, -3000);
	play_constant(s[0], 30000, 10);
	play_constant(s[1], 30000, 10);
	audio_stream_stop(s[0]);
	audio_stream_stop(s[1]);
	g_assert_cmpint(e->frame[9605][0], ==, 32767);
	g_assert_cmpint(e->frame[9605][1], ==, -32768);
	/* One goes on after a moment, the other a second later. */
	audio_stream_start(s[0], 205000000);
	play_constant(s[0], 7, 10);
	audio_stream_stop(s[0]);
	g_assert_cmpuint(e->n, ==, 9620);
	audio_stream_start(s[1], 1000000000);
	play_constant(s[1], 8, 10);
	audio_stream_stop(s[1]);
	g_assert_cmpuint(e->n, ==, 48010);
	g_assert_cmpint(e->frame[47999][0], ==, 0);
	g_assert_cmpint(e->frame[48000][0], ==, 4);
	/* One that stands still does not hold up the other for ever. */
	audio_stream_start(s[1], 1100000000);
	audio_stream_start(s[0], 1100000000);
	play_constant(s[0], 7, 40000);
	g_assert_cmpuint(e->n, >, 48010 + 20000);
	audio_stream_start(s[0], 0);
	audio_stream_free(s[0]);
	audio_stream_free(s[1]);
	audio_free(a);
	g_free(e);
}

/* Nobody listens, or there is no sound at all. */
static void test_silent(void)
{
	struct audio *a = audio_new(NULL, NULL);
	struct audio_stream *s[2] = {NULL, audio_stream_new(a)};
	int16_t frames[4] = {1, 2, 3, 4};

	for (unsigned i = 0; i < 2; i++) {
		g_assert_false(audio_stream_heard(s[i]));
		audio_stream_volume(s[i], 1, 2);
		audio_stream_start(s[i], 5);
		g_assert_false(audio_stream_running(s[i]));
		audio_stream_push(s[i], frames, 2);
		audio_stream_stop(s[i]);
	}
	audio_stream_pull(s[1], frames, 2);
	g_assert_cmpint(frames[3], ==, 0);
	audio_stream_free(s[0]);
	audio_stream_free(s[1]);
	audio_free(a);
	audio_free(NULL);
}

static int some_file(void)
{
	return memfd_create("wav", MFD_CLOEXEC);
}

static uint32_t word_at(int fd, off_t at)
{
	uint32_t v = 0;

	g_assert_cmpint(pread(fd, &v, 4, at), ==, 4);
	return GUINT32_FROM_LE(v);
}

/* Written, with silence in between, and read back at another rate. */
static void test_wav(void)
{
	int fd = some_file(), keep = dup(fd);
	struct audio *a = audio_new(audio_wav_sink(fd), NULL);
	struct audio_stream *s = audio_stream_new(a);
	int16_t frame[2][2];
	const char *why;

	audio_stream_start(s, 500000000);
	play_constant(s, 100, 4800);
	audio_stream_stop(s);
	audio_stream_start(s, 1000000000);
	play_constant(s, 200, 4800);
	audio_stream_free(s);
	audio_free(a);
	g_assert_cmpuint(word_at(keep, 0), ==, 0x46464952);
	g_assert_cmpuint(word_at(keep, 4), ==, 36 + 28800 * 4);
	g_assert_cmpuint(word_at(keep, 24), ==, 48000);
	g_assert_cmpuint(word_at(keep, 40), ==, 28800 * 4);
	g_assert_cmpuint(lseek(keep, 0, SEEK_END), ==, 44 + 28800 * 4);
	g_assert_cmphex(word_at(keep, 44 + 4799 * 4), ==, 0xff9c0064);
	g_assert_cmphex(word_at(keep, 44 + 4800 * 4), ==, 0);
	g_assert_cmphex(word_at(keep, 44 + 24000 * 4), ==, 0xff3800c8);

	a = audio_new(NULL, audio_wav_source(keep, &why));
	s = audio_stream_new(a);
	audio_stream_format(s, &(struct audio_format){AUDIO_S16, 2, 24000, 0});
	for (unsigned i = 0; i < 100; i++)
		audio_stream_pull(s, frame, 2);
	g_assert_cmpint(frame[1][0], ==, 100);
	g_assert_cmpint(frame[1][1], ==, -100);
	for (unsigned i = 0; i < 10000; i++)
		audio_stream_pull(s, frame, 2);
	g_assert_cmpint(frame[1][0], ==, 0); /* after its end */
	audio_stream_free(s);
	audio_free(a);
}

static void test_wav_bad(void)
{
	static const struct {
		const char *text;
		unsigned len;
		const char *why;
	} bad[] = {
		{"", 0, "no WAV"},
		{"RIFF", 4, "no WAV"},
		{"RIFFxxxxWAVE", 12, "no sound"},
		{"RIFFxxxxWAVEdata\xff\xff\xff\xff", 20, "only PCM"},
		{"RIFFxxxxWAVEfmt \xff\xff\xff\xff\1\0\2\0", 24, "no sound"},
		{"RIFFxxxxWAVEfmt \x10\0\0\0\1\0\0\0\x80\xbb\0\0\0\0\0\0\0\0"
		 "\x10\0data\4\0\0\0abcd",
			48, "only PCM"},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		int fd = some_file();
		const char *why = NULL;

		g_assert_cmpint(
			write(fd, bad[i].text, bad[i].len), ==, bad[i].len);
		g_assert_null(audio_wav_source(fd, &why));
		g_assert_nonnull(strstr(why, bad[i].why));
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/audio/formats", test_formats);
	g_test_add_func("/audio/alias", test_alias);
	g_test_add_func("/audio/mix", test_mix);
	g_test_add_func("/audio/silent", test_silent);
	g_test_add_func("/audio/wav", test_wav);
	g_test_add_func("/audio/wav-bad", test_wav_bad);
	return g_test_run();
}

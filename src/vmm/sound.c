/*
 * sound.c - the machine's sound cards, and who hears them.
 */
#include <string.h>

#include "audio/audio.h"
#include "audio/pulse.h"
#include "conf/error.h"
#include "dev/sound/sb16.h"
#include "dev/sound/speaker.h"
#include "vmm/priv.h"

bool sound_prepare(struct machine *m, GError **err)
{
	g_autofree char *why = NULL;

	if (m->conf->audio != CONF_AUDIO_PULSE &&
		m->conf->audio_source != CONF_AUDIO_PULSE)
		return true;
	m->pulse = pulse_load(&why);
	if (!m->pulse)
		return fw_error(err, why, "install libpulse0, or vmeste whole",
			"there is no way to a sound server here");
	m->sound_server = m->pulse->open(m->conf->name, &why);
	return m->sound_server ||
	       fw_error(err, why,
		       "start PulseAudio or PipeWire, set PULSE_SERVER, or "
		       "use --audio wav:FILE",
		       "there is no sound server");
}

static bool open_sink(struct machine *m, struct audio_sink **sink, GError **err)
{
	*sink = NULL;
	if (m->conf->audio == CONF_AUDIO_PULSE)
		*sink = m->pulse->sink(m->sound_server);
	if (m->conf->audio != CONF_AUDIO_WAV)
		return true;
	*sink = audio_wav_sink(media_take_fd(&m->conf->audio_file));
	return *sink ||
	       fw_error(err, "its beginning is written last",
		       "name an ordinary file", "cannot write sound to %s",
		       m->conf->audio_file.path);
}

static bool open_source(
	struct machine *m, struct audio_source **source, GError **err)
{
	const char *why = NULL;

	*source = NULL;
	if (m->conf->audio_source == CONF_AUDIO_PULSE)
		*source = m->pulse->source(m->sound_server);
	if (m->conf->audio_source != CONF_AUDIO_WAV)
		return true;
	*source = audio_wav_source(
		media_take_fd(&m->conf->audio_source_file), &why);
	return *source || fw_error(err, why, "choose another file",
				  "cannot use the sound %s",
				  m->conf->audio_source_file.path);
}

bool sound_init(struct machine *m, GError **err)
{
	struct audio_sink *sink;
	struct audio_source *source;

	if (m->conf->audio == CONF_AUDIO_NONE &&
		m->conf->audio_source == CONF_AUDIO_NONE)
		return true;
	if (!open_source(m, &source, err))
		return false;
	if (!open_sink(m, &sink, err)) {
		if (source)
			source->free(source);
		return false;
	}
	m->audio = audio_new(sink, source);
	if (m->sound_server)
		m->pulse->start(m->sound_server);
	return true;
}

bool board_add_sound(struct machine *m, const struct dev_host *h, GError **err)
{
	for (guint i = 0; i < m->conf->sound->len; i++) {
		const struct conf_sound *s =
			&g_array_index(m->conf->sound, struct conf_sound, i);
		g_autofree char *id = g_strdup_printf("sound%u", i);
		const char *name = conf_sound_words.words[s->model];
		struct dev_host card = *h;

		card.dma = m->board.dma;
		card.index = m->conf->board == CONF_BOARD_Q35;
		card.isa_port = (uint16_t)s->port;
		card.isa_irq = (uint8_t)s->irq;
		card.isa_dma = (uint8_t)s->dma;
		card.isa_dma16 = (uint8_t)s->dma16;
		if (s->model == CONF_SOUND_SB16)
			card.gsi = board_isa_gsi(m);
		if (s->model == CONF_SOUND_SB16
				? !board_add_class(
					  m, &sb16_class, id, &card, err)
				: !board_add(m, name, id, &card, err))
			return false;
	}
	return true;
}

bool board_add_speaker(struct machine *m, const struct dev_host *h,
	struct dev *pit, GError **err)
{
	struct dev *d;

	if (!pit)
		return false;
	d = board_add_class(m, &speaker_class, "speaker", h, err);
	if (!d)
		return false;
	bus_lock(m->bus);
	speaker_attach(d, pit);
	bus_unlock(m->bus);
	return true;
}

void sound_fini(struct machine *m)
{
	g_clear_pointer(&m->audio, audio_free);
	if (m->sound_server)
		m->pulse->free(m->sound_server);
	m->sound_server = NULL;
}

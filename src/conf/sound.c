/*
 * sound.c - the arguments of --sound and --audio.
 */
#include <string.h>

#include "conf/error.h"
#include "conf/machine.h"

static const char *const sound_words[] = {"ac97", "hda", "sb16", NULL};
static const char *const audio_words[] = {"none", "wav", "pulse", NULL};

const struct conf_word_list conf_sound_words = {"sound card", sound_words};
const struct conf_word_list conf_audio_words = {"sound", audio_words};

/* What the jumpers and the mixer of a Sound Blaster 16 can choose. */
static const struct setting {
	const char *key, *what;
	unsigned base, dflt;
	unsigned can[5]; /* ends with a value that came before */
	size_t at;
} settings[] = {
	{"port", "port", 16, 0x220, {0x220, 0x240, 0x260, 0x280, 0x220},
		offsetof(struct conf_sound, port)},
	{"irq", "interrupt", 10, 5, {2, 5, 7, 10, 2},
		offsetof(struct conf_sound, irq)},
	{"dma", "DMA channel", 10, 1, {0, 1, 3, 0},
		offsetof(struct conf_sound, dma)},
	{"dma16", "16-bit DMA channel", 10, 5, {5, 6, 7, 5},
		offsetof(struct conf_sound, dma16)},
};

static unsigned *setting_of(struct conf_sound *s, const struct setting *t)
{
	return (unsigned *)(void *)((char *)s + t->at);
}

static bool setting_can(const struct setting *t, unsigned val)
{
	unsigned i = 0;

	do {
		if (t->can[i] == val)
			return true;
	} while (t->can[++i] != t->can[0]);
	return false;
}

bool conf_sound_possible(const struct conf_sound *s)
{
	struct conf_sound copy = *s;
	bool can = true;

	for (unsigned i = 0;
		s->model == CONF_SOUND_SB16 && i < G_N_ELEMENTS(settings); i++)
		can &= setting_can(
			&settings[i], *setting_of(&copy, &settings[i]));
	return can;
}

static bool bad_setting(const struct setting *t, const char *text, GError **err)
{
	g_autoptr(GString) can = g_string_new("write ");
	unsigned i = 0;

	do {
		g_string_append_printf(can, "%s%s=", i ? ", " : "", t->key);
		g_string_append_printf(
			can, t->base == 16 ? "%x" : "%u", t->can[i]);
	} while (t->can[++i] != t->can[0]);
	conf_error_set(err, CONF_ERROR_USAGE,
		"a Sound Blaster 16 cannot be set to it", can->str,
		"bad %s '%s'", t->what, text);
	return false;
}

static bool parse_settings(
	struct conf_sound *s, const struct conf_options *o, GError **err)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(settings); i++) {
		const struct setting *t = &settings[i];
		const char *v = conf_options_get(o, t->key);
		guint64 n = t->dflt;

		if (v && s->model != CONF_SOUND_SB16) {
			conf_error_set(err, CONF_ERROR_USAGE,
				"it is a PCI card: the guest places it",
				"leave it out", "%s= for the card %s", t->key,
				sound_words[s->model]);
			return false;
		}
		if (v && (!g_ascii_string_to_unsigned(
				  v, t->base, 0, 0xffff, &n, NULL) ||
				 !setting_can(t, (unsigned)n)))
			return bad_setting(t, v, err);
		*setting_of(s, t) = (unsigned)n;
	}
	return true;
}

bool conf_sound_parse(struct conf_machine *m, const char *text, GError **err)
{
	static const char *const keys[] = {"port", "irq", "dma", "dma16", NULL};
	g_autoptr(conf_options_auto) o = conf_options_parse(text, keys, err);
	struct conf_sound s = {0};
	int model;

	if (!o)
		return false;
	if (!g_strcmp0(o->value, "none"))
		return true;
	if (!conf_parse_word(
		    o->value ? o->value : "", &conf_sound_words, &model, err))
		return false;
	s.model = (enum conf_sound_model)model;
	if (!parse_settings(&s, o, err))
		return false;
	g_array_append_val(m->sound, s);
	return true;
}

/* "none", "wav:FILE", "pulse" */
static bool parse_end(const char *text, enum conf_audio_kind *kind,
	struct conf_file *file, GError **err)
{
	const char *colon = strchr(text, ':');
	g_autofree char *word = colon ? g_strndup(text, (size_t)(colon - text))
				      : g_strdup(text);
	int n;

	if (!conf_parse_word(word, &conf_audio_words, &n, err))
		return false;
	if ((n == CONF_AUDIO_WAV) != (colon && colon[1])) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"write none, wav:FILE or pulse", "bad sound '%s'",
			text);
		return false;
	}
	*kind = (enum conf_audio_kind)n;
	g_free(file->path);
	file->path = colon ? g_strdup(colon + 1) : NULL;
	return true;
}

bool conf_audio_parse(struct conf_machine *m, const char *text, GError **err)
{
	static const char *const keys[] = {"source", NULL};
	g_autoptr(conf_options_auto) o = conf_options_parse(text, keys, err);
	const char *source = o ? conf_options_get(o, "source") : NULL;

	return o &&
	       parse_end(o->value ? o->value : "none", &m->audio,
		       &m->audio_file, err) &&
	       parse_end(source ? source : "none", &m->audio_source,
		       &m->audio_source_file, err);
}

/* A printer port and the card may not share a line. */
static bool check_lines(const struct conf_machine *m, GError **err)
{
	static const unsigned lpt[CONF_MAX_LPT] = {7, 5, 7};

	for (guint i = 0; i < m->sound->len; i++) {
		const struct conf_sound *s =
			&g_array_index(m->sound, struct conf_sound, i);

		for (guint k = 0; k < m->parallel->len; k++) {
			if (s->model != CONF_SOUND_SB16 || s->irq != lpt[k])
				continue;
			conf_error_set(err, CONF_ERROR_USAGE,
				"a line of the ISA bus has one device",
				"write for example --sound sb16,irq=10",
				"interrupt %u is of sb16 and of parallel port "
				"%u",
				s->irq, k + 1);
			return false;
		}
	}
	return true;
}

bool conf_sound_check(const struct conf_machine *m, GError **err)
{
	unsigned sb = 0;

	for (guint i = 0; i < m->sound->len; i++)
		sb += g_array_index(m->sound, struct conf_sound, i).model ==
		      CONF_SOUND_SB16;
	if (m->sound->len <= CONF_MAX_SOUND && sb <= 1)
		return check_lines(m, err);
	conf_error_set(err, CONF_ERROR_USAGE,
		"a machine has at most 4 sound cards, of which one is a "
		"Sound Blaster 16",
		"leave some out", "too many sound cards");
	return false;
}

/*
 * model.c - the model of the processors as text, so that a machine that was
 * saved goes on with the very same: the guest has seen their CPUID.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conf/error.h"
#include "dev/state.h"
#include "vmm/priv.h"

static const char *const feature_text[X86_NFEATURES] = {
#define X86_FEATURE(name, text, leaf, sub, reg, bit) [X86_FEAT_##name] = text,
#include "x86/features.def"
#undef X86_FEATURE
};

/* By name: their numbers change with versions. */
static void features_get(const void *obj, GByteArray *out)
{
	const struct x86_cpu_model *m = obj;

	for (unsigned f = 1; f < X86_NFEATURES; f++) {
		const char *text = feature_text[f];

		if (m->feature[f] && text)
			g_byte_array_append(out, (const guint8 *)text,
				(guint)strlen(text) + 1);
	}
}

static unsigned feature_find(const char *text)
{
	for (unsigned f = 1; f < X86_NFEATURES; f++)
		if (feature_text[f] && !strcmp(feature_text[f], text))
			return f;
	return X86_FEAT_NONE;
}

static int features_put(
	void *obj, const struct state_bytes *from, char *err, unsigned errsize)
{
	struct x86_cpu_model *m = obj;
	const char *p = (const char *)from->p, *end = p + from->n;

	if (from->n && end[-1])
		return -EINVAL;
	for (; p < end; p += strlen(p) + 1) {
		unsigned f = feature_find(p);

		if (!f) {
			snprintf(err, errsize, "unknown feature");
			return -EINVAL;
		}
		if (from->apply)
			m->feature[f] = true;
	}
	return 0;
}

static const struct state_blob features = {
	.get = features_get, .put = features_put, .max = 16384};

static const struct state_field model_fields[] = {
	STATE_BYTES(struct x86_cpu_model, name),
	STATE_BLOB("features", &features),
	STATE(struct x86_cpu_model, xcr0_mask),
	STATE(struct x86_cpu_model, phys_bits, .min = 32, .max = 52),
	STATE(struct x86_cpu_model, virt_bits, .min = 32, .max = 57),
	STATE(struct x86_cpu_model, tsc_hz, .min = 1000000, .max = 1ull << 40),
	STATE(struct x86_cpu_model, apic_hz, .min = 1, .max = 1ull << 40),
	STATE(struct x86_cpu_model, topology.sockets, .min = 1,
		.max = CONF_MAX_CPUS),
	STATE(struct x86_cpu_model, topology.cores, .min = 1,
		.max = CONF_MAX_CPUS),
	STATE(struct x86_cpu_model, topology.threads, .min = 1,
		.max = CONF_MAX_CPUS),
	STATE(struct x86_cpu_model, nleaves, .max = X86_CPU_MAX_LEAVES),
	STATE_BYTES(struct x86_cpu_model, leaves),
};

static const struct state_list model_state =
	STATE_LIST("model", struct x86_cpu_model, 1, model_fields);

char *model_to_text(const struct x86_cpu_model *model)
{
	g_autofree struct x86_cpu_model *m = g_memdup2(model, sizeof(*model));
	g_autoptr(GByteArray) a = g_byte_array_new();

	state_save(&model_state, m, NULL, a);
	return g_base64_encode(a->data, a->len);
}

static bool model_bad(const char *why, GError **err)
{
	conf_error_set(err, CONF_ERROR_UNSUPPORTED, why,
		"go on where it was saved, or with another --engine",
		"the saved machine's processors cannot be had here");
	return false;
}

/* Bytes that were read as they are. */
static void model_tidy(struct x86_cpu_model *m)
{
	m->name[sizeof(m->name) - 1] = '\0';
	for (unsigned i = 0; i < X86_CPU_MAX_LEAVES; i++) {
		uint8_t has_sub;

		memcpy(&has_sub, &m->leaves[i].has_sub, 1);
		m->leaves[i].has_sub = has_sub != 0;
	}
}

bool model_from_text(struct x86_cpu_model *m, const char *text, const bool *can,
	GError **err)
{
	char why[256] = "";
	gsize n;
	g_autofree guchar *p = g_base64_decode(text, &n);
	struct state_in in = {
		.p = p, .n = n, .err = why, .errsize = sizeof(why)};

	memset(m, 0, sizeof(*m));
	if (state_load(&model_state, m, &in) < 0)
		return model_bad(why, err);
	model_tidy(m);
	for (unsigned f = 1; f < X86_NFEATURES; f++) {
		if (!m->feature[f] || can[f])
			continue;
		g_snprintf(why, sizeof(why), "the feature %s is missing",
			feature_text[f]);
		return model_bad(why, err);
	}
	return true;
}

/*
 * nics.c - the argument of --nic, and where ISA cards stand.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/error.h"
#include "conf/options.h"
#include "conf/priv.h"

/* tcp:8080:80, udp:127.0.0.1:5353:53 */
static bool parse_forward(
	const char *text, struct conf_forward *f, GError **err)
{
	g_auto(GStrv) p = g_strsplit(text, ":", 5);
	unsigned n = g_strv_length(p), host, guest;
	struct in_addr a = {0};

	if (n < 3 || n > 4 || (strcmp(p[0], "tcp") && strcmp(p[0], "udp")) ||
		(n == 4 && *p[1] && !inet_aton(p[1], &a)))
		return bad(err, "forward", text,
			"write tcp:HOSTPORT:GUESTPORT, for example "
			"forward=tcp:8080:80");
	if (!conf_parse_uint(p[n - 2], "host port", 1, 65535, &host, err) ||
		!conf_parse_uint(p[n - 1], "guest port", 1, 65535, &guest, err))
		return false;
	f->udp = p[0][0] == 'u';
	f->host_addr = a.s_addr;
	f->host_port = (uint16_t)host;
	f->guest_port = (uint16_t)guest;
	return true;
}

static bool parse_mac(const char *text, struct conf_nic *n, GError **err)
{
	char end;
	int got = sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c",
		&n->mac[0], &n->mac[1], &n->mac[2], &n->mac[3], &n->mac[4],
		&n->mac[5], &end);

	if (got != 6 || (n->mac[0] & 1))
		return bad(err, "MAC address", text,
			"write for example mac=52:54:00:12:34:56");
	n->has_mac = true;
	return true;
}

/* io=0x300,irq=5: an ISA card's jumpers. */
static bool isa_options(
	struct conf_nic *n, const struct conf_options *o, GError **err)
{
	const char *io = conf_options_get(o, "io");
	const char *irq = conf_options_get(o, "irq");
	char *end = NULL;

	if ((io || irq) && n->model != CONF_NIC_NE2000_ISA) {
		conf_error_set(err, CONF_ERROR_USAGE,
			"a PCI card gets its ports and interrupt from the "
			"firmware",
			"leave it out, or use model=ne2000-isa",
			"%s= for a network card %s", io ? "io" : "irq",
			conf_nic_words.words[n->model]);
		return false;
	}
	if (io) {
		unsigned long port = strtoul(io, &end, 0);

		if (!*io || *end || port < 0x200 || port > 0x3e0 || port & 31)
			return bad(err, "port", io,
				"write a multiple of 0x20 from 0x200 to 0x3e0, "
				"for example io=0x300");
		n->isa_port = (unsigned)port;
	}
	return !irq ||
	       conf_parse_uint(irq, "interrupt", 2, 15, &n->isa_irq, err);
}

static bool queues_option(
	struct conf_nic *n, const struct conf_options *o, GError **err)
{
	const char *queues = conf_options_get(o, "queues");

	if (queues && n->model != CONF_NIC_VIRTIO) {
		conf_error_set(err, CONF_ERROR_USAGE,
			"other cards have the queues that their makers gave "
			"them",
			"leave it out, or use model=virtio",
			"queues= for a network card %s",
			conf_nic_words.words[n->model]);
		return false;
	}
	return !queues || conf_parse_uint(queues, "queues", 1,
				  CONF_MAX_NIC_QUEUES, &n->queues, err);
}

static bool nic_options(
	struct conf_nic *n, const struct conf_options *o, GError **err)
{
	const char *mac = conf_options_get(o, "mac");
	const char *model = conf_options_get(o, "model");
	const char *rom = conf_options_get(o, "rom");
	int word = (int)n->model;

	if (model && !conf_parse_word(model, &conf_nic_words, &word, err))
		return false;
	n->model = (enum conf_nic_model)word;
	if (!isa_options(n, o, err) || !queues_option(n, o, err))
		return false;
	if (mac && !parse_mac(mac, n, err))
		return false;
	n->bootfile = g_strdup(conf_options_get(o, "bootfile"));
	/* BOOTP has 128 bytes for it (RFC 951). */
	if (n->bootfile && strlen(n->bootfile) > 127)
		return bad(err, "bootfile", n->bootfile,
			"name one in at most 127 bytes");
	n->tftp.path = g_strdup(conf_options_get(o, "tftp"));
	if (rom) {
		n->rom_stated = true;
		n->rom.path = strcmp(rom, "none") ? g_strdup(rom) : NULL;
	}
	if (!conf_bootindex_parse(o, &n->bootindex, err))
		return false;
	for (guint i = 0; i < o->keys->len; i++) {
		struct conf_forward f;

		if (strcmp(g_ptr_array_index(o->keys, i), "forward"))
			continue;
		if (!parse_forward(g_ptr_array_index(o->values, i), &f, err))
			return false;
		g_array_append_val(n->forwards, f);
	}
	return true;
}

bool conf_nic_parse(struct conf_machine *m, const char *text, GError **err)
{
	static const char *const keys[] = {"model", "mac", "forward", "io",
		"irq", "queues", "bootfile", "tftp", "rom", "bootindex", NULL};
	g_autoptr(conf_options_auto) o = conf_options_parse(text, keys, err);
	struct conf_nic *n;

	if (!o)
		return false;
	if (!g_strcmp0(o->value, "none"))
		return true;
	if (o->value && strcmp(o->value, "user"))
		return bad(err, "network", o->value,
			"write --nic user or --nic none");
	n = conf_nic_new();
	n->model = m->default_nic;
	g_ptr_array_add(m->nics, n);
	return nic_options(n, o, err);
}

/* ---- places of ISA cards ---- */

/* What the board itself has; the second and further serial lines only if there
 * are that many. */
static const char *irq_owner(const struct conf_machine *m, unsigned irq)
{
	static const char *const owners[16] = {[2] = "the interrupt controller",
		[3] = "the second serial line",
		[4] = "the first serial line",
		[6] = "the floppy controller",
		[8] = "the clock",
		[9] = "ACPI",
		[10] = "PCI cards",
		[11] = "PCI cards",
		[12] = "the mouse",
		[13] = "the coprocessor",
		[14] = "the disk controller",
		[15] = "the disk controller"};

	for (guint i = 0; i < m->sound->len; i++) {
		const struct conf_sound *s =
			&g_array_index(m->sound, struct conf_sound, i);

		if (s->model == CONF_SOUND_SB16 && s->irq == irq)
			return "a sound card";
	}
	if ((irq == 3 && m->serial->len < 2) || (irq == 9 && !m->acpi))
		return NULL;
	return owners[irq & 15];
}

static struct conf_nic *isa_nic(const struct conf_machine *m, guint i)
{
	struct conf_nic *n = g_ptr_array_index(m->nics, i);

	return n->model == CONF_NIC_NE2000_ISA ? n : NULL;
}

/* Another card that has the port or the interrupt. */
static bool taken(const struct conf_machine *m, const struct conf_nic *but,
	unsigned port, unsigned irq)
{
	for (guint i = 0; i < m->nics->len; i++) {
		const struct conf_nic *n = isa_nic(m, i);

		if (n && n != but &&
			((port && n->isa_port == port) ||
				(irq && n->isa_irq == irq)))
			return true;
	}
	return false;
}

static bool place_nic(struct conf_machine *m, struct conf_nic *n, GError **err)
{
	/* Where Linux and others look, but for 0x360, which a printer has. */
	static const unsigned ports[] = {0x300, 0x320, 0x340, 0x280};
	static const unsigned irqs[] = {3, 5, 7};

	for (unsigned i = 0; !n->isa_port && i < G_N_ELEMENTS(ports); i++)
		if (!taken(m, n, ports[i], 0))
			n->isa_port = ports[i];
	for (unsigned i = 0; !n->isa_irq && i < G_N_ELEMENTS(irqs); i++)
		if (!taken(m, n, 0, irqs[i]) && !irq_owner(m, irqs[i]))
			n->isa_irq = irqs[i];
	if (n->isa_port && n->isa_irq)
		return true;
	conf_error_set(err, CONF_ERROR_USAGE,
		"few ports and interrupts are free on an ISA bus",
		"use a PCI card: model=ne2000", "too many ISA network cards");
	return false;
}

static bool check_place(
	const struct conf_machine *m, const struct conf_nic *n, GError **err)
{
	const char *owner = irq_owner(m, n->isa_irq);

	if (owner) {
		conf_error_set(err, CONF_ERROR_USAGE,
			"interrupts of an ISA bus cannot be shared",
			"use irq=5, 7 or 3", "interrupt %u is used by %s",
			n->isa_irq, owner);
		return false;
	}
	if (!taken(m, n, n->isa_port, n->isa_irq))
		return true;
	if (taken(m, n, n->isa_port, 0))
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"give each card an io= of its own",
			"two ISA network cards at port 0x%x", n->isa_port);
	else
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"give each card an irq= of its own",
			"two ISA network cards with interrupt %u", n->isa_irq);
	return false;
}

bool conf_nics_place(struct conf_machine *m, GError **err)
{
	for (guint i = 0; i < m->nics->len; i++) {
		struct conf_nic *n = g_ptr_array_index(m->nics, i);

		if (!n->queues && n->model == CONF_NIC_VIRTIO)
			n->queues = MIN(conf_machine_ncpus(m), 4);
	}
	for (guint i = 0; i < m->nics->len; i++)
		if (isa_nic(m, i) && !place_nic(m, isa_nic(m, i), err))
			return false;
	for (guint i = 0; i < m->nics->len; i++)
		if (isa_nic(m, i) && !check_place(m, isa_nic(m, i), err))
			return false;
	return true;
}

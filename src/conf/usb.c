/*
 * usb.c - which USB controllers a machine has: those that --usb names, or one
 * if something else hangs on USB.
 */
#include <string.h>

#include "conf/error.h"
#include "conf/options.h"

bool conf_usb_parse(struct conf_machine *m, const char *text, GError **err)
{
	g_auto(GStrv) words = g_strsplit(text, ",", CONF_MAX_USB + 1);

	if (!strcmp(text, "off")) {
		m->usb_off = true;
		m->nusb = 0;
		return true;
	}
	for (unsigned i = 0; words[i]; i++) {
		int word;

		if (m->nusb == CONF_MAX_USB) {
			conf_error_set(err, CONF_ERROR_USAGE,
				"a machine has at most four", NULL,
				"too many USB controllers");
			return false;
		}
		if (!conf_parse_word(words[i], &conf_usb_words, &word, err))
			return false;
		m->usb[m->nusb++] = (enum conf_usb)word;
	}
	m->usb_off = false;
	return true;
}

bool conf_smartcard_parse(
	struct conf_machine *m, const char *text, GError **err)
{
	conf_file_clear(&m->smartcard.file);
	if (!conf_serial_parse(&m->smartcard, text, err))
		return false;
	if (m->smartcard.kind == CONF_SERIAL_NONE ||
		m->smartcard.kind == CONF_SERIAL_UNIX)
		return true;
	conf_error_set(err, CONF_ERROR_USAGE,
		"the card is a program that connects there",
		"write --smartcard unix:PATH", "bad smart card '%s'", text);
	return false;
}

/* What hangs on USB, in words; NULL: nothing. */
static const char *usb_user(const struct conf_machine *m)
{
	for (guint i = 0; i < m->drives->len; i++) {
		const struct conf_drive *d = g_ptr_array_index(m->drives, i);

		if (d->bus == CONF_BUS_USB)
			return "bus=usb";
	}
	if (m->smartcard.kind != CONF_SERIAL_NONE)
		return "--smartcard";
	if (m->keyboard == CONF_KEYBOARD_USB)
		return "--keyboard usb";
	if (m->pointer == CONF_POINTER_USB_TABLET)
		return "--pointer usb-tablet";
	return m->pointer == CONF_POINTER_USB_MOUSE ? "--pointer usb-mouse"
						    : NULL;
}

bool conf_usb_place(struct conf_machine *m, GError **err)
{
	const char *user = usb_user(m);

	if (user && m->usb_off) {
		conf_error_set(err, CONF_ERROR_USAGE,
			"there is no controller for it", "leave out --usb off",
			"%s with --usb off", user);
		return false;
	}
	if (user && !m->nusb)
		m->usb[m->nusb++] = CONF_USB_XHCI;
	for (guint i = 0; i < m->drives->len; i++) {
		const struct conf_drive *d = g_ptr_array_index(m->drives, i);

		if (d->bus != CONF_BUS_USB || d->slot < (int)m->nusb)
			continue;
		conf_error_set(err, CONF_ERROR_USAGE,
			"controllers are called usb0, usb1, ... in the order "
			"of --usb",
			"name more of them with --usb, or write bus=usb",
			"there is no USB controller %d", d->slot);
		return false;
	}
	return true;
}

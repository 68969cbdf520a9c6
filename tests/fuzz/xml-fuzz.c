/*
 * xml-fuzz.c - machine.xml and snapshots.xml from a stranger.
 *
 *	xml-fuzz ROUNDS|SECONDSs [SEED]
 *
 * Good documents with pieces that were bent, moved and repeated, and words
 * that mean something put in.  Each is read or refused.  What is read is
 * listed, its settings go through the parsers of flags, one is changed; it is
 * written, and read again to the same settings.  Nothing may crash, hang or
 * grow.  Best under the sanitizers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#include "conf/options.h"
#include "node/settings.h"
#include "node/snapshots.h"
#include "bounds.h"

#define SECONDS 20 /* a round takes less than a millisecond */

static const char *const seeds[] = {
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<machine name='a' "
	"type='vm' version='1'><!-- why --><os name='debian12'/>"
	"<cpu count='2' model='max' engine='bt,cache=64M' limit='50%'/>"
	"<memory size='1G'/><firmware type='bios' file='b.rom' acpi='off' "
	"boot='disk net'/><kernel file='k,k' initrd='i' append='a,b=c'/>"
	"<x:mine xmlns:x='u' keep='1'><and>that</and></x:mine></machine>",
	"<machine><disk file='a,b.img' bus='ide0:0' readonly='on'/>"
	"<disk file='/x.qcow2' format='qcow2' bus='virtio' snapshot='on'/>"
	"<cdrom file='none'/><floppy file='none'/><serial to='file:log'/>"
	"<parallel to='none'/><video model='std' vram='16M'/>"
	"<display to='vnc=127.0.0.1:5'/></machine>",
	"<machine><nic net='user' model='virtio' mac='52:54:00:1:2:3'>"
	"<forward host='1' guest='2'/><forward proto='udp' "
	"host='127.0.0.1:3' guest='4'/></nic><usb controllers='uhci,xhci'/>"
	"<sound card='ac97'/><audio to='wav' file='x.wav'/>"
	"<watchdog model='i6300esb' action='reset'/><clock rtc='utc'/>"
	"</machine>",
	"<machine><a>&lt;&#x41;<![CDATA[ x ]]></a><?pi x?></machine>",
};

static const char *const trees[] = {
	"<?xml version=\"1.0\"?>\n<snapshots version='1' current='2' next='4'>"
	"<saved file='states/2/state' time='2026-01-01T00:00:00Z' "
	"resuming='yes'><disk file='disks/a.qcow2' mtime='1' bytes='2'/>"
	"</saved><snapshot id='1' parent='0' name='a' "
	"time='2026-01-01T00:00:00Z' ram='no'><note>n &lt;</note>"
	"<disk drive='disk0' file='disks/disk0.img'/></snapshot>"
	"<snapshot id='2' parent='1' name='b' time='2026-01-01T00:00:00Z' "
	"ram='yes' bytes='3' stood='4' took='5'/>"
	"<snapshot id='3' parent='1' name='c' time='2026-01-01T00:00:00Z' "
	"ram='yes'/><image file='disks/disk0.img' format='raw'/>"
	"<image file='disks/a.qcow2' format='qcow2' on='disks/disk0.img' "
	"is='new'/><change kind='back' id='2' ram='yes'>"
	"<top drive='disk0' file='disks/a.qcow2'/></change></snapshots>",
	"<snapshots current='0'><image file='a' format='raw'/><image file='b' "
	"format='qcow2' on='a'/><change kind='merge' from='b' to='a'/>"
	"</snapshots>",
};

static const char *const words[] = {"<", ">", "/>", "'", "\"", "&", "&amp;",
	"&#0;", "&#xffff;", "<!--", "-->", "<![CDATA[", "]]>", "<?xml ", "?>",
	"<!DOCTYPE machine [<!ENTITY a 'b'>]>", "<machine>", "</machine>",
	"<disk ", "<nic ", "<forward/>", "file=", "xmlns='u'", "xmlns:x=''",
	",", ",,", "=", "-1", "99999999999999999999", "1e9", "0x", "1T", "%",
	"none", "on", "off", "auto", "\xc3", "\xed\xa0\x80", "\xff\xfe"};

static void bend_once(GString *s, GRand *r)
{
	gsize at = (gsize)g_rand_int_range(r, 0, (gint32)s->len + 1);
	gsize n = (gsize)g_rand_int_range(r, 1, 40);
	g_autofree char *piece = NULL;

	n = MIN(n, s->len - at);
	switch (g_rand_int_range(r, 0, 5)) {
	case 0: g_string_erase(s, (gssize)at, (gssize)n); break;
	case 1:
		if (at < s->len)
			s->str[at] = (char)g_rand_int_range(r, 1, 256);
		break;
	case 2: /* the same again, anywhere */
		piece = g_strndup(s->str + at, n);
		for (int k = g_rand_int_range(r, 1, 8); k; k--)
			g_string_insert(s,
				g_rand_int_range(r, 0, (gint32)s->len + 1),
				piece);
		break;
	default:
		g_string_insert(s, (gssize)at,
			words[g_rand_int_range(r, 0, G_N_ELEMENTS(words))]);
	}
}

/* Flags' own parsers; what they say does not matter. */
static void parse_flag(struct conf_machine *m, const struct node_setting *s)
{
	static const struct {
		const char *flag;
		bool (*parse)(
			struct conf_machine *m, const char *text, GError **err);
	} parsers[] = {{"engine", conf_engine_parse}, {"cpus", conf_cpus_parse},
		{"nic", conf_nic_parse}, {"watchdog", conf_watchdog_parse},
		{"genid", conf_genid_parse}, {"balloon", conf_balloon_parse},
		{"boot", conf_boot_parse}, {"smartcard", conf_smartcard_parse},
		{"usb", conf_usb_parse}, {"vsock", conf_vsock_parse},
		{"vga", conf_vga_parse}};

	for (unsigned i = 0; i < G_N_ELEMENTS(parsers); i++)
		if (!strcmp(parsers[i].flag, s->flag) && s->value)
			parsers[i].parse(m, s->value, NULL);
	if (!strcmp(s->flag, "disk") && s->value)
		conf_drive_parse(m, CONF_MEDIA_DISK, s->value, NULL);
}

static char *told(const struct node_settings *s, struct conf_machine *m)
{
	g_autoptr(GPtrArray) list = node_settings_list(s, "/m");
	GString *all = g_string_new(NULL);

	for (guint i = 0; i < list->len; i++) {
		const struct node_setting *one = g_ptr_array_index(list, i);

		g_string_append_printf(all, "%s %s\n", one->flag,
			one->value ? one->value : "");
		if (m)
			parse_flag(m, one);
	}
	return g_string_free(all, FALSE);
}

/* False: it was refused. */
static bool one_round(const GString *text, const char *path)
{
	struct conf_machine *m = conf_machine_new();
	g_autoptr(node_settings_auto) s = NULL, again = NULL;
	g_autofree char *before = NULL, *after = NULL;
	FILE *f = fopen(path, "w");

	if (!f || fwrite(text->str, 1, text->len, f) != text->len || fclose(f))
		g_error("cannot write %s", path);
	s = node_settings_read(path, NULL);
	if (s) {
		g_free(told(s, m));
		node_settings_add(s, "mem", "2G", NULL, NULL);
		node_settings_add(s, "disk", "z.img", "/m", NULL);
		node_settings_drop(s, "cpus");
		before = told(s, NULL);
		if (node_settings_write(s, path, NULL)) {
			again = node_settings_read(path, NULL);
			after = again ? told(again, NULL) : NULL;
		}
		if (g_strcmp0(before, after)) {
			printf("not ok: what was written reads as\n%s\nnot\n"
			       "%s\nof %s\n",
				after ? after : "nothing", before, text->str);
			exit(1);
		}
	}
	conf_machine_free(m);
	return s != NULL;
}

/* The tree of states: written, it reads as the same. */
static bool tree_round(const GString *text)
{
	g_autoptr(node_tree_auto) t =
		node_tree_parse(text->str, text->len, "x", NULL);
	g_autoptr(node_tree_auto) again = NULL;
	g_autofree char *before = NULL, *after = NULL;

	if (!t)
		return false;
	before = node_tree_text(t);
	again = node_tree_parse(before, strlen(before), "x", NULL);
	after = again ? node_tree_text(again) : NULL;
	if (g_strcmp0(before, after)) {
		printf("not ok: the tree reads as\n%s\nnot\n%s\nof %s\n",
			after ? after : "nothing", before, text->str);
		exit(1);
	}
	return true;
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 1000;
	bool timed = argc > 1 && g_str_has_suffix(argv[1], "s");
	guint32 seed = argc > 2 ? (guint32)atoi(argv[2]) : g_random_int();
	gint64 end = g_get_monotonic_time() + rounds * (gint64)G_USEC_PER_SEC;
	g_autofree char *dir = g_dir_make_tmp("vmeste-xml-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(dir, "machine.xml", NULL);
	GRand *r = g_rand_new_with_seed(seed);
	unsigned n = 0, taken = 0;

	bound_init();
	printf("# seed %u\n", seed);
	fflush(stdout);
	while (timed ? g_get_monotonic_time() < end : n < rounds) {
		bool tree = g_rand_boolean(r);
		g_autoptr(GString) s =
			g_string_new(tree ? trees[g_rand_int_range(
						    r, 0, G_N_ELEMENTS(trees))]
					  : seeds[g_rand_int_range(r, 0,
						    G_N_ELEMENTS(seeds))]);

		for (int k = g_rand_int_range(r, 0, 6); k; k--)
			bend_once(s, r);
		alarm(SECONDS);
		taken += tree ? tree_round(s) : one_round(s, path);
		n++;
	}
	printf("ok - machine.xml, snapshots.xml: %u rounds, %u times taken\n",
		n, taken);
	unlink(path);
	rmdir(dir);
	g_rand_free(r);
	return 0;
}

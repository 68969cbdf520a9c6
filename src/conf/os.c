/*
 * os.c - profiles of guest systems.
 *
 * A value with slashes is a choice, the best first: "e1000e/e1000" is the first
 * of them that a machine can have.
 */
#include "conf/os.h"

#include <string.h>

#include "conf/error.h"
#include "conf/options.h"

/* ---- families: systems of a time and kind ---- */

#define PC                                                                     \
	"board=pc,firmware=bios,disk=ide,cdrom=ide,vga=std,keyboard=ps2,"      \
	"pointer=ps2,genid=on,balloon=off"
/* Nothing that came after 1998. */
#define OLD                                                                    \
	PC ",acpi=off,ioapic=off,hpet=off,hypervisor=none,usb=off,cpus=1,"     \
	   "cpu=pentium3,nic=pcnet/e1000,sound=sb16"
#define DOS	 OLD ",cpu=pentium,nic=ne2000-isa/e1000,rtc=localtime,mem=16M,min=1M"
#define WIN9X	 OLD ",usb=uhci,rtc=localtime,mem=128M,min=24M"
#define WINNT	 OLD ",rtc=localtime,mem=64M,min=16M"
#define OS2	 OLD ",cpu=pentium,rtc=localtime,mem=64M,min=8M"
#define NETWARE	 OLD ",rtc=localtime,mem=512M,min=128M"
#define UNIX_OLD OLD ",rtc=utc,mem=64M,min=16M"
#define BEOS	 OLD ",rtc=localtime,mem=128M,min=32M"
#define WIN2K                                                                  \
	PC ",acpi=on,ioapic=on,hpet=off,hypervisor=none,nic=pcnet/e1000,"      \
	   "sound=ac97,usb=uhci,pointer=usb-tablet,rtc=localtime,mem=256M,"    \
	   "min=64M,genid=off"
#define VISTA                                                                  \
	"board=q35,firmware=bios,disk=sata,cdrom=sata,vga=std,keyboard=ps2,"   \
	"pointer=usb-tablet,acpi=on,ioapic=on,hpet=on,hypervisor=none,"        \
	"nic=e1000,sound=hda,usb=ehci,rtc=localtime,mem=1G,min=512M,"          \
	"genid=off,balloon=off"
#define WIN8                                                                   \
	VISTA ",firmware=uefi/bios,nic=e1000e/e1000,usb=xhci/ehci,mem=2G,"     \
	      "min=1G,genid=on"

#define LINUX_2_OR_4 ",rtc=utc,mem=128M,min=16M"
#define LINUX2_2     OLD LINUX_2_OR_4
#define LINUX2_4                                                               \
	OLD LINUX_2_OR_4 ",nic=pcnet/e1000,sound=ac97,usb=uhci,mem=256M,"      \
			 "min=32M"
#define MODERN                                                                 \
	PC ",acpi=on,ioapic=on,hpet=on,hypervisor=kvm,rtc=utc,usb=ehci,"       \
	   "pointer=usb-tablet"
#define LINUX2_6 MODERN ",nic=e1000,sound=ac97,mem=512M,min=64M"
#define LINUX_VIRTIO                                                           \
	MODERN ",disk=virtio,nic=virtio,sound=hda,mem=1G,min=256M,balloon=on"
#define LINUX_NEW                                                              \
	MODERN ",board=q35,disk=virtio,cdrom=sata,nic=virtio,vga=virtio,"      \
	       "pointer=tablet,usb=xhci/ehci,sound=hda,mem=1G,min=512M,"       \
	       "balloon=on"
#define BSD_OLD OLD ",rtc=utc,mem=128M,min=16M"
#define BSD                                                                    \
	MODERN ",hypervisor=none,nic=e1000,sound=ac97,pointer=ps2,usb=uhci,"   \
	       "mem=512M,min=64M"
#define BSD_NEW                                                                \
	MODERN ",disk=virtio,nic=virtio,sound=hda,pointer=ps2,mem=1G,"         \
	       "min=256M,balloon=on"
#define SOLARIS_OLD OLD ",rtc=utc,mem=256M,min=64M"
#define SOLARIS	    MODERN ",hypervisor=none,nic=e1000,sound=ac97,mem=1G,min=512M"
#define HAIKU                                                                  \
	MODERN ",disk=sata,cdrom=sata,board=q35,nic=e1000,sound=hda,mem=1G,"   \
	       "min=384M"
#define OTHER MODERN ",nic=e1000,sound=ac97,mem=512M,min=1M"

const struct conf_os conf_os_list[] = {
#define OS(id, name, family, more) {id, name, family, more},
#include "conf/os.def"
#undef OS
	{NULL},
};

const char *const conf_os_keys[] = {"board", "firmware", "cpu", "cpus", "mem",
	"min", "disk", "cdrom", "nic", "sound", "vga", "keyboard", "pointer",
	"usb", "acpi", "ioapic", "hpet", "genid", "balloon", "hypervisor",
	"rtc", NULL};

/* ---- looking things up ---- */

const struct conf_os *conf_os_find(const char *id)
{
	g_autofree char *s = g_strdup(id);

	for (;;) {
		char *dot = strrchr(s, '.');

		for (const struct conf_os *os = conf_os_list; os->id; os++)
			if (!strcmp(os->id, s))
				return os;
		if (!dot)
			return NULL;
		*dot = '\0';
	}
}

/* The value of the last key of that name in a list; NULL: none. */
static char *last_of(const char *list, const char *key)
{
	g_auto(GStrv) items = g_strsplit(list, ",", -1);
	const char *found = NULL;
	size_t n = strlen(key);

	for (unsigned i = 0; items[i]; i++)
		if (!strncmp(items[i], key, n) && items[i][n] == '=')
			found = items[i] + n + 1;
	return g_strdup(found);
}

/* ---- setting ---- */

static bool set_word(const struct conf_word_list *words, const char *v,
	unsigned *to, GError **err)
{
	int word;

	if (!conf_parse_word(v, words, &word, err))
		return false;
	*to = (unsigned)word;
	return true;
}

struct key {
	const char *name;
	const struct conf_word_list *words;
	size_t at; /* of the enum in struct conf_machine */
};

#define KEY(name, words, field)                                                \
	{                                                                      \
		name, &conf_##words##_words,                                   \
			offsetof(struct conf_machine, field)                   \
	}

static const struct key word_keys[] = {
	KEY("board", board, board),
	KEY("firmware", firmware, firmware),
	KEY("disk", bus, default_bus[CONF_MEDIA_DISK]),
	KEY("cdrom", bus, default_bus[CONF_MEDIA_CDROM]),
	KEY("nic", nic, default_nic),
	KEY("vga", vga, vga),
	KEY("keyboard", keyboard, keyboard),
	KEY("pointer", pointer, pointer),
	KEY("hypervisor", hypervisor, hypervisor),
	KEY("rtc", rtc, rtc),
};

_Static_assert(sizeof(enum conf_bus) == sizeof(unsigned), "enums are words");

static bool set_flag(struct conf_machine *m, const char *key, const char *v,
	bool *mine, GError **err)
{
	bool *flag = !strcmp(key, "acpi")      ? &m->acpi
		     : !strcmp(key, "ioapic")  ? &m->ioapic
		     : !strcmp(key, "hpet")    ? &m->hpet
		     : !strcmp(key, "genid")   ? &m->genid
		     : !strcmp(key, "balloon") ? &m->balloon
					       : NULL;

	*mine = flag != NULL;
	return !flag || conf_parse_bool(v, flag, err);
}

static bool set_one(
	struct conf_machine *m, const char *key, const char *v, GError **err)
{
	bool mine;

	for (unsigned i = 0; i < G_N_ELEMENTS(word_keys); i++)
		if (!strcmp(key, word_keys[i].name))
			return set_word(word_keys[i].words, v,
				(unsigned *)(void *)((char *)m +
						     word_keys[i].at),
				err);
	if (!set_flag(m, key, v, &mine, err))
		return false;
	if (mine)
		return true;
	if (!strcmp(key, "mem"))
		return conf_parse_size(v, &m->mem_bytes, err);
	if (!strcmp(key, "cpus"))
		return conf_cpus_parse(m, v, err);
	if (!strcmp(key, "cpu")) {
		g_free(m->cpu_model);
		m->cpu_model = g_strdup(v);
	}
	return true; /* usb and sound: conf_os_add; min says only */
}

/* Can a machine have it? */
static bool can_have(const char *key, const char *v)
{
	g_autoptr(conf_machine_auto) m = conf_machine_new();

	if (!set_one(m, key, v, NULL))
		return false;
	if (!strcmp(key, "nic") && !conf_nic_parse(m, "user", NULL))
		return false;
	if (!strcmp(key, "disk") &&
		!conf_drive_parse(m, CONF_MEDIA_DISK, "x", NULL))
		return false;
	if (!strcmp(key, "usb") && !conf_usb_parse(m, v, NULL))
		return false;
	return conf_machine_check(m, NULL);
}

char *conf_os_get(const struct conf_os *os, const char *key)
{
	g_autofree char *own = last_of(os->more, key);
	g_autofree char *v = own ? NULL : last_of(os->family, key);
	g_auto(GStrv) choice = NULL;
	unsigned i = 0;

	if (own)
		v = g_steal_pointer(&own);
	if (!v)
		return NULL;
	choice = g_strsplit(v, "/", -1);
	while (choice[i + 1] && !can_have(key, choice[i]))
		i++;
	return g_strdup(choice[i]);
}

bool conf_os_apply(
	const struct conf_os *os, struct conf_machine *m, GError **err)
{
	for (unsigned i = 0; conf_os_keys[i]; i++) {
		g_autofree char *v = conf_os_get(os, conf_os_keys[i]);

		if (v && !set_one(m, conf_os_keys[i], v, err))
			return false;
	}
	return true;
}

void conf_os_add(const struct conf_os *os, struct conf_machine *m, bool sound)
{
	g_autofree char *usb = conf_os_get(os, "usb");
	g_autofree char *card = conf_os_get(os, "sound");

	if (usb && strcmp(usb, "off") != 0 && !m->nusb && !m->usb_off)
		conf_usb_parse(m, usb, NULL);
	if (card && sound)
		conf_sound_parse(m, card, NULL);
}

/*
 * conf.c - the notations of the command line, checks, and JSON both ways.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "conf/error.h"
#include "conf/machine.h"
#include "conf/options.h"
#include "conf/os.h"

static void test_size(void)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {{"512M", 512ull << 20}, {"2G", 2ull << 30}, {"64k", 65536},
		{"1T", 1ull << 40}, {"1.5G", 3ull << 29}, {"4096", 4096},
		{"8MiB", 8 << 20}, {"8MB", 8 << 20}, {"100B", 100}, {"0", 0}};
	static const char *const bad[] = {"", "M", "-1", "12X", "1MM", "1e99G",
		"nan", "inf", " 1", "1 M", "0x10", "9999999999T", "1iB"};
	uint64_t n;

	for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
		g_assert_true(conf_parse_size(good[i].text, &n, NULL));
		g_assert_cmpuint(n, ==, good[i].bytes);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) err = NULL;

		g_assert_false(conf_parse_size(bad[i], &n, &err));
		g_assert_error(err, CONF_ERROR, CONF_ERROR_USAGE);
		g_assert_nonnull(strstr(err->message, "\n  fix:  "));
	}
}

static void test_sound(void)
{
	static const struct {
		const char *sound, *audio; /* one of them */
		const char *why;	   /* NULL: fine */
	} cases[] = {
		{"ac97", NULL, NULL},
		{"sb16", NULL, NULL},
		{"sb16,port=240,irq=7,dma=3,dma16=6", NULL, NULL},
		{"none", NULL, NULL},
		{"gus", NULL, "gus"},
		{"sb16,irq=9", NULL, "write irq=2, irq=5, irq=7, irq=10"},
		{"sb16,port=221", NULL, "port=220, port=240"},
		{"sb16,dma=x", NULL, "bad DMA channel"},
		{"ac97,irq=5", NULL, "the guest places it"},
		{NULL, "none", NULL},
		{NULL, "wav:a", NULL},
		{NULL, "pulse,source=pulse", NULL},
		{NULL, "pulse,source=wav:b", NULL},
		{NULL, "wav", "write none, wav:FILE or pulse"},
		{NULL, "pulse:x", "bad sound"},
		{NULL, "none,source=x", "x"},
	};
	g_autoptr(conf_machine_auto) m = conf_machine_new();
	g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
	g_autoptr(conf_machine_auto) copy = NULL;
	const struct conf_sound *s;
	JsonNode *node;

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) err = NULL;
		bool ok = cases[i].sound
				  ? conf_sound_parse(m, cases[i].sound, &err)
				  : conf_audio_parse(m, cases[i].audio, &err);

		g_assert_cmpint(ok, ==, !cases[i].why);
		if (cases[i].why)
			g_assert_nonnull(strstr(err->message, cases[i].why));
	}
	g_assert_cmpuint(m->sound->len, ==, 3);
	/* a printer on the card's line */
	g_array_remove_index(m->sound, 2);
	g_assert_true(conf_sound_check(m, NULL));
	g_ptr_array_add(m->parallel, conf_serial_new());
	g_assert_true(conf_sound_check(m, NULL));
	g_ptr_array_add(m->parallel, conf_serial_new());
	g_assert_false(conf_sound_check(m, NULL));
	g_assert_true(
		conf_sound_parse(m, "sb16,port=240,irq=7,dma=3,dma16=6", NULL));
	g_assert_false(conf_sound_check(m, NULL)); /* two of one kind */
	g_assert_cmpint(m->audio_source, ==, CONF_AUDIO_WAV);
	node = conf_machine_to_json(m, fds);
	copy = conf_machine_from_json(node, NULL, 0, NULL);
	json_node_unref(node);
	g_assert_nonnull(copy);
	g_assert_cmpstr(copy->audio_source_file.path, ==, "b");
	s = &g_array_index(copy->sound, struct conf_sound, 2);
	g_assert_cmpint(s->model, ==, CONF_SOUND_SB16);
	g_assert_cmphex(s->port, ==, 0x240);
	g_assert_cmpuint(s->irq + s->dma + s->dma16, ==, 16);
	s = &g_array_index(copy->sound, struct conf_sound, 1);
	g_assert_cmphex(s->port, ==, 0x220);
}

static void test_os(void)
{
	static const struct {
		const char *id, *key, *value;
	} cases[] = {
		{"win98", "rtc", "localtime"}, {"win98", "disk", "ide"},
		{"debian12.7", "disk", "virtio"}, /* as debian12 */
		{"msdos6.22", "usb", "off"},
		{"linux2.4", "mem", "256M"}, /* other than its family's */
	};
	g_autoptr(conf_machine_auto) m = conf_machine_new();
	struct conf_nic *n;

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *v =
			conf_os_get(conf_os_find(cases[i].id), cases[i].key);

		g_assert_cmpstr(v, ==, cases[i].value);
	}
	g_assert_null(conf_os_find("win"));
	g_assert_null(conf_os_find(""));
	g_assert_true(conf_os_apply(conf_os_find("win7"), m, NULL));
	g_assert_cmpint(m->board, ==, CONF_BOARD_Q35);
	g_assert_cmpint(m->hypervisor, ==, CONF_HYPERVISOR_NONE);
	g_assert_true(conf_nic_parse(m, "user", NULL));
	n = g_ptr_array_index(m->nics, 0);
	g_assert_cmpint(n->model, ==, CONF_NIC_E1000);
	g_assert_cmpuint(m->nusb, ==, 0);
	conf_os_add(conf_os_find("win7"), m, true);
	g_assert_cmpuint(m->nusb + m->sound->len, ==, 2);
	/* each row can be applied */
	for (const struct conf_os *os = conf_os_list; os->id; os++) {
		g_autoptr(conf_machine_auto) each = conf_machine_new();

		g_assert_true(conf_os_apply(os, each, NULL));
		conf_os_add(os, each, true);
		g_assert_true(conf_machine_check(each, NULL));
		g_assert_true(each->nusb || each->usb_off ||
			      strstr(os->family, "usb=off"));
	}
}

static void test_time(void)
{
	uint64_t ms;

	g_assert_true(conf_parse_time("60s", &ms, NULL));
	g_assert_cmpuint(ms, ==, 60000);
	g_assert_true(conf_parse_time("10m", &ms, NULL));
	g_assert_cmpuint(ms, ==, 600000);
	g_assert_true(conf_parse_time("1.5", &ms, NULL));
	g_assert_cmpuint(ms, ==, 1500);
	g_assert_true(conf_parse_time("20ms", &ms, NULL));
	g_assert_cmpuint(ms, ==, 20);
	g_assert_false(conf_parse_time("5 minutes", &ms, NULL));
	g_assert_false(conf_parse_time("", &ms, NULL));
}

static void test_drive(void)
{
	g_autoptr(conf_machine_auto) m = conf_machine_new();
	g_autoptr(GError) err = NULL;
	struct conf_drive *d;

	g_assert_true(conf_drive_parse(m, CONF_MEDIA_DISK,
		"a,,b=c.img,snapshot,format=qcow2,serial=S1", NULL));
	d = g_ptr_array_index(m->drives, 0);
	g_assert_cmpstr(d->file.path, ==, "a,b=c.img");
	g_assert_true(d->snapshot && !d->readonly);
	g_assert_cmpint(d->format, ==, CONF_FORMAT_QCOW2);
	g_assert_cmpint(d->bus, ==, CONF_BUS_VIRTIO);
	g_assert_cmpstr(d->serial, ==, "S1");
	g_assert_true(conf_machine_check(m, NULL));
	g_assert_false(
		conf_drive_parse(m, CONF_MEDIA_DISK, "a,color=red", &err));
	g_assert_error(err, CONF_ERROR, CONF_ERROR_USAGE);
	g_assert_true(conf_drive_parse(m, CONF_MEDIA_DISK, "x,bus=nvme", NULL));
	g_assert_true(conf_machine_check(m, NULL));
	g_assert_true(
		conf_drive_parse(m, CONF_MEDIA_CDROM, "x,bus=nvme", NULL));
	g_clear_error(&err);
	g_assert_false(conf_machine_check(m, &err));
	g_assert_error(err, CONF_ERROR, CONF_ERROR_USAGE);
	g_clear_error(&err);
	g_assert_false(conf_drive_parse(m, CONF_MEDIA_DISK, "a,hba=lsi", &err));
	g_assert_error(err, CONF_ERROR, CONF_ERROR_USAGE);
}

/* What stands where: drives in the order given, and the error. */
static void test_places(void)
{
	static const struct {
		const char *drives[6]; /* the first letter is the medium */
		int slot[6];
		const char *error;
	} cases[] = {
		{{"ca", "da,bus=ide", "cb", "db,bus=ide"}, {2, 0, 3, 1}, NULL},
		{{"ca", "cb", "cc", "cd"}, {2, 3, 1, 0}, NULL},
		{{"da,bus=ide", "cb,bus=ide0:0"}, {1, 0}, NULL},
		{{"da", "fb", "fc,bus=floppy0"}, {-1, 1, 0}, NULL},
		{{"da,bus=sata5", "cb,bus=sata"}, {5, 0}, NULL},
		{{"da,bus=ide1:0", "cb,bus=ide1:0"}, {0}, "at ide1:0"},
		{{"ca", "cb", "cc", "cd", "ce"}, {0}, "too many drives on"},
		{{"fa", "fb", "fc"}, {0}, "room for 2 drives"},
		{{"da,bus=sata1", "db,bus=sata1"}, {0}, "at sata1"},
		{{"da,bus=scsi15", "cb,bus=scsi", "dc,bus=nvme"}, {15, 0, -1},
			NULL},
		{{"da,bus=scsi", "cb,bus=scsi,hba=lsi"}, {0, 0}, NULL},
		{{"da,bus=scsi7,hba=lsi"}, {0}, "be at scsi7"},
	};
	static const char *const bad[] = {"a,bus=ide0", "a,bus=ide2:0",
		"a,bus=ide0:2", "a,bus=sata6", "a,bus=floppy2", "a,bus=virtio0",
		"a,bus=0", "a,bus=scsi16", "a,bus=nvme0", "a,bus=scsi-1"};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(conf_machine_auto) m = conf_machine_new();
		g_autoptr(GError) err = NULL;

		for (unsigned k = 0; k < 6 && cases[i].drives[k]; k++) {
			const char *text = cases[i].drives[k];

			g_assert_true(conf_drive_parse(m,
				text[0] == 'd'	 ? CONF_MEDIA_DISK
				: text[0] == 'c' ? CONF_MEDIA_CDROM
						 : CONF_MEDIA_FLOPPY,
				text + 1, NULL));
		}
		g_assert_cmpint(
			conf_drives_place(m, &err), ==, !cases[i].error);
		if (cases[i].error)
			g_assert_nonnull(strstr(err->message, cases[i].error));
		for (guint k = 0; !cases[i].error && k < m->drives->len; k++) {
			struct conf_drive *d = g_ptr_array_index(m->drives, k);

			g_assert_cmpint(d->slot, ==, cases[i].slot[k]);
		}
	}
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(conf_machine_auto) m = conf_machine_new();

		g_assert_false(
			conf_drive_parse(m, CONF_MEDIA_DISK, bad[i], NULL));
	}
}

static void test_nic(void)
{
	g_autoptr(conf_machine_auto) m = conf_machine_new();
	struct conf_nic *n;
	struct conf_forward *f;

	g_assert_true(conf_nic_parse(m,
		"user,mac=52:54:00:00:00:07,forward=tcp:8080:80,"
		"forward=udp:0.0.0.0:53:5353",
		NULL));
	n = g_ptr_array_index(m->nics, 0);
	g_assert_true(n->has_mac && n->mac[5] == 7);
	g_assert_cmpuint(n->forwards->len, ==, 2);
	f = &g_array_index(n->forwards, struct conf_forward, 1);
	g_assert_true(f->udp && f->host_port == 53 && f->guest_port == 5353);
	g_assert_false(conf_nic_parse(m, "bridge0", NULL));
	g_assert_false(conf_nic_parse(m, "user,forward=tcp:80", NULL));
	g_assert_false(conf_nic_parse(m, "user,forward=tcp:0:80", NULL));
	g_assert_false(conf_nic_parse(m, "user,mac=01:00:00:00:00:00", NULL));
	g_assert_false(conf_nic_parse(m, "user,mac=52:54:00", NULL));
}

static void test_cpus(void)
{
	g_autoptr(conf_machine_auto) m = conf_machine_new();

	g_assert_true(conf_cpus_parse(m, "8", NULL));
	g_assert_cmpuint(conf_machine_ncpus(m), ==, 8);
	g_assert_true(conf_cpus_parse(m, "sockets=2,cores=4,threads=2", NULL));
	g_assert_cmpuint(m->sockets, ==, 2);
	g_assert_cmpuint(conf_machine_ncpus(m), ==, 16);
	g_assert_false(conf_cpus_parse(m, "0", NULL));
	g_assert_false(conf_cpus_parse(m, "65", NULL));
	g_assert_false(conf_cpus_parse(m, "sockets=64,cores=64", NULL));
	g_assert_false(conf_cpus_parse(m, "dies=2", NULL));
}

static void test_check(void)
{
	static const uint64_t bad[] = {0, 4096, (1 << 20) + 1, 2ull << 40};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(conf_machine_auto) m = conf_machine_new();
		g_autoptr(GError) err = NULL;

		m->mem_bytes = bad[i];
		g_assert_false(conf_machine_check(m, &err));
		g_assert_error(err, CONF_ERROR, CONF_ERROR_USAGE);
	}
}

static void test_mem(void)
{
	static const struct {
		const char *text;
		uint64_t mem, max; /* MiB */
		bool parses, makes;
	} t[] = {
		{"256M", 256, 0, true, true},
		{"256M,max=4G", 256, 4096, true, true},
		{"max=4G", 512, 4096, true, true},
		{"1G,max=1G", 1024, 1024, true, true},
		{"1G,max=512M", 1024, 512, true, false},
		{"3M,max=4M", 3, 4, true, false},
		{"4M,max=5M", 4, 5, true, false},
		{"1G,max=2T", 1024, 2 << 20, true, false},
		{"1G,min=512M", 0, 0, false, false},
		{"1G,max=much", 0, 0, false, false},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(t); i++) {
		g_autoptr(conf_machine_auto) m = conf_machine_new();
		g_autoptr(GError) err = NULL;

		m->mem_max_bytes = 99;
		g_assert_cmpint(
			conf_mem_parse(m, t[i].text, NULL), ==, t[i].parses);
		if (!t[i].parses)
			continue;
		g_assert_cmpuint(m->mem_bytes >> 20, ==, t[i].mem);
		g_assert_cmpuint(m->mem_max_bytes >> 20, ==, t[i].max);
		g_assert_cmpint(conf_machine_check(m, &err), ==, t[i].makes);
		if (!t[i].makes)
			g_assert_error(err, CONF_ERROR, CONF_ERROR_USAGE);
	}
}

static struct conf_machine *sample(void)
{
	struct conf_machine *m = conf_machine_new();

	g_assert_true(conf_engine_parse(m, "kvm,irqchip=user", NULL));
	g_assert_true(conf_mem_parse(m, "256M,max=2G", NULL));
	g_assert_true(conf_cpus_parse(m, "sockets=2,cores=2", NULL));
	g_assert_true(conf_drive_parse(
		m, CONF_MEDIA_DISK, "/dev/null,readonly,format=qcow2", NULL));
	g_assert_true(conf_nic_parse(m,
		"user,forward=tcp:1:2,"
		"mac=52:54:00:12:34:56",
		NULL));
	g_assert_true(conf_boot_parse(m, "net,disk", NULL));
	g_assert_true(conf_vsock_parse(m, "unix:/v,cid=4294967294", NULL));
	m->acpi = false;
	((struct conf_drive *)g_ptr_array_index(m->drives, 0))->name =
		g_strdup("disk7");
	g_ptr_array_add(m->plugs, conf_plug_new("hub0", "0.2"));
	g_ptr_array_add(m->plugs, conf_plug_new("disk7", "0.2.1"));
	m->append = g_strdup("console=ttyS0 \"quoted\" \\");
	m->kernel.path = g_strdup("/boot/vmlinuz");
	m->kernel.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return m;
}

static void test_json(void)
{
	g_autoptr(conf_machine_auto) a = sample(), b = NULL;
	g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
	g_autoptr(JsonNode) node = conf_machine_to_json(a, fds);
	g_autoptr(JsonNode) again = NULL;
	g_autofree char *x = NULL, *y = NULL;
	int fd;

	g_assert_cmpuint(fds->len, ==, 1);
	fd = dup(g_array_index(fds, int, 0));
	b = conf_machine_from_json(node, &fd, 1, NULL);
	g_assert_nonnull(b);
	g_assert_cmpint(fd, ==, -1);
	g_assert_cmpint(b->kernel.fd, >=, 0);
	again = conf_machine_to_json(b, NULL);
	json_node_unref(g_steal_pointer(&node));
	node = conf_machine_to_json(a, NULL);
	x = json_to_string(node, TRUE);
	y = json_to_string(again, TRUE);
	g_assert_cmpstr(x, ==, y);
}

static void test_genid(void)
{
	static const char id[] = "01234567-89AB-4DEF-8123-456789ABCDEF";
	g_autoptr(conf_machine_auto) m = conf_machine_new(), b = NULL;
	g_autoptr(JsonNode) node = NULL;
	g_autoptr(GError) err = NULL;

	g_assert_true(m->genid);
	g_assert_true(conf_genid_parse(m, "off", NULL));
	g_assert_false(m->genid);
	g_assert_true(conf_genid_parse(m, id, NULL));
	g_assert_true(m->genid);
	node = conf_machine_to_json(m, NULL);
	b = conf_machine_from_json(node, NULL, 0, NULL);
	g_assert_cmpstr(
		b->genid_value, ==, "01234567-89ab-4def-8123-456789abcdef");
	g_assert_false(conf_genid_parse(m, "0123", &err));
	g_assert_error(err, CONF_ERROR, CONF_ERROR_USAGE);
	/* one that was saved before there was one has none */
	json_object_remove_member(json_node_get_object(node), "genid");
	conf_machine_free(b);
	b = conf_machine_from_json(node, NULL, 0, NULL);
	g_assert_false(b->genid);
	/* no rubbish from a state */
	json_object_set_string_member(
		json_node_get_object(node), "genid_value", "x");
	g_assert_null(conf_machine_from_json(node, NULL, 0, NULL));
}

static void test_balloon(void)
{
	static const struct {
		const char *text;
		bool ok, on, oom, reporting;
		uint64_t bytes;
	} rows[] = {
		{"on", true, true, true, true, 0},
		{"off", true, false, true, true, 0},
		{"512M", true, true, true, true, 512 << 20},
		{"300M,oom=off", true, true, false, true, 300 << 20},
		{"reporting=off", true, true, true, false, 0},
		{"0M", false, false, false, false, 0},
		{"much", false, false, false, false, 0},
		{"on,oom=much", false, false, false, false, 0},
		{"on,size=3", false, false, false, false, 0},
	};
	g_autoptr(conf_machine_auto) m = conf_machine_new(), b = NULL;
	g_autoptr(JsonNode) node = NULL;
	g_autoptr(GError) err = NULL;

	g_assert_true(m->balloon && m->balloon_oom && m->balloon_reporting);
	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_assert_true(conf_balloon_parse(m, rows[i].text, NULL) ==
			      rows[i].ok);
		if (!rows[i].ok)
			continue;
		g_assert_true(m->balloon == rows[i].on &&
			      m->balloon_oom == rows[i].oom &&
			      m->balloon_reporting == rows[i].reporting);
		g_assert_cmpuint(m->balloon_bytes, ==, rows[i].bytes);
		g_clear_pointer(&node, json_node_unref);
		node = conf_machine_to_json(m, NULL);
		g_clear_pointer(&b, conf_machine_free);
		b = conf_machine_from_json(node, NULL, 0, NULL);
		g_assert_true(b->balloon == m->balloon &&
			      b->balloon_oom == m->balloon_oom &&
			      b->balloon_reporting == m->balloon_reporting);
		g_assert_cmpuint(b->balloon_bytes, ==, m->balloon_bytes);
	}
	m->balloon_bytes = m->mem_bytes;
	g_assert_true(conf_machine_check(m, NULL));
	m->balloon_bytes++;
	g_assert_false(conf_machine_check(m, &err));
	g_assert_error(err, CONF_ERROR, CONF_ERROR_USAGE);
	/* one that was saved before there was one has none */
	json_object_remove_member(json_node_get_object(node), "balloon");
	conf_machine_free(b);
	b = conf_machine_from_json(node, NULL, 0, NULL);
	g_assert_false(b->balloon);
}

static void test_vsock(void)
{
	static const struct {
		const char *text;
		bool good, on;
		unsigned cid;
		const char *path;
	} list[] = {{"on", true, true, 3, NULL}, {"off", true, false, 3, NULL},
		{"cid=9", true, true, 9, NULL},
		{"unix:a,,b,cid=3", true, true, 3, "a,b"},
		{"on,cid=4294967294", true, true, 4294967294u, NULL},
		{"cid=2", false}, {"cid=4294967295", false},
		{"cid=99999999999", false}, {"cid=-1", false}, {"cid=", false},
		{"unix:", false}, {"/v", false}, {"on,port=1", false}};

	for (unsigned i = 0; i < G_N_ELEMENTS(list); i++) {
		g_autoptr(conf_machine_auto) m = conf_machine_new();
		g_autoptr(GError) err = NULL;

		g_assert_false(m->vsock.on);
		g_assert_cmpint(conf_vsock_parse(m, list[i].text, &err), ==,
			list[i].good);
		if (!list[i].good) {
			g_assert_error(err, CONF_ERROR, CONF_ERROR_USAGE);
			continue;
		}
		g_assert_cmpint(m->vsock.on, ==, list[i].on);
		g_assert_cmpuint(m->vsock.cid, ==, list[i].cid);
		g_assert_cmpstr(m->vsock.socket.path, ==, list[i].path);
	}
}

static void test_share(void)
{
	static const struct {
		const char *text;
		bool good, readonly;
		unsigned uid;
	} cases[] = {
		{"/a,tag=work", true, false, 0},
		{"/a,name=work,mode=ro", true, true, 0},
		{"/a,tag=work,mode=rw,uid=1000,gid=5", true, false, 1000},
		{"/a,tag=work,readonly", true, true, 0},
		{"/a,tag=work,readonly=off", true, false, 0},
		{"/a", false, false, 0},
		{"tag=work", false, false, 0},
		{"/a,tag=", false, false, 0},
		{"/a,tag=a b", false, false, 0},
		{"/a,tag=\xc3\xa4", false, false, 0},
		{"/a,tag=work,mode=wr", false, false, 0},
		{"/a,tag=work,uid=x", false, false, 0},
		{"/a,tag=work,uid=4294967295", false, false, 0},
		{"/a,tag=work,size=1", false, false, 0},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(conf_machine_auto) m = conf_machine_new(), b = NULL;
		g_autoptr(JsonNode) node = NULL;
		g_autoptr(GError) err = NULL;
		struct conf_share *s;

		g_assert_cmpint(conf_share_parse(m, cases[i].text, &err), ==,
			cases[i].good);
		g_assert_cmpint(err == NULL, ==, cases[i].good);
		if (!cases[i].good)
			continue;
		node = conf_machine_to_json(m, NULL);
		b = conf_machine_from_json(node, NULL, 0, NULL);
		s = g_ptr_array_index(b->shares, 0);
		g_assert_cmpstr(s->tag, ==, "work");
		g_assert_cmpstr(s->folder.path, ==, "/a");
		g_assert_cmpint(s->readonly, ==, cases[i].readonly);
		g_assert_cmpint(s->uid, ==, cases[i].uid);
		g_assert_true(conf_share_parse(m, "/b,tag=other", NULL));
		g_assert_true(conf_machine_check(m, NULL));
		g_assert_true(conf_share_parse(m, "/c,tag=work", NULL));
		g_assert_false(conf_machine_check(m, &err));
	}
}

static void test_json_hostile(void)
{
	static const char *const bad[] = {"[]", "3", "{\"mem_bytes\": -1}",
		"{\"mem_bytes\": \"1\"}", "{\"mem_bytes\": 1000}",
		"{\"mem_max_bytes\": 4194304}",
		"{\"mem_max_bytes\": 1073741825}",
		"{\"mem_bytes\": 1048576, \"mem_max_bytes\": 1073741824}",
		"{\"cores\": 65}", "{\"cores\": 0}",
		"{\"sockets\": 64, \"cores\": 64}", "{\"engine\": \"x\"}",
		"{\"engine\": null}", "{\"drives\": {}}", "{\"drives\": [1]}",
		"{\"boot\": [\"disk\", 3]}",
		"{\"boot\": [\"net\",\"net\",\"net\",\"net\",\"net\"]}",
		"{\"kernel\": {\"path\": \"k\", \"fd\": 0}}",
		"{\"kernel\": {\"path\": \"k\", \"fd\": -7}}",
		"{\"nics\": [{\"mac\": \"zz5400123456\"}]}",
		"{\"nics\": [{\"forwards\": [{\"host\": 65536}]}]}",
		"{\"vsock\": true}", "{\"vsock\": {\"cid\": 2}}",
		"{\"vsock\": {\"cid\": 4294967295}}",
		"{\"serial\": [{},{},{},{},{}]}", "{\"acpi\": 1}",
		"{\"plugs\": [{\"id\": \"hub0\"}]}",
		"{\"shares\": [{\"folder\": {\"path\": \"/\"}}]}",
		"{\"shares\": [{\"tag\": \"a\"}]}",
		"{\"shares\": [{\"tag\": \"a b\", \"folder\": {\"path\": "
		"\"/\"}}]}",
		"{\"shares\": [{},{},{},{},{},{},{},{},{}]}",
		"{\"drives\": [{\"name\": \"kbd\"}]}",
		"{\"drives\": [{\"name\": \"disk0\"},"
		"{\"name\": \"disk0\"}]}"};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(JsonNode) node = json_from_string(bad[i], NULL);
		g_autoptr(GError) err = NULL;

		g_assert_null(conf_machine_from_json(node, NULL, 0, &err));
		g_assert_nonnull(err);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/conf/genid", test_genid);
	g_test_add_func("/conf/balloon", test_balloon);
	g_test_add_func("/conf/size", test_size);
	g_test_add_func("/conf/time", test_time);
	g_test_add_func("/conf/os", test_os);
	g_test_add_func("/conf/drive", test_drive);
	g_test_add_func("/conf/places", test_places);
	g_test_add_func("/conf/nic", test_nic);
	g_test_add_func("/conf/cpus", test_cpus);
	g_test_add_func("/conf/check", test_check);
	g_test_add_func("/conf/mem", test_mem);
	g_test_add_func("/conf/sound", test_sound);
	g_test_add_func("/conf/vsock", test_vsock);
	g_test_add_func("/conf/share", test_share);
	g_test_add_func("/conf/json", test_json);
	g_test_add_func("/conf/json-hostile", test_json_hostile);
	return g_test_run();
}

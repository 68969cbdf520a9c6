/*
 * node.c - machine.xml and the folders of machines.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>
#include <libxml/relaxng.h>

#include "conf/error.h"
#include "node/folder.h"
#include "node/settings.h"

static char *home;

static char *join(const GPtrArray *list)
{
	GString *s = g_string_new(NULL);

	for (guint i = 0; i < list->len; i++) {
		const struct node_setting *one = g_ptr_array_index(list, i);

		g_string_append_printf(s, "--%s %s\n", one->flag, one->value);
	}
	return g_string_free(s, FALSE);
}

static char *path_of(const char *file)
{
	return g_build_filename(home, file, NULL);
}

static char *listed(const char *xml, const char *dir)
{
	g_autofree char *path = path_of("x.xml");
	g_autoptr(GError) err = NULL;
	g_autoptr(node_settings_auto) s = NULL;
	g_autoptr(GPtrArray) list = NULL;

	g_assert_true(g_file_set_contents(path, xml, -1, NULL));
	s = node_settings_read(path, &err);
	g_assert_no_error(err);
	list = node_settings_list(s, dir);
	return join(list);
}

/* ---- reading ---- */

static void test_read(void)
{
	static const struct {
		const char *xml, *flags;
	} cases[] = {
		{"", ""},
		{"  \n", ""},
		{"<machine name='a' version='1'/>", ""},
		{"<machine><memory size='1G'/><cpu count='2'/></machine>",
			"--mem 1G\n--cpus 2\n"},
		{"<machine><disk file='a,b.img' bus='ide0:0' readonly='on'/>"
		 "<disk file='/x'/></machine>",
			"--disk /m/a,,b.img,bus=ide0:0,readonly=on\n"
			"--disk /x\n"},
		{"<machine><cdrom file='none'/><floppy file='none'/></machine>",
			"--cdrom none\n--floppy none\n"},
		{"<machine><nic net='user' model='virtio'><forward host='1' "
		 "guest='2'/><forward proto='udp' host='127.0.0.1:3' "
		 "guest='4'/></nic></machine>",
			"--nic user,model=virtio,forward=tcp:1:2,"
			"forward=udp:127.0.0.1:3:4\n"},
		{"<machine><firmware acpi='off' boot='disk net'/></machine>",
			"--acpi off\n--boot disk,net\n"},
		{"<machine><firmware type='bios' file='b.rom' acpi='off'/>"
		 "</machine>",
			"--firmware bios,file=/m/b.rom\n--acpi off\n"},
		{"<machine><serial to='file:log'/><serial to='none'/></machine>",
			"--serial file:/m/log\n--serial none\n"},
		{"<machine><kernel file='k,k' append='a,b=c'/></machine>",
			"--kernel /m/k,k\n--append a,b=c\n"},
		{"<machine><share name='work' path='w, x' mode='rw'/><share "
		 "path='/x' name='b' readonly='on' uid='5'/></machine>",
			"--share /m/w,, x,name=work,mode=rw\n"
			"--share /x,name=b,readonly=on,uid=5\n"},
		{"<machine><x:other xmlns:x='u'/><what/></machine>", ""},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *got = listed(cases[i].xml, "/m");

		g_assert_cmpstr(got, ==, cases[i].flags);
	}
}

static void test_hostile(void)
{
	static const char *const cases[] = {"x", "<machine>", "<other/>",
		"<machine version='2'/>",
		"<!DOCTYPE machine [<!ENTITY a 'b'>]><machine/>",
		"<!DOCTYPE machine SYSTEM 'file:///etc/passwd'><machine/>",
		"<machine><disk file=\"\x01\"/></machine>",
		"<machine><a></b></machine>"};
	g_autofree char *path = path_of("x.xml");
	GString *large = g_string_new("<machine>");

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) err = NULL;

		g_file_set_contents(path, cases[i], -1, NULL);
		g_assert_null(node_settings_read(path, &err));
		g_assert_error(err, CONF_ERROR, CONF_ERROR_FAILED);
	}
	/* deep nesting and sheer size */
	for (unsigned i = 0; i < 5000; i++)
		g_string_append(large, "<a>");
	g_file_set_contents(path, large->str, -1, NULL);
	g_assert_null(node_settings_read(path, NULL));
	g_string_set_size(large, 1 << 21);
	memset(large->str, ' ', large->len);
	large->str[0] = '<';
	g_file_set_contents(path, large->str, (gssize)large->len, NULL);
	g_assert_null(node_settings_read(path, NULL));
	/* neither memory for it all, nor waiting for somebody to write */
	g_assert_cmpint(truncate(path, 1ll << 42), ==, 0);
	g_assert_null(node_settings_read(path, NULL));
	unlink(path);
	g_assert_cmpint(mkfifo(path, 0600), ==, 0);
	node_settings_free(node_settings_read(path, NULL));
	unlink(path);
	g_string_free(large, TRUE);
}

/* ---- writing ---- */

static const char kept[] =
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	"<machine name=\"a\" type=\"vm\" version=\"1\">\n"
	"  <!-- why so much -->\n"
	"  <memory size=\"1G\" max=\"2G\"/>\n"
	"  <cpu count=\"2\" mine=\"too\"/>\n"
	"  <mine keep=\"this\"><and>that</and></mine>\n"
	"  <firmware type=\"bios\" file=\"b\" acpi=\"off\"/>\n"
	"</machine>\n";

static void test_rewrite(void)
{
	g_autofree char *path = path_of("x.xml");
	g_autofree char *text = NULL;
	g_autoptr(node_settings_auto) s = NULL;

	g_file_set_contents(path, kept, -1, NULL);
	s = node_settings_read(path, NULL);
	g_assert_nonnull(s);
	g_assert_true(node_settings_write(s, path, NULL));
	g_file_get_contents(path, &text, NULL, NULL);
	g_assert_cmpstr(text, ==, kept);
	g_free(text);
	/* one value changes, what is its own goes, all else stays */
	g_assert_true(node_settings_add(s, "mem", "3G,max=4G", NULL, NULL));
	g_assert_true(node_settings_add(s, "cpus", "3", NULL, NULL));
	g_assert_true(node_settings_add(s, "firmware", "uefi", NULL, NULL));
	node_settings_drop(s, "acpi");
	g_assert_true(node_settings_write(s, path, NULL));
	g_file_get_contents(path, &text, NULL, NULL);
	g_assert_nonnull(strstr(text, "<!-- why so much -->"));
	g_assert_nonnull(strstr(text, "<memory size=\"3G\" max=\"4G\"/>"));
	g_assert_nonnull(strstr(text, "<cpu mine=\"too\" count=\"3\"/>"));
	g_assert_nonnull(
		strstr(text, "<mine keep=\"this\"><and>that</and></mine>"));
	g_assert_nonnull(strstr(text, "<firmware type=\"uefi\"/>"));
}

static void test_round_trip(void)
{
	static const struct {
		const char *flag, *value;
	} flags[] = {{"mem", "1G,max=4G"}, {"cpus", "sockets=2,cores=2"},
		{"engine", "bt,cache=64M"},
		{"disk", "/a b,,c.img,bus=scsi1,readonly,serial=x\"<&>"},
		{"disk", "rel.img"}, {"cdrom", "none"},
		{"nic", "model=e1000,forward=tcp:1:2"},
		{"nic", "user,mac=52:54:00:00:00:01"},
		{"share", "w,tag=work,readonly"},
		{"share", "/x,tag=b,uid=1000"},
		{"append", "console=ttyS0 a=\"b, c\" <&>"},
		{"serial", "unix:/s"}, {"vga", "std,vram=32M"},
		{"vsock", "unix:/v,cid=9"}, {"display", "vnc=5900,password=/p"},
		{"usb", "uhci,ehci"}, {"boot", "disk,net"}};
	g_autofree char *path = path_of("x.xml");
	g_autofree char *schema = g_strdup(g_getenv("NODE_SCHEMA"));
	g_autoptr(node_settings_auto) s = node_settings_new("a");
	g_autoptr(GPtrArray) one = NULL, two = NULL;
	g_autofree char *first = NULL;
	g_autofree char *again = NULL;
	xmlRelaxNGParserCtxt *parser;
	xmlRelaxNG *rng;
	xmlRelaxNGValidCtxt *valid;
	xmlDoc *doc;

	for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++)
		g_assert_true(node_settings_add(
			s, flags[i].flag, flags[i].value, "/cwd", NULL));
	one = node_settings_list(s, "/m");
	first = join(one);
	g_assert_nonnull(strstr(first,
		"--disk /a b,,c.img,bus=scsi1,readonly=on,serial=x\"<&>\n"));
	g_assert_nonnull(strstr(first, "--disk /cwd/rel.img\n"));
	g_assert_nonnull(strstr(first, "--nic model=e1000,forward=tcp:1:2\n"));
	g_assert_nonnull(strstr(first, "--share /cwd/w,name=work,mode=ro\n"));
	g_assert_nonnull(strstr(first, "--share /x,name=b,uid=1000\n"));
	g_assert_nonnull(
		strstr(first, "--append console=ttyS0 a=\"b, c\" <&>\n"));
	g_assert_true(node_settings_write(s, path, NULL));
	again = listed("", "/m");
	g_assert_true(node_settings_write(s, path, NULL));
	g_clear_pointer(&s, node_settings_free);
	s = node_settings_read(path, NULL);
	two = node_settings_list(s, "/m");
	g_free(again);
	again = join(two);
	g_assert_cmpstr(first, ==, again);

	g_assert_nonnull(schema);
	parser = xmlRelaxNGNewParserCtxt(schema);
	rng = xmlRelaxNGParse(parser);
	g_assert_nonnull(rng);
	valid = xmlRelaxNGNewValidCtxt(rng);
	doc = xmlReadFile(path, NULL, XML_PARSE_NONET);
	g_assert_cmpint(xmlRelaxNGValidateDoc(valid, doc), ==, 0);
	xmlFreeDoc(doc);
	doc = xmlReadDoc((const xmlChar *)"<machine name='a'><disk><x/></disk>"
					  "</machine>",
		NULL, NULL, XML_PARSE_NONET);
	g_assert_cmpint(xmlRelaxNGValidateDoc(valid, doc), >, 0);
	xmlFreeDoc(doc);
	xmlRelaxNGFreeValidCtxt(valid);
	xmlRelaxNGFree(rng);
	xmlRelaxNGFreeParserCtxt(parser);
}

static void test_refused(void)
{
	g_autoptr(node_settings_auto) s = node_settings_new("a");
	g_autoptr(GError) err = NULL;

	g_assert_false(node_settings_add(s, "gdb", "1234", NULL, &err));
	g_assert_error(err, CONF_ERROR, CONF_ERROR_USAGE);
	g_clear_error(&err);
	g_assert_false(node_settings_add(s, "append", "a\nb", NULL, &err));
	g_assert_error(err, CONF_ERROR, CONF_ERROR_USAGE);
	g_clear_error(&err);
	g_assert_false(node_settings_add(s, "append", "\xff", NULL, &err));
	g_assert_error(err, CONF_ERROR, CONF_ERROR_USAGE);
}

/* ---- folders ---- */

static void make(const char *name)
{
	g_autoptr(node_settings_auto) s = node_settings_new(name);
	g_autofree char *path = node_path(name, "machine.xml");

	g_assert_true(node_create(name, NULL));
	g_assert_true(node_settings_write(s, path, NULL));
}

static void test_folders(void)
{
	g_autoptr(GPtrArray) names = NULL;
	g_autoptr(GError) err = NULL;
	g_autofree char *message = NULL;
	int lock, status;

	make("b");
	make("a");
	g_assert_false(node_create("a", &err));
	g_assert_error(err, CONF_ERROR, CONF_ERROR_CONFLICT);
	g_clear_error(&err);
	names = node_names(NULL);
	g_assert_cmpuint(names->len, ==, 2);
	g_assert_cmpstr(g_ptr_array_index(names, 0), ==, "a");

	g_assert_cmpint(node_state("a"), ==, NODE_OFF);
	g_assert_false(node_last("a", &status, &message));
	lock = node_begin("a", NULL);
	g_assert_cmpint(lock, >=, 0);
	g_assert_cmpint(node_state("a"), ==, NODE_RUNNING);
	g_assert_cmpint(node_pid("a"), ==, getpid());
	g_assert_cmpint(node_begin("a", &err), ==, -1);
	g_assert_error(err, CONF_ERROR, CONF_ERROR_CONFLICT);
	g_clear_error(&err);
	g_assert_false(node_remove("a", &err));
	g_clear_error(&err);
	g_assert_false(node_rename("a", "c", &err));
	g_clear_error(&err);
	node_end("a", lock, 3, "so it was");
	g_assert_cmpint(node_state("a"), ==, NODE_OFF);
	g_assert_true(node_last("a", &status, &message));
	g_assert_cmpint(status, ==, 3);
	g_assert_cmpstr(message, ==, "so it was");

	/* as if it were killed */
	lock = node_begin("a", NULL);
	close(lock);
	g_assert_cmpint(node_state("a"), ==, NODE_CRASHED);
	lock = node_begin("a", NULL);
	node_end("a", lock, 0, NULL);

	g_assert_false(node_rename("a", "b", &err));
	g_assert_error(err, CONF_ERROR, CONF_ERROR_CONFLICT);
	g_clear_error(&err);
	g_assert_true(node_rename("a", "c", NULL));
	g_assert_true(node_exists("c"));
	g_assert_cmpint(node_state("c"), ==, NODE_OFF);
	g_assert_true(node_remove("c", NULL));
	g_assert_false(node_remove("c", &err));
	g_assert_error(err, CONF_ERROR, CONF_ERROR_NOT_FOUND);
	g_assert_true(node_remove("b", NULL));
}

int main(int argc, char **argv)
{
	int status;

	g_test_init(&argc, &argv, NULL);
	home = g_dir_make_tmp("node-XXXXXX", NULL);
	g_setenv("VMESTE_HOME", home, TRUE);
	g_test_add_func("/node/read", test_read);
	g_test_add_func("/node/hostile", test_hostile);
	g_test_add_func("/node/rewrite", test_rewrite);
	g_test_add_func("/node/round-trip", test_round_trip);
	g_test_add_func("/node/refused", test_refused);
	g_test_add_func("/node/folders", test_folders);
	status = g_test_run();
	node_discard(".");
	g_free(home);
	return status;
}

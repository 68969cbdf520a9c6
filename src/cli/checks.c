/*
 * checks.c - what `vmeste doctor` looks at.
 */
#include "cli/checks.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf/parse.h"

static void check_free(void *p)
{
	struct check *c = p;

	g_free(c->text);
	g_free(c->fix);
	g_free(c);
}

struct check *cli_check_add(GPtrArray *list, const char *name,
	enum check_state state, const char *fix, const char *format, ...)
{
	struct check *c = g_new0(struct check, 1);
	va_list ap;

	c->name = name;
	c->state = state;
	va_start(ap, format);
	c->text = g_strdup_vprintf(format, ap);
	va_end(ap);
	c->fix = g_strdup(fix);
	g_ptr_array_add(list, c);
	return c;
}

/* The text after "key<tabs>: " in /proc/cpuinfo; free it. */
static char *cpuinfo(const char *info, const char *key)
{
	const char *p = strstr(info, key), *end;

	p = p ? strchr(p, ':') : NULL;
	if (!p)
		return g_strdup("");
	p += strspn(p, ": ");
	end = strchrnul(p, '\n');
	return g_strndup(p, (gsize)(end - p));
}

static void check_processor(GPtrArray *list)
{
	static const char *const wanted[] = {"sse4_2", "popcnt", "avx", "avx2",
		"bmi2", "avx512f", "rdtscp", "vmx", "svm", "hypervisor", NULL};
	g_autofree char *info = NULL, *model = NULL, *flags = NULL;
	g_autoptr(GString) have = g_string_new(NULL);
	g_auto(GStrv) words = NULL;

	if (!g_file_get_contents("/proc/cpuinfo", &info, NULL, NULL)) {
		cli_check_add(list, "processor", CHECK_NOTE, "mount /proc",
			"/proc/cpuinfo cannot be read");
		return;
	}
	model = cpuinfo(info, "model name");
	flags = cpuinfo(info, "\nflags");
	words = g_strsplit(flags, " ", -1);
	for (int i = 0; wanted[i]; i++) {
		if (g_strv_contains((const char *const *)words, wanted[i]))
			g_string_append_printf(have, " %s", wanted[i]);
	}
	cli_check_add(list, "processor", CHECK_OK, NULL, "%s, %ld online,%s",
		model, sysconf(_SC_NPROCESSORS_ONLN), have->str);
	if (!g_strv_contains((const char *const *)words, "vmx") &&
		!g_strv_contains((const char *const *)words, "svm"))
		cli_check_add(list, "VT-x/AMD-V", CHECK_NOTE,
			"nothing to do: bt needs none; for kvm switch "
			"virtualization on in the BIOS or in the outer "
			"hypervisor (nesting)",
			"the processor shows neither vmx nor svm");
}

static void check_kvm(GPtrArray *list)
{
	struct stat st;
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		cli_check_add(list, "/dev/kvm", CHECK_OK, NULL,
			"present and open to you");
	} else if (errno == EACCES || errno == EPERM) {
		cli_check_add(list, "/dev/kvm", CHECK_NOTE,
			stat("/dev/kvm", &st) || !(st.st_mode & 060)
				? "sudo setfacl -m u:$USER:rw /dev/kvm"
				: "sudo usermod -aG kvm $USER, then log in again",
			"present, but you may not open it");
	} else {
		cli_check_add(list, "/dev/kvm", CHECK_NOTE,
			"nothing to do: bt needs none; for kvm: "
			"modprobe kvm_intel or kvm_amd",
			"%s", g_strerror(errno));
	}
}

static void check_file(GPtrArray *list, const char *name, const char *path,
	enum check_state missing, const char *fix)
{
	if (!access(path, R_OK))
		cli_check_add(list, name, CHECK_OK, NULL, "%s", path);
	else
		cli_check_add(list, name, missing, fix, "%s: %s", path,
			g_strerror(errno));
}

static void check_firmware(GPtrArray *list)
{
	check_file(list, "BIOS", "/usr/share/seabios/bios-256k.bin", CHECK_NOTE,
		"apt install seabios (needed to boot disks, not for --kernel)");
	check_file(list, "PXE ROMs", "/usr/lib/ipxe/qemu/pxe-virtio.rom",
		CHECK_NOTE, "apt install ipxe-qemu (to boot from the network)");
}

/* "MemAvailable:  123 kB" -> bytes; 0 if absent. */
static uint64_t meminfo(const char *info, const char *key)
{
	const char *p = strstr(info, key);

	return p ? g_ascii_strtoull(p + strlen(key), NULL, 10) << 10 : 0;
}

static void check_memory(GPtrArray *list)
{
	g_autofree char *info = NULL;
	uint64_t avail = 0, total = 0;

	if (g_file_get_contents("/proc/meminfo", &info, NULL, NULL)) {
		avail = meminfo(info, "MemAvailable:");
		total = meminfo(info, "MemTotal:");
	}
	cli_check_add(list, "memory",
		avail >= 256ull << 20 ? CHECK_OK : CHECK_NOTE,
		avail >= 256ull << 20 ? NULL
				      : "close other programs, or give "
					"machines less --mem",
		"%.1f GiB available of %.1f GiB", (double)avail / (1 << 30),
		(double)total / (1 << 30));
}

static void check_space(GPtrArray *list)
{
	const char *dir = g_get_tmp_dir();
	struct statvfs v;
	double gib;

	if (statvfs(dir, &v)) {
		cli_check_add(list, "disk space", CHECK_NOTE,
			"set TMPDIR to a folder that exists", "%s: %s", dir,
			g_strerror(errno));
		return;
	}
	gib = (double)v.f_bavail * (double)v.f_frsize / (1 << 30);
	cli_check_add(list, "disk space", gib >= 1 ? CHECK_OK : CHECK_NOTE,
		gib >= 1 ? NULL : "free some, or set TMPDIR to another folder",
		"%.1f GiB free in %s (for ,snapshot)", gib, dir);
}

static char *limit_text(int resource, rlim_t *soft)
{
	struct rlimit l = {0, 0};

	getrlimit((__rlimit_resource_t)resource, &l);
	*soft = l.rlim_cur;
	if (l.rlim_cur == RLIM_INFINITY)
		return g_strdup("unlimited");
	return g_strdup_printf("%llu", (unsigned long long)l.rlim_cur);
}

static void check_limits(GPtrArray *list)
{
	rlim_t n, as;
	g_autofree char *files = limit_text(RLIMIT_NOFILE, &n);
	g_autofree char *space = limit_text(RLIMIT_AS, &as);
	g_autofree char *maps = NULL;
	bool ok = n >= 256 && as == RLIM_INFINITY;

	g_file_get_contents("/proc/sys/vm/max_map_count", &maps, NULL, NULL);
	cli_check_add(list, "limits", ok ? CHECK_OK : CHECK_NOTE,
		ok ? NULL : "ulimit -n 1024; ulimit -v unlimited",
		"%s open files, address space %s, %s memory maps", files, space,
		maps ? g_strstrip(maps) : "unknown");
}

/* Tried in a child: the call changes its caller. */
static bool can_unshare_user(void)
{
	pid_t pid = fork();
	int ws = 0;

	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER) ? 1 : 0);
	return pid > 0 && waitpid(pid, &ws, 0) == pid && WIFEXITED(ws) &&
	       !WEXITSTATUS(ws);
}

static void check_jail(GPtrArray *list)
{
	unsigned kill_process = SECCOMP_RET_KILL_PROCESS;
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
	bool filter = !syscall(
		SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &kill_process);

	if (filter)
		cli_check_add(list, "seccomp", CHECK_OK, NULL,
			"system call filters work");
	else
		cli_check_add(list, "seccomp", CHECK_NOTE,
			"use a kernel with CONFIG_SECCOMP_FILTER",
			"no system call filters: the jail is weaker");
	if (abi > 0)
		cli_check_add(
			list, "Landlock", CHECK_OK, NULL, "version %ld", abi);
	else
		cli_check_add(list, "Landlock", CHECK_NOTE,
			"boot with lsm=landlock,... (Linux 5.13 or newer)",
			"absent: the jail relies on seccomp and namespaces");
	if (can_unshare_user())
		cli_check_add(list, "namespaces", CHECK_OK, NULL,
			"unprivileged user namespaces work");
	else
		cli_check_add(list, "namespaces",
			geteuid() ? CHECK_NOTE : CHECK_OK,
			geteuid() ? "sudo sysctl "
				    "kernel.unprivileged_userns_clone=1"
				  : NULL,
			"unprivileged user namespaces: %s", g_strerror(errno));
}

GPtrArray *cli_checks_host(void)
{
	GPtrArray *list = g_ptr_array_new_with_free_func(check_free);

	check_processor(list);
	check_kvm(list);
	check_firmware(list);
	check_memory(list);
	check_space(list);
	check_limits(list);
	check_jail(list);
	return list;
}

static const char *member_text(JsonObject *o, const char *key)
{
	const char *s = json_object_get_string_member_with_default(o, key, "");

	return s ? s : "";
}

static void add_engine(GPtrArray *list, JsonObject *e)
{
	const char *name = member_text(e, "name");
	const char *why = member_text(e, "why"), *fix = member_text(e, "fix");
	double mips = json_object_get_double_member_with_default(e, "mips", 0);
	bool usable =
		json_object_get_boolean_member_with_default(e, "usable", FALSE);
	g_autofree char *speed =
		mips > 0 ? g_strdup_printf(", %.*f MIPS", mips < 10, mips)
			 : g_strdup("");
	g_autofree char *label = g_strdup_printf("engine %s", name);

	cli_check_add(list, g_intern_string(label),
		usable ? CHECK_OK : CHECK_NOTE, *fix ? fix : NULL, "%s%s%s%s",
		usable ? "usable" : "not usable", speed, *why ? ": " : "", why);
}

void cli_checks_engines(GPtrArray *list, JsonObject *report)
{
	JsonArray *engines =
		json_object_has_member(report, "engines")
			? json_object_get_array_member(report, "engines")
			: NULL;

	for (guint i = 0; engines && i < json_array_get_length(engines); i++)
		add_engine(list, json_array_get_object_element(engines, i));
	cli_check_add(list, "engine auto", CHECK_OK, NULL, "%s: %s",
		member_text(report, "auto"), member_text(report, "why"));
}

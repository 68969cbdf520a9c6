/*
 * vmeste-vm.c - the process of one virtual machine.
 *
 * Started by `vmeste run`, which sends the description with every file open
 * (wire/wire.h).  Order matters: the engine opens what it needs, then the
 * process loses sight of the file system while it has one thread, then devices
 * and images are set up, then the door is shut, then the guest runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib-unix.h>

#include "conf/error.h"
#include "jail/jail.h"
#include "vmm/doctor.h"
#include "vmm/machine.h"
#include "wire/wire.h"

#define VM_MAX_FILES 65536

struct vm {
	struct conf_machine *conf;
	struct machine *machine;
	GMainLoop *loop;
	struct jail_conf jail;
	unsigned jail_parts;
	int status;
	char *message; /* or NULL */
};

static void vm_note(void *opaque, const char *text)
{
	JsonObject *body = json_object_new();

	json_object_set_string_member(body, "text", text);
	wire_send(WIRE_VM_FD, "note", body, NULL, 0, NULL);
}

/* Missing mechanisms are worth a word only to who asks for words. */
static void vm_jail_note(void *opaque, const char *text)
{
	struct vm *vm = opaque;

	if (vm->conf->verbose)
		vm_note(opaque, text);
}

static void vm_ended(void *opaque, int status, const char *message)
{
	struct vm *vm = opaque;

	vm->status = status;
	vm->message = g_strdup(message);
	g_main_loop_quit(vm->loop);
}

_Static_assert(JAIL_MAX_FOLDERS >= CONF_MAX_NICS + CONF_MAX_SHARES,
	"one for each card and share");

/* What the machine's cards serve by TFTP, and what it shares. */
static unsigned vm_folders(const struct vm *vm, struct jail_folder *f)
{
	unsigned n = 0;

	for (guint i = 0; i < vm->conf->nics->len; i++) {
		const struct conf_nic *nic =
			g_ptr_array_index(vm->conf->nics, i);

		if (nic->tftp.path)
			f[n++] = (struct jail_folder){
				.path = nic->tftp.path, .fd = nic->tftp.fd};
	}
	for (guint i = 0; i < vm->conf->shares->len; i++) {
		const struct conf_share *s =
			g_ptr_array_index(vm->conf->shares, i);

		f[n++] = (struct jail_folder){.path = s->folder.path,
			.fd = s->folder.fd,
			.shared = true,
			.writable = !s->readonly};
	}
	return n;
}

/* The same folder, now as one of the jail: there is nothing above it. */
static void vm_share_seen(
	struct vm *vm, struct conf_share *s, const struct jail_folder *f)
{
	int flags = O_PATH | O_DIRECTORY | O_CLOEXEC;

	if (s->folder.fd >= 0)
		close(s->folder.fd);
	s->folder.fd = f->seen ? open(f->seen, flags) : -1;
	s->self_fd = vm->jail.self ? open(vm->jail.self, flags) : -1;
	s->error = !f->seen	      ? f->errno_
		   : s->folder.fd < 0 ? errno
		   : !vm->jail.self   ? ENOSYS
				      : 0;
}

static void vm_folders_seen(struct vm *vm, const struct jail_folder *f)
{
	for (guint i = 0; i < vm->conf->nics->len; i++) {
		struct conf_nic *nic = g_ptr_array_index(vm->conf->nics, i);

		if (!nic->tftp.path)
			continue;
		nic->tftp_seen = g_strdup(f->seen);
		nic->tftp_errno = f->errno_;
		if (nic->tftp.fd >= 0)
			close(nic->tftp.fd);
		nic->tftp.fd = -1;
		f++;
	}
	for (guint i = 0; i < vm->conf->shares->len; i++)
		vm_share_seen(vm, g_ptr_array_index(vm->conf->shares, i), f++);
}

/* Whose files they are, if root started us: the first folder's owner. */
static void vm_become_owner(struct vm *vm)
{
	struct conf_share *s;
	struct stat st;

	if (!vm->conf->shares->len)
		return;
	s = g_ptr_array_index(vm->conf->shares, 0);
	if (!fstat(s->folder.fd, &st)) {
		vm->jail.uid = st.st_uid;
		vm->jail.gid = st.st_gid;
	}
	/* Files get the mode that the guest says. */
	umask(0);
}

/* Each file that a guest has open is one of ours. */
static void vm_raise_limit(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r))
		return;
	r.rlim_cur = r.rlim_max > VM_MAX_FILES ? VM_MAX_FILES : r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
}

static void vm_engine_ready(void *opaque, bool kvm)
{
	struct jail_folder folders[JAIL_MAX_FOLDERS];
	struct vm *vm = opaque;

	vm->jail = (struct jail_conf){.kvm = kvm,
		.net = vm->conf->nics->len > 0,
		.share = vm->conf->shares->len > 0,
		.folders = folders,
		.nfolders = vm_folders(vm, folders),
		.note = vm_jail_note,
		.opaque = vm};
	vm_become_owner(vm);
	if (vm->jail.share)
		vm_raise_limit();
	vm->jail_parts = jail_isolate(&vm->jail);
	vm_folders_seen(vm, folders);
	vm->jail.folders = NULL;
	vm->jail.nfolders = 0;
}

/* Ask the client for a file that an image names; it alone may open files. */
static int vm_open_named(void *opaque, struct machine_named *what, GError **err)
{
	JsonObject *body = json_object_new();
	g_autoptr(wire_msg_auto) answer = NULL;
	int fd = -1;

	json_object_set_string_member(body, "name", what->name);
	json_object_set_int_member(body, "drive", what->drive);
	json_object_set_boolean_member(body, "write", what->writable);
	if (what->from)
		json_object_set_string_member(body, "image", what->from);
	if (!wire_send(WIRE_VM_FD, "open", body, NULL, 0, err))
		return -1;
	answer = wire_recv(WIRE_VM_FD, err);
	if (answer && strcmp(answer->type, "opened") == 0 &&
		answer->nfds == 1) {
		fd = answer->fds[0];
		answer->fds[0] = -1;
		what->path = g_strdup(wire_msg_string(answer, "path"));
	} else if (!err || !*err) {
		const char *text =
			answer ? wire_msg_string(answer, "error") : NULL;

		g_set_error(err, CONF_ERROR,
			answer ? (int)wire_msg_int(answer, "code", 1) : 1, "%s",
			text ? text : "the client is gone");
	}
	return fd;
}

/* The client finds who listens; vm_connected has the answer. */
static void vm_connect_port(void *opaque, uint32_t port, uint32_t id)
{
	JsonObject *body = json_object_new();

	json_object_set_int_member(body, "port", port);
	json_object_set_int_member(body, "id", id);
	wire_send(WIRE_VM_FD, "connect", body, NULL, 0, NULL);
}

static void vm_connected(struct vm *vm, struct wire_msg *msg)
{
	int fd = msg->nfds ? msg->fds[0] : -1;

	if (msg->nfds)
		msg->fds[0] = -1;
	machine_connected(vm->machine, (uint32_t)wire_msg_int(msg, "id", 0), fd,
		json_object_get_boolean_member_with_default(
			msg->body, "again", FALSE));
}

static gboolean vm_wire_ready(gint fd, GIOCondition cond, gpointer opaque)
{
	struct vm *vm = opaque;
	g_autoptr(GError) err = NULL;
	g_autoptr(wire_msg_auto) msg = wire_recv(fd, &err);

	if (!msg || strcmp(msg->type, "stop") == 0)
		machine_quit(vm->machine, msg ? 0 : 1,
			msg ? NULL : "the client is gone");
	else if (strcmp(msg->type, "powerdown") == 0)
		machine_powerdown(vm->machine);
	else if (strcmp(msg->type, "connected") == 0)
		vm_connected(vm, msg);
	return msg ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static gboolean vm_signal(gint fd, GIOCondition cond, gpointer opaque)
{
	struct vm *vm = opaque;

	machine_quit(vm->machine, 1, "the machine was stopped by a signal");
	return G_SOURCE_REMOVE;
}

/* Ctrl-C of a terminal reaches the client, which asks us to stop. */
static void vm_signals(struct vm *vm)
{
	sigset_t set;
	int fd;

	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_IGN); /* nobody waits for who writes a state */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fd >= 0)
		g_unix_fd_add(fd, G_IO_IN, vm_signal, vm);
}

static struct conf_machine *vm_receive(GError **err)
{
	g_autoptr(wire_msg_auto) msg = wire_recv(WIRE_VM_FD, err);

	if (!msg)
		return NULL;
	if (strcmp(msg->type, "start") != 0) {
		g_set_error(err, CONF_ERROR, CONF_ERROR_FAILED,
			"the client sent '%s' first", msg->type);
		return NULL;
	}
	return conf_machine_from_json(
		json_object_get_member(msg->body, "machine"), msg->fds,
		msg->nfds, err);
}

static bool vm_run(struct vm *vm, GError **err)
{
	struct machine_host host = {
		.loop = g_main_context_default(),
		.note = vm_note,
		.ended = vm_ended,
		.engine_ready = vm_engine_ready,
		.open_named = vm_open_named,
		.connect_port = vm_connect_port,
		.opaque = vm,
	};
	JsonObject *body = json_object_new();
	char parts[256];

	vm->machine = machine_new(vm->conf, &host, err);
	if (!vm->machine) {
		json_object_unref(body);
		return false;
	}
	g_unix_fd_add(WIRE_VM_FD, G_IO_IN | G_IO_HUP, vm_wire_ready, vm);
	vm_signals(vm);
	vm->jail_parts |= jail_seal(&vm->jail);
	if (vm->conf->verbose) {
		g_autofree char *text = NULL;

		jail_describe(vm->jail_parts, parts, sizeof(parts));
		text = g_strdup_printf("jail: %s", parts);
		vm_note(vm, text);
	}
	json_object_set_string_member(
		body, "engine", machine_engine(vm->machine));
	json_object_set_string_member(
		body, "why", machine_engine_why(vm->machine));
	if (!machine_start(vm->machine, err)) {
		json_object_unref(body);
		return false;
	}
	wire_send(WIRE_VM_FD, "running", body, NULL, 0, NULL);
	g_main_loop_run(vm->loop);
	return true;
}

static void vm_say_exit(const struct vm *vm)
{
	JsonObject *body = json_object_new();

	json_object_set_int_member(body, "status", vm->status);
	if (vm->message)
		json_object_set_string_member(body, "message", vm->message);
	wire_send(WIRE_VM_FD, "exit", body, NULL, 0, NULL);
}

int main(int argc, char **argv)
{
	struct vm vm = {0};
	g_autoptr(GError) err = NULL;

	if (argc == 2 && strcmp(argv[1], "--doctor") == 0)
		return vmm_doctor();
	if (argc > 1 || fcntl(WIRE_VM_FD, F_GETFD) < 0) {
		fprintf(stderr, "vmeste-vm: run by vmeste for each machine; "
				"see: vmeste help run\n");
		return CONF_ERROR_USAGE;
	}
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	vm.loop = g_main_loop_new(NULL, FALSE);
	vm.conf = vm_receive(&err);
	if (!vm.conf || !vm_run(&vm, &err)) {
		vm.status = err ? conf_error_status(err) : CONF_ERROR_FAILED;
		vm.message =
			g_strdup(err ? err->message : "the client is gone");
	}
	if (vm.machine)
		machine_free(vm.machine);
	vm_say_exit(&vm);
	if (vm.conf)
		conf_machine_free(vm.conf);
	g_main_loop_unref(vm.loop);
	g_free(vm.message);
	return vm.status;
}

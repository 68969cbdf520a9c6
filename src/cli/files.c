/*
 * files.c - open everything that a machine names.
 *
 * A writable image is locked for one machine by an open file description
 * lock: it travels with the descriptor to the machine's process and lives as
 * long as either process holds the image.
 */
#include "cli/files.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "conf/error.h"

#define SEABIOS "/usr/share/seabios/bios-256k.bin"
#define VGABIOS "/usr/share/seabios/vgabios-"
#define OVMF	"/usr/share/OVMF/OVMF_CODE_4M.fd"
#define ROMS	"/usr/lib/ipxe/qemu/"
#define ROM(x)                                                                 \
	{                                                                      \
		ROMS "pxe-" x ".rom", ROMS "efi-" x ".rom"                     \
	}

/* ---- who else has the file open ---- */

static bool has_open(const char *pid, const struct stat *want)
{
	g_autofree char *dir = g_strdup_printf("/proc/%s/fd", pid);
	DIR *d = opendir(dir);
	bool found = false;
	struct stat st;

	if (!d)
		return false;
	for (struct dirent *e; !found && (e = readdir(d));)
		found = !fstatat(dirfd(d), e->d_name, &st, 0) &&
			st.st_dev == want->st_dev && st.st_ino == want->st_ino;
	closedir(d);
	return found;
}

/* A process that has the file open, not ours; 0 if none is to be seen. */
static int find_user(int fd)
{
	DIR *d = opendir("/proc");
	struct stat want;
	int pid = 0;

	if (!d)
		return 0;
	if (!fstat(fd, &want)) {
		for (struct dirent *e; !pid && (e = readdir(d));) {
			int p = isdigit((unsigned char)e->d_name[0])
					? atoi(e->d_name)
					: 0;

			if (p > 0 && p != getpid() &&
				has_open(e->d_name, &want))
				pid = p;
		}
	}
	closedir(d);
	return pid;
}

/* A file that another of this machine's drives has, too. */
static bool given_twice(int fd)
{
	struct stat want, st;
	DIR *d = opendir("/proc/self/fd");
	bool found = false;

	if (!d)
		return false;
	if (!fstat(fd, &want))
		for (struct dirent *e; !found && (e = readdir(d));)
			found = atoi(e->d_name) != fd &&
				!fstatat(dirfd(d), e->d_name, &st, 0) &&
				st.st_dev == want.st_dev &&
				st.st_ino == want.st_ino;
	closedir(d);
	return found;
}

static bool lock_image(const struct conf_file *f, bool writable, GError **err)
{
	struct flock l = {
		.l_type = writable ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
	g_autofree char *by = NULL;
	int pid;

	if (!fcntl(f->fd, F_OFD_SETLK, &l))
		return true;
	if (errno != EAGAIN && errno != EACCES)
		return true; /* a file system without locks */
	if (given_twice(f->fd)) {
		conf_error_set(err, CONF_ERROR_USAGE,
			"two drives may not write one disk",
			"name another file, or add ,readonly to both",
			"disk %s is given twice", f->path);
		return false;
	}
	pid = find_user(f->fd);
	if (pid)
		by = g_strdup_printf(" by process %d", pid);
	conf_error_set(err, CONF_ERROR_CONFLICT,
		"two machines may not write one disk",
		"stop the other one, or add ,snapshot to throw changes away "
		"(needs the other to be ,readonly or ,snapshot too)",
		"disk %s is in use%s", f->path, by ? by : "");
	return false;
}

/* ---- opening ---- */

static bool open_file(struct conf_file *f, const char *what, int flags,
	const char *fix, GError **err)
{
	struct stat st;

	/* O_NONBLOCK: a FIFO must not hang us. */
	f->fd = open(f->path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
	if (f->fd < 0 && errno != EISDIR) {
		conf_error_set_errno(
			err, errno, fix, "cannot open %s %s", what, f->path);
		return false;
	}
	if (f->fd < 0 || (!fstat(f->fd, &st) && S_ISDIR(st.st_mode))) {
		conf_error_set(err, CONF_ERROR_FAILED, "it is a folder",
			"name a file", "cannot use %s %s", what, f->path);
		return false;
	}
	return true;
}

static bool open_kernel(struct conf_machine *m, GError **err)
{
	if (m->kernel.path && !open_file(&m->kernel, "kernel", O_RDONLY,
				      "check the path given to --kernel", err))
		return false;
	return !m->initrd.path ||
	       open_file(&m->initrd, "initrd", O_RDONLY,
		       "check the path given to --initrd", err);
}

/* A kernel that is booted directly can do without. */
static bool open_firmware(struct conf_machine *m, GError **err)
{
	bool stated = m->firmware_file.path != NULL;
	bool uefi = m->firmware == CONF_FIRMWARE_UEFI;

	if (!stated && !uefi && m->kernel.path && access(SEABIOS, R_OK))
		return true;
	if (!stated)
		m->firmware_file.path = g_strdup(uefi ? OVMF : SEABIOS);
	return open_file(&m->firmware_file, "firmware", O_RDONLY,
		stated ? "check the path given to --firmware"
		: uefi ? "apt install ovmf"
		       : "apt install seabios",
		err);
}

/* ---- UEFI's variables ---- */

/* What empty ones look like: OVMF_VARS... beside OVMF_CODE...; NULL: the image
 * has them in it. */
static char *nvram_template(const char *code)
{
	g_autofree char *dir = g_path_get_dirname(code);
	g_autofree char *base = g_path_get_basename(code);
	g_auto(GStrv) p = g_strsplit(base, "CODE", 2);
	g_autofree char *vars = g_strjoinv("VARS", p);

	return p[1] ? g_build_filename(dir, vars, NULL) : NULL;
}

/* Appears whole or not at all. */
static bool make_nvram(const char *path, const char *from, GError **err)
{
	g_autofree char *data = NULL;
	g_autoptr(GError) e = NULL;
	gsize len;

	if (g_file_get_contents(from, &data, &len, &e) &&
		g_file_set_contents_full(path, data, (gssize)len,
			G_FILE_SET_CONTENTS_CONSISTENT |
				G_FILE_SET_CONTENTS_ONLY_EXISTING,
			0600, &e))
		return true;
	conf_error_set(err, CONF_ERROR_FAILED, e->message,
		"name a file in a folder that you can write to",
		"cannot make the variable store %s", path);
	return false;
}

static bool open_nvram(struct conf_machine *m, GError **err)
{
	g_autofree char *from = NULL;

	if (m->firmware != CONF_FIRMWARE_UEFI)
		return true;
	from = nvram_template(m->firmware_file.path);
	if (!m->nvram_keep) {
		if (!from || access(from, R_OK))
			return true;
		m->nvram.path = g_steal_pointer(&from);
		return open_file(
			&m->nvram, "variable store", O_RDONLY, NULL, err);
	}
	if (access(m->nvram.path, F_OK)) {
		if (!from) {
			conf_error_set(err, CONF_ERROR_USAGE,
				"its name does not say CODE, so that there is "
				"no VARS beside it",
				"copy one there, or leave --nvram out",
				"there is no variable store for %s",
				m->firmware_file.path);
			return false;
		}
		if (!make_nvram(m->nvram.path, from, err))
			return false;
	}
	return open_file(&m->nvram, "variable store", O_RDWR,
		       "check the path given to --nvram", err) &&
	       lock_image(&m->nvram, true, err);
}

/* An empty file without a name for the writes of a snapshot. */
bool cli_files_scratch(struct conf_file *cow, GError **err)
{
	const char *dir = g_get_tmp_dir();

	cow->path = g_strdup(dir);
	cow->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
	if (cow->fd < 0) {
		g_autofree char *name =
			g_build_filename(dir, "vmeste-XXXXXX", NULL);

		cow->fd = g_mkstemp_full(name, O_RDWR | O_CLOEXEC, 0600);
		if (cow->fd >= 0)
			unlink(name);
	}
	if (cow->fd >= 0)
		return true;
	conf_error_set_errno(err, errno,
		"set TMPDIR to a folder that you can write to",
		"cannot make a temporary file in %s", dir);
	return false;
}

bool cli_files_open_drive(struct conf_drive *d, GError **err)
{
	const char *what = conf_media_words.words[d->media];
	bool writable = !d->readonly && !d->snapshot && !d->top.path;
	const char *fix =
		writable ? "check the path, or add ,readonly or ,snapshot"
			 : "check the path";

	if (!d->file.path) /* an empty drive */
		return true;
	if (!open_file(&d->file, what, writable ? O_RDWR : O_RDONLY, fix, err))
		return false;
	if (!lock_image(&d->file, writable, err))
		return false;
	if (d->key.path)
		d->key.fd = cli_files_open_key(d->key.path, err);
	if (d->key.path && d->key.fd < 0)
		return false;
	if (d->top.path)
		return open_file(&d->top, "new image",
			       O_RDWR | O_CREAT | O_EXCL, NULL, err) &&
		       lock_image(&d->top, true, err);
	return !d->snapshot || cli_files_scratch(&d->cow, err);
}

/* The option ROM lets the firmware boot from the network; absent is fine. */
static bool open_rom(
	const struct conf_machine *m, struct conf_nic *n, GError **err)
{
	static const char *const roms[CONF_NNICS][2] = {
		[CONF_NIC_VIRTIO] = ROM("virtio"),
		[CONF_NIC_E1000] = ROM("e1000"),
		[CONF_NIC_E1000E] = ROM("e1000e"),
		[CONF_NIC_PCNET] = ROM("pcnet"),
		[CONF_NIC_RTL8139] = ROM("rtl8139"),
		[CONF_NIC_RTL8139C] = ROM("rtl8139"),
		[CONF_NIC_NE2000] = ROM("ne2k_pci")};
	const char *path = roms[n->model][m->firmware == CONF_FIRMWARE_UEFI];
	int fd;

	if (n->rom_stated)
		return !n->rom.path ||
		       open_file(&n->rom, "option ROM", O_RDONLY,
			       "check the path given to --nic ...,rom=", err);
	fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd >= 0) {
		n->rom.fd = fd;
		n->rom.path = g_strdup(path);
	}
	return true;
}

/* What TFTP serves; opened here, as it is our user who may read it. */
static bool open_tftp(struct conf_file *f, GError **err)
{
	static const char fix[] =
		"name a folder that you can read: --nic user,tftp=FOLDER";

	f->fd = open(f->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (f->fd >= 0 && !access(f->path, R_OK | X_OK))
		return true;
	conf_error_set_errno(err, errno, fix, "cannot serve %s", f->path);
	return false;
}

/* What is shared; opened here, as it is our user who may use it. */
static bool open_share(struct conf_share *s, GError **err)
{
	struct conf_file *f = &s->folder;

	f->fd = open(f->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (f->fd >= 0 &&
		!access(f->path, R_OK | X_OK | (s->readonly ? 0 : W_OK)))
		return true;
	conf_error_set_errno(err, errno,
		errno == ENOTDIR ? "name the folder that it is in"
		: errno == EROFS || (f->fd >= 0 && !s->readonly &&
					    !access(f->path, R_OK | X_OK))
			? "add ,readonly"
			: "name a folder that you can read: --share "
			  "FOLDER,tag=NAME",
		"cannot share %s", f->path);
	return false;
}

/* The card's BIOS; without it there is a screen only for drivers. */
static void open_vga_rom(struct conf_machine *m)
{
	static const char *const roms[] = {
		[CONF_VGA_STD] = VGABIOS "stdvga.bin",
		[CONF_VGA_VIRTIO] = VGABIOS "virtio.bin"};
	int fd = m->vga == CONF_VGA_NONE
			 ? -1
			 : open(roms[m->vga], O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	m->vga_rom.fd = fd;
	m->vga_rom.path = g_strdup(roms[m->vga]);
}

/* The remote screen's certificate and its key. */
static bool open_tls(struct conf_machine *m, GError **err)
{
	return !m->display_tls || !m->tls_cert.path ||
	       (open_file(&m->tls_cert, "certificate", O_RDONLY,
			"check the path given to tls-cert=", err) &&
		       open_file(&m->tls_key, "certificate's key", O_RDONLY,
			       "check the path given to tls-key=", err));
}

/* ---- serial lines ---- */

static bool listen_unix(struct conf_file *f, GError **err)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (strlen(f->path) >= sizeof(a.sun_path)) {
		conf_error_set(err, CONF_ERROR_USAGE,
			"a socket's path has at most 107 bytes",
			"choose a shorter path", "cannot listen on %s",
			f->path);
		return false;
	}
	memcpy(a.sun_path, f->path, strlen(f->path));
	f->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (f->fd >= 0 && !bind(f->fd, (struct sockaddr *)&a, sizeof(a)) &&
		!listen(f->fd, 1))
		return true;
	conf_error_set_errno(err, errno,
		errno == EADDRINUSE ? "remove the file or choose another"
				    : "check the path",
		"cannot listen on %s", f->path);
	/* Not ours to remove. */
	g_clear_pointer(&f->path, g_free);
	return false;
}

static bool open_serial(struct conf_serial *s, GError **err)
{
	switch (s->kind) {
	case CONF_SERIAL_NONE: return true;
	case CONF_SERIAL_FILE:
		return open_file(&s->file, "serial file",
			O_WRONLY | O_CREAT | O_TRUNC,
			"name a file in a folder that you can write to", err);
	case CONF_SERIAL_UNIX: return listen_unix(&s->file, err);
	case CONF_SERIAL_STDIO:
		s->in_fd = fcntl(0, F_DUPFD_CLOEXEC, 3);
		s->file.fd = fcntl(1, F_DUPFD_CLOEXEC, 3);
		/* Closed ones read and write nothing. */
		if (s->in_fd < 0)
			s->in_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (s->file.fd < 0)
			s->file.fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
		return true;
	}
	return true;
}

static bool open_audio(struct conf_machine *m, GError **err)
{
	if (m->audio_source_file.path &&
		!open_file(&m->audio_source_file, "sound", O_RDONLY,
			"check the path given to --audio source=", err))
		return false;
	return !m->audio_file.path ||
	       open_file(&m->audio_file, "sound file",
		       O_WRONLY | O_CREAT | O_TRUNC,
		       "name a file in a folder that you can write to", err);
}

bool cli_files_open(struct conf_machine *m, GError **err)
{
	if (!open_kernel(m, err) || !open_firmware(m, err) ||
		!open_nvram(m, err) || !open_audio(m, err))
		return false;
	for (guint i = 0; i < m->drives->len; i++) {
		if (!cli_files_open_drive(g_ptr_array_index(m->drives, i), err))
			return false;
	}
	for (guint i = 0; i < m->nics->len; i++) {
		struct conf_nic *n = g_ptr_array_index(m->nics, i);

		if (!open_rom(m, n, err) ||
			(n->tftp.path && !open_tftp(&n->tftp, err)))
			return false;
	}
	for (guint i = 0; i < m->shares->len; i++)
		if (!open_share(g_ptr_array_index(m->shares, i), err))
			return false;
	open_vga_rom(m);
	if (!open_tls(m, err))
		return false;
	for (guint i = 0; i < m->serial->len; i++) {
		if (!open_serial(g_ptr_array_index(m->serial, i), err))
			return false;
	}
	for (guint i = 0; i < m->parallel->len; i++) {
		if (!open_serial(g_ptr_array_index(m->parallel, i), err))
			return false;
	}
	if (m->trace.path &&
		!open_file(&m->trace, "trace", O_WRONLY | O_CREAT | O_TRUNC,
			"name a file in a folder that you can "
			"write to",
			err))
		return false;
	return open_serial(&m->console, err) &&
	       open_serial(&m->smartcard, err) &&
	       open_serial(&m->debugcon, err);
}

static void remove_socket(const struct conf_serial *s)
{
	if (s->kind == CONF_SERIAL_UNIX && s->file.path && s->file.fd >= 0)
		unlink(s->file.path);
}

void cli_files_remove(const struct conf_machine *m)
{
	for (guint i = 0; i < m->serial->len; i++)
		remove_socket(g_ptr_array_index(m->serial, i));
	for (guint i = 0; i < m->parallel->len; i++)
		remove_socket(g_ptr_array_index(m->parallel, i));
	remove_socket(&m->console);
	remove_socket(&m->smartcard);
	remove_socket(&m->debugcon);
}

int cli_files_open_image(const char *path, bool writable, GError **err)
{
	struct conf_file f = {.fd = -1, .path = g_strdup(path)};
	int fd = -1;

	if (open_file(&f, "image", writable ? O_RDWR : O_RDONLY,
		    "check the path", err) &&
		lock_image(&f, writable, err)) {
		fd = f.fd;
		f.fd = -1;
	}
	conf_file_clear(&f);
	return fd;
}

/* ---- keys ---- */

#define KEY_MAX 65536

static int keep_key(int from, GError **err)
{
	char buf[4096];
	int to = memfd_create("key", MFD_CLOEXEC);
	size_t len = 0;
	ssize_t n = to < 0 ? -1 : 0;

	while (to >= 0 && len <= KEY_MAX &&
		(n = read(from, buf, sizeof(buf))) > 0 &&
		write(to, buf, (size_t)n) == n)
		len += (size_t)n;
	explicit_bzero(buf, sizeof(buf));
	if (!n && len)
		return to;
	if (to >= 0)
		close(to);
	conf_error_set(err, CONF_ERROR_USAGE,
		n < 0  ? g_strerror(errno)
		: !len ? "it is empty"
		       : "a key has at most 64 KiB",
		"head -c 64 /dev/urandom makes a good one",
		"cannot use the key file");
	return -1;
}

int cli_files_open_key(const char *path, GError **err)
{
	struct conf_file f = {.fd = -1, .path = g_strdup(path)};
	bool in = !strcmp(path, "-");
	int fd = -1;

	if (in || open_file(&f, "key file", O_RDONLY, "check the path", err))
		fd = keep_key(in ? 0 : f.fd, err);
	conf_file_clear(&f);
	return fd;
}

/* ---- files that images name ---- */

/* The UUID of a VDI as 32 digits, as far as it is one. */
static bool vdi_uuid(const char *path, char text[33])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	uint8_t h[512];
	bool ok = fd >= 0 && pread(fd, h, sizeof(h), 0) == sizeof(h) &&
		  !memcmp(h + 0x40, "\x7f\x10\xda\xbe", 4);

	if (fd >= 0)
		close(fd);
	for (unsigned i = 0; ok && i < 16; i++)
		snprintf(text + 2 * i, 3, "%02x", h[0x188 + i]);
	return ok;
}

static char *find_vdi(const char *dir, const char *uuid, GError **err)
{
	g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
	const char *name;
	char text[33];

	while (d && (name = g_dir_read_name(d))) {
		g_autofree char *path = g_build_filename(dir, name, NULL);

		if (g_str_has_suffix(name, ".vdi") && vdi_uuid(path, text) &&
			!strcmp(text, uuid))
			return g_steal_pointer(&path);
	}
	conf_error_set(err, CONF_ERROR_NOT_FOUND,
		"a vdi image knows its parent by UUID only",
		"put the parent into the same folder",
		"no .vdi file in %s has the UUID %s", dir, uuid);
	return NULL;
}

char *cli_files_find_named(const struct cli_named *n, GError **err)
{
	g_autofree char *dir = g_path_get_dirname(n->from);
	const char *name = n->name;

	if (g_str_has_prefix(name, "vdi:"))
		return find_vdi(dir, name + strlen("vdi:"), err);
	/* Images may write file: before a name. */
	if (g_str_has_prefix(name, "file:"))
		name += strlen("file:");
	return g_path_is_absolute(name) ? g_strdup(name)
					: g_build_filename(dir, name, NULL);
}

/* The image is hostile: it must not make us write to just any file. */
static bool may_write(const struct cli_named *n, GError **err)
{
	g_autofree char *base = g_path_get_basename(n->top);

	if (g_str_has_suffix(base, ".vmdk"))
		base[strlen(base) - strlen(".vmdk")] = '\0';
	if (n->top_writable && !strcmp(n->top, n->from) &&
		!strchr(n->name, '/') && g_str_has_prefix(n->name, base) &&
		g_str_has_suffix(n->name, ".vmdk"))
		return true;
	conf_error_set(err, CONF_ERROR_DENIED,
		"an extent must lie beside its image, and its name must begin "
		"like the image's",
		NULL, "will not write to %s", n->name);
	return false;
}

int cli_files_open_named(const struct cli_named *n, char **path, GError **err)
{
	struct conf_file f = {.fd = -1};
	struct stat st;
	int fd;

	if (n->writable && !may_write(n, err))
		return -1;
	f.path = cli_files_find_named(n, err);
	if (!f.path)
		return -1;
	if (!open_file(&f, n->writable ? "extent" : "backing file",
		    n->writable ? O_RDWR : O_RDONLY,
		    "put the file where the image looks for it", err) ||
		!lock_image(&f, n->writable, err)) {
		conf_file_clear(&f);
		return -1;
	}
	if (fstat(f.fd, &st) || !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))) {
		conf_error_set(err, CONF_ERROR_DENIED,
			"it is neither a file nor a disk", NULL,
			"cannot use backing file %s", f.path);
		conf_file_clear(&f);
		return -1;
	}
	fd = f.fd;
	*path = f.path;
	return fd;
}

static void absolute(struct conf_file *f)
{
	char *path;

	if (!f->path)
		return;
	path = g_canonicalize_filename(f->path, NULL);
	g_free(f->path);
	f->path = path;
}

void cli_files_absolute(struct conf_machine *m)
{
	absolute(&m->kernel);
	absolute(&m->initrd);
	absolute(&m->firmware_file);
	absolute(&m->tls_cert);
	absolute(&m->tls_key);
	for (guint i = 0; i < m->drives->len; i++) {
		struct conf_drive *d = g_ptr_array_index(m->drives, i);

		absolute(&d->file);
		absolute(&d->key);
	}
	for (guint i = 0; i < m->nics->len; i++)
		absolute(&((struct conf_nic *)g_ptr_array_index(m->nics, i))
				  ->tftp);
	for (guint i = 0; i < m->shares->len; i++)
		absolute(&((struct conf_share *)g_ptr_array_index(m->shares, i))
				  ->folder);
	for (guint i = 0; i < m->serial->len; i++)
		absolute(
			&((struct conf_serial *)g_ptr_array_index(m->serial, i))
				 ->file);
	for (guint i = 0; i < m->parallel->len; i++)
		absolute(&(
			(struct conf_serial *)g_ptr_array_index(m->parallel, i))
				  ->file);
	absolute(&m->audio_file);
	absolute(&m->audio_source_file);
	absolute(&m->console.file);
	absolute(&m->debugcon.file);
}

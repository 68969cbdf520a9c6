/*
 * disk_serve.c - an image for other programs by the NBD protocol: disk serve.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/disk.h"
#include "cli/files.h"
#include "cli/verb.h"
#include "conf/error.h"
#include "conf/parse.h"

#define BACKLOG 16

struct serving {
	struct cli_words words;
	bool readonly, snapshot, has_port;
	unsigned port; /* 0: any */
	char *format, *socket, *name, *key_file;
};

void *cli_disk_serve_new(void)
{
	struct serving *s = g_new0(struct serving, 1);

	s->words.max = 1;
	return s;
}

void cli_disk_serve_free(void *ctx)
{
	struct serving *s = ctx;

	g_free(s->format);
	g_free(s->socket);
	g_free(s->name);
	g_free(s->key_file);
	cli_words_free(ctx);
}

/* ---- flags ---- */

static bool set_format(void *ctx, const char *v, GError **err)
{
	return cli_set_text(&((struct serving *)ctx)->format, v);
}

static bool set_socket(void *ctx, const char *v, GError **err)
{
	return cli_set_text(&((struct serving *)ctx)->socket, v);
}

static bool set_name(void *ctx, const char *v, GError **err)
{
	return cli_set_text(&((struct serving *)ctx)->name, v);
}

static bool set_port(void *ctx, const char *v, GError **err)
{
	struct serving *s = ctx;

	s->has_port = conf_parse_uint(v, "port", 0, 65535, &s->port, err);
	return s->has_port;
}

static bool set_readonly(void *ctx, const char *v, GError **err)
{
	return ((struct serving *)ctx)->readonly = true;
}

static bool set_key_file(void *ctx, const char *v, GError **err)
{
	return cli_set_text(&((struct serving *)ctx)->key_file, v);
}

static bool set_snapshot(void *ctx, const char *v, GError **err)
{
	return ((struct serving *)ctx)->snapshot = true;
}

const struct cli_flag cli_disk_serve_flags[] = {
	{"socket", 0, "FILE", "listen on a Unix socket, for this user alone",
		"@file", set_socket},
	{"port", 0, "PORT",
		"listen on 127.0.0.1, for anybody on this host (0: any that "
		"is free)",
		NULL, set_port},
	{"readonly", 0, NULL, "let nobody write", NULL, set_readonly},
	{"snapshot", 0, NULL, "throw away at the end what was written", NULL,
		set_snapshot},
	{"name", 0, "NAME",
		"what the disk is called (the empty name is "
		"taken as well)",
		NULL, set_name},
	{"format", 0, "FORMAT", "the image's format, if its name does not say",
		CLI_DISK_FORMATS, set_format},
	{"key-file", 0, "FILE",
		"what opens the disk, which is encrypted (LUKS); -: standard "
		"input",
		"@file", set_key_file},
	{NULL}};

/* ---- listening ---- */

static int listen_unix(const char *path, GError **err)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), e;
	mode_t was = umask(0177);

	e = strlen(path) >= sizeof(a.sun_path) ? ENAMETOOLONG : 0;
	if (!e)
		memcpy(a.sun_path, path, strlen(path));
	if (!e && (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) ||
			  listen(fd, BACKLOG)))
		e = errno;
	umask(was);
	if (!e)
		return fd;
	if (fd >= 0)
		close(fd);
	conf_error_set_errno(err, e,
		e == EADDRINUSE ? "remove the file or choose another"
				: "check the path",
		"cannot listen on %s", path);
	return -1;
}

static int listen_port(unsigned *port, GError **err)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)*port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, e;

	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd >= 0 && !bind(fd, (struct sockaddr *)&a, sizeof(a)) &&
		!listen(fd, BACKLOG) &&
		!getsockname(fd, (struct sockaddr *)&a, &len)) {
		*port = ntohs(a.sin_port);
		return fd;
	}
	e = errno;
	if (fd >= 0)
		close(fd);
	conf_error_set_errno(err, e,
		"choose another port, or 0 for any that is free",
		"cannot listen on port %u", *port);
	return -1;
}

/* Where it is to be found, when it is. */
static void print_address(void *opaque, const struct wire_msg *m)
{
	const struct serving *s = opaque;
	g_autofree char *name =
		s->name ? g_uri_escape_string(s->name, NULL, FALSE) : NULL;
	g_autofree char *full =
		s->socket ? g_canonicalize_filename(s->socket, NULL) : NULL;
	g_autofree char *path =
		full ? g_uri_escape_string(full, "/", FALSE) : NULL;

	if (path)
		printf("nbd+unix:///%s?socket=%s\n", name ? name : "", path);
	else
		printf("nbd://127.0.0.1:%u/%s\n", s->port, name ? name : "");
	fflush(stdout);
}

static bool add_scratch(struct cli_disk_job *j, GError **err)
{
	struct conf_file f = {.fd = -1};
	bool ok = cli_files_scratch(&f, err);

	g_free(f.path);
	if (ok)
		cli_disk_add_fd(j, "cow", f.fd);
	return ok;
}

static bool check_words(const struct serving *s, GError **err)
{
	if (s->words.n && !s->socket != !s->has_port)
		return true;
	conf_error_set(err, CONF_ERROR_USAGE, NULL,
		"write for example vmeste disk serve --socket disk.sock "
		"disk.vhd, or --port 10809",
		!s->words.n ? "a file's name is missing"
		: s->socket ? "either --socket or --port"
			    : "where shall it listen?");
	return false;
}

int cli_disk_serve(void *ctx, GError **err)
{
	struct serving *s = ctx;
	bool write = !s->readonly && !s->snapshot;
	struct cli_disk_job *j;
	struct wire_msg *m = NULL;
	int fd;

	if (!check_words(s, err))
		return CONF_ERROR_USAGE;
	j = cli_disk_new("serve");
	j->serves = true;
	j->ready = print_address;
	j->opaque = s;
	if (s->name)
		json_object_set_string_member(j->body, "name", s->name);
	if (!cli_disk_add(j, "src", s->words.word[0], s->format, write, err) ||
		!cli_disk_add_key(j, "src", s->key_file, err) ||
		(s->snapshot && !s->readonly && !add_scratch(j, err))) {
		cli_disk_free(j);
		return conf_error_status(*err);
	}
	fd = s->socket ? listen_unix(s->socket, err)
		       : listen_port(&s->port, err);
	if (fd >= 0) {
		cli_disk_add_fd(j, "listen", fd);
		m = cli_disk_run(j, err);
		if (s->socket)
			unlink(s->socket);
	}
	cli_disk_free(j);
	if (!m)
		return conf_error_status(*err);
	wire_msg_free(m);
	return 0;
}

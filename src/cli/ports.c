/*
 * ports.c - may the host ports that a machine forwards be used?
 */
#include "cli/ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf/error.h"

static int try_bind(const struct conf_forward *f)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons(f->host_port),
		.sin_addr.s_addr =
			f->host_addr ? f->host_addr : htonl(INADDR_LOOPBACK)};
	int type = (f->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC;
	int fd = socket(AF_INET, type, 0), one = 1, r = 0;

	if (fd < 0)
		return 0; /* no IPv4 here: the back end will tell */
	if (!f->udp)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) ||
		(!f->udp && listen(fd, 1)))
		r = errno;
	close(fd);
	return r;
}

static bool check_forward(const struct conf_forward *f, GError **err)
{
	int r = try_bind(f);
	const char *proto = f->udp ? "udp" : "tcp";
	g_autofree char *fix = NULL;

	if (!r)
		return true;
	if (r == EADDRINUSE)
		fix = g_strdup_printf("stop what listens there, or choose "
				      "another: forward=%s:%u:%u",
			proto, (unsigned)(f->host_port ^ 0x2000),
			f->guest_port);
	else if (r == EACCES)
		fix = g_strdup_printf("choose a port of 1024 or more: "
				      "forward=%s:%u:%u",
			proto, f->host_port + 8000u, f->guest_port);
	conf_error_set_errno(err, r, fix, "cannot forward host %s port %u",
		proto, f->host_port);
	return false;
}

bool cli_ports_check(const struct conf_machine *m, GError **err)
{
	for (guint i = 0; i < m->nics->len; i++) {
		const struct conf_nic *n = g_ptr_array_index(m->nics, i);

		for (guint j = 0; j < n->forwards->len; j++) {
			if (!check_forward(&g_array_index(n->forwards,
						   struct conf_forward, j),
				    err))
				return false;
		}
	}
	return true;
}

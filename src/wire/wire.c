/*
 * wire.c - versioned messages between our processes, with descriptors.
 */
#include "wire/wire.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "conf/error.h"

struct wire_header {
	uint32_t magic;
	uint16_t version;
	uint16_t nfds;
	uint32_t bytes; /* of JSON after the header */
	uint32_t zero;
};

#define WIRE_MAGIC 0x54534d56u /* "VMST" */

union control {
	struct cmsghdr align;
	char space[CMSG_SPACE(WIRE_MAX_FDS * sizeof(int))];
};

int wire_pair(int sv[2])
{
	int type = SOCK_SEQPACKET | SOCK_CLOEXEC;

	return socketpair(AF_UNIX, type, 0, sv) ? -errno : 0;
}

static char *body_to_text(const char *type, JsonObject *body, gsize *len)
{
	g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
	g_autoptr(JsonGenerator) gen = json_generator_new();

	if (!body)
		body = json_object_new();
	json_object_set_string_member(body, "type", type);
	json_node_take_object(node, body);
	json_generator_set_root(gen, node);
	return json_generator_to_data(gen, len);
}

static void attach_fds(
	struct msghdr *mh, union control *c, const int *fds, unsigned nfds)
{
	struct cmsghdr *cm;

	if (!nfds)
		return;
	memset(c, 0, sizeof(*c));
	mh->msg_control = c->space;
	mh->msg_controllen = CMSG_SPACE(nfds * sizeof(int));
	cm = CMSG_FIRSTHDR(mh);
	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(nfds * sizeof(int));
	memcpy(CMSG_DATA(cm), fds, nfds * sizeof(int));
}

bool wire_send(int sock, const char *type, JsonObject *body, const int *fds,
	unsigned nfds, GError **err)
{
	gsize len;
	g_autofree char *text = body_to_text(type, body, &len);
	struct wire_header h = {.magic = WIRE_MAGIC,
		.version = WIRE_VERSION,
		.nfds = (uint16_t)nfds,
		.bytes = (uint32_t)len};
	struct iovec iov[2] = {{&h, sizeof(h)}, {text, len}};
	struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 2};
	union control c;
	ssize_t n;

	if (len > WIRE_MAX_BYTES || nfds > WIRE_MAX_FDS) {
		conf_error_set(err, CONF_ERROR_USAGE,
			"the description of the machine is too long",
			"give fewer devices or shorter names",
			"message '%s' of %zu bytes, %u files", type, len, nfds);
		return false;
	}
	attach_fds(&mh, &c, fds, nfds);
	do
		n = sendmsg(sock, &mh, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return true;
	conf_error_set_errno(
		err, errno, NULL, "cannot send message '%s'", type);
	return false;
}

static bool malformed(GError **err, const char *what)
{
	conf_error_set(err, CONF_ERROR_FAILED, what,
		"check that vmeste and vmeste-vm are of one version",
		"a message between vmeste's processes is malformed");
	return false;
}

/* json-glib parses recursively, so the depth is bounded before it looks. */
static bool depth_ok(const char *p, size_t len)
{
	bool in_string = false;
	int depth = 0;

	for (size_t i = 0; i < len; i++) {
		if (in_string) {
			if (p[i] == '\\')
				i++;
			else if (p[i] == '"')
				in_string = false;
		} else if (p[i] == '"') {
			in_string = true;
		} else if (p[i] == '{' || p[i] == '[') {
			if (++depth > WIRE_MAX_DEPTH)
				return false;
		} else if (p[i] == '}' || p[i] == ']') {
			depth--;
		}
	}
	return true;
}

static bool parse_body(
	struct wire_msg *m, const char *text, size_t len, GError **err)
{
	g_autoptr(JsonParser) parser = json_parser_new_immutable();
	JsonNode *root, *type;

	if (!depth_ok(text, len))
		return malformed(err, "nested too deeply");
	if (!g_utf8_validate_len(text, len, NULL) ||
		!json_parser_load_from_data(parser, text, (gssize)len, NULL))
		return malformed(err, "not JSON");
	root = json_parser_get_root(parser);
	if (!root || !JSON_NODE_HOLDS_OBJECT(root))
		return malformed(err, "not a JSON object");
	m->node = json_parser_steal_root(parser);
	m->body = json_node_get_object(m->node);
	type = json_object_get_member(m->body, "type");
	if (!type || json_node_get_value_type(type) != G_TYPE_STRING)
		return malformed(err, "no type");
	m->type = json_node_get_string(type);
	return true;
}

/* Whatever came is taken into m, so that freeing m closes it. */
static void take_fds(struct wire_msg *m, struct msghdr *mh)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (m->nfds < WIRE_MAX_FDS)
				m->fds[m->nfds++] = fd;
			else
				close(fd);
		}
	}
}

static bool header_ok(const struct wire_msg *m, const struct wire_header *h,
	size_t got, GError **err)
{
	if (got < sizeof(*h) || h->magic != WIRE_MAGIC)
		return malformed(err, "no header");
	if (h->version != WIRE_VERSION)
		return malformed(err, "another version");
	if (h->bytes != got - sizeof(*h) || h->bytes > WIRE_MAX_BYTES)
		return malformed(err, "wrong length");
	if (h->nfds != m->nfds)
		return malformed(err, "descriptors are missing");
	return true;
}

struct wire_msg *wire_recv(int sock, GError **err)
{
	g_autofree char *text = g_malloc(WIRE_MAX_BYTES + 1);
	g_autoptr(wire_msg_auto) m = g_new0(struct wire_msg, 1);
	struct wire_header h;
	struct iovec iov[2] = {{&h, sizeof(h)}, {text, WIRE_MAX_BYTES + 1}};
	union control c;
	struct msghdr mh = {.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = c.space,
		.msg_controllen = sizeof(c)};
	ssize_t n;

	do
		n = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n == 0 || (n < 0 && (errno == EAGAIN || errno == ECONNRESET))) {
		if (n == 0)
			errno = 0;
		return NULL;
	}
	if (n < 0) {
		conf_error_set_errno(
			err, errno, NULL, "cannot receive a message");
		return NULL;
	}
	take_fds(m, &mh);
	if (!header_ok(m, &h, (size_t)n, err) ||
		!parse_body(m, text, h.bytes, err))
		return NULL;
	return g_steal_pointer(&m);
}

void wire_msg_free(struct wire_msg *m)
{
	for (unsigned i = 0; i < m->nfds; i++) {
		if (m->fds[i] >= 0)
			close(m->fds[i]);
	}
	if (m->node)
		json_node_unref(m->node);
	g_free(m);
}

const char *wire_msg_string(const struct wire_msg *m, const char *key)
{
	JsonNode *n = json_object_get_member(m->body, key);

	if (!n || !JSON_NODE_HOLDS_VALUE(n) ||
		json_node_get_value_type(n) != G_TYPE_STRING)
		return NULL;
	return json_node_get_string(n);
}

gint64 wire_msg_int(const struct wire_msg *m, const char *key, gint64 dflt)
{
	JsonNode *n = json_object_get_member(m->body, key);

	if (!n || !JSON_NODE_HOLDS_VALUE(n) ||
		json_node_get_value_type(n) != G_TYPE_INT64)
		return dflt;
	return json_node_get_int(n);
}

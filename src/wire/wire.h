/*
 * wire.h - versioned messages between our processes, with descriptors.
 *
 * One message is one datagram of a SOCK_SEQPACKET socket pair: a fixed header
 * (magic, version, number of descriptors, length) and a JSON object that has
 * a "type" member.  Descriptors travel beside it (SCM_RIGHTS, close-on-exec)
 * and are named in the JSON by index.  Either end treats the other as
 * hostile: length, count and nesting are bounded and checked before parsing.
 *
 * Messages between `vmeste run` (client) and vmeste-vm (vm); the socket is
 * descriptor WIRE_VM_FD of vmeste-vm:
 *
 *   client -> vm  start   {machine: conf_machine_to_json(), tty: bool}
 *                         first message; tty: standard input is a terminal
 *                         that the client has made raw (and will restore)
 *   vm -> client  open    {drive, name, image, write}  asks for the file
 *                         that image names (image: path of an earlier answer,
 *                         absent = the drive's own; write: an extent of a
 *                         writable image); before the guest runs
 *   client -> vm  opened  {fd: 0, path} or {error: text, code}
 *   vm -> client  note    {text}         one line for standard error
 *   vm -> client  running {engine, why}  set-up done, the guest starts
 *   vm -> client  exit    {status, message}  last; message as in conf/error.h
 *                         ("what\n  why:  ..\n  fix:  .."), absent if none
 *   vm -> client  connect {port, id}     the guest wants this port of the
 *                         host's; at most 32 have no answer yet
 *   client -> vm  connected {id, fd: 0} or {id, again}  a socket that is
 *                         connected; or nobody listens; again: its queue is
 *                         full
 *   client -> vm  stop    {}             leave at once (also SIGTERM)
 *   client -> vm  powerdown {}           press the power button
 *
 * Requests to a running machine use the same messages on a socket of its own;
 * docs/control.md lists them.
 *
 * vmeste-vm then ends with the same status; if it ends without `exit`, the
 * client reports that it was lost.
 */
#ifndef WIRE_WIRE_H
#define WIRE_WIRE_H

#include <stdbool.h>

#include <glib.h>
#include <json-glib/json-glib.h>

#define WIRE_VERSION   1
#define WIRE_VM_FD     3
#define WIRE_MAX_BYTES 65536
#define WIRE_MAX_FDS   128
#define WIRE_MAX_DEPTH 16

struct wire_msg {
	JsonNode *node;	       /* the object */
	JsonObject *body;      /* of node */
	const char *type;      /* in body; never NULL */
	int fds[WIRE_MAX_FDS]; /* -1 once taken */
	unsigned nfds;
};

/* A pair of close-on-exec sockets.  0 or -errno. */
int wire_pair(int sv[2]);

/* body (or NULL) is consumed and gets its "type".  fds are only lent.
 * Blocks until sent; false and *err if the other end is gone. */
bool wire_send(int sock, const char *type, JsonObject *body, const int *fds,
	unsigned nfds, GError **err);

/* The next message.  Blocks unless the socket does not.  NULL without *err:
 * the other end has closed (or, on a non-blocking socket, nothing is there:
 * errno == EAGAIN).  NULL with *err: rubbish came. */
struct wire_msg *wire_recv(int sock, GError **err);
void wire_msg_free(struct wire_msg *m); /* closes what was not taken */

/* Member of the body, or the default. */
const char *wire_msg_string(const struct wire_msg *m, const char *key);
gint64 wire_msg_int(const struct wire_msg *m, const char *key, gint64 dflt);

typedef struct wire_msg wire_msg_auto;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(wire_msg_auto, wire_msg_free)

#endif

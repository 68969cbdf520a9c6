/*
 * stored.h - machines that live in folders (node/folder.h), between the verbs
 * that use them, and what `vmeste run` does, in parts.
 */
#ifndef CLI_STORED_H
#define CLI_STORED_H

#include "conf/machine.h"
#include "node/settings.h"

/* What its machine.xml says: an array of struct node_setting *. */
GPtrArray *cli_stored_settings(const char *name, GError **err);
/* Run it here, with these flags too; made with them if it is not there. */
int cli_stored_run(const char *name, const GPtrArray *flags, GError **err);
/* In the background; returns when its guest runs. */
struct cli_start {
	bool discard; /* not from where it was saved */
	bool paused;  /* it stands until it is told to go on */
};

int cli_stored_start(const char *name, struct cli_start how, GError **err);
/* A machine that was opened (cli_run_open) goes on in the background.  Takes
 * run and lock (of node_begin; -1: the machine has no folder) over.  forget, or
 * NULL, closes what the new process shall not keep.  What cli_stored_wait waits
 * at, or -1. */
struct cli_background {
	void *run;
	const char *name;
	int lock;
	void (*forget)(void *opaque);
	void *opaque;
};

int cli_stored_background(const struct cli_background *b, GError **err);
/* Until its guest runs: 0, or the status with which it failed. */
int cli_stored_wait(int fd, GError **err);
/* Change one setting for good: "mem=2G", or back to its default: "mem=". */
int cli_stored_set(const char *name, const char *what, GError **err);
/* "disk0.iops=500" in parts (any may be NULL), to be freed. */
bool cli_drive_setting(
	const char *word, char **drive, char **key, char **value);
/* "off", "running", "crashed", "saved" */
const char *cli_stored_state(const char *name);

/* ctx is of cli_run_new. */
bool cli_run_apply(void *ctx, const GPtrArray *settings, GError **err);
/* What machine.xml says, and the flags (or NULL). */
bool cli_run_stored(
	void *ctx, const char *name, const GPtrArray *flags, GError **err);
bool cli_run_check(void *ctx, GError **err); /* opens nothing */
/* Files, sockets, ports.  socket: where the first serial port goes if that is
 * not said; NULL: here. */
bool cli_run_open(void *ctx, const char *socket, GError **err);
/* Out of this state, as its machine.xml or flags say what a guest cannot see.
 */
void cli_run_go_on(void *ctx, const char *state);
void cli_run_close(void *ctx);
/* It is this machine, which becomes ctx's, and no other flags count. */
void cli_run_adopt(void *ctx, struct conf_machine *m);
struct conf_machine *cli_run_machine(void *ctx);

#endif

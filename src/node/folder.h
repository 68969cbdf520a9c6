/*
 * folder.h - machines that live in folders.
 *
 * A machine is one folder, named after it: machine.xml (settings.h), disks/,
 * logs/.  It can be copied and moved as it is.  All folders are in
 * $VMESTE_HOME, else $XDG_DATA_HOME/vmeste, else ~/.local/share/vmeste.
 *
 * While it runs, the process that runs it holds a lock on the file `run` in
 * it, which is removed at the end: a file that nobody holds tells of a crash.
 * Errors are CONF_ERRORs; what is returned is freed by g_free.
 */
#ifndef NODE_FOLDER_H
#define NODE_FOLDER_H

#include <stdbool.h>
#include <sys/types.h>

#include <glib.h>

enum node_state { NODE_OFF, NODE_RUNNING, NODE_CRASHED };

char *node_dir(const char *name);
char *node_path(const char *name, const char *file);
/* Sorted; an empty array if there is no home yet. */
GPtrArray *node_names(GError **err);
void node_sort_names(GPtrArray *names);
bool node_exists(const char *name);

/* The folder and those in it.  One that is there already is a conflict. */
bool node_create(const char *name, GError **err);
/* What node_create made, before it became a machine. */
void node_discard(const char *name);
/* With everything in it.  One that runs is a conflict; so in rename. */
bool node_remove(const char *name, GError **err);
bool node_rename(const char *name, const char *to, GError **err);

enum node_state node_state(const char *name);
/* Until nobody runs it; false: somebody still does. */
bool node_wait_off(const char *name, unsigned ms);
pid_t node_pid(const char *name); /* of who runs it, or 0 */
/* How it ended last: status, and a line of text or NULL.  False: never. */
bool node_last(const char *name, int *status, char **message);

/* The machine is mine to run: a descriptor that holds the lock, or -1.  Waits
 * up to two seconds for one that is about to end. */
int node_begin(const char *name, GError **err);
/* It has ended.  Closes the descriptor. */
void node_end(const char *name, int lock, int status, const char *message);
/* Who begins hands over: pid runs it (for messages). */
void node_runs(int lock, pid_t pid);

#endif

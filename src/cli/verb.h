/*
 * verb.h - the verb table: what the command line can do.
 *
 * One table generates the parser, the help texts, the man pages and the shell
 * completion, so they cannot drift apart.
 */
#ifndef CLI_VERB_H
#define CLI_VERB_H

#include <stdbool.h>

#include <glib.h>

struct cli_flag {
	const char *name;  /* long name, without the dashes */
	char letter;	   /* short name, or 0 */
	const char *arg;   /* what its argument is called; NULL: takes none */
	const char *help;  /* one sentence, no full stop */
	const char *words; /* for completion: "auto bt kvm", "@file", NULL */
	/* ctx is the verb's own; value NULL for a flag without argument. */
	bool (*set)(void *ctx, const char *value, GError **err);
};

struct cli_verb {
	const char *name;
	const char *args;    /* "[FLAGS] [NAME]" */
	const char *summary; /* one line */
	const char *text;    /* paragraphs for --help and the man page */
	const struct cli_flag *flags; /* ends with a NULL name; may be NULL */
	const char *first; /* a flag that is taken before all others, or NULL */
	const char *flags_of; /* NULL, or the verb whose help lists them */
	const char *const *examples; /* 2 to 4 pairs: command, what it does */
	void *(*new_ctx)(void);
	void (*free_ctx)(void *ctx);
	bool (*positional)(void *ctx, const char *word, GError **err);
	/* Instead of the flags' own functions, if there is one. */
	bool (*flag)(void *ctx, const struct cli_flag *f, const char *value,
		GError **err);
	/* Returns the exit status; *err is printed if set. */
	int (*run)(void *ctx, GError **err);
};

extern const struct cli_verb cli_verbs[]; /* ends with a NULL name */
const struct cli_verb *cli_verb_find(const char *name);

/* The whole program. */
int cli_main(int argc, char **argv);

/* Parse the words after the verb; *help is set for --help. */
bool cli_args_parse(const struct cli_verb *v, void *ctx, char **words,
	bool *help, GError **err);

/* "  fix:  did you mean ..." material: the nearest name, or NULL. */
const char *cli_nearest(const char *word, const char *const *names);

void cli_help_overview(void); /* six lines */
void cli_help_all(void);
void cli_help_noun(const char *noun); /* its verbs */
void cli_help_verb(const struct cli_verb *v);
void cli_man_main(void);
void cli_man_verb(const struct cli_verb *v);
bool cli_completion_print(const char *shell, GError **err);

/* A flag's value into *to, which is owned, in place of an earlier one; true. */
bool cli_set_text(char **to, const char *v);

/* The exit status of what has failed, with an error or without. */
int cli_status(GError **err);

/* "error: what" and its why and fix lines on standard error. */
void cli_error_print(const GError *err);

/* The plain arguments of a verb that has few: first in its context, which is
 * then freed with them. */
#define CLI_MAX_WORDS 3

struct cli_words {
	char *word[CLI_MAX_WORDS]; /* NULL: not given */
	unsigned n, max;
};

void cli_words_free(void *ctx);
bool cli_words_positional(void *ctx, const char *word, GError **err);

/* Constructors of the verbs' contexts and their code, by file. */
void *cli_help_new(void);
bool cli_help_positional(void *ctx, const char *word, GError **err);
int cli_help(void *ctx, GError **err);
int cli_version(void *ctx, GError **err);
int cli_completion(void *ctx, GError **err);
extern const struct cli_flag cli_help_flags[];

void *cli_run_new(void);
void cli_run_free(void *ctx);
bool cli_run_positional(void *ctx, const char *word, GError **err);
int cli_run(void *ctx, GError **err);
extern const struct cli_flag cli_run_flags[];

/* Of disk images: disk.c. */
void *cli_disk_new_1(void); /* plain words at most */
void *cli_disk_new_2(void);
void cli_disk_ctx_free(void *ctx);
int cli_disk_create(void *ctx, GError **err);
int cli_disk_info(void *ctx, GError **err);
int cli_disk_map(void *ctx, GError **err);
int cli_disk_check(void *ctx, GError **err);
int cli_disk_compare(void *ctx, GError **err);
int cli_disk_convert(void *ctx, GError **err);
int cli_disk_compact(void *ctx, GError **err);
int cli_disk_resize(void *ctx, GError **err);
int cli_disk_rebase(void *ctx, GError **err);
extern const struct cli_flag cli_disk_create_flags[], cli_disk_info_flags[],
	cli_disk_map_flags[], cli_disk_check_flags[], cli_disk_compare_flags[],
	cli_disk_convert_flags[], cli_disk_compact_flags[],
	cli_disk_resize_flags[], cli_disk_rebase_flags[];

/* Images for other programs: disk_mount.c, disk_serve.c. */
void *cli_disk_serve_new(void);
void cli_disk_serve_free(void *ctx);
int cli_disk_serve(void *ctx, GError **err);
void *cli_disk_mount_new(void);
void cli_disk_mount_free(void *ctx);
int cli_disk_mount(void *ctx, GError **err);
int cli_disk_unmount(void *ctx, GError **err);
extern const struct cli_flag cli_disk_mount_flags[], cli_disk_serve_flags[];

/* Machines that live in folders: stored.c, running.c, console.c. */
bool cli_run_flag(
	void *ctx, const struct cli_flag *f, const char *value, GError **err);
void *cli_create_new(void);
void cli_create_free(void *ctx);
bool cli_create_positional(void *ctx, const char *word, GError **err);
bool cli_create_flag(
	void *ctx, const struct cli_flag *f, const char *value, GError **err);
int cli_create(void *ctx, GError **err);
void *cli_stored_new(void);
void *cli_stored_new2(void); /* of two names */
int cli_start(void *ctx, GError **err);
int cli_restart(void *ctx, GError **err);
int cli_show(void *ctx, GError **err);
int cli_edit(void *ctx, GError **err);
int cli_rm(void *ctx, GError **err);
int cli_rename(void *ctx, GError **err);
void *cli_console_new(void);
int cli_console(void *ctx, GError **err);
extern const struct cli_flag cli_rm_flags[], cli_show_flags[];

/* Streams to the guest's programs: vsock.c. */
void *cli_vsock_new(void);
int cli_vsock(void *ctx, GError **err);
extern const struct cli_flag cli_vsock_flags[];

void *cli_doctor_new(void);
int cli_doctor(void *ctx, GError **err);
extern const struct cli_flag cli_doctor_flags[];

/* Of running machines: ls.c, stat.c, running.c. */
void *cli_ls_new(void);
int cli_ls(void *ctx, GError **err);
extern const struct cli_flag cli_ls_flags[];

void *cli_stat_new(void);
int cli_stat(void *ctx, GError **err);
extern const struct cli_flag cli_stat_flags[];

void *cli_running_new(void);
int cli_set(void *ctx, GError **err);
int cli_stop(void *ctx, GError **err);
int cli_pause(void *ctx, GError **err);
int cli_resume(void *ctx, GError **err);
int cli_reset(void *ctx, GError **err);
int cli_nmi(void *ctx, GError **err);
extern const struct cli_flag cli_stop_flags[];

void *cli_media_new(void);
int cli_insert(void *ctx, GError **err);
int cli_eject(void *ctx, GError **err);
int cli_attach(void *ctx, GError **err);
int cli_detach(void *ctx, GError **err);
extern const struct cli_flag cli_media_flags[], cli_attach_flags[];

void *cli_trace_new(void);
int cli_trace(void *ctx, GError **err);
extern const struct cli_flag cli_trace_flags[];

void *cli_dump_new(void);
int cli_dump(void *ctx, GError **err);
extern const struct cli_flag cli_dump_flags[];

void *cli_save_new(void);
int cli_save(void *ctx, GError **err);
void *cli_fork_new(void);
void cli_fork_free(void *ctx);
bool cli_fork_positional(void *ctx, const char *word, GError **err);
int cli_fork(void *ctx, GError **err);
extern const struct cli_flag cli_save_flags[], cli_fork_flags[];

/* States of machines that live in folders: snap*.c. */
void *cli_snap_new(void);
void cli_snap_free(void *ctx);
int cli_snap(void *ctx, GError **err);
void *cli_snaps_new(void);
int cli_snaps(void *ctx, GError **err);
int cli_tree(void *ctx, GError **err);
void *cli_back_new(void);
int cli_back(void *ctx, GError **err);
void *cli_snaps_rm_new(void);
int cli_snaps_rm(void *ctx, GError **err);
int cli_snaps_merge(void *ctx, GError **err);
void *cli_copy_new(void);
int cli_copy(void *ctx, GError **err);
extern const struct cli_flag cli_copy_flags[];
void *cli_diff_new(void);
int cli_diff(void *ctx, GError **err);
extern const struct cli_flag cli_snap_flags[], cli_snaps_flags[],
	cli_back_flags[], cli_snaps_rm_flags[], cli_diff_flags[],
	cli_start_flags[];

/* Driving a machine by its screen: screen.c. */
void *cli_screen_new(void);
void cli_screen_free(void *ctx);
bool cli_screen_positional(void *ctx, const char *word, GError **err);
int cli_screenshot(void *ctx, GError **err);
int cli_type(void *ctx, GError **err);
int cli_key(void *ctx, GError **err);
int cli_wait(void *ctx, GError **err);
int cli_mouse(void *ctx, GError **err);
extern const struct cli_flag cli_type_flags[], cli_key_flags[],
	cli_wait_flags[];

#endif

/*
 * image-rig.h - what tests of image formats share: files in a folder of their
 * own, images in them, and a shell for qemu-img.
 */
#ifndef UNIT_IMAGE_RIG_H
#define UNIT_IMAGE_RIG_H

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

#include "block/image.h"

static char *rig_dir;

G_GNUC_UNUSED static char *rig_path(const char *name)
{
	return g_path_is_absolute(name) ? g_strdup(name)
					: g_build_filename(rig_dir, name, NULL);
}

/* A shell command in the folder; its status. */
G_GNUC_UNUSED G_GNUC_PRINTF(1, 2) static int rig_run(const char *fmt, ...)
{
	va_list ap;
	g_autofree char *cmd = NULL, *out = NULL, *errs = NULL;
	const char *argv[] = {"sh", "-c", NULL, NULL};
	int status = -1;

	va_start(ap, fmt);
	cmd = g_strdup_vprintf(fmt, ap);
	va_end(ap);
	argv[2] = cmd;
	if (!g_spawn_sync(rig_dir, (char **)(void *)argv, NULL,
		    G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &errs, &status,
		    NULL))
		return -1;
	if (status)
		g_test_message("%s: %s%s", cmd, out, errs);
	return status >> 8;
}

static struct blk *rig_open_named(void *opaque, const char *from,
	const char *name, bool writable, char **real, GError **err)
{
	g_autofree char *p = rig_path(name);
	/* Nobody names it: it is to be made. */
	int make = from ? 0 : O_CREAT | O_TRUNC;
	int fd = open(
		p, (writable ? O_RDWR | make : O_RDONLY) | O_CLOEXEC, 0600);

	if (fd < 0)
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_NOENT,
			"%s is not there", name);
	*real = g_strdup(name);
	return fd < 0 ? NULL : blk_raw_open(fd, !writable, err);
}

static const struct image_source rig_source = {rig_open_named, NULL};

G_GNUC_UNUSED static struct blk *rig_open(
	const char *name, const char *format, bool readonly, GError **err)
{
	g_autofree char *p = rig_path(name);
	int fd = open(p, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	struct image_open how = {
		.readonly = readonly, .source = &rig_source, .path = name};

	if (fd < 0) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_NOENT, "no file");
		return NULL;
	}
	how.lower = blk_raw_open(fd, readonly, err);
	g_assert_nonnull(how.lower);
	return image_open(image_format_find(format), &how, err);
}

/* c->lower is filled in. */
G_GNUC_UNUSED static bool rig_create(const char *name, const char *format,
	struct image_create *c, GError **err)
{
	g_autofree char *p = rig_path(name);
	bool ok;

	unlink(p);
	c->lower = blk_raw_open(
		open(p, O_RDWR | O_CREAT | O_CLOEXEC, 0600), false, err);
	g_assert_nonnull(c->lower);
	c->name = name;
	c->source = &rig_source;
	ok = image_format_find(format)->create(c, err);
	blk_close(c->lower);
	return ok;
}

G_GNUC_UNUSED static bool rig_have_qemu_img(void)
{
	g_autofree char *p = g_find_program_in_path("qemu-img");

	if (!p)
		g_test_skip("qemu-img is not installed (package qemu-utils)");
	return p != NULL;
}

/* In memory, where syncing costs nothing, if there is such a place. */
G_GNUC_UNUSED static void rig_init(void)
{
	if (!g_getenv("TMPDIR") && !access("/dev/shm", W_OK))
		g_setenv("TMPDIR", "/dev/shm", TRUE);
	rig_dir = g_dir_make_tmp("vmeste-image-XXXXXX", NULL);
}

G_GNUC_UNUSED static void rig_fini(void)
{
	rig_run("rm -rf '%s'", rig_dir);
	g_free(rig_dir);
}

#endif

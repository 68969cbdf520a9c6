/*
 * rfb_load.c - the module for remote screens, found beside the program.
 */
#include <dlfcn.h>

#include <glib.h>

#include "display/rfb.h"

#define MODULE "vmeste-rfb.so"

const struct rfb_ops *rfb_load(char **why)
{
	g_autofree char *exe = g_file_read_link("/proc/self/exe", NULL);
	g_autofree char *dir = exe ? g_path_get_dirname(exe) : NULL;
	g_autofree char *path = g_build_filename(dir ? dir : ".", MODULE, NULL);
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	const struct rfb_ops *ops =
		module ? dlsym(module, "vmeste_rfb_ops") : NULL;

	if (!ops)
		*why = g_strdup(dlerror());
	return ops;
}

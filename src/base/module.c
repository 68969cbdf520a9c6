/*
 * module.c - load a module that stands beside the program.
 */
#include "base/module.h"

#include <dlfcn.h>

#include <glib.h>

const void *module_load(const char *file, const char *symbol, char **why)
{
	g_autofree char *exe = g_file_read_link("/proc/self/exe", NULL);
	g_autofree char *dir = exe ? g_path_get_dirname(exe) : NULL;
	g_autofree char *path = g_build_filename(dir ? dir : ".", file, NULL);
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	const void *found = module ? dlsym(module, symbol) : NULL;

	if (!found)
		*why = g_strdup(dlerror());
	return found;
}

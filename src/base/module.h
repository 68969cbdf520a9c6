/*
 * module.h - parts of the program that few machines need, in files of their
 * own beside it.
 */
#ifndef BASE_MODULE_H
#define BASE_MODULE_H

/* Load the file and find what it exports, for good.  NULL: *why, to be freed.
 * While files can be opened. */
const void *module_load(const char *file, const char *symbol, char **why);

#endif

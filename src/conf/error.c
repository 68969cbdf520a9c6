/*
 * error.c - errors that say what, why and how to mend.
 */
#include "conf/error.h"

#include <errno.h>

G_DEFINE_QUARK(conf - error - quark, conf_error)

static void error_set_v(GError **err, int code, const char *why,
	const char *fix, const char *format, va_list ap)
{
	if (!err)
		return;
	g_autofree char *what = g_strdup_vprintf(format, ap);
	g_autoptr(GString) s = g_string_new(what);

	if (why)
		g_string_append_printf(s, "\n  why:  %s", why);
	if (fix)
		g_string_append_printf(s, "\n  fix:  %s", fix);
	g_set_error_literal(err, CONF_ERROR, code, s->str);
}

void conf_error_set(GError **err, enum conf_error_code code, const char *why,
	const char *fix, const char *what, ...)
{
	va_list ap;

	va_start(ap, what);
	error_set_v(err, code, why, fix, what, ap);
	va_end(ap);
}

void conf_error_set_errno(
	GError **err, int errnum, const char *fix, const char *what, ...)
{
	int code = CONF_ERROR_FAILED;
	va_list ap;

	switch (errnum) {
	case ENOENT:
	case ENOTDIR: code = CONF_ERROR_NOT_FOUND; break;
	case EACCES:
	case EROFS:
	case EPERM: code = CONF_ERROR_DENIED; break;
	case EBUSY:
	case EEXIST:
	case EADDRINUSE: code = CONF_ERROR_CONFLICT; break;
	}
	va_start(ap, what);
	error_set_v(err, code, g_strerror(errnum), fix, what, ap);
	va_end(ap);
}

int conf_error_status(const GError *err)
{
	return err->domain == CONF_ERROR ? err->code : CONF_ERROR_FAILED;
}

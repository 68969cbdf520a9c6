/*
 * vmeste-disk.c - one job on disk images (disk/job.h), in a jail: images may
 * come from anywhere.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "conf/error.h"
#include "disk/job.h"
#include "jail/jail.h"

/* Far more than any job needs; less than what would hurt the host. */
#define MEMORY_MAX (6ull << 30)

/* What the host lacks of the jail is left out, as for machines. */
static void shut_door(void)
{
	struct jail_conf none = {0};
	const struct rlimit most = {MEMORY_MAX, MEMORY_MAX};

	setrlimit(RLIMIT_AS, &most);
	jail_isolate(&none);
	jail_seal(&none);
}

/* Files are read where they are mapped. */
static void on_bus_error(int sig)
{
	static const char text[] =
		"vmeste: a file was cut short while it was read, or its medium "
		"fails\n";

	if (write(2, text, sizeof(text) - 1) < 0)
		_exit(CONF_ERROR_FAILED);
	_exit(CONF_ERROR_FAILED);
}

int main(int argc, char **argv)
{
	if (argc > 1 || fcntl(WIRE_VM_FD, F_GETFD) < 0) {
		fprintf(stderr, "vmeste-disk: run by vmeste for each job; "
				"see: vmeste help disk\n");
		return CONF_ERROR_USAGE;
	}
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	signal(SIGINT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGBUS, on_bus_error);
	return disk_serve(WIRE_VM_FD, shut_door);
}

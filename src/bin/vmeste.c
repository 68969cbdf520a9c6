/*
 * vmeste.c - the client: every verb of the command line.
 */
#include "cli/verb.h"

int main(int argc, char **argv)
{
	return cli_main(argc, argv);
}

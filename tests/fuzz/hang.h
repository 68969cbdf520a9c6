/*
 * hang.h - a round that does not end fails the fuzzer: hang_init once, then
 * alarm(SECONDS) before a round and alarm(0) behind it.
 */
#ifndef TESTS_FUZZ_HANG_H
#define TESTS_FUZZ_HANG_H

#include <signal.h>
#include <unistd.h>

static inline void hang_on_alarm(int sig)
{
	static const char text[] = "not ok: hangs\n";

	if (write(1, text, sizeof(text) - 1) < 0)
		_exit(2);
	_exit(1);
}

static inline void hang_init(void)
{
	signal(SIGALRM, hang_on_alarm);
}

#endif

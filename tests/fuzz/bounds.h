/*
 * bounds.h - what a fuzzer's round may take.
 *
 * bound_init once, then alarm(SECONDS) before a round and alarm(0) behind it:
 * a round that does not end fails the fuzzer.  bound_memory: allocations beyond
 * that fail; under a sanitizer, which reserves more than any, it does nothing.
 */
#ifndef TESTS_FUZZ_BOUNDS_H
#define TESTS_FUZZ_BOUNDS_H

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define BOUND_NONE
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define BOUND_NONE
#endif

static inline void bound_on_alarm(int sig)
{
	static const char text[] = "not ok: hangs\n";

	if (write(1, text, sizeof(text) - 1) < 0)
		_exit(2);
	_exit(1);
}

static inline void bound_init(void)
{
	signal(SIGALRM, bound_on_alarm);
}

static inline void bound_memory(rlim_t bytes)
{
#ifndef BOUND_NONE
	const struct rlimit most = {bytes, bytes};

	setrlimit(RLIMIT_AS, &most);
#endif
}

#endif

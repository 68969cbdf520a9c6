/* models.h - the named baselines behind x86_cpu_model_init(). */
#ifndef X86_MODELS_H
#define X86_MODELS_H

#include "x86/cpuid.h"

struct x86_named {
	const char *name;
	const struct x86_named *base; /* whose features are included */
	uint32_t signature;	      /* leaf 1 EAX, 0 = the host's */
	uint32_t max_leaf;	      /* 0 = ours */
	const uint16_t *features;     /* enum x86_feature, ends with 0 */
};

/* NULL if there is none of that name. */
const struct x86_named *x86_named_find(const char *name);

#endif

/*
 * flash.h - a NOR flash chip for UEFI's variables.
 */
#ifndef DEV_MISC_FLASH_H
#define DEV_MISC_FLASH_H

#include "dev/dev.h"

#define FLASH_BLOCK 4096u /* what is erased at once */
#define FLASH_MAX   (4u << 20)

/* dev_host.blk: its contents, whole blocks, at most FLASH_MAX; changes go
 * there unless dev_host.readonly, when they vanish with the machine. */
extern const struct dev_class flash_class;

/* Where it answers; page aligned.  Lock held. */
void flash_map(struct dev *d, gpa_t base);

#endif

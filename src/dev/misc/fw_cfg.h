/*
 * fw_cfg.h - the configuration channel between a virtual machine monitor and
 * its firmware (ports 0x510, 0x511, DMA at 0x514).
 *
 * All functions: lock held, or before the processors run.
 */
#ifndef DEV_MISC_FW_CFG_H
#define DEV_MISC_FW_CFG_H

#include <stddef.h>

#include "dev/dev.h"

extern const struct dev_class fw_cfg_class;

enum fw_cfg_key {
	FW_CFG_SIGNATURE = 0x00,
	FW_CFG_ID = 0x01,
	FW_CFG_UUID = 0x02,
	FW_CFG_RAM_SIZE = 0x03,
	FW_CFG_NOGRAPHIC = 0x04,
	FW_CFG_NB_CPUS = 0x05,
	FW_CFG_KERNEL_ADDR = 0x07,
	FW_CFG_KERNEL_SIZE = 0x08,
	FW_CFG_INITRD_ADDR = 0x0a,
	FW_CFG_INITRD_SIZE = 0x0b,
	FW_CFG_BOOT_DEVICE = 0x0c,
	FW_CFG_NUMA = 0x0d,
	FW_CFG_BOOT_MENU = 0x0e,
	FW_CFG_MAX_CPUS = 0x0f,
	FW_CFG_KERNEL_ENTRY = 0x10,
	FW_CFG_KERNEL_DATA = 0x11,
	FW_CFG_INITRD_DATA = 0x12,
	FW_CFG_CMDLINE_ADDR = 0x13,
	FW_CFG_CMDLINE_SIZE = 0x14,
	FW_CFG_CMDLINE_DATA = 0x15,
	FW_CFG_SETUP_ADDR = 0x16,
	FW_CFG_SETUP_SIZE = 0x17,
	FW_CFG_SETUP_DATA = 0x18,
	FW_CFG_FILE_DIR = 0x19,
	FW_CFG_FILE_FIRST = 0x20,
	FW_CFG_X86_E820 = 0x8003,
	FW_CFG_X86_IRQ0_OVERRIDE = 0x8002,
};

#define FW_CFG_MAX_FILES 64
#define FW_CFG_NAME_SIZE 56

/* Set the item of a fixed key; data is copied.  Replaces an earlier one. */
void fw_cfg_add_key(struct dev *d, uint16_t key, const void *data, size_t len);
void fw_cfg_add_u16(struct dev *d, uint16_t key, uint16_t val);
void fw_cfg_add_u32(struct dev *d, uint16_t key, uint32_t val);
void fw_cfg_add_u64(struct dev *d, uint16_t key, uint64_t val);

/* A named file; data is copied, a file of that name replaced.  0, or -EINVAL
 * (name too long) or -ENOSPC. */
int fw_cfg_add_file(
	struct dev *d, const char *name, const void *data, size_t len);
/* The same; the guest may write it by DMA.  written (may be NULL) is told
 * after each write with the whole content. */
int fw_cfg_add_writable(struct dev *d, const char *name, const void *data,
	size_t len, void (*written)(void *opaque, const void *data, size_t len),
	void *opaque);

#endif

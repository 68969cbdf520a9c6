/*
 * acpi_links.h - the part of the DSDT that says where PCI interrupts go.
 */
#ifndef FIRMWARE_ACPI_LINKS_H
#define FIRMWARE_ACPI_LINKS_H

#include "firmware/acpi.h"
#include "firmware/aml.h"

/* At the top: who asks by which interrupt controllers the guest goes. */
void fw_links_pic(struct aml *a, const struct fw_acpi_conf *c);
/* In the ISA bridge ISA_: its routing registers. */
void fw_links_regions(struct aml *a, const struct fw_acpi_conf *c);
/* In the PCI root: link devices and _PRT. */
void fw_links_devices(struct aml *a, const struct fw_acpi_conf *c);

#endif

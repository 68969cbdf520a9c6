/*
 * dev_table.c - every device class there is.
 *
 * An explicit table: constructors and linker sets vanish from static
 * libraries without a word.
 */
#include <stddef.h>

#include "dev/dev.h"
#include "dev/input/gameport.h"
#include "dev/input/i8042.h"
#include "dev/irq/intc.h"
#include "dev/misc/apm_port.h"
#include "dev/misc/flash.h"
#include "dev/misc/fw_cfg.h"
#include "dev/misc/i6300esb.h"
#include "dev/misc/i8237.h"
#include "dev/misc/port92.h"
#include "dev/misc/testdev.h"
#include "dev/misc/vmgenid.h"
#include "dev/net/e1000.h"
#include "dev/net/ne2000.h"
#include "dev/net/pcnet.h"
#include "dev/net/rtl8139.h"
#include "dev/pci/i440fx.h"
#include "dev/pci/ich9.h"
#include "dev/pci/ich9_smbus.h"
#include "dev/pci/mch.h"
#include "dev/pci/piix3.h"
#include "dev/pci/root_port.h"
#include "dev/serial/debugcon.h"
#include "dev/serial/lpt.h"
#include "dev/serial/uart16550.h"
#include "dev/sound/ac97.h"
#include "dev/sound/hda.h"
#include "dev/sound/sb16.h"
#include "dev/sound/speaker.h"
#include "dev/storage/ahci.h"
#include "dev/storage/fdc.h"
#include "dev/storage/ide.h"
#include "dev/storage/lsi.h"
#include "dev/storage/nvme.h"
#include "dev/timer/acpi_pm.h"
#include "dev/timer/hpet.h"
#include "dev/timer/i8254.h"
#include "dev/timer/mc146818.h"
#include "dev/usb/ccid.h"
#include "dev/usb/ehci.h"
#include "dev/usb/hid.h"
#include "dev/usb/hub.h"
#include "dev/usb/storage.h"
#include "dev/usb/uhci.h"
#include "dev/usb/xhci.h"
#include "dev/video/vga.h"
#include "dev/video/virtio_vga.h"
#include "dev/virtio/devices.h"
#include "dev/virtio/virtio_mem.h"
#include "dev/virtio/virtio_scsi.h"

const struct dev_class *const dev_table[] = {
	&intc_class,
	&i8254_class,
	&mc146818_class,
	&hpet_class,
	&i440fx_class,
	&piix3_class,
	&acpi_pm_class,
	&mch_class,
	&ich9_class,
	&ich9_smbus_class,
	&root_port_class,
	&uart16550_class,
	&lpt_class,
	&gameport_class,
	&debugcon_class,
	&i8042_class,
	&port92_class,
	&apm_port_class,
	&testdev_class,
	&fw_cfg_class,
	&flash_class,
	&i6300esb_class,
	&vmgenid_class,
	&vga_class,
	&virtio_vga_class,
	&i8237_class,
	&fdc_class,
	&ide_class,
	&ahci_class,
	&uhci_class,
	&ehci_class,
	&xhci_class,
	&usb_hub_class,
	&usb_kbd_class,
	&usb_mouse_class,
	&usb_tablet_class,
	&usb_disk_class,
	&usb_cd_class,
	&usb_ccid_class,
	&ac97_class,
	&hda_class,
	&lsi_class,
	&nvme_class,
	&sb16_class,
	&speaker_class,
	&virtio_blk_class,
	&e1000_class,
	&e1000e_class,
	&pcnet_class,
	&rtl8139_class,
	&rtl8139c_class,
	&ne2000_class,
	&ne2000_isa_class,
	&virtio_scsi_class,
	&virtio_net_class,
	&virtio_console_class,
	&virtio_rng_class,
	&virtio_balloon_class,
	&virtio_9p_class,
	&virtio_mem_class,
	&virtio_tablet_class,
	&virtio_keyboard_class,
	&virtio_vsock_class,
	NULL,
};

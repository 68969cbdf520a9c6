/*
 * i440fx.c - 82441FX host bridge.
 *
 * Intel 440FX PCIset data sheet 290549-001, 3.2: PAM0-PAM6 at 59h-5Fh, SMRAM
 * at 72h (dev/pci/shadow.h).  The subsystem IDs are those by which firmware
 * knows a QEMU-class board.
 */
#include "dev/pci/i440fx.h"
#include "dev/pci/pci_priv.h"
#include "dev/state.h"

#define I440FX_PAM0  0x59
#define I440FX_SMRAM 0x72

struct i440fx {
	struct dev dev;
	struct pci_func pci;
	struct shadow shadow;
};

struct shadow *i440fx_shadow(struct dev *d)
{
	return &((struct i440fx *)d)->shadow;
}

static void i440fx_config_written(
	struct pci_func *f, unsigned off, unsigned len)
{
	shadow_written(i440fx_shadow(f->dev), off, len);
}

static int i440fx_init(struct dev *d, char *err, unsigned errsize)
{
	struct i440fx *h = (struct i440fx *)d;

	pci_func_init(&h->pci, d,
		&(struct pci_ident){.vendor = 0x8086,
			.device = 0x1237,
			.class_code = 0x060000,
			.revision = 2,
			.sub_vendor = 0x1af4,
			.sub_id = 0x1100});
	h->pci.config_written = i440fx_config_written;
	shadow_init(&h->shadow, &h->pci, I440FX_PAM0, I440FX_SMRAM);
	return pci_func_plug(&h->pci, d->host.pci, 0);
}

static void i440fx_reset(struct dev *d)
{
	struct i440fx *h = (struct i440fx *)d;

	pci_func_reset(&h->pci);
	/* 3.2.3: memory and bus master enable are hard-wired. */
	h->pci.config[PCI_COMMAND] = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	h->pci.wmask[PCI_COMMAND] = 0;
	shadow_reset(&h->shadow);
}

static void i440fx_fini(struct dev *d)
{
	struct i440fx *h = (struct i440fx *)d;

	shadow_fini(&h->shadow);
	pci_func_unplug(&h->pci);
}

/* ---- state ---- */

static int i440fx_loaded(
	void *obj, unsigned version, char *err, unsigned errsize)
{
	struct i440fx *h = obj;

	shadow_written(&h->shadow, I440FX_PAM0, 7);
	return 0;
}

static const struct state_field i440fx_fields[] = {
	STATE_STRUCT(struct i440fx, pci, &pci_func_state),
	STATE_STRUCT_AT(struct i440fx, dev.host.pci, &pci_bus_state),
};

static const struct state_list i440fx_state = STATE_LIST(
	"i440fx", struct i440fx, 1, i440fx_fields, .loaded = i440fx_loaded);

const struct dev_class i440fx_class = {
	.name = "i440fx",
	.size = sizeof(struct i440fx),
	.init = i440fx_init,
	.reset = i440fx_reset,
	.fini = i440fx_fini,
	.state = &i440fx_state,
};

/*
 * vga_state.c - what of the VGA is saved: all its registers and its memory.
 */
#include "dev/state.h"
#include "dev/video/vga_priv.h"

static int vga_loaded(void *obj, unsigned version, char *err, unsigned errsize)
{
	struct vga *v = obj;

	vga_regs_clip(&v->r);
	vga_dispi_clip(v);
	vga_touched(v);
	vga_mem_update(v);
	return 0;
}

static const struct state_field vga_regs_fields[] = {
	STATE(struct vga_regs, misc),
	STATE(struct vga_regs, feature),
	STATE(struct vga_regs, seq_index),
	STATE_BYTES(struct vga_regs, seq),
	STATE(struct vga_regs, crtc_index),
	STATE_BYTES(struct vga_regs, crtc),
	STATE(struct vga_regs, gfx_index),
	STATE_BYTES(struct vga_regs, gfx),
	STATE(struct vga_regs, attr_index),
	STATE_BYTES(struct vga_regs, attr),
	STATE(struct vga_regs, attr_data),
	STATE_BYTES(struct vga_regs, dac),
	STATE(struct vga_regs, dac_mask),
	STATE(struct vga_regs, dac_index),
	STATE(struct vga_regs, dac_part, .max = 2),
	STATE_BYTES(struct vga_regs, dac_latch),
	STATE(struct vga_regs, dac_reading),
	STATE(struct vga_regs, dispi_index),
	STATE_ARRAY(struct vga_regs, dispi),
};

static const struct state_list vga_regs_state =
	STATE_LIST("registers", struct vga_regs, 1, vga_regs_fields);

static const struct state_field vga_fields[] = {
	STATE_STRUCT(struct vga, r, &vga_regs_state),
	STATE(struct vga, latch),
	STATE(struct vga, diag),
	STATE_BYTES_AT(struct vga, vram, vram_bytes),
};

const struct state_list vga_state =
	STATE_LIST("vga", struct vga, 1, vga_fields, .loaded = vga_loaded);

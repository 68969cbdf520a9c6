/*
 * scsi_cd.c - commands of a CD drive (MMC-5, chapter 6).
 *
 * The drive is empty, has its tray open (with or without a disc on it), or has
 * a disc.  What changed is told to the host by unit attention and by media
 * events; to a host that does not poll events a disc that was
 * swapped shows as "no disc" once, as it would with real hands at work.
 */
#include "dev/storage/scsi.h"

#include <glib.h>

static void cd_read(struct scsi_req *r, uint32_t lba, uint32_t n)
{
	if (n > SCSI_MAX_BLOCKS)
		scsi_bad_cdb(r, 6);
	else
		scsi_media(r, SCSI_IN, lba, n);
}

static void cd_read6(struct scsi_req *r)
{
	cd_read(r, scsi_get32(r->cdb) & 0x1fffff, r->cdb[4] ? r->cdb[4] : 256);
}

static void cd_read10(struct scsi_req *r)
{
	cd_read(r, scsi_get32(r->cdb + 2), scsi_get16(r->cdb + 7));
}

static void cd_read12(struct scsi_req *r)
{
	cd_read(r, scsi_get32(r->cdb + 2), scsi_get32(r->cdb + 6));
}

/* 6.19 READ CD: user data of mode 1 sectors, or nothing. */
static void cd_read_parts(struct scsi_req *r, uint32_t lba, uint32_t n)
{
	unsigned type = r->cdb[1] >> 2 & 7, what = r->cdb[9] & 0xfe;

	if (type != 0 && type != 2) /* not this track's */
		scsi_fail(r, SCSI_ILLEGAL_REQUEST, 0x64, 0);
	else if (r->cdb[10] & 7)
		scsi_bad_cdb(r, 10);
	else if (what == 0x10)
		cd_read(r, lba, n);
	else if (what == 0)
		cd_read(r, lba, 0);
	else
		scsi_bad_cdb(r, 9);
}

static void cd_read_cd(struct scsi_req *r)
{
	cd_read_parts(
		r, scsi_get32(r->cdb + 2), scsi_get32(r->cdb + 5) & 0xffffff);
}

static uint32_t msf_lba(const uint8_t *p)
{
	return (p[0] * 60u + p[1]) * 75 + p[2] - 150;
}

static void cd_read_cd_msf(struct scsi_req *r)
{
	uint32_t from = msf_lba(r->cdb + 3), to = msf_lba(r->cdb + 6);

	if (to < from)
		scsi_bad_cdb(r, 6);
	else
		cd_read_parts(r, from, to - from);
}

static void cd_seek(struct scsi_req *r)
{
	scsi_range(r, scsi_get32(r->cdb + 2), 1);
}

static void cd_seek6(struct scsi_req *r)
{
	scsi_range(r, scsi_get32(r->cdb) & 0x1fffff, 1);
}

/* ---- the table ---- */

#define ANY    SCSI_F_ANY_TIME
#define MEDIUM SCSI_F_NEEDS_MEDIUM

/* clang-format off */
const struct scsi_cmd scsi_cd_cmds[256] = {
	[0x00] = {scsi_cmd_ok, MEDIUM}, /* TEST UNIT READY */
	[0x01] = {scsi_cmd_ok, MEDIUM}, /* REZERO UNIT */
	[0x03] = {scsi_cmd_request_sense, ANY},
	[0x08] = {cd_read6, MEDIUM},
	[0x0b] = {cd_seek6, MEDIUM},
	[0x12] = {scsi_cmd_inquiry, ANY},
	[0x15] = {scsi_cmd_mode_select, 0},
	[0x16] = {scsi_cmd_ok, 0}, /* RESERVE: there is one host */
	[0x17] = {scsi_cmd_ok, 0}, /* RELEASE */
	[0x1a] = {scsi_cmd_mode_sense, 0},
	[0x1b] = {scsi_cmd_start_stop, 0},
	[0x1d] = {scsi_cmd_ok, 0}, /* SEND DIAGNOSTIC */
	[0x1e] = {scsi_cmd_prevent, 0},
	[0x23] = {.info = scsi_cd_read_format_capacities, .len_at = 7},
	[0x25] = {.info = scsi_cd_read_capacity, .flags = MEDIUM},
	[0x28] = {cd_read10, MEDIUM},
	[0x2b] = {cd_seek, MEDIUM},
	[0x2f] = {cd_seek, MEDIUM}, /* VERIFY */
	[0x35] = {scsi_cmd_ok, 0},
	[0x42] = {.info = scsi_cd_read_subchannel, .flags = MEDIUM,
		.len_at = 7},
	[0x43] = {.info = scsi_cd_read_toc, .flags = MEDIUM, .len_at = 7},
	[0x46] = {.info = scsi_cd_get_configuration, .flags = ANY,
		.len_at = 7},
	[0x4a] = {.info = scsi_cd_get_event, .flags = ANY, .len_at = 7},
	[0x51] = {.info = scsi_cd_read_disc_info, .flags = MEDIUM,
		.len_at = 7},
	[0x52] = {.info = scsi_cd_read_track_info, .flags = MEDIUM,
		.len_at = 7},
	[0x55] = {scsi_cmd_mode_select, 0},
	[0x5a] = {scsi_cmd_mode_sense, 0},
	[0xa0] = {scsi_cmd_report_luns, ANY},
	[0xa8] = {cd_read12, MEDIUM},
	[0xad] = {.info = scsi_cd_read_dvd_structure, .flags = MEDIUM,
		.len_at = 8},
	[0xb9] = {cd_read_cd_msf, MEDIUM},
	[0xbb] = {scsi_cmd_ok, 0}, /* SET CD SPEED */
	[0xbd] = {.info = scsi_cd_mechanism_status, .len_at = 8},
	[0xbe] = {cd_read_cd, MEDIUM},
};
/* clang-format on */

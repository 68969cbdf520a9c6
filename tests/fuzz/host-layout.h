/*
 * host-layout.h - linear addresses that both sides share, and what stands
 * there, for C and for host-driver.S.
 */
#ifndef FUZZ_HOST_LAYOUT_H
#define FUZZ_HOST_LAYOUT_H

#define HOST_CODE	0x50000000 /* INT3 around the code */
#define HOST_CODE_BYTES 0x4000
#define HOST_DRIVER	0x50010000 /* host-driver.S, one page */
#define HOST_CTL	0x50011000 /* struct host_ctl, one page */
#define HOST_DATA	0x20000000 /* pages: writable, writable, read-only */
#define HOST_DATA_BYTES 0x2000	   /* those that are writable */
#define HOST_BYTES	0x3000

/* Beyond what 32-bit offsets reach: records and the table of steps. */
#define HOST_IN	  0x700000000
#define HOST_OUT  0x700100000
#define HOST_STEP 0x700200000

#define HOST_BATCH	32 /* cases run at once */
#define HOST_MAX_FAULTS 4  /* the last of them ends its case */
#define HOST_PATCHES	4
#define HOST_XSAVE	2688 /* components in HOST_XC, standard format */
#define HOST_XC		0xe7

/* struct host_in */
#define IN_RFLAGS 128
#define IN_GO	  136
#define IN_FAR	  144
#define IN_SKIP	  152
#define IN_PATCH  192 /* 80 bytes each: address, then 64 of content at 16 */
#define IN_XSAVE  512
#define IN_BYTES  3200

/* struct host_out */
#define OUT_RFLAGS  128
#define OUT_NFAULTS 136
#define OUT_LEFT    144
#define OUT_FAULT   160 /* struct host_fault, 40 bytes each */
#define OUT_XSAVE   320
#define OUT_DATA    3008
#define OUT_BYTES   11200

/* struct host_ctl */
#define CTL_IN	     (HOST_CTL + 0)
#define CTL_OUT	     (HOST_CTL + 8)
#define CTL_END	     (HOST_CTL + 16)
#define CTL_FINISH   (HOST_CTL + 24)
#define CTL_RAX	     (HOST_CTL + 32)
#define CTL_GO	     (HOST_CTL + 40)
#define CTL_FAR	     (HOST_CTL + 48)
#define CTL_RSP	     (HOST_CTL + 56)
#define CTL_MXCSR    (HOST_CTL + 64)
#define CTL_SS	     (HOST_CTL + 72)
#define CTL_DS	     (HOST_CTL + 80)
#define CTL_ES	     (HOST_CTL + 88)
#define CTL_BASE     (HOST_CTL + 96)
#define CTL_LEAVE_CS (HOST_CTL + 104)
#define CTL_LEAVE_SS (HOST_CTL + 112)
#define CTL_STACK    (HOST_CTL + 512) /* its end */

/* A byte of the table for each byte of HOST_CODE. */
#define STEP_LEN     0x0f /* of the instruction that begins there */
#define STEP_RESUME  0x80 /* go on behind it if it faults */
#define STEP_BETWEEN 0x40 /* none begins there, but one lies over it */

/* Vectors of faults behind which a case goes on: DE BR UD SS GP PF MF AC XM */
#define HOST_RESUMABLE 0xb7061

/* Arithmetic flags, TF and RF: not what goes on behind a fault. */
#define HOST_DROPPED 0x109d5

#endif

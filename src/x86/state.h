/*
 * state.h - the whole architectural state of one x86 logical processor.
 *
 * struct x86_state is the only currency between engines, snapshots, migration
 * and the debugger.  It holds what software can observe and nothing that an
 * engine keeps for its own comfort (TLBs, decoded code, host handles).
 *
 * Sources: Intel SDM vol. 3 ch. 2 (system registers), 3.4 (segments),
 * vol. 1 ch. 8, 10, 13 (x87, SSE, XSAVE); AMD APM vol. 2.
 */
#ifndef X86_STATE_H
#define X86_STATE_H

#include <stdbool.h>
#include <stdint.h>

typedef uint64_t gpa_t; /* guest physical address */
typedef uint64_t gva_t; /* guest linear ("virtual") address */

enum x86_gpr {
	X86_RAX,
	X86_RCX,
	X86_RDX,
	X86_RBX,
	X86_RSP,
	X86_RBP,
	X86_RSI,
	X86_RDI,
	X86_R8,
	X86_R9,
	X86_R10,
	X86_R11,
	X86_R12,
	X86_R13,
	X86_R14,
	X86_R15,
	X86_NGPR,
	X86_RIP = X86_NGPR, /* only as the base of an address */
	X86_NOREG = 0xff,
};

/* In the encoding's order; LDTR and TR follow. */
enum x86_sreg {
	X86_ES,
	X86_CS,
	X86_SS,
	X86_DS,
	X86_FS,
	X86_GS,
	X86_LDTR,
	X86_TR,
	X86_NSEG,
};

/*
 * A segment register with its hidden part.  attr holds bits 40..55 of the
 * descriptor: type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15 (bits
 * 11:8, the limit's high bits, are zero).  limit is in bytes, already scaled
 * by G.  A null selector loaded in protected or long mode has P = 0.
 */
struct x86_seg {
	uint64_t base;
	uint32_t limit;
	uint16_t sel;
	uint16_t attr;
};

#define X86_SEG_TYPE	  0x000f
#define X86_SEG_A	  0x0001 /* accessed */
#define X86_SEG_W	  0x0002 /* data: writable; code: readable */
#define X86_SEG_E	  0x0004 /* data: expand-down; code: conforming */
#define X86_SEG_CODE	  0x0008
#define X86_SEG_S	  0x0010 /* 1 = code or data, 0 = system */
#define X86_SEG_DPL	  0x0060
#define X86_SEG_DPL_SHIFT 5
#define X86_SEG_P	  0x0080
#define X86_SEG_AVL	  0x1000
#define X86_SEG_L	  0x2000
#define X86_SEG_DB	  0x4000
#define X86_SEG_G	  0x8000

struct x86_dtab { /* GDTR, IDTR */
	uint64_t base;
	uint16_t limit;
};

/*
 * Floating-point and vector registers.  fx is an FXSAVE64 image of which only
 * the x87 part (bytes 0..159: FCW FSW FTW FOP FIP FDP MXCSR MXCSR_MASK ST0-7)
 * is authoritative; vectors live in zmm, whole, XMM and YMM being their low
 * parts.
 */
struct x86_fpu {
	_Alignas(64) uint8_t fx[512];
	_Alignas(64) uint8_t zmm[32][64];
	uint64_t k[8];
	uint32_t pkru;
};

#define X86_MTRR_VARS  8
#define X86_MTRR_FIXED 11
#define X86_MC_BANKS   10

enum x86_activity {
	X86_ACT_RUN,
	X86_ACT_HALT,	   /* after HLT; an interrupt, NMI or INIT ends it */
	X86_ACT_WAIT_SIPI, /* application processor after INIT */
	X86_ACT_SHUTDOWN,  /* triple fault */
};

enum x86_inject {
	X86_INJECT_NONE,
	X86_INJECT_INTERRUPT, /* acknowledged */
	X86_INJECT_NMI,
	X86_INJECT_EXCEPTION,
};

struct x86_state {
	uint64_t gpr[X86_NGPR];
	uint64_t rip;
	uint64_t rflags;
	struct x86_seg seg[X86_NSEG];
	struct x86_dtab gdtr, idtr;
	uint64_t cr0, cr2, cr3, cr4, cr8;
	uint64_t dr[4], dr6, dr7;
	uint64_t xcr0;

	/* Model-specific registers that hold state (x86/msr.h names them). */
	uint64_t efer;
	uint64_t star, lstar, cstar, sfmask;
	uint64_t kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t tsc_offset; /* guest TSC = host TSC + tsc_offset */
	uint64_t tsc_adjust, tsc_aux, tsc_deadline;
	uint64_t apic_base;
	uint64_t pat, misc_enable, debugctl, spec_ctrl, xss;
	uint64_t mtrr_def_type;
	uint64_t mtrr_fixed[X86_MTRR_FIXED];
	uint64_t mtrr_var[X86_MTRR_VARS][2]; /* base, mask */
	uint64_t smbase, mcg_status, mcg_ctl;
	uint64_t mc_bank[X86_MC_BANKS][4]; /* CTL, STATUS, ADDR, MISC */
	uint64_t feature_control, umwait_control;

	/* What the instruction stream has pending. */
	uint8_t activity;     /* enum x86_activity */
	uint8_t sti_shadow;   /* interrupts held for one instruction */
	uint8_t movss_shadow; /* also holds debug traps and NMI */
	uint8_t nmi_blocked;  /* until IRET */

	/* Taken, but not yet delivered: the next thing that happens.  Software
	 * engines never stand there; KVM may, when it is interrupted. */
	uint8_t inject; /* enum x86_inject */
	uint8_t inject_vector;
	bool inject_error;   /* exceptions: inject_code is pushed */
	uint8_t nmi_pending; /* waits until NMIs are not blocked */
	uint32_t inject_code;

	struct x86_fpu fpu;
};

/* RFLAGS */
#define X86_FL_CF	  (1u << 0)
#define X86_FL_1	  (1u << 1)
#define X86_FL_PF	  (1u << 2)
#define X86_FL_AF	  (1u << 4)
#define X86_FL_ZF	  (1u << 6)
#define X86_FL_SF	  (1u << 7)
#define X86_FL_TF	  (1u << 8)
#define X86_FL_IF	  (1u << 9)
#define X86_FL_DF	  (1u << 10)
#define X86_FL_OF	  (1u << 11)
#define X86_FL_IOPL	  (3u << 12)
#define X86_FL_IOPL_SHIFT 12
#define X86_FL_NT	  (1u << 14)
#define X86_FL_RF	  (1u << 16)
#define X86_FL_VM	  (1u << 17)
#define X86_FL_AC	  (1u << 18)
#define X86_FL_VIF	  (1u << 19)
#define X86_FL_VIP	  (1u << 20)
#define X86_FL_ID	  (1u << 21)
#define X86_FL_ARITH                                                           \
	(X86_FL_CF | X86_FL_PF | X86_FL_AF | X86_FL_ZF | X86_FL_SF | X86_FL_OF)

#define X86_CR0_PE (1ull << 0)
#define X86_CR0_MP (1ull << 1)
#define X86_CR0_EM (1ull << 2)
#define X86_CR0_TS (1ull << 3)
#define X86_CR0_ET (1ull << 4)
#define X86_CR0_NE (1ull << 5)
#define X86_CR0_WP (1ull << 16)
#define X86_CR0_AM (1ull << 18)
#define X86_CR0_NW (1ull << 29)
#define X86_CR0_CD (1ull << 30)
#define X86_CR0_PG (1ull << 31)

#define X86_CR4_VME	   (1ull << 0)
#define X86_CR4_PVI	   (1ull << 1)
#define X86_CR4_TSD	   (1ull << 2)
#define X86_CR4_DE	   (1ull << 3)
#define X86_CR4_PSE	   (1ull << 4)
#define X86_CR4_PAE	   (1ull << 5)
#define X86_CR4_MCE	   (1ull << 6)
#define X86_CR4_PGE	   (1ull << 7)
#define X86_CR4_PCE	   (1ull << 8)
#define X86_CR4_OSFXSR	   (1ull << 9)
#define X86_CR4_OSXMMEXCPT (1ull << 10)
#define X86_CR4_UMIP	   (1ull << 11)
#define X86_CR4_LA57	   (1ull << 12)
#define X86_CR4_VMXE	   (1ull << 13)
#define X86_CR4_FSGSBASE   (1ull << 16)
#define X86_CR4_PCIDE	   (1ull << 17)
#define X86_CR4_OSXSAVE	   (1ull << 18)
#define X86_CR4_SMEP	   (1ull << 20)
#define X86_CR4_SMAP	   (1ull << 21)
#define X86_CR4_PKE	   (1ull << 22)

#define X86_EFER_SCE (1ull << 0)
#define X86_EFER_LME (1ull << 8)
#define X86_EFER_LMA (1ull << 10)
#define X86_EFER_NXE (1ull << 11)

/* Exception vectors. */
enum x86_vector {
	X86_DE,
	X86_DB,
	X86_NMI,
	X86_BP,
	X86_OF,
	X86_BR,
	X86_UD,
	X86_NM,
	X86_DF,
	X86_CSO,
	X86_TS,
	X86_NP,
	X86_SSF,
	X86_GP,
	X86_PF,
	X86_RSV15,
	X86_MF,
	X86_AC,
	X86_MC,
	X86_XM,
	X86_VE,
	X86_CP,
};

/* Page-fault error code. */
#define X86_PFEC_P    (1u << 0)
#define X86_PFEC_W    (1u << 1)
#define X86_PFEC_U    (1u << 2)
#define X86_PFEC_RSVD (1u << 3)
#define X86_PFEC_I    (1u << 4)

/*
 * Bring *s to the state after RESET (init = false) or INIT (init = true,
 * which keeps FPU, MTRR and most MSR state).  SDM vol. 3, table 10-1.
 * bsp says whether APIC_BASE.BSP is set and whether the processor starts at
 * F000:FFF0 at once (BSP) or waits for SIPI.  EDX gets a family 6 signature:
 * who knows the model stores x86_cpu_model_signature() there.
 */
void x86_state_reset(struct x86_state *s, bool init, bool bsp);

/* Start an application processor at vector * 0x1000 (SDM vol. 3, 9.4.4.1). */
void x86_state_sipi(struct x86_state *s, uint8_t vector);

/*
 * Write what differs between a and b, one line each, into buf (at most size
 * bytes, always terminated).  Returns the number of differences.
 */
unsigned x86_state_diff(const struct x86_state *a, const struct x86_state *b,
	char *buf, unsigned size);

/* Print the registers in a fixed layout, at most size bytes, terminated. */
void x86_state_print(const struct x86_state *s, char *buf, unsigned size);

#endif

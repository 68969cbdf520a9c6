/*
 * doctor.h - what the engines can do on this host, as a report.
 */
#ifndef VMM_DOCTOR_H
#define VMM_DOCTOR_H

/* Probes every engine and prints {"engines": [{name, usable, mips, why, fix}],
 * "auto": name, "why": text} on standard output.  Exit status. */
int vmm_doctor(void);

#endif

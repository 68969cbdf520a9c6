/*
 * ops.h - the functions behind the operations, one line per file.
 */
#ifndef CPU_INTERP_OPS_H
#define CPU_INTERP_OPS_H

#include "cpu/interp/priv.h"

#define INTERP_FN4(name)                                                       \
	INTERP_FN(name##1);                                                    \
	INTERP_FN(name##2);                                                    \
	INTERP_FN(name##4);                                                    \
	INTERP_FN(name##8)

/* alu.c */
INTERP_FN4(add);
INTERP_FN4(or);
INTERP_FN4(adc);
INTERP_FN4(sbb);
INTERP_FN4(and);
INTERP_FN4(sub);
INTERP_FN4(xor);
INTERP_FN4(cmp);
INTERP_FN4(test);
INTERP_FN4(inc);
INTERP_FN4(dec);
INTERP_FN4(neg);
INTERP_FN4(not );
INTERP_FN4(xadd);
INTERP_FN(cmpxchg);
INTERP_FN(cmpxchg8b);
INTERP_FN(cmpxchg16b);
INTERP_FN(adcx);
INTERP_FN(adox);
/* Flags of a - b at a width. */
void interp_compare(unsigned size, uint64_t a, uint64_t b, uint64_t *fl);

/* Sum of bytes and its flags. */
uint8_t interp_add_byte(uint8_t a, uint8_t b, uint64_t *fl);

/* shift.c */
INTERP_FN4(rol);
INTERP_FN4(ror);
INTERP_FN4(rcl);
INTERP_FN4(rcr);
INTERP_FN4(shl);
INTERP_FN4(shr);
INTERP_FN4(sar);
INTERP_FN(shld);
INTERP_FN(shrd);

/* muldiv.c */
INTERP_FN(mul);
INTERP_FN(imul);
INTERP_FN(mulx);
INTERP_FN(div);
INTERP_FN(idiv);

/* bits.c */
INTERP_FN(bt);
INTERP_FN(bts);
INTERP_FN(btr);
INTERP_FN(btc);
INTERP_FN(bsf);
INTERP_FN(bsr);
INTERP_FN(tzcnt);
INTERP_FN(lzcnt);
INTERP_FN(popcnt);
INTERP_FN(crc32);

/* bmi.c */
INTERP_FN(andn);
INTERP_FN(bextr);
INTERP_FN(bzhi);
INTERP_FN(pdep);
INTERP_FN(pext);
INTERP_FN(sarx);
INTERP_FN(shlx);
INTERP_FN(shrx);
INTERP_FN(blsi);
INTERP_FN(blsmsk);
INTERP_FN(blsr);
INTERP_FN(rorx);

/* move.c */
INTERP_FN4(mov);
INTERP_FN(movzx);
INTERP_FN(movsx);
INTERP_FN(movbe);
INTERP_FN(bswap);
INTERP_FN(xchg);
INTERP_FN(lea);
INTERP_FN(cmovcc);
INTERP_FN(setcc);
INTERP_FN(cbw);
INTERP_FN(cwd);
INTERP_FN(xlat);
INTERP_FN(lahf);
INTERP_FN(sahf);
INTERP_FN(salc);
INTERP_FN(clc);
INTERP_FN(stc);
INTERP_FN(cmc);
INTERP_FN(cld);
INTERP_FN(std);
INTERP_FN(mov_sreg);
INTERP_FN(les);
INTERP_FN(lds);
INTERP_FN(lss);
INTERP_FN(lfs);
INTERP_FN(lgs);
INTERP_FN(movdir64b);
INTERP_FN(clzero);

/* stack.c */
INTERP_FN(push);
INTERP_FN(pop);
INTERP_FN(push_sreg);
INTERP_FN(pop_sreg);
INTERP_FN(pusha);
INTERP_FN(popa);
INTERP_FN(pushf);
INTERP_FN(popf);
INTERP_FN(enter);
INTERP_FN(leave);

/* branch.c */
INTERP_FN(jcc);
INTERP_FN(jmp_rel);
INTERP_FN(jmp_ind);
INTERP_FN(call_rel);
INTERP_FN(call_ind);
INTERP_FN(ret);
INTERP_FN(jcxz);
INTERP_FN(loop);
INTERP_FN(loope);
INTERP_FN(loopne);
INTERP_FN(jmp_far);
INTERP_FN(call_far);
INTERP_FN(jmp_farm);
INTERP_FN(call_farm);
INTERP_FN(retf);
INTERP_FN(iret);
INTERP_FN(int);
INTERP_FN(int3);
INTERP_FN(int1);
INTERP_FN(into);
INTERP_FN(syscall);
INTERP_FN(sysret);
INTERP_FN(sysenter);
INTERP_FN(sysexit);
INTERP_FN(bound);

/* string.c */
INTERP_FN(movs);
INTERP_FN(cmps);
INTERP_FN(scas);
INTERP_FN(lods);
INTERP_FN(stos);
INTERP_FN(ins);
INTERP_FN(outs);

/* bcd.c */
INTERP_FN(daa);
INTERP_FN(das);
INTERP_FN(aaa);
INTERP_FN(aas);
INTERP_FN(aam);
INTERP_FN(aad);

/* system.c */
INTERP_FN(arpl);
INTERP_FN(lar);
INTERP_FN(lsl);
INTERP_FN(verr);
INTERP_FN(verw);
INTERP_FN(sldt);
INTERP_FN(str);
INTERP_FN(lldt);
INTERP_FN(ltr);
INTERP_FN(sgdt);
INTERP_FN(sidt);
INTERP_FN(lgdt);
INTERP_FN(lidt);
INTERP_FN(smsw);
INTERP_FN(lmsw);
INTERP_FN(clts);
INTERP_FN(mov_cr);
INTERP_FN(mov_dr);
INTERP_FN(invlpg);
INTERP_FN(invpcid);
INTERP_FN(clflush);
INTERP_FN(rdmsr);
INTERP_FN(wrmsr);
INTERP_FN(rdtsc);
INTERP_FN(rdtscp);
INTERP_FN(rdpmc);
INTERP_FN(rdpid);
INTERP_FN(cpuid);
INTERP_FN(rdrand);
INTERP_FN(rdfsbase);
INTERP_FN(rdgsbase);
INTERP_FN(wrfsbase);
INTERP_FN(wrgsbase);
INTERP_FN(swapgs);
INTERP_FN(cli);
INTERP_FN(sti);
INTERP_FN(clac);
INTERP_FN(stac);
INTERP_FN(rdpkru);
INTERP_FN(wrpkru);
INTERP_FN(hlt);
INTERP_FN(hypercall);
INTERP_FN(monitor);
INTERP_FN(mwait);
INTERP_FN(umonitor);
INTERP_FN(umwait);
INTERP_FN(xbegin);
INTERP_FN(xend);
INTERP_FN(xtest);
INTERP_FN(nop);
INTERP_FN(ud);

/* io.c */
INTERP_FN(in);
INTERP_FN(out);

/* xstate.c */
INTERP_FN(fxsave);
INTERP_FN(fxrstor);
INTERP_FN(xsave);
INTERP_FN(xsaveopt);
INTERP_FN(xsavec);
INTERP_FN(xsaves);
INTERP_FN(xrstor);
INTERP_FN(xrstors);
INTERP_FN(xgetbv);
INTERP_FN(xsetbv);

/* host.c */
INTERP_FN(host);
INTERP_FN(ldmxcsr);
INTERP_FN(stmxcsr);
INTERP_FN(vzeroupper);
INTERP_FN(vzeroall);

/* mask.c */
INTERP_FN(maskmov);
INTERP_FN(vmaskmov);
INTERP_FN(gather);
INTERP_FN(scatter);

/* x87.c */
INTERP_FN(wait);
INTERP_FN(fnclex);
INTERP_FN(fninit);
INTERP_FN(fnstsw);
INTERP_FN(fnstcw);
INTERP_FN(fnstenv);
INTERP_FN(fnsave);
INTERP_FN(fldenv);
INTERP_FN(frstor);
INTERP_FN(x87_nop);

#endif

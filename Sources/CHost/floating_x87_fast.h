// SPDX-License-Identifier: Apache-2.0
//
// Between floating_x87.c and floating_x87_fast.c.

#ifndef LGUEST_FLOATING_X87_FAST_H
#define LGUEST_FLOATING_X87_FAST_H

#include <stdint.h>

#define LGUEST_HIDDEN __attribute__((visibility("hidden")))

/// Stubs of four bytes: one x87 instruction and a return; register forms by opcode and ModRM (9 bits),
/// memory forms with the operand at [RDI] by opcode and ModRM.reg (6 bits).
extern const char lguest_x87_register_stubs[] LGUEST_HIDDEN;
extern const char lguest_x87_memory_stubs[] LGUEST_HIDDEN;
enum { LGUEST_X87_STUB_SIZE = 4 };

/// Carries an instruction out with only the registers that it needs loaded. Returns 0, with
/// nothing done, when it is not one of the common ones under the common conditions: all exceptions
/// masked, no empty register used, no full one pushed to.
int lguest_x87_fast_register(unsigned char *area, uint32_t code, uint32_t *eflags) LGUEST_HIDDEN;
int lguest_x87_fast_memory(unsigned char *area, uint32_t code, void *operand) LGUEST_HIDDEN;

#endif

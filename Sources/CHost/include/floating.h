// SPDX-License-Identifier: Apache-2.0
//
// The seam to the host's own x87 and SSE units: guest instructions are carried out by the very
// same instruction of the host, on guest values. Nothing here touches guest memory, decides about
// guest exceptions or keeps state; the host's control words are as before after every call (x87's
// sticky exception flags need not be).
//
// Only an x86-64 host has this implementation (floating_*.c); another host would need its own
// behind the same functions.

#ifndef LGUEST_FLOATING_H
#define LGUEST_FLOATING_H

#include <stdint.h>

/// An XMM register.
typedef uint64_t lguest_vector __attribute__((ext_vector_type(2)));

/// Carries out the x87 instruction with opcode bytes `D8 + (code >> 6)`, `C0 + (code & 63)`.
///
/// `area` is an FXSAVE image of which the control word is read, the status word, tags and
/// registers are read and written. The status word must have no unmasked exception pending;
/// an exception that the instruction raises is left pending in it and never reaches the host.
void lguest_x87_register(void *area, uint32_t code);

/// The same for instructions that read or write CF, PF and ZF (FCMOVcc, FCOMI …): takes these
/// in EFLAGS positions and returns EFLAGS.
uint32_t lguest_x87_register_flags(void *area, uint32_t code, uint32_t eflags);

/// The same for memory forms: opcode `D8 + (code >> 3)`, `code & 7` in ModRM.reg. `operand` takes
/// the place of the guest's memory operand, and is returned as the instruction left it.
lguest_vector lguest_x87_memory(void *area, uint32_t code, lguest_vector operand);

/// Carries out an SSE instruction `result = a op b` that does not depend on MXCSR.
/// `stub` is the opcode in the two-byte map plus 256 × the mandatory prefix (0 none, 1 66, 2 F3,
/// 3 F2), or 1024 plus the opcode of a 66-prefixed SSSE3 instruction in the map 0F38.
lguest_vector lguest_sse(lguest_vector a, lguest_vector b, uint32_t stub);

/// The same for an instruction with an immediate byte; `family` is one of `lguest_immediate_family`.
lguest_vector lguest_sse_immediate(lguest_vector a, lguest_vector b, uint32_t family, uint32_t immediate);

enum lguest_immediate_family {
    LGUEST_PSHUFD,
    LGUEST_PSHUFHW,
    LGUEST_PSHUFLW,
    LGUEST_SHUFPS,
    LGUEST_SHUFPD,
    LGUEST_PALIGNR,
};

/// The same under `*mxcsr`, which must have all exceptions masked; the flags raised are added to it.
lguest_vector lguest_sse_numeric(lguest_vector a, lguest_vector b, uint32_t stub, uint32_t *mxcsr);

/// CMPPS, CMPPD, CMPSS, CMPSD: `prefix` 0 none, 1 66, 2 F3, 3 F2; only bits 0–2 of `predicate` count.
lguest_vector lguest_sse_compare(
    lguest_vector a, lguest_vector b, uint32_t prefix, uint32_t predicate, uint32_t *mxcsr);

/// An instruction with a general register as destination and an XMM register as source.
uint32_t lguest_sse_to_general(lguest_vector source, uint32_t stub, uint32_t *mxcsr);

/// An instruction with an XMM register as destination and a general register as source.
lguest_vector lguest_sse_from_general(lguest_vector a, uint32_t source, uint32_t stub, uint32_t *mxcsr);

/// COMISS, COMISD, UCOMISS, UCOMISD (opcode 2F or 2E; prefix 0 or 1): returns ZF, PF, CF in EFLAGS positions.
uint32_t lguest_sse_compare_flags(
    lguest_vector a, lguest_vector b, uint32_t prefix, uint32_t opcode, uint32_t *mxcsr);

/// Whether a lane of an addition, subtraction, multiplication, division or double to single
/// conversion (opcode 58, 5C, 59, 5E, 5A, 7C, 7D, D0 of the two-byte map) has a result that does not
/// fit the destination's precision, were its exponent unbounded.
int lguest_sse_inexact(
    lguest_vector a, lguest_vector b, uint32_t prefix, uint32_t opcode, uint32_t mxcsr);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// What the translator needs from the host and cannot say in Swift: memory that holds machine code, and
// which optional instructions the host's processor has.

#ifndef LGUEST_TRANSLATOR_H
#define LGUEST_TRANSLATOR_H

#include <stddef.h>
#include <stdint.h>

/// Maps `bytes` (a multiple of 4096) of fresh memory twice: `*writable` can be read and written, `*executable`
/// can be read and executed. No page is ever both writable and executable. Returns 0, or errno.
int lguest_code_map(size_t bytes, void **writable, void **executable);

/// Releases both mappings.
void lguest_code_unmap(size_t bytes, void *writable, void *executable);

/// Whether the processor has BMI2 (SHRX: a shift that leaves the flags alone).
int lguest_host_has_bmi2(void);

/// Whether XSAVE can be used, so that the x87 unit's state can be moved without that of SSE.
int lguest_host_has_xsave(void);

/// The processor's time-stamp counter; 0 where it does not tick at a constant rate.
uint64_t lguest_host_ticks(void);

/// Calls `thunk(state, code)`, a function in generated code.
void lguest_code_enter(const void *thunk, void *state, const void *code);

#endif

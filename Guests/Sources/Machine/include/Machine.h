// SPDX-License-Identifier: Apache-2.0
//
// What the guest needs beneath Swift: single instructions, the page shared with the hypervisor, the shape of
// a trap frame, and the small fragments of assembly that the checks run. Nothing here decides anything.
#ifndef GUEST_MACHINE_H
#define GUEST_MACHINE_H

#include "Instructions.h"
#include "Layout.h"
#include "Probes.h"
#include "SharedPage.h"
#include "StartState.h"
#include "TrapFrame.h"

#endif

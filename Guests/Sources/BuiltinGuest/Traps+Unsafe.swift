// SPDX-License-Identifier: Apache-2.0
//
// The door between TrapEntries.S and Swift.
//
// Safety: `frame` points at the registers that trap_common has just pushed on the current stack. They stay
// there, and nobody else looks at them, until this function returns.
import Machine

@c(handle_trap)
public func handleTrap(_ frame: UnsafeMutablePointer<trap_frame>) {
    Traps.handle(&frame.pointee, at: UInt32(UInt(bitPattern: frame)))
}

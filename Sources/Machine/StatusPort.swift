// SPDX-License-Identifier: Apache-2.0
//
// The I/O port by which a guest says how its work went (`--exit-with-guest-status`): one byte written there
// ends lguest with that status.

import Devices

public final class StatusPort: PortHandler {
    /// The port's number, that of the debug exit device which test kernels know.
    public static let number: UInt16 = 0xF4

    private let end: (UInt8) -> Void

    /// `end` gets the byte.
    init(_ end: @escaping (UInt8) -> Void) { self.end = end }

    public func portRead(offset: UInt16, width: Int) -> UInt32 { 0 }

    public func portWrite(offset: UInt16, width: Int, value: UInt32) {
        end(UInt8(truncatingIfNeeded: value))
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// NOTIFY of the generations up to 3.19: an address that says which device is meant, or where the text of
// the early console is (docs: lguest ABI 8.3).

import Devices
import X86

extension LguestInterface {
    /// Longest text of one call; guests send 16 characters at a time.
    private static let textLimit: UInt64 = 256

    func notify(_ address: UInt32) throws(GuestDeath) {
        let address = UInt64(address)
        if let page = services.devicePage, page.notify(address) == .device { return }
        guard address < memory.ramSize else {
            throw kill(
                "NOTIFY at \(UInt32(address).hex): no such device",
                suggestion: services.devicePage == nil
                    ? "only kernels before 4.0 have devices there; is the kernel's version recognised?"
                    : nil)
        }
        let length = min(Self.textLimit, memory.ramSize - address)
        let bytes = (try? memory.readBytes(address, count: Int(length))) ?? []
        services.earlyConsole(Array(bytes.prefix { $0 != 0 }))
    }
}

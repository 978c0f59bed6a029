// SPDX-License-Identifier: Apache-2.0
//
// The wires by which devices ask for the CPU's attention. Who listens at the other end (lguest's
// pending set, later an interrupt controller) is the guest interface's business.

/// A set of numbered interrupt wires, one for each device.
public protocol InterruptLines: AnyObject {
    /// The device wants service: IRQ `irq` (0 is the timer, devices count from 1, lguest ABI 5.6)
    /// becomes pending. Raising a line that is already up asks again.
    func raise(irq: Int)

    /// The device no longer wants service (its driver has read the ISR). A request that is still
    /// pending may be dropped; an edge-triggered listener may ignore this.
    func lower(irq: Int)
}

/// A set of wires whose other end is connected later, for parts that need each other.
public final class InterruptWires: InterruptLines {
    /// Who listens; not kept alive.
    public weak var end: (any InterruptLines)?

    public init() {}

    public func raise(irq: Int) { end?.raise(irq: irq) }
    public func lower(irq: Int) { end?.lower(irq: irq) }
}

// SPDX-License-Identifier: Apache-2.0
//
// The console driver: queue 0 brings what the person types (an interrupt tells us), queue 1 takes what we
// print. A line is collected in one buffer and handed over whole, which costs one access to a device
// register.
import Machine

enum VirtioConsole {
    nonisolated(unsafe) private(set) static var device: VirtioDevice?
    nonisolated(unsafe) static var receive: Virtqueue?
    nonisolated(unsafe) static var transmit: Virtqueue?

    /// Bit n set: transmit buffer n is ours.
    nonisolated(unsafe) private static var freeBuffers: UInt32 = 0xFFFF
    /// The buffer being filled, and how far.
    nonisolated(unsafe) private static var current: UInt32?
    nonisolated(unsafe) private static var filled: UInt32 = 0

    // What was typed and nobody has read yet.
    nonisolated(unsafe) private static var input = InlineArray<256, UInt8>(repeating: 0)
    nonisolated(unsafe) private static var inputHead = 0
    nonisolated(unsafe) private static var inputTail = 0

    static var running: Bool {
        guard let device else { return false }
        return device.status & VirtioDevice.Status.driverOK != 0
    }

    /// Finds the device and starts it; says whether that worked.
    static func start() -> Bool {
        if device == nil {
            guard let found = VirtioDevice(slot: EarlyConsole.slot), found.pci.device == 0x1043 else {
                return false
            }
            device = found
            receive = Virtqueue(deviceWrites: true)
            transmit = Virtqueue(deviceWrites: false)
        }
        return restart()
    }

    /// The start-up sequence that virtio prescribes, from reset to DRIVER_OK.
    static func restart() -> Bool {
        guard let device else { return false }
        device.reset()
        device.addStatus(VirtioDevice.Status.acknowledge)
        device.addStatus(VirtioDevice.Status.driver)
        device.accept(0, word: 0)
        device.accept(1, word: 1)  // feature 32: "this driver speaks virtio 1.0"
        device.addStatus(VirtioDevice.Status.featuresOK)
        guard device.status & VirtioDevice.Status.featuresOK != 0 else { return false }

        receive?.reset()
        transmit?.reset()
        transmit?.wantInterrupts(false)  // we look at the used ring when we need a buffer
        if let receive { device.setUp(receive, number: 0) }
        if let transmit { device.setUp(transmit, number: 1) }
        device.addStatus(VirtioDevice.Status.driverOK)

        freeBuffers = 0xFFFF
        current = nil
        filled = 0
        for index in 0..<Virtqueue.size { receive?.offer(index, bytes: Virtqueue.bufferBytes) }
        device.kick(0)
        Interrupts.unblock(Interrupts.consoleLine)
        return true
    }

    /// Gives the device back, so that the emergency register is the only way out.
    static func stop() {
        flush()
        Interrupts.block(Interrupts.consoleLine)
        device?.reset()
    }

    // MARK: output

    static func write(_ byte: UInt8) {
        let index: UInt32
        if let current {
            index = current
        } else {
            guard let free = takeFreeBuffer() else { return }
            index = free
            current = free
            filled = 0
        }
        guard let transmit else { return }
        Memory.write8(transmit.buffer(index) + filled, byte)
        filled += 1
        if byte == 0x0A || filled == Virtqueue.bufferBytes { submit() }
    }

    private static func takeFreeBuffer() -> UInt32? {
        collect()
        if freeBuffers == 0 {
            Timer.spin(microseconds: 10_000_000) {
                collect()
                return freeBuffers != 0
            }
        }
        guard freeBuffers != 0 else { return nil }
        let index = UInt32(truncatingIfNeeded: freeBuffers.trailingZeroBitCount)
        freeBuffers &= ~(1 << index)
        return index
    }

    private static func collect() {
        while let done = transmit?.take() { freeBuffers |= 1 << done.index }
    }

    /// Hands over what has been collected.
    static func submit() {
        guard let index = current else { return }
        current = nil
        transmit?.offer(index, bytes: filled)
        filled = 0
        device?.kick(1)
    }

    /// Hands over what has been collected and waits until the device has printed everything.
    static func flush() {
        submit()
        Timer.spin(microseconds: 10_000_000) {
            collect()
            return freeBuffers == 0xFFFF
        }
    }

    // MARK: input

    /// The device's interrupt: note what was typed, and give the buffers back to be filled again.
    static func interrupt() {
        guard let device else { return }
        _ = device.read8(.interruptStatus)  // reading it ends the interrupt
        var returned = false
        while let done = receive?.take() {
            guard let address = receive?.buffer(done.index) else { return }
            for position in 0..<min(done.bytes, Virtqueue.bufferBytes) {
                push(Memory.read8(address + position))
            }
            receive?.offer(done.index, bytes: Virtqueue.bufferBytes)
            returned = true
        }
        if returned { device.kick(0) }
    }

    private static func push(_ byte: UInt8) {
        let next = (inputTail + 1) % 256
        guard next != inputHead else { return }  // nobody reads: what does not fit is lost
        input[inputTail] = byte
        inputTail = next
    }

    /// Waits for a character.
    static func read() -> UInt8 {
        flush()
        while true {
            // Look and sleep with interrupts disabled: HALT enables them, so no key can get lost in between.
            Interrupts.disable()
            if inputHead != inputTail {
                let byte = input[inputHead]
                inputHead = (inputHead + 1) % 256
                Interrupts.enable()
                return byte
            }
            Hypervisor.halt()
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// A 16550A serial port (National Semiconductor data sheet PC16550D) at 0x3F8, interrupt 4: the console that a
// kernel has from its first line on. The line's speed is that of the host: what is written has been sent.

/// COM1. Belongs to the thread of the virtual CPU.
public final class SerialPort {
    /// The port's first address and its interrupt.
    public static let port: UInt16 = 0x3F8
    public static let irq = 4

    private enum Register {
        static let data: UInt16 = 0, interruptEnable: UInt16 = 1, identification: UInt16 = 2
        static let lineControl: UInt16 = 3, modemControl: UInt16 = 4, lineStatus: UInt16 = 5
        static let modemStatus: UInt16 = 6, scratch: UInt16 = 7
    }
    /// The receiver's FIFO has so many bytes.
    private static let fifoLength = 16
    /// Bytes of input kept for a guest that does not read; then the sender is told to wait.
    private static let inputLimit = 65536

    private let write: ([UInt8]) -> Void
    /// Written and not yet sent on: a host's system call for each byte would be slow.
    private var unsent: [UInt8] = []
    private var received: [UInt8] = []
    private var waiting: ArraySlice<UInt8> = []
    private var interruptEnable: UInt8 = 0
    private var fifoControl: UInt8 = 0
    private var lineControl: UInt8 = 0
    private var modemControl: UInt8 = 0
    private var scratch: UInt8 = 0
    private var divisor: UInt16 = 12
    /// The transmitter has become empty, and nobody has been told.
    private var transmitterIsNews = false
    /// Changes of the modem's lines in loopback: low half of the modem status.
    private var modemChanges: UInt8 = 0
    private var overrun = false
    /// Sets the interrupt's wire.
    public var setOutput: (Bool) -> Void = { _ in }
    /// Told to hold input back, or to go on.
    public var pauseInput: (Bool) -> Void = { _ in }

    /// `write` sends bytes to the other end.
    public init(write: @escaping ([UInt8]) -> Void) { self.write = write }

    public func claimPorts(on ports: PortBus) {
        ports.claim(ports: Self.port...Self.port + 7, handler: self)
    }

    /// Bytes from the other end.
    public func receive(_ bytes: [UInt8]) {
        waiting += bytes
        refill()
        if waiting.count > Self.inputLimit { pauseInput(true) }
    }

    /// Sends on what the guest has written so far.
    public func flush() {
        guard !unsent.isEmpty else { return }
        let bytes = unsent
        unsent.removeAll(keepingCapacity: true)
        write(bytes)
    }

    private var usesFIFO: Bool { fifoControl & 1 != 0 }
    private var isLoopback: Bool { modemControl & 0x10 != 0 }

    /// Input waits outside until the FIFO is empty, so that it never overruns.
    private func refill() {
        if received.isEmpty, !waiting.isEmpty, !isLoopback {
            received = Array(waiting.prefix(usesFIFO ? Self.fifoLength : 1))
            waiting = waiting.dropFirst(received.count)
            if waiting.isEmpty { waiting = [] }
            if waiting.count <= Self.inputLimit / 2 { pauseInput(false) }
        }
        updateOutput()
    }

    /// The most urgent interrupt as register 2 shows it; 1 for none.
    private var identification: UInt8 {
        if interruptEnable & 4 != 0, overrun { return 6 }
        if interruptEnable & 1 != 0, !received.isEmpty {
            // Less than the trigger level comes as a timeout: more is never on its way.
            let level = [1, 4, 8, 14][Int(fifoControl >> 6)]
            return usesFIFO && received.count < level ? 12 : 4
        }
        if interruptEnable & 2 != 0, transmitterIsNews { return 2 }
        if interruptEnable & 8 != 0, modemChanges & 15 != 0 { return 0 }
        return 1
    }

    private func updateOutput() { setOutput(identification != 1) }

    private func readRegister(_ register: UInt16) -> UInt8 {
        let selectsDivisor = lineControl & 0x80 != 0
        switch register {
        case Register.data:
            if selectsDivisor { return UInt8(truncatingIfNeeded: divisor) }
            let byte = received.isEmpty ? 0 : received.removeFirst()
            refill()
            return byte
        case Register.interruptEnable:
            return selectsDivisor ? UInt8(divisor >> 8) : interruptEnable
        case Register.identification:
            let value = identification
            if value == 2 {
                transmitterIsNews = false
                updateOutput()
            }
            return value | (usesFIFO ? 0xC0 : 0)
        case Register.lineControl: return lineControl
        case Register.modemControl: return modemControl
        case Register.lineStatus:
            defer {
                overrun = false
                updateOutput()
            }
            // Bits 5 and 6: the transmitter is empty.
            return 0x60 | (received.isEmpty ? 0 : 1) | (overrun ? 2 : 0)
        case Register.modemStatus:
            defer {
                modemChanges = 0
                updateOutput()
            }
            return modemLines | modemChanges
        default: return scratch
        }
    }

    /// Carrier, data set ready and clear to send are always there, except in loopback.
    private var modemLines: UInt8 {
        guard isLoopback else { return 0xB0 }
        let out = modemControl
        return (out & 2) << 3 | (out & 1) << 5 | (out & 0x0C) << 4
    }

    private func writeRegister(_ register: UInt16, _ value: UInt8) {
        let selectsDivisor = lineControl & 0x80 != 0
        switch register {
        case Register.data:
            if selectsDivisor {
                divisor = divisor & 0xFF00 | UInt16(value)
                return
            }
            send(value)
        case Register.interruptEnable:
            if selectsDivisor {
                divisor = divisor & 0xFF | UInt16(value) << 8
                return
            }
            // Enabling the transmitter's interrupt while it is empty makes one.
            if value & 2 != 0, interruptEnable & 2 == 0 { transmitterIsNews = true }
            interruptEnable = value & 15
        case Register.identification:
            if (value ^ fifoControl) & 1 != 0 || value & 2 != 0 { received = [] }
            fifoControl = value & 0xC9
            refill()
        case Register.lineControl: lineControl = value
        case Register.modemControl: setModemControl(value & 0x1F)
        case Register.scratch: scratch = value
        default: break
        }
        updateOutput()
    }

    private func send(_ byte: UInt8) {
        if isLoopback {
            if received.count < (usesFIFO ? Self.fifoLength : 1) {
                received.append(byte)
            } else {
                overrun = true
            }
        } else {
            unsent.append(byte)
            if byte == 10 || unsent.count >= 256 { flush() }
        }
        transmitterIsNews = true
    }

    private func setModemControl(_ value: UInt8) {
        let before = modemLines
        let wasLoopback = isLoopback
        modemControl = value
        if wasLoopback, !isLoopback { received = [] }
        let after = modemLines
        if isLoopback, wasLoopback {
            // The ring indicator counts only when it goes away.
            let changed = (before ^ after) >> 4
            modemChanges |= changed & 0x0B | (before & ~after) >> 4 & 4
        }
        refill()
    }
}

extension SerialPort: BytePortHandler {
    public func readByte(_ offset: UInt16) -> UInt8 { readRegister(offset) }
    public func writeByte(_ offset: UInt16, _ value: UInt8) { writeRegister(offset, value) }
}

// SPDX-License-Identifier: Apache-2.0
//
// One debugger's visit: packets in, packets out (gdb manual, appendix "Remote Protocol"). A packet that we do not
// know gets an empty answer, as the protocol demands. Nothing a debugger sends can do more to this process
// than to the guest.

import Support
import X86

final class GDBSession {
    private(set) var guest: any DebuggedGuest
    private(set) var view: GuestView
    private(set) var tasks: TaskList
    private let connection: SocketConnection
    private var reader = PacketReader()
    private var acknowledges = true
    private var lastSent: [UInt8] = []
    private var isOpen = true
    /// The debugger has let the guest run, and waits to hear of a stop.
    private var isWaiting = false
    var lastStop = StopReason.paused
    /// The thread that register packets are about; nil for the one that runs.
    var selectedThread: Int?
    /// Which kind of breakpoint is where: the debugger wants to hear the kind again.
    var softwareBreakpoints: Set<UInt32> = []
    var hardwareBreakpoints: Set<UInt32> = []
    /// The debugger knows the words for it in stop replies.
    var namesSoftwareBreakpoints = false
    var namesHardwareBreakpoints = false

    init(_ guest: any DebuggedGuest, _ connection: SocketConnection) {
        self.guest = guest
        self.connection = connection
        view = GuestView(guest)
        tasks = TaskList(view)
    }

    /// Takes what has come. False when the debugger has gone.
    func receive() -> Bool {
        switch connection.receive() {
        case .nothingNow: return true
        case .ended: return false
        case .bytes(let bytes):
            for byte in bytes where isOpen {
                if let incoming = reader.take(byte) { handle(incoming) }
            }
            return isOpen
        }
    }

    /// The same machine started anew, with the same points.
    func move(to newcomer: any DebuggedGuest) {
        let points = guest.cpu.debugPoints
        for address in points.breakpoints { newcomer.cpu.insertBreakpoint(address) }
        for watchpoint in points.watchpoints { newcomer.cpu.insertWatchpoint(watchpoint) }
        newcomer.stepsTakeInterrupts = guest.stepsTakeInterrupts
        guest = newcomer
        view = GuestView(newcomer)
        tasks = TaskList(view)
    }

    /// The visit is over: the guest runs on as if there had been none.
    func end() {
        isOpen = false
        guest.cpu.removeAllDebugPoints()
        guest.release()
    }

    func guestStopped(_ reason: StopReason) {
        lastStop = reason
        selectedThread = nil
        guard isWaiting else { return }
        isWaiting = false
        if case .dead(let report) = reason { show(report + "\n") }
        reply(stopReply)
    }

    func guestEnded() {
        if isWaiting { reply("W00") }
        isOpen = false
    }

    private func handle(_ incoming: Incoming) {
        switch incoming {
        case .acknowledge: break
        case .resend: transmit(lastSent)
        case .damaged: transmit([UInt8(ascii: "-")])
        case .interrupt: guest.interrupt()
        case .packet(let data):
            if acknowledges { transmit([UInt8(ascii: "+")]) }
            answer(data)
        }
    }

    func reply(_ text: String) { reply(Array(text.utf8)) }

    func reply(_ data: [UInt8]) {
        lastSent = PacketWriter.frame(data)
        transmit(lastSent)
    }

    private func transmit(_ bytes: [UInt8]) {
        if isOpen, !connection.send(bytes) { isOpen = false }
    }

    /// Prints in the debugger's console.
    func show(_ text: String) {
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: 1024) {
            reply("O" + Hex.text(bytes[start..<min(start + 1024, bytes.count)]))
        }
    }

    func setAcknowledging(_ on: Bool) { acknowledges = on }

    /// The guest runs; the answer to the packet is its next stop.
    func resume(stepping: Bool) {
        isWaiting = true
        if stepping { guest.step() } else { guest.resume() }
    }

    func close() { isOpen = false }
}

// SPDX-License-Identifier: Apache-2.0
//
// TCP (RFC 9293) for one connection at a time, as far as two services need it: port 9 takes everything, adds it up
// and answers with count and sum; port 19 reads a number and sends so many bytes. What arrives out of order is
// dropped, the other side sends it again; what we have sent and nobody confirms, we make again from its position.
import Machine

enum TCPServer {
    private enum State { case listening, opening, open, closing }

    private enum Flag {
        static let fin: UInt8 = 1
        static let syn: UInt8 = 2
        static let reset: UInt8 = 4
        static let push: UInt8 = 8
        static let ack: UInt8 = 16
    }

    static let sinkPort: UInt16 = 9
    static let sourcePort: UInt16 = 19
    private static let segmentBytes: UInt32 = 1460
    private static let windowShift: UInt8 = 7
    private static let windowBytes: UInt32 = 128 * 1024
    /// Bytes on their way at most, and in one segment that the device cuts.
    private static let flightLimit: UInt32 = 512 * 1024
    private static let longSegment: UInt32 = segmentBytes * 43
    private static let retryMicroseconds: UInt64 = 300_000

    nonisolated(unsafe) private static var state = State.listening
    nonisolated(unsafe) private static var peer = MAC()
    nonisolated(unsafe) private static var peerAddress: UInt32 = 0
    nonisolated(unsafe) private static var peerPort: UInt16 = 0
    nonisolated(unsafe) private static var port: UInt16 = 0
    // What we expect next.
    nonisolated(unsafe) private static var expected: UInt32 = 0
    nonisolated(unsafe) private static var mustAcknowledge = false
    nonisolated(unsafe) private static var received: UInt32 = 0
    nonisolated(unsafe) private static var sum = Sum()
    nonisolated(unsafe) private static var peerHasEnded = false
    // Our stream, counted from its first byte: confirmed, sent, all of it. Our first number is 0 for SYN, so byte n
    // has the number n + 1.
    nonisolated(unsafe) private static var confirmed: UInt32 = 0
    nonisolated(unsafe) private static var sent: UInt32 = 0
    /// The most that was ever sent: after going back to send again, what came before may still be confirmed.
    nonisolated(unsafe) private static var highest: UInt32 = 0
    nonisolated(unsafe) private static var finWasSent = false
    nonisolated(unsafe) private static var total: UInt32 = 0
    nonisolated(unsafe) private static var totalIsKnown = false
    nonisolated(unsafe) private static var finSent = false
    nonisolated(unsafe) private static var peerWindow: UInt32 = 0
    nonisolated(unsafe) private static var peerShift: UInt32 = 0
    nonisolated(unsafe) private static var lastProgress: UInt64 = 0
    nonisolated(unsafe) private static var repeats: UInt32 = 0
    nonisolated(unsafe) private static var wanted: UInt32 = 0
    /// Connections that have come to their end, and segments that were sent again.
    nonisolated(unsafe) private(set) static var served: UInt32 = 0
    nonisolated(unsafe) private(set) static var retries: UInt32 = 0

    static func received(_ frame: NetCard.Frame, _ header: VirtualAddress, _ length: UInt32) {
        let service = Wire.read16(header + 2)
        let offset = UInt32(Memory.read8(header + 12) >> 4) * 4
        guard service == sinkPort || service == sourcePort, offset >= 20, offset <= length else { return }
        let flags = Memory.read8(header + 13)
        let sender = Wire.read32(frame.start + 26)
        let isOurs = state != .listening && sender == peerAddress && Wire.read16(header) == peerPort
        if flags & Flag.syn != 0 {
            if state == .listening || (isOurs && state == .opening) {
                open(frame, header, offset, service, sender)
            }
            return
        }
        guard isOurs, service == port else { return }
        if flags & Flag.reset != 0 { return end() }
        if flags & Flag.ack != 0 { acknowledged(header, isEmpty: offset == length) }
        guard state != .listening else { return }
        take(header + offset, length - offset, number: Wire.read32(header + 4), isLast: flags & Flag.fin != 0)
    }

    // MARK: Beginning and end

    private static func open(
        _ frame: NetCard.Frame, _ header: VirtualAddress, _ offset: UInt32, _ service: UInt16,
        _ sender: UInt32
    ) {
        peer = Wire.readMAC(frame.start + 6)
        (peerAddress, peerPort, port) = (sender, Wire.read16(header), service)
        expected = Wire.read32(header + 4) &+ 1
        (received, sum, peerHasEnded, wanted) = (0, Sum(), false, 0)
        (confirmed, sent, total, totalIsKnown, finSent, repeats) = (0, 0, 0, false, false, 0)
        (highest, finWasSent) = (0, false)
        peerWindow = UInt32(Wire.read16(header + 14))
        peerShift = 0
        // Options: the only one that matters is the shift of the window.
        var at: UInt32 = 20
        var shiftOffered = false
        while at < offset {
            let kind = Memory.read8(header + at)
            if kind == 0 { break }
            if kind == 3 {
                peerShift = min(UInt32(Memory.read8(header + (at + 2))), 14)
                shiftOffered = true
            }
            at += kind == 1 ? 1 : max(UInt32(Memory.read8(header + (at + 1))), 2)
        }
        state = .opening
        lastProgress = Timer.now
        sendSYN(shiftOffered)
    }

    private static func sendSYN(_ hasShift: Bool) {
        shift = hasShift ? windowShift : 0
        guard let slot = card?.takeSlot(), let start = card?.frame(slot) else { return }
        let options: UInt32 = hasShift ? 8 : 4
        writeHeaders(start, sequence: 0, flags: Flag.syn | Flag.ack, options: options)
        Wire.write32(start + 54, 0x0204_0000 | segmentBytes)
        if hasShift { Wire.write32(start + 58, 0x0103_0300 | UInt32(windowShift)) }
        // The window in a SYN is never shifted.
        Wire.write16(start + 48, 65535)
        finish(slot, start, headers: 54 + options, payload: 0)
    }

    /// Our window's shift, which is agreed upon in the beginning.
    nonisolated(unsafe) private static var shift: UInt8 = 0

    private static func end() {
        state = .listening
        served += 1
    }

    // MARK: What comes in

    private static func acknowledged(_ header: VirtualAddress, isEmpty: Bool) {
        let number = Wire.read32(header + 8)
        peerWindow = UInt32(Wire.read16(header + 14)) << (state == .opening ? 0 : peerShift)
        if state == .opening, number == 1 {
            state = .open
            lastProgress = Timer.now
        }
        let position = number &- 1
        let last = highest &+ (finWasSent ? 1 : 0)
        if position &- confirmed <= last &- confirmed, position != confirmed {
            confirmed = min(position, total)
            if sent &- confirmed > highest &- confirmed { sent = confirmed }
            repeats = 0
            lastProgress = Timer.now
            if finWasSent, position == total &+ 1 { return finAcknowledged() }
        } else if isEmpty, position == confirmed, confirmed != sent {
            repeats += 1
            if repeats == 3 { sendAgain() }
        }
        pushOut()
    }

    private static func finAcknowledged() {
        if peerHasEnded { end() } else { state = .closing }
    }

    private static func take(_ place: VirtualAddress, _ count: UInt32, number: UInt32, isLast: Bool) {
        guard count > 0 || isLast else { return }
        mustAcknowledge = true
        // The part that we have already; the rest must begin where we are.
        let old = expected &- number
        guard old <= count else { return }
        let fresh = count - old
        if fresh > 0 {
            if port == sinkPort {
                sum.add(place + old, count: fresh)
            } else {
                readNumber(place + old, fresh)
            }
            received &+= fresh
            expected &+= fresh
        }
        if isLast, !peerHasEnded {
            peerHasEnded = true
            expected &+= 1
            if port == sinkPort { answerWithSum() }
            if state == .closing || (finSent && confirmed == total) {
                acknowledge()
                end()
            }
        }
    }

    private static func readNumber(_ place: VirtualAddress, _ count: UInt32) {
        for offset in 0..<count {
            let byte = Memory.read8(place + offset)
            if byte >= 0x30, byte <= 0x39 {
                wanted = wanted &* 10 &+ UInt32(byte - 0x30)
            } else if byte == 0x0A, !totalIsKnown {
                (total, totalIsKnown) = (wanted, true)
            }
        }
    }

    private static func answerWithSum() {
        let text: Text = "bytes \(received) sum \(hex: sum.value)\n"
        StreamSource.setAnswer(text)
        (total, totalIsKnown) = (UInt32(text.count), true)
    }

    /// After a batch of frames: one acknowledgement for all of them, and what may go out now.
    static func batchEnded() {
        if state != .listening { pushOut() }
        if mustAcknowledge { acknowledge() }
        card?.kick()
    }

    /// To be called now and then.
    static func checkClock() {
        guard state != .listening, Timer.now &- lastProgress > Timer.ticks(microseconds: retryMicroseconds)
        else { return }
        lastProgress = Timer.now
        if state == .opening {
            sendSYN(shift != 0)
        } else if confirmed != sent || finSent {
            sendAgain()
        }
        if state != .opening, totalIsKnown, sent == confirmed, sent != total { probeWindow() }
        card?.kick()
    }

    /// The other side has no room, and the word that it has some again may have been lost: one byte asks.
    private static func probeWindow() {
        sendData(1)
        sent += 1
        highest = max(highest, sent)
    }

    private static func sendAgain() {
        retries += 1
        sent = confirmed
        finSent = false
        pushOut()
    }

    // MARK: What goes out

    private static var card: NetCard? {
        get { NetStack.card }
        set { NetStack.card = newValue }
    }

    private static func pushOut() {
        guard state == .open || state == .closing, totalIsKnown else { return }
        let isOffloaded = (card?.features ?? 0) & NetCard.Feature.hostTCP4 != 0
        let most = isOffloaded ? longSegment : segmentBytes
        let limit = min(peerWindow, flightLimit)
        while sent != total, sent &- confirmed < limit {
            let count = min(min(total - sent, most), limit - (sent &- confirmed))
            // Small pieces at the edge of a window are not worth a segment.
            if count < segmentBytes, count < total - sent, sent != confirmed { break }
            sendData(count)
            sent += count
            highest = max(highest, sent)
        }
        if sent == total, !finSent {
            finSent = true
            finWasSent = true
            sendFlags(Flag.fin | Flag.ack, sequence: total &+ 1)
            mustAcknowledge = false
        }
    }

    private static func sendData(_ count: UInt32) {
        guard let slot = card?.takeSlot(), let start = card?.frame(slot) else { return }
        writeHeaders(start, sequence: sent &+ 1, flags: Flag.ack | Flag.push, options: 0)
        let place = StreamSource.place(sent, isPattern: port == sourcePort)
        mustAcknowledge = false
        finish(
            slot, start, headers: 54, payload: count,
            place: place)
    }

    private static func acknowledge() {
        mustAcknowledge = false
        let sequence = sent &+ 1 &+ (finSent ? 1 : 0)
        sendFlags(Flag.ack, sequence: sequence)
    }

    private static func sendFlags(_ flags: UInt8, sequence: UInt32) {
        guard let slot = card?.takeSlot(), let start = card?.frame(slot) else { return }
        writeHeaders(start, sequence: sequence, flags: flags, options: 0)
        finish(slot, start, headers: 54, payload: 0)
    }

    private static func writeHeaders(
        _ frame: VirtualAddress, sequence: UInt32, flags: UInt8, options: UInt32
    ) {
        guard let mac = card?.mac else { return }
        Wire.writeMAC(frame, peer)
        Wire.writeMAC(frame + 6, mac)
        Wire.write16(frame + 12, 0x0800)
        NetStack.startIP(frame + 14, protocol: 6, from: NetStack.address, to: peerAddress)
        Wire.write16(frame + 34, port)
        Wire.write16(frame + 36, peerPort)
        Wire.write32(frame + 38, sequence)
        Wire.write32(frame + 42, expected)
        Memory.write8(frame + 46, UInt8((20 + options) / 4) << 4)
        Memory.write8(frame + 47, flags)
        Wire.write16(frame + 48, UInt16(truncatingIfNeeded: min(windowBytes >> UInt32(shift), 65535)))
        Wire.write32(frame + 50, 0)
    }

    /// Lengths and checksums, as far as the device does not do them, and off it goes.
    private static func finish(
        _ slot: UInt32, _ frame: VirtualAddress, headers: UInt32, payload: UInt32,
        place: PhysicalAddress? = nil
    ) {
        NetStack.finishIP(frame + 14, length: headers - 14 + payload)
        let length = headers - 34 + payload
        let pseudo = Wire.pseudoSum(NetStack.address, peerAddress, protocol: 6, length: length)
        if (card?.features ?? 0) & NetCard.Feature.checksum != 0 {
            Wire.write16(frame + 50, Wire.fold(pseudo))
            card?.leave(
                slot, checksumStart: 34, offset: 16, headers: headers,
                size: payload > segmentBytes ? segmentBytes : 0)
        } else {
            var sum = Wire.sum(frame + 34, headers - 34, from: pseudo)
            if let place { sum = Wire.sum(place.inKernel, payload, from: sum) }
            Wire.write16(frame + 50, ~Wire.fold(sum))
        }
        card?.send(slot, count: headers, then: place, more: payload)
    }
}

/// What we send: a short answer, or bytes that anybody can make from their position.
enum StreamSource {
    /// A prime, so that the pattern does not repeat with any power of two.
    private static let period: UInt32 = 65521
    nonisolated(unsafe) private static var pattern: PhysicalAddress?
    nonisolated(unsafe) private static var answer: PhysicalAddress?

    static func byte(_ position: UInt32) -> UInt8 {
        UInt8(truncatingIfNeeded: ((position % period) &* 0x9E37_79B1) >> 24)
    }

    static func prepare() {
        let pages = (period + 65536 + 4095) / 4096
        let start = PageFrames.allocateRun(pages)
        for offset in 0..<period + 65536 { Memory.write8((start + offset).inKernel, byte(offset)) }
        pattern = start
        answer = PageFrames.allocate()
    }

    static func setAnswer(_ text: Text) {
        guard let answer else { return }
        for position in 0..<text.count { Memory.write8(answer.inKernel + UInt32(position), text[position]) }
    }

    /// Where the bytes from a position on lie, at least 64 KiB of them.
    static func place(_ position: UInt32, isPattern: Bool) -> PhysicalAddress? {
        isPattern ? pattern.map { $0 + position % period } : answer.map { $0 + position }
    }
}

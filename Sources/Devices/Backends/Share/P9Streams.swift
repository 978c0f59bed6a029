// SPDX-License-Identifier: Apache-2.0
//
// The three standard streams of this process, and an exit status, as four files of a 9P file system: a program in the
// guest that reads and writes them has the streams byte for byte, the end of input included, without a terminal
// between.

import Support

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What a 9P device asks.
public protocol P9Answering: AnyObject {
    /// Carries out one request whose answer may have `room` bytes; nil when the answer comes later, by `later`.
    func answer(_ request: [UInt8], room: Int, later: @escaping ([UInt8]) -> Void) -> [UInt8]?
    /// The guest's driver begins anew; answers that are due never come.
    func reset()
}

extension P9Server: P9Answering {
    public func answer(_ request: [UInt8], room: Int, later: @escaping ([UInt8]) -> Void) -> [UInt8]? {
        answer(request, room: room)
    }
}

public final class P9Streams: P9Answering {
    /// The files, by the number that identifies each.
    private enum Node: UInt64, CaseIterable {
        case root, input, output, errors, status

        var name: [UInt8] { Array(["", "in", "out", "err", "status"][Int(rawValue)].utf8) }
    }

    /// A read that waits for input.
    private struct Waiting {
        let tag: UInt16
        let place: Place
        /// How many bytes the answer may have.
        let limit: Int
        let later: ([UInt8]) -> Void
    }

    /// What a read asks for.
    private struct Place: Equatable {
        let fid: UInt32
        let offset: UInt64
        let count: UInt32
    }

    private let eventLoop: EventLoop
    private let input: Int32
    private var fids: [UInt32: Node] = [:]
    private var waiting: [Waiting] = []
    /// Reads by which Linux goes on where it got less than it asked for: its client (`p9_client_read`, from 4.1 on) fills
    /// a program's buffer or meets the end of the file. A program that talks with ours would wait for ever, so the
    /// answer to them is that there is nothing more for now; the program's next read asks anew.
    private var continuations: [Place] = []
    private var source: EventLoop.Source?
    private var statusText: [UInt8] = []
    /// Gets the guest program's status.
    public var onStatus: (UInt8) -> Void = { _ in }

    public init(eventLoop: EventLoop, input: Int32 = 0) {
        self.eventLoop = eventLoop
        self.input = input
    }

    public func reset() {
        fids = [:]
        waiting = []
        continuations = []
        listen()
    }

    public func answer(_ request: [UInt8], room: Int, later: @escaping ([UInt8]) -> Void) -> [UInt8]? {
        guard request.count >= 7 else { return [] }
        let tag = UInt16(truncatingIfNeeded: request.littleEndian(at: 5, width: 2))
        var reader = P9Reader(request, from: 7)
        var writer = P9Writer()
        do throws(P9Failure) {
            guard let kind = P9Request(rawValue: request[4]) else { throw P9Failure(EOPNOTSUPP) }
            if kind == .read, try beginReading(&reader, tag, room, later) { return nil }
            if kind == .read { reader = P9Reader(request, from: 7) }
            try carryOut(kind, &reader, &writer)
            return writer.finished(type: request[4] + 1, tag: tag)
        } catch {
            return P9Writer.failure(error, tag: tag)
        }
    }

    private func node(_ reader: inout P9Reader) throws(P9Failure) -> Node {
        guard let node = fids[try reader.number()] else { throw P9Failure(EBADF) }
        return node
    }

    private func carryOut(
        _ kind: P9Request, _ reader: inout P9Reader, _ writer: inout P9Writer
    ) throws(P9Failure) {
        switch kind {
        case .version:
            let size: UInt32 = try reader.number()
            fids = [:]
            writer.put(min(size, P9Server.largestMessage))
            writer.put(Array("9P2000.L".utf8))
        case .attach:
            fids[try reader.number()] = .root
            put(.root, &writer)
        case .walk: try walk(&reader, &writer)
        case .getAttributes: try attributes(&reader, &writer)
        case .open:
            put(try node(&reader), &writer)
            writer.put(UInt32(0))
        case .setAttributes, .synchronise: _ = try node(&reader)
        case .read:
            _ = try node(&reader)
            writer.put(UInt32(0))
        case .write: try write(&reader, &writer)
        case .clunk: fids[try reader.number()] = nil
        case .flush: flush(try reader.number())
        default: throw P9Failure(EOPNOTSUPP)
        }
    }

    private func put(_ node: Node, _ writer: inout P9Writer) {
        writer.put(UInt8(node == .root ? 0x80 : 0))
        writer.put(UInt32(0))
        writer.put(node.rawValue)
    }

    private func walk(_ reader: inout P9Reader, _ writer: inout P9Writer) throws(P9Failure) {
        var node = try node(&reader)
        let number: UInt32 = try reader.number()
        let count: UInt16 = try reader.number()
        guard count <= 1, fids.count < 4096 else { throw P9Failure(ENOENT) }
        writer.put(count)
        if count == 1 {
            let name = try reader.string()
            guard node == .root, let found = Node.allCases.dropFirst().first(where: { $0.name == name })
            else {
                throw P9Failure(ENOENT)
            }
            node = found
            put(node, &writer)
        }
        fids[number] = node
    }

    private func attributes(_ reader: inout P9Reader, _ writer: inout P9Writer) throws(P9Failure) {
        let node = try node(&reader)
        writer.put(UInt64(0x7FF))
        put(node, &writer)
        // A pipe's end is a file here, since a pipe would be the guest's own.
        writer.put(node == .root ? UInt32(0o40755) : UInt32(0o100666))
        writer.put(UInt32(0))
        writer.put(UInt32(0))
        writer.put(UInt64(1))
        // Device, size, block size, blocks, six parts of times, four that are not known.
        for index in 0..<14 { writer.put(UInt64(index == 2 ? 4096 : 0)) }
    }

    private func write(_ reader: inout P9Reader, _ writer: inout P9Writer) throws(P9Failure) {
        let node = try node(&reader)
        _ = try reader.number(UInt64.self)
        let bytes = try reader.data(Int(try reader.number(UInt32.self)))
        switch node {
        case .output: try send(bytes, to: 1)
        case .errors: try send(bytes, to: 2)
        case .status: takeStatus(bytes)
        case .root, .input: throw P9Failure(EBADF)
        }
        writer.put(UInt32(bytes.count))
    }

    private func send(_ bytes: ArraySlice<UInt8>, to descriptor: Int32) throws(P9Failure) {
        let all = Array(bytes)
        var done = 0
        while done < all.count {
            switch HostIO.write(descriptor, all, from: done, limit: all.count - done) {
            case .wrote(let count): done += count
            case .again:
                let entry = HostIO.PollEntry(descriptor: descriptor, wantsInput: false, wantsOutput: true)
                _ = HostIO.wait([entry], nanoseconds: nil)
            case .failed(let reason): throw P9Failure(reason)
            }
        }
    }

    /// A decimal number and a newline.
    private func takeStatus(_ bytes: ArraySlice<UInt8>) {
        statusText += bytes.prefix(16)
        guard let end = statusText.firstIndex(of: 10) else { return }
        let text = String(decoding: statusText[..<end], as: UTF8.self)
        statusText = []
        onStatus(UInt8(truncatingIfNeeded: Int(text) ?? 255))
    }

    // Input

    /// Whether the request reads the input, which takes as long as it takes. False also where the answer is "nothing".
    private func beginReading(
        _ reader: inout P9Reader, _ tag: UInt16, _ room: Int, _ later: @escaping ([UInt8]) -> Void
    ) throws(P9Failure) -> Bool {
        let fid: UInt32 = try reader.number()
        guard fids[fid] == .input else { return false }
        let place = Place(fid: fid, offset: try reader.number(), count: try reader.number())
        if let index = continuations.firstIndex(of: place) {
            continuations.remove(at: index)
            return false
        }
        let limit = min(Int(place.count), max(1, room - 11))
        waiting.append(Waiting(tag: tag, place: place, limit: limit, later: later))
        listen()
        return true
    }

    /// `count` bytes are the answer to a read of `place`.
    private func expectContinuation(_ place: Place, after count: Int) {
        guard count > 0, count < Int(place.count) else { return }
        // One a reader would do; clients that never go on leave theirs.
        if continuations.count >= 16 { continuations.removeFirst() }
        continuations.append(
            Place(
                fid: place.fid, offset: place.offset &+ UInt64(count), count: place.count - UInt32(count)))
    }

    private func listen() {
        if let source, waiting.isEmpty {
            eventLoop.unregister(source)
            self.source = nil
        } else if source == nil, !waiting.isEmpty {
            source = eventLoop.register(descriptor: input) { [weak self] in self?.inputIsReady() }
        }
    }

    private func inputIsReady() {
        guard let first = waiting.first else { return listen() }
        let result = HostIO.read(input, limit: first.limit)
        if result == .again { return }
        waiting.removeFirst()
        listen()
        switch result {
        case .bytes(let bytes):
            expectContinuation(first.place, after: bytes.count)
            var writer = P9Writer(reserving: bytes.count + 11)
            writer.put(UInt32(bytes.count))
            writer.append(bytes)
            first.later(writer.finished(type: P9Request.read.rawValue + 1, tag: first.tag))
        case .failed(let reason): first.later(P9Writer.failure(P9Failure(reason), tag: first.tag))
        default:
            var writer = P9Writer()
            writer.put(UInt32(0))
            first.later(writer.finished(type: P9Request.read.rawValue + 1, tag: first.tag))
        }
    }

    /// The guest no longer waits for an answer, which it still must get.
    private func flush(_ tag: UInt16) {
        guard let index = waiting.firstIndex(where: { $0.tag == tag }) else { return }
        let request = waiting.remove(at: index)
        listen()
        request.later(P9Writer.failure(P9Failure(EINTR), tag: tag))
    }
}

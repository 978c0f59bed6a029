// SPDX-License-Identifier: Apache-2.0
//
// A disk that does not hold up who asks: what the host has in memory is read at once, everything else is
// done on worker threads, several requests at a time, and announced through the event loop.

import Support
import Synchronization

/// An image with threads. Belongs to the thread of the event loop.
public final class Disk {
    /// What became of a request.
    enum Outcome: Equatable {
        /// It is done; nil when it worked.
        case done(DiskFailure?)
        /// `onCompletion` will tell.
        case pending
    }

    /// Reads of more than this are left to a thread even when they could be had at once: copying them would
    /// take longer than handing them over (about 50 µs).
    private static let inlineReadLimit = 1 << 18
    private static let threadLimit = 4

    let image: any DiskImage
    /// Told of the requests that are done, as many at a time as there are.
    var onCompletion: (([(token: UInt64, failure: DiskFailure?)]) -> Void)?
    /// What has gone wrong, in one line; the guest has been told by an I/O error.
    public var onWarning: ((String) -> Void)?

    private let pool = WorkerPool(limit: threadLimit)
    private let mail = Mailbox()
    private let eventLoop: EventLoop
    private var wakeSource: EventLoop.Source?
    private var warnings = 0

    /// Finished requests on their way back.
    private final class Mailbox: Sendable {
        let done = Mutex<[(token: UInt64, failure: DiskFailure?)]>([])
    }

    init(image: any DiskImage, eventLoop: EventLoop) {
        self.image = image
        self.eventLoop = eventLoop
        wakeSource = eventLoop.registerWake { [weak self] in self?.collect() }
    }

    /// Opens the files that `specification` names. Throws `.badInput` when that cannot be.
    public convenience init(_ specification: DiskSpecification, eventLoop: EventLoop) throws(LguestError) {
        let image: any DiskImage
        switch specification.access {
        case .readWrite: image = try FileImage(path: specification.path, isReadOnly: false)
        case .readOnly: image = try FileImage(path: specification.path, isReadOnly: true)
        case .overlay(let file): image = try OverlayImage(path: specification.path, overlayPath: file)
        }
        self.init(image: image, eventLoop: eventLoop)
    }

    deinit { close() }

    /// Starts `operation`; `token` names it in `onCompletion` if it cannot be done at once.
    func submit(_ operation: DiskOperation, token: UInt64) -> Outcome {
        if case .read(let offset, let buffers) = operation, buffers.count <= Self.inlineReadLimit,
            image.readAtOnce(at: offset, into: buffers)
        {
            return .done(nil)
        }
        let (image, mail, waker) = (image, mail, eventLoop.waker)
        pool.submit {
            let failure = image.perform(operation)
            mail.done.withLock { $0.append((token, failure)) }
            waker.wake()
        }
        return .pending
    }

    /// Carries out `operation` after everything that was asked for before, and waits for it.
    func performAlone(_ operation: DiskOperation) -> DiskFailure? {
        pool.drain()
        let failure = image.perform(operation)
        if let failure { warn(failure) }
        return failure
    }

    /// Waits for all requests and tells of them.
    func finish() {
        pool.drain()
        collect()
    }

    /// Finishes, ends the threads and lets other guests have the files.
    public func close() {
        finish()
        pool.end()
        image.unlock()
    }

    private func collect() {
        let done = mail.done.withLock { list in
            defer { list.removeAll(keepingCapacity: true) }
            return list
        }
        guard !done.isEmpty else { return }
        for case (_, let failure?) in done { warn(failure) }
        onCompletion?(done)
    }

    /// A full host disk fails thousands of requests: the first few lines say it all.
    private func warn(_ failure: DiskFailure) {
        warnings += 1
        guard warnings <= 3 else { return }
        onWarning?(
            "disk '\(image.name)': \(HostIO.message(failure.errno)); the guest sees an I/O error"
                + (warnings == 3 ? " (no more of these messages)" : ""))
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The few system calls that devices make on file descriptors, with their pointers hidden and their
// results named.

import CHost

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// System calls on file descriptors.
enum HostIO {
    /// What `read(2)` gave.
    enum ReadResult: Equatable {
        case bytes([UInt8])
        case endOfFile
        /// Nothing there now, or interrupted: ask again later.
        case again
        case failed(errno: Int32)
    }

    /// What `write(2)` gave.
    enum WriteResult: Equatable {
        case wrote(Int)
        /// No room now: wait until the descriptor is writable.
        case again
        case failed(errno: Int32)
    }

    /// One descriptor to wait for.
    struct PollEntry {
        var descriptor: Int32
        var wantsInput: Bool
        var wantsOutput: Bool
    }

    /// What became of a `PollEntry`.
    struct PollResult: Equatable {
        var canRead = false
        var canWrite = false
        /// Hung up or in error: a read or write will tell.
        var hungUp = false
        /// The descriptor is not open.
        var invalid = false

        var isEmpty: Bool { self == PollResult() }
    }

    static func read(_ descriptor: Int32, limit: Int) -> ReadResult {
        var reason: Int32 = 0
        var end = false
        // SAFETY: the kernel writes at most `buffer.count` bytes, and exactly `count` of them are kept.
        let bytes = [UInt8](unsafeUninitializedCapacity: max(1, limit)) { buffer, initialized in
            #if canImport(Glibc)
                let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            #else
                let count = Musl.read(descriptor, buffer.baseAddress, buffer.count)
            #endif
            if count < 0 { reason = errno }
            end = count == 0
            initialized = max(0, count)
        }
        if end { return .endOfFile }
        if reason == EAGAIN || reason == EWOULDBLOCK || reason == EINTR { return .again }
        return reason == 0 ? .bytes(bytes) : .failed(errno: reason)
    }

    /// Reads as much as fits into `buffer`; gives the number of bytes, 0 when there are none.
    static func read(_ descriptor: Int32, into buffer: inout [UInt8]) -> Int {
        // SAFETY: the kernel writes at most `buffer.count` bytes.
        buffer.withUnsafeMutableBytes { bytes in
            #if canImport(Glibc)
                max(0, Glibc.read(descriptor, bytes.baseAddress, bytes.count))
            #else
                max(0, Musl.read(descriptor, bytes.baseAddress, bytes.count))
            #endif
        }
    }

    /// Writes up to `limit` bytes of `bytes` from `offset` on; tries again by itself when interrupted.
    static func write(_ descriptor: Int32, _ bytes: [UInt8], from offset: Int, limit: Int) -> WriteResult {
        let count = min(limit, bytes.count - offset)
        guard offset >= 0, count > 0 else { return .wrote(0) }
        while true {
            // SAFETY: `offset + count` is within the array, which lives through the call.
            let result = bytes.withUnsafeBytes { buffer -> Int in
                guard let base = buffer.baseAddress else { return 0 }
                #if canImport(Glibc)
                    return Glibc.write(descriptor, base + offset, count)
                #else
                    return Musl.write(descriptor, base + offset, count)
                #endif
            }
            if result >= 0 { return .wrote(result) }
            let reason = errno
            if reason == EINTR { continue }
            if reason == EAGAIN || reason == EWOULDBLOCK { return .again }
            return .failed(errno: reason)
        }
    }

    /// Waits until one of `entries` is ready, `nanoseconds` have passed (nil: for ever) or a signal comes.
    /// The results are in the order of the entries; all are empty when nothing is ready.
    static func wait(_ entries: [PollEntry], nanoseconds: UInt64?) -> [PollResult] {
        var list = entries.map { entry in
            let events = (entry.wantsInput ? POLLIN : 0) | (entry.wantsOutput ? POLLOUT : 0)
            return pollfd(fd: entry.descriptor, events: Int16(events), revents: 0)
        }
        return wait(&list, nanoseconds: nanoseconds) > 0
            ? list.map(Self.result) : entries.map { _ in PollResult() }
    }

    /// The same on a list made before; gives the number of ready descriptors, 0 for none.
    static func wait(_ list: inout [pollfd], nanoseconds: UInt64?) -> Int {
        // A day is as good as longer, and fits every time_t.
        let limit = nanoseconds.map { Int64(min($0, 86_400_000_000_000)) } ?? -1
        // SAFETY: the kernel reads and writes exactly `list.count` elements.
        let ready = lguest_poll(&list, UInt32(list.count), limit)
        return max(0, Int(ready))
    }

    static func result(_ entry: pollfd) -> PollResult {
        let events = Int32(entry.revents)
        return PollResult(
            canRead: events & POLLIN != 0, canWrite: events & POLLOUT != 0,
            hungUp: events & (POLLHUP | POLLERR) != 0, invalid: events & POLLNVAL != 0)
    }

    /// A new event counter (non-blocking, closed on exec), or the negative of `errno`.
    static func makeEventDescriptor() -> Int32 {
        lguest_event_create()
    }

    /// Adds one to an event counter. May be called from any thread.
    static func signal(_ descriptor: Int32) {
        lguest_event_signal(descriptor)
    }

    /// Sets an event counter to zero.
    static func drain(_ descriptor: Int32) {
        // An event counter is read whole, in 8 bytes.
        _ = read(descriptor, limit: 8)
    }

    static func close(_ descriptor: Int32) {
        #if canImport(Glibc)
            _ = Glibc.close(descriptor)
        #else
            _ = Musl.close(descriptor)
        #endif
    }

    /// The host's words for an error number.
    static func message(_ reason: Int32) -> String {
        // SAFETY: strerror gives a NUL-terminated string, copied at once.
        strerror(reason).map { String(cString: $0) } ?? "error \(reason)"
    }
}

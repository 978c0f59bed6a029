// SPDX-License-Identifier: Apache-2.0
//
// `--coredump=FILE`: a guest's memory and registers as an ELF core file, for gdb and crash. The file is opened before
// the guest starts, when the process may still open files, and written when the guest dies; until then, and if it
// does not die, it is empty. Pages of zeros become holes. System calls then: ftruncate, pwrite64.

import Support
import X86

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What a core file says about the kernel.
public struct CoreKernel: Sendable {
    /// The name of its file, without folders.
    public var name: String
    public var commandLine: String

    public init(path: String, commandLine: String) {
        name = path.split(separator: "/").last.map(String.init) ?? path
        self.commandLine = commandLine
    }
}

/// A file that a core may be written to.
public final class CoreFile {
    private let descriptor: Int32
    private let path: String
    /// For messages.
    public var name: String { path.asOneLine }

    private static let headerBytes: UInt64 = 52
    private static let entryBytes: UInt64 = 32

    /// Creates or empties the file. Throws `.badInput` when that is not possible.
    public init(path: String) throws(LguestError) {
        let made = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0o600)
        guard made >= 0 else {
            // SAFETY: strerror gives a NUL-terminated string, copied at once.
            let reason = strerror(errno).map { String(cString: $0) } ?? "error \(errno)"
            throw LguestError(.badInput, "\(path.asOneLine): \(reason)", hint: "--coredump")
        }
        (descriptor, self.path) = (made, path)
    }

    deinit { close(descriptor) }

    /// Writes the guest as it is now. Returns what went wrong, in one line, or nil.
    public func write(_ guest: any DebuggedGuest, _ kernel: CoreKernel) -> String? {
        let view = GuestView(guest)
        let notes = CoreNotes.all(view, TaskList(view), kernel)
        let segments = CoreMap.segments(view, ramBytes: guest.ramBytes)
        let tables = Self.headerBytes + Self.entryBytes * UInt64(segments.count + 1)
        let memoryStart = (tables + UInt64(notes.count) + 4095) & ~4095
        guard memoryStart + guest.ramBytes < 1 << 32 else {
            return "\(path.asOneLine): the guest has too much memory for a 32-bit core file"
        }
        let head =
            Self.header(count: segments.count + 1)
            + Self.entry(4, offset: tables, linear: 0, physical: 0, length: UInt64(notes.count), flags: 0)
            + segments.flatMap { segment in
                Self.entry(
                    1, offset: memoryStart + segment.physical, linear: segment.linear,
                    physical: segment.physical, length: segment.length, flags: 7)
            } + notes
        ftruncate(descriptor, 0)
        guard ftruncate(descriptor, off_t(memoryStart + guest.ramBytes)) == 0, put(head, at: 0),
            putMemory(guest, at: memoryStart)
        else {
            let reason = strerror(errno).map { String(cString: $0) } ?? "error \(errno)"
            return "\(path.asOneLine): \(reason)"
        }
        return nil
    }

    private func putMemory(_ guest: any DebuggedGuest, at start: UInt64) -> Bool {
        let step: UInt64 = 1 << 16
        for address in stride(from: 0, to: guest.ramBytes, by: Int(step)) {
            let count = Int(min(step, guest.ramBytes - address))
            // Where there is no memory, there is nothing to write.
            guard let bytes = guest.readPhysical(address, count: count), !Self.isZero(bytes) else { continue }
            guard put(bytes, at: start + address) else { return false }
        }
        return true
    }

    private static func isZero(_ bytes: [UInt8]) -> Bool {
        // SAFETY: only whole words inside the buffer are looked at; memory blocks are multiples of 4096 bytes.
        bytes.withUnsafeBytes { buffer in
            for offset in stride(from: 0, to: buffer.count & ~7, by: 8)
            where buffer.loadUnaligned(fromByteOffset: offset, as: UInt64.self) != 0 {
                return false
            }
            return true
        }
    }

    private func put(_ bytes: [UInt8], at offset: UInt64) -> Bool {
        var done = 0
        while done < bytes.count {
            // SAFETY: `done` is below the buffer's count, which is the length passed.
            let count = bytes.withUnsafeBytes { buffer -> Int in
                guard let base = buffer.baseAddress else { return 0 }
                return pwrite(descriptor, base + done, buffer.count - done, off_t(offset) + off_t(done))
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return false }
            done += count
        }
        return true
    }

    /// ELF32, little-endian, ET_CORE, EM_386.
    private static func header(count: Int) -> [UInt8] {
        var bytes: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 1, 1, 1] + [UInt8](repeating: 0, count: 45)
        bytes.set(4 | 3 << 16, at: 16)
        bytes.set(1, at: 20)
        bytes.set(UInt32(headerBytes), at: 28)
        bytes.set(UInt32(headerBytes) | UInt32(entryBytes) << 16, at: 40)
        bytes.set(UInt32(count), at: 44)
        return bytes
    }

    private static func entry(
        _ type: UInt32, offset: UInt64, linear: UInt32, physical: UInt64, length: UInt64, flags: UInt32
    ) -> [UInt8] {
        [
            type, UInt32(truncatingIfNeeded: offset), linear, UInt32(truncatingIfNeeded: physical),
            UInt32(truncatingIfNeeded: length), UInt32(truncatingIfNeeded: length), flags,
            type == 1 ? 4096 : 4,
        ].flatMap(\.littleEndianBytes)
    }
}

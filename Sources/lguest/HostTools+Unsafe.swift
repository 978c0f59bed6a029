// SPDX-License-Identifier: Apache-2.0
//
// Files that programs of the host work on.

import LguestKit
import Support

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

enum HostTools {
    /// A new sparse file. Throws `.badInput` when there is one already, or it cannot be made.
    static func createFile(_ path: String, bytes: Int64) throws(LguestError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw LguestError(.badInput, "\(path.asOneLine): \(message(errno))") }
        defer { close(descriptor) }
        guard ftruncate(descriptor, off_t(bytes)) == 0 else {
            let reason = errno
            unlink(path)
            throw LguestError(.host, "\(path.asOneLine): \(message(reason))")
        }
    }

    /// A new file with this text.
    static func write(_ text: String, to path: String) throws(LguestError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw LguestError(.host, "\(path.asOneLine): \(message(errno))") }
        defer { close(descriptor) }
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            // SAFETY: the buffer is valid during the call, and the count is its own.
            let count = rest.withUnsafeBytes { Self.write(descriptor, $0) }
            guard count > 0 else { throw LguestError(.host, "\(path.asOneLine): \(message(errno))") }
            rest = rest.dropFirst(count)
        }
    }

    private static func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        #if canImport(Glibc)
            Glibc.write(descriptor, bytes.baseAddress, bytes.count)
        #else
            Musl.write(descriptor, bytes.baseAddress, bytes.count)
        #endif
    }

    static func makeFolder(_ path: String) throws(LguestError) {
        guard mkdir(path, 0o755) == 0 else {
            throw LguestError(.host, "\(path.asOneLine): \(message(errno))")
        }
    }

    static func remove(_ path: String) { unlink(path) }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// A new folder that only we can read.
    static func temporaryFolder() throws(LguestError) -> String {
        var name = Array(((ProcessFacts.environment("TMPDIR") ?? "/tmp") + "/lguest-XXXXXX").utf8CString)
        // SAFETY: the array ends in a zero byte, and mkdtemp changes the six letters before it only.
        guard mkdtemp(&name) != nil else {
            throw LguestError(
                .host, "no temporary folder: \(message(errno))", hint: "TMPDIR names another place")
        }
        return String(decoding: name.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    static func removeTree(_ path: String) {
        // Nobody can be told when it fails, and it is in a folder for temporary things.
        try? HostPrograms.run(["rm", "-rf", "--", path], package: "coreutils")
    }

    private static func message(_ reason: Int32) -> String { HostPrograms.message(reason) }
}

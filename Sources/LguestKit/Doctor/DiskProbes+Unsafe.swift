// SPDX-License-Identifier: Apache-2.0
//
// Room for disks, and whether files can do what disks ask of them.

import CHost
import Support

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

enum DiskProbes {
    static func all() -> [Finding] {
        // SAFETY: getenv returns a C string or nil; it is copied at once, and nobody changes the environment.
        let folder = getenv("TMPDIR").map { String(cString: $0) } ?? "/var/tmp"
        return [room("disk space here", "."), room("disk space for overlays", folder), holes(folder)]
    }

    private static func room(_ name: String, _ folder: String) -> Finding {
        var status = statvfs()
        // SAFETY: `status` lives across the call and has the size that statvfs expects.
        guard statvfs(folder, &status) == 0 else {
            return Finding(
                name, .missing, "\(folder.asOneLine): \(HostPrograms.message(errno))",
                cost: "no images or overlays there",
                remedy: "another folder; TMPDIR names that of the overlays")
        }
        let free = UInt64(status.f_bavail) * UInt64(status.f_frsize)
        let text = "\(free.asByteCount) free in \(folder.asOneLine)"
        guard access(folder, W_OK) == 0 else {
            return Finding(
                name, .limited, text + ", which cannot be written", cost: "no new images or overlays there",
                remedy: "another folder; TMPDIR names that of the overlays")
        }
        if free >= 1 << 30 { return Finding(name, works: text) }
        return Finding(
            name, .limited, text, cost: "a guest that writes more sees I/O errors", remedy: "make room")
    }

    /// Writes to a file, punches a hole into it, reads it without waiting.
    private static func holes(_ folder: String) -> Finding {
        let name = "disk files"
        var path = Array("\(folder)/lguest-XXXXXX".utf8CString)
        // SAFETY: the array is a NUL-terminated string, changed in place within its length.
        let descriptor = lguest_file_temporary(&path)
        guard descriptor >= 0 else {
            return Finding(
                name, .missing, "no file in \(folder.asOneLine): \(HostPrograms.message(errno))",
                cost: "no --block=FILE,overlay", remedy: "TMPDIR names another folder")
        }
        unlink(path)
        defer { HostFiles.close(descriptor) }
        var bytes = [UInt8](repeating: 1, count: 8192)
        let count = bytes.count
        // SAFETY: the vector names the array's own storage, which is alive and of that size during the calls.
        let (written, read) = bytes.withUnsafeMutableBytes { buffer in
            var list = iovec(iov_base: buffer.baseAddress, iov_len: buffer.count)
            return (lguest_file_write(descriptor, &list, 1, 0), lguest_file_read(descriptor, &list, 1, 0, 1))
        }
        guard written == Int64(count) else {
            return Finding(
                name, .missing, "a write failed: \(HostPrograms.message(Int32(-written)))",
                cost: "no --block=FILE,overlay", remedy: "make room, or TMPDIR names another folder")
        }
        var lacks: [String] = []
        if lguest_file_zero(descriptor, 0, 4096, 1) != 0 {
            lacks.append("holes (discarded blocks keep their space)")
        }
        if read != Int64(count) { lacks.append("reads without waiting (each read takes a thread)") }
        if lacks.isEmpty { return Finding(name, works: "sparse files, and reads that do not wait") }
        return Finding(
            name, .limited,
            "the file system of \(folder.asOneLine) has no " + lacks.joined(separator: ", no "),
            cost: "slower or larger disks", remedy: "ext4, xfs, btrfs or tmpfs; TMPDIR names the folder")
    }
}

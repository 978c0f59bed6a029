// SPDX-License-Identifier: Apache-2.0
//
// The plain disk: the image file is the disk, byte by byte. What the guest writes goes to the host's page
// cache, where it outlives us; a flush takes it to the host's disk.

import Support

/// A disk in a file or block device.
final class FileImage: DiskImage {
    let isReadOnly: Bool
    private let file: DiskFile

    /// Opens the image at `path`. Throws `.badInput` when that cannot be.
    init(path: String, isReadOnly: Bool) throws(LguestError) {
        self.isReadOnly = isReadOnly
        file = try DiskFile(path: path, purpose: "disk image", mode: isReadOnly ? .readOnly : .readWrite)
    }

    var name: String { file.name }
    var byteCount: UInt64 { file.byteCount }

    func unlock() { file.unlock() }

    func read(at offset: UInt64, into buffers: HostBuffers) throws(DiskFailure) {
        try file.read(at: offset, into: buffers)
    }

    func readAtOnce(at offset: UInt64, into buffers: HostBuffers) -> Bool {
        file.readAtOnce(at: offset, into: buffers)
    }

    func write(at offset: UInt64, from buffers: HostBuffers) throws(DiskFailure) {
        try file.write(at: offset, from: buffers)
    }

    func flush() throws(DiskFailure) {
        if !isReadOnly { try file.sync() }
    }

    func writeZeros(at offset: UInt64, count: UInt64, mayDiscard: Bool) throws(DiskFailure) {
        try file.zero(at: offset, count: count, mayDiscard: mayDiscard)
    }

    func discard(at offset: UInt64, count: UInt64) throws(DiskFailure) {
        try file.discard(at: offset, count: count)
    }
}

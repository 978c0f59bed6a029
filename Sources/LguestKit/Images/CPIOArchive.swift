// SPDX-License-Identifier: Apache-2.0
//
// Makes an initramfs in memory: a cpio archive in the format "newc" (Linux's documentation, "initramfs buffer
// format").

public struct CPIOArchive: Sendable {
    public private(set) var bytes: [UInt8] = []
    private var inode: UInt32 = 1

    public init() {}

    public mutating func directory(_ name: String) { add(name, mode: 0o040755, data: []) }

    /// `mode` is the permission bits.
    public mutating func file(_ name: String, mode: UInt32 = 0o644, _ data: [UInt8]) {
        add(name, mode: 0o100000 | mode, data: data)
    }

    public mutating func symlink(_ name: String, to target: String) {
        add(name, mode: 0o120777, data: Array(target.utf8))
    }

    public mutating func characterDevice(_ name: String, major: UInt32, minor: UInt32) {
        add(name, mode: 0o020600, data: [], device: (major, minor))
    }

    public mutating func finish() { add("TRAILER!!!", mode: 0, data: []) }

    private mutating func add(
        _ name: String, mode: UInt32, data: [UInt8], device: (UInt32, UInt32) = (0, 0)
    ) {
        let nameBytes = Array(name.utf8) + [0]
        let fields: [UInt32] = [
            inode, mode, 0, 0, 1, 0, UInt32(data.count), 0, 0, device.0, device.1, UInt32(nameBytes.count), 0,
        ]
        inode += 1
        bytes += Array("070701".utf8)
        for field in fields {
            let digits = String(field, radix: 16, uppercase: true)
            bytes += Array((String(repeating: "0", count: 8 - digits.count) + digits).utf8)
        }
        bytes += nameBytes
        pad()
        bytes += data
        pad()
    }

    private mutating func pad() {
        while bytes.count % 4 != 0 { bytes.append(0) }
    }
}

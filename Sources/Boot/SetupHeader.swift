// SPDX-License-Identifier: Apache-2.0
//
// The setup header of a bzImage (Documentation/x86/boot.txt of Linux describes its fields), read
// with distrust: the kernel file may come from anywhere.

import Support

/// What a bzImage says about itself; every range named here was found to be inside the file.
public struct SetupHeader: Equatable, Sendable {
    /// The file's bytes from offset 0x1F1 up to the header's end, for the zero page.
    public let rawBytes: [UInt8]
    /// Boot protocol version, `firstForGuests` or later in what boots.
    public let version: UInt16
    /// The part of the file that runs in protected mode.
    public let payload: Range<UInt64>
    /// The packed kernel inside `payload`: named by the header since protocol 2.08; nil where it names none.
    public let packedKernel: Range<UInt64>?
    /// Whether the kernel says that it can run where it was not linked to run.
    public let isRelocatable: Bool
    /// Whether it has a 64-bit entry (xloadflags).
    public let is64Bit: Bool
    /// Where the payload starts to run (GPA), normally 0x100000.
    public let entryPoint: UInt32
    /// The longest command line, without the zero byte at its end.
    public let commandLineLimit: Int
    /// The highest GPA that an initrd's bytes may have.
    public let initrdAddressLimit: UInt32
    /// GPA above which the kernel does not reach while it unpacks and starts. Read from the header
    /// since protocol 2.10, estimated before.
    public let runtimeEnd: UInt64

    /// The first protocol that has a field for guests (Linux 2.6.24).
    public static let firstForGuests: UInt16 = 0x207
    /// Offset in the file where the header begins, also its place in the zero page.
    public static let start: UInt64 = 0x1F1
    /// Where the payload is loaded (GPA).
    public static let loadAddress: UInt32 = 0x10_0000
    /// What we state as `kernel_alignment` in the zero page (docs: lguest ABI 1.2): a relocatable
    /// kernel unpacks to this GPA.
    public static let alignment: UInt32 = 0x100_0000

    /// Reads the header of `file`, which has "HdrS" in its place.
    /// Throws `.badInput` for 64-bit, too old, truncated and damaged images.
    /// `isOnlyDescribed` lets 64-bit and too old ones pass, which can be described but not booted.
    public init(_ file: InputFile, isOnlyDescribed: Bool = false) throws(LguestError) {
        let all = try file.bytes(0, count: min(file.size, 0x290))
        let byte = { (offset: Int) -> UInt8 in all.littleEndian(at: offset) ?? 0 }
        let word = { (offset: Int) -> UInt32 in all.littleEndian(at: offset) ?? 0 }
        let protocolVersion: UInt16 = all.littleEndian(at: 0x206) ?? 0
        version = protocolVersion
        let since = { (minimum: UInt16, offset: Int, other: UInt32) -> UInt32 in
            protocolVersion >= minimum ? word(offset) : other
        }

        is64Bit = version >= 0x20C && byte(0x236) & 1 != 0
        if is64Bit, !isOnlyDescribed { throw Self.isTooWide(file) }
        guard version >= Self.firstForGuests || isOnlyDescribed else {
            throw LguestError(
                .badInput,
                "\(file.name): a bzImage of boot protocol \(version >> 8).\(version & 0xFF), "
                    + "which knows nothing of lguest",
                hint: "needs 2.7 or later (Linux 2.6.24); of an older kernel take the vmlinux")
        }
        guard byte(0x211) & 1 != 0 else {
            throw LguestError(.badInput, "\(file.name): a zImage for low memory, not a bzImage")
        }

        let setupSectors = byte(0x1F1) == 0 ? 4 : UInt64(byte(0x1F1))
        let payloadStart = (setupSectors + 1) * 512
        let payloadSize = UInt64(word(0x1F4)) * 16
        // Before 2.6.26 the last 16-byte unit may be incomplete in the file.
        guard payloadStart < file.size, payloadSize < file.size - payloadStart + 16 else {
            throw LguestError(
                .badInput,
                "\(file.name): truncated bzImage: its header announces "
                    + "\((payloadStart + payloadSize).asByteCount), the file has \(file.size.asByteCount)")
        }
        payload = payloadStart..<file.size
        isRelocatable = byte(0x234) != 0
        let packedStart = payloadStart + UInt64(since(0x208, 0x248, 0))
        let packedSize = UInt64(since(0x208, 0x24C, 0))
        let isNamed = packedSize > 16 && file.contains(packedStart, count: packedSize)
        packedKernel = isNamed ? packedStart..<packedStart + packedSize : nil
        let loadedEnd = UInt64(Self.loadAddress) + (file.size - payloadStart)

        entryPoint = word(0x214)
        guard entryPoint >= Self.loadAddress, UInt64(entryPoint) < loadedEnd else {
            throw LguestError(
                .badInput,
                "\(file.name): damaged bzImage: it wants to start at \(entryPoint.asHex), outside itself")
        }
        let headerEnd = min(0x202 + Int(byte(0x201)), all.count)
        rawBytes = headerEnd > 0x1F1 ? Array(all[0x1F1..<headerEnd]) : []
        commandLineLimit = min(2047, Int(max(255, since(0x206, 0x238, 255))))
        initrdAddressLimit = since(0x203, 0x22C, 0x37FF_FFFF)

        // The kernel unpacks to the greater of its linked address and, when it is relocatable, the
        // alignment, and then uses init_size bytes from there. Before 2.10 we take four times the
        // compressed size, which gzip hardly reaches.
        let preferred: UInt64 = version >= 0x20A ? all.littleEndian(at: 0x258) ?? 0 : 0
        let unpacked = max(preferred, byte(0x234) != 0 || version < 0x20A ? UInt64(Self.alignment) : 0)
        let needed = since(0x20A, 0x260, 0) != 0 ? UInt64(word(0x260)) : 4 * (file.size - payloadStart)
        let (end, overflow) = unpacked.addingReportingOverflow(needed)
        runtimeEnd = max(loadedEnd, overflow ? .max : end)
    }

    /// Why a 64-bit kernel does not boot.
    static func isTooWide(_ file: InputFile) -> LguestError {
        LguestError(
            .badInput, "\(file.name): a 64-bit kernel, and lguest guests are 32-bit kernels",
            hint: "build it with ARCH=i386 and CONFIG_LGUEST_GUEST=y")
    }

    /// The kernel's release, from the text that `kernel_version` (0x20E) points to, or nil.
    func linuxVersion(in file: InputFile) throws(LguestError) -> LinuxVersion? {
        guard let pointer: UInt16 = rawBytes.littleEndian(at: 0x20E - 0x1F1), pointer != 0 else { return nil }
        let offset = UInt64(pointer) + 0x200
        guard offset < file.size else { return nil }
        let text = try file.bytes(offset, count: min(128, file.size - offset))
        return LinuxVersion(release: text.prefix { $0 > 0x20 && $0 < 0x7F })
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Puts a kernel, its initrd, its command line and its zero page into guest memory: what the BIOS and
// the boot loader do on a PC, and the Launcher in the original lguest.

import GuestMemory
import Support

/// What to boot.
public struct BootRequest: Sendable {
    public var kernel: KernelImage
    /// The initrd's file, or nil.
    public var initrd: InputFile?
    public var commandLine: String
    public var bootProtocol = BootProtocol.lguest
    /// On a PC: the firmware's tables and where they go (GPA, inside `PCLayout.firmware`); the first one is ACPI's
    /// root pointer.
    public var firmware: [(address: UInt32, bytes: [UInt8])] = []
    /// Whether a kernel that is known to have no lguest support is refused.
    public var requiresLguestSupport = true

    public init(kernel: KernelImage, initrd: InputFile? = nil, commandLine: String = "") {
        self.kernel = kernel
        self.initrd = initrd
        self.commandLine = commandLine
    }

    /// Opens both files. Throws `.badInput` when one is not what it should be.
    public init(
        kernelPath: String, initrdPath: String?, commandLine: String, guestDecompress: Bool = false
    ) throws(LguestError) {
        let kernel = try KernelImage(path: kernelPath, guestDecompress: guestDecompress)
        var initrd: InputFile?
        if let initrdPath {
            initrd = try InputFile(path: initrdPath, purpose: "initrd", maximumSize: MemorySize.maximum)
        }
        self.init(kernel: kernel, initrd: initrd, commandLine: commandLine)
    }

    /// Loads all of it into `memory`, which must be fresh (all zero).
    ///
    /// Throws `.badInput` when something does not fit or a file cannot be read; memory is then half filled
    /// and of no use.
    public func load(into memory: GuestMemory) throws(LguestError) -> LoadedKernel {
        if requiresLguestSupport, bootProtocol == .lguest { try kernel.requireLguestSupport() }
        let placed = try Placement(kernel)
        if bootProtocol != .lguest { try requireHighMemory(placed) }
        let entry = bootProtocol == .pvh ? try pvhEntry(placed) : placed.entryPoint
        try requireMemory(placed.end, memory: memory)
        let line = try checkedCommandLine(limit: placed.commandLineLimit)
        let initrdRange = try placeInitrd(placed, memory: memory)

        for piece in placed.pieces {
            try memory.fill(at: piece.address, count: piece.count, from: kernel.file, offset: piece.offset)
        }
        if let initrd, let initrdRange {
            try memory.fill(at: UInt64(initrdRange.lowerBound), count: initrd.size, from: initrd, offset: 0)
        }
        let parameters = BootParameters(
            memoryBytes: memory.ramSize, initrd: initrdRange, initrdBytes: initrd?.size ?? 0,
            setupHeader: placed.setupHeader)
        switch bootProtocol {
        case .lguest:
            try memory.store(parameters.page(), at: BootParameters.address)
            try memory.store(line + [0], at: UInt64(BootParameters.commandLineAddress))
        case .pc, .pvh:
            if bootProtocol == .pc {
                try memory.store(
                    parameters.pcPage(rsdp: firmware.first?.address), at: UInt64(PCLayout.parameters))
            } else {
                let start = initrdRange.map { UInt64($0.lowerBound) }
                let info = PVHStartInfo(
                    memoryMap: PCLayout.memoryMap(memory.ramSize), commandLine: PCLayout.commandLine,
                    rsdp: firmware.first?.address, initrd: start.map { $0..<$0 + (initrd?.size ?? 0) })
                try memory.store(info.bytes(at: PCLayout.startInfo), at: UInt64(PCLayout.startInfo))
            }
            try memory.store(line + [0], at: UInt64(PCLayout.commandLine))
            var table = [UInt8](repeating: 0, count: PCLayout.descriptors.count * 8)
            for (index, descriptor) in PCLayout.descriptors.enumerated() {
                table.put(descriptor, at: 8 * index)
            }
            try memory.store(table, at: UInt64(PCLayout.gdt.lowerBound))
            for part in firmware { try memory.store(part.bytes, at: UInt64(part.address)) }
        }

        return LoadedKernel(
            entryPoint: entry, format: placed.format, kernelEnd: UInt32(clamping: placed.end),
            initrd: initrdRange, commandLine: commandLine, symbols: kernel.symbols,
            linuxVersion: kernel.linuxVersion, pae: kernel.pae, lguestSupport: kernel.lguestSupport)
    }

    private func requireMemory(_ end: UInt64, memory: GuestMemory) throws(LguestError) {
        guard end > memory.ramSize else { return }
        // A kernel needs more than its own image to get anywhere: 4 MiB are very little for that.
        let (sum, overflow) = end.addingReportingOverflow(4 << 20)
        let needed = (overflow ? nil : sum.roundedUp(to: 1 << 20)) ?? .max
        let fits = needed <= MemorySize.maximum
        throw LguestError(
            .badInput,
            "\(kernel.file.name): \(memory.ramSize.asByteCount) is too little memory: the kernel reaches up to "
                + (fits ? end.asByteCount : end.asHex),
            hint: fits
                ? "it needs at least \(needed >> 20)m\(needed < 64 << 20 ? ", 64m is comfortable" : "")"
                : "no guest can have so much; the file may be damaged")
    }

    /// The first megabyte is full of a PC's own things.
    private func requireHighMemory(_ placed: Placement) throws(LguestError) {
        guard let low = placed.pieces.map(\.address).min(), low < PCLayout.highMemory else { return }
        throw LguestError(
            .badInput, "\(kernel.file.name): a segment at \(low.asHex) is below 1 MiB",
            hint: "stock kernels are linked to a physical address of 1 MiB or above")
    }

    /// The entry point that the kernel has for PVH.
    private func pvhEntry(_ placed: Placement) throws(LguestError) -> UInt32 {
        guard let entry = kernel.pvhEntry else {
            throw LguestError(
                .badInput,
                "\(kernel.file.name): no PVH kernel: it has no ELF note with an entry point for that",
                hint: "kernels are built with CONFIG_PVH=y for that; in a bzImage the note is inside")
        }
        guard
            placed.pieces.contains(where: {
                UInt64(entry) >= $0.address && UInt64(entry) < $0.address + $0.count
            })
        else {
            throw LguestError(
                .badInput,
                "\(kernel.file.name): damaged ELF file: its PVH entry point \(entry.asHex) is in no segment")
        }
        return entry
    }

    private func checkedCommandLine(limit: Int) throws(LguestError) -> [UInt8] {
        let bytes = Array(commandLine.utf8)
        guard bytes.count <= limit else {
            throw LguestError(
                .badInput, "the kernel's arguments are too long: \(bytes.count) bytes, and it takes \(limit)")
        }
        guard !bytes.contains(0) else {
            throw LguestError(.badInput, "the kernel's arguments contain a zero byte")
        }
        return bytes
    }

    private func placeInitrd(_ placed: Placement, memory: GuestMemory) throws(LguestError) -> Range<UInt32>? {
        guard let initrd else { return nil }
        return try InitrdPlacement.range(
            size: initrd.size, kernelEnd: placed.end, memory: memory.ramSize,
            addressLimit: placed.initrdAddressLimit, name: initrd.name)
    }
}

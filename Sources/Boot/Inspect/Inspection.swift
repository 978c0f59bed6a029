// SPDX-License-Identifier: Apache-2.0
//
// What a kernel file is, for people and scripts: everything that can be known without starting it.

import Support

/// The findings about one kernel file.
public struct Inspection: Sendable {
    public var file: String
    /// "ELF vmlinux" or "bzImage".
    public var format: String
    /// How a bzImage's kernel is packed; nil where it is not or not known.
    public var compression: PayloadFormat?
    public var version: String?
    /// `lguest`, `Xen PV`, `PVH`, `KVM`, `PVM`: by whom the kernel knows that it may be run.
    public var interfaces: [String] = []
    /// Whether it uses three-level page tables; nil where it cannot be told.
    public var pae: Bool?
    /// Where its memory begins in its own address space.
    public var pageOffset: UInt32?
    public var entryPoint: UInt32?
    /// What a bzImage's header says, or the embedded configuration; nil where there is neither.
    public var relocatable: Bool?
    /// Which devices an lguest kernel looks for.
    public var devices: String?
    /// Lines of the embedded configuration (`CONFIG_IKCONFIG`); nil when there is none.
    public var configuration: [String]?
    /// Why it does not boot here; nil when it does.
    public var obstacle: LguestError?

    /// Looks at the file at `path`. Throws `.badInput` when it is no 32-bit x86 kernel at all.
    public init(path: String) throws(LguestError) {
        let original = try InputFile(path: path, purpose: "kernel", maximumSize: KernelImage.maximumFileSize)
        try self.init(original)
    }

    init(_ original: InputFile) throws(LguestError) {
        file = original.name
        format = try FileKind(original) == .bzImage ? "bzImage" : "ELF vmlinux"
        let kernel = try KernelImage(original)
        compression = kernel.container?.format
        version = kernel.linuxVersion?.release
        switch kernel.format {
        case .bzImage(let header):
            relocatable = header.isRelocatable
            entryPoint = header.entryPoint
        case .elf(let elf):
            entryPoint = elf.entry
            pageOffset = elf.loadSegments.first.map { $0.virtualAddress &- $0.physicalAddress }
            configuration = try EmbeddedConfiguration.lines(in: elf)
            relocatable =
                kernel.container?.header.isRelocatable
                ?? configuration.map { $0.contains("CONFIG_RELOCATABLE=y") }
            interfaces = try GuestMarks.interfaces(in: elf, kernel)
            pae = try isPAE(elf, kernel)
        }
        if interfaces.contains("lguest"), let version = kernel.linuxVersion {
            devices = version.hasPCIDevices ? "virtio 1.0 over PCI" : "lguest device page"
        }
        do throws(LguestError) {
            try kernel.requireLguestSupport()
            if let version = kernel.linuxVersion, (version.major, version.minor, version.patch) < (2, 6, 24) {
                throw LguestError(
                    .badInput,
                    "\(file): Linux 2.6.23 has an lguest interface of its own, which is not there yet")
            }
        } catch {
            obstacle = error
        }
    }

    /// The configuration says it, or a symbol, or the banner of modules ("… SMP mod_unload 686 PAE").
    private func isPAE(_ elf: ELF32File, _ kernel: KernelImage) throws(LguestError) -> Bool? {
        if let configuration { return configuration.contains("CONFIG_X86_PAE=y") }
        if let symbols = kernel.symbols {
            return ["swapper_pg_pmd", "initial_pg_pmd"].contains { symbols.lookup(name: $0) != nil }
        }
        return nil
    }
}

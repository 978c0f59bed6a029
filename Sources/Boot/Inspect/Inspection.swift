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
    public var pae: PAEEvidence?
    /// Where its memory begins in its own address space.
    public var pageOffset: UInt32?
    public var entryPoint: UInt32?
    /// What a bzImage's header says, or the embedded configuration; nil where there is neither.
    public var relocatable: Bool?
    /// Which devices an lguest kernel looks for.
    public var devices: String?
    /// Lines of the embedded configuration (`CONFIG_IKCONFIG`); nil when there is none.
    public var configuration: [String]?
    /// The guest interface under which it boots here, "lguest" or "bare" (as on a PC); nil when it does not.
    public var bootsAs: String?
    /// Why it does not boot here; nil when it does.
    public var obstacle: LguestError?

    /// Looks at the file at `path`. Throws `.badInput` when it is no x86 kernel at all.
    public init(path: String) throws(LguestError) {
        let original = try InputFile(path: path, purpose: "kernel", maximumSize: KernelImage.maximumFileSize)
        try self.init(original)
    }

    init(_ original: InputFile) throws(LguestError) {
        file = original.name
        let kernel: KernelImage
        do throws(LguestError) {
            kernel = try KernelImage(original)
        } catch {
            obstacle = error
            if let old = try OldKernel(original) {
                (format, compression, version) = ("bzImage", old.compression, old.version)
                (relocatable, interfaces, configuration) =
                    (old.isRelocatable, old.interfaces, old.configuration)
                return
            }
            guard let wide = try WideKernel(original) else { throw error }
            (format, compression, version) = (wide.format, wide.compression, wide.version)
            (relocatable, interfaces) = (wide.isRelocatable, wide.interfaces)
            return
        }
        format = try FileKind(original) == .bzImage ? "bzImage" : "ELF vmlinux"
        compression = kernel.container?.format ?? (kernel.content == nil ? nil : .gzip)
        version = kernel.linuxVersion?.release
        switch kernel.format {
        case .bzImage(let header):
            relocatable = header.isRelocatable
            entryPoint = header.entryPoint
            guard let content = kernel.content else { break }
            if kernel.lguestSupport == .entryStub { interfaces = ["lguest"] }
            configuration = try EmbeddedConfiguration.lines(in: content, 0..<content.size)
            pae = configuration.map { PAEEvidence(configuration: $0) }
        case .elf(let elf):
            entryPoint = elf.entry
            pageOffset = elf.loadSegments.first.map { $0.virtualAddress &- $0.physicalAddress }
            configuration = try EmbeddedConfiguration.lines(in: elf)
            relocatable =
                kernel.container?.header.isRelocatable
                ?? configuration.map { $0.contains("CONFIG_RELOCATABLE=y") }
            interfaces = try GuestMarks.interfaces(in: elf, kernel)
            pae = try PAEEvidence(elf, symbols: kernel.symbols, configuration: configuration)
        }
        if interfaces.contains("lguest"), let version = kernel.linuxVersion {
            devices =
                kernel.isFirstGeneration
                ? "lguest DMA (2.6.23)"
                : version.hasPCIDevices
                    ? "virtio 1.0 over PCI"
                    : version.hasDeviceFields ? "lguest device page (2.6.24)" : "lguest device page"
        }
        bootsAs = kernel.suitsLguest ? "lguest" : "bare"
        if !kernel.suitsLguest { devices = "virtio 1.0 over PCI" }
    }
}

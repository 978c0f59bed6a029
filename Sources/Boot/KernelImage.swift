// SPDX-License-Identifier: Apache-2.0
//
// What the file is that somebody calls a kernel: a vmlinux (ELF) or a bzImage, for which Linux, and
// whether it can be an lguest guest. Nothing is loaded here.

import Support

/// A file recognised as a 32-bit x86 kernel, with its headers checked.
public struct KernelImage: Sendable {
    /// The two formats that kernels come in (docs: lguest ABI 1.3).
    public enum Format: Sendable {
        /// A `vmlinux`: an ELF32 executable.
        case elf(ELF32File)
        /// A compressed kernel that unpacks itself.
        case bzImage(SetupHeader)
    }

    /// What is loaded: the file, or what was unpacked of it.
    public let file: InputFile
    public let format: Format
    /// The bzImage that the kernel was unpacked from, and how it was packed; nil when it is loaded as it is.
    public let container: (header: SetupHeader, format: PayloadFormat)?
    /// What is inside a bzImage that only its own unpacker can start, to be looked at; nil where that is not known.
    let content: InputFile?
    /// The kernel's release where the file says it in plain text.
    public let linuxVersion: LinuxVersion?
    /// How lguest support shows in it.
    public let lguestSupport: LguestSupport
    /// The kernel's symbols; nil in a bzImage and a stripped vmlinux.
    public let symbols: SymbolTable?
    /// Whether it uses three-level page tables; nil where nothing tells.
    public let pae: PAEEvidence?

    /// Kernel files above this size are refused (bytes): with debug information they have some 200 MiB.
    public static let maximumFileSize: UInt64 = 1 << 30

    /// Opens and recognises the kernel at `path`. Throws `.badInput` with the exact reason.
    public init(path: String, guestDecompress: Bool = false) throws(LguestError) {
        try self.init(
            InputFile(path: path, purpose: "kernel", maximumSize: Self.maximumFileSize),
            guestDecompress: guestDecompress)
    }

    /// Recognises `file`. A bzImage is unpacked, unless `guestDecompress` leaves that to the kernel itself; what
    /// can be known of it is then still taken from its unpacked form, where it has one. `looksForLguest` false spares the
    /// search for lguest's code where it is of no interest. Throws `.badInput` when it is no kernel for a 32-bit guest.
    public init(
        _ original: InputFile, guestDecompress: Bool = false, looksForLguest: Bool = true
    ) throws(LguestError) {
        var file = original
        var kind = try FileKind(file)
        var container: (SetupHeader, PayloadFormat)?
        if kind == .bzImage, !guestDecompress {
            let header = try SetupHeader(file)
            if let unpacked = try Payload.unpack(header, in: file) {
                container = (header, unpacked.format)
                file = unpacked.file
                kind = .elf32
            }
        }
        self.file = file
        self.container = container
        switch kind {
        case .elf32:
            let elf = try ELF32File(file)
            if elf.programHeaders.contains(where: { $0.type == ProgramHeader.interpreter }) {
                throw LguestError(.badInput, "\(file.name): a program, not a kernel")
            }
            _ = try SegmentPlan(elf)
            format = .elf(elf)
            content = nil
            symbols = try SymbolTable(elf)
            lguestSupport = looksForLguest ? try LguestSupport(elf, symbols: symbols) : .unknown
            linuxVersion = try LinuxVersion(bannerIn: elf)
            pae = try Self.pae(elf, symbols)
        case .bzImage:
            let header = try SetupHeader(file)
            format = .bzImage(header)
            symbols = nil
            // The proof is inside the compressed part. Where that cannot be read, a kernel without support
            // soon ends in a report that says so.
            let inside = guestDecompress ? try? KernelImage(original) : nil
            if let inside {
                (content, lguestSupport) = (inside.content, inside.lguestSupport)
            } else if let raw = try OldPayload.unpack(header, in: original) {
                (content, lguestSupport) = (raw, try LguestSupport(inBytesOf: raw))
            } else {
                (content, lguestSupport) = (nil, .unknown)
            }
            let named = try header.linuxVersion(in: file)
            linuxVersion = inside?.linuxVersion ?? named
            pae = inside?.pae
        case .elf64: throw SetupHeader.isTooWide(file)
        case .other(let reason, let hint):
            throw LguestError(.badInput, "\(file.name): \(reason)", hint: hint)
        }
    }

    /// Where a PVH kernel is entered (GPA); nil where it is none.
    public var pvhEntry: UInt32? {
        guard case .elf(let elf) = format else { return nil }
        return (try? XenNotes(elf))?.physicalEntry
    }

    /// Whether it is Linux 2.6.23, whose interface and devices are its own.
    public var isFirstGeneration: Bool {
        if case .signature = lguestSupport { return true }
        return false
    }

    /// Whether it is to run as an lguest guest: it has the code for that, or that cannot be told and its age allows it.
    /// Else it wants a PC.
    public var suitsLguest: Bool {
        switch lguestSupport {
        case .symbols, .entryStub, .signature: true
        case .unknown: linuxVersion?.isAfterLguest != true
        case .none: false
        }
    }

    private static func pae(_ elf: ELF32File, _ symbols: SymbolTable?) throws(LguestError) -> PAEEvidence? {
        let configuration = symbols == nil ? try EmbeddedConfiguration.lines(in: elf) : nil
        return try PAEEvidence(elf, symbols: symbols, configuration: configuration)
    }

    /// Throws `.badInput` when the kernel is known to have no lguest support.
    public func requireLguestSupport() throws(LguestError) {
        guard lguestSupport == .none else { return }
        if let linuxVersion {
            throw LguestError(
                .badInput,
                "\(file.name): Linux \(linuxVersion.release) without lguest support: "
                    + "CONFIG_LGUEST_GUEST is not set in it",
                hint: linuxVersion.isAfterLguest
                    ? "Linux 4.13 was the last release that has this option"
                    : "build it with CONFIG_LGUEST_GUEST=y")
        }
        throw LguestError(
            .badInput,
            "\(file.name): no Linux kernel with lguest support: CONFIG_LGUEST_GUEST is not set in it",
            hint: "take a vmlinux or bzImage of Linux 2.6.24 to 4.13, built with CONFIG_LGUEST_GUEST=y")
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// What is known about a guest's memory once the kernel is in it: all that is needed to start it, and to
// explain later what it did.

import Support

/// A kernel that was loaded into guest memory.
public struct LoadedKernel: Sendable {
    public enum Format: Equatable, Sendable { case elf, bzImage }

    /// First instruction (GPA); the CPU starts there with translation 1:1 (docs: lguest ABI 1.4).
    public let entryPoint: UInt32
    public let format: Format
    /// First GPA that the kernel does not occupy, BSS included (of a bzImage: nor while it unpacks
    /// itself). Never above the size of guest memory.
    public let kernelEnd: UInt32
    /// The GPAs of the initrd in whole pages; its file may end before. Nil without one.
    public let initrd: Range<UInt32>?
    /// The command line as the guest sees it.
    public let commandLine: String
    /// The kernel's symbols; nil in a bzImage and a stripped vmlinux.
    public let symbols: SymbolTable?
    /// The release that the file names, if it does.
    public let linuxVersion: LinuxVersion?
    /// Whether it uses three-level page tables; nil where nothing tells.
    public let pae: PAEEvidence?
    /// How lguest support was recognised.
    public let lguestSupport: LguestSupport

    /// First GPA above what the host may still use below the initrd (or below the end of memory), for
    /// page tables that it builds for guests up to Linux 3.0 (docs: lguest ABI 1.5).
    public func hostTablesEnd(memoryBytes: UInt64) -> UInt64 {
        initrd.map { UInt64($0.lowerBound) } ?? memoryBytes
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The two kernel formats brought to one form: pieces of the file, and where they go.

import Support

/// Where a kernel's bytes go and what it asks of its surroundings.
struct Placement {
    /// `count` bytes of the file from `offset` that go to the GPA `address`.
    struct Piece: Equatable {
        let offset: UInt64
        let address: UInt64
        let count: UInt64
    }

    let format: LoadedKernel.Format
    let pieces: [Piece]
    let entryPoint: UInt32
    /// First GPA that the kernel does not occupy.
    let end: UInt64
    let commandLineLimit: Int
    /// Highest GPA of the initrd, when the kernel says it.
    let initrdAddressLimit: UInt32?
    /// For the zero page; empty in ELF kernels.
    let setupHeader: [UInt8]

    /// Throws `.badInput` when the kernel's segments make no sense.
    init(_ kernel: KernelImage) throws(LguestError) {
        switch kernel.format {
        case .elf(let elf):
            let plan = try SegmentPlan(elf)
            format = .elf
            pieces = plan.segments.map {
                Piece(
                    offset: UInt64($0.offset), address: UInt64($0.physicalAddress), count: UInt64($0.fileSize)
                )
            }
            entryPoint = plan.entryPoint
            end = plan.end
            commandLineLimit = BootParameters.commandLineLimit
            initrdAddressLimit = nil
            setupHeader = []
        case .bzImage(let header):
            format = .bzImage
            let count = header.payload.upperBound - header.payload.lowerBound
            pieces = [
                Piece(
                    offset: header.payload.lowerBound, address: UInt64(SetupHeader.loadAddress), count: count)
            ]
            entryPoint = header.entryPoint
            end = header.runtimeEnd
            commandLineLimit = header.commandLineLimit
            initrdAddressLimit = header.initrdAddressLimit
            setupHeader = header.rawBytes
        }
    }
}

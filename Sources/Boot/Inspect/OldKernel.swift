// SPDX-License-Identifier: Apache-2.0
//
// A bzImage from before there was a boot protocol for guests (Linux 2.6.23 and older): it does not boot here, but it
// can be said what it is.

import Support

/// What is known of such a file.
struct OldKernel {
    let version: String?
    let isRelocatable: Bool
    var compression: PayloadFormat?
    var interfaces: [String] = []
    var configuration: [String]?

    /// Nil when `file` is no such kernel. Throws when it cannot be read.
    init?(_ file: InputFile) throws(LguestError) {
        guard try FileKind(file) == .bzImage, let header = try? SetupHeader(file, isOnlyDescribed: true),
            header.version < SetupHeader.firstForGuests
        else { return nil }
        version = try header.linuxVersion(in: file)?.release
        isRelocatable = header.isRelocatable
        guard let content = try OldPayload.unpack(header, in: file) else { return }
        compression = .gzip
        if try content.firstOffset(of: LguestSupport.signatureText, in: 0..<content.size) != nil {
            interfaces = ["lguest"]
        }
        configuration = try EmbeddedConfiguration.lines(in: content, 0..<content.size)
    }
}

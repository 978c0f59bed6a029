// SPDX-License-Identifier: Apache-2.0
//
// `lguest image create`: images with what was put in, and clear refusals.

import Foundation
import Testing

@testable import lguest

@Suite("Image", .serialized, .enabled(if: Program.path != nil, "run `make build` first"))
struct ImageTests {
    private static let hasTool = ["/sbin/mke2fs", "/usr/sbin/mke2fs"].contains {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    @Test(
        "a folder and a tar file, on both file systems", .enabled(if: hasTool, "needs mke2fs (e2fsprogs)"),
        arguments: ["ext2", "ext4"], [true, false])
    func creates(type: String, fromTar: Bool) throws {
        try Program.withFolder { folder in
            let tree = folder + "/tree"
            try FileManager.default.createDirectory(atPath: tree, withIntermediateDirectories: true)
            try Data("a text to be found".utf8).write(to: URL(fileURLWithPath: tree + "/hello"))
            var source = "--from-dir=\(tree)"
            if fromTar {
                try HostTools.run(["tar", "-C", tree, "-cf", folder + "/t.tar", "."], package: "tar")
                source = "--from-tar=\(folder)/t.tar"
            }
            let image = folder + "/o.img"
            let words = ["image", "create", image, "--size", "8m", source, "--type", type]
            let done = try Program.run(words)
            #expect(done.status == 0 && done.errors.isEmpty, "\(done)")
            let bytes = try #require(FileManager.default.contents(atPath: image))
            #expect(bytes.count == 8 << 20 && bytes[1080] == 0x53 && bytes[1081] == 0xEF)
            #expect(bytes.range(of: Data("a text to be found".utf8)) != nil)
            let again = try Program.run(words)
            #expect(again.status == 2 && again.errors.contains("File exists"))
        }
    }

    @Test("what cannot be leaves nothing behind", .enabled(if: hasTool, "needs mke2fs (e2fsprogs)"))
    func refusals() throws {
        try Program.withFolder { folder in
            let image = folder + "/o.img"
            let none = try Program.run(["image", "create", image, "--size=8m", "--from-dir=/no/such"])
            #expect(none.status == 2 && !FileManager.default.fileExists(atPath: image))
            let both = ["image", "create", image, "--size=8m", "--from-dir=/", "--from-tar=/x"]
            #expect(try Program.run(both).errors.hasPrefix("lguest: --from-tar and --from-dir"))
            #expect(try Program.run(["image", "create", image, "--size=q"]).errors.contains("'q' is not"))
            #expect(try Program.run(["image", "create", image, "--size=99999999t"]).status == 2)
        }
    }
}

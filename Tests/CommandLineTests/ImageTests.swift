// SPDX-License-Identifier: Apache-2.0
//
// `lguest image create`: images with what was put in, and clear refusals.

import Foundation
import LguestKit
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
                try HostPrograms.run(["tar", "-C", tree, "-cf", folder + "/t.tar", "."], package: "tar")
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

    @Test(
        "owners, set-id bits and device nodes of a tar file come through without root",
        .enabled(if: hasTool, "needs mke2fs (e2fsprogs)"),
        .enabled(if: getuid() == 0, "only root can make such a tar file, and become another user"))
    func owners() throws {
        try Program.withFolder { folder in
            let script = """
                set -e; cd \(folder); mkdir -p tree/dev tree/bin; echo secret > tree/bin/su; chown 7:8 tree/bin/su
                chmod 4755 tree/bin/su; mknod tree/dev/console c 5 1; tar -C tree -cf t.tar .; chmod 777 .
                cp \(try #require(Program.path)) lguest
                setpriv --reuid=65534 --regid=65534 --clear-groups ./lguest image create o.img --size=8m --from-tar=t.tar
                /sbin/debugfs -R 'stat /bin/su' o.img; /sbin/debugfs -R 'stat /dev/console' o.img
                /sbin/debugfs -R 'ls -l /bin' o.img
                /sbin/e2fsck -fn o.img
                """
            let done = try Program.run(["-c", script], program: "/bin/sh")
            #expect(done.status == 0, "\(done)")
            let text = done.output.split { $0 == " " || $0 == "\n" }.joined(separator: " ")
            #expect(text.contains("104755") && text.contains("User: 7 Group: 8"), "\(text)")
            #expect(text.contains("character special Mode: 0644") && text.contains("05:01"), "\(text)")
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

@Suite("Tar listing")
struct TarListingTests {
    @Test("lines of tar, and what is no member")
    func lines() throws {
        let plain = try #require(TarMember(line: "-rwsr-x--T 0/42   1234 2026-01-01 00:00 ./usr/bin/a b"))
        #expect(plain.path == "usr/bin/a b" && plain.user == 0 && plain.group == 42)
        #expect(plain.mode == 0o5750 && plain.kind == .plain)
        let link = try #require(TarMember(line: "lrwxrwxrwx 1/2 0 2026-01-01 00:00 ./x -> y -> z"))
        #expect(link.path == "x")
        let node = try #require(TarMember(line: "crw-rw-rw- 0/0 5,1 2026-01-01 00:00 ./dev/console"))
        #expect(node.kind == .device("c", major: 5, minor: 1) && node.path == "dev/console")
        #expect(try #require(TarMember(line: "drwxr-xr-x 0/0 0 2026-01-01 00:00 ./")).path.isEmpty)
        #expect(TarMember(line: "hrwxr-xr-x 0/0 0 2026-01-01 00:00 ./a link to ./b") == nil)
        #expect(TarMember(line: "tar: nonsense") == nil)
        let odd = try #require(TarMember(line: "-rw-r--r-- 0/0 0 2026-01-01 00:00 ./\\303\\244\\n\\\\"))
        #expect(odd.path == "ä\n\\")
    }

    @Test("debugfs is told of nodes and owners, but not of names that would be commands")
    func script() throws {
        let node = try #require(TarMember(line: "brw-rw---- 0/6 8,1 2026-01-01 00:00 ./dev/sda1"))
        let odd = try #require(TarMember(line: "-rw-r--r-- 0/0 0 2026-01-01 00:00 ./a\\nrm b"))
        let (lines, left) = OwnerScript.lines([node, odd])
        #expect(left == 1)
        #expect(
            lines == [
                "cd \"/dev\"", "mknod \"sda1\" b 8 1", "cd /", "set_inode_field \"/dev/sda1\" mode 060660",
                "set_inode_field \"/dev/sda1\" uid 0", "set_inode_field \"/dev/sda1\" gid 6",
            ])
    }
}

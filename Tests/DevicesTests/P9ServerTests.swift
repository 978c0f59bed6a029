// SPDX-License-Identifier: Apache-2.0
//
// The 9P2000.L server on a folder of its own, by its messages: what a guest may see and change, and what it may not.

import Foundation
import Support
import Testing

@testable import Devices

/// A client that writes one message at a time.
private final class P9Client {
    let folder: String
    let server: P9Server

    struct Failed: Error, Equatable { let number: UInt32 }

    init(readOnly: Bool = false) throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("lguest-9p-\(UUID())").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        server = try P9Server(path: folder, isReadOnly: readOnly)
        _ = try call(100, u32(65536) + text("9P2000.L"))
        _ = try call(104, u32(0) + u32(.max) + text("") + text("") + u32(0))
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func call(_ type: UInt8, _ body: [UInt8], room: Int = 65536) throws -> [UInt8] {
        let answer = server.answer(u32(UInt32(body.count + 7)) + [type, 5, 0] + body, room: room)
        try #require(answer.count >= 7 && answer.count <= room)
        #expect(number(answer, 0, 4) == UInt64(answer.count) && Array(answer[5..<7]) == [5, 0])
        if answer[4] == 7 { throw Failed(number: UInt32(number(answer, 7, 4))) }
        #expect(answer[4] == type + 1)
        return Array(answer.dropFirst(7))
    }

    func walk(_ names: String..., from: UInt32 = 0, to: UInt32) throws -> Int {
        let words = names.reduce(into: [UInt8]()) { $0 += text($1) }
        return Int(
            number(try call(110, u32(from) + u32(to) + u16(UInt16(names.count)) + words), 0, 2))
    }
    func open(_ fid: UInt32, _ flags: UInt32) throws { _ = try call(12, u32(fid) + u32(flags)) }
    func create(_ fid: UInt32, _ name: String, _ flags: UInt32, mode: UInt32) throws {
        _ = try call(14, u32(fid) + text(name) + u32(flags) + u32(mode) + u32(0))
    }
    func read(_ fid: UInt32, at offset: UInt64 = 0, count: UInt32 = 4096) throws -> String {
        String(decoding: try call(116, u32(fid) + u64(offset) + u32(count)).dropFirst(4), as: UTF8.self)
    }
    func write(_ fid: UInt32, _ words: String, at offset: UInt64 = 0) throws {
        let bytes = Array(words.utf8)
        _ = try call(118, u32(fid) + u64(offset) + u32(UInt32(bytes.count)) + bytes)
    }
    func unlink(_ folder: UInt32, _ name: String) throws {
        _ = try call(76, u32(folder) + text(name) + u32(0))
    }
    /// Mode and size.
    func attributes(_ fid: UInt32) throws -> (mode: Int, size: Int) {
        let answer = try call(24, u32(fid) + u64(0x7FF))
        return (Int(number(answer, 21, 4)), Int(number(answer, 49, 8)))
    }

    func u16(_ value: UInt16) -> [UInt8] { [UInt8(value & 0xFF), UInt8(value >> 8)] }
    func u32(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) } }
    func u64(_ value: UInt64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) } }
    func text(_ value: String) -> [UInt8] { u16(UInt16(value.utf8.count)) + Array(value.utf8) }
    func number(_ bytes: [UInt8], _ at: Int, _ width: Int) -> UInt64 {
        (0..<width).reversed().reduce(0) { $0 << 8 | UInt64(bytes[at + $1]) }
    }

    func put(_ name: String, _ contents: String) throws {
        try contents.write(toFile: folder + "/" + name, atomically: false, encoding: .utf8)
    }
    func contents(_ name: String) -> String? {
        try? String(contentsOfFile: folder + "/" + name, encoding: .utf8)
    }
}

@Suite("9P server")
struct P9ServerTests {
    @Test("reads, writes, modes whatever the process's own mask is, times")
    func files() throws {
        let client = try P9Client()
        _ = try client.walk(to: 1)
        let old = umask(0o077)
        defer { umask(old) }
        try client.create(1, "new", 2, mode: 0o666)
        try client.write(1, "some words")
        #expect(try client.read(1, at: 5) == "words")
        #expect(try client.attributes(1) == (mode: 0o100666, size: 10))
        _ = try client.call(
            72, client.u32(0) + client.text("sub") + client.u32(0o2775) + client.u32(0))
        #expect(try client.walk("sub", to: 2) == 1)
        #expect(try client.attributes(2).mode & 0o7777 == 0o2775)
        // Size 4, a time of modification of 1000 s.
        _ = try client.call(
            26,
            client.u32(1) + client.u32(8 | 0x20 | 0x100) + client.u32(0) + client.u32(0) + client.u32(0)
                + client.u64(4) + client.u64(0) + client.u64(0) + client.u64(1000) + client.u64(7))
        #expect(client.contents("new") == "some")
        let facts = try FileManager.default.attributesOfItem(atPath: client.folder + "/new")
        #expect((facts[.modificationDate] as? Date)?.timeIntervalSince1970.rounded() == 1000)
    }

    @Test("Linux, which adds two to a file's number, shows the host's")
    func fileNumbers() throws {
        let client = try P9Client()
        try client.put("file", "")
        let facts = try FileManager.default.attributesOfItem(atPath: client.folder + "/file")
        let number = try #require(facts[.systemFileNumber] as? UInt64)
        // An answer to "walk" has the number of names, then kind, version and number of each file.
        let answer = try client.call(
            110, client.u32(0) + client.u32(1) + client.u16(1) + client.text("file"))
        #expect(client.number(answer, 7, 8) + 2 == number)
        _ = try client.walk(to: 2)
        try client.open(2, 0)
        let entries = try client.call(40, client.u32(2) + client.u64(0) + client.u32(4096))
        let listed = [4, 4 + 24 + 1, 4 + 2 * 24 + 3].map { client.number(entries, $0 + 5, 8) &+ 2 }
        #expect(listed.contains(number), "\(listed)")
    }

    @Test("a file that is open stays usable when its name goes, and another may take the name")
    func unlinked() throws {
        let client = try P9Client()
        try client.put("file", "old")
        #expect(try client.walk("file", to: 1) == 1)
        #expect(try client.walk("file", to: 2) == 1)
        try client.open(1, 2)
        try client.unlink(0, "file")
        try client.put("file", "new one")
        try client.write(1, "OLD")
        #expect(try client.read(1) == "OLD")
        #expect(try client.attributes(1).size == 3)
        // Another fid that was never opened, and a copy of the open one.
        #expect(try client.attributes(2).size == 3)
        try client.open(2, 0)
        #expect(try client.read(2) == "OLD")
        #expect(try client.walk(from: 1, to: 3) == 0)
        #expect(try client.attributes(3).size == 3)
        #expect(client.contents("file") == "new one")
    }

    @Test("fids follow a folder that is renamed; what is replaced stays with who had it")
    func renamed() throws {
        let client = try P9Client()
        try FileManager.default.createDirectory(
            atPath: client.folder + "/a", withIntermediateDirectories: true)
        try client.put("a/x", "in a")
        try client.put("y", "replaced")
        #expect(try client.walk("a", "x", to: 1) == 2)
        #expect(try client.walk("y", to: 2) == 1)
        func rename(_ from: UInt32, _ old: String, _ to: UInt32, _ new: String) throws {
            _ = try client.call(74, client.u32(from) + client.text(old) + client.u32(to) + client.text(new))
        }
        try rename(0, "a", 0, "b")
        try client.open(1, 0)
        #expect(try client.read(1) == "in a")
        #expect(try client.walk("b", to: 3) == 1)
        try rename(3, "x", 0, "y")
        #expect(client.contents("y") == "in a")
        try client.open(2, 0)
        #expect(try client.read(2) == "replaced")
        #expect(try client.walk("y", to: 4) == 1)
        try client.open(4, 0)
        #expect(try client.read(4) == "in a")
    }

    @Test("no link and no name leads out of the folder")
    func confined() throws {
        let client = try P9Client()
        let secret = client.folder + "-secret"
        try "secret".write(toFile: secret, atomically: false, encoding: .utf8)
        defer { try? FileManager.default.removeItem(atPath: secret) }
        try FileManager.default.createSymbolicLink(
            atPath: client.folder + "/file", withDestinationPath: secret)
        try FileManager.default.createSymbolicLink(
            atPath: client.folder + "/up", withDestinationPath: "/tmp")
        // The link itself is there; the guest's kernel reads where it leads.
        #expect(try client.walk("file", to: 1) == 1)
        #expect(try client.call(22, client.u32(1)).dropFirst(2) == Array(secret.utf8)[...])
        #expect(throws: P9Client.Failed(number: 40)) { try client.open(1, 0) }
        // A walk through a link ends at the link.
        #expect(try client.walk("up", "passwd", to: 2) == 1)
        for name in ["..", "../x", "a/b", "", "."] {
            #expect(throws: P9Client.Failed.self) { try client.create(0, name, 2, mode: 0o644) }
            #expect(throws: P9Client.Failed.self) { try client.unlink(0, name) }
        }
        // Above the folder is the folder.
        #expect(try client.walk("..", "file", to: 5) == 2)
        #expect(throws: P9Client.Failed(number: 17)) { try client.create(0, "file", 0o200 | 2, mode: 0o644) }
        #expect(throws: P9Client.Failed(number: 40)) { try client.create(0, "file", 2, mode: 0o644) }
        // A device would be the host's.
        #expect(throws: P9Client.Failed(number: 1)) {
            try client.call(
                18,
                client.u32(0) + client.text("null") + client.u32(0o20666) + client.u32(1) + client.u32(3)
                    + client.u32(0))
        }
    }

    @Test("a folder that is shared read-only stays as it is")
    func readOnly() throws {
        let client = try P9Client(readOnly: true)
        try client.put("file", "words")
        #expect(try client.walk("file", to: 1) == 1)
        let readOnly = P9Client.Failed(number: 30)
        #expect(throws: readOnly) { try client.open(1, 1) }
        #expect(throws: readOnly) { try client.open(1, 0o1000) }
        #expect(throws: readOnly) { try client.unlink(0, "file") }
        #expect(throws: readOnly) { try client.create(0, "other", 0, mode: 0o644) }
        try client.open(1, 0)
        #expect(try client.read(1) == "words")
        #expect(throws: readOnly) { try client.write(1, "x") }
    }

    @Test("a large folder is listed in pieces, each name once")
    func listing() throws {
        let client = try P9Client()
        for number in 0..<500 { try client.put("file-with-a-rather-long-name-\(number)", "") }
        _ = try client.walk(to: 1)
        try client.open(1, 0)
        var names: [String] = []
        var offset: UInt64 = 0
        while true {
            let answer = try client.call(40, client.u32(1) + client.u64(offset) + client.u32(3000))
            var at = 4
            if answer.count == 4 { break }
            while at < answer.count {
                offset = client.number(answer, at + 13, 8)
                let length = Int(client.number(answer, at + 22, 2))
                names.append(String(decoding: answer[(at + 24)..<(at + 24 + length)], as: UTF8.self))
                at += 24 + length
            }
        }
        #expect(Set(names).count == 502 && names.count == 502)
    }

    @Test("messages that are cut short, that name no fid, or that ask for too much")
    func hostile() throws {
        let client = try P9Client()
        try client.put("file", "words")
        #expect(try client.walk("file", to: 1) == 1)
        try client.open(1, 0)
        for type in UInt8(0)...UInt8(130) {
            for body in [
                [], [1], client.u32(77), client.u32(1) + [0xFF, 0xFF], [UInt8](repeating: 0xFF, count: 40),
            ] {
                let request = client.u32(UInt32(body.count + 7)) + [type, 1, 0] + body
                let answer = client.server.answer(request, room: 128)
                #expect(answer.count <= 128 && answer.count >= 7)
            }
        }
        #expect(client.server.answer([1, 2, 3], room: 128).isEmpty)
        // More than there is room for is cut; a session that begins anew has no fids.
        let fresh = try P9Client()
        try fresh.put("file", String(repeating: "x", count: 9000))
        #expect(try fresh.walk("file", to: 1) == 1)
        try fresh.open(1, 0)
        #expect(try fresh.call(116, fresh.u32(1) + fresh.u64(0) + fresh.u32(.max), room: 511).count == 504)
        fresh.server.reset()
        #expect(throws: P9Client.Failed(number: 9)) { try fresh.attributes(1) }
    }
}

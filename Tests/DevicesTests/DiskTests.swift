// SPDX-License-Identifier: Apache-2.0
//
// Images and what the command line says of them.

import Foundation
import Support
import Testing

@testable import Devices

@Suite("Disk images")
struct DiskTests {
    @Test("the words of --block")
    func specification() throws {
        #expect(try DiskSpecification(parsing: "a.img") == DiskSpecification(path: "a.img"))
        #expect(
            try DiskSpecification(parsing: "a.img,readonly")
                == DiskSpecification(path: "a.img", access: .readOnly))
        #expect(
            try DiskSpecification(parsing: "a.img,overlay")
                == DiskSpecification(path: "a.img", access: .overlay(nil)))
        #expect(
            try DiskSpecification(parsing: "a,b.img,overlay=c,d")
                == DiskSpecification(path: "a,b.img", access: .overlay("c,d")))
        #expect(try DiskSpecification(parsing: "a,b.img") == DiskSpecification(path: "a,b.img"))
        for bad in ["", ",readonly", ",overlay", "a,overlay="] {
            #expect(throws: LguestError.self) { try DiskSpecification(parsing: bad) }
        }
    }

    @Test("one guest writes to an image at a time, several may read it")
    func locks() throws {
        let file = TemporaryFile([UInt8](repeating: 0, count: 4096))
        let writer = try FileImage(path: file.path, isReadOnly: false)
        let error = try #require(throws: LguestError.self) {
            try FileImage(path: file.path, isReadOnly: true)
        }
        #expect(error.message.contains("in use"))
        writer.unlock()
        _ = try FileImage(path: file.path, isReadOnly: true)
        let other = TemporaryFile([UInt8](repeating: 0, count: 4096))
        let readers = try (0..<3).map { _ in try FileImage(path: other.path, isReadOnly: true) }
        let overlay = try OverlayImage(path: other.path, overlayPath: nil)
        withExtendedLifetime((readers, overlay)) {}
    }

    @Test("what is no image is refused in one line")
    func refused() throws {
        for path in ["/nonexistent", "/", "/dev/null"] {
            let error = try #require(throws: LguestError.self) {
                try FileImage(path: path, isReadOnly: true)
            }
            #expect(error.code == .badInput)
            #expect(!error.description.contains("\n"))
        }
    }

    @Test("what helps is said: of a word that is part of a name, of an overlay that is in use")
    func hints() throws {
        let comma = try #require(throws: LguestError.self) {
            try FileImage(path: "/nonexistent,read-only", isReadOnly: false)
        }
        #expect(comma.description.contains("'readonly'"))
        let image = TemporaryFile([UInt8](repeating: 0, count: 4096))
        let layer = TemporaryFile([])
        let first = try OverlayImage(path: image.path, overlayPath: layer.path)
        let second = try #require(throws: LguestError.self) {
            try OverlayImage(path: image.path, overlayPath: layer.path)
        }
        #expect(second.description.contains("in use") && second.description.contains("one of its own"))
        withExtendedLifetime(first) {}
    }

    @Test("an overlay belongs to its image, and a foreign file is not overwritten")
    func foreignOverlay() throws {
        let image = TemporaryFile([UInt8](repeating: 0, count: 8192))
        let larger = TemporaryFile([UInt8](repeating: 0, count: 16384))
        let layer = TemporaryFile()
        _ = try OverlayImage(path: image.path, overlayPath: layer.path)
        #expect(throws: LguestError.self) { try OverlayImage(path: larger.path, overlayPath: layer.path) }
        let text = TemporaryFile(Array("no overlay, but somebody's letter, which is longer".utf8))
        let before = text.bytes
        #expect(throws: LguestError.self) { try OverlayImage(path: image.path, overlayPath: text.path) }
        #expect(text.bytes == before)
    }

    @Test("an overlay over an image of odd size, byte by byte", arguments: [1, 4095, 4097, 9000])
    func oddOverlay(size: Int) throws {
        var random = SplitMix64(seed: UInt64(size))
        let original = random.bytes(size)
        let file = TemporaryFile(original)
        var model = original
        let overlay = try OverlayImage(path: file.path, overlayPath: nil)
        for _ in 0..<100 {
            let start = Int.random(in: 0..<size, using: &random)
            let end = Int.random(in: start...size, using: &random)
            let data = random.bytes(end - start)
            if Int.random(in: 0..<5, using: &random) == 0 {
                try overlay.writeZeros(at: UInt64(start), count: UInt64(end - start), mayDiscard: true)
                model.replaceSubrange(start..<end, with: [UInt8](repeating: 0, count: end - start))
            } else {
                try overlay.write(at: UInt64(start), from: HostBuffers(bytes: data))
                model.replaceSubrange(start..<end, with: data)
            }
            let all = HostBuffers(zeros: size)
            try overlay.read(at: 0, into: all)
            #expect(all.bytes == model)
        }
        try overlay.flush()
        #expect(file.bytes == original)
    }

    @Test("a full host disk: an error, and everything from before is still there")
    func full() throws {
        let folder = NSTemporaryDirectory() + "/lguest-small-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        guard mount("tmpfs", folder, "tmpfs", 0, "size=1m") == 0 else {
            try Test.cancel("mounting a small tmpfs needs root")
        }
        defer { umount(folder) }
        _ = FileManager.default.createFile(atPath: folder + "/disk", contents: nil)
        truncate(folder + "/disk", 8 << 20)
        let image = try FileImage(path: folder + "/disk", isReadOnly: false)
        let block = HostBuffers(bytes: [UInt8](repeating: 5, count: 1 << 16))
        var written: UInt64 = 0
        let error = #expect(throws: DiskFailure.self) {
            while written < 8 << 20 {
                try image.write(at: written, from: block)
                written += 1 << 16
            }
        }
        #expect(error?.errno == ENOSPC)
        #expect(written > 0)
        let again = HostBuffers(zeros: Int(written))
        try image.read(at: 0, into: again)
        #expect(again.bytes.allSatisfy { $0 == 5 })
    }
}

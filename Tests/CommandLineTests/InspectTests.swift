// SPDX-License-Identifier: Apache-2.0
//
// `lguest inspect` on the kernels of the inventory: a bzImage and a vmlinux of one build are one kernel.

import Boot
import LguestKit
import TestSupport
import Testing

@testable import lguest

@Suite("Inspect")
struct InspectTests {
    @Test("kernels of the inventory", arguments: KernelInventory.all)
    func kernels(kernel: InventoryKernel) throws {
        let found = try Inspection(path: kernel.path)
        #expect(found.version == kernel.version?.release && found.obstacle == nil)
        #expect(found.interfaces.contains("lguest"))
        #expect((found.compression != nil) == (found.format == "bzImage"))
        let text = InspectCommand.lines(found).joined(separator: "\n")
        #expect(text.contains("boots here        yes, as a guest of lguest"), "\(text)")
        #expect(text.contains(found.format))
        let json = InspectCommand.object(found).text()
        #expect(json.contains("\"boots\": true") && json.hasPrefix("{\n  \"file\": "), "\(json)")
    }

    @Test(
        "Debian's kernels boot as they are",
        .enabled(if: (try? ImageCache()) != nil, "no folder for a cache"),
        arguments: DebianImage.Flavour.allCases)
    func stock(flavour: DebianImage.Flavour) throws {
        guard let image = DebianImage.find(flavour, in: try ImageCache()) else {
            try Test.cancel(
                "no Debian kernel in the cache: 'lguest images fetch 686 686-pae' needs an archive")
        }
        let found = try Inspection(path: image.kernelPath)
        #expect(found.bootsAs == "bare" && found.obstacle == nil && found.interfaces.contains("KVM"))
        let text = InspectCommand.lines(found).joined(separator: "\n")
        #expect(text.contains("boots here        yes, as it is, on a small PC"), "\(text)")
    }

    @Test("there is something to inspect")
    func inventory() throws {
        if KernelInventory.all.isEmpty {
            try Test.cancel("no kernels in \(KernelInventory.folder): not tested")
        }
    }

    @Test("text for JSON is quoted")
    func quoting() {
        let value = JSONText.object([("a\"\n", .list([.null, .bool(true), .number(7), .string("\\\u{1}é")]))])
        #expect(value.text() == "{\n  \"a\\\"\\u000a\": [null, true, 7, \"\\\\\\u0001é\"]\n}")
    }
}

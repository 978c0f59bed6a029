// SPDX-License-Identifier: Apache-2.0
//
// Finds the real kernels that the tests boot: every image in $LGUEST_KERNELS, by default
// ~/.cache/lguest/kernels. They are not part of the repository; what is missing is reported by name.

import Boot
import Foundation
import Support

/// One kernel image of the inventory.
public struct InventoryKernel: Sendable {
    public let path: String
    public let name: String
    public let version: LinuxVersion?
    public let isPAE: Bool
    public let isCompressed: Bool

    /// Whether the driver of network devices is built into it.
    public var hasNetwork: Bool {
        (FileManager.default.contents(atPath: path).map { [UInt8]($0) } ?? [])
            .firstIndex(of: Array("virtio_net".utf8)) != nil
    }

    /// Whether the driver of network devices takes segments that are longer than frames.
    public var takesLongSegments: Bool {
        guard let version else { return true }
        return (version.major, version.minor, version.patch) >= (2, 6, 25)
    }

    /// Whether today's busybox works in it: its C library (Debian 12's) wants Linux 3.2.
    public var runsBusybox: Bool {
        guard let version else { return true }
        return (version.major, version.minor) >= (3, 2)
    }
}

public enum KernelInventory {
    public static var folder: String {
        let environment = ProcessInfo.processInfo.environment
        if let named = environment["LGUEST_KERNELS"], !named.isEmpty { return named }
        return (environment["HOME"] ?? "") + "/.cache/lguest/kernels"
    }

    /// All lguest kernels in the folder, by name.
    public static let all: [InventoryKernel] = {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return files.sorted().compactMap { file in
            guard file.hasPrefix("vmlinux") || file.hasPrefix("bzImage") || file.hasPrefix("vmlinuz") else {
                return nil
            }
            let path = folder + "/" + file
            guard let image = try? KernelImage(path: path), (try? image.requireLguestSupport()) != nil else {
                return nil
            }
            let compressed = if case .bzImage = image.format { true } else { image.container != nil }
            return InventoryKernel(
                path: path, name: file, version: image.linuxVersion, isPAE: image.pae?.usesPAE == true,
                isCompressed: compressed)
        }
    }()

    /// The first vmlinux of a series with or without PAE.
    public static func vmlinux(_ major: Int, _ minors: ClosedRange<Int>, pae: Bool? = nil) -> InventoryKernel?
    {
        // The shortest name is the plainest kernel: variants (debug, …) say so in theirs.
        all.sorted { $0.name.count < $1.name.count }.first { kernel in
            guard let version = kernel.version, !kernel.isCompressed, version.major == major else {
                return false
            }
            return minors.contains(version.minor) && (pae == nil || kernel.isPAE == pae)
        }
    }
}

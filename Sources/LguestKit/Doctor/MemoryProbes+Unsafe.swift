// SPDX-License-Identifier: Apache-2.0
//
// Memory: how much a guest may be promised, how much there is, how finely it may be mapped.

import Support

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

enum MemoryProbes {
    /// The whole of what a guest's memory, tables and translated code take, beside the memory itself, in bytes
    /// of address space: twelve tables of 8 MiB and a code cache, rounded up.
    private static let overhead = 256 << 20

    /// Reserves what guests of several sizes would, the largest first.
    static func addressSpace() -> Finding {
        let name = "guest memory"
        let sizes: [UInt64] = [3 << 30, 2 << 30, 1 << 30, 512 << 20, 256 << 20, 64 << 20, 16 << 20]
        guard let size = sizes.first(where: canReserve) else {
            return Finding(
                name, .missing, "not even 16 MiB can be reserved: \(HostPrograms.message(errno))",
                cost: "no guest can run", remedy: "raise the limit: ulimit -v unlimited", isRequired: true)
        }
        if size == sizes[0] { return Finding(name, works: "guests up to 3 GiB can be reserved") }
        return Finding(
            name, .limited, "guests up to \(size.asByteCount) can be reserved",
            cost: "larger guests do not start",
            remedy: "ulimit -v unlimited, or sysctl vm.overcommit_memory=0")
    }

    /// Reserves address space as a guest does: a promise that costs nothing until it is used.
    private static func canReserve(_ bytes: UInt64) -> Bool {
        let length = Int(bytes) + overhead
        // SAFETY: a new mapping at an address of the host's choice, unmapped again with the same size.
        guard
            let block = mmap(
                nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
            block != MAP_FAILED
        else { return false }
        munmap(block, length)
        return true
    }

    /// What the host has left, or the container that we are in.
    static func freeMemory() -> Finding {
        let name = "free memory"
        let host = kilobytes("MemAvailable:", in: "/proc/meminfo").map { $0 << 10 }
        let limits = [
            ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
        ]
        let container = limits.lazy.compactMap { limit, used -> UInt64? in
            guard let limit = number(in: limit), let used = number(in: used) else { return nil }
            return limit > used ? limit - used : 0
        }.first
        guard let free = [host, container].compactMap({ $0 }).min() else {
            return Finding(
                name, .limited, "the host does not tell", cost: "a guest may be killed when memory runs out",
                remedy: "mount /proc")
        }
        let text = "\(free.asByteCount) free" + (container == free ? " in this container" : "")
        if free >= 256 << 20 { return Finding(name, works: text) }
        return Finding(
            name, .limited, text, cost: "a guest that uses more is killed by the host",
            remedy: "end other programs, or raise the container's limit")
    }

    /// Mappings in one process, of which translated guests use many.
    static func mappings() -> Finding {
        let name = "mappings"
        guard let limit = number(in: "/proc/sys/vm/max_map_count") else {
            return Finding(
                name, .limited, "the host does not tell how many one process may have",
                cost: "none that is known", remedy: "mount /proc")
        }
        if limit >= 65530 { return Finding(name, works: "\(limit) in one process") }
        return Finding(
            name, .limited, "only \(limit) in one process",
            cost: "memory of hot guest code is mapped less finely",
            remedy: "sysctl vm.max_map_count=65530 (as root)")
    }

    private static func number(in path: String) -> UInt64? {
        HostText.read(path)?.split { $0 == "\n" || $0 == " " }.first.flatMap { UInt64($0) }
    }

    private static func kilobytes(_ label: String, in path: String) -> UInt64? {
        for line in HostText.read(path)?.split(separator: "\n") ?? [] where line.hasPrefix(label) {
            return line.split(separator: " ").dropFirst().first.flatMap { UInt64($0) }
        }
        return nil
    }
}

/// Small files of the host.
enum HostText {
    /// Up to 64 KiB of the file at `path` as text; nil when it cannot be read.
    static func read(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { HostFiles.close(descriptor) }
        var bytes: [UInt8] = []
        while bytes.count < 1 << 16, case .bytes(let more) = HostFiles.read(descriptor) { bytes += more }
        return String(decoding: bytes, as: UTF8.self)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// What translated code needs: a file in memory, mapped writable in one place and executable in another.

import CHost
import CLauncher

enum CodeProbes {
    private static let cost = "no translated code: guests run on the interpreter, several times slower"

    static func memoryFile() -> Finding {
        let descriptor = lguest_probe_memfd()
        guard descriptor >= 0 else {
            return Finding(
                "memfd", .missing, "memfd_create: \(HostPrograms.message(-descriptor))", cost: cost,
                remedy: "Linux 3.17 or newer, and a container that allows memfd_create")
        }
        HostFiles.close(descriptor)
        return Finding("memfd", works: "files in memory can be made")
    }

    static func executableMemory() -> Finding {
        let name = "executable mappings"
        let descriptor = lguest_probe_memfd()
        guard descriptor >= 0 else {
            return Finding(name, .missing, "there is no memfd to map", cost: cost, remedy: "see memfd")
        }
        defer { HostFiles.close(descriptor) }
        let reason = lguest_probe_code(descriptor)
        if reason == 0 { return Finding(name, works: "a function written into memory was called") }
        return Finding(
            name, .missing, HostPrograms.message(reason), cost: cost,
            remedy:
                "allow it: sysctl vm.memfd_noexec=0, SELinux's execmem, or a container without such a rule")
    }

    static func processor() -> Finding {
        let missing = [("BMI2", lguest_host_has_bmi2()), ("XSAVE", lguest_host_has_xsave())].filter {
            $0.1 == 0
        }
        if missing.isEmpty { return Finding("processor", works: "x86-64 with BMI2 and XSAVE") }
        return Finding(
            "processor", .limited, "no " + missing.map(\.0).joined(separator: ", "),
            cost: "translated code takes longer ways", remedy: "a processor of 2013 or newer")
    }
}

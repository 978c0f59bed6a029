// SPDX-License-Identifier: Apache-2.0
//
// Programs of the host that some commands call.

enum ProgramProbes {
    static func all() -> [Finding] {
        [
            program(["mke2fs", "-V"], package: "e2fsprogs", cost: "no lguest image create"),
            program(["tar", "--version"], package: "tar", cost: "no lguest image create --from-tar"), apt(),
        ]
    }

    /// Runs it: a program that is there may still lack a library.
    private static func program(_ words: [String], package: String, cost: String) -> Finding {
        let name = words[0]
        do throws(LguestError) {
            try HostPrograms.run(words, package: package, quietly: true)
        } catch {
            return Finding(name, .missing, error.message, cost: cost, remedy: "apt-get install \(package)")
        }
        return Finding(name, works: HostPrograms.find(name) ?? name)
    }

    /// Debian's archive, from which kernels and file systems for guests come.
    private static func apt() -> Finding {
        let cost = "no kernels or file systems from Debian's archive, and no packages from this list"
        do throws(LguestError) {
            try HostPrograms.run(["apt-get", "--version"], package: "apt", quietly: true)
        } catch {
            return Finding("apt", .missing, error.message, cost: cost, remedy: "a Debian or Ubuntu host")
        }
        do throws(LguestError) {
            // A package that every Debian archive has.
            try HostPrograms.run(["apt-cache", "show", "busybox-static"], package: "apt", quietly: true)
        } catch {
            return Finding(
                "apt", .limited, "apt is there, but has no package lists", cost: cost,
                remedy: "apt-get update")
        }
        return Finding("apt", works: "with package lists")
    }
}

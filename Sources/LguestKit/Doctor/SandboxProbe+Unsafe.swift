// SPDX-License-Identifier: Apache-2.0
//
// Whether the sandbox can be had: a child process enters it and tries to open a file.

import CLauncher

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

enum SandboxProbe {
    private enum Result: Int32 {
        case refused = 0
        case opened = 1
        case noSandbox = 2
    }

    static func sandbox() -> Finding {
        let name = "sandbox"
        let result = lguest_in_child {
            // What the child prints is nobody's business.
            HostFiles.detachErrors()
            guard (try? Sandbox.enter(SandboxNeeds())) != nil else { return Result.noSandbox.rawValue }
            return open("/dev/null", O_RDONLY) < 0 ? Result.refused.rawValue : Result.opened.rawValue
        }
        if result == Result.refused.rawValue {
            return Finding(name, works: "seccomp: what is not on the list is refused, in all threads")
        }
        let found = result == Result.opened.rawValue ? "it refused nothing" : "seccomp cannot be set up"
        return Finding(
            name, .missing, found, cost: "guests only start with --no-sandbox",
            remedy: "a kernel with CONFIG_SECCOMP_FILTER, and a container that allows seccomp and prctl")
    }
}

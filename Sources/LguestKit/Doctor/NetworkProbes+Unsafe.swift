// SPDX-License-Identifier: Apache-2.0
//
// The three ways to a network: libslirp in this process, passt, TAP interfaces.

import CHost
import CLauncher

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

enum NetworkProbes {
    static func all() -> [Finding] {
        let namespaces = lguest_probe_user_namespace()
        return [userNetwork(), passt(namespaces), userNamespaces(namespaces), tap()]
    }

    /// The sockets that libslirp opens, and where it asks for names.
    private static func userNetwork() -> Finding {
        let name = "user network"
        for type in [SOCK_STREAM, SOCK_DGRAM] {
            let descriptor = socket(AF_INET, Int32(type.rawValue), 0)
            guard descriptor >= 0 else {
                return Finding(
                    name, .missing, "no sockets: \(HostPrograms.message(errno))",
                    cost: "--net=user does not work",
                    remedy: "a container with a network")
            }
            HostFiles.close(descriptor)
        }
        let servers = (HostText.read(Sandbox.resolverFile) ?? "").split(separator: "\n").filter {
            $0.hasPrefix("nameserver ")
        }
        guard !servers.isEmpty else {
            return Finding(
                name, .limited, "--net=user works, but \(Sandbox.resolverFile) names no server",
                cost: "guests reach numbers, not names",
                remedy: "a 'nameserver' line in \(Sandbox.resolverFile)")
        }
        return Finding(name, works: "--net=user, with the host's name server")
    }

    private static func passt(_ namespaces: Int32) -> Finding {
        let name = "passt"
        do throws(LguestError) {
            try HostPrograms.run(["passt", "--version"], package: "passt", quietly: true)
        } catch {
            return Finding(
                name, .missing, error.message, cost: "no --net=passt; --net=user does the same",
                remedy: "apt-get install passt")
        }
        guard namespaces == 0 else {
            return Finding(
                name, .missing, "it is there, but needs user namespaces",
                cost: "no --net=passt; --net=user does the same", remedy: "see user namespaces")
        }
        return Finding(name, works: "--net=passt")
    }

    private static func userNamespaces(_ reason: Int32) -> Finding {
        if reason == 0 { return Finding("user namespaces", works: "one was made") }
        return Finding(
            "user namespaces", .missing, "unshare: \(HostPrograms.message(abs(reason)))",
            cost: "no --net=passt",
            remedy:
                "sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000, or a container "
                + "that allows unshare")
    }

    /// Makes an interface, which goes away with its descriptor.
    private static func tap() -> Finding {
        var name = [CChar](repeating: 0, count: Int(LGUEST_TAP_NAME))
        for (index, byte) in "tap%d".utf8.enumerated() { name[index] = CChar(byte) }
        // SAFETY: the array has the length that the function wants, and ends with a zero byte.
        let descriptor = lguest_tap_open(&name)
        if descriptor >= 0 {
            HostFiles.close(descriptor)
            return Finding("TAP", works: "--tunnet: an interface was made")
        }
        let isThere = access("/dev/net/tun", F_OK) == 0
        return Finding(
            "TAP", .missing, (isThere ? "" : "/dev/net/tun: ") + HostPrograms.message(-descriptor),
            cost: "no --tunnet; --net=user needs no privilege",
            remedy: isThere
                ? "root or the capability CAP_NET_ADMIN: setcap cap_net_admin+ep on the lguest binary"
                : "modprobe tun; in a container: --device=/dev/net/tun --cap-add=NET_ADMIN")
    }
}

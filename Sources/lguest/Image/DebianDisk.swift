// SPDX-License-Identifier: Apache-2.0
//
// A Debian system on a disk: `lguest boot debian --disk FILE --create SIZE`. mmdebstrap installs it into a tar file,
// with apt and its verification and without privileges; `lguest image create` makes a disk of that.

import LguestKit
import Support

struct DebianDisk {
    private static let packages = [
        "systemd-sysv", "dbus", "udev", "login", "openssh-server", "ifupdown", "isc-dhcp-client", "iproute2",
        "iputils-ping", "netbase", "ca-certificates", "kmod", "procps", "e2fsprogs", "less", "nano",
    ]
    private static let archive = "http://deb.debian.org/debian"

    let path: String
    let size: String
    /// Public keys, one a line, that may log in as root by ssh.
    let keys: String?

    /// Installs and makes the disk. Throws `.host` where the host has no mmdebstrap, archive or room.
    func create() throws(LguestError) {
        _ = try ImageSize.bytes(size)
        guard !HostTools.exists(path) else {
            throw LguestError(
                .badInput, "\(path.asOneLine) is there already",
                hint: "without --create it is booted as it is")
        }
        let folder = try HostTools.temporaryFolder()
        defer { HostTools.removeTree(folder) }
        let tar = folder + "/system.tar"
        StandardError.print("lguest: installing Debian (mmdebstrap); this takes some minutes")
        try install(tar)
        StandardError.print("lguest: making \(path)")
        try ImageCreateCommand.create(path, size: size, fromTar: tar)
    }

    /// With the archives of security and updates, or without them where they are out of order: apt in the guest has
    /// them all the same.
    private func install(_ tar: String) throws(LguestError) {
        let words = [
            "mmdebstrap", "--mode=auto", "--architectures=i386", "--variant=apt",
            "--include=" + Self.packages.joined(separator: ","),
            "--customize-hook=" + customization, "bookworm", tar,
        ]
        do throws(LguestError) {
            try HostPrograms.run(words, package: "mmdebstrap")
        } catch {
            guard HostPrograms.find("mmdebstrap") != nil else { throw error }
            StandardError.print("lguest: once more, with the main archive alone")
            HostTools.remove(tar)
            try HostPrograms.run(words + ["deb \(Self.archive) bookworm main"], package: "mmdebstrap")
        }
    }

    /// Run on the host with the new system's folder as argument.
    private var customization: String {
        """
        set -e
        root=$1
        echo debian >"$root/etc/hostname"
        printf '127.0.0.1\\tlocalhost\\n127.0.1.1\\tdebian\\n' >"$root/etc/hosts"
        echo '/dev/vda / ext4 errors=remount-ro 0 1' >"$root/etc/fstab"
        printf 'auto lo\\niface lo inet loopback\\n\\nallow-hotplug eth0\\niface eth0 inet dhcp\\n' \
            >"$root/etc/network/interfaces"
        : >"$root/etc/resolv.conf"
        printf 'deb %s %s main\\n' \(Self.archive) bookworm \(Self.archive) bookworm-updates \
            http://security.debian.org/debian-security bookworm-security >"$root/etc/apt/sources.list"
        # Where the kernel's modules are put when it boots.
        mkdir -p "$root/usr/lib/modules"
        # root may log in on the console without a password, by ssh with a key only.
        chroot "$root" passwd --delete root
        mkdir -p -m 700 "$root/root/.ssh"
        cat >"$root/root/.ssh/authorized_keys" <<'END'
        \(keys ?? "")
        END
        chmod 600 "$root/root/.ssh/authorized_keys"
        rm -f "$root/etc/machine-id"
        echo uninitialized >"$root/etc/machine-id"
        """
    }
}

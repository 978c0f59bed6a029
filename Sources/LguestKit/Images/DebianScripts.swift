// SPDX-License-Identifier: Apache-2.0
//
// What runs as /init in a Debian image.

import Devices

/// What a guest of a Debian image has, as far as its /init must know.
public struct DebianSetup: Sendable {
    public var shares: [ShareSpecification] = []
    /// A file system on the first disk.
    public var hasDisk = false
    public var hasNetwork = false

    public init() {}
}

enum DebianScripts {
    /// Where the guest finds a shared folder.
    static func folder(_ index: Int) -> String { index == 0 ? "/work" : "/work\(index + 1)" }

    private static let basics = """
        #!/bin/sh
        /bin/busybox --install -s /bin
        mount -t proc proc /proc
        mount -t sysfs sysfs /sys
        mount -t devtmpfs dev /dev 2>/dev/null

        """

    /// The kernel has set its time by the clock, which knows whole seconds, to half a second: once more, exactly.
    private static let setTime = "/bin/\(SetTime.name) || hwclock -u -s 2>/dev/null\n"

    private static let loadAll = """
        for module in /lib/modules/*.ko; do insmod "$module" 2>/dev/null; done

        """

    private static let startNetwork = """
        ip link set lo up
        if [ -e /sys/class/net/eth0 ]; then
            ip link set eth0 up
            udhcpc -i eth0 -n -q -s /bin/udhcpc-script >/dev/null 2>&1
        fi

        """

    /// Waits for the first disk, whose driver looks at it on its own.
    private static let waitForDisk = """
        for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
            [ -b /dev/vda ] && break
            sleep 0.1
        done

        """

    /// Mounts the shares below `$root`; `failed` is what to do where that is not possible.
    private static func mount(_ shares: [ShareSpecification], or failed: String) -> String {
        shares.enumerated().reduce(into: "") { text, share in
            let place = folder(share.offset)
            // A folder that only we write to may be cached for as long as we run.
            let options = share.element.isReadOnly ? "ro,cache=loose" : "cache=mmap"
            // Linux clears a buffer of msize for each folder that it lists: larger ones make reading hardly faster,
            // listing slower.
            text += """
                mkdir -p "$root\(place)"
                mount -t 9p -o trans=virtio,version=9p2000.L,msize=131072,\(options) \
                    '\(share.element.tag)' "$root\(place)" || \(failed)

                """
        }
    }

    /// A shell on the virtio console; its end is the guest's.
    static func shell(_ setup: DebianSetup) -> String {
        let last = """
            export HOME=/root TERM=linux
            cd \(setup.shares.isEmpty ? "/root" : folder(0))
            exec </dev/hvc0 >/dev/hvc0 2>&1
            echo
            echo "Debian $(uname -r) on lguest. 'exit' switches it off."
            # Opened by the leader of a new session, the console becomes its terminal.
            setsid sh -c 'exec sh -l </dev/hvc0 >/dev/hvc0 2>&1'
            umount -a -r 2>/dev/null
            poweroff -f

            """
        return basics + setTime + "mkdir -p /dev/pts\nmount -t devpts devpts /dev/pts\n" + loadAll
            + "hostname debian\n" + startNetwork + "root=\n" + mount(setup.shares, or: ":") + last
    }

    /// Goes on with the system on the first disk. Its modules come with the kernel, by a share of their own.
    static let disk =
        basics + setTime + loadAll + waitForDisk + """
            if ! mount -t ext4 -o ro /dev/vda /mnt; then
                echo "lguest: there is no ext4 file system on the disk"
                poweroff -f
            fi
            if [ -d /mnt/lib/modules ]; then
                mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,ro,cache=loose \
                    \(ShareSpecification.modulesTag) /mnt/lib/modules 2>/dev/null
            fi
            for place in proc sys dev; do mount --move /$place /mnt/$place; done
            # The modules are in use to the end: systemd need not try to unmount them before.
            mount -t tmpfs -o mode=755 run /mnt/run
            mkdir -p /mnt/run/systemd/system/usr-lib-modules.mount.d
            printf '[Unit]\\nDefaultDependencies=no\\n' >/mnt/run/systemd/system/usr-lib-modules.mount.d/lguest.conf
            exec switch_root /mnt /sbin/init "$@"

            """

    /// Runs /command in the shared folder with the streams of lguest, and hands its status over.
    static func command(_ setup: DebianSetup) -> String {
        var text =
            basics + """
                cd /lib/modules
                for name in \(modules(setup).joined(separator: " ")); do insmod ??-$name.ko 2>/dev/null; done
                mkdir /streams
                mount -t 9p -o trans=virtio,version=9p2000.L,cache=none,msize=512000 \
                    \(ShareSpecification.streamsTag) /streams || poweroff -f
                fail() { echo 125 >/streams/status; poweroff -f; }
                exec 2>/streams/err
                root=

                """
        text += setTime
        if setup.hasNetwork { text += startNetwork }
        if setup.hasDisk { text += waitForDisk + enterDisk }
        text += mount(setup.shares, or: "fail")
        text += """
            export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
            go='cd \(folder(0)) 2>/dev/null || cd /root; exec sh /run/lguest-command'
            mkdir -p /run
            cp /command "$root/run/lguest-command"
            chroot "$root/" sh -c "$go" </streams/in >/streams/out
            status=$?
            exec 2>/dev/null
            cd /

            """
        for index in setup.shares.indices.reversed() { text += "umount \"$root\(folder(index))\"\n" }
        if setup.hasDisk { text += "for place in run proc sys dev ''; do umount /mnt/$place; done\n" }
        return text + """
            echo $status >/streams/status
            poweroff -f

            """
    }

    private static let enterDisk = """
        root=/mnt
        mount -t ext4 /dev/vda /mnt 2>/dev/null || mount -t ext4 -o ro /dev/vda /mnt || fail
        for place in proc sys dev; do mount --bind /$place /mnt/$place; done
        mount -t tmpfs tmpfs /mnt/run
        [ -s /etc/resolv.conf ] && cp /etc/resolv.conf /mnt/etc/resolv.conf

        """

    /// What the streams, shares, disk and network of a command need.
    private static func modules(_ setup: DebianSetup) -> [String] {
        var names = [
            "virtio", "virtio_ring", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "netfs",
            "fscache", "9pnet", "9pnet_virtio", "9p",
        ]
        if setup.hasDisk {
            names += ["virtio_blk", "crc16", "libcrc32c", "crc32c_generic", "mbcache", "jbd2", "ext4"]
        }
        if setup.hasNetwork { names += ["failover", "net_failover", "virtio_net"] }
        return names
    }

    /// Sets the network up as the DHCP server says.
    static let network = """
        #!/bin/sh
        [ "$1" = bound ] || [ "$1" = renew ] || exit 0
        ip addr flush dev "$interface"
        ip addr add "$ip/${mask:-24}" dev "$interface"
        [ -n "$router" ] && ip route add default via "${router%% *}"
        : >/etc/resolv.conf
        for server in $dns; do echo "nameserver $server" >>/etc/resolv.conf; done

        """
}

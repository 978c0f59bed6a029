// SPDX-License-Identifier: Apache-2.0
//
// What runs as /init in a Debian image.

import Devices

enum DebianScripts {
    /// Mounts what every program expects, and loads the devices' drivers.
    private static let start = """
        #!/bin/sh
        /bin/busybox --install -s /bin
        mount -t proc proc /proc
        mount -t sysfs sysfs /sys
        mount -t devtmpfs dev /dev 2>/dev/null
        mkdir -p /dev/pts
        mount -t devpts devpts /dev/pts
        for module in /lib/modules/*.ko; do insmod "$module" 2>/dev/null; done

        """

    /// A shell on the virtio console; its end is the guest's.
    static let shell =
        start + """
            hostname debian
            ip link set lo up
            if [ -e /sys/class/net/eth0 ]; then
                ip link set eth0 up
                udhcpc -i eth0 -n -q -s /bin/udhcpc-script >/dev/null 2>&1
            fi
            export HOME=/root TERM=linux
            cd /root
            exec </dev/hvc0 >/dev/hvc0 2>&1
            echo
            echo "Debian $(uname -r) on lguest. 'exit' switches it off."
            # Opened by the leader of a new session, the console becomes its terminal.
            setsid sh -c 'exec sh -l </dev/hvc0 >/dev/hvc0 2>&1'
            poweroff -f

            """

    /// Runs /command in the shared folder with the streams of lguest, and hands its status over.
    static func command(shares: [ShareSpecification], folder: String) -> String {
        var text = """
            #!/bin/sh
            /bin/busybox --install -s /bin
            mount -t proc proc /proc
            mount -t sysfs sysfs /sys
            mount -t devtmpfs dev /dev 2>/dev/null
            cd /lib/modules
            for name in \(commandModules.joined(separator: " ")); do insmod ??-$name.ko 2>/dev/null; done
            mkdir /streams
            mount -t 9p -o trans=virtio,version=9p2000.L,cache=none,msize=65536 \
                \(ShareSpecification.streamsTag) /streams || poweroff -f

            """
        for share in shares {
            // A folder that only we write to may be cached for as long as we run.
            let options = share.isReadOnly ? "ro,cache=loose" : "cache=mmap"
            text += """
                mkdir -p '\(folder)'
                mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,\(options) \(share.tag) '\(folder)' \
                    2>/streams/err || { echo 125 >/streams/status; poweroff -f; }

                """
        }
        return text + """
            export HOME=/root PATH=/bin:/sbin:/usr/bin:/usr/sbin
            cd '\(folder)' 2>/dev/null || cd /root
            sh /command </streams/in >/streams/out 2>/streams/err
            status=$?
            cd /
            \(shares.isEmpty ? ":" : "umount '\(folder)'")
            echo $status >/streams/status
            poweroff -f

            """
    }

    /// What the streams and shares need.
    private static let commandModules = [
        "virtio", "virtio_ring", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "netfs",
        "fscache", "9pnet", "9pnet_virtio", "9p",
    ]

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

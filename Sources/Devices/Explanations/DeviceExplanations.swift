// SPDX-License-Identifier: Apache-2.0
//
// Device registers in words: the PCI bus, virtio's registers and rings, ports. For `lguest explain`.

import Tap

public enum DeviceExplanations {
    public static let all: [Explanation] = ports + platform + common + queues + devicePage + configuration

    static func register(
        _ names: [String], _ title: String, _ use: String, native: String = virtioNative,
        others: String = virtioOthers
    ) -> Explanation {
        Explanation(.register, names, title, use: use, native: native, others: others)
    }

    private static let virtioNative = """
        Virtio is the same on real machines that have such devices, and in every other hypervisor: the driver cannot tell.
        """
    private static let virtioOthers = """
        Xen's own devices have rings in granted pages and event channels instead of registers; PVM guests use virtio.
        """
    private static let pciNative = "A real host bridge answers on the same two ports."
    private static let pciOthers =
        "Xen gives a guest a PCI bus only for devices passed through. PVM: as in KVM."

    static let ports: [Explanation] = [
        register(
            ["0xcf8", "CONFIG_ADDRESS"], "which PCI configuration register is meant",
            """
            Bit 31, bus, device, function and register. Lguest guests from 4.0 on find their devices through it: the \
            kernel's OUT faults in ring 1, and lguest carries it out.
            """, native: pciNative, others: pciOthers),
        register(
            ["0xcfc", "CONFIG_DATA"], "the PCI configuration register itself",
            """
            Ports 0xCFC to 0xCFF: the register that port 0xCF8 names, in any width. Absent devices read as ones.
            """, native: pciNative, others: pciOthers),
        register(
            ["emerg_wr", "cfg_data"], "a character for the console, before there is a driver",
            """
            Part of the virtio console's configuration: a byte written there is printed. Early kernels reach it through \
            the configuration space (capability VIRTIO_PCI_CAP_PCI_CFG), where no memory mapping is needed yet.
            """),
        register(
            ["0x64", "port 0x64"], "the keyboard controller that is not there",
            """
            Reads as 1, 'a byte is waiting', which lets the kernel's probe give up quickly. Writing 0xFE restarts the \
            guest, as on a PC: Linux before 2.6.25 has no hypercall for it.
            """, native: "The status of the 8042.", others: "Both have no such port in their plainest guests."
        ),
        register(
            ["0xf4", "port 0xf4"], "end, with this status",
            "With --exit-with-guest-status, a byte written here ends lguest with that status: for tests in a guest.",
            native: "Nothing.", others: "QEMU has the same as isa-debug-exit."),
        register(
            ["port", "IN", "OUT"], "port I/O",
            """
            IN and OUT raise a fault in ring 1, and lguest carries them out. Besides PCI there is almost nothing: unclaimed \
            ports read as ones and ignore writes, so that probes for old hardware find none.
            """, native: "The chip behind the port answers.",
            others: "Xen: physdev_op and emulation. PVM: emulation in KVM."),
        register(
            ["mmio", "READ", "WRITE"], "a device register in memory",
            """
            An access to a page that is no RAM. Our processor core asks the bus, so no fault is involved; the original \
            had to decode the instruction after a page fault.
            """, native: "The memory controller sends it to the bus.",
            others: "PVM: a fault to KVM, which decodes the instruction."),
    ]

    static let common: [Explanation] = [
        register(
            ["device_feature_select", "device_feature"], "what the device can do",
            "Offsets 0x00 and 0x04 of BAR0: the driver selects bits 0–31 or 32–63 and reads which features are offered."
        ),
        register(
            ["driver_feature_select", "driver_feature"], "what the driver wants",
            "Offsets 0x08 and 0x0C: the driver writes the features that it knows, a subset of those offered."),
        register(
            ["config_msix_vector", "queue_msix_vector", "msix_config"], "message-signalled interrupts",
            "Offsets 0x10 and 0x1A. Our devices have a plain interrupt line, so both read as 'none' (0xFFFF)."
        ),
        register(
            ["num_queues"], "how many virtqueues the device has",
            "Offset 0x12, read-only: 1 for a disk, 2 for console and network."),
        register(
            ["device_status", "status"], "how far driver and device are",
            """
            Offset 0x14: bits for acknowledged, driver found, features agreed, driver ready; 0x40 means that the device needs \
            a reset because the driver broke the rules. Writing 0 resets.
            """),
        register(
            ["config_generation"], "whether the configuration changed while it was read",
            "Offset 0x15: counts changes of the device's own configuration; a driver reads it before and after."
        ),
        register(
            ["queue_select", "queue_size", "queue_enable", "queue_notify_off"], "setting up one virtqueue",
            "Offsets 0x16 to 0x1E: choose a queue, agree on its size, enable it once its addresses are set."),
        register(
            ["queue_desc", "queue_avail", "queue_used", "queue_driver", "queue_device"],
            "where a virtqueue is",
            "Offsets 0x20, 0x28 and 0x30, 64 bits each: guest-physical addresses of the three tables of a queue."
        ),
        register(
            ["isr_status", "RAISE", "isr"], "why the device interrupted",
            """
            Bit 0 for a queue, bit 1 for the configuration. Reading it clears it and lowers the interrupt line. In a trace, \
            RAISE is the moment in which the device asks for the interrupt; IRQ is its delivery.
            """),
        register(
            ["queue_notify", "KICK", "notify"], "there are buffers for you",
            """
            The driver's doorbell: it writes the queue's number. The device then takes what is offered, in the same \
            moment or later. Drivers ring it as seldom as they can, since each ring leaves guest code; `flags` and \
            `avail_event` of the used ring say when it is not needed.
            """),
    ]

    static let queues: [Explanation] = [
        register(
            ["desc", "descriptor table"], "the buffers of a virtqueue",
            "16 bytes each: address, length, flags and the next of the chain. Everything in it is checked before use."
        ),
        register(
            ["avail_ring", "avail", "TAKE"], "buffers for the device",
            """
            The driver puts the number of a chain's first descriptor here and counts `idx` up. In a trace TAKE is the \
            device taking a chain: its head, its bytes and its first address.
            """),
        register(
            ["used_ring", "used", "GIVE"], "buffers back to the driver",
            """
            The device puts the head and the number of bytes that it wrote here, and counts `idx` up. In a trace GIVE. \
            For a network frame to be sent, TAKE and GIVE enclose its sending.
            """),
    ]

    static let devicePage: [Explanation] = [
        register(
            ["device page", "descriptor", "lguest_device_desc"], "the devices of kernels up to 3.19",
            """
            One page right above RAM: for each device its type, number of queues, feature bits, configuration and status, one \
            behind the other; type 0 ends the list. The rings are in pages above, chosen by the host, and LHCALL_NOTIFY \
            with an address is the doorbell.
            """, native: "Nothing: devices are found on buses.",
            others: "Xen: XenStore, a small database. PVM: PCI."),
        register(
            ["vqconfig", "lguest_vqconfig"], "a queue of the device page",
            "Entries, interrupt number and page number: 8 bytes for each queue, behind the device's descriptor."
        ),
    ]

    static let configuration: [Explanation] = [
        register(
            ["mac", "virtio-net configuration"], "the network device's own registers",
            "Six bytes of hardware address, then status (bit 0: the link is up) if that was agreed upon."),
        register(
            ["capacity", "virtio-blk configuration"], "the disk's own registers",
            "Capacity in sectors of 512 bytes, then limits of a request, block size and geometry as agreed upon."
        ),
        register(
            ["cols", "rows", "virtio-console configuration"], "the console's own registers",
            "The window's columns and rows, 16 bits each, which follow the terminal; then ports, and emerg_wr."
        ),
        register(
            ["num_pages", "actual", "virtio-balloon configuration"], "the balloon's own registers",
            "How many pages the host wants back, and how many the guest has given; 4 KiB each."),
    ]
}

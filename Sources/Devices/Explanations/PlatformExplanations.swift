// SPDX-License-Identifier: Apache-2.0
//
// The registers of the small PC around a stock kernel, in words. For `lguest explain`.

import Tap

extension DeviceExplanations {
    private static let none = "Xen PV and PVM guests have no such chip; others emulate it as we do."

    private static func chip(
        _ names: [String], _ title: String, _ use: String, native: String, others: String = none
    ) -> Explanation {
        register(names, title, use, native: native, others: others)
    }

    static let platform: [Explanation] = [
        chip(
            ["0x20", "0x21", "0xa0", "0xa1", "0x4d0", "0x4d1", "8259", "PIC"],
            "the old interrupt controllers",
            """
            Two 8259s, of eight inputs each: commands at 0x20 and 0xA0, masks at 0x21 and 0xA1, and at 0x4D0 and 0x4D1 which \
            inputs are level-triggered. A stock kernel programs them, then masks them, once it has found the APICs.
            """, native: "Two chips, today a corner of the chipset.",
            others: "Xen: event channels in their place. PVM: KVM's emulation."),
        chip(
            ["0x40", "0x41", "0x42", "0x43", "0x61", "8254", "PIT"], "the old timer",
            """
            An 8254: counter 0 ticks on interrupt 0, counter 2 is gated and read through port 0x61; mode words go to 0x43. \
            Kernels start with it, or measure other clocks by it.
            """, native: "A chip with three counters of 1.193182 MHz.",
            others: "Xen: VCPUOP_set_singleshot_timer. PVM: the local APIC's timer, in KVM."),
        chip(
            ["0x70", "0x71", "RTC", "CMOS"], "the clock of the wall",
            "An index at 0x70, the register at 0x71: seconds to centuries in BCD, and an update-in-progress bit.",
            native: "An MC146818 with a battery.",
            others: "Xen: the wall clock is in the shared page. PVM: kvm-clock."),
        chip(
            (0x3F8...0x3FF).map { "0x" + String($0, radix: 16) } + ["16550", "ttyS0", "UART"],
            "the serial port",
            """
            A 16550: data at 0x3F8, interrupt enable, identification and FIFO control, line and modem control, line and modem \
            status behind it. Bytes that arrive while the guest looks elsewhere wait; there is no baud rate to wait for.
            """, native: "A shift register clocked at 115200 baud.",
            others: "Xen: a ring of characters (hvc). PVM: as in KVM."),
        chip(
            ["0x600", "0x602", "0x604", "PM1", "ACPI"], "switching off",
            """
            ACPI's fixed registers: status with the power button at 0x600, its enable bits at 0x602, control at 0x604. SLP_TYP 5 with \
            SLP_EN there ends the guest; the tables in memory say so.
            """, native: "The chipset's power management.",
            others: "Xen: SCHEDOP_shutdown. PVM: as in KVM."),
        chip(
            ["0xcf9", "0x92", "reset control"], "reset",
            """
            Value 6 at 0xCF9, or bit 0 at port 0x92: the guest starts again, or lguest ends with --no-reboot. Command 0xFE at port \
            0x64 means the same.
            """, native: "The chipset pulls the processor's reset line.",
            others: "Xen: SCHEDOP_shutdown with the reason 'reboot'."),
        chip(
            [
                "0xfee00000", "local APIC", "APIC", "LAPIC", "end_of_interrupt", "task_priority",
                "initial_count",
            ],
            "the processor's own interrupt controller and timer",
            """
            One page of registers: task priority at 0x80, end of interrupt at 0xB0, the in-service and request bits, the \
            timer's entry at 0x320. The timer may wait for a value of the time-stamp counter (MSR 0x6E0), so that a tick costs \
            one register write.
            """, native: "Part of each processor; fast where it is virtualized in hardware.",
            others: "Xen: event channels. PVM: KVM's emulation, one exit for each access."),
        chip(
            ["0xfec00000", "I/O APIC", "IOAPIC"], "where devices' interrupts go",
            """
            An index at 0xFEC00000, the register at 0xFEC00010: 24 entries with vector, trigger and mask, one for each input. \
            PCI devices are on inputs 16 to 23, level-triggered.
            """, native: "A part of the chipset that sends messages to the local APICs.",
            others: "Xen: PHYSDEVOP calls. PVM: as in KVM."),
        chip(
            ["kvm-clock", "pvclock", "0x4b564d00", "0x4b564d01"], "the time in the guest's memory",
            """
            A stock kernel gives the address of a page by MSR 0x4B564D01 (the wall clock's by 0x4B564D00) and then computes the time \
            from the time-stamp counter and what stands there. Ours counts nanoseconds, so the page is written once.
            """, native: "HPET, the ACPI timer or the counter itself, measured at boot.",
            others: "KVM, Xen and PVM all have this structure."),
    ]
}

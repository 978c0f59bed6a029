// SPDX-License-Identifier: Apache-2.0
//
// `mem`, `pci`, `cpuid`: what kind of machine this is.
import Machine

enum MachineCommands {
    static func memory() {
        let image = VirtualAddress(value: image_start_address())
        let imageEnd = VirtualAddress(value: image_end_address())
        let memory = UInt32(truncatingIfNeeded: BootParameters.memorySize >> 20)
        let seen = PageFrames.end.value >> 20
        say("memory       \(memory) MiB at physical 0, \(seen) MiB of it seen at \(hex: UInt32(PAGE_OFFSET))")
        say("kernel       physical \(hex: image.physical.value) to \(hex: imageEnd.physical.value)")
        say("shared page  physical \(hex: SharedPage.physicalAddress.value)")
        say("pages        \(PageFrames.used) used, \(PageFrames.available) free")
        let root = AddressSpace.current.root.value
        say("page tables  \(PagingMode.current.name), root at physical \(hex: root)")
        let reserved = SharedPage.reservedBytes >> 10
        say("reserved     \(reserved) KiB at the top of the address space, by the hypervisor")
        if BootParameters.ramdiskSize != 0 {
            let address = BootParameters.ramdiskAddress
            say("ramdisk      \(BootParameters.ramdiskSize) bytes at physical \(hex: address)")
        }
        say("command line \(BootParameters.commandLine)")
    }

    static func devices() {
        for slot in 0..<UInt32(32) {
            if slot == 0, PCI.read16(0, 0x0A) == 0x0600 { say("slot 0: host bridge") }
            guard let device = PCIDevice(slot: slot) else { continue }
            let identity: Text = "slot \(slot): \(hex: UInt32(device.vendor)):\(hex: UInt32(device.device))"
            let place: Text = "registers at physical \(hex: device.baseAddress.value)"
            say("\(identity) \(kind(device.device)), \(place), IRQ \(UInt32(device.interruptLine))")
        }
    }

    private static func kind(_ device: UInt16) -> StaticString {
        switch device {
        case 0x1041: "virtio network"
        case 0x1042: "virtio disk"
        case 0x1043: "virtio console"
        case 0x1044: "virtio entropy"
        case 0x1049: "virtio 9p"
        default: "unknown"
        }
    }

    static func processor() {
        let vendor = instruction_cpuid(0)
        var name = Text()
        appendLetters(vendor.ebx, to: &name)
        appendLetters(vendor.edx, to: &name)
        appendLetters(vendor.ecx, to: &name)
        say("vendor      \(name), leaves up to \(vendor.eax)")
        let features = instruction_cpuid(1)
        let family = features.eax >> 8 & 0xF
        say("processor   family \(family), model \(features.eax >> 4 & 0xF), stepping \(features.eax & 0xF)")
        var list = Text()
        ProcessorFeature.forEach { bit, name in
            if features.edx & 1 << bit != 0 { list.append("\(name) ") }
        }
        say("features    \(list)")
        let hypervisor: StaticString = features.ecx & 1 << 31 != 0 ? "yes, it says so" : "it does not say so"
        say("hypervisor  \(hypervisor)")
        say("rings       kernel at \(instruction_code_segment() & 3), programs at 3")
    }

    private static func appendLetters(_ word: UInt32, to text: inout Text) {
        for byte in 0..<UInt32(4) { text.append(UInt8(truncatingIfNeeded: word >> (byte * 8))) }
    }
}

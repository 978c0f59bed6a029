// SPDX-License-Identifier: Apache-2.0
//
// Memory as the processor uses it: accesses that cross pages, instructions that are interrupted by a fault
// half-way and tried again, code that changes. A hypervisor that translates code has to get these right by
// effort.
import Machine

enum MemoryChecks {
    private static let window = KernelMap.testWindow
    private static let secondPage = KernelMap.testWindow + 0x1000

    static func run() {
        AddressSpace.kernel.activate()
        let pageA = PageFrames.allocate()
        let pageB = PageFrames.allocate()
        crossing(pageA, pageB)
        strings(pageA, pageB)
        demand()
        code(pageA, pageB)
        PageFrames.free(pageA)
        PageFrames.free(pageB)
    }

    private static func crossing(_ pageA: PhysicalAddress, _ pageB: PhysicalAddress) {
        let space = AddressSpace.kernel
        space.map(window, to: pageA, .kernelPage)
        space.map(secondPage, to: pageB, .kernelPage)
        let edge = window + 0xFFE
        Check.result("memory/write-across-pages", Probe.run(probe_write, edge.value, 0x4433_2211), edge.value)
        Check.equal("memory/write-across-pages-low", Memory.read32(pageA + 0xFFC) >> 16, 0x2211)
        Check.equal("memory/write-across-pages-high", Memory.read32(pageB) & 0xFFFF, 0x4433)
        Check.result("memory/read-across-pages", Probe.run(probe_read, edge.value), 0x4433_2211)

        // The second half is not allowed: the whole write must not happen.
        space.map(secondPage, to: pageB, .present)
        let half = Probe.run(probe_write, edge.value, 0x8877_6655)
        Check.pageFault("memory/write-into-read-only-page", half, error: 3, address: secondPage)
        Check.equal("memory/no-half-writes", Memory.read32(pageA + 0xFFC) >> 16, 0x2211)
        space.unmap(secondPage)
        let missing = Probe.run(probe_read, edge.value)
        Check.pageFault("memory/read-into-missing-page", missing, error: 0, address: secondPage)
        space.unmap(window)
    }

    /// 64 bytes, of which 24 fit before the missing page: the registers must tell exactly how far it got.
    private static func strings(_ pageA: PhysicalAddress, _ pageB: PhysicalAddress) {
        let space = AddressSpace.kernel
        space.map(window, to: pageA, .kernelPage)
        let source = Scratch.page + 0x800
        for word in 0..<UInt32(16) { Memory.write32(source + word * 4, 0xC0DE_0000 | word) }
        let target = secondPage.value - 24
        let stopped = Probe.run(probe_copy_up, source.value, target)
        Check.pageFault("memory/string-copy-faults", stopped, error: 2, address: secondPage)
        Check.equal("memory/string-copy-count-left", stopped.trap.ecx, 40)
        Check.equal("memory/string-copy-source", stopped.trap.esi, source.value + 24)
        Check.equal("memory/string-copy-target", stopped.trap.edi, secondPage.value)
        Check.equal("memory/string-copy-at-the-instruction", stopped.trap.eip, probe_copy_up.at)

        // Now the page comes on demand, and the copy goes on where it was.
        DemandPaging.with(secondPage, pages: 1) {
            let finished = Probe.run(probe_copy_up, source.value, target)
            Check.result("memory/string-copy-resumes", finished, 0)
            var right = DemandPaging.faults == 1
            for word in 0..<UInt32(16) {
                right = right && Memory.read32(VirtualAddress(value: target + word * 4)) == 0xC0DE_0000 | word
            }
            Check.that("memory/string-copy-complete", right, "\(DemandPaging.faults) faults")
        }
        space.unmap(window)
    }

    private static func demand() {
        DemandPaging.with(window, pages: 100) {
            var sum: UInt32 = 0
            for page in 0..<UInt32(100) { Memory.write32(window + page * 4096 + page * 4, page) }
            for page in 0..<UInt32(100) { sum += Memory.read32(window + page * 4096 + page * 4) }
            Check.equal("memory/demand-paging-content", sum, 4950)
            Check.equal("memory/demand-paging-faults", DemandPaging.faults, 100)
        }
        Check.pageFault(
            "memory/demand-paging-undone", Probe.run(probe_read, window.value), error: 0, address: window)
    }

    /// `mov $number, %eax; ret`, six bytes.
    private static func writeCode(_ page: PhysicalAddress, _ number: UInt32) {
        Memory.write8(page.inKernel, 0xB8)
        Memory.write32(page.inKernel + 1, number)
        Memory.write8(page.inKernel + 5, 0xC3)
    }

    /// Code that changes, by a write through another address, by a write through its own, and by remapping.
    private static func code(_ pageA: PhysicalAddress, _ pageB: PhysicalAddress) {
        let space = AddressSpace.kernel
        space.map(window, to: pageA, .kernelPage)
        writeCode(pageA, 0x1111)
        writeCode(pageB, 0x2222)
        Check.result("memory/new-code-runs", Probe.run(probe_call, window.value), 0x1111)

        Memory.write32(pageA.inKernel + 1, 0x3333)
        Check.result("memory/code-changed-by-alias", Probe.run(probe_call, window.value), 0x3333)
        var right = true
        for round in 0..<UInt32(300) {
            Memory.write32((round & 1 == 0 ? pageA.inKernel : window) + 1, round)
            let outcome = Probe.run(probe_call, window.value)
            right = right && !outcome.trapped && outcome.value == round
        }
        Check.that("memory/code-changed-often", right)

        space.map(window, to: pageB, .kernelPage)
        Check.result("memory/code-remapped", Probe.run(probe_call, window.value), 0x2222)
        space.map(window, to: pageA, .kernelPage)
        Check.result("memory/code-remapped-back", Probe.run(probe_call, window.value), 299)
        space.unmap(window)
        let gone = Probe.run(probe_call, window.value)
        Check.pageFault("memory/code-unmapped", gone, error: 0, address: window)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The engine that turns guest code into the host's machine code. Its run loop finds or translates the block
// at EIP, enters it, and looks at why generated code came back; most of the time it does not, since blocks
// jump to each other.

import CHost
import GuestMemory
import Support
import X86

public final class Translator: Engine {
    /// Bytes of generated code after which all of it is dropped.
    public static let defaultCodeBytes = 32 << 20
    /// Room that the largest block may need.
    static let blockRoom = 48 << 10
    static let maximumInstructions = 64

    let cpu: CPU
    let cache: TranslationCache
    let layout = StateLayout()
    let thunks: Thunks
    let windows: WindowPolicy
    let stack: CodeStack
    /// What the signal handler looks at; lives as long as the engine.
    private let faultTable: UnsafeMutablePointer<lguest_fault_table>
    private let emitter: BlockEmitter
    @exclusivity(unchecked) private var split = SplitCache()
    @exclusivity(unchecked) private var decoded: [Instruction] = []
    @exclusivity(unchecked) var pendingExit = Exit.budget
    @exclusivity(unchecked) private var lastForgotten: UInt64 = 0
    /// The instruction at EIP is to be carried out by itself.
    @exclusivity(unchecked) var wantsSingle = false
    /// Jumps between blocks are patched; lockstep runs without.
    var connects = true {
        didSet {
            cache.usesTable = connects
            // Repeated instructions are to be interrupted where the processor core interrupts them.
            if !connects { emitter.repeatLimit = Int32(CPU.stringBurst) }
        }
    }
    /// How often the processor core was asked, by operation.
    @exclusivity(unchecked) var helperCounts = [UInt64](repeating: 0, count: Operation.allCases.count)
    @exclusivity(unchecked) var slowAccesses: UInt64 = 0
    /// Whom to ask before leaving generated code.
    @exclusivity(unchecked) public var edge: (any EdgeHandler)?
    /// Part of the budget that was taken away to get control soon.
    @exclusivity(unchecked) private var budgetCut: Int64 = 0
    /// Exits that the edge has dealt with.
    @exclusivity(unchecked) var edgeCounts = ExitCounts()
    /// Told of each block that is translated.
    @exclusivity(unchecked) var codeListener: ((TranslatedCode) -> Void)?
    @exclusivity(unchecked) private var exitCounts = [UInt64](repeating: 0, count: 8)

    /// An engine for the one processor that `storage` owns. Throws where the host denies memory for code.
    public init(
        memory: GuestMemory, storage: CPUStorage, codeBytes: Int = Translator.defaultCodeBytes,
        windows use: WindowUse = .whenEarned
    ) throws(HostDenial) {
        cpu = storage.cpu
        cache = try TranslationCache(memory: memory, codeBytes: max(codeBytes, 4 * Translator.blockRoom))
        // The state pointer of generated code: its low five bits are 12, so that it serves as the count of
        // shifts by the page size.
        let address = Int(bitPattern: cpu.stateAddress)
        let bias = 128 + (12 - (address + 128) & 31) & 31
        let hasBMI2 = lguest_host_has_bmi2() != 0
        windows = WindowPolicy(memory: memory, tables: storage.tables, use: use)
        thunks = Thunks(
            cache.code, layout: layout, bias: bias, calls: .all, hasBMI2: hasBMI2,
            hasWindows: windows.isAvailable)
        emitter = BlockEmitter(cache: cache, thunks: thunks, layout: layout, bias: bias, hasBMI2: hasBMI2)
        stack = try CodeStack(reset: cache.code.address(thunks.returnReset))
        faultTable = .allocate(capacity: 1)
        faultTable.initialize(
            to: lguest_fault_table(
                code: UInt(bitPattern: cache.code.executable), code_bytes: cache.code.size, sites: nil,
                count: 0,
                faults: 0, stack_guard: stack.guardPage, stack_base: stack.base))
    }

    deinit {
        windows.detach()
        _ = lguest_fault_table_use(nil)
        // SAFETY: allocated in `init`; no thread uses it any more.
        faultTable.deallocate()
    }

    /// Whether the blocks that run are not of the right kind any more.
    @inline(__always)
    var hasWrongBlocks: Bool {
        switch cache.path {
        case .flat: false
        case .window: cpu.system.translator.window != cpu.wantedWindow
        case .direct: wantedPath != .direct
        }
    }

    /// Makes generated code come back where it looks at the budget next. That may be behind the access for which it is
    /// here, in the same block, which has taken its instructions off already: nothing would be enough for it, again and
    /// again in a loop.
    func cutBudget() {
        budgetCut += cpu.system.translator.budget + 1
        cpu.system.translator.budget = -1
    }

    /// Pages that generated code reaches through the direct window, and code that is not being written, need no second
    /// view; each view counts as memory of the process.
    private func forgetSecondViews() {
        lastForgotten = cpu.instructions
        guard windows.direct.isOpen else { return }
        cache.memory.forgetMappedPages()
        cache.code.forgetMappedPages()
    }

    /// Some half a second.
    private static let instructionsPerForgetting: UInt64 = 1 << 28

    /// Tells the signal handler where instructions may fault.
    private func shareSites() {
        faultTable.pointee.sites = cache.sites.elements
        faultTable.pointee.count = cache.sites.count
    }

    public var counters: EngineCounters { cache.counters }

    public var details: [CounterReading] {
        let names = [
            "next block", "indirect jump", "budget", "event", "go on", "page moved", "bytes changed",
            "first indirect jump",
        ]
        let used = zip(Operation.allCases, helperCounts).filter { $0.1 > 0 }.sorted { $0.1 > $1.1 }
        return [
            CounterReading(.codeBytes, UInt64(cache.code.bytesUsed)),
            CounterReading(.codeCapacity, UInt64(cache.code.bytesUsed + cache.code.room)),
            CounterReading(.slowAccesses, slowAccesses),
            CounterReading(.windowsOpened, windows.created),
            CounterReading(.windowsDropped, windows.dropped),
            CounterReading(.windowPagesMapped, windows.pagesMapped),
            CounterReading(.windowPagesUnmapped, windows.pagesUnmapped),
            CounterReading(.directPagesMapped, windows.direct.pagesMapped),
            CounterReading(.directPagesUnmapped, windows.direct.pagesUnmapped),
            CounterReading(.windowFaults, faultTable.pointee.faults),
        ] + crossingReadings + edgeCounts.readings(.handledInCode)
            + zip(names, exitCounts).map { CounterReading(.leftCode, label: $0, $1) }
            + used.map { CounterReading(.byTheCore, label: $0.0.rawValue, $0.1) }
    }

    public func flushCode() { cache.empty() }

    public func run(_ cpu: CPU, budget: UInt64) -> Exit {
        let limit = cpu.instructions &+ budget
        // SAFETY: `self` and the jump table outlive this call.
        cpu.system.translator.context = UInt(bitPattern: Unmanaged.passUnretained(self).toOpaque())
        let bounce = UInt(bitPattern: cpu.stateAddress) &+ UInt(layout.bounce)
        cpu.system.translator.bounceAddress = (bounce &+ 15) & ~15
        cpu.system.translator.transferArea = UInt(bitPattern: cache.code.transferArea)
        cpu.system.translator.jumps = UInt(bitPattern: cache.code.jumpTable(cache.path))
        cpu.system.translator.flagImage = cpu.flagImage
        defer {
            cpu.setFlagImage(cpu.system.translator.flagImage)
            if cpu.cpl == 3 { windows.noteUserCode(cpu.instructions &- limit &+ budget) }
            _ = lguest_fault_table_use(nil)
        }
        windows.settle(cpu)
        if cpu.instructions &- lastForgotten > Translator.instructionsPerForgetting { forgetSecondViews() }
        resetCodeStack()
        if lguest_fault_table_use(faultTable) != 0 { windows.isAvailable = false }
        /// Link to patch when its target is known, and the cache's generation that it belongs to.
        var wanted = -1
        while true {
            if cpu.attention != 0 {
                cpu.setFlagImage(cpu.system.translator.flagImage)
                defer { cpu.system.translator.flagImage = cpu.flagImage }
                if let exit = attend() { return exit }
                wanted = -1
            }
            if cpu.instructions >= limit { return .budget }
            if wantsSingle {
                // An operand runs over the end of the address space: by the book.
                wantsSingle = false
                wanted = -1
                cpu.setFlagImage(cpu.system.translator.flagImage)
                defer { cpu.system.translator.flagImage = cpu.flagImage }
                if let exit = single() { return exit }
                continue
            }
            selectBlocks()
            let generation = cache.generation
            let flagsInHost = wanted >= 0 && connects && !cache.links[wanted].flagsSaved
            guard let number = locate(flagsInHost) else {
                wanted = -1
                cpu.setFlagImage(cpu.system.translator.flagImage)
                defer { cpu.system.translator.flagImage = cpu.flagImage }
                if let exit = single() { return exit }
                continue
            }
            if wanted >= 0 && connects && generation == cache.generation { cache.connect(wanted, to: number) }
            wanted = -1
            enter(number, limit)
            switch cpu.system.translator.exitReason {
            case ExitReason.link:
                wanted = Int(cpu.system.translator.exitLink)
                cpu.eip = cache.links[wanted].target
            case ExitReason.firstIndirect:
                wanted = Int(cpu.system.translator.exitLink)
                cache.links[wanted].target = cpu.eip
            case ExitReason.event: return pendingExit
            case ExitReason.stale:
                let host = cpu.executeEntry(cpu.eip)
                if host != 0 { cache.dropStale(cpu.eip, pageEntry: host &- UInt(cpu.eip)) }
            case ExitReason.moved:
                cpu.setFlagImage(cpu.system.translator.flagImage)
                defer { cpu.system.translator.flagImage = cpu.flagImage }
                if let exit = singleIfMoved() { return exit }
            default: break
            }
        }
    }

    /// The instructions of the block at EIP, or nil where there is none (yet).
    func preview(_ cpu: CPU) -> [Instruction]? {
        guard cpu.mode == .flat32, let host = try? cpu.codeAddress(cpu.eip) else { return nil }
        decode(host)
        return decoded.isEmpty ? nil : decoded
    }

    /// Runs generated code from block `number` on.
    private func enter(_ number: Int, _ limit: UInt64) {
        let before = Int64(limit &- cpu.instructions) &+ 63
        shareSites()
        if (cpu.cpl == 3) == (cpu.system.translator.crossing.onKernelStack != 0) { resetCodeStack() }
        budgetCut = 0
        cpu.system.translator.budget = before
        cache.code.enter(
            thunk: thunks.enter, state: cpu.stateAddress,
            code: cache.code.address(Int(cache.blocks[number].savedEntry)))
        followPath()
        cpu.instructions &+= UInt64(bitPattern: before &- budgetCut &- cpu.system.translator.budget)
        exitCounts[Int(cpu.system.translator.exitReason)] += 1
    }

    /// The block at EIP, translated if need be; nil where there is none and a single step has to do.
    @inline(__always)
    private func locate(_ flagsInHost: Bool = false) -> Int? {
        guard cpu.mode == .flat32 else { return nil }
        let host = cpu.executeEntry(cpu.eip)
        if host != 0, let found = cache.find(cpu.eip, pageEntry: host &- UInt(cpu.eip)) { return found }
        return translate(flagsInHost)
    }

    @inline(never)
    private func translate(_ flagsInHost: Bool) -> Int? {
        guard let host = try? cpu.codeAddress(cpu.eip) else { return nil }
        let pageEntry = host &- UInt(cpu.eip)
        if let found = cache.find(cpu.eip, pageEntry: pageEntry) { return found }
        if cache.code.room < Translator.blockRoom { cache.empty() }
        decode(host)
        emitter.comparesDescriptors = !cpu.system.usesPrivateGDT
        guard !decoded.isEmpty else { return translateSplit(host) }
        return add(emitter.emit(decoded, eip: cpu.eip, host: host, flagsInHost: flagsInHost), host)
    }

    private func add(_ block: TranslatedBlock, _ host: UInt) -> Int {
        cache.counters.instructionsDecoded += UInt64(decoded.count)
        let number = cache.add(block)
        if let codeListener {
            let start = Int(min(block.savedEntry, block.liveEntry))
            codeListener(
                TranslatedCode(
                    address: cache.code.address(start), byteCount: cache.code.top - start,
                    place: .block(eip: block.eip, isUser: cpu.cpl == 3)))
        }
        if !cache.checksItself(host) { cpu.protectCode(host: host) }
        return number
    }

    /// An instruction that goes on in the next page is a block of its own, which looks first whether that page is
    /// still the same.
    private func translateSplit(_ host: UInt) -> Int? {
        guard let i = try? cpu.fetch() else { return nil }
        let next = (cpu.eip | 0xFFF) &+ 1
        guard cpu.eip &+ UInt32(i.length) > next || next == 0,
            next != 0, let second = try? cpu.codeAddress(next), !cache.checksItself(host),
            !cache.checksItself(second)
        else { return nil }
        decoded = [i]
        let block = emitter.emit(decoded, eip: cpu.eip, host: host, secondPage: second &- UInt(next))
        let number = add(block, host)
        cache.addTail(of: number, host: second, byteCount: Int(cpu.eip &+ UInt32(i.length) &- next))
        cpu.protectCode(host: second)
        return number
    }

    /// After a block of a split instruction has found its second page elsewhere: one step without a block,
    /// unless the page was only missing from the table.
    private func singleIfMoved() -> Exit? {
        let next = (cpu.eip | 0xFFF) &+ 1
        if let second = try? cpu.codeAddress(next), let number = locate(),
            cache.blocks[number].tail >= 0,
            cache.blocks[Int(cache.blocks[number].tail)].host == second
        {
            return nil
        }
        return single()
    }

    /// Decodes from `host` to the first instruction that ends a block, the end of the page or the limit.
    private func decode(_ host: UInt) {
        decoded.removeAll(keepingCapacity: true)
        let decoder = Decoder(code32: true)
        let end = (host | 0xFFF) + 1
        var cursor = host
        // A block that checks its bytes does so at its beginning only.
        let checksItself = cache.checksItself(host)
        while decoded.count < (checksItself ? 8 : Translator.maximumInstructions) {
            guard let i = decoder.decode(at: cursor, end: end) else { break }
            decoded.append(i)
            cursor += UInt(i.length)
            if checksItself && NativeSupport.mayWrite(i) { break }
            if cursor == end || NativeSupport.endsBlock(i) && !NativeSupport.isSideExit(i) { break }
        }
    }

    /// Carries out one instruction wherever its bytes are.
    @inline(never)
    private func single() -> Exit? {
        cache.counters.singleSteps += 1
        cpu.system.wrapsAround = true
        defer { cpu.system.wrapsAround = false }
        do throws(Fault) {
            let i = try fetch()
            let outcome = try cpu.execute(i)
            cpu.instructions &+= 1
            return Interpreter.exit(outcome)
        } catch {
            return .exception(error)
        }
    }

    private func fetch() throws(Fault) -> Instruction {
        guard cpu.mode.contains(.flatCode) else { return try cpu.fetch() }
        if let known = try split.find(cpu) { return known }
        let i = try cpu.fetch()
        try split.insert(i, cpu)
        return i
    }

    /// Deals with `cpu.attention` between two blocks; nil to go on.
    @inline(never)
    private func attend() -> Exit? { Attending.attend(cpu, single: single) }
}

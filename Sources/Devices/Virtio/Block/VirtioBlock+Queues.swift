// SPDX-License-Identifier: Apache-2.0
//
// From requests to the disk and back. Several are in flight at a time, and each goes back to the driver
// when it is done, in whatever order.

extension VirtioBlock {
    /// Starts everything that the driver has offered.
    func takeRequests() {
        guard let activation, let queue = activation.queue(0) else { return }
        while let chain = queue.pop() {
            guard let request = BlockRequest(chain, queue.memory, activation.dialect) else {
                return queue.driverIsBroken(
                    .badRequest(head: chain.head, "no room for a header and a status"))
            }
            start(request, queue)
        }
        queue.notifyDriver()
    }

    private func start(_ request: BlockRequest, _ queue: Virtqueue) {
        let operations: [DiskOperation]
        switch request.kind {
        case .unsupported:
            return finish(request, .unsupported, queue)
        case .identify:
            HostBuffers(queue.memory, request.data).store(serial[...])
            return finish(request, .ok, queue)
        default:
            guard let list = operationsOf(request, queue) else { return finish(request, .failed, queue) }
            operations = list
        }
        if request.kind == .read { request.data.announceWrite(to: queue.memory) }
        if request.isBarrier || operations.count != 1 {
            return performAlone(request, operations, queue)
        }
        nextToken += 1
        switch disk.submit(operations[0], token: nextToken) {
        case .done(let failure): finish(request, failure == nil ? .ok : .failed, queue)
        case .pending: pending[nextToken] = request
        }
    }

    /// Barriers of old drivers, and requests of several ranges: rare enough to be waited for.
    private func performAlone(_ request: BlockRequest, _ operations: [DiskOperation], _ queue: Virtqueue) {
        var list = operations
        if request.isBarrier { list = [.flush] + list + [.flush] }
        let failed = list.contains { disk.performAlone($0) != nil }
        finish(request, failed ? .failed : .ok, queue)
    }

    /// What the disk has to do; nil when the request asks for what is not there or not allowed.
    private func operationsOf(_ request: BlockRequest, _ queue: Virtqueue) -> [DiskOperation]? {
        switch request.kind {
        case .read, .write:
            let count = UInt64(request.dataLength)
            guard count % Self.sector == 0, covers(request.sector, count / Self.sector) else { return nil }
            if count == 0 { return [] }
            let buffers = HostBuffers(queue.memory, request.data)
            let offset = request.sector * Self.sector
            if request.kind == .read { return [.read(offset: offset, buffers)] }
            return disk.image.isReadOnly ? nil : [.write(offset: offset, buffers)]
        case .flush:
            return [.flush]
        case .discard, .writeZeroes:
            return disk.image.isReadOnly ? nil : rangeOperations(request, queue)
        default:
            return nil
        }
    }

    /// Discard and write-zeroes carry ranges: u64 sector, u32 count, u32 flags (bit 0: may unmap).
    private func rangeOperations(_ request: BlockRequest, _ queue: Virtqueue) -> [DiskOperation]? {
        let entry = 16
        guard request.dataLength > 0, request.dataLength % entry == 0,
            request.dataLength / entry <= Int(Self.discardSegments)
        else { return nil }
        let bytes = HostBuffers(queue.memory, request.data).bytes
        var list: [DiskOperation] = []
        for at in stride(from: 0, to: bytes.count, by: entry) {
            let sector = bytes.littleEndian(at: at, width: 8)
            let count = bytes.littleEndian(at: at + 8, width: 4)
            let flags = bytes.littleEndian(at: at + 12, width: 4)
            let isDiscard = request.kind == .discard
            guard count <= UInt64(Self.discardLimit), covers(sector, count),
                flags & ~(isDiscard ? 0 : 1) == 0
            else { return nil }
            let (offset, length) = (sector * Self.sector, count * Self.sector)
            list.append(
                isDiscard
                    ? .discard(offset: offset, count: length)
                    : .writeZeros(offset: offset, count: length, mayDiscard: flags & 1 != 0))
        }
        return list
    }

    private func covers(_ sector: UInt64, _ count: UInt64) -> Bool {
        sector <= sectorCount && count <= sectorCount - sector
    }

    /// The disk is done with some requests.
    func completed(_ done: [(token: UInt64, failure: DiskFailure?)]) {
        guard let queue = activation?.queue(0) else { return }
        for (token, failure) in done {
            guard let request = pending.removeValue(forKey: token) else { continue }
            finish(request, failure == nil ? .ok : .failed, queue)
        }
        queue.notifyDriver()
    }

    /// Writes the status byte, which is the last of the chain, and gives the chain back.
    private func finish(_ request: BlockRequest, _ status: BlockRequest.Status, _ queue: Virtqueue) {
        let chain = request.chain
        let hasData = status == .ok && (request.kind == .read || request.kind == .identify)
        // Again: what the driver decoded of the page meanwhile is old.
        if request.kind == .read { request.data.announceWrite(to: queue.memory) }
        if queue.isLive {
            let place = chain.writable.slice(Int(chain.writableLength) - 1, 1)
            place.announceWrite(to: queue.memory)
            HostBuffers(queue.memory, place).store([status.rawValue])
        }
        queue.push(chain, written: hasData ? chain.writableLength : 1)
    }
}

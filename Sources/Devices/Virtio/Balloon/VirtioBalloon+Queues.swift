// SPDX-License-Identifier: Apache-2.0
//
// Lists of page numbers, 32 bits each: lent or taken back. A lent page's memory goes back to the host; it
// reads as zeros afterwards, and the host provides it anew when the guest touches it.

extension VirtioBalloon {
    func takePages(_ index: Int, areLent: Bool) {
        guard let queue = activation?.queue(index) else { return }
        while let chain = queue.pop() {
            guard chain.writable.isEmpty, chain.readableLength % 4 == 0 else {
                return queue.driverIsBroken(.badRequest(head: chain.head, "no list of pages"))
            }
            if areLent {
                queue.forEachReadablePiece(of: chain) { lend($0, queue) }
            }
            queue.push(chain, written: 0)
        }
        queue.notifyDriver()
    }

    /// Neighbours go back in one call: drivers hand out pages downwards as often as upwards.
    private func lend(_ list: [UInt8], _ queue: Virtqueue) {
        var pages: [UInt64] = []
        for at in stride(from: 0, to: list.count - 3, by: 4) {
            let page = list.littleEndian(at: at, width: 4)
            // What is not RAM is not ours to give.
            if page < UInt64(queue.memory.pageCount) { pages.append(page) }
        }
        pages.sort()
        var start = 0
        while start < pages.count {
            var end = start + 1
            while end < pages.count, pages[end] <= pages[end - 1] + 1 { end += 1 }
            let count = pages[end - 1] - pages[start] + 1
            if queue.memory.discardPages(first: pages[start], count: count) { discardedPages += count }
            start = end
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// A growing list of plain values that is emptied as a whole: an array without reference counting and
// copying, since generated code's functions look into it millions of times a second.

struct Arena<Element: BitwiseCopyable> {
    private var base: UnsafeMutablePointer<Element>
    private var capacity: Int
    private(set) var count = 0

    init(capacity: Int = 1024) {
        self.capacity = capacity
        base = .allocate(capacity: capacity)
    }

    /// To be called once, by the owner's `deinit`.
    func free() {
        // SAFETY: allocated in `init` or `append`; elements are trivial.
        base.deallocate()
    }

    mutating func append(_ element: Element) {
        if count == capacity {
            let grown = UnsafeMutablePointer<Element>.allocate(capacity: capacity * 2)
            // SAFETY: both blocks hold at least `count` elements and do not overlap.
            grown.update(from: base, count: count)
            base.deallocate()
            base = grown
            capacity *= 2
        }
        (base + count).initialize(to: element)
        count += 1
    }

    /// Where the elements are until the next `append`.
    var elements: UnsafePointer<Element> { UnsafePointer(base) }

    mutating func removeAll() { count = 0 }

    subscript(_ index: Int) -> Element {
        // SAFETY: the index is checked against the initialised elements.
        @inline(__always) unsafeAddress {
            precondition(index >= 0 && index < count)
            return UnsafePointer(base + index)
        }
        @inline(__always) nonmutating unsafeMutableAddress {
            precondition(index >= 0 && index < count)
            return base + index
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// What a terminal would show of the guest's output: the text of its cells, without colours. It follows the
// control sequences that Linux programs send to a "linux" or "xterm" terminal (ECMA-48, and DEC's VT100 and VT220
// where that says nothing).

/// A screen of characters. Positions count from 0.
public final class TerminalScreen {
    public let columns: Int
    public let rows: Int
    var cells: [[Unicode.Scalar]]
    public var row = 0
    public var column = 0
    /// The last column is written, and the next character goes to the next line.
    var wrapsNext = false
    /// The lines that scroll, last one excluded.
    var region: Range<Int>
    var saved = (row: 0, column: 0)
    private var parser = ControlParser()
    private static let tabWidth = 8

    public init(columns: Int = 80, rows: Int = 25) {
        self.columns = min(max(columns, 1), 1000)
        self.rows = min(max(rows, 1), 1000)
        region = 0..<self.rows
        cells = Array(repeating: Array(repeating: " ", count: self.columns), count: self.rows)
    }

    /// The lines from the top, without blanks at their ends.
    public var lines: [String] {
        cells.map { line in
            let end = line.lastIndex { $0 != " " }.map { $0 + 1 } ?? 0
            return String(String.UnicodeScalarView(line[..<end]))
        }
    }

    /// Takes over what the guest has written.
    public func write(_ bytes: some Sequence<UInt8>) {
        for byte in bytes {
            switch parser.take(byte) {
            case nil: break
            case .character(let scalar): put(scalar)
            case .control(let code): control(code)
            case .escape(let final): escape(final)
            case .sequence(let sequence): carryOut(sequence)
            }
        }
    }

    private func put(_ scalar: Unicode.Scalar) {
        if wrapsNext {
            column = 0
            lineFeed()
        }
        cells[row][column] = scalar
        if column + 1 < columns {
            column += 1
            wrapsNext = false
        } else {
            wrapsNext = true
        }
    }

    private func control(_ code: UInt8) {
        switch code {
        case 0x08: column = max(0, column - 1)
        case 0x09: column = min(columns - 1, (column / Self.tabWidth + 1) * Self.tabWidth)
        case 0x0A:
            // As on the host's terminal, whose output processing lguest leaves on.
            column = 0
            lineFeed()
            return
        case 0x0B, 0x0C:
            lineFeed()
            return
        case 0x0D: column = 0
        default: return
        }
        wrapsNext = false
    }

    func lineFeed() {
        wrapsNext = false
        if row + 1 == region.upperBound {
            scrollUp(from: region.lowerBound, 1)
        } else if row + 1 < rows {
            row += 1
        }
    }

    private func escape(_ final: UInt8) {
        switch final {
        case UInt8(ascii: "7"): saved = (row, column)
        case UInt8(ascii: "8"): moveTo(saved.row, saved.column)
        case UInt8(ascii: "D"): lineFeed()
        case UInt8(ascii: "E"):
            column = 0
            lineFeed()
        case UInt8(ascii: "M"):
            if row == region.lowerBound { scrollDown(from: row, 1) } else { row = max(0, row - 1) }
            wrapsNext = false
        case UInt8(ascii: "c"): reset()
        default: break
        }
    }

    private func reset() {
        region = 0..<rows
        saved = (0, 0)
        erase(rows: 0..<rows)
        moveTo(0, 0)
    }

    func moveTo(_ newRow: Int, _ newColumn: Int) {
        row = min(max(newRow, 0), rows - 1)
        column = min(max(newColumn, 0), columns - 1)
        wrapsNext = false
    }

    func erase(rows range: Range<Int>) {
        for index in range { cells[index] = Array(repeating: " ", count: columns) }
    }

    func erase(columns range: Range<Int>) {
        for index in range { cells[row][index] = " " }
    }

    /// Lines leave at `top` and blank ones come in at the region's end.
    func scrollUp(from top: Int, _ count: Int) {
        guard region.contains(top) else { return }
        let count = min(count, region.upperBound - top)
        cells.removeSubrange(top..<top + count)
        let blank = Array(repeating: Array(repeating: Unicode.Scalar(" "), count: columns), count: count)
        cells.insert(contentsOf: blank, at: region.upperBound - count)
    }

    /// Blank lines come in at `top`, and lines leave at the region's end.
    func scrollDown(from top: Int, _ count: Int) {
        guard region.contains(top) else { return }
        let count = min(count, region.upperBound - top)
        cells.removeSubrange((region.upperBound - count)..<region.upperBound)
        let blank = Array(repeating: Array(repeating: Unicode.Scalar(" "), count: columns), count: count)
        cells.insert(contentsOf: blank, at: top)
    }
}

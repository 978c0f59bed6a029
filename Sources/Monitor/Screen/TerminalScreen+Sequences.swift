// SPDX-License-Identifier: Apache-2.0
//
// Control sequences, `ESC [ parameters final`: where the cursor goes, what is erased, inserted, scrolled. What changes
// only colours or modes that a text does not show is left out.

extension TerminalScreen {
    func carryOut(_ sequence: ControlSequence) {
        if sequence.marker == UInt8(ascii: "?") { return setPrivateMode(sequence) }
        guard sequence.marker == 0 else { return }
        switch sequence.final {
        case UInt8(ascii: "A"): moveTo(row - sequence.count(0), column)
        case UInt8(ascii: "B"), UInt8(ascii: "e"): moveTo(row + sequence.count(0), column)
        case UInt8(ascii: "C"), UInt8(ascii: "a"): moveTo(row, column + sequence.count(0))
        case UInt8(ascii: "D"): moveTo(row, column - sequence.count(0))
        case UInt8(ascii: "E"): moveTo(row + sequence.count(0), 0)
        case UInt8(ascii: "F"): moveTo(row - sequence.count(0), 0)
        case UInt8(ascii: "G"), UInt8(ascii: "`"): moveTo(row, sequence.count(0) - 1)
        case UInt8(ascii: "d"): moveTo(sequence.count(0) - 1, column)
        case UInt8(ascii: "H"), UInt8(ascii: "f"): moveTo(sequence.count(0) - 1, sequence.count(1) - 1)
        case UInt8(ascii: "s"): saved = (row, column)
        case UInt8(ascii: "u"): moveTo(saved.row, saved.column)
        case UInt8(ascii: "r"): setRegion(sequence)
        default: edit(sequence)
        }
    }

    private func edit(_ sequence: ControlSequence) {
        let count = sequence.count(0)
        switch sequence.final {
        case UInt8(ascii: "J"): eraseDisplay(sequence.parameter(0))
        case UInt8(ascii: "K"):
            switch sequence.parameter(0) {
            case 1: erase(columns: 0..<column + 1)
            case 2: erase(columns: 0..<columns)
            default: erase(columns: column..<columns)
            }
        case UInt8(ascii: "L"): scrollDown(from: row, count)
        case UInt8(ascii: "M"): scrollUp(from: row, count)
        case UInt8(ascii: "S"): scrollUp(from: region.lowerBound, count)
        case UInt8(ascii: "T"): scrollDown(from: region.lowerBound, count)
        case UInt8(ascii: "X"): erase(columns: column..<min(columns, column + count))
        case UInt8(ascii: "P"):
            let count = min(count, columns - column)
            cells[row].removeSubrange(column..<column + count)
            cells[row] += Array(repeating: " ", count: count)
        case UInt8(ascii: "@"):
            let count = min(count, columns - column)
            cells[row].removeLast(count)
            cells[row].insert(contentsOf: Array(repeating: " ", count: count), at: column)
        default: break
        }
    }

    private func eraseDisplay(_ what: Int) {
        switch what {
        case 1:
            erase(rows: 0..<row)
            erase(columns: 0..<column + 1)
        case 2, 3: erase(rows: 0..<rows)
        default:
            erase(columns: column..<columns)
            erase(rows: row + 1..<rows)
        }
    }

    private func setRegion(_ sequence: ControlSequence) {
        let top = sequence.count(0) - 1
        let bottom = sequence.parameter(1) == 0 ? rows : min(sequence.parameter(1), rows)
        guard top < bottom - 1 else { return }
        region = top..<bottom
        moveTo(0, 0)
    }

    /// The second screen of full-screen programs is shown on the first, blank at its beginning and end.
    private func setPrivateMode(_ sequence: ControlSequence) {
        let isSwitch = sequence.parameters.contains { [47, 1047, 1049].contains($0) }
        guard isSwitch, sequence.final == UInt8(ascii: "h") || sequence.final == UInt8(ascii: "l") else {
            return
        }
        erase(rows: 0..<rows)
        moveTo(0, 0)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// What the screen shows of what a guest writes.

import Testing

@testable import Monitor

@Suite("Screen of the console")
struct ScreenTests {
    /// The lines of a small screen after `text`.
    private func show(_ text: String, columns: Int = 10, rows: Int = 4) -> [String] {
        let screen = TerminalScreen(columns: columns, rows: rows)
        screen.write(text.utf8)
        return screen.lines
    }

    @Test("lines, tabs, backspaces, carriage returns")
    func plain() {
        #expect(show("ab\r\ncd") == ["ab", "cd", "", ""])
        #expect(show("ab\tc") == ["ab      c", "", "", ""])
        #expect(show("abc\u{8}\u{8}x") == ["axc", "", "", ""])
        #expect(show("abc\rx") == ["xbc", "", "", ""])
    }

    @Test("long lines wrap when the next character comes, not before")
    func wrapping() {
        #expect(show("0123456789\r\nx") == ["0123456789", "x", "", ""])
        #expect(show("0123456789ab") == ["0123456789", "ab", "", ""])
        #expect(show("0123456789\rx") == ["x123456789", "", "", ""])
    }

    @Test("the screen scrolls, a region too, backwards too")
    func scrolling() {
        #expect(show("1\r\n2\r\n3\r\n4\r\n5") == ["2", "3", "4", "5"])
        #expect(show("1\r\n2\r\n3\r\n4\u{1B}[2;3r\u{1B}[3;1H\nx") == ["1", "3", "x", "4"])
        #expect(show("1\r\n2\r\n3\u{1B}[H\u{1B}Mx") == ["x", "1", "2", "3"])
        #expect(show("1\r\n2\r\n3\r\n4\u{1B}[2;1H\u{1B}[2L") == ["1", "", "", "2"])
        #expect(show("1\r\n2\r\n3\r\n4\u{1B}[2;1H\u{1B}[M") == ["1", "3", "4", ""])
    }

    @Test("the cursor moves, and stays on the screen")
    func cursor() {
        #expect(show("\u{1B}[2;3Hx\u{1B}[Ay\u{1B}[99;99Hz") == ["   y", "  x", "", "         z"])
        #expect(show("a\u{1B}[99Db\u{1B}[5Gc") == ["b   c", "", "", ""])
        #expect(show("\u{1B}7abc\u{1B}8x") == ["xbc", "", "", ""])
    }

    @Test("erasing, inserting, deleting")
    func editing() {
        #expect(show("abcdef\u{1B}[3G\u{1B}[K") == ["ab", "", "", ""])
        #expect(show("abcdef\u{1B}[3G\u{1B}[1K") == ["   def", "", "", ""])
        #expect(show("abcdef\u{1B}[3G\u{1B}[2P") == ["abef", "", "", ""])
        #expect(show("abcdef\u{1B}[3G\u{1B}[2@") == ["ab  cdef", "", "", ""])
        #expect(show("ab\r\ncd\r\nef\u{1B}[2;2H\u{1B}[J") == ["ab", "c", "", ""])
        #expect(show("ab\r\ncd\u{1B}[2Jx") == ["", "  x", "", ""])
        #expect(show("\u{1B}[?1049h vi \u{1B}[?1049lsh") == ["sh", "", "", ""])
    }

    @Test("colours, titles and character sets leave nothing")
    func silent() {
        #expect(
            show("\u{1B}[1;31mred\u{1B}[0m\u{1B}]0;title\u{7}\u{1B}(B!\u{1B}[6n") == ["red!", "", "", ""])
    }

    @Test("UTF-8, whole and broken")
    func unicode() {
        #expect(show("größe€") == ["größe€", "", "", ""])
        let screen = TerminalScreen(columns: 10, rows: 1)
        screen.write([0xC3, 0x28, 0x80, 0xFF, 0x41])
        #expect(screen.lines == ["(\u{FFFD}\u{FFFD}A"])
    }

    @Test("whatever a guest writes, the screen keeps its size")
    func hostile() {
        var state: UInt64 = 1
        let screen = TerminalScreen(columns: 7, rows: 3)
        let alphabet =
            Array("\u{1B}[];?0123456789ABCDEFGHJKLMPSTX@drhlsu789\r\n\u{8}\tabc".utf8) + [0x80, 0xE2, 0xFF]
        for _ in 0..<200_000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            screen.write([alphabet[Int(state >> 33) % alphabet.count]])
        }
        #expect(screen.cells.count == 3 && screen.cells.allSatisfy { $0.count == 7 })
        #expect((0..<3).contains(screen.row) && (0..<7).contains(screen.column))
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The tiny shell: reads a line, finds the command, runs it. The terminal on the other side sends single keys
// and shows nothing by itself, so echoing and erasing are done here.

enum Shell {
    static func interact() {
        say("Type `help` for what I can show you, `halt` to leave.")
        while true {
            Console.write("lguest> ")
            execute(readLine())
        }
    }

    /// Runs commands separated by semicolons.
    static func run(_ commands: Text) {
        var start = 0
        while start < commands.count {
            let end = commands.firstIndex(of: 0x3B, from: start) ?? commands.count
            execute(commands.part(from: start, to: end))
            start = end + 1
        }
    }

    static func execute(_ line: Text) {
        let line = line.trimmed()
        guard !line.isEmpty else { return }
        let end = line.firstIndex(of: 0x20) ?? line.count
        let name = line.part(from: 0, to: end)
        let arguments = line.part(from: end, to: line.count).trimmed()
        for number in 0..<Command.count {
            if let command = Command(rawValue: number), name == command.name {
                command.run(arguments)
                return
            }
        }
        say("\(name): no such command; `help` lists them")
    }

    private static func readLine() -> Text {
        var line = Text()
        while true {
            let key = VirtioConsole.read()
            switch key {
            case 0x0A, 0x0D:
                Console.write(0x0A)
                return line
            case 0x08, 0x7F:  // backspace, or what terminals send for it
                if !line.isEmpty {
                    line.removeLast()
                    erase()
                }
            case 0x15:  // Ctrl-U
                for _ in 0..<line.count { erase() }
                line.removeAll()
            case 0x20...:
                if line.count < Text.capacity {
                    line.append(key)
                    Console.write(key)
                }
            default:
                break
            }
        }
    }

    private static func erase() {
        Console.write(0x08)
        Console.write(0x20)
        Console.write(0x08)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Packets that begin with q or Q: what we are able to do, which threads there are, what the registers are called,
// and `monitor` commands.

import Support

extension GDBSession {
    /// Bytes of the largest packet that we take.
    private static let packetBytes = 0x4000
    private static let triple = "i386-unknown-linux-gnu"

    func answerQuery(_ packet: String) {
        let name = packet.prefix { $0 != ":" && $0 != "," && $0 != ";" }
        let rest = String(packet.dropFirst(name.count + 1))
        switch name {
        case "qSupported": answerSupported(rest)
        case "QStartNoAckMode":
            reply("OK")
            setAcknowledging(false)
        case "qXfer": transfer(rest)
        case "qAttached": reply("1")
        case "qC": reply("QC" + String(tasks.current().thread, radix: 16))
        case "qfThreadInfo":
            reply("m" + tasks.all().map { String($0.thread, radix: 16) }.joined(separator: ","))
        case "qsThreadInfo": reply("l")
        case "qThreadExtraInfo":
            guard let task = task(numbered: Array(rest.utf8)[...]) else { return reply("E01") }
            reply(Hex.text(Array(Self.description(task).utf8)))
        case "qRcmd": command(rest)
        case "qSymbol": reply("OK")
        // The kernel is where its file says. lldb would not use a breakpoint before it knows.
        case "qOffsets": reply("Text=0;Data=0;Bss=0")
        case "qHostInfo", "qProcessInfo":
            let pid = name == "qProcessInfo" ? "pid:1;" : ""
            reply("\(pid)triple:\(Hex.text(Array(Self.triple.utf8)));ptrsize:4;endian:little;")
        case "qWatchpointSupportInfo": reply("num:1024;")
        default: reply("")
        }
    }

    private func answerSupported(_ features: String) {
        let theirs = features.split(separator: ";")
        namesSoftwareBreakpoints = theirs.contains("swbreak+")
        namesHardwareBreakpoints = theirs.contains("hwbreak+")
        reply(
            "PacketSize=\(String(Self.packetBytes, radix: 16));QStartNoAckMode+;qXfer:features:read+;"
                + "qXfer:threads:read+;swbreak+;hwbreak+;vContSupported+")
    }

    private static func description(_ task: GuestTask) -> String { "\(task.name), pid \(task.pid)" }

    /// `OBJECT:read:ANNEX:OFFSET,LENGTH`.
    private func transfer(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[1] == "read" else { return reply("") }
        let range = parts[3].split(separator: ",")
        guard range.count == 2, let offset = Int(range[0], radix: 16), let length = Int(range[1], radix: 16),
            offset >= 0, length >= 0
        else { return reply("E01") }
        switch (parts[0], parts[2]) {
        case ("features", "target.xml"): send(TargetDescription.xml, offset, length)
        case ("features", _): reply("E00")
        case ("threads", _): send(threads, offset, length)
        default: reply("")
        }
    }

    private func send(_ text: String, _ offset: Int, _ length: Int) {
        let bytes = Array(text.utf8)
        guard offset < bytes.count else { return reply("l") }
        let end = min(bytes.count, offset + min(length, Self.packetBytes - 64))
        reply([end < bytes.count ? UInt8(ascii: "m") : UInt8(ascii: "l")] + bytes[offset..<end])
    }

    private var threads: String {
        let list = tasks.all().map { task in
            "<thread id=\"\(String(task.thread, radix: 16))\" core=\"0\" name=\"\(Self.escaped(task.name))\">"
                + "pid \(task.pid)</thread>"
        }
        return "<?xml version=\"1.0\"?>\n<threads>\n" + list.joined(separator: "\n") + "\n</threads>\n"
    }

    private static func escaped(_ text: String) -> String {
        text.reduce(into: "") { result, character in
            switch character {
            case "<": result += "&lt;"
            case "&": result += "&amp;"
            case "\"": result += "&quot;"
            default: result.append(character)
            }
        }
    }

    private func command(_ hex: String) {
        guard let bytes = Hex.bytes(hex.utf8) else { return reply("E01") }
        let line = String(decoding: bytes, as: UTF8.self)
        show(DebugCommands(guest, tasks).run(line) + "\n")
        reply("OK")
    }
}

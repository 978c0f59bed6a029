// SPDX-License-Identifier: Apache-2.0
//
// `net ACTION pci|page …`: the network at work, for people and for the tests of lguest.
import Machine

enum NetCommands {
    static func run(_ line: Text) {
        var words = Words(line)
        let action = words.next() ?? "info"
        let way = DeviceWay(words.next())
        var wanted = NetCard.Feature.all
        var argument = words.next()
        if argument.map({ $0 == "plain" }) == true {
            wanted = NetCard.Feature.plain
            argument = words.next()
        }
        guard let card = NetCard(number: 0, way, wanted: wanted) else {
            say("NET \(way.name) none")
            return
        }
        NetStack.card = card
        NetStack.isEnding = false
        StreamSource.prepare()
        say(
            "NET \(way.name) features \(hex: card.features) mac \(hex: UInt32(card.mac.high)) \(hex: card.mac.low)"
        )
        if action == "serve" {
            serve(argument.flatMap { address($0) } ?? 0, connections: words.next()?.number ?? 0)
        } else if action == "dhcp" {
            configure(name: argument)
        }
        card.link.reset()
        NetStack.card = nil
    }

    /// Answers pings and serves TCP until so many connections have ended (0: for ever), or somebody says "quit".
    private static func serve(_ address: UInt32, connections: UInt32) {
        var address = address
        if address == 0 {
            guard let lease = DHCP.ask() else {
                say("NET no answer to DHCP")
                return
            }
            address = lease.address
        }
        NetStack.address = address
        say("NET serving at \(NetStack.text(of: address))")
        Console.flush()
        let before = TCPServer.served
        while !NetStack.isEnding, connections == 0 || TCPServer.served - before < connections {
            NetStack.wait(microseconds: 100_000)
            TCPServer.checkClock()
        }
        say(
            "NET served \(TCPServer.served - before) pings \(NetStack.pings) bad \(NetStack.bad) again \(TCPServer.retries)"
        )
        Console.flush()
    }

    /// Asks for an address, and for that of `name`.
    private static func configure(name: Text?) {
        NetStack.address = 0
        guard let lease = DHCP.ask() else {
            say("NET no answer to DHCP")
            return
        }
        NetStack.address = lease.address
        let router = NetStack.text(of: lease.router)
        say(
            "NET address \(NetStack.text(of: lease.address)) router \(router) dns \(NetStack.text(of: lease.nameServer))"
        )
        guard let name else { return }
        if let found = NameQuery.ask(name, server: lease.nameServer, mac: .broadcast) {
            say("NET \(name) is \(NetStack.text(of: found))")
        } else {
            say("NET \(name) is not known")
        }
    }

    /// `10.0.2.15` as a number.
    private static func address(_ text: Text) -> UInt32? {
        var value: UInt32 = 0
        var start = 0
        for _ in 0..<4 {
            let end = text.firstIndex(of: 0x2E, from: start) ?? text.count
            guard let part = text.part(from: start, to: end).number, part < 256 else { return nil }
            value = value << 8 | part
            start = end + 1
        }
        return value
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Networks under the built-in guest's own driver and TCP, over both transports: TAP in a network namespace, and
// the two networks that need no privilege.

import Foundation
import LguestKit
import TestSupport
import Testing

@Suite("Networks under a guest", .serialized, .enabled(if: BuiltinGuestFile.exists, "run `make guest` first"))
struct NetworkTests {
    private static let ways = ["pci", "pci plain", "page", "page plain"]
    private static let noProgram: Comment = "no LGUEST_BINARY: run `make build` first"

    private func start(_ words: [String]) throws -> RunningProgram {
        try RunningProgram(
            try #require(RunningProgram.path), ["--timeout=300", "--engine=translator", "64m"] + words)
    }

    @Test(
        "libslirp: 100 MiB through a forwarded port, each way, with their sums",
        .enabled(if: RunningProgram.path != nil, noProgram), arguments: ways)
    func slirp(way: String) throws {
        let port = GuestServices.freePort()
        let guest = try start([
            "--net=user,hostfwd=tcp:\(port):9,hostfwd=tcp:\(port + 1):19", BuiltinGuestFile.path,
            "run=net serve \(way) 0.0.0.0 2",
        ])
        #expect(guest.wait(for: "NET serving at 10.0.2.15"), "by DHCP: \(guest.text)")
        // Without offloads it takes five times as long and shows nothing about large transfers.
        let megabytes = way.hasSuffix("plain") ? 10 : 100
        let sent = GuestServices.fill(port: port, megabytes: megabytes)
        #expect(sent.found == sent.expected)
        #expect(GuestServices.drain(port: port + 1, bytes: megabytes << 20) == nil)
        #expect(guest.waitUntilEnd() == 0)
        #expect(guest.text.contains("NET served 2 pings 0 bad 0"), "\(guest.text)")
        // Memory of the stack's thread that is freed here has the C library ask how the host lends it.
        #expect(!guest.text.contains("sandbox refused"), "\(guest.text)")
    }

    @Test("passt: 20 MiB through a forwarded port", .enabled(if: RunningProgram.path != nil, noProgram))
    func passt() throws {
        guard HostTool.path("passt") != nil else { try Test.cancel("no passt on this host") }
        let port = GuestServices.freePort()
        let guest = try start([
            "--net=passt,hostfwd=tcp:\(port):9,hostfwd=tcp:\(port + 1):19", BuiltinGuestFile.path,
            "run=net serve pci 0.0.0.0 2",
        ])
        guard guest.wait(for: "NET serving at ") else {
            if guest.text.contains("passt has ended") { try Test.cancel("passt does not run here") }
            Issue.record("\(guest.text)")
            return
        }
        let sent = GuestServices.fill(port: port, megabytes: 20)
        #expect(sent.found == sent.expected)
        #expect(GuestServices.drain(port: port + 1, bytes: 20 << 20) == nil)
        #expect(guest.waitUntilEnd() == 0)
    }

    /// Everything that needs a network namespace runs in one shell script there; perl plays the other hosts.
    private func inNamespace(_ script: String, mounts: Bool = false) throws -> String {
        if let reason = HostTool.noTAP { try Test.cancel("\(reason)") }
        let unshare = try #require(HostTool.path("unshare"))
        let absolute = URL(fileURLWithPath: BuiltinGuestFile.path).path
        let program = URL(fileURLWithPath: try #require(RunningProgram.path)).path
        let prologue = "G='\(absolute)' L='\(program) --timeout=300 --engine=translator'; ip link set lo up\n"
        let run = try RunningProgram(
            unshare,
            ["--net", "--map-root-user"] + (mounts ? ["--mount"] : []) + ["/bin/sh", "-c", prologue + script])
        run.waitUntilEnd()
        return run.text
    }

    /// Two perl programs: the number of bytes sent to the sink and its answer; those of the source, compared.
    private static let client = """
        use strict; use IO::Socket::INET; my ($host, $count) = @ARGV;
        sub reach { for (1..50) { my $s = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $_[0]);
          return $s if $s; select(undef, undef, undef, 0.2); } die "no connection" }
        my $block = join("", map { chr(($_ * 7919) >> 5 & 255) } 0..65535);
        my $s = reach(9); my $left = $count;
        while ($left > 0) { my $n = syswrite($s, $block, $left < 65536 ? $left : 65536); die "not taken" unless $n;
          die "short" if $n != ($left < 65536 ? $left : 65536); $left -= $n; }
        shutdown($s, 1); my $answer = <$s>; print "SINK $answer"; close $s;
        my $pattern = join("", map { chr((($_ * 0x9E3779B1) & 0xFFFFFFFF) >> 24) } 0..65520);
        $s = reach(19); print $s "$count\\n"; $s->flush(); my ($got, $bad) = (0, 0); my $buffer;
        while (my $n = sysread($s, $buffer, 65521 - $got % 65521)) {
          $bad++ if $buffer ne substr($pattern, $got % 65521, $n); $got += $n; }
        print "SOURCE $got bad $bad\\n";
        """

    /// The sum that the sink must answer with.
    private static func sinkAnswer(_ count: Int) -> String {
        let block = (0..<65536).map { UInt8(truncatingIfNeeded: ($0 * 7919) >> 5) }
        var hash: UInt32 = 0x811C_9DC5
        var left = count
        while left > 0 {
            hash = GuestServices.sum(Array(block.prefix(left)), from: hash)
            left -= min(left, 65536)
        }
        return "SINK bytes \(count) sum 0x\(String(hash, radix: 16))"
    }

    @Test(
        "TAP in a network namespace: TCP each way",
        .enabled(if: RunningProgram.path != nil, noProgram), arguments: ways)
    func tap(way: String) throws {
        let count = way.hasSuffix("plain") ? 5 << 20 : 50 << 20
        let text = try inNamespace(
            """
            $L --tunnet=192.168.19.1 64m "$G" 'run=net serve \(way) 192.168.19.2 2' 2>&1 &
            for i in $(seq 100); do ip addr show tap0 2>/dev/null | grep -q 192.168.19.1 && break; sleep 0.1; done
            perl -e '\(Self.client)' 192.168.19.2 \(count)
            wait
            """)
        #expect(text.contains(Self.sinkAnswer(count)), "\(text)")
        #expect(text.contains("SOURCE \(count) bad 0"), "\(text)")
        #expect(text.contains("NET served 2 pings 0 bad 0"), "\(text)")
    }

    @Test("TAP on a bridge with a given address: ping", .enabled(if: RunningProgram.path != nil, noProgram))
    func bridge() throws {
        guard HostTool.path("ping") != nil || Initramfs.busybox != nil else {
            try Test.cancel("no ping on this host")
        }
        let text = try inNamespace(
            """
            ip link add br0 type bridge || { echo "NO BRIDGE"; exit; }
            ip addr add 10.7.0.1/24 dev br0; ip link set br0 up
            $L --tunnet=bridge:br0:02:11:22:33:44:55 64m "$G" 'run=net serve page 10.7.0.2' 2>&1 &
            lguest=$!
            for i in $(seq 100); do ip link show tap0 2>/dev/null | grep -q LOWER_UP && break; sleep 0.1; done
            sleep 1
            PATH=$PATH:/sbin:/usr/sbin; ping=ping; command -v ping >/dev/null || ping="$HOME/.cache/lguest/busybox-i386 ping"
            $ping -c 5 10.7.0.2; $ping -c 2 -s 1400 10.7.0.2
            ip neigh show 10.7.0.2
            kill $lguest; wait
            """)
        if text.contains("NO BRIDGE") { try Test.cancel("this host's kernel has no bridges") }
        #expect(text.contains(" 0% packet loss"), "\(text)")
        #expect(!text.contains("100% packet loss"), "\(text)")
        #expect(text.contains("02:11:22:33:44:55"), "\(text)")
    }

    @Test(
        "DHCP and DNS of the user-mode network", .enabled(if: RunningProgram.path != nil, noProgram),
        arguments: ["pci", "page"])
    func names(way: String) throws {
        // A name server of our own on this namespace's loopback, that knows one name.
        let server = """
            use strict; use IO::Socket::INET;
            my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 53, Proto => "udp") or exit;
            while ($s->recv(my $q, 512)) {
              my $known = index($q, "\\x05guest\\x04test") > 0;
              my $question = substr($q, 12, index($q, "\\0", 12) - 12 + 5);
              my $r = substr($q, 0, 2) . pack("n5", $known ? 0x8180 : 0x8183, 1, $known ? 1 : 0, 0, 0) . $question;
              $r .= pack("n3Nn", 0xC00C, 1, 1, 60, 4) . pack("C4", 192, 0, 2, 33) if $known;
              $s->send($r); }
            """
        let text = try inNamespace(
            """
            echo "nameserver 127.0.0.1" > /tmp/lguest-resolv.$$
            mount --bind /tmp/lguest-resolv.$$ /etc/resolv.conf || { echo "NO MOUNT"; exit; }
            perl -e '\(server)' & server=$!
            sleep 0.5
            $L --net=user 64m "$G" 'run=net dhcp \(way) guest.test; net dhcp \(way) nobody.test' 2>&1
            kill $server; rm -f /tmp/lguest-resolv.$$
            """, mounts: true)
        if text.contains("NO MOUNT") { try Test.cancel("no mounts for us here") }
        #expect(text.contains("NET address 10.0.2.15 router 10.0.2.2 dns 10.0.2.3"), "\(text)")
        #expect(text.contains("NET guest.test is 192.0.2.33"), "\(text)")
        #expect(text.contains("NET nobody.test is not known"), "\(text)")
    }

    @Test(
        "without the capability --tunnet says what is missing",
        .enabled(if: RunningProgram.path != nil, noProgram))
    func denied() throws {
        guard let setpriv = HostTool.path("setpriv") else { try Test.cancel("no setpriv on this host") }
        let program = try #require(RunningProgram.path)
        let run = try RunningProgram(
            setpriv,
            ["--bounding-set=-net_admin", "--inh-caps=-net_admin"]
                + [program, "--tunnet=192.168.19.1", "64m", BuiltinGuestFile.path])
        let status = run.waitUntilEnd()
        if run.text.contains("setpriv:") { try Test.cancel("setpriv needs root") }
        #expect(status == 2)
        #expect(run.text.contains("CAP_NET_ADMIN") || run.text.contains("/dev/net/tun"), "\(run.text)")
        #expect(run.text.contains("--net=user needs no privilege"), "\(run.text)")
    }
}

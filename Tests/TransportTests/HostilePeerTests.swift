import NIOCore
import NIOPosix
import OrchestraCore
import SeededRandom
import Synchronization
import Testing
import Transport

/// What hostile or broken peers do to a server: their own connection ends, it is counted, and nothing else happens.
@Suite struct HostilePeerTests {
    private func limits(_ change: (inout TransportLimits) -> Void) -> TransportLimits {
        var limits = TransportLimits()
        limits.pingInterval = .milliseconds(200)
        change(&limits)
        return limits
    }

    /// Runs `attack` while a well-behaved client keeps calling on its one connection.
    private func undisturbed(
        _ handler: any GrainCallHandler = ScriptedHandler.echo, limits: TransportLimits = TransportLimits(),
        _ attack: (CallServer, Int) async throws -> Void
    ) async throws {
        try await withServer(handler, limits: limits) { server, port in
            try await withClient(port, limits: limits) { client in
                let before = try await client.handle(request([1])).payload
                #expect(before == [1])
                try await attack(server, port)
                let after = try await client.handle(request([2])).payload
                #expect(after == [2])
                #expect(client.counters.connections == 1, "the good client was never disconnected")
            }
        }
    }

    @Test func randomBytesEndTheirConnection() async throws {
        try await undisturbed { server, port in
            var random = SeededGenerator(seed: 42)
            for _ in 0..<50 {
                let peer = try await RawPeer(port: port)
                peer.send((0..<200).map { _ in UInt8.random(in: 0...255, using: &random) })
                try await eventually("it is closed") { !peer.isOpen }
            }
            #expect(server.counters.violations.values.reduce(0, +) == 50)
            #expect(server.counters.connections == 1)
        }
    }

    @Test func mutatedSessionsEndOrAreAnswered() async throws {
        try await undisturbed { _, port in
            var random = SeededGenerator(seed: 7)
            for _ in 0..<50 {
                var bytes = ByteBuffer()
                bytes.writeImmutableBuffer(RawPeer.hello())
                for sample in WireTests.samples { bytes.writeImmutableBuffer(sample) }
                var mutated = Array(bytes.readableBytesView)
                mutated[Int.random(in: 0..<mutated.count, using: &random)] ^= 0x41
                let peer = try await RawPeer(port: port)
                peer.send(mutated)
                try await eventually("it is closed") { !peer.isOpen }
            }
        }
    }

    @Test(
        arguments: [
            Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8), [0xFF, 0xFF, 0xFF, 0xFF, 1, 0], [0, 0, 0, 0],
            [0, 0, 4, 1, 1, 0],
        ] as [[UInt8]])
    func hugeLengthsAndOtherProtocolsAreRefused(bytes: [UInt8]) async throws {
        try await undisturbed { server, port in
            let peer = try await RawPeer(port: port)
            peer.send(bytes)
            try await eventually("it is closed") { !peer.isOpen }
            #expect(server.counters.violations == [.badLength: 1])
        }
    }

    @Test func aFrameThatClaimsFourGigabytesAfterTheHelloIsRefused() async throws {
        try await undisturbed { server, port in
            let peer = try await RawPeer(port: port)
            peer.sayHello()
            peer.send([0xFF, 0xFF, 0xFF, 0xFF, 3, 0])
            try await eventually("it is closed") { !peer.isOpen }
            #expect(server.counters.violations == [.badLength: 1])
        }
    }

    @Test func aCallBeforeTheHelloIsRefusedWithAReason() async throws {
        try await undisturbed { server, port in
            let peer = try await RawPeer(port: port)
            var bytes = ByteBuffer()
            CallCodec.write(request(), id: 1, timeLeft: .seconds(1), to: &bytes)
            peer.send(bytes)
            try await eventually("it is closed") { !peer.isOpen }
            let refusal = try Refusal(from: #require(try peer.frames().first))
            #expect(refusal.reason.contains("did not introduce itself"))
            #expect(server.counters.violations == [.incompatible: 1])
        }
    }

    @Test func anotherVersionIsRefusedWithAReason() async throws {
        try await undisturbed { server, port in
            let peer = try await RawPeer(port: port)
            peer.sayHello(versions: 7...9)
            try await eventually("it is closed") { !peer.isOpen }
            let refusal = try Refusal(from: #require(try peer.frames().first))
            #expect(refusal.reason.contains("7 to 9"))
            #expect(server.counters.violations == [.incompatible: 1])
        }
    }

    @Test func silentConnectionsAreClosed() async throws {
        try await undisturbed(limits: limits { $0.handshakeTimeout = .milliseconds(500) }) { server, port in
            var peers: [RawPeer] = []
            for _ in 0..<50 { peers.append(try await RawPeer(port: port)) }
            try await eventually("all are closed") { peers.allSatisfy { !$0.isOpen } }
            #expect(server.counters.violations == [.silent: 50])
        }
    }

    @Test func aFrameThatNeverEndsIsClosed() async throws {
        try await undisturbed(limits: limits { $0.silenceTimeout = .seconds(2) }) { server, port in
            let peer = try await RawPeer(port: port)
            peer.sayHello()
            try await eventually("it is welcome") { try peer.frames().first?.kind == .hello }
            var drops = 0
            try await eventually("it is closed") {
                // One byte now and then is no sign of life: only whole frames are.
                peer.send(drops == 0 ? [0, 0, 0x10, 0, 3, 0] : [0])
                drops += 1
                return !peer.isOpen
            }
            #expect(server.counters.violations == [.silent: 1])
        }
    }

    @Test func aCallIdInUseIsRefused() async throws {
        let gate = Gate()
        try await withServer(gate.handler) { server, port in
            let peer = try await RawPeer(port: port)
            peer.sayHello()
            var bytes = ByteBuffer()
            for _ in 0..<2 { CallCodec.write(request(), id: 5, timeLeft: .seconds(9), to: &bytes) }
            peer.send(bytes)
            try await eventually("it is closed") { !peer.isOpen }
            #expect(server.counters.violations == [.malformed: 1])
            try await eventually("its call is cancelled") { server.callsInProgress == 0 }
        }
    }

    @Test func aPeerThatReadsNothingIsCutOff() async throws {
        let handler = ScriptedHandler { request async throws(OrchestraError) in
            GrainCallReply(version: 1, payload: [UInt8](repeating: 1, count: request.payload == [2] ? 1 : 1 << 20))
        }
        let limits = limits {
            $0.writeStallTimeout = .milliseconds(500)
            // Else all answers fit into the socket's buffer.
            $0.compressionThreshold = .max
        }
        try await withServer(handler, limits: limits) { server, port in
            let peer = try await RawPeer(port: port, reads: false)
            peer.sayHello()
            var bytes = ByteBuffer()
            for id in 0..<64 { CallCodec.write(request(), id: UInt64(id), timeLeft: .seconds(60), to: &bytes) }
            peer.send(bytes)
            try await eventually("it is cut off") { server.counters.violations[.slowReader] == 1 }
            try await withClient(port, limits: limits) { client in
                let answer = try await client.handle(request([2])).version
                #expect(answer == 1)
            }
            peer.close()
        }
    }

    @Test func moreConnectionsThanAllowedAreTurnedAway() async throws {
        try await undisturbed(limits: limits { $0.maximumConnections = 5 }) { server, port in
            var peers: [RawPeer] = []
            for _ in 0..<10 {
                let peer = try await RawPeer(port: port)
                peer.sayHello()
                peers.append(peer)
            }
            try await eventually("six are closed") { peers.count { !$0.isOpen } == 6 }
            #expect(server.counters.turnedAway == 6)
            for peer in peers { peer.close() }
            try await eventually("there is room again") {
                let peer = try await RawPeer(port: port)
                peer.sayHello()
                defer { peer.close() }
                for _ in 0..<20 where try peer.frames().isEmpty { try await Task.sleep(for: .milliseconds(5)) }
                return try !peer.frames().isEmpty
            }
        }
    }

    @Test func peersThatVanishLeaveNothingBehind() async throws {
        let gate = Gate()
        try await withServer(gate.handler) { server, port in
            for _ in 0..<20 {
                let peer = try await RawPeer(port: port)
                peer.sayHello()
                var bytes = ByteBuffer()
                for id in 0..<10 { CallCodec.write(request(), id: UInt64(id), timeLeft: .seconds(60), to: &bytes) }
                peer.send(bytes)
                try await eventually("its calls run; violations \(server.counters.violations)") {
                    try #require(peer.isOpen, "it was closed: \(server.counters.violations)")
                    return server.callsInProgress == 10
                }
                peer.close()
                try await eventually("its calls are cancelled") { server.callsInProgress == 0 }
            }
            #expect(server.counters.abandoned == 200)
        }
    }
}

/// Accepts connections and says nothing.
struct SilentListener {
    private let channel: any Channel

    var port: Int { channel.localAddress?.port ?? 0 }

    init() async throws {
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
    }

    func close() async throws { try await channel.close() }
}

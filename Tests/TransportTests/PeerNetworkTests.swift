import NIOCore
import NIOPosix
import OrchestraCore
import Synchronization
import Testing
import Transport

/// Gossip, probes and who stays connected, over real sockets.
@Suite struct PeerNetworkTests {
    @Test func messagesGoBothWaysOverOneConnection() async throws {
        let (a, b) = (try TestNode("a"), try TestNode("b"))
        try await withNodes([a, b]) {
            a.send("hello", to: b)
            try await eventually("b has it") { b.messages == ["a: hello"] }
            b.send("hello yourself", to: a)
            try await eventually("a has it") { a.messages == ["b: hello yourself"] }
            #expect(a.connected == ["b"] && b.connected == ["a"])
            #expect(a.network.dialedCounters.connections == 1 && b.network.dialedCounters.connections == 0)
        }
    }

    /// Both dial at once: in the end there is one connection, and nothing was lost.
    @Test func simultaneousDialsEndInOneConnection() async throws {
        // The proof of one dial may be on its way when the other opens: one of a hundred pairs meets like that.
        for _ in 0..<60 {
            let (a, b) = (try TestNode("a"), try TestNode("b"))
            try await withNodes([a, b]) {
                a.send("from a", to: b)
                b.send("from b", to: a)
                try await eventually("both have it: \(a.inputs) \(b.inputs)") {
                    a.messages == ["b: from b"] && b.messages == ["a: from a"]
                }
                let dials = a.network.dialedCounters.connections + b.network.dialedCounters.connections
                #expect(dials == 1)
                #expect(a.failures.isEmpty && b.failures.isEmpty)
                #expect(a.disconnected.isEmpty && b.disconnected.isEmpty)
            }
        }
    }

    @Test func aNodeThatDoesNotListenIsReachedOverItsOwnConnection() async throws {
        let (client, silo) = (try TestNode("client", listens: false), try TestNode("silo"))
        try await withNodes([client, silo]) {
            let toClient = Gossip.Target(nodeID: "client", address: nil)
            silo.network.gossip.send(ByteBuffer(string: "too early"), to: toClient)
            client.send("hello", to: silo)
            try await eventually("silo knows it") { silo.messages == ["client: hello"] }
            silo.network.gossip.send(ByteBuffer(string: "welcome"), to: toClient)
            try await eventually("client has it") { client.messages == ["silo: welcome"] }
            #expect(silo.network.gossip.dropped == 1)
        }
    }

    /// As with `orchestra cluster drain` in the container of a silo, whose `cluster.advertise` has port 0.
    @Test func aNodeThatDoesNotListenAdvertisesNothing() async throws {
        let advertise = HostAndPort(host: "127.0.0.1", port: 0)
        let (client, silo) = (try TestNode("client", listens: false, advertise: advertise), try TestNode("silo"))
        try await withNodes([client, silo]) {
            let reachable = try await client.network.advertisedAddress()
            #expect(reachable == nil)
            client.send("hello", to: silo)
            try await eventually("silo knows it") { silo.messages == ["client: hello"] }
        }
    }

    @Test func aRestartedPeerReplacesItsPredecessor() async throws {
        let silo = try TestNode("silo")
        try await withNodes([silo]) {
            let old = try TestNode("x", generation: 1)
            let new = try TestNode("x", generation: 2)
            try await withNodes([old, new]) {
                old.send("one", to: silo)
                try await eventually("the old one is there") { silo.connected == ["x"] }
                new.send("two", to: silo)
                try await eventually("the new one is there") { silo.messages == ["x: one", "x: two"] }
                try await eventually("the old one is gone") { old.disconnected == ["silo"] }
                old.send("three", to: silo)
                try await eventually("the old one is refused") {
                    old.failures.contains { "\($0)".contains("has been restarted") }
                }
                #expect(silo.messages.count == 2)
            }
        }
    }

    @Test func probesTellRefusedFromSilentFromAlive() async throws {
        let (a, b) = (try TestNode("a"), try TestNode("b"))
        let silent = try await SilentListener()
        try await withNodes([a, b]) {
            a.send("first", to: b)
            try await eventually("connected") { b.connected == ["a"] }
            let answered = await a.network.probe(b.address, expecting: "b", timeout: .seconds(5))
            #expect(try answered.get().identity.nodeID == "b")
            #expect(a.disconnected.isEmpty, "a probe leaves the connection alone")
            let other = await a.network.probe(b.address, expecting: "x", timeout: .seconds(5))
            guard case .failure(.failed(let error)) = other else { throw TimedOut(what: "\(other)") }
            #expect(error.kind == .wrongNode)
            let address = HostAndPort(host: "127.0.0.1", port: silent.port)
            let timedOut = await a.network.probe(address, timeout: .milliseconds(300))
            #expect(timedOut == .failure(.timedOut))
            await b.network.closeListener()
            a.send("second", to: b)
            try await eventually("open connections go on") { b.messages.last == "a: second" }
            let refused = await a.network.probe(b.address, timeout: .seconds(5))
            #expect(refused == .failure(.refused))
        }
        try await silent.close()
    }

    @Test func failedDialsAreToldAndTriedAgain() async throws {
        let (a, b) = (try TestNode("a"), try TestNode("b"))
        try await b.start()
        let target = b.target
        await b.stop()
        try await withNodes([a]) {
            a.network.gossip.send(ByteBuffer(string: "anybody?"), to: target)
            try await eventually("refused") { a.failures == [.refused] }
            a.network.gossip.send(ByteBuffer(string: "anybody?"), to: target)
            try await eventually("refused again, after a pause") { a.failures == [.refused, .refused] }
            #expect(a.network.gossip.dropped == 2)
        }
    }

    /// A consumer that takes nothing stops the sender instead of filling the memory.
    @Test func unreadGossipIsBounded() async throws {
        var limits = TransportLimits()
        limits.maximumGossipInputBytes = 1 << 20
        limits.maximumGossipBytes = 1 << 20
        limits.compressionThreshold = .max
        let (a, b) = (try TestNode("a", limits: limits), try TestNode("b", limits: limits))
        try await a.start()
        try await b.start(reads: false)
        let message = ByteBuffer(repeating: 7, count: 100_000)
        try await eventually("the sender has to drop") {
            for _ in 0..<10 { a.network.gossip.send(message, to: b.target, priority: .bulk) }
            return a.network.gossip.dropped > 500
        }
        #expect(b.network.gossip.inputs.dropped == 0, "back-pressure came first")
        b.startReading()
        a.send("end", to: b)
        try await eventually("what was taken arrives") { b.messages.contains("a: end") || b.messages.count > 20 }
        await a.stop()
        await b.stop()
    }

    @Test func largeMessagesAreCompressedAndArriveWhole() async throws {
        let (a, b) = (try TestNode("a"), try TestNode("b"))
        try await withNodes([a, b]) {
            let text = String(repeating: "membership ", count: 100_000)
            a.send(text, to: b, .bulk)
            a.send("small", to: b)
            try await eventually("both arrive") { b.messages.count == 2 }
            #expect(Set(b.messages) == ["a: \(text)", "a: small"])
        }
    }

    /// Calls and gossip share the port; calls go both ways over one connection.
    @Test func callsGoBothWays() async throws {
        let (a, b) = (try TestNode("a"), try TestNode("b"))
        let servers = [a, b].map { CallServer(network: $0.network, handler: ScriptedHandler.echo) }
        try await withNodes([a, b]) {
            let (toB, toA) = (b.address, a.address)
            let clients = [
                CallClient(network: a.network, peers: [toB]) { _ in toB },
                CallClient(network: b.network, peers: [toA]) { _ in toA },
            ]
            try await whileRunning(servers[0]) {
                try await whileRunning(clients[0]) {
                    try await whileRunning(clients[1]) {
                        for client in clients {
                            let payload = try await client.handle(request([4, 2])).payload
                            #expect(payload == [4, 2])
                        }
                        try await eventually("both are connected") { clients.allSatisfy { $0.isConnected } }
                        #expect(a.network.acceptedCounters.connections + b.network.acceptedCounters.connections == 1)
                        #expect(a.network.acceptedCounters.calls == 1 && b.network.acceptedCounters.calls == 1)
                    }
                }
            }
        }
    }

    /// The answer of its last call is also the end of a draining node's connection; the caller must not miss it.
    @Test func aNodeThatDrainsHearsTheAnswersToItsOwnCalls() async throws {
        let gate = Gate()
        let (a, b) = (try TestNode("a"), try TestNode("b"))
        try await withNodes([a, b]) {
            let servers = [
                CallServer(network: a.network, handler: ScriptedHandler.echo),
                CallServer(network: b.network, handler: gate.handler),
            ]
            let client = CallClient(network: a.network, routing: { _ in b.address })
            try await whileRunning(client) {
                try await whileRunning(servers[1]) {
                    let call = Task { try await client.handle(request(timeLeft: .seconds(60))) }
                    try await eventually("it waits") { gate.waiting.load(ordering: .relaxed) == 1 }
                    try await whileRunning(servers[0]) {}
                    let begin = ContinuousClock.now
                    gate.open()
                    #expect(try await call.value.version == 1)
                    #expect(ContinuousClock.now - begin < .seconds(10))
                }
            }
        }
    }

    @Test func seedsAreResolvedToAllAddresses() async throws {
        let addresses = try await SeedResolver.resolve(HostAndPort(host: "localhost", port: 7600))
        #expect(addresses.contains { $0 == HostAndPort(host: "127.0.0.1", port: 7600) || $0.host == "::1" })
        #expect(Set(addresses).count == addresses.count)
        await #expect(throws: OrchestraError.self) {
            try await SeedResolver.resolve(HostAndPort(host: "no-such-host.invalid", port: 1))
        }
    }
}

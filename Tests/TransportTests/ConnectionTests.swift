import NIOCore
import OrchestraCore
import ServiceLifecycle
import Synchronization
import Testing
import Transport

/// Connections that come late, break, drain and come back.
@Suite struct ConnectionTests {
    private func call(
        _ client: CallClient, _ kind: GrainCallRequest.Kind = .query, newerThan: UInt64? = nil
    ) -> Task<GrainCallReply, any Error> {
        Task { () async throws(OrchestraError) in try await client.handle(request(kind: kind, newerThan: newerThan)) }
    }

    /// A port where nobody listens.
    private func freePort() async throws -> Int {
        try await withServer(ScriptedHandler.echo) { _, port in port }
    }

    @Test func aCallWaitsForThePeerToCome() async throws {
        let port = try await freePort()
        try await withClient(port) { client in
            let early = call(client)
            try await eventually("a refused attempt") {
                if case .disconnected(.some) = client.status.values.first { true } else { false }
            }
            try await withServer(ScriptedHandler.echo, port: port) { _, _ in
                let answer = try await early.value.payload
                #expect(answer == [1, 2, 3])
            }
        }
    }

    @Test func withoutAPeerACallFailsInTimeAndSaysWhy() async throws {
        let port = try await freePort()
        try await withClient(port) { client in
            try await eventually("a refused attempt") {
                if case .disconnected(.some) = client.status.values.first { true } else { false }
            }
            let error = await failure { () async throws(OrchestraError) in
                try await client.handle(request(timeLeft: .milliseconds(300)))
            }
            #expect(error?.code == .unavailable)
            #expect(error?.message.contains("127.0.0.1:\(port)") == true)
            #expect(error?.message.contains("cannot connect") == true)
            #expect(!client.isConnected)
        }
    }

    @Test func aCallerThatGivesUpWhileWaitingIsLetGo() async throws {
        let port = try await freePort()
        try await withClient(port) { client in
            let waiting = call(client, .command)
            waiting.cancel()
            #expect(await error(of: waiting)?.code == .unavailable, "it was never sent, so nothing is unknown")
        }
    }

    /// Of the calls that were sent, queries fail as unavailable and commands as unknown; the next ones find the
    /// server's successor.
    @Test func aBrokenConnectionFailsWhatWasSent() async throws {
        let port = try await freePort()
        let gate = Gate()
        try await withClient(port) { client in
            var sent: [Task<GrainCallReply, any Error>] = []
            try await withServer(gate.handler, port: port) { _, _ in
                sent = [call(client, .query), call(client, .command)]
                try await eventually("both wait") { gate.waiting.load(ordering: .relaxed) == 2 }
            }
            #expect(await error(of: sent[0])?.code == .unavailable)
            #expect(await error(of: sent[1])?.code == .outcomeUnknown)
            let next = call(client, .command)
            try await withServer(ScriptedHandler.echo, port: port) { _, _ in
                let answer = try await next.value.payload
                #expect(answer == [1, 2, 3])
            }
        }
        #expect(gate.cancelled.load(ordering: .relaxed) == 2, "handlers of a dead connection are cancelled")
    }

    /// A graceful shutdown answers what is in progress, tells long polls to ask again, and takes nothing new.
    @Test func aServerDrains() async throws {
        let gate = Gate()
        let server = CallServer(host: "127.0.0.1", port: 0, handler: gate.handler, logger: quiet)
        let services = ServiceGroup(services: [server], logger: quiet)
        let running = Task { try await services.run() }
        try await withClient(try await server.boundPort()) { client in
            let command = call(client, .command)
            let longPoll = call(client, .query, newerThan: 4)
            try await eventually("both wait") { gate.waiting.load(ordering: .relaxed) == 2 }
            await services.triggerGracefulShutdown()
            #expect(await error(of: longPoll)?.code == .unavailable)
            let late = await failure { () async throws(OrchestraError) in
                try await client.handle(request(timeLeft: .milliseconds(300)))
            }
            #expect(late?.code == .unavailable)
            gate.open()
            let answer = try await command.value.version
            #expect(answer == 1)
            try await running.value
        }
    }

    @Test func aClientFinishesItsCallsBeforeItEnds() async throws {
        let gate = Gate()
        try await withServer(gate.handler) { _, port in
            let client = CallClient(peers: [HostAndPort(host: "127.0.0.1", port: port)], logger: quiet)
            let services = ServiceGroup(services: [client], logger: quiet)
            let running = Task { try await services.run() }
            let first = call(client, .command)
            try await eventually("it waits") { gate.waiting.load(ordering: .relaxed) == 1 }
            await services.triggerGracefulShutdown()
            try await eventually("new calls are refused") {
                await failure { () async throws(OrchestraError) in
                    try await client.handle(request(timeLeft: .milliseconds(50)))
                }?.message.contains("shutting down") == true
            }
            gate.open()
            let answer = try await first.value.version
            #expect(answer == 1)
            try await running.value
        }
    }

    @Test func nodesOfAnotherClusterAreRefusedOnBothSides() async throws {
        try await withServer(ScriptedHandler.echo) { server, port in
            let stranger = NodeIdentity(clusterName: "staging", nodeID: "g9", role: .gateway)
            try await withClient(port, identity: stranger) { client in
                try await eventually("the client is told why") {
                    guard case .disconnected(let reason?) = client.status.values.first else { return false }
                    return reason.contains("staging")
                }
                let error = await failure { () async throws(OrchestraError) in
                    try await client.handle(request(timeLeft: .milliseconds(400)))
                }
                #expect(error?.code == .unavailable)
                #expect(error?.message.contains("staging") == true, "\(String(describing: error))")
                #expect(server.counters.violations[.wrongCluster, default: 0] >= 1)
                #expect(server.counters.connections == 0 && server.counters.calls == 0)
            }
        }
    }

    @Test func routingChoosesThePeer() async throws {
        func named(_ name: String) -> ScriptedHandler {
            ScriptedHandler { _ async throws(OrchestraError) in GrainCallReply(version: 0, payload: Array(name.utf8)) }
        }
        try await withServer(named("one")) { _, one in
            let second = NodeIdentity(nodeID: "s2", role: .silo)
            try await withServer(named("two"), identity: second) { _, two in
                let peers = [HostAndPort(host: "127.0.0.1", port: one), HostAndPort(host: "127.0.0.1", port: two)]
                let client = CallClient(
                    peers: peers,
                    routing: { grain in grain.key == "nobody" ? nil : peers[grain.key == "a" ? 0 : 1] },
                    logger: quiet)
                try await whileRunning(client) {
                    let fromOne = try await client.handle(request(key: "a")).payload
                    #expect(fromOne == Array("one".utf8))
                    let fromTwo = try await client.handle(request(key: "b")).payload
                    #expect(fromTwo == Array("two".utf8))
                    let error = await failure { () async throws(OrchestraError) in
                        try await client.handle(request(key: "nobody"))
                    }
                    #expect(error?.code == .unavailable)
                }
            }
        }
    }

    /// A peer that accepts and then says nothing at all.
    @Test func aSilentServerIsLeft() async throws {
        var limits = TransportLimits()
        limits.handshakeTimeout = .milliseconds(100)
        let listener = try await SilentListener()
        try await withClient(listener.port, limits: limits) { client in
            try await eventually("the silence is noticed twice") {
                client.counters.violations[.silent, default: 0] >= 2
            }
            #expect(!client.isConnected)
        }
        try await listener.close()
    }
}

import NIOCore
import OrchestraCore
import ServiceLifecycle
import Synchronization
import Testing
import Transport

/// Calls over real sockets.
@Suite struct CallTests {
    @Test func aCallIsAnswered() async throws {
        try await withServer(ScriptedHandler.echo) { server, port in
            try await withClient(port) { client in
                let reply = try await client.handle(request([7, 8]))
                #expect(reply == GrainCallReply(version: 2, payload: [7, 8]))
                #expect(client.status.values.first == .connected(NodeIdentity(nodeID: "s1", role: .silo)))
                #expect(client.isConnected)
                #expect(server.counters.calls == 1 && server.counters.connections == 1)
            }
        }
    }

    @Test func theRequestArrivesWhole() async throws {
        let seen = Mutex<GrainCallRequest?>(nil)
        let handler = ScriptedHandler { request async throws(OrchestraError) in
            seen.withLock { $0 = request }
            return GrainCallReply(version: 0, payload: [])
        }
        var sent = WireTests.request(7)
        sent.timeLeft = .seconds(20)
        try await withServer(handler) { _, port in
            try await withClient(port) { client in _ = try await client.handle(sent) }
        }
        var received = try #require(seen.withLock { $0 })
        #expect(received.timeLeft > .seconds(10) && received.timeLeft <= .seconds(20))
        received.timeLeft = sent.timeLeft
        #expect(received == sent)
    }

    @Test func errorsArriveWithCodeMessageAndNextStep() async throws {
        let handler = ScriptedHandler { _ async throws(OrchestraError) in
            throw OrchestraError(.quarantined, "state of x", nextStep: "look at it")
        }
        try await withServer(handler) { _, port in
            try await withClient(port) { client in
                let error = await failure { () async throws(OrchestraError) in try await client.handle(request()) }
                #expect(error?.code == .quarantined)
                #expect(error?.message == "state of x" && error?.nextStep == "look at it")
            }
        }
    }

    /// Answers come in the reverse order of the questions, and each finds its own caller.
    @Test func manyCallsAreInProgressAtOnce() async throws {
        let gate = Gate()
        try await withServer(gate.handler) { _, port in
            try await withClient(port) { client in
                try await withThrowingTaskGroup(of: Bool.self) { group in
                    for number in 0..<2000 {
                        group.addTask {
                            let payload = Array("payload of \(number)".utf8)
                            return try await client.handle(request(payload)).payload == payload
                        }
                    }
                    try await eventually("2000 calls wait") { gate.waiting.load(ordering: .relaxed) == 2000 }
                    gate.open()
                    for try await isRight in group { #expect(isRight) }
                }
            }
        }
    }

    @Test func megabytesCross() async throws {
        try await withServer(ScriptedHandler.echo) { _, port in
            try await withClient(port) { client in
                let payload = [UInt8](repeating: 0xAB, count: 8 << 20)
                async let first = client.handle(request(payload)).payload
                async let second = client.handle(request(payload)).payload
                let equal = try await (first == payload, second == payload)
                #expect(equal == (true, true))
            }
        }
    }

    @Test func aDeadlineEndsTheCallOnBothSides() async throws {
        let gate = Gate()
        try await withServer(gate.handler) { server, port in
            try await withClient(port) { client in
                try await eventually("it is connected") { client.isConnected }
                let start = ContinuousClock.now
                let query = await failure { () async throws(OrchestraError) in
                    try await client.handle(request(timeLeft: .milliseconds(200)))
                }
                #expect(query?.code == .deadlineExceeded)
                #expect(ContinuousClock.now - start >= .milliseconds(200))
                let command = await failure { () async throws(OrchestraError) in
                    try await client.handle(request(kind: .command, timeLeft: .milliseconds(200)))
                }
                #expect(command?.code == .outcomeUnknown, "it was sent, so it may have been done")
                try await eventually("the server's tasks are cancelled") { server.callsInProgress == 0 }
            }
        }
    }

    @Test func acallWithoutTimeFails() async throws {
        try await withServer(ScriptedHandler.echo) { _, port in
            try await withClient(port) { client in
                let error = await failure { () async throws(OrchestraError) in
                    try await client.handle(request(timeLeft: .zero))
                }
                #expect(error?.code == .deadlineExceeded || error?.code == .unavailable)
            }
        }
    }

    @Test func aCallerThatGivesUpCancelsTheHandler() async throws {
        let gate = Gate()
        try await withServer(gate.handler) { server, port in
            try await withClient(port) { client in
                let call = Task { () async throws(OrchestraError) in try await client.handle(request()) }
                try await eventually("the call waits") { gate.waiting.load(ordering: .relaxed) == 1 }
                call.cancel()
                #expect(await error(of: call)?.code == .unavailable)
                try await eventually("the handler is cancelled") { gate.cancelled.load(ordering: .relaxed) == 1 }
                let answer = try await client.handle(request(timeLeft: .seconds(20), newerThan: nil), after: gate)
                    .version
                #expect(answer == 1)
                #expect(server.counters.abandoned == 1)
            }
        }
    }

    @Test func tooManyCallsAreRefusedAndTheOthersGoOn() async throws {
        let gate = Gate()
        var limits = TransportLimits()
        limits.maximumCalls = 3
        try await withServer(gate.handler, limits: limits) { server, port in
            try await withClient(port) { client in
                let calls = (0..<3).map { _ in
                    Task { () async throws(OrchestraError) in try await client.handle(request()) }
                }
                try await eventually("three wait") { gate.waiting.load(ordering: .relaxed) == 3 }
                let error = await failure { () async throws(OrchestraError) in try await client.handle(request()) }
                #expect(error?.code == .overloaded)
                #expect(server.counters.overloaded == 1)
                gate.open()
                for call in calls {
                    let answer = try await call.value.version
                    #expect(answer == 1)
                }
                let answer = try await client.handle(request()).version
                #expect(answer == 1)
            }
        }
    }

    @Test func aClientBoundsItsOwnCalls() async throws {
        let gate = Gate()
        var limits = TransportLimits()
        limits.maximumClientCalls = 2
        try await withServer(gate.handler) { _, port in
            try await withClient(port, limits: limits) { client in
                let calls = (0..<2).map { _ in
                    Task { () async throws(OrchestraError) in try await client.handle(request()) }
                }
                try await eventually("two wait") { gate.waiting.load(ordering: .relaxed) == 2 }
                let error = await failure { () async throws(OrchestraError) in try await client.handle(request()) }
                #expect(error?.code == .overloaded)
                gate.open()
                for call in calls { _ = try await call.value }
                let answer = try await client.handle(request()).version
                #expect(answer == 1)
            }
        }
    }

    @Test func whatIsTooLargeFailsAlone() async throws {
        var limits = TransportLimits()
        limits.maximumFrameLength = 10_000
        let handler = ScriptedHandler { request async throws(OrchestraError) in
            GrainCallReply(version: 1, payload: [UInt8](repeating: 0, count: request.payload.count * 5000))
        }
        try await withServer(handler, limits: limits) { server, port in
            try await withClient(port, limits: limits) { client in
                let argument = await failure { () async throws(OrchestraError) in
                    try await client.handle(request([UInt8](repeating: 1, count: 9000)))
                }
                #expect(argument?.code == .tooLarge)
                let answer = await failure { () async throws(OrchestraError) in
                    try await client.handle(request([1, 2]))
                }
                #expect(answer?.code == .tooLarge)
                let length = try await client.handle(request([1])).payload.count
                #expect(length == 5000)
                #expect(server.counters.connections == 1)
            }
        }
    }

    @Test func malformedRequestsAreRefusedBeforeTheyAreSent() async throws {
        try await withServer(ScriptedHandler.echo) { server, port in
            try await withClient(port) { client in
                for bad in ["", String(repeating: "x", count: 129)] {
                    var call = request()
                    call.requestID = bad
                    let error = await failure { () async throws(OrchestraError) in try await client.handle(call) }
                    #expect(error?.code == .invalidArgument)
                }
                #expect(server.counters.calls == 0)
            }
        }
    }
}

/// The error that a call throws, `nil` if it succeeds.
func failure<R>(_ call: () async throws(OrchestraError) -> R) async -> OrchestraError? {
    do throws(OrchestraError) {
        _ = try await call()
        return nil
    } catch {
        return error
    }
}

func error<R: Sendable>(of task: Task<R, any Error>) async -> OrchestraError? {
    if case .failure(let error) = await task.result { error as? OrchestraError } else { nil }
}

extension CallClient {
    /// A call that a gate lets through.
    func handle(_ request: GrainCallRequest, after gate: Gate) async throws -> GrainCallReply {
        gate.open()
        return try await handle(request)
    }
}

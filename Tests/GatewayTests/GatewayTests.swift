import EventLog
import Logging
import OrchestraCore
import ServiceLifecycle
import Silo
import Synchronization
import Testing

@testable import Gateway

/// Reading, cancelling, health, and the ends of connections, over real sockets.
@Suite struct GatewayTests {
    private static let body = #"{"workflow":"summarize","input":"hello"}"#

    private func started(_ port: Int) async throws -> String {
        try #require(try await trigger(port, Self.body).member("workflowId"))
    }

    @Test func aWorkflowIsShownFromAcceptedToCompleted() async throws {
        try await withGateway { cluster, port in
            let id = try await started(port)
            let running = try await get(port, "/v1/workflows/\(id)")
            #expect(running.status == 200 && running.member("status") == "running")
            #expect(running.member("workflow") == "summarize" && running.member("result") == "null")
            cluster.finish(id, output: "short \"text\"")
            let done = try await get(port, "/v1/workflows/\(id)")
            #expect(done.member("status") == "completed")
            #expect(done.text.contains(#""output":"short \"text\"""#))
            #expect(done.member("finishedAt") == "2026-11-22T13:50:00.123Z")
            #expect(done.headers["cache-control"] == "no-store" && done.headers["x-content-type-options"] == "nosniff")
        }
    }

    @Test func aLongPollAnswersWhenTheWorkflowEnds() async throws {
        try await withGateway { cluster, port in
            let id = try await started(port)
            async let polled = get(port, "/v1/workflows/\(id)?wait=30s")
            try await eventually("the long poll waits") { cluster.state.withLock { $0.calls } >= 2 }
            cluster.finish(id, output: "x")
            let answer = try await polled
            #expect(answer.status == 200 && answer.member("status") == "completed")
        }
    }

    @Test func aLongPollThatRunsOutShowsWhatThereIs() async throws {
        try await withGateway { _, port in
            let id = try await started(port)
            let start = ContinuousClock.now
            let answer = try await get(port, "/v1/workflows/\(id)?wait=300ms")
            #expect(answer.status == 200 && answer.member("status") == "running")
            #expect(ContinuousClock.now - start >= .milliseconds(300))
        }
    }

    @Test func aLongPollOutlivesItsOwner() async throws {
        try await withGateway { cluster, port in
            let id = try await started(port)
            async let polled = get(port, "/v1/workflows/\(id)?wait=30s")
            try await eventually("the long poll waits") { cluster.state.withLock { $0.calls } >= 2 }
            cluster.change { $0.callFailure = OrchestraError(.unavailable, "the owner died") }
            let calls = cluster.state.withLock { $0.calls }
            try await eventually("it asks again") { cluster.state.withLock { $0.calls } > calls + 1 }
            cluster.finish(id, output: "x")
            cluster.change { $0.callFailure = nil }
            let answer = try await polled
            #expect(answer.member("status") == "completed")
        }
    }

    @Test func whatIsNotThereIsSaidAsAProblem() async throws {
        try await withGateway { cluster, port in
            let unknown = try await get(port, "/v1/workflows/none?wait=10s")
            #expect(unknown.status == 404 && unknown.member("code") == "notFound")
            let path = try await get(port, "/v2")
            #expect(path.status == 404 && path.headers["content-type"] == "application/problem+json")
            let method = try await get(port, "/v1/workflows", method: "PUT")
            #expect(method.status == 405 && method.headers["allow"] == "POST")
            let wait = try await get(port, "/v1/workflows/none?wait=2h")
            #expect(wait.status == 400)
            cluster.change { $0.callFailure = OrchestraError(.unavailable, "nobody there") }
            let unreachable = try await get(port, "/v1/workflows/other")
            #expect(unreachable.status == 503 && unreachable.headers["retry-after"] == "1")
        }
    }

    @Test func anAcceptedWorkflowIsNeverUnknownHere() async throws {
        try await withGateway { cluster, port in
            let id = try await started(port)
            for code in [OrchestraError.Code.unavailable, .deadlineExceeded, .notOwner, .overloaded] {
                cluster.change { $0.callFailure = OrchestraError(code, "not now") }
                let answer = try await get(port, "/v1/workflows/\(id)")
                #expect(answer.status == 200 && answer.member("status") == "accepted")
            }
        }
    }

    @Test func cancellingTwiceIsTheSameAsOnce() async throws {
        try await withGateway { cluster, port in
            let id = try await started(port)
            for method in ["DELETE /v1/workflows/\(id)", "POST /v1/workflows/\(id)/cancel"] {
                let parts = method.split(separator: " ").map(String.init)
                let answer = try await get(port, parts[1], method: parts[0])
                #expect(answer.status == 200 && answer.member("status") == "cancelled")
            }
            let unknown = try await get(port, "/v1/workflows/none", method: "DELETE")
            #expect(unknown.status == 404)
            let finished = try await started(port)
            cluster.finish(finished, output: "x")
            let answer = try await get(port, "/v1/workflows/\(finished)", method: "DELETE")
            #expect(answer.member("status") == "completed", "a finished workflow stays as it is")
        }
    }

    @Test func healthSaysWhatIsMissing() async throws {
        let silo = Mutex<String?>("no connection to silo 10.0.0.1:1")
        try await withGateway(siloObstacle: { silo.withLock { $0 } }) { cluster, port in
            let live = try await get(port, "/health/live")
            #expect(live.status == 200 && live.member("status") == "live")
            cluster.change { $0.obstacle = "the broker has not answered" }
            let missing = try await get(port, "/health/ready")
            #expect(missing.status == 503 && missing.headers["retry-after"] == "1")
            #expect(missing.text.contains("10.0.0.1:1") && missing.text.contains("the broker has not answered"))
            cluster.change { $0.obstacle = nil }
            silo.withLock { $0 = nil }
            let ready = try await get(port, "/health/ready")
            #expect(ready.status == 200 && ready.member("status") == "ready")
        }
    }

    @Test func definitionsAreListed() async throws {
        try await withGateway { _, port in
            let answer = try await get(port, "/v1/workflow-definitions")
            #expect(answer.status == 200)
            #expect(answer.text.contains(#"{"name":"review","steps":[{"agent":"a","deadlineSeconds":300},"#))
        }
    }

    @Test func headHasNoBody() async throws {
        try await withGateway { _, port in
            let connection = try await RawConnection(port: port)
            connection.send(
                Array("HEAD /health/live HTTP/1.1\r\nHost: x\r\n\r\nGET /v2 HTTP/1.1\r\nHost: x\r\n\r\n".utf8))
            try await eventually("both are answered") {
                String(decoding: connection.received, as: UTF8.self).contains("404 Not Found")
            }
            #expect(!String(decoding: connection.received, as: UTF8.self).contains("\"live\""))
            connection.close()
        }
    }

    @Test(arguments: [
        "\u{16}\u{03}\u{01}garbage\r\n\r\n", "GET\r\n\r\n", "POST /v1/workflows HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ])
    func bytesThatAreNotHTTPGetAProblem(bytes: String) async throws {
        try await withGateway { _, port in
            let connection = try await RawConnection(port: port)
            let answer = try await connection.exchange(bytes)
            #expect(answer.status == 400 && answer.headers["content-type"] == "application/problem+json")
            #expect(answer.text.contains("not an HTTP/1.1 request"))
            try await eventually("the connection ends") { !connection.isOpen }
        }
    }

    @Test func idleAndStalledConnectionsAreClosed() async throws {
        var limits = GatewayLimits()
        limits.idleTimeout = .milliseconds(500)
        try await withGateway(limits: limits) { cluster, port in
            var connections: [RawConnection] = []
            for start in [
                "", "POST /v1/workf",
                "POST /v1/workflows HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                    + "Content-Length: 100\r\n\r\n{\"workflow\"",
            ] {
                let connection = try await RawConnection(port: port)
                connection.send(Array(start.utf8))
                connections.append(connection)
            }
            try await eventually("all are closed") { connections.allSatisfy { !$0.isOpen } }
            #expect(cluster.events.isEmpty)
        }
    }

    @Test func aBodyThatTricklesIsRefused() async throws {
        var limits = GatewayLimits()
        limits.bodyTimeout = .milliseconds(300)
        try await withGateway(limits: limits) { _, port in
            let connection = try await RawConnection(port: port)
            connection.send(
                Array(
                    ("POST /v1/workflows HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                        + "Content-Length: 100000\r\n\r\n").utf8))
            try await eventually("it is told and closed") {
                connection.send([0x20])
                return Answer(connection.received)?.status == 408
            }
            try await eventually("the connection ends") { !connection.isOpen }
        }
    }

    /// What is in progress is answered, long polls at once; then the gateway ends.
    @Test func aShutdownLosesNothing() async throws {
        let cluster = ScriptedCluster()
        let gateway = Gateway(
            GatewayConfiguration(
                port: 0, nodeID: "g", kafka: KafkaConfiguration(bootstrapServers: "127.0.0.1:1", clientID: "t")),
            sink: cluster, calls: cluster, workflows: [.summarize], logger: quiet)
        let services = ServiceGroup(services: [gateway], logger: quiet)
        let running = Task { try await services.run() }
        let port = try await gateway.boundPort()
        let id = try await started(port)
        async let poll = get(port, "/v1/workflows/\(id)?wait=60s")
        try await eventually("the long poll waits") { cluster.state.withLock { $0.calls } >= 2 }
        cluster.change { $0.holdsAppends = true }
        async let accepted = trigger(port, Self.body)
        try await eventually("the trigger is in progress") { gateway.triggersInProgress == 1 }
        await services.triggerGracefulShutdown()
        let polled = try await poll
        #expect(polled.status == 200 && polled.member("status") == "running")
        cluster.change { $0.holdsAppends = false }
        let answer = try await accepted
        #expect(answer.status == 202)
        try await running.value
        #expect(cluster.events.count == 2)
    }
}

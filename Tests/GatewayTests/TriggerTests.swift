import OrchestraCore
import Records
import Synchronization
import Testing

@testable import Gateway

/// `POST /v1/workflows` over real sockets.
@Suite struct TriggerTests {
    private static let body = #"{"workflow":"summarize","input":"hello"}"#

    @Test func aTriggerIsWrittenAndAccepted() async throws {
        try await withGateway { cluster, port in
            let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
            let answer = try await trigger(
                port, Self.body, headers: "Content-Type: application/json; charset=UTF-8\r\ntraceparent: \(trace)\r\n")
            #expect(answer.status == 202)
            #expect(answer.headers["content-type"] == "application/json")
            let event = try #require(cluster.events.first)
            #expect(answer.member("workflowId") == event.workflowId && answer.member("status") == "accepted")
            #expect(answer.headers["location"] == "/v1/workflows/\(event.workflowId)")
            #expect(event.workflow == "summarize" && event.input == "hello" && event.gateway == "gateway-1")
            // The SHA-256 of summarize, NUL, hello.
            #expect(event.inputDigest == "567994ef963a095dd2e67cce8d47e1ac0b693be5c00ca7483a4e71e901131a32")
            #expect(event.traceParent?.hasPrefix(String(trace.prefix(36))) == true && event.traceParent != trace)
        }
    }

    @Test func eachUnkeyedTriggerIsAnotherWorkflow() async throws {
        try await withGateway { cluster, port in
            let connection = try await RawConnection(port: port)
            for _ in 0..<5 {
                let answer = try await connection.exchange(
                    "POST /v1/workflows HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                        + "Content-Length: \(Self.body.utf8.count)\r\n\r\n\(Self.body)")
                #expect(answer.status == 202)
            }
            #expect(Set(cluster.events.map(\.workflowId)).count == 5)
            connection.close()
        }
    }

    @Test(arguments: [
        (#"{"workflow":"summarize","input":"#, 400, "invalidArgument"),
        ("", 400, "invalidArgument"),
        (#"{"workflow":"summarize"}"#, 400, "invalidArgument"),
        (#"{"workflow":"summarize","input":7}"#, 400, "invalidArgument"),
        (#"{"workflow":"summarize","input":"x","extra":"y"}"#, 400, "invalidArgument"),
        (#"{"workflow":"nonsense","input":"x"}"#, 422, "notFound"),
    ])
    func badBodiesAreRefused(body: String, status: Int, code: String) async throws {
        try await withGateway { cluster, port in
            let answer = try await trigger(port, body)
            #expect(answer.status == status)
            #expect(answer.headers["content-type"] == "application/problem+json")
            #expect(answer.member("code") == code && answer.member("status") == "\(status)")
            #expect(answer.member("type") == "urn:orchestra:problem:\(code)")
            #expect(answer.member("instance") == "/v1/workflows")
            #expect(answer.member("detail")?.isEmpty == false && answer.member("nextStep")?.isEmpty == false)
            #expect(cluster.events.isEmpty)
        }
    }

    @Test func theErrorNamesPlacesFieldsAndWorkflows() async throws {
        try await withGateway { _, port in
            let syntax = try await trigger(port, "{\"workflow\":\"summarize\",\n\"input\":oops}")
            #expect(syntax.member("line") == "2" && syntax.member("column") == "9" && syntax.member("byte") == "33")
            let field = try await trigger(port, #"{"workflow":"summarize","text":"x"}"#)
            #expect(field.text.contains("unknown field \\\"text\\\""))
            let workflow = try await trigger(port, #"{"workflow":"nonsense","input":"x"}"#)
            #expect(workflow.text.contains("review, summarize"))
            let bytes = try await post(port, Array(#"{"workflow":"summarize","input":""#.utf8) + [0xC3, 0x28])
            #expect(bytes.status == 400)
        }
    }

    @Test(arguments: [
        "", "Content-Type: text/plain\r\n", "Content-Type: application/json; charset=latin1\r\n",
        "Content-Type: application/jsonx\r\n",
    ])
    func otherContentTypesAreRefused(headers: String) async throws {
        try await withGateway { cluster, port in
            let answer = try await trigger(port, Self.body, headers: headers)
            #expect(answer.status == 415 && answer.member("code") == "unsupportedMediaType")
            #expect(cluster.events.isEmpty)
        }
    }

    @Test(arguments: ["", String(repeating: "k", count: 129), "white space", "ümlaut"])
    func badKeysAreRefused(key: String) async throws {
        try await withGateway { cluster, port in
            let answer = try await trigger(port, Self.body, key: key)
            #expect(answer.status == 400)
            #expect(answer.headers["content-type"] == "application/problem+json")
            #expect(cluster.events.isEmpty)
        }
    }

    @Test func unusualInputsAreAccepted() async throws {
        try await withGateway { cluster, port in
            let zeros = String(repeating: #"\u0000"#, count: 1 << 20)
            for input in ["", "🎻🎻", #"\u0000"#, String(repeating: "x", count: 1 << 20), zeros] {
                let answer = try await trigger(port, #"{"workflow":"summarize","input":""# + input + "\"}")
                #expect(answer.status == 202, "\(input.prefix(20)): \(answer.text)")
            }
            #expect(cluster.events.map(\.input.utf8.count) == [0, 8, 1, 1 << 20, 1 << 20])
        }
    }

    @Test func anInputOverTheLimitIsNamed() async throws {
        try await withGateway { cluster, port in
            let input = String(repeating: "x", count: 1 << 20) + "y"
            let answer = try await trigger(port, #"{"workflow":"summarize","input":""# + input + "\"}")
            #expect(answer.status == 413 && answer.member("code") == "tooLarge")
            #expect(answer.text.contains("1048577") && answer.text.contains("1048576"))
            #expect(cluster.events.isEmpty)
        }
    }

    /// The announced size is enough: nothing of the body is awaited, and the connection ends.
    @Test func aBodyOverTheLimitIsRefusedAtOnce() async throws {
        try await withGateway { _, port in
            let connection = try await RawConnection(port: port)
            let answer = try await connection.exchange(
                "POST /v1/workflows HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                    + "Content-Length: 10485760\r\nExpect: 100-continue\r\n\r\n")
            #expect(answer.status == 413 && answer.text.contains("8388608"))
            #expect(answer.headers["connection"] == "close")
            #expect(!String(decoding: connection.received, as: UTF8.self).contains("100 Continue"))
            try await eventually("the connection ends") { !connection.isOpen }
        }
    }

    @Test func aChunkedBodyOverTheLimitIsRefused() async throws {
        var limits = GatewayLimits()
        limits.maximumBodySize = 100_000
        try await withGateway(limits: limits) { cluster, port in
            let connection = try await RawConnection(port: port)
            let head = "POST /v1/workflows HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            let chunk = "1000\r\n" + String(repeating: "x", count: 4096) + "\r\n"
            let chunks = String(repeating: chunk, count: 30)
            let answer = try await connection.exchange(head + "Transfer-Encoding: chunked\r\n\r\n" + chunks)
            #expect(answer.status == 413)
            try await eventually("the connection ends") { !connection.isOpen }
            #expect(cluster.events.isEmpty)
        }
    }

    @Test func aClientThatExpectsContinueGetsIt() async throws {
        try await withGateway { _, port in
            let connection = try await RawConnection(port: port)
            connection.send(
                Array(
                    ("POST /v1/workflows HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                        + "Expect: 100-continue\r\nContent-Length: \(Self.body.utf8.count)\r\n\r\n").utf8))
            try await eventually("100 Continue") {
                String(decoding: connection.received, as: UTF8.self).hasPrefix("HTTP/1.1 100 Continue\r\n\r\n")
            }
            connection.send(Array(Self.body.utf8))
            let answer = try await connection.answer()
            #expect(answer.status == 202)
            connection.close()
        }
    }

    @Test func triggersOverTheBoundAreRefusedAndTheOthersAccepted() async throws {
        var limits = GatewayLimits()
        limits.maximumTriggers = 3
        try await withGateway(limits: limits) { cluster, port in
            cluster.change { $0.holdsAppends = true }
            let statuses = try await withThrowingTaskGroup(of: Answer.self) { group in
                for _ in 0..<10 { group.addTask { try await trigger(port, Self.body) } }
                var statuses: [Int] = []
                while let answer = try await group.next() {
                    statuses.append(answer.status)
                    if answer.status == 503 { #expect(answer.headers["retry-after"] == "1") }
                    // Those that got in are answered only now.
                    if statuses.count == 7 { cluster.change { $0.holdsAppends = false } }
                }
                return statuses
            }
            #expect(statuses == Array(repeating: 503, count: 7) + [202, 202, 202])
            #expect(cluster.events.count == 3)
            let after = try await trigger(port, Self.body)
            #expect(after.status == 202, "the room is given back")
        }
    }

    @Test func bytesOfBodiesAreBounded() async throws {
        var limits = GatewayLimits()
        limits.maximumTriggerBytes = 100_000
        try await withGateway(limits: limits) { _, port in
            let large = #"{"workflow":"summarize","input":""# + String(repeating: "x", count: 100_000) + "\"}"
            let refused = try await trigger(port, large)
            #expect(refused.status == 503 && refused.headers["retry-after"] == "1")
            let accepted = try await trigger(port, Self.body)
            #expect(accepted.status == 202, "the room is given back")
        }
    }

    @Test(
        arguments: [
            (OrchestraError.Code.overloaded, 503, "1"), (.unavailable, 503, "1"), (.outcomeUnknown, 504, "1"),
            (.tooLarge, 413, nil), (.internalError, 500, nil),
        ] as [(OrchestraError.Code, Int, String?)])
    func aBrokerThatRefusesIsTold(code: OrchestraError.Code, status: Int, retryAfter: String?) async throws {
        try await withGateway { cluster, port in
            cluster.change { $0.appendFailure = OrchestraError(code, "so it is") }
            let answer = try await trigger(port, Self.body)
            #expect(answer.status == status && answer.member("code") == code.rawValue)
            #expect(answer.headers["retry-after"] == retryAfter)
            #expect((answer.member("workflowId") != nil) == (code == .outcomeUnknown))
        }
    }
}

/// `Idempotency-Key` over real sockets.
@Suite struct IdempotencyTests {
    private static let body = #"{"workflow":"summarize","input":"hello"}"#
    private static let other = #"{"workflow":"summarize","input":"something else"}"#

    @Test func aRepeatedKeyIsTheSameWorkflow() async throws {
        try await withGateway { cluster, port in
            let first = try await trigger(port, Self.body, key: "order-17")
            let second = try await trigger(port, Self.body, key: "order-17")
            #expect(first.status == 202 && second.status == 202)
            #expect(first.member("workflowId") == second.member("workflowId"))
            #expect(first.headers["idempotency-replayed"] == nil && second.headers["idempotency-replayed"] == "true")
            #expect(cluster.events.count == 1, "no second event")
        }
    }

    @Test func anotherBodyUnderTheKeyIsRefused() async throws {
        try await withGateway { cluster, port in
            _ = try await trigger(port, Self.body, key: "k")
            let answer = try await trigger(port, Self.other, key: "k")
            #expect(answer.status == 422 && answer.member("code") == "conflict")
            #expect(answer.text.contains("used with another body"))
            #expect(cluster.events.count == 1)
        }
    }

    @Test func concurrentRepetitionsAreOneWorkflow() async throws {
        try await withGateway { cluster, port in
            let ids = try await withThrowingTaskGroup(of: String?.self, returning: Set<String?>.self) { group in
                for _ in 0..<50 {
                    group.addTask { try await trigger(port, Self.body, key: "same").member("workflowId") }
                }
                return try await group.reduce(into: []) { $0.insert($1) }
            }
            #expect(ids.count == 1)
            #expect(cluster.state.withLock { $0.workflows.count } == 1)
        }
    }

    /// Two bodies race under one key: whoever is told 202 has the body that counts.
    @Test func ofTwoBodiesAtOnceOnlyTheOneThatCountsIsAccepted() async throws {
        try await withGateway { cluster, port in
            for round in 0..<20 {
                let answers = try await withThrowingTaskGroup(of: (String, Int).self) { group in
                    for body in [Self.body, Self.other, Self.body, Self.other] {
                        group.addTask { (body, try await trigger(port, body, key: "race-\(round)").status) }
                    }
                    return try await group.reduce(into: [(String, Int)]()) { $0.append($1) }
                }
                let accepted = Set(answers.filter { $0.1 == 202 }.map(\.0))
                let refused = Set(answers.filter { $0.1 == 422 }.map(\.0))
                #expect(accepted.count == 1 && refused.count == 1 && accepted != refused, "\(answers)")
                let id = WorkflowIdentity.id(forKey: "race-\(round)")
                let counted = cluster.events.first { $0.workflowId == id }?.input
                #expect((counted == "hello") == (accepted == [Self.body]))
            }
        }
    }

    /// The record is durable, so an owner out of reach does not stop a trigger.
    @Test func withoutAnOwnerAKeyedTriggerIsAccepted() async throws {
        try await withGateway { cluster, port in
            cluster.change { $0.callFailure = OrchestraError(.unavailable, "nobody there") }
            let answer = try await trigger(port, Self.body, key: "k")
            #expect(answer.status == 202)
            #expect(cluster.events.count == 1)
            let status = try await get(port, "/v1/workflows/\(answer.member("workflowId") ?? "")")
            #expect(status.status == 200 && status.member("status") == "accepted")
        }
    }
}

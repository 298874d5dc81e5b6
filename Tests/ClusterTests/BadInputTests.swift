import Foundation
import HTTPClient
import Testing

extension ClusterTests {
    /// Whatever comes in: a clear error or a dead letter that says why, and the flow goes on.
    @Suite(.serialized)
    struct BadInputTests {
        @Test(.timeLimit(.minutes(3)))
        func badRequestsGetClearProblems() async throws {
            try await withCluster { cluster in
                let long = "{\"workflow\":\"summarize\",\"input\":\"\(String(repeating: "x", count: 1_100_000))\"}"
                let cases: [(name: String, body: [UInt8], contentType: String, status: Int, says: String)] = [
                    ("malformed JSON", Array("{\"workflow\":".utf8), "application/json", 400, "line 1, column 13"),
                    ("no object", Array("[1]".utf8), "application/json", 400, "object"),
                    ("no input", Array(#"{"workflow":"summarize"}"#.utf8), "application/json", 400, "input"),
                    (
                        "input no string", Array(#"{"workflow":"summarize","input":7}"#.utf8), "application/json", 400,
                        "input"
                    ),
                    (
                        "unknown field", Array(#"{"workflow":"summarize","input":"","x":1}"#.utf8), "application/json",
                        400, "x"
                    ),
                    (
                        "unknown workflow", Array(#"{"workflow":"fly","input":""}"#.utf8), "application/json", 422,
                        "summarize"
                    ),
                    (
                        "not UTF-8",
                        Array("{\"workflow\":\"summarize\",\"input\":\"".utf8) + [0xff, 0xfe] + Array("\"}".utf8),
                        "application/json", 400, "UTF-8"
                    ),
                    ("wrong content type", Array("hello".utf8), "text/plain", 415, "application/json"),
                    ("long input", Array(long.utf8), "application/json", 413, "1048576"),
                    (
                        "10 MB", [UInt8](repeating: UInt8(ascii: "x"), count: 10_000_000), "application/json", 413,
                        "8388608"
                    ),
                ]
                for expected in cases {
                    let response = try await cluster.post(expected.body, contentType: expected.contentType)
                    #expect(response.head.status == expected.status, "\(expected.name): \(response.text)")
                    #expect(response.head.header("content-type")?.hasPrefix("application/problem+json") == true)
                    let problem = try response.decoded(Problem.self)
                    #expect(problem.status == expected.status)
                    #expect(response.text.contains(expected.says), "\(expected.name): \(response.text)")
                }
                let identifier = try await cluster.accepted("After all that, this still works.")
                #expect(try await cluster.outcome(of: identifier).status == "completed")
            }
        }

        /// Seven kinds of records on each input topic, and commands that no grain can take, go to the dead letters; the
        /// workflows around them complete.
        @Test(.timeLimit(.minutes(3)))
        func badRecordsBecomeDeadLetters() async throws {
            try await withCluster { cluster in
                let first = try await cluster.accepted("Before the bad records.")
                _ = try await cluster.outcome(of: first)
                let poison = try ChildProcess(
                    Files.python,
                    [
                        "-W", "ignore", Files.root.appending(path: "Tests/ClusterTests/poison.py").path,
                        "--kafka", cluster.description.kafka, "--registry", cluster.description.registry,
                    ],
                    folder: cluster.folder)
                let sent = try await poison.result(within: .seconds(60))
                try #require(sent.status == 0, "\(sent.errors)")
                let expected = try JSONDecoder().decode([String: Int].self, from: Data(sent.output.utf8))

                let second = try await cluster.accepted("After the bad records.")
                #expect(try await cluster.outcome(of: second).status == "completed")
                try await eventually("dead letters of \(expected)", within: .seconds(30)) {
                    let report = try await cluster.ledger(accepted: [])
                    let counts = report.deadLetters.reduce(into: [:]) { $0[$1.topic, default: 0] += 1 }
                    return counts == expected && report.deadLetters.allSatisfy { !$0.reason.isEmpty }
                        ? nil : "\(counts): \(report.deadLetters.map(\.reason))"
                }
            }
        }
    }
}

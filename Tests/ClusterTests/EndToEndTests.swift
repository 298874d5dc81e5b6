import Foundation
import HTTPClient
import Testing

extension Cluster {
    /// `orchestra run --file` with a file of these bytes.
    fileprivate func run(fileWith bytes: [UInt8]) async throws -> ChildProcess.Result {
        try Data(bytes).write(to: folder.appending(path: "text"))
        let run = try ChildProcess(
            Files.orchestra, ["run", "--file", "text", "--json", "--data-dir", "data"], folder: folder)
        return try await run.result(within: .seconds(60))
    }
}

extension ClusterTests {
    /// The main job, as a user sees it over HTTP and as other Kafka clients see it in the topics.
    @Suite(.serialized)
    struct EndToEndTests {
        @Test(.timeLimit(.minutes(3)))
        func anyTextGetsASummaryThatOtherClientsCanRead() async throws {
            try await withCluster { cluster in
                let readme = try String(contentsOf: Files.root.appending(path: "README.md"), encoding: .utf8)
                let texts = [
                    "README": readme,
                    "nothing": "",
                    "emoji": String(repeating: "🎻🎺🥁", count: 400),
                    "one endless line": String(repeating: "word", count: 100_000),
                    "NUL characters": "before\u{0}after. And\u{0} more.",
                    "a megabyte": String(
                        repeating: "Every sentence of this text is like the one before it. ", count: 19_000),
                    "no Latin letters": "今日は良い天気です。散歩に行きました。公園で友達に会いました。",
                ]
                var identifiers: [String] = []
                for (name, text) in texts {
                    let identifier = try await cluster.accepted(text)
                    identifiers.append(identifier)
                    let answer = try await cluster.outcome(of: identifier)
                    #expect(answer.status == "completed", "\(name): \(answer)")
                    #expect(answer.result?.output.isEmpty == false, "\(name): \(answer)")

                    let again = try await cluster.run(fileWith: Array(text.utf8))
                    #expect(again.status == 0, "\(name): \(again.errors)")
                    let printed = try JSONDecoder().decode(WorkflowAnswer.self, from: Data(again.output.utf8))
                    #expect(printed.result?.output == answer.result?.output, "\(name)")
                    identifiers.append(printed.workflowId)
                }
                let noText = try await cluster.run(fileWith: Array("good, then ".utf8) + [0xC3, 0x28])
                #expect(noText.status != 0 && noText.errors.contains("offset 11"), "\(noText.errors)")
                let tooLong = try await cluster.run(fileWith: Array(repeating: 0x61, count: 1 << 21))
                #expect(tooLong.status != 0 && tooLong.errors.contains("larger than"), "\(tooLong.errors)")
                let report = try await cluster.ledger(accepted: identifiers)
                #expect(report.violations.isEmpty)
                #expect(report.workflowsStarted == 2 * texts.count, "over HTTP and from the command line")
                #expect(report.records["agent-tasks"] == 2 * texts.count)
                #expect(report.deadLetters.isEmpty)

                let kcat = try ChildProcess(
                    URL(filePath: "/usr/bin/env"), ["kcat", "-b", cluster.description.kafka, "-L", "-J"],
                    folder: cluster.folder)
                let listing = try await kcat.result(within: .seconds(20))
                for topic in ["workflow-start-events", "agent-tasks", "agent-results", "orchestra.state"] {
                    #expect(listing.output.contains("\"topic\":\"\(topic)\""), "kcat does not see \(topic)")
                }
            }
        }

        @Test(.timeLimit(.minutes(3)))
        func aWorkflowIsKnownFromTheMomentOfItsAcceptance() async throws {
            try await withCluster { cluster in
                for number in 0..<50 {
                    let identifier = try await cluster.accepted("Known at once, number \(number).")
                    let response = try await cluster.get("/v1/workflows/\(identifier)")
                    #expect(response.head.status == 200, "\(response.text)")
                }
                let unknown = try await cluster.get("/v1/workflows/00000000-0000-4000-8000-000000000000")
                #expect(unknown.head.status == 404)
                #expect(unknown.head.header("content-type")?.hasPrefix("application/problem+json") == true)
            }
        }

        @Test(.timeLimit(.minutes(3)))
        func everyProcessTellsItsMetrics() async throws {
            try await withCluster { cluster in
                _ = try await cluster.outcome(of: try await cluster.accepted("One. Two. Three."))
                let bases = cluster.description.gateways + cluster.description.admin.values
                let reader = try ChildProcess(
                    Files.python, [Files.metrics.path] + bases.map { $0 + "/metrics" }, folder: cluster.folder)
                let output = try await reader.result(within: .seconds(30)).output
                let families = try JSONDecoder().decode([String: [String]].self, from: Data(output.utf8))
                #expect(families.count == cluster.description.pids.count, "one page for each process: \(families.keys)")
                let expected = [
                    "orchestra_gateway_request_seconds", "orchestra_silo_turns", "orchestra_silo_commit_time_seconds",
                    "orchestra_broker_requests", "orchestra_membership_members",
                    "gen_ai_client_operation_duration_seconds",
                ]
                let all = Set(families.values.flatMap(\.self))
                for name in expected { #expect(all.contains(name), "\(name) is not among \(all.sorted())") }
                #expect(families.values.allSatisfy { $0.contains("process_cpu_seconds") })
            }
        }

        @Test(.timeLimit(.minutes(3)))
        func theSameIdempotencyKeyIsTheSameWorkflow() async throws {
            try await withCluster(arguments: ["--gateways", "2"]) { cluster in
                let identifiers = try await withThrowingTaskGroup(of: String.self) { group in
                    for number in 0..<20 {
                        let gateway = cluster.description.gateways[number % 2]
                        group.addTask {
                            let response = try await cluster.http.send(
                                HTTPRequest(
                                    method: "POST", url: "\(gateway)/v1/workflows",
                                    headers: [
                                        (name: "content-type", value: "application/json"),
                                        (name: "idempotency-key", value: "order-1"),
                                    ],
                                    body: Array(#"{"workflow":"summarize","input":"Once."}"#.utf8)))
                            return try response.decoded(WorkflowAnswer.self).workflowId
                        }
                    }
                    return try await group.reduce(into: Set<String>()) { $0.insert($1) }
                }
                #expect(identifiers.count == 1)
                for identifier in identifiers {
                    #expect(try await cluster.outcome(of: identifier).status == "completed")
                }
                let other = try await cluster.trigger("Another text.", idempotencyKey: "order-1")
                #expect(other.head.status == 422, "\(other.text)")
                let report = try await cluster.ledger(accepted: Array(identifiers))
                #expect(report.violations.isEmpty)
                #expect(report.records["agent-tasks"] == 1)
            }
        }
    }
}

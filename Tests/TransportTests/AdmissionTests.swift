import Certificates
import Foundation
import NIOCore
import NIOPosix
import OrchestraCore
import Testing
import Transport

/// Who is not let in, and what both sides' logs say about it.
@Suite struct AdmissionTests {
    private func refused(
        _ a: TestNode, _ b: TestNode, _ kind: WireError.Kind, saying words: String
    ) async throws {
        try await withNodes([a, b]) {
            a.send("let me in", to: b)
            try await eventually("a is told: \(a.inputs)") {
                a.failures.contains { if case .failed(let error) = $0 { error.kind == kind } else { false } }
            }
            #expect(b.inputs.isEmpty)
            #expect(b.network.acceptedCounters.violations[kind, default: 0] >= 1)
            for node in [a, b] {
                let lines = node.log.all.filter { $0.contains("reason=\(kind.rawValue)") && $0.contains(words) }
                #expect(lines.count == 1, "\(node.network.identity): \(node.log.all)")
            }
        }
    }

    @Test func anotherSecret() async throws {
        try await refused(
            TestNode("a", secret: "one secret of a cluster"), TestNode("b", secret: "another secret of it"),
            .wrongSecret, saying: "do not have the same cluster secret")
    }

    @Test func noSecret() async throws {
        try await refused(
            TestNode("a"), TestNode("b", secret: "another secret of it"), .wrongSecret, saying: "and silo a has none")
    }

    @Test func anotherCluster() async throws {
        try await refused(
            TestNode("a", cluster: "staging"), TestNode("b"), .wrongCluster, saying: "\"staging\"")
    }

    @Test func theSameSecretIsLetIn() async throws {
        let secret = "the secret of both nodes"
        let (a, b) = (try TestNode("a", secret: secret), try TestNode("b", secret: secret))
        try await withNodes([a, b]) {
            a.send("hello", to: b)
            try await eventually("it arrives") { b.messages == ["a: hello"] }
            #expect(a.log.count("no cluster secret") == 0)
            #expect(!(a.log.all + b.log.all).contains { $0.contains(secret) })
        }
    }

    @Test func aClusterWithoutASecretSaysSo() async throws {
        let node = try TestNode("a")
        try await withNodes([node]) { #expect(node.log.count("no cluster secret is configured") == 1) }
    }

    // MARK: TLS

    private func withFolder(_ body: (URL) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "tls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try await body(folder)
    }

    @Test func nodesSpeakTLS() async throws {
        try await withFolder { folder in
            let tls = try TLSFiles(Certificates.cluster(in: folder))
            let secret = "and a secret on top of it"
            let (a, b) = (try TestNode("a", secret: secret, tls: tls), try TestNode("b", secret: secret, tls: tls))
            try await withNodes([a, b]) {
                let text = String(repeating: "large ", count: 200_000)
                a.send(text, to: b, .bulk)
                b.send("hello", to: a)
                try await eventually("they arrive") { a.messages == ["b: hello"] && b.messages == ["a: \(text)"] }
                let probe = await a.network.probe(b.address, expecting: "b", timeout: .seconds(5))
                #expect(try probe.get().identity.nodeID == "b")
            }
        }
    }

    @Test func plainTextIsRefusedAndToldWhy() async throws {
        try await withFolder { folder in
            let tls = try TLSFiles(Certificates.cluster(in: folder))
            try await refused(TestNode("a"), TestNode("b", tls: tls), .badTLS, saying: "TLS")
        }
    }

    @Test func tlsToAPlainNodeIsRefused() async throws {
        try await withFolder { folder in
            let tls = try TLSFiles(Certificates.cluster(in: folder))
            let (a, b) = (try TestNode("a", tls: tls), try TestNode("b"))
            try await withNodes([a, b]) {
                a.send("hello", to: b)
                try await eventually("a knows") { !a.failures.isEmpty }
                try await eventually("b says why: \(b.log.all)") { b.log.count("the peer speaks TLS") == 1 }
            }
        }
    }

    @Test func certificatesOfOthersAreRefusedOnEitherSide() async throws {
        try await withFolder { folder in
            let good = try TLSFiles(Certificates.cluster(in: folder))
            for files in [Certificates.stranger, Certificates.distrustful] {
                let bad = try TLSFiles(files(folder))
                for (first, second) in [(good, bad), (bad, good)] {
                    let (a, b) = (try TestNode("a", tls: first), try TestNode("b", tls: second))
                    try await withNodes([a, b]) {
                        a.send("hello", to: b)
                        try await eventually("a fails") { !a.failures.isEmpty }
                        try await eventually("it is said: \(a.log.all) \(b.log.all)") {
                            a.log.count("reason=badTLS") + b.log.count("reason=badTLS") >= 1
                        }
                        #expect(b.connected.isEmpty && b.messages.isEmpty)
                    }
                }
            }
        }
    }

    @Test func tlsFilesThatCannotBeUsedAreNamed() async throws {
        try await withFolder { folder in
            var files = try TLSFiles(Certificates.cluster(in: folder))
            files.key = "/no/such/file.pem"
            #expect { try TestNode("a", tls: files) } throws: { "\($0)".contains("/no/such/file.pem") }
        }
    }

    // MARK: Crowds

    /// Ten thousand connections that say nothing, a few hundred at a time: members go on talking, and a new member
    /// comes in while they are there.
    @Test func silentCrowdsDisturbNobody() async throws {
        var limits = TransportLimits()
        limits.maximumStrangers = 64
        let secret = "the secret of the members"
        let (a, b) = (try TestNode("a", secret: secret, limits: limits), try TestNode("b", secret: secret))
        let late = try TestNode("late", secret: secret)
        let crowd = 10_000
        try await withNodes([a, b, late]) {
            b.send("before", to: a)
            try await eventually("b is there") { a.connected == ["b"] }
            try await withThrowingTaskGroup(of: Void.self) { group in
                let port = a.address.port
                for _ in 0..<20 {
                    group.addTask {
                        for _ in 0..<crowd / 20 {
                            // Left open: the node has to close them.
                            _ = try? await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                                .connect(host: "127.0.0.1", port: port).get()
                        }
                    }
                }
                late.send("let me in", to: a)
                try await eventually("a new member comes in", within: .seconds(60)) {
                    a.messages.contains("late: let me in")
                }
                try await group.waitForAll()
            }
            b.send("after", to: a)
            try await eventually("b goes on", within: .seconds(60)) { a.messages.contains("b: after") }
            #expect(a.disconnected.isEmpty)
            try await eventually("the crowd is evicted") {
                a.network.acceptedCounters.evicted >= crowd - limits.maximumStrangers - 100
            }
            #expect(a.log.count("refused or closed a connection") == 1, "one line a minute: \(a.log.all)")
        }
    }
}

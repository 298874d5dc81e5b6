import Foundation
import HTTPClient
import Synchronization

/// One `orchestra member`: a real process that is a member and nothing else, so it needs no Kafka.
final class MemberProcess: Sendable {
    /// A line of `GET /v1/cluster/members`.
    struct Member: Decodable, Sendable {
        var id: String
        var status: String
        var generation: UInt64
    }

    private struct Answer: Decodable {
        var joined: Bool
        var members: [Member]
    }

    let name: String
    private let process: ChildProcess
    private let http: HTTPClient
    private let admin = Mutex<String?>(nil)

    init(
        _ name: String, listen: String = "127.0.0.1:0", seeds: [String], secret: String, cluster: String = "orchestra",
        folder: URL, http: HTTPClient
    ) throws {
        self.name = name
        self.http = http
        process = try ChildProcess(
            Files.orchestra,
            ["member", "--role", "silo", "--node-id", name, "--listen-node", listen, "--data-dir", "data"]
                + seeds.flatMap { ["--seed", $0] } + ["--set", "cluster.name=\(cluster)"],
            environment: ["ORCHESTRA_CLUSTER_SECRET": secret], folder: folder)
    }

    var log: String { process.standardOutput + process.standardError }
    var pid: Int32 { process.pid }

    func send(_ signal: Int32) { process.send(signal: signal) }

    /// The value after `name=` in the log, once it is there.
    private func logged(_ name: String) async throws -> String {
        var value: String?
        try await eventually("\(name) in the log of \(self.name)", within: .seconds(30)) {
            let found = log.split(whereSeparator: \.isWhitespace).first { $0.hasPrefix("\(name)=") }
            value = found.map { String($0.dropFirst(name.count + 1)) }
            return value == nil ? log.suffix(1000).description : nil
        }
        return value ?? ""
    }

    /// Where other nodes reach it.
    func address() async throws -> String { try await logged("advertised") }

    func waitUntilReady() async throws {
        let url = try await logged("admin")
        admin.withLock { $0 = url }
    }

    /// What it knows of the others, by name; `nil` if it does not answer.
    func members() async -> [String: Member]? {
        guard let url = admin.withLock({ $0 }) else { return nil }
        let request = HTTPRequest(url: "\(url)/v1/cluster/members", timeout: .seconds(2))
        guard let response = try? await http.send(request),
            let answer = try? JSONDecoder().decode(Answer.self, from: Data(response.body))
        else { return nil }
        return Dictionary(uniqueKeysWithValues: answer.members.map { ($0.id, $0) })
    }

    func waitForEnd() async throws -> Int32 { try await process.result(within: .seconds(30)).status }
}

/// Five members on the loopback.
final class MemberCluster {
    let secret = "the secret of these five members"
    let folder: URL
    let http = HTTPClient()
    private(set) var members: [MemberProcess] = []
    /// Everything that processes of this cluster logged before they were replaced.
    private(set) var pastLogs: [String] = []
    private var addresses: [String] = []

    init() async throws {
        folder = try Files.temporaryFolder()
        for number in 1...5 {
            let member = try MemberProcess(
                "member-\(number)", seeds: Array(addresses.prefix(1)), secret: secret, folder: folder, http: http)
            members.append(member)
            addresses.append(try await member.address())
        }
        for member in members { try await member.waitUntilReady() }
        try await waitUntilAllAlive()
    }

    var seeds: [String] { addresses }
    var logs: [String] { pastLogs + members.map(\.log) }

    /// Starts a member again at the same address, as another process.
    func restart(_ index: Int) async throws {
        pastLogs.append(members[index].log)
        var seeds = addresses
        seeds.remove(at: index)
        members[index] = try MemberProcess(
            "member-\(index + 1)", listen: addresses[index], seeds: seeds, secret: secret, folder: folder, http: http)
        try await members[index].waitUntilReady()
    }

    /// Waits until every member says that all five are alive, each in the generation that it gives itself.
    func waitUntilAllAlive(within limit: Duration = .seconds(40)) async throws {
        try await eventually("agreement of five members", within: limit) {
            var generations: [String: Set<UInt64>] = [:]
            for member in members {
                guard let known = await member.members() else { return "\(member.name) does not answer" }
                for other in members {
                    guard known[other.name]?.status == "alive" else {
                        return "\(other.name) is \(known[other.name]?.status ?? "unknown") to \(member.name)"
                    }
                    generations[other.name, default: []].insert(known[other.name]?.generation ?? 0)
                }
            }
            return generations.values.allSatisfy { $0.count == 1 } ? nil : "generations \(generations)"
        }
    }

    /// - Returns: how long it takes from now until every other member calls this one dead.
    func timeUntilDead(_ index: Int) async throws -> Duration {
        let start = ContinuousClock.now
        let name = members[index].name
        for member in members where member !== members[index] {
            while await member.members()?[name]?.status != "dead" {
                guard ContinuousClock.now - start < .seconds(30) else {
                    throw TestFailure("\(name) is not dead to \(member.name) after 30 s:\n\(member.log.suffix(3000))")
                }
                try await Task.sleep(for: .milliseconds(5))
            }
        }
        return ContinuousClock.now - start
    }

    func stop() async throws {
        for member in members { member.send(SIGTERM) }
        for member in members {
            let status = try await member.waitForEnd()
            guard status == 0 else {
                throw TestFailure("\(member.name) ended with \(status): \(member.log.suffix(2000))")
            }
        }
        await http.close()
        try FileManager.default.removeItem(at: folder)
    }

    func kill() {
        for member in members { member.send(SIGKILL) }
    }
}

/// Runs `body` with five members, and leaves none behind.
func withMembers(_ body: (MemberCluster) async throws -> Void) async throws {
    let cluster = try await MemberCluster()
    do {
        try await body(cluster)
        try await cluster.stop()
    } catch {
        cluster.kill()
        throw error
    }
}

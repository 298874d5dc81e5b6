import Foundation
import HTTPClient

/// A whole cluster of real processes, started by `orchestra up` on free ports.
final class Cluster: Sendable {
    /// What `orchestra up --json` prints once everything is ready.
    struct Description: Decodable, Sendable {
        var ready: Bool
        var kafka: String
        var registry: String
        var gateways: [String]
        var admin: [String: String]
        var silos: [String]
        var pids: [String: Int32]
    }

    let folder: URL
    let http: HTTPClient
    let description: Description
    private let up: ChildProcess

    /// Starts a cluster and waits until it says that it is ready.
    ///
    /// - Parameters:
    ///   - folder: holds its data in `data`; given again, the cluster goes on where it stopped.
    ///   - arguments: further arguments of `orchestra up`.
    init(folder: URL, arguments: [String] = [], environment: [String: String] = [:]) async throws {
        self.folder = folder
        http = HTTPClient()
        let up = try ChildProcess(
            Files.orchestra, ["up", "--json", "--ports", "auto", "--data-dir", "data"] + arguments,
            environment: environment, folder: folder)
        self.up = up
        try await eventually("start of the cluster", within: .seconds(60)) {
            if up.standardOutput.contains("\n") { return nil }
            guard up.isRunning else { throw TestFailure("orchestra up ended: \(up.standardError.suffix(4000))") }
            return up.standardError.suffix(1000).description
        }
        description = try JSONDecoder().decode(Description.self, from: Data(up.standardOutput.utf8))
    }

    var gateway: String { description.gateways[0] }

    /// The pid of each process as of now; it changes when the supervisor restarts one.
    func pids() throws -> [String: Int32] {
        struct Current: Decodable { var pids: [String: Int32] }
        let file = folder.appending(path: "data/cluster.json")
        return try JSONDecoder().decode(Current.self, from: Data(contentsOf: file)).pids
    }

    /// Kills one process at once and waits until the supervisor has started another in its place.
    func killAndAwaitRestart(_ name: String) async throws {
        guard let pid = try pids()[name] else { throw TestFailure("no process is named \(name)") }
        kill(pid, SIGKILL)
        try await eventually("restart of \(name) after SIGKILL of \(pid)", within: .seconds(30)) {
            let current = try pids()[name]
            return current == nil || current == pid ? "pid \(String(describing: current))" : nil
        }
    }

    /// Stops everything in order, as Ctrl-C does.
    func stop() async throws {
        up.send(signal: SIGINT)
        let result = try await up.result(within: .seconds(60))
        await http.close()
        guard result.status == 0 else {
            throw TestFailure("orchestra up ended with \(result.status): \(result.errors.suffix(4000))")
        }
    }

    /// Ends the cluster without ceremony; for tests that have failed.
    func kill() { up.send(signal: SIGKILL) }

    private func kill(_ pid: Int32, _ signal: Int32) { _ = Foundation.kill(pid, signal) }
}

/// Runs `body` with a cluster in a fresh folder, stops it, and removes the folder unless something failed.
func withCluster(
    arguments: [String] = [], environment: [String: String] = [:], _ body: (Cluster) async throws -> Void
) async throws {
    let folder = try Files.temporaryFolder()
    let cluster = try await Cluster(folder: folder, arguments: arguments, environment: environment)
    do {
        try await body(cluster)
    } catch {
        cluster.kill()
        throw TestFailure("\(error)\n(the logs of the cluster are kept in \(folder.path)/data/logs)")
    }
    try await cluster.stop()
    try FileManager.default.removeItem(at: folder)
}

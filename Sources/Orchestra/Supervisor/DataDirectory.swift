import Foundation
import OrchestraCore

/// The directory that a cluster on one machine lives in, and the lock that keeps a second one out.
///
/// ```
/// .orchestra/
///   cluster.json    addresses and process ids while it runs
///   up.lock         held by the supervisor
///   broker/         the local broker's and registry's database
///   logs/           one file for each child
///   nodes/          the last generation of each node
/// ```
struct DataDirectory: Sendable {
    let path: String

    var clusterFile: String { path + "/cluster.json" }
    var brokerDirectory: String { path + "/broker" }
    var logDirectory: String { path + "/logs" }
    var nodeDirectory: String { path + "/nodes" }
    private var lockFile: String { path + "/up.lock" }

    init(path: String) {
        self.path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    }

    /// Makes the directory, with its parents, if it is not there.
    func make(_ subdirectory: String? = nil) throws(OrchestraError) {
        do {
            try FileManager.default.createDirectory(atPath: subdirectory ?? path, withIntermediateDirectories: true)
        } catch {
            throw OrchestraError(
                .badConfiguration, "cannot make the directory \(subdirectory ?? path): \(error.localizedDescription)",
                nextStep: "choose a directory that you may write to with --data-dir")
        }
    }

    /// Takes the lock of the cluster that runs here; the kernel frees it when the process ends, however it ends.
    ///
    /// - Throws: ``OrchestraError`` with `conflict` while another process holds it.
    func lock() throws(OrchestraError) -> DataDirectoryLock {
        let file = open(lockFile, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard file >= 0 else {
            throw OrchestraError(
                .badConfiguration, "cannot write in \(path): \(String(cString: strerror(errno)))",
                nextStep: "choose a directory that you may write to with --data-dir")
        }
        guard Self.takeLock(file) else {
            close(file)
            let holder = (try? ClusterState.read(from: self)).map { " (process \($0.pid))" } ?? ""
            throw OrchestraError(
                .conflict, "a cluster already runs on \(path)\(holder)",
                nextStep: "use it, stop it with Ctrl-C, or choose another --data-dir")
        }
        return DataDirectoryLock(file: file)
    }

    /// Tries for a moment: `run` and its like look at the lock by taking it.
    private static func takeLock(_ file: Int32) -> Bool {
        for attempt in 0..<10 {
            if attempt > 0 { usleep(20_000) }
            if flock(file, LOCK_EX | LOCK_NB) == 0 { return true }
        }
        return false
    }

    /// Whether a cluster runs here now.
    var isLocked: Bool {
        let file = open(lockFile, O_RDWR | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        return flock(file, LOCK_SH | LOCK_NB) != 0
    }
}

/// Holds the lock of a ``DataDirectory`` until it is let go of.
final class DataDirectoryLock: Sendable {
    private let file: Int32

    fileprivate init(file: Int32) {
        self.file = file
    }

    deinit {
        close(file)
    }
}

/// What `cluster.json` and `up --json` say about a running cluster.
struct ClusterState: Codable, Sendable, Equatable {
    /// Whether every process has been ready once.
    var ready: Bool
    var kafka: String
    var registry: String
    var gateways: [String]
    var silos: [String]
    /// Where the other processes answer `GET /metrics`, by name; gateways do so at their own address.
    var admin: [String: String]
    /// The children that run now, by name; a child that is being restarted is missing.
    var pids: [String: Int32]
    /// The supervisor.
    var pid: Int32
    var dataDirectory: String

    /// One line of JSON with its keys in a fixed order.
    func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(self)
    }

    /// Replaces the file in one step, so that a reader sees the old or the new one.
    func write(to directory: DataDirectory) throws {
        try json().write(to: URL(fileURLWithPath: directory.clusterFile), options: .atomic)
    }

    static func read(from directory: DataDirectory) throws -> ClusterState {
        try JSONDecoder().decode(
            ClusterState.self, from: Data(contentsOf: URL(fileURLWithPath: directory.clusterFile)))
    }

    /// The cluster that runs on a data directory, for commands that talk to it.
    ///
    /// - Throws: ``OrchestraError`` with `unavailable` if none runs.
    static func running(on directory: DataDirectory) throws(OrchestraError) -> ClusterState {
        guard directory.isLocked else {
            throw OrchestraError(
                .unavailable, "no cluster runs on \(directory.path)",
                nextStep: "start one with `make up` or `\(programName) up`, or name one with --gateway or --silo")
        }
        guard let state = try? read(from: directory) else {
            throw OrchestraError(
                .unavailable, "the cluster on \(directory.path) is still starting",
                nextStep: "try again once `up` says that it is ready")
        }
        return state
    }
}

import Foundation

/// The places that the tests of this target need.
enum Files {
    /// The root of the repository.
    static let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// The `orchestra` binary under test: the one that `BINARY_UNDER_TEST` names (`make test` names the release
    /// build), else the one of this debug build.
    static let orchestra: URL = {
        if let path = ProcessInfo.processInfo.environment["BINARY_UNDER_TEST"] { return URL(filePath: path) }
        return root.appending(path: ".build/debug/orchestra")
    }()

    /// The Python environment that `scripts/setup --tests` makes.
    static let python = root.appending(path: ".venv/bin/python")

    static let metrics = root.appending(path: "Tests/ClusterTests/metrics.py")
    static let ledger = root.appending(path: "Tests/ClusterTests/ledger.py")

    /// A new empty folder; the caller removes it.
    static func temporaryFolder() throws -> URL {
        let folder = FileManager.default.temporaryDirectory.appending(path: "orchestra-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder
    }
}

/// A failure of the test's own machinery, or a condition that did not come true.
struct TestFailure: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}

/// Waits until a condition holds.
///
/// - Parameters:
///   - what: names the phase and the entity for the error.
///   - limit: how long to wait.
///   - condition: returns `nil` when it holds, else what it saw instead.
func eventually(
    _ what: String, within limit: Duration, condition: () async throws -> String?
) async throws {
    let deadline = ContinuousClock.now + limit
    var seen = "nothing yet"
    while ContinuousClock.now < deadline {
        guard let unmet = try await condition() else { return }
        seen = unmet
        try await Task.sleep(for: .milliseconds(50))
    }
    throw TestFailure("\(what): not within \(limit); last seen: \(seen)")
}

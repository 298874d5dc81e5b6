import Foundation
import Testing

/// A folder that goes away with its owner.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/orchestra-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }
}

struct NeverHappened: Error, CustomStringConvertible {
    var description: String
}

/// Waits until a condition holds; fails after ten seconds with what was waited for.
func eventually(_ what: String, _ condition: () -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(10)
    while !condition() {
        guard ContinuousClock.now < deadline else { throw NeverHappened(description: "not within 10 s: \(what)") }
        try await Task.sleep(for: .milliseconds(10))
    }
}

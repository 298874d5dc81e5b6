import Avro

/// How a new schema must fit to the earlier ones of its subject.
enum CompatibilityLevel: String, Sendable, CaseIterable {
    case none = "NONE"
    /// The new schema reads the data of the latest one.
    case backward = "BACKWARD"
    case backwardTransitive = "BACKWARD_TRANSITIVE"
    /// The latest schema reads the data of the new one.
    case forward = "FORWARD"
    case forwardTransitive = "FORWARD_TRANSITIVE"
    /// Both.
    case full = "FULL"
    case fullTransitive = "FULL_TRANSITIVE"

    static let standard = CompatibilityLevel.backward

    /// Whether every earlier version counts, not only the latest.
    var isTransitive: Bool {
        switch self {
        case .backwardTransitive, .forwardTransitive, .fullTransitive: true
        case .none, .backward, .forward, .full: false
        }
    }

    private var readsOld: Bool {
        switch self {
        case .backward, .backwardTransitive, .full, .fullTransitive: true
        case .none, .forward, .forwardTransitive: false
        }
    }

    private var isReadByOld: Bool {
        switch self {
        case .forward, .forwardTransitive, .full, .fullTransitive: true
        case .none, .backward, .backwardTransitive: false
        }
    }

    /// What stands against `new` after `earlier`, in the words of the registry.
    ///
    /// - Parameter earlier: the versions to compare with, oldest first.
    func objections(to new: AvroSchema, after earlier: [(version: Int32, schema: AvroSchema)]) -> [String] {
        for (version, old) in (isTransitive ? earlier[...] : earlier.suffix(1)).reversed() {
            var messages: [String] = []
            if readsOld {
                messages += new.incompatibilities(readingDataOf: old).map { $0.message(reader: "new", writer: "old") }
            }
            if isReadByOld {
                messages += old.incompatibilities(readingDataOf: new).map { $0.message(reader: "old", writer: "new") }
            }
            guard messages.isEmpty else {
                return messages + [
                    "{oldSchemaVersion: \(version)}", "{oldSchema: '\(old.text)'}", "{compatibility: '\(rawValue)'}",
                ]
            }
        }
        return []
    }
}

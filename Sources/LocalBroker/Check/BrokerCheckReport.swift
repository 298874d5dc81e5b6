/// What ``BrokerCheck`` has found in a data folder.
package struct BrokerCheckReport: Sendable {
    /// Something that contradicts what the broker relies on.
    package struct Problem: Sendable, Hashable, CustomStringConvertible {
        /// "topic orders, partition 3, offset 17", "group billing".
        package var place: String
        package var what: String
        /// What a person can do about it.
        package var nextStep: String

        package var description: String { "\(place): \(what)" }
    }

    /// How much has been looked at.
    package struct Counts: Sendable {
        package var topics = 0
        package var partitions = 0
        package var batches = 0
        package var records = 0
        /// Bytes of record batches.
        package var bytes: Int64 = 0
        package var transactionalIDs = 0
        package var openTransactions = 0
        package var groups = 0
        package var groupOffsets = 0
    }

    /// Problems beyond this many are counted but not kept.
    static let maximumProblems = 1_000

    package private(set) var problems: [Problem] = []
    /// How many problems there are, kept or not.
    package private(set) var problemCount = 0
    /// Unusual, but allowed: what a person may want to know.
    package private(set) var notes: [String] = []
    package internal(set) var counts = Counts()

    package var isSound: Bool { problemCount == 0 }

    mutating func add(_ place: String, _ what: String, nextStep: String) {
        problemCount += 1
        guard problems.count < Self.maximumProblems else { return }
        problems.append(Problem(place: place, what: what, nextStep: nextStep))
    }

    mutating func note(_ text: String) {
        guard notes.count < Self.maximumProblems else { return }
        notes.append(text)
    }
}

/// What can be done about the kinds of problems.
enum CheckAdvice {
    static let restore = "restore the data folder from a copy, or move it away to start empty"
    static let dropRecords =
        "restore the data folder from a copy; or, if the records before it can be spared, start the broker and delete "
        + "them (kafka-delete-records), or delete the topic"
    static let dropTopic = "restore the data folder from a copy, or start the broker and delete the topic"
    static let initialize =
        "start the broker and let a producer with this transactional id begin anew (InitProducerId ends what is open)"
    static let report = "restore the data folder from a copy; and please report it: the broker should never write this"
}

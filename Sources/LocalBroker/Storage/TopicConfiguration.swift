/// The topic settings that this broker knows, and how they are checked.
struct TopicConfiguration: Sendable {
    enum Kind: Sendable {
        case int64(ClosedRange<Int64>)
        case choice([String])
        case list([String])
        case bool
        case ratio
    }

    struct Definition: Sendable {
        var name: String
        var defaultValue: String
        var kind: Kind
        var documentation: String
    }

    /// All settings. Those that only matter with segments or replicas are kept and shown, but have no effect here.
    static let definitions: [Definition] = [
        .init(
            name: "cleanup.policy", defaultValue: "delete", kind: .list(["delete", "compact"]),
            documentation: "delete old batches, keep only the newest record of each key (compact), or both"),
        .init(
            name: "compression.type", defaultValue: "producer", kind: .choice(["producer"]),
            documentation: "batches stay as their producer compressed them"),
        .init(
            name: "delete.retention.ms", defaultValue: "86400000", kind: .int64(0...Int64.max),
            documentation: "how long a compacted topic keeps tombstones"),
        .init(
            name: "file.delete.delay.ms", defaultValue: "60000", kind: .int64(0...Int64.max),
            documentation: "without effect"),
        .init(
            name: "flush.messages", defaultValue: "9223372036854775807", kind: .int64(1...Int64.max),
            documentation: "without effect: every commit is handed to the operating system"),
        .init(
            name: "flush.ms", defaultValue: "9223372036854775807", kind: .int64(0...Int64.max),
            documentation: "without effect: every commit is handed to the operating system"),
        .init(
            name: "max.compaction.lag.ms", defaultValue: "9223372036854775807", kind: .int64(1...Int64.max),
            documentation: "without effect: compaction runs all the time"),
        .init(
            name: "max.message.bytes", defaultValue: "1048588", kind: .int64(0...Int64(Int32.max)),
            documentation: "the largest record batch, compressed"),
        .init(
            name: "message.timestamp.type", defaultValue: "CreateTime", kind: .choice(["CreateTime", "LogAppendTime"]),
            documentation: "whose clock record timestamps come from"),
        .init(
            name: "min.cleanable.dirty.ratio", defaultValue: "0.5", kind: .ratio,
            documentation: "how much of a log must be uncompacted before it is compacted"),
        .init(
            name: "min.compaction.lag.ms", defaultValue: "0", kind: .int64(0...Int64.max),
            documentation: "how long a record stays uncompacted at least"),
        .init(
            name: "min.insync.replicas", defaultValue: "1", kind: .int64(1...1),
            documentation: "always 1: there is one broker"),
        .init(
            name: "retention.bytes", defaultValue: "-1", kind: .int64(-1...Int64.max),
            documentation: "how large a partition may get; -1: without limit"),
        .init(
            name: "retention.ms", defaultValue: "604800000", kind: .int64(-1...Int64.max),
            documentation: "how long batches are kept; -1: for ever"),
        .init(
            name: "segment.bytes", defaultValue: "1073741824", kind: .int64(14...Int64(Int32.max)),
            documentation: "without effect: batches are rows"),
        .init(
            name: "segment.ms", defaultValue: "604800000", kind: .int64(1...Int64.max),
            documentation: "without effect: batches are rows"),
        .init(
            name: "unclean.leader.election.enable", defaultValue: "false", kind: .bool,
            documentation: "without effect: there is one broker"),
    ]

    private static let byName = Dictionary(uniqueKeysWithValues: definitions.map { ($0.name, $0) })

    /// What was set, by name.
    private(set) var values: [String: String]
    // The settings that every batch or every round of maintenance needs, parsed once.
    private(set) var maximumMessageBytes = 0
    private(set) var usesLogAppendTime = false
    private(set) var isCompacted = false
    private(set) var deletesOldBatches = true
    private(set) var retentionMilliseconds: Int64 = -1
    private(set) var retentionBytes: Int64 = -1
    private(set) var deleteRetentionMilliseconds: Int64 = 0
    private(set) var minimumCompactionLagMilliseconds: Int64 = 0
    private(set) var minimumCleanableRatio = 0.5

    struct InvalidValue: Error {
        var message: String
    }

    /// - Throws: ``InvalidValue`` that names the setting, the value and what is allowed.
    init(_ values: [String: String]) throws(InvalidValue) {
        for (name, value) in values { try Self.check(name, value) }
        self.values = values
        func integer(_ name: String) -> Int64 { Int64(value(name)) ?? 0 }
        let policies = Self.items(of: value("cleanup.policy"))
        maximumMessageBytes = Int(integer("max.message.bytes"))
        usesLogAppendTime = value("message.timestamp.type") == "LogAppendTime"
        isCompacted = policies.contains("compact")
        deletesOldBatches = policies.contains("delete")
        retentionMilliseconds = integer("retention.ms")
        retentionBytes = integer("retention.bytes")
        deleteRetentionMilliseconds = integer("delete.retention.ms")
        minimumCompactionLagMilliseconds = integer("min.compaction.lag.ms")
        minimumCleanableRatio = Double(value("min.cleanable.dirty.ratio")) ?? 0.5
    }

    /// The value in force.
    func value(_ name: String) -> String { values[name] ?? Self.byName[name]?.defaultValue ?? "" }

    private static func check(_ name: String, _ value: String) throws(InvalidValue) {
        guard let definition = byName[name] else {
            throw InvalidValue(message: "Unknown topic config name: \(name)")
        }
        func invalid(_ allowed: String) -> InvalidValue {
            InvalidValue(message: "Invalid value '\(value)' for configuration \(name): \(allowed)")
        }
        switch definition.kind {
        case .int64(let range):
            guard let number = Int64(value), range.contains(number) else {
                throw invalid("it must be an integer from \(range.lowerBound) to \(range.upperBound)")
            }
        case .choice(let choices):
            guard choices.contains(value) else { throw invalid("it must be one of \(choices.joined(separator: ", "))") }
        case .list(let choices):
            let items = Self.items(of: value)
            guard !items.isEmpty, items.allSatisfy(choices.contains) else {
                throw invalid("it must be a list of \(choices.joined(separator: ", "))")
            }
        case .bool:
            guard value == "true" || value == "false" else { throw invalid("it must be true or false") }
        case .ratio:
            guard let ratio = Double(value), (0...1).contains(ratio) else {
                throw invalid("it must be a number from 0 to 1")
            }
        }
    }

    /// The items of a setting that is a list; nil if it is none.
    func items(of name: String) -> [String]? {
        guard case .list? = Self.byName[name]?.kind else { return nil }
        return Self.items(of: value(name))
    }

    static func items(of list: String) -> [String] {
        list.split { $0 == "," || $0 == " " }.map(String.init)
    }
}

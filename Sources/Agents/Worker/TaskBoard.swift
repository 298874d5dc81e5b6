import DequeModule
package import EventLog

/// Which records wait, which are being worked on, and what may be committed: the worker's decisions, without any I/O.
///
/// Fetching is paused for a partition whose window is full, and for all partitions while enough records wait; the
/// caller asks ``pausing()`` after every change. What waits is bounded by these limits plus one batch of the consumer.
///
/// A rebalance takes partitions away and often gives them back. A task that is still running then is not begun a second
/// time: its record, when it is read again, waits for the end of that run.
package struct TaskBoard: Sendable {
    /// The bounds of a board.
    package struct Limits: Sendable, Hashable {
        /// Unfinished records above a partition's low-water mark. Default 1,000.
        package var window: Int
        /// Records that wait for a free slot. Default 64.
        package var waitingRecords: Int
        /// Bytes of the records that wait. Default 8 MiB.
        package var waitingBytes: Int

        package init(window: Int = 1000, waitingRecords: Int = 64, waitingBytes: Int = 8 << 20) {
            self.window = max(window, 1)
            self.waitingRecords = max(waitingRecords, 1)
            self.waitingBytes = max(waitingBytes, 1)
        }
    }

    /// A record that is being worked on.
    package struct Ticket: Sendable, Hashable {
        package let record: ConsumedRecord
    }

    private struct Partition {
        var window = OffsetWindow()
        var isPaused = false
    }

    private let limits: Limits
    private var partitions: [TopicPartition: Partition] = [:]
    private var waiting: Deque<Ticket> = []
    private var waitingBytes = 0
    private var isFull = false
    /// The offsets of the records that are being worked on, also of partitions that were taken away meanwhile.
    private var running: [TopicPartition: Set<Int64>] = [:]

    package init(limits: Limits) {
        self.limits = limits
    }

    package var waitingCount: Int { waiting.count }

    /// These partitions are ours from now on.
    package mutating func assign(_ assigned: [TopicPartition]) {
        for partition in assigned { partitions[partition] = Partition() }
    }

    /// Drops what waits of these partitions; what is being worked on goes on and still counts for ``committable(in:)``.
    package mutating func drain(_ revoked: [TopicPartition]) {
        let revoked = Set(revoked)
        waiting.removeAll { revoked.contains($0.record.topicPartition) }
        waitingBytes = waiting.reduce(0) { $0 + TaskBoard.size($1.record) }
    }

    /// These partitions are no longer ours. What still runs of them goes on; it counts again if they come back.
    package mutating func remove(_ lost: [TopicPartition]) {
        drain(lost)
        for partition in lost { partitions[partition] = nil }
    }

    /// Gives everything up: the consumer is gone.
    package mutating func removeAll() {
        remove(Array(partitions.keys))
    }

    /// Takes a record in, unless it is a repetition or its partition is not ours.
    package mutating func add(_ record: ConsumedRecord) {
        let place = record.topicPartition
        guard partitions[place]?.window.begin(record.offset) == true else { return }
        // Still running since before a rebalance: the end of that run ends this record too.
        if running[place]?.contains(record.offset) == true { return }
        waiting.append(Ticket(record: record))
        waitingBytes += TaskBoard.size(record)
    }

    /// Takes the oldest waiting record to work on it.
    package mutating func take() -> Ticket? {
        guard let ticket = waiting.popFirst() else { return nil }
        waitingBytes -= TaskBoard.size(ticket.record)
        running[ticket.record.topicPartition, default: []].insert(ticket.record.offset)
        return ticket
    }

    /// Ends the work on a record.
    ///
    /// - Parameter isDone: whether its result is acknowledged. `false`: it was given up and must be read again.
    package mutating func finish(_ ticket: Ticket, isDone: Bool) {
        let place = ticket.record.topicPartition
        running[place]?.remove(ticket.record.offset)
        if running[place]?.isEmpty == true { running[place] = nil }
        if isDone { partitions[place]?.window.finish(ticket.record.offset) }
    }

    /// Whether anything of these partitions is still being worked on.
    package func isRunning(_ places: [TopicPartition]) -> Bool {
        places.contains { running[$0] != nil }
    }

    /// The next offsets to read that are not committed yet.
    ///
    /// - Parameter places: `nil`: all partitions.
    package func committable(in places: [TopicPartition]? = nil) -> [TopicPartition: Int64] {
        guard let places else { return partitions.compactMapValues(\.window.committable) }
        return Dictionary(uniqueKeysWithValues: Set(places).map { ($0, partitions[$0]?.window.committable) })
            .compactMapValues { $0 }
    }

    /// Notes that these next offsets have been committed.
    package mutating func committed(_ offsets: [TopicPartition: Int64]) {
        for (place, offset) in offsets { partitions[place]?.window.committed(offset) }
    }

    /// Which partitions to pause and to resume now. Fullness ends when half of the waiting records are gone, so that it
    /// does not flicker.
    package mutating func pausing() -> (pause: [TopicPartition], resume: [TopicPartition]) {
        if waiting.count >= limits.waitingRecords || waitingBytes >= limits.waitingBytes {
            isFull = true
        } else if waiting.count <= limits.waitingRecords / 2, waitingBytes <= limits.waitingBytes / 2 {
            isFull = false
        }
        var pause: [TopicPartition] = []
        var resume: [TopicPartition] = []
        for (place, partition) in partitions {
            let mustPause = isFull || partition.window.count >= limits.window
            guard mustPause != partition.isPaused else { continue }
            partitions[place]?.isPaused = mustPause
            if mustPause { pause.append(place) } else { resume.append(place) }
        }
        return (pause.sorted(), resume.sorted())
    }

    private static func size(_ record: ConsumedRecord) -> Int {
        (record.value?.count ?? 0) + (record.key?.count ?? 0) + 100
    }
}

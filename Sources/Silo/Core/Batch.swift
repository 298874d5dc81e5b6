package import EventLog
package import OrchestraCore
package import Records

/// What one transaction consumes. It is kept until the transaction has committed, so that it can be run again.
package struct Batch: Sendable {
    /// Records and ends of partitions, in the order in which they arrived.
    package var events: [IntakeEvent] = []
    package var calls: [PendingCall] = []
    package var timers: [TimerEntry] = []
    /// The error of the one input of this batch that makes its transaction fail.
    package var condemned: OrchestraError?
    /// Whether the batch is committed for its positions alone.
    package var commitsPositions = false

    package init() {}

    package var recordCount: Int { events.count { if case .record = $0 { true } else { false } } }
    package var inputCount: Int { recordCount + calls.count + timers.count }
    /// Only positions, at most: nothing that needs a transaction.
    package var isWithoutInput: Bool { recordCount == 0 && calls.isEmpty && timers.isEmpty }

    /// The next offset to read of each topic, after this batch.
    package func positions(from start: [String: Int64]) -> [String: Int64] {
        var result = start
        for event in events {
            switch event {
            case .record(let record): result[record.topicPartition.topic] = record.offset + 1
            case .endOfPartition(let source, let nextOffset):
                result[source.topic] = max(nextOffset, result[source.topic] ?? nextOffset)
            }
        }
        return result
    }

    /// Splits off the first input: a batch of its own, to find the one that makes a transaction fail.
    package mutating func takeFirstInput() -> Batch {
        var single = Batch()
        while !events.isEmpty {
            let event = events.removeFirst()
            single.events.append(event)
            if case .record = event { return single }
        }
        if !calls.isEmpty {
            single.calls = [calls.removeFirst()]
        } else if !timers.isEmpty {
            single.timers = [timers.removeFirst()]
        }
        return single
    }
}

/// A record's fate that needs no turn.
package struct DirectOutcome: Sendable {
    package enum Kind: Sendable {
        case deadLetter(code: String, reason: String)
        /// The teller hears that the command failed.
        case failure(GrainCommandRecord)
        /// The record belongs to another partition of its topic and goes there in the same transaction.
        case republish(partition: Int32)
    }

    package var record: ConsumedRecord
    package var kind: Kind
}

/// A batch, ready to run: turns grouped by grain, and what needs none.
package struct PreparedBatch: Sendable {
    package var inputs: [TurnInput] = []
    package var direct: [DirectOutcome] = []

    package init() {}

    /// Groups the inputs by grain. Each grain's are in the order of their arrival; grains are in the order of their
    /// first input.
    package func grouped() -> [(grain: GrainID, inputs: [TurnInput])] {
        var places: [GrainID: Int] = [:]
        var groups: [(grain: GrainID, inputs: [TurnInput])] = []
        for input in inputs {
            if let place = places[input.grain] {
                groups[place].inputs.append(input)
            } else {
                places[input.grain] = groups.count
                groups.append((input.grain, [input]))
            }
        }
        return groups
    }
}

import OrchestraCore
import Synchronization

/// Makes the ids of workflows that have no key. Those of one moment lie in one partition, then it is the next one's turn.
///
/// So what happens to workflows that began together is written together: their start events are one batch, so are their
/// states, and agents find their tasks and write their results side by side. With ids at random each of these would be a
/// batch of its own in some partition, and the number of batches is what a log costs. (Kafka's producers do the same with
/// records that have no key, for the same reason: KIP-480.)
final class WorkflowIDSource: Sendable {
    /// How long a partition's turn is.
    static let turnMilliseconds: Int64 = 5
    /// How many ids a turn has at most, so that a burst does not wait behind itself.
    static let maximumIDsOfTurn = 64

    private struct State {
        var rotation: PartitionRotation
        var turn: Int64 = .min
        var count = 0
    }

    private let partitionCount: Int32
    private let state: Mutex<State>

    /// - Parameters:
    ///   - partitionCount: of the topic of start events; less than 1 counts as 1.
    ///   - first: the partition to begin with. Default: any, so that gateways do not go in step.
    init(partitionCount: Int32, first: Int32 = .random(in: 0 ... .max)) {
        self.partitionCount = max(partitionCount, 1)
        state = Mutex(State(rotation: PartitionRotation(count: partitionCount, first: first)))
    }

    /// A new id: a UUID of version 7 (RFC 9562), so that ids sort by time.
    func next(now: Timestamp, using random: inout some RandomNumberGenerator) -> String {
        WorkflowIdentity.random(now: now, in: takeTurn(now), of: partitionCount, using: &random)
    }

    private func takeTurn(_ now: Timestamp) -> Int32 {
        let turn = now.millisecondsSinceEpoch / WorkflowIDSource.turnMilliseconds
        return state.withLock { state in
            if turn != state.turn || state.count >= WorkflowIDSource.maximumIDsOfTurn {
                state.rotation.advance()
                state.turn = turn
                state.count = 0
            }
            state.count += 1
            return state.rotation.current
        }
    }
}

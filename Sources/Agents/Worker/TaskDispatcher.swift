import DequeModule
import EventLog
import Synchronization

/// Hands the board's records to the slots that work on them, and wakes whoever waits for a change.
final class TaskDispatcher: Sendable {
    typealias Ticket = TaskBoard.Ticket

    fileprivate struct State {
        var board: TaskBoard
        var isClosed = false
        /// Slots without work, the one that has waited longest first.
        var slots: Deque<CheckedContinuation<Ticket?, Never>> = []
        /// The committer, while nothing is to be committed.
        var committer: CheckedContinuation<Bool, Never>?
    }

    private let state: Mutex<State>

    init(limits: TaskBoard.Limits) {
        state = Mutex(State(board: TaskBoard(limits: limits)))
    }

    /// The next record to work on. Suspends while there is none.
    ///
    /// - Returns: `nil` once the dispatcher is closed.
    func next() async -> Ticket? {
        await withCheckedContinuation { continuation in
            let ticket: Ticket?? = state.withLock { state in
                if state.isClosed { return .some(nil) }
                if let ticket = state.board.take() { return ticket }
                state.slots.append(continuation)
                return nil
            }
            if let ticket { continuation.resume(returning: ticket) }
        }
    }

    /// Changes the board, then wakes the slots that have work now and the committer.
    func update<Result: Sendable>(_ change: @Sendable (inout TaskBoard) -> Result) -> Result {
        let (result, wakeUps, committer) = state.withLock { state in
            let result = change(&state.board)
            var wakeUps: [(CheckedContinuation<Ticket?, Never>, Ticket)] = []
            while !state.isClosed, !state.slots.isEmpty, let ticket = state.board.take() {
                wakeUps.append((state.slots.removeFirst(), ticket))
            }
            return (result, wakeUps, state.takeCommitter())
        }
        for (slot, ticket) in wakeUps { slot.resume(returning: ticket) }
        committer?.resume(returning: true)
        return result
    }

    func read<Result: Sendable>(_ body: @Sendable (TaskBoard) -> Result) -> Result {
        state.withLock { body($0.board) }
    }

    /// Suspends until something can be committed.
    ///
    /// - Returns: `false` once the dispatcher is closed.
    func progress() async -> Bool {
        await withCheckedContinuation { continuation in
            let answer: Bool? = state.withLock { state in
                if state.isClosed { return false }
                if !state.board.committable().isEmpty { return true }
                state.committer = continuation
                return nil
            }
            if let answer { continuation.resume(returning: answer) }
        }
    }

    /// No more work: slots end with what they have in hand. What waits is dropped; it will be read again.
    func close() {
        let (slots, committer) = state.withLock { state in
            state.isClosed = true
            defer {
                state.slots = []
                state.committer = nil
            }
            return (state.slots, state.committer)
        }
        for slot in slots { slot.resume(returning: nil) }
        committer?.resume(returning: false)
    }
}

extension TaskDispatcher.State {
    fileprivate mutating func takeCommitter() -> CheckedContinuation<Bool, Never>? {
        guard committer != nil, !board.committable().isEmpty else { return nil }
        defer { committer = nil }
        return committer
    }
}

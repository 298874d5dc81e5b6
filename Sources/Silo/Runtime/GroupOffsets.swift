package import EventLog
package import Logging
import Synchronization

/// Tells the silos' consumer group once in a while how far their partitions have been read.
///
/// Only tools that show a group's lag look at it: `\0progress` is the authority (see ``PartitionRuntime``). So it may be
/// late, it is not part of the transactions, and nothing waits for it.
package final class GroupOffsets: Sendable {
    /// Commits offsets for the group.
    package typealias Commit = @Sendable ([TopicPartition: Int64]) async throws(EventLogError) -> Void

    private struct State {
        /// What the group has yet to learn.
        var offsets: [TopicPartition: Int64] = [:]
        var isFailing = false
    }

    private let interval: Duration
    private let clocks: Clocks
    private let logger: Logger
    private let commit: Commit
    private let state = Mutex(State())

    /// - Parameter interval: how old the group's offsets may be.
    package init(
        interval: Duration = .seconds(5), clocks: Clocks, logger: Logger, commit: @escaping Commit
    ) {
        self.interval = interval
        self.clocks = clocks
        self.logger = logger
        self.commit = commit
    }

    /// Takes note of what a transaction has committed.
    package func note(_ offsets: [TopicPartition: Int64]) {
        guard !offsets.isEmpty else { return }
        state.withLock { $0.offsets.merge(offsets) { _, later in later } }
    }

    /// Reports until the task is cancelled.
    package func run() async {
        while !Task.isCancelled {
            // Ends early only when the silo stops.
            try? await clocks.sleep(interval)
            await report()
        }
    }

    /// Tells the group what it does not know. What can not be told waits for the next time.
    package func report() async {
        let offsets = state.withLock { state in
            defer { state.offsets = [:] }
            return state.offsets
        }
        guard !offsets.isEmpty else { return }
        do throws(EventLogError) {
            try await commit(offsets)
            state.withLock { $0.isFailing = false }
        } catch {
            let isFirst = state.withLock { state in
                state.offsets.merge(offsets) { later, _ in later }
                defer { state.isFailing = true }
                return !state.isFailing
            }
            logger.log(
                level: isFirst && error.kind != .closed ? .warning : .debug,
                "the consumer group's offsets are behind: tools show a lag that is none",
                metadata: ["error": "\(error)"])
        }
    }
}

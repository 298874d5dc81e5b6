import Logging
package import OrchestraCore

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// What the partitions of a silo share.
struct PartitionContext: Sendable {
    var catalog: GrainCatalog
    var origin: BatchOrigin
    var generation: Int64
    /// The silo's own, which goes into its claims.
    var transactionalID: String
    var retries: RetryPolicy
    /// Gets rivals out of the way.
    var succession: any Succession
    /// Takes the calls of turns to other grains.
    var calls: any GrainCallHandler
    /// Without it nothing is answered from memory.
    var lease: ServingLease
    var budget: StateBudget
    var metrics: SiloMetrics
    var clocks: Clocks
    /// Is asked for when there is something new for time to look after.
    var attention: Attention
    /// How long the changelogs keep tombstones.
    var tombstoneRetention: Duration
    /// Bounds how many partitions restore at a time.
    var restoreGate: Gate
    /// Bounds how fast they do; `nil`: as fast as can be.
    var restorePace: RestorePace?
    /// Where turns run; `nil`: where Swift runs them.
    var executor: (any TaskExecutor)?
    var logger: Logger
}

/// Where a silo gets the time from, and how it lets time pass.
package struct Clocks: Sendable {
    package var wall: @Sendable () -> Timestamp
    package var monotonic: @Sendable () -> ContinuousClock.Instant
    /// Throws `CancellationError` at once when the task is cancelled.
    package var sleep: @Sendable (Duration) async throws -> Void

    package init(
        wall: @escaping @Sendable () -> Timestamp, monotonic: @escaping @Sendable () -> ContinuousClock.Instant,
        sleep: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
    ) {
        self.wall = wall
        self.monotonic = monotonic
        self.sleep = sleep
    }

    /// The machine's own.
    package static let system = Clocks(
        wall: {
            var time = timespec()
            clock_gettime(CLOCK_REALTIME, &time)
            return Timestamp(millisecondsSinceEpoch: Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000)
        }, monotonic: { ContinuousClock.now })
}

import OrchestraCore
import Synchronization

/// Bounds how fast a silo reads changelogs from their beginning, for all its partitions together: so that a silo that
/// joins or restarts leaves the broker and the network room for those that serve.
///
/// What it owes is paid after each page by waiting. Time in which nothing was read is not saved up.
package final class RestorePace: Sendable {
    private let bytesPerSecond: Int
    private let clocks: Clocks
    /// When all that has been read would have been read at this pace.
    private let paidUntil: Mutex<ContinuousClock.Instant>

    /// - Parameter bytesPerSecond: at least 1.
    package init(bytesPerSecond: Int, clocks: Clocks) {
        self.bytesPerSecond = max(bytesPerSecond, 1)
        self.clocks = clocks
        paidUntil = Mutex(clocks.monotonic())
    }

    /// Waits as long as so many bytes take, together with what others have read; not at all in a task that is cancelled.
    package func spend(bytes: Int) async {
        let now = clocks.monotonic()
        let cost = Duration.nanoseconds(Int64(Double(bytes) / Double(bytesPerSecond) * 1e9))
        let wait = paidUntil.withLock { paidUntil in
            paidUntil = max(paidUntil, now).advanced(by: cost)
            return now.duration(to: paidUntil)
        }
        // Shorter sleeps than this cost more than they spread.
        guard wait >= .milliseconds(1) else { return }
        try? await clocks.sleep(wait)
    }
}

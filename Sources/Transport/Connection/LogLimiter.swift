package import NIOCore
import Synchronization

/// Lets one log line a minute through for each peer, so that a peer that knocks all day does not fill the disk.
package final class LogLimiter: Sendable {
    private static let interval = TimeAmount.minutes(1)
    private static let maximumPeers = 1024
    private let lastLines = Mutex<[String: (at: NIODeadline, suppressed: Int)]>([:])

    package init() {}

    /// - Returns: `nil` when this peer had its line within the last minute, else how many lines were left out since.
    package func admit(_ peer: String, now: NIODeadline = .now()) -> Int? {
        lastLines.withLock { lines in
            if let last = lines[peer], now - last.at < LogLimiter.interval {
                lines[peer] = (last.at, last.suppressed + 1)
                return nil
            }
            let suppressed = lines[peer]?.suppressed ?? 0
            // Forgetting everybody costs at most one more line for each, and keeps the table bounded.
            if lines.count >= LogLimiter.maximumPeers { lines = [:] }
            lines[peer] = (now, 0)
            return suppressed
        }
    }
}

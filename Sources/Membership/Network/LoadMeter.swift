import Foundation
import Membership

/// Measures how busy this process is: the processor time that it takes, as a share of the cores that it may use.
///
/// A mean that halves the weight of the past with every sample, so that a moment's work is no news to a whole cluster.
struct LoadMeter {
    private let coreCount: Int
    private var last: (processorTime: Duration, at: Moment)?
    private var mean: Double?

    /// - Parameter coreCount: of the machine or the container, at least 1.
    init(coreCount: Int) { self.coreCount = max(1, coreCount) }

    /// - Parameters:
    ///   - processorTime: what the process has used since its start, all threads together.
    ///   - now: the time of a clock that does not stop.
    /// - Returns: 0 (idle) to 255 (all cores); `nil` for the first sample, which there is nothing to compare with.
    mutating func sample(processorTime: Duration, at now: Moment) -> UInt8? {
        defer { last = (processorTime, now) }
        guard let last, now > last.at else { return nil }
        let share = (processorTime - last.processorTime) / (now - last.at) / Double(coreCount)
        let mean = self.mean.map { ($0 + share) / 2 } ?? share
        self.mean = mean
        return UInt8(min(max(mean, 0), 1) * 255)
    }

    /// What this process has used so far.
    static func processorTime() -> Duration {
        var time = timespec()
        // Fails only for a clock that does not exist.
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }
}

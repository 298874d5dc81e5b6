import Membership
import SeededRandom

/// What the simulated network does to what is sent: latency, loss, cuts, partitions.
///
/// Connections are TCP: loss shows as latency. A lost segment is sent again after 200 ms, then after twice as long
/// each time; what follows on the connection waits; a connection that gets nothing through for ``userTimeout`` breaks.
package struct NetworkConditions {
    /// One way, in microseconds.
    package var latency: ClosedRange<Int64> = 200...800
    /// The least retransmission time-out, and that of the first segment of a connection, in microseconds.
    package var retransmission: Int64 = 200_000
    package var connectRetransmission: Int64 = 1_000_000
    /// In microseconds.
    package var userTimeout: Int64 = 5_000_000

    /// The probability of losing a segment that a node sends or receives.
    package var lossOut: [Double]
    package var lossIn: [Double]
    /// Added to the latency of what a node sends or receives, in microseconds.
    package var extraDelay: [Int64]
    /// Nodes in different groups cannot reach each other.
    package var group: [Int]
    /// Directed pairs (from · 2³² + to) that lose everything.
    package var cuts: Set<UInt64> = []

    package init(nodeCount: Int) {
        lossOut = Array(repeating: 0, count: nodeCount)
        lossIn = lossOut
        extraDelay = Array(repeating: 0, count: nodeCount)
        group = Array(repeating: 0, count: nodeCount)
    }

    package static func pair(_ from: Int, _ to: Int) -> UInt64 { UInt64(from) << 32 | UInt64(to) }

    package func loss(from: Int, to: Int) -> Double {
        if group[from] != group[to] { return 1 }
        if !cuts.isEmpty, cuts.contains(Self.pair(from, to)) { return 1 }
        return 1 - (1 - lossOut[from]) * (1 - lossIn[to])
    }

    package func canExchange(_ first: Int, _ second: Int) -> Bool {
        loss(from: first, to: second) < 0.5 && loss(from: second, to: first) < 0.5
    }

    /// - Returns: how long one segment is under way, or `nil` if it does not arrive before the connection breaks.
    func delay(from: Int, to: Int, isFirst: Bool = false, random: inout SeededGenerator) -> Int64? {
        let span = Int(latency.upperBound - latency.lowerBound) + 1
        var total = latency.lowerBound + Int64(random.below(span)) + extraDelay[from] + extraDelay[to]
        let loss = loss(from: from, to: to)
        guard loss > 0 else { return total }
        guard loss < 1 else { return nil }
        var timeout = isFirst ? connectRetransmission : retransmission
        while random.fraction() < loss {
            total += timeout
            timeout *= 2
            if total > userTimeout { return nil }
        }
        return total
    }

    package mutating func heal() {
        for index in group.indices {
            lossOut[index] = 0
            lossIn[index] = 0
            extraDelay[index] = 0
            group[index] = 0
        }
        cuts = []
    }
}

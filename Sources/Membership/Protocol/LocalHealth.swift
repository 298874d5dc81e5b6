/// Lifeguard's local health multiplier: a node whose own probes fail, or that must refute suspicions of itself, first
/// doubts itself. It then probes more slowly and waits longer, so that a slow node does not accuse healthy ones.
///
/// Source: Dadgar, Phillips, Currey, "Lifeguard: Local Health Awareness for More Accurate Failure Detection", 2018.
package struct LocalHealth: Sendable, Equatable {
    /// 0 (healthy) to ``maximum``.
    package private(set) var score = 0
    package let maximum: Int

    package init(maximum: Int) { self.maximum = maximum }

    /// What timeouts and intervals are multiplied with: 1 to `maximum + 1`.
    package var multiplier: Int { score + 1 }

    package mutating func improve() { score = max(0, score - 1) }
    package mutating func worsen() { score = min(maximum, score + 1) }
}

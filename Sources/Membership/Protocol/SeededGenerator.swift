/// SplitMix64: a small generator whose whole sequence follows from its seed, so that a run can be repeated.
///
/// The protocol takes this type rather than any generator, so that nothing in it can reach the system's.
package struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        return mixed(state)
    }

    /// - Returns: a number from 0 to `bound - 1`; 0 when the bound is not positive.
    package mutating func below(_ bound: Int) -> Int {
        bound > 1 ? Int(next() % UInt64(bound)) : 0
    }

    /// - Returns: a number from 0 (included) to 1 (excluded).
    package mutating func fraction() -> Double { Double(next() >> 11) / Double(1 << 53) }

    /// - Returns: the duration, longer or shorter by up to `part` of it.
    package mutating func jittered(_ duration: Duration, by part: Double = 0.1) -> Duration {
        duration.scaled(by: 1 + part * (2 * fraction() - 1))
    }

    package mutating func shuffle<Element>(_ elements: inout [Element]) {
        guard elements.count > 1 else { return }
        for index in stride(from: elements.count - 1, to: 0, by: -1) {
            elements.swapAt(index, below(index + 1))
        }
    }
}

/// SplitMix64: a small generator whose whole sequence follows from its seed, so that a run can be repeated.
///
/// The membership protocol takes this type rather than any generator, so that nothing in it can reach the system's.
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

    /// - Returns: `true` in so many of a hundred cases.
    package mutating func chance(_ percent: Int) -> Bool { below(100) < percent }

    /// - Returns: a number from 0 (included) to 1 (excluded).
    package mutating func fraction() -> Double { Double(next() >> 11) / Double(1 << 53) }

    package mutating func shuffle<Element>(_ elements: inout [Element]) {
        guard elements.count > 1 else { return }
        for index in stride(from: elements.count - 1, to: 0, by: -1) {
            elements.swapAt(index, below(index + 1))
        }
    }
}

/// The finaliser of SplitMix64: every bit of the result depends on every bit of the value.
@inlinable
package func mixed(_ value: UInt64) -> UInt64 {
    var bits = value
    bits = (bits ^ (bits >> 30)) &* 0xbf58_476d_1ce4_e5b9
    bits = (bits ^ (bits >> 27)) &* 0x94d0_49bb_1331_11eb
    return bits ^ (bits >> 31)
}

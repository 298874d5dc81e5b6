/// What the command line of a fuzzer says: `[--seed S] [--count N] [--from INDEX]`.
package struct FuzzArguments: Sendable {
    /// Case i depends on the seed and on i alone.
    package var seed: UInt64 = 1
    package var count: UInt64 = 1_000_000
    /// The index of the first case.
    package var from: UInt64 = 0

    package init(_ words: [String]) {
        for (option, value) in zip(words.dropFirst(), words.dropFirst(2)) {
            switch option {
            case "--seed": seed = UInt64(value) ?? seed
            case "--count": count = UInt64(value) ?? count
            case "--from": from = UInt64(value) ?? from
            default: continue
            }
        }
    }

    package var indexes: Range<UInt64> { from..<(from + count) }

    /// What the case's generator begins with.
    package func seed(of index: UInt64) -> UInt64 { seed &* 0x9e37_79b9_7f4a_7c15 &+ index }
}

/// What was found wrong.
package struct FuzzFailure: Error, CustomStringConvertible {
    package var description: String
    package init(_ description: String) { self.description = description }
}

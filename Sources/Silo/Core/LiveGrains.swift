package import OrchestraCore

/// Decoded grains, so that a busy grain is not decoded at every turn. Bounded in number and bytes: two generations,
/// the older one is dropped when the younger one has grown to half the limit; a grain that is used moves to the
/// younger.
package struct LiveGrains: Sendable {
    private struct Generation: Sendable {
        var grains: [GrainID: (value: any Grain, size: Int)] = [:]
        var bytes = 0

        /// Puts a grain in that is not there.
        mutating func insert(_ value: any Grain, _ grain: GrainID, size: Int) {
            grains[grain] = (value, size)
            bytes += size
        }

        /// - Returns: whether the grain is there and the new value fits in.
        mutating func replace(_ value: any Grain, _ grain: GrainID, size: Int, limit: Int) -> Bool {
            guard let place = grains.index(forKey: grain) else { return false }
            let growth = size - grains.values[place].size
            guard bytes + growth <= limit else { return false }
            grains.values[place] = (value, size)
            bytes += growth
            return true
        }

        @discardableResult
        mutating func remove(_ grain: GrainID) -> (value: any Grain, size: Int)? {
            guard let removed = grains.removeValue(forKey: grain) else { return nil }
            bytes -= removed.size
            return removed
        }
    }

    private var young = Generation()
    private var old = Generation()
    private let generationCount: Int
    private let generationBytes: Int

    /// - Parameters:
    ///   - limit: how many grains.
    ///   - byteLimit: how many bytes of encoded state they may stand for.
    package init(limit: Int, byteLimit: Int) {
        generationCount = max(limit / 2, 1)
        generationBytes = max(byteLimit / 2, 1)
    }

    /// With the same bounds, and nothing in it.
    package func emptied() -> LiveGrains {
        var result = self
        (result.young, result.old) = (Generation(), Generation())
        return result
    }

    package var count: Int { young.grains.count + old.grains.count }
    package var bytes: Int { young.bytes + old.bytes }

    /// The decoded state of a grain, if it is at hand.
    package mutating func use(_ grain: GrainID) -> (any Grain)? {
        if let entry = young.grains[grain] { return entry.value }
        guard let entry = old.remove(grain) else { return nil }
        insert(entry.value, grain, size: entry.size)
        return entry.value
    }

    /// - Parameter size: the encoded state in bytes, before compression.
    package mutating func keep(_ value: any Grain, _ grain: GrainID, size: Int) {
        if young.replace(value, grain, size: size, limit: generationBytes) { return }
        remove(grain)
        insert(value, grain, size: size)
    }

    /// Drops what has not been used since the last time, or the time before.
    ///
    /// - Returns: how many.
    @discardableResult
    package mutating func age() -> Int {
        let dropped = old.grains.count
        (old, young) = (young, Generation())
        return dropped
    }

    package mutating func remove(_ grain: GrainID) {
        young.remove(grain)
        old.remove(grain)
    }

    private mutating func insert(_ value: any Grain, _ grain: GrainID, size: Int) {
        if young.grains.count >= generationCount || young.bytes + size > generationBytes {
            old = young
            young = Generation()
        }
        // One that alone exceeds the bound is decoded each time instead.
        guard size <= generationBytes else { return }
        young.insert(value, grain, size: size)
    }
}

package import OrchestraCore

/// Decoded grains, so that a busy grain is not decoded at every turn. Bounded: two generations, the older one is
/// dropped when the younger one has grown to half the limit; a grain that is used moves to the younger.
package struct LiveGrains: Sendable {
    private var young: [GrainID: any Grain] = [:]
    private var old: [GrainID: any Grain] = [:]
    private let generationSize: Int

    package init(limit: Int) {
        generationSize = max(limit / 2, 1)
    }

    package var count: Int { young.count + old.count }

    package subscript(grain: GrainID) -> (any Grain)? {
        mutating get {
            if let value = young[grain] { return value }
            guard let value = old.removeValue(forKey: grain) else { return nil }
            insert(value, grain)
            return value
        }
        set {
            old[grain] = nil
            if let newValue { insert(newValue, grain) } else { young[grain] = nil }
        }
    }

    private mutating func insert(_ value: any Grain, _ grain: GrainID) {
        if young.count >= generationSize {
            old = young
            young = [:]
        }
        young[grain] = value
    }
}

import SeededRandom

/// Damage to valid bytes.
enum Mutation {
    static func apply(to valid: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
        var bytes = valid
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            let place = Int.random(in: 0...bytes.count, using: &random)
            switch Int.random(in: 0..<7, using: &random) {
            case 0: bytes.removeSubrange(place...)
            case 1: bytes.insert(UInt8.random(in: .min ... .max, using: &random), at: place)
            case 2 where place < bytes.count: bytes.remove(at: place)
            case 3 where place < bytes.count: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 4 where place < bytes.count:
                bytes[place] = [0x00, 0x01, 0x7f, 0x80, 0xff].randomElement(using: &random)!
            case 5:
                // The largest lengths and counts, and the most negative ones.
                let first: UInt8 = Bool.random(using: &random) ? 0xfe : 0xff
                bytes.insert(contentsOf: [first] + [UInt8](repeating: 0xff, count: 8) + [0x01], at: place)
            default: bytes.append(contentsOf: valid.prefix(place))
            }
        }
        return bytes
    }
}

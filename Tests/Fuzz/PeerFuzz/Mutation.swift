import Membership
import SeededRandom

extension SeededGenerator {
    mutating func byte() -> UInt8 { UInt8(truncatingIfNeeded: next()) }

    mutating func bytes(upTo bound: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        let count = below(bound)
        bytes.reserveCapacity(count)
        for _ in 0..<count { bytes.append(byte()) }
        return bytes
    }

    /// Changes, cuts, extends or repeats.
    mutating func mutate(_ bytes: inout [UInt8]) {
        guard !bytes.isEmpty else { return bytes.append(byte()) }
        let place = below(bytes.count)
        switch below(8) {
        case 0: bytes[place] ^= 1 << UInt8(below(8))
        case 1: bytes[place] = byte()
        case 2: bytes.removeSubrange(place...)
        case 3: bytes.insert(byte(), at: place)
        case 4: bytes.remove(at: place)
        case 5: bytes.append(contentsOf: bytes[place...])
        // What lengths and counts are made of, at its extremes.
        case 6: for offset in place..<min(place + 4, bytes.count) { bytes[offset] = 0xff }
        default: bytes[place] = [0, 1, 0x7f, 0x80, 0xfe][below(5)]
        }
    }
}

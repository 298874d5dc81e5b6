#if DEBUG
    import SeededRandom

    /// How many cases were taken as valid: none at all would mean that the fuzzer tests nothing but the first check.
    struct FuzzTally {
        var requests = 0
        var batches = 0
    }

    extension SeededGenerator {
        /// A byte as lengths, counts and flags are made of: mostly small, sometimes extreme.
        mutating func lengthLikeByte() -> UInt8 {
            switch below(20) {
            case 0..<9: return 0
            case 9..<13: return 1
            case 13..<15: return 2
            case 15: return 3
            case 16: return UInt8(below(12))
            case 17: return 0xff
            case 18: return 0x7f
            default: return UInt8(truncatingIfNeeded: next())
            }
        }

        /// Changes a few bytes, cuts or extends.
        mutating func mutate(_ bytes: inout [UInt8]) {
            for _ in 0...below(4) {
                guard !bytes.isEmpty else { return bytes.append(lengthLikeByte()) }
                let place = below(bytes.count)
                switch below(8) {
                case 0: bytes[place] = UInt8(truncatingIfNeeded: next())
                case 1: bytes[place] ^= 1 << UInt8(below(8))
                case 2: bytes[place] = lengthLikeByte()
                case 3: bytes.removeLast(1 + below(min(bytes.count, 9)))
                case 4: bytes.insert(lengthLikeByte(), at: place)
                case 5: bytes.remove(at: place)
                case 6:
                    for offset in place..<min(place + 4, bytes.count) { bytes[offset] = offset == place ? 0x7f : 0xff }
                default:
                    for offset in place..<min(place + 4, bytes.count) { bytes[offset] = 0xff }
                }
            }
        }
    }
#endif

/// What a Unicode scalar means for finding words and sentences. Coarser than Unicode's own tables, and fast.
enum ScalarKind {
    case space
    /// Part of a word in a script that puts spaces between words.
    case letter
    case digit
    /// A character of a script without spaces between words: Han, Kana, Thai, Lao, Khmer, Burmese, Tibetan.
    case unspaced
    case other

    init(_ scalar: UInt32) {
        switch scalar {
        case 0x41...0x5a, 0x61...0x7a: self = .letter
        case 0x30...0x39: self = .digit
        case 0x09...0x0d, 0x20: self = .space
        case 0..<0x80: self = .other
        case 0x85, 0xa0, 0x1680, 0x2000...0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000: self = .space
        case 0xc0...0x24f: self = scalar == 0xd7 || scalar == 0xf7 ? .other : .letter
        case 0x300...0x36f: self = .letter
        case 0x0964, 0x0965, 0x0df4, 0x0e2f, 0x0e5a, 0x0e5b, 0x104a...0x104f, 0x17d4...0x17da, 0x0f08...0x0f14:
            self = .other
        // In Indic scripts vowel signs and viramas belong to the word, though Unicode does not call all alphabetic.
        case 0x0900...0x0dff: self = .letter
        case 0x0e00...0x0eff, 0x0f00...0x109f, 0x1780...0x17ff: self = .unspaced
        case 0x3005...0x3007, 0x3040...0x30fa, 0x30fc...0x31ff, 0x3400...0x4dbf, 0x4e00...0x9fff, 0xf900...0xfaff,
            0xff66...0xff9f, 0x20000...0x3ffff:
            self = .unspaced
        case 0x2010...0x2bff, 0x3001...0x303f, 0xfe00...0xfe6f, 0x1f000...0x1faff: self = .other
        default:
            guard let scalar = Unicode.Scalar(scalar), scalar.properties.isAlphabetic else {
                self = .other
                return
            }
            self = .letter
        }
    }

    var isWord: Bool {
        switch self {
        case .letter, .digit, .unspaced: true
        case .space, .other: false
        }
    }
}

extension [UInt8] {
    /// The scalar that begins at `index`, and its length in bytes. The bytes are UTF-8 out of a `String`; should
    /// they be cut off or wrong all the same, the replacement character of length 1 comes back.
    @inline(__always)
    func scalar(at index: Int) -> (value: UInt32, length: Int) {
        let first = self[index]
        guard first >= 0x80 else { return (UInt32(first), 1) }
        let length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2
        guard first >= 0xc0, index + length <= count else { return (0xfffd, 1) }
        var value = UInt32(first) & (0x7f >> UInt32(length))
        for offset in 1..<length { value = value << 6 | UInt32(self[index + offset] & 0x3f) }
        return (value, length)
    }

    /// Where the scalar that ends before `index` begins.
    func startOfScalar(before index: Int) -> Int {
        var start = index - 1
        while start > 0, self[start] & 0xc0 == 0x80 { start -= 1 }
        return start
    }
}

/// A scalar's lower case, exact for ASCII and right for most of Latin, Greek and Cyrillic: enough to recognise a word at
/// the beginning of a sentence.
func foldCase(_ scalar: UInt32) -> UInt32 {
    switch scalar {
    case 0x41...0x5a: scalar + 0x20
    case 0..<0xc0: scalar
    case 0xc0...0xde where scalar != 0xd7: scalar + 0x20
    case 0x100...0x17f: scalar | 1
    case 0x391...0x3a9: scalar + 0x20
    case 0x400...0x40f: scalar + 0x50
    case 0x410...0x42f: scalar + 0x20
    default: scalar
    }
}

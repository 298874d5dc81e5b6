/// Weighted rendezvous hashing: each silo draws an exponentially distributed cost for each partition, with its
/// weight as the rate, and the lowest cost is the best match. A silo is the best of a partition with probability
/// weight ÷ sum of weights, whatever the others are.
///
/// The cost −ln(u)/w is the reciprocal of the score −w/ln(u) of Schindelhauer and Schomaker ("Weighted distributed
/// hash tables", SPAA 2005) and of the Internet draft draft-ietf-bess-weighted-hrw, so it orders the silos alike.
///
/// All machines must come to the same order. The hash is integer arithmetic. The cost uses only +, −, × and ÷, which
/// IEEE 754 rounds in one way, in an order that Swift may not change or fuse; no library's logarithm is asked.
enum Rendezvous {
    /// The finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): a
    /// bijection in which each bit of the argument changes each bit of the result with a probability near one half.
    static func mix(_ value: UInt64) -> UInt64 {
        var bits = value
        bits = (bits ^ (bits >> 30)) &* 0xbf58_476d_1ce4_e5b9
        bits = (bits ^ (bits >> 27)) &* 0x94d0_49bb_1331_11eb
        return bits ^ (bits >> 31)
    }

    /// The increment of SplitMix64: 2^64 divided by the golden ratio, made odd.
    static let increment: UInt64 = 0x9e37_79b9_7f4a_7c15

    /// Where the stream of a silo's draws starts: its id's bytes, eight at a time and little-endian, each word mixed in.
    static func seed(of id: String) -> UInt64 {
        var hash = UInt64(id.utf8.count) &* increment
        var word: UInt64 = 0
        var filled: UInt64 = 0
        for byte in id.utf8 {
            word |= UInt64(byte) << (8 * filled)
            filled += 1
            guard filled == 8 else { continue }
            hash = mix(hash ^ word)
            word = 0
            filled = 0
        }
        return mix(hash ^ word)
    }

    /// The draw of a silo for a partition: number `partition` of the SplitMix64 stream that starts at the silo's seed.
    static func draw(seed: UInt64, partition: Int) -> UInt64 {
        mix(seed &+ (UInt64(truncatingIfNeeded: partition) &+ 1) &* increment)
    }

    /// A number above 0 and below 1 from the upper 52 bits: the middle of one of 2^52 equal intervals, exactly.
    static func unit(_ bits: UInt64) -> Double {
        (Double(bits >> 12) + 0.5) * 0x1p-52
    }

    /// A second draw of a silo, above 0 and below 1, that no partition shares.
    static func ownDraw(seed: UInt64) -> Double { unit(mix(~seed)) }

    /// −ln(u) for `u` above 0 and below 1, with a relative error below 1e-14.
    ///
    /// u = 2^e · m with m in (0.75, 1.5]; ln m = 2 (s + s³/3 + s⁵/5 + …) with s = (m − 1) / (m + 1).
    static func negativeLogarithm(_ u: Double) -> Double {
        var exponent = Double(u.exponent)
        var mantissa = u.significand
        if mantissa > 1.5 {
            mantissa *= 0.5
            exponent += 1
        }
        let ratio = (mantissa - 1) / (mantissa + 1)
        let square = ratio * ratio
        var series = 1.0 / 23
        series = series * square + 1.0 / 21
        series = series * square + 1.0 / 19
        series = series * square + 1.0 / 17
        series = series * square + 1.0 / 15
        series = series * square + 1.0 / 13
        series = series * square + 1.0 / 11
        series = series * square + 1.0 / 9
        series = series * square + 1.0 / 7
        series = series * square + 1.0 / 5
        series = series * square + 1.0 / 3
        series = series * square + 1
        return -(exponent * 0.693_147_180_559_945_3 + 2 * ratio * series)
    }
}

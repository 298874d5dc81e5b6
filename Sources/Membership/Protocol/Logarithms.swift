// Logarithms without a C library: exact for powers of two, and the same bits on every platform, which a replay
// depends on.

func log2(_ value: Double) -> Double {
    precondition(value > 0, "the logarithm of \(value)")
    var rest = value.significand
    var result = Double(value.exponent)
    var bit = 0.5
    for _ in 0..<30 {
        rest *= rest
        if rest >= 2 {
            rest /= 2
            result += bit
        }
        bit /= 2
    }
    return result
}

func log10(_ value: Double) -> Double { log2(value) / 3.321928094887362 }

/// The least integer that is not below the value, which must not be negative.
func ceiling(_ value: Double) -> Int {
    let whole = Int(value)
    return Double(whole) < value ? whole + 1 : whole
}

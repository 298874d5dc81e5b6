/// A few numbers in, their middle and their tail out.
struct Numbers {
    private var values: [Double] = []

    mutating func add(_ value: Double) { values.append(value) }

    /// - Parameter part: 0.5 for the median, 0.99 for the 99th percentile (the largest of fewer than 100).
    func quantile(_ part: Double) -> Double {
        guard !values.isEmpty else { return .nan }
        let sorted = values.sorted()
        return sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))]
    }

    var largest: Double { values.max() ?? .nan }
}

/// - Returns: the number with so many decimals, without Foundation.
func text(_ value: Double, decimals: Int = 1) -> String {
    guard value.isFinite else { return value.isNaN ? "-" : "never" }
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    let scaled = Int(value * scale + 0.5)
    guard decimals > 0 else { return "\(scaled)" }
    let whole = scaled / Int(scale)
    let rest = String(scaled % Int(scale))
    return "\(whole)." + String(repeating: "0", count: decimals - rest.count) + rest
}

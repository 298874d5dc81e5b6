extension String {
    /// The text itself if it takes at most `size` bytes of UTF-8, else as many of its first scalars as fit, and "…".
    package func truncated(toBytes size: Int) -> String {
        guard utf8.count > size else { return self }
        var kept = String.UnicodeScalarView()
        var count = 0
        for scalar in unicodeScalars {
            count += UTF8.width(scalar)
            guard count <= size else { break }
            kept.append(scalar)
        }
        return String(kept) + "…"
    }
}

/// Copies text without what is not for reading.
enum ReadableText {
    /// Copies a line; control characters become spaces, white space shrinks to one space.
    static func copyPlain(_ source: [UInt8], _ range: Range<Int>, to output: inout [UInt8]) {
        var index = range.lowerBound
        while index < range.upperBound { index += copyScalar(source, index, to: &output) }
    }

    /// As ``copyPlain(_:_:to:)``, and removes Markdown: images go, links keep their text, emphasis its words.
    static func copyMarkdown(_ source: [UInt8], _ range: Range<Int>, to output: inout [UInt8]) {
        var index = range.lowerBound
        // Where the destination of the link that is being copied begins and ends.
        var link: (closing: Int, end: Int)?
        while index < range.upperBound {
            if let (closing, end) = link, index == closing {
                index = end
                link = nil
                continue
            }
            let byte = source[index]
            let next = index + 1 < range.upperBound ? source[index + 1] : 0
            switch byte {
            case UInt8(ascii: "`"):
                index += 1
            case UInt8(ascii: "*") where next == byte, UInt8(ascii: "_") where next == byte:
                index += 2
            case UInt8(ascii: "!") where next == UInt8(ascii: "["):
                if let found = linkParts(source, index + 1, range.upperBound) {
                    index = found.end
                } else {
                    index += copyScalar(source, index, to: &output)
                }
            case UInt8(ascii: "[") where link == nil:
                link = linkParts(source, index, range.upperBound)
                index += link == nil ? copyScalar(source, index, to: &output) : 1
            default:
                index += copyScalar(source, index, to: &output)
            }
        }
    }

    /// - Returns: the number of bytes read.
    @inline(__always)
    private static func copyScalar(_ source: [UInt8], _ index: Int, to output: inout [UInt8]) -> Int {
        let byte = source[index]
        if byte > 0x20, byte < 0x7f {
            output.append(byte)
            return 1
        }
        let (scalar, length) = source.scalar(at: index)
        switch scalar {
        case 0...0x20, 0x7f...0xa0, 0x3000, 0x2028, 0x2029:
            if let last = output.last, last != UInt8(ascii: " "), last != .newline { output.append(UInt8(ascii: " ")) }
        // A byte-order mark is invisible.
        case 0xfeff: break
        default: output.append(contentsOf: source[index..<(index + length)])
        }
        return length
    }

    /// `[text](destination)` or `[text][label]`, without nesting, so that the search stays linear.
    private static func linkParts(_ source: [UInt8], _ open: Int, _ limit: Int) -> (closing: Int, end: Int)? {
        guard
            let closing = index(of: UInt8(ascii: "]"), in: source, from: open + 1, limit, not: UInt8(ascii: "[")),
            closing + 1 < limit
        else { return nil }
        let start = source[closing + 1]
        if start == UInt8(ascii: "(") {
            return index(of: UInt8(ascii: ")"), in: source, from: closing + 2, limit, not: start)
                .map { (closing, $0 + 1) }
        }
        guard start == UInt8(ascii: "[") else { return nil }
        return index(of: UInt8(ascii: "]"), in: source, from: closing + 2, limit, not: start).map { (closing, $0 + 1) }
    }

    private static let maximumLinkLength = 300

    private static func index(
        of wanted: UInt8, in source: [UInt8], from start: Int, _ limit: Int, not stop: UInt8
    ) -> Int? {
        var index = start
        let limit = min(limit, start + maximumLinkLength)
        while index < limit, source[index] != stop {
            if source[index] == wanted { return index }
            index += 1
        }
        return nil
    }
}

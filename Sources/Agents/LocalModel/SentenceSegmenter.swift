/// Finds where sentences end, in many scripts, in one pass over UTF-8.
///
/// A full stop ends a sentence if white space (after closing quotes and brackets) follows, unless it belongs to an
/// abbreviation or an initial, or the next word begins in lower case. `!`, `?` and `…` need the white space too.
/// The stops of scripts that put no space behind them (`。！？` and others) end it at once. A piece without any stop is
/// cut at line breaks, then at clauses, then at spaces, and at last anywhere between two characters.
struct SentenceSegmenter {
    /// A longer piece is cut, in bytes.
    static let maximumLength = 500
    /// A cut piece is not shorter than this unless the text is.
    private static let minimumLength = 120

    private let bytes: [UInt8]

    /// - Parameter bytes: UTF-8. A line feed counts as a space, and as the best place to cut an endless sentence.
    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// Appends the sentences of `range`, without white space at their ends.
    func appendSentences(in range: Range<Int>, to sentences: inout [Range<Int>]) {
        var start = range.lowerBound
        var cursor = start
        while cursor < range.upperBound {
            let (scalar, length) = bytes.scalar(at: cursor)
            guard let stop = Stop(scalar) else {
                cursor += length
                continue
            }
            let mark = cursor
            cursor = endOfStop(after: cursor + length, limit: range.upperBound)
            guard endsSentence(stop, from: start, mark: mark, next: cursor, limit: range.upperBound) else { continue }
            appendPieces(of: start..<cursor, to: &sentences)
            start = cursor
        }
        appendPieces(of: start..<range.upperBound, to: &sentences)
    }

    fileprivate enum Stop {
        /// `.`
        case period
        /// Needs white space behind it: `!`, `?`, `…`, Arabic and others.
        case spaced
        /// Ends the sentence at once.
        case unspaced

        init?(_ scalar: UInt32) {
            switch scalar {
            case 0x2e: self = .period
            case 0x21, 0x3f, 0x2026, 0x203c, 0x203d, 0x2047...0x2049, 0x061f, 0x06d4, 0x0589, 0x0700...0x0702:
                self = .spaced
            case 0x0964, 0x0965, 0x1362, 0x1367, 0x1368, 0x104a, 0x104b, 0x17d4, 0x17d5, 0x0f0d, 0x0f0e, 0x1803, 0x1809,
                0x3002, 0xff01, 0xff0e, 0xff1f, 0xff61:
                self = .unspaced
            default: return nil
            }
        }
    }

    /// Skips further stops and closing quotes and brackets.
    private func endOfStop(after index: Int, limit: Int) -> Int {
        var cursor = index
        while cursor < limit {
            let (scalar, length) = bytes.scalar(at: cursor)
            guard Stop(scalar) != nil || SentenceSegmenter.isCloser(scalar) else { break }
            cursor += length
        }
        return cursor
    }

    private static func isCloser(_ scalar: UInt32) -> Bool {
        switch scalar {
        case 0x22, 0x27, 0x29, 0x5d, 0x7d, 0xbb, 0x2019, 0x201c, 0x201d, 0x203a, 0x3009, 0x300b, 0x300d, 0x300f, 0x3011,
            0x3015, 0xff02, 0xff09, 0xff3d:
            true
        default: false
        }
    }

    private func endsSentence(_ stop: Stop, from start: Int, mark: Int, next: Int, limit: Int) -> Bool {
        if case .unspaced = stop { return true }
        guard next < limit else { return true }
        guard ScalarKind(bytes.scalar(at: next).value) == .space else { return false }
        var follower = next
        while follower < limit {
            let (scalar, length) = bytes.scalar(at: follower)
            let kind = ScalarKind(scalar)
            if kind == .letter { return !isLowerCase(scalar) && !(stop.isPeriod && isAbbreviation(start..<mark)) }
            guard kind == .space || SentenceSegmenter.isOpener(scalar) else { break }
            follower += length
        }
        return !(stop.isPeriod && isAbbreviation(start..<mark))
    }

    private static func isOpener(_ scalar: UInt32) -> Bool {
        switch scalar {
        case 0x22, 0x27, 0x28, 0x5b, 0xab, 0xa1, 0xbf, 0x2018, 0x201a, 0x201c, 0x201e, 0x2039: true
        default: false
        }
    }

    private func isLowerCase(_ scalar: UInt32) -> Bool {
        if scalar < 0x80 { return scalar >= 0x61 }
        return Unicode.Scalar(scalar)?.properties.isLowercase ?? false
    }

    /// Whether the word before a full stop is one that is written with it.
    private func isAbbreviation(_ range: Range<Int>) -> Bool {
        var start = range.upperBound
        while start > range.lowerBound, range.upperBound - start <= 12 {
            let byte = bytes[start - 1]
            guard byte >= 0x80 || byte == UInt8(ascii: ".") || ScalarKind(UInt32(byte)) == .letter else { break }
            start -= 1
        }
        let word = String(decoding: bytes[start..<range.upperBound], as: UTF8.self)
        // An initial: "J. S. Bach". A lone "I" ends more sentences than it begins names.
        if word.unicodeScalars.count == 1, let letter = word.unicodeScalars.first {
            return letter.properties.isUppercase && letter != "I"
        }
        return Abbreviations.words.contains(word.lowercased())
    }

    /// Appends a sentence; one without end in several pieces.
    private func appendPieces(of range: Range<Int>, to sentences: inout [Range<Int>]) {
        var rest = trimmed(range)
        while rest.count > SentenceSegmenter.maximumLength {
            let cut = placeToCut(rest)
            let piece = trimmed(rest.lowerBound..<cut)
            if !piece.isEmpty { sentences.append(piece) }
            rest = trimmed(cut..<rest.upperBound)
        }
        if !rest.isEmpty { sentences.append(rest) }
    }

    private func placeToCut(_ range: Range<Int>) -> Int {
        let limit = range.lowerBound + SentenceSegmenter.maximumLength
        let lowest = range.lowerBound + SentenceSegmenter.minimumLength
        var clause: Int?
        var space: Int?
        var index = limit
        while index > lowest {
            index = bytes.startOfScalar(before: index)
            let (scalar, length) = bytes.scalar(at: index)
            if scalar == 0x0a { return index }
            if clause == nil, SentenceSegmenter.isClauseEnd(scalar) { clause = index + length }
            if space == nil, ScalarKind(scalar) == .space { space = index }
        }
        return clause ?? space ?? cutBetweenCharacters(before: limit, after: lowest)
    }

    private static func isClauseEnd(_ scalar: UInt32) -> Bool {
        switch scalar {
        case 0x3b, 0x060c, 0x061b, 0x3001, 0xff0c, 0xff1a, 0xff1b: true
        default: false
        }
    }

    /// Not before a combining mark, a variation selector, a skin tone, or next to a joiner.
    private func cutBetweenCharacters(before limit: Int, after lowest: Int) -> Int {
        var cut = limit
        while cut > lowest, bytes[cut] & 0xc0 == 0x80 { cut -= 1 }
        let widest = cut
        while cut > lowest {
            let previous = bytes.startOfScalar(before: cut)
            if !SentenceSegmenter.joins(bytes.scalar(at: cut).value), bytes.scalar(at: previous).value != 0x200d {
                return cut
            }
            cut = previous
        }
        return widest
    }

    private static func joins(_ scalar: UInt32) -> Bool {
        switch scalar {
        case 0x300...0x36f, 0x200d, 0x20d0...0x20ff, 0xfe00...0xfe0f, 0x1f3fb...0x1f3ff, 0x1f1e6...0x1f1ff: true
        default: false
        }
    }

    private func trimmed(_ range: Range<Int>) -> Range<Int> {
        var lower = range.lowerBound
        var upper = range.upperBound
        while lower < upper, bytes[lower] <= 0x20 { lower += 1 }
        while upper > lower, bytes[upper - 1] <= 0x20 { upper -= 1 }
        return lower..<upper
    }
}

extension SentenceSegmenter.Stop {
    fileprivate var isPeriod: Bool {
        if case .period = self { true } else { false }
    }
}

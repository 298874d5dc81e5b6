/// Sorts lines into blocks and copies their readable text.
struct TextOutlineBuilder {
    struct Block {
        var kind: TextOutline.Kind
        var range: Range<Int>
        /// Verse, logs and lists without stops: each line stands for itself.
        var linesAreSentences: Bool
    }

    private let source: [UInt8]
    private(set) var output: [UInt8] = []
    private(set) var blocks: [Block] = []
    private(set) var lineCount = 0

    private var blockKind: TextOutline.Kind?
    private var blockStart = 0
    private var blockLines = 0
    private var blockHasStop = false
    /// The bytes of the code fence that is open.
    private var fence: UInt8?

    init(_ text: String) {
        source = Array(text.utf8)
        output.reserveCapacity(source.count)
    }

    mutating func build() {
        var start = 0
        while start < source.count {
            var end = start
            while end < source.count, source[end] != .newline, source[end] != 0x0d { end += 1 }
            lineCount += 1
            take(line: start..<end)
            // CRLF is one line break.
            let isPair = end + 1 < source.count && source[end] == 0x0d && source[end + 1] == .newline
            start = end + (isPair ? 2 : 1)
        }
        endBlock()
    }

    private mutating func take(line: Range<Int>) {
        let line = trimmed(line)
        guard let first = line.first.map({ source[$0] }) else { return endBlock() }
        if isFence(line) {
            if fence == nil { fence = first } else if fence == first { fence = nil }
            return endBlock()
        }
        guard fence == nil else { return append(line, as: .code) }
        if isRule(line) { return endBlock() }
        switch first {
        case UInt8(ascii: "#"):
            let text = line.drop { source[$0] == UInt8(ascii: "#") }
            let level = line.count - text.count
            if level <= 6, let next = text.first, isSpace(source[next]) {
                endBlock()
                append(trimmed(text), as: .heading)
                return endBlock()
            }
        case UInt8(ascii: "|"): return append(line, as: .table)
        case UInt8(ascii: ">"):
            let text = trimmed(line.drop { source[$0] == UInt8(ascii: ">") || isSpace(source[$0]) })
            return text.isEmpty ? endBlock() : append(text, as: .prose)
        case UInt8(ascii: "<") where source[line.upperBound - 1] == UInt8(ascii: ">"): return endBlock()
        case UInt8(ascii: "[") where source[line].starts(with: "[![".utf8): return endBlock()
        // An image's address would look like code.
        case UInt8(ascii: "!") where source[line].starts(with: "![".utf8): return append(line, as: blockKind ?? .prose)
        default: break
        }
        if let text = listItem(line) {
            endBlock()
            return append(text, as: .listItem)
        }
        if CodeGuess.looksLikeCode(source[line]) { return append(line, as: .code) }
        append(line, as: blockKind == .listItem ? .listItem : .prose)
    }

    private mutating func append(_ line: Range<Int>, as kind: TextOutline.Kind) {
        guard !line.isEmpty else { return }
        if kind != blockKind {
            endBlock()
            blockKind = kind
            blockStart = output.count
        } else {
            output.append(.newline)
        }
        blockLines += 1
        if kind == .code || kind == .table {
            ReadableText.copyPlain(source, line, to: &output)
        } else {
            ReadableText.copyMarkdown(source, line, to: &output)
        }
        blockHasStop = blockHasStop || endsWithStop()
    }

    private mutating func endBlock() {
        defer {
            blockKind = nil
            blockLines = 0
            blockHasStop = false
        }
        guard let blockKind, output.count > blockStart else { return }
        let isLines = blockKind == .code || blockKind == .table || (blockLines > 1 && !blockHasStop)
        blocks.append(Block(kind: blockKind, range: blockStart..<output.count, linesAreSentences: isLines))
        // Blocks must not run into each other when neighbouring sentences are read.
        output.append(.newline)
    }

    /// Whether a line that has just been copied ends like a sentence.
    private func endsWithStop() -> Bool {
        var index = output.count
        while index > blockStart, isSpace(output[index - 1]) { index -= 1 }
        guard index > blockStart else { return false }
        let scalar = output.scalar(at: output.startOfScalar(before: index)).value
        switch scalar {
        case 0x2e, 0x21, 0x3f, 0x3002, 0xff01, 0xff1f, 0x0964, 0x06d4, 0x061f: return true
        default: return false
        }
    }

    private func isFence(_ line: Range<Int>) -> Bool {
        source[line].starts(with: "```".utf8) || source[line].starts(with: "~~~".utf8)
    }

    /// `---`, `===`, `***` and the like.
    private func isRule(_ line: Range<Int>) -> Bool {
        let first = source[line.lowerBound]
        return line.count >= 3 && "-=*_".utf8.contains(first) && line.allSatisfy { source[$0] == first }
    }

    /// - Returns: the text after a list marker; `nil` for other lines.
    private func listItem(_ line: Range<Int>) -> Range<Int>? {
        let first = source[line.lowerBound]
        if "-*+".utf8.contains(first), line.count > 2, isSpace(source[line.lowerBound + 1]) {
            return trimmed((line.lowerBound + 1)..<line.upperBound)
        }
        if source[line].starts(with: "• ".utf8) { return trimmed((line.lowerBound + 3)..<line.upperBound) }
        let digits = line.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(source[$0]) }.count
        guard (1...3).contains(digits), line.count > digits + 1 else { return nil }
        let mark = source[line.lowerBound + digits]
        guard mark == UInt8(ascii: ".") || mark == UInt8(ascii: ")"), isSpace(source[line.lowerBound + digits + 1])
        else { return nil }
        return trimmed((line.lowerBound + digits + 1)..<line.upperBound)
    }

    private func isSpace(_ byte: UInt8) -> Bool { byte <= 0x20 }

    private func trimmed(_ range: Range<Int>) -> Range<Int> {
        var lower = range.lowerBound
        var upper = range.upperBound
        while lower < upper, isSpace(source[lower]) { lower += 1 }
        while upper > lower, isSpace(source[upper - 1]) { upper -= 1 }
        return lower..<upper
    }
}

/// Tells lines of program code from prose.
enum CodeGuess {
    static func looksLikeCode(_ line: ArraySlice<UInt8>) -> Bool {
        guard let last = line.last else { return false }
        var symbols = 0
        for byte in line.prefix(400) {
            switch byte {
            case UInt8(ascii: "{"), UInt8(ascii: "}"), UInt8(ascii: ";"), UInt8(ascii: "="), UInt8(ascii: "<"),
                UInt8(ascii: ">"), UInt8(ascii: "_"), UInt8(ascii: "$"), UInt8(ascii: "&"), UInt8(ascii: "|"),
                UInt8(ascii: "\\"), UInt8(ascii: "@"):
                symbols += 2
            case UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: ":"),
                UInt8(ascii: "/"), UInt8(ascii: "\""):
                symbols += 1
            default: break
            }
        }
        let length = min(line.count, 400)
        let endsLikeCode = "{};".utf8.contains(last)
        return symbols * 5 > length || (endsLikeCode && symbols * 12 > length)
    }
}

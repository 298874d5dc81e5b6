/// A text taken apart: what is prose, what is heading, code or table, and its sentences.
///
/// Understands the Markdown that matters for reading (headings, lists, quotes, fences, tables, links, images, emphasis)
/// and leaves every other text as it is. One pass, linear in the text's length.
struct TextOutline {
    /// What a block of lines is.
    enum Kind: UInt8 {
        case prose, heading, listItem, table, code
    }

    struct Sentence {
        /// Its bytes in ``TextOutline/bytes``; a line feed inside is a space.
        var range: Range<Int>
        var kind: Kind
        /// Whether it opens its paragraph.
        var isFirstOfBlock: Bool
    }

    /// The readable text without markup and control characters.
    let bytes: [UInt8]
    /// In the order of the text.
    let sentences: [Sentence]
    let lineCount: Int

    init(_ text: String) {
        var builder = TextOutlineBuilder(text)
        builder.build()
        bytes = builder.output
        lineCount = builder.lineCount
        let segmenter = SentenceSegmenter(builder.output)
        var sentences: [Sentence] = []
        var ranges: [Range<Int>] = []
        for block in builder.blocks {
            ranges.removeAll(keepingCapacity: true)
            if block.linesAreSentences {
                TextOutline.appendLines(of: block.range, bytes: builder.output, segmenter, to: &ranges)
            } else {
                segmenter.appendSentences(in: block.range, to: &ranges)
            }
            for (index, range) in ranges.enumerated() {
                sentences.append(Sentence(range: range, kind: block.kind, isFirstOfBlock: index == 0))
            }
        }
        self.sentences = sentences
    }

    func text(of sentence: Sentence) -> String {
        String(decoding: bytes[sentence.range].map { $0 == .newline ? UInt8(ascii: " ") : $0 }, as: UTF8.self)
    }

    private static func appendLines(
        of range: Range<Int>, bytes: [UInt8], _ segmenter: SentenceSegmenter, to ranges: inout [Range<Int>]
    ) {
        var start = range.lowerBound
        for index in range where bytes[index] == .newline {
            segmenter.appendSentences(in: start..<index, to: &ranges)
            start = index + 1
        }
        segmenter.appendSentences(in: start..<range.upperBound, to: &ranges)
    }
}

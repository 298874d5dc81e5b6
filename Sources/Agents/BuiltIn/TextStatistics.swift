/// How long a text is, counted as people count.
public struct TextStatistics: Sendable, Hashable, Codable, FunctionValue {
    /// Characters as a reader sees them: an emoji with all its parts is one.
    public var characters: Int
    /// In scripts without spaces between words every character counts as one.
    public var words: Int
    public var sentences: Int
    /// A line break at the very end begins no new line.
    public var lines: Int
    /// At 238 words a minute (Brysbaert 2019), or 500 characters a minute in scripts without spaces.
    public var readingSeconds: Int

    public init(_ text: String) {
        let outline = TextOutline(text)
        let bytes = Array(text.utf8)
        var spacedWords = 0
        var unspacedCharacters = 0
        var isInWord = false
        var index = 0
        while index < bytes.count {
            let (scalar, length) = bytes.scalar(at: index)
            let kind = ScalarKind(scalar)
            switch kind {
            case .letter, .digit:
                if !isInWord { spacedWords += 1 }
                isInWord = true
            case .unspaced:
                unspacedCharacters += 1
                isInWord = false
            case .other:
                // An apostrophe or hyphen inside a word does not end it.
                let joins = scalar == 0x27 || scalar == 0x2019 || scalar == 0x2d
                isInWord =
                    isInWord && joins && index + length < bytes.count
                    && ScalarKind(bytes.scalar(at: index + length).value) == .letter
            case .space:
                isInWord = false
            }
            index += length
        }
        characters = text.count
        words = spacedWords + unspacedCharacters
        sentences = outline.sentences.count
        lines = outline.lineCount
        readingSeconds = Int((Double(spacedWords) / 238 * 60 + Double(unspacedCharacters) / 500 * 60).rounded(.up))
    }

    /// One line for people: `1,234 characters, 210 words, 12 sentences, 8 lines, 1 min to read`.
    public var summary: String {
        let parts = [
            TextStatistics.count(characters, "character"), TextStatistics.count(words, "word"),
            TextStatistics.count(sentences, "sentence"), TextStatistics.count(lines, "line"),
        ]
        let time = readingSeconds < 60 ? "\(readingSeconds) s" : "\((readingSeconds + 59) / 60) min"
        return parts.joined(separator: ", ") + ", \(time) to read"
    }

    private static func count(_ number: Int, _ noun: String) -> String {
        var digits = String(number)
        var position = digits.count - 3
        while position > 0 {
            digits.insert(",", at: digits.index(digits.startIndex, offsetBy: position))
            position -= 3
        }
        return "\(digits) \(noun)\(number == 1 ? "" : "s")"
    }

    /// The plugin `Statistics` with the functions `Describe` (one line for people) and `Count` (the numbers).
    public static func plugin() throws(KernelError) -> KernelPlugin {
        let input = FunctionParameter("input", "The text to count.")
        return try KernelPlugin(
            "Statistics", description: "Counts what is in a text.",
            functions: [
                KernelFunction("Describe", "Says how long a text is, in one line.", input) { text in
                    TextStatistics(text).summary
                },
                KernelFunction("Count", "Counts characters, words, sentences and lines of a text.", input) { text in
                    TextStatistics(text)
                },
            ])
    }
}

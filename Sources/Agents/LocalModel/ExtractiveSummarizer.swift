/// Summarises a text by choosing its most telling sentences, in their order. Deterministic; no network, no model file.
///
/// Sentences are scored as SumBasic does (Nenkova and Vanderwende, "The Impact of Frequency on Summarization", 2005): by the
/// mean frequency of their words (its square root here), stop words left out. After a sentence has been chosen its words count a quarter, so
/// that the next one brings something new. Deviations: words of headings and of the text's opening weigh more,
/// early sentences and those that open a paragraph are preferred, very short ones are not. Scripts without spaces
/// between words are scored by pairs of characters. Time and memory are linear in the text's length.
public struct ExtractiveSummarizer: Sendable {
    /// The most sentences that a summary has. Default 5.
    public var maximumSentences: Int
    /// The most characters that a summary has. Default 800.
    public var maximumLength: Int

    /// - Parameters:
    ///   - maximumSentences: at least 1; 5 by default.
    ///   - maximumLength: in characters, at least 1; 800 by default.
    public init(maximumSentences: Int = 5, maximumLength: Int = 800) {
        self.maximumSentences = max(maximumSentences, 1)
        self.maximumLength = max(maximumLength, 1)
    }

    /// - Parameter text: any text.
    /// - Returns: a summary; for a text that is empty or has no words, a sentence that says so.
    public func summarize(_ text: String) -> String {
        let outline = TextOutline(text)
        guard !outline.sentences.isEmpty else { return "The text is empty: there is nothing to summarize." }
        let candidates = ExtractiveSummarizer.candidates(outline)
        var scorer = SentenceScorer(outline, candidates: candidates)
        guard scorer.hasWords else {
            let excerpt = clip(candidates.map { outline.text(of: outline.sentences[$0]) }.prefix(20), to: 80)
            return "The text has no words to summarize: \(excerpt)"
        }
        return join(outline, choose(outline, candidates, &scorer))
    }

    /// Prose if there is any; else what there is.
    private static func candidates(_ outline: TextOutline) -> [Int] {
        for kinds: [TextOutline.Kind] in [[.prose, .listItem], [.code, .table], [.heading]] {
            let found = outline.sentences.indices.filter { kinds.contains(outline.sentences[$0].kind) }
            if !found.isEmpty { return found }
        }
        return Array(outline.sentences.indices)
    }

    /// About a third of the sentences, as long as they fit.
    private func choose(_ outline: TextOutline, _ candidates: [Int], _ scorer: inout SentenceScorer) -> [Int] {
        let wanted = min(maximumSentences, max(1, (candidates.count + 2) / 3))
        var chosen: [Int] = []
        var length = 0
        while chosen.count < wanted, let next = scorer.takeBest() {
            let sentence = candidates[next]
            let size = outline.text(of: outline.sentences[sentence]).count + (chosen.isEmpty ? 0 : 1)
            guard length + size <= maximumLength || chosen.isEmpty else { continue }
            chosen.append(sentence)
            length += size
        }
        return chosen.sorted()
    }

    private func join(_ outline: TextOutline, _ sentences: [Int]) -> String {
        clip(sentences.map { outline.text(of: outline.sentences[$0]) }, to: maximumLength)
    }

    /// Joins with spaces (none after a stop that brings its own width) and cuts at the limit.
    private func clip(_ parts: some Sequence<String>, to limit: Int) -> String {
        var text = ""
        for part in parts {
            let endsWide = text.unicodeScalars.last.map { (0x3000...0x303f).contains($0.value) || $0.value >= 0xff00 }
            if !text.isEmpty, endsWide != true { text += " " }
            text += part
        }
        // A character may consist of any number of scalars: the bytes are bounded too.
        guard text.count > limit || text.utf8.count > limit * 16 else { return text }
        var clipped = ""
        var bytes = 0
        for character in text.prefix(limit - 1) {
            bytes += character.utf8.count
            guard bytes <= limit * 16 else { break }
            clipped.append(character)
        }
        // Rather without the last, broken word, if the text has words.
        if let space = clipped.lastIndex(of: " "), clipped.distance(from: space, to: clipped.endIndex) < 30 {
            clipped = String(clipped[..<space])
        }
        return clipped + "…"
    }
}

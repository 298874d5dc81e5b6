/// Scores sentences by the words they share with the whole text; see ``ExtractiveSummarizer``.
struct SentenceScorer {
    /// The words of all candidates, one after the other, as indices into ``weights``.
    private var words: [Int32] = []
    private var wordRanges: [Range<Int>] = []
    /// Position and form: multiplied with the mean weight of the words.
    private var factors: [Double] = []
    private var weights: [Double] = []
    private var isTaken: [Bool]

    /// - Parameters:
    ///   - outline: the text.
    ///   - candidates: the sentences that may be chosen, as indices, in their order.
    init(_ outline: TextOutline, candidates: [Int]) {
        isTaken = Array(repeating: false, count: candidates.count)
        var vocabulary = Vocabulary()
        for (position, index) in candidates.enumerated() {
            let sentence = outline.sentences[index]
            let start = words.count
            vocabulary.appendWords(of: sentence.range, in: outline.bytes, to: &words)
            wordRanges.append(start..<words.count)
            factors.append(
                SentenceScorer.factor(sentence, position: position, count: candidates.count, words: words.count - start)
            )
        }
        weights = vocabulary.frequencies.map { Double($0).squareRoot() }
        emphasize(outline, &vocabulary)
    }

    /// Whether there is anything to score.
    var hasWords: Bool { !words.isEmpty || wordRanges.contains { !$0.isEmpty } }

    /// Takes the sentence with the best score; of equal ones the earliest.
    ///
    /// - Returns: its position among the candidates; `nil` when all are taken.
    mutating func takeBest() -> Int? {
        var best: Int?
        var bestScore = -1.0
        for candidate in wordRanges.indices where !isTaken[candidate] {
            let score = score(candidate)
            if score > bestScore {
                best = candidate
                bestScore = score
            }
        }
        guard let best else { return nil }
        isTaken[best] = true
        for word in words[wordRanges[best]] { weights[Int(word)] *= 0.25 }
        return best
    }

    private func score(_ candidate: Int) -> Double {
        let range = wordRanges[candidate]
        guard !range.isEmpty else { return 0 }
        var sum = 0.0
        for index in range { sum += weights[Int(words[index])] }
        // Dividing by a little more than the number of words keeps short sentences from winning by one word.
        return sum / Double(range.count + 4) * factors[candidate]
    }

    private static func factor(_ sentence: TextOutline.Sentence, position: Int, count: Int, words: Int) -> Double {
        let place = count > 1 ? Double(position) / Double(count - 1) : 0
        var factor = 1 + 0.3 * max(0, 1 - 4 * place)
        if position == 0 { factor *= 1.15 }
        if sentence.isFirstOfBlock { factor *= 1.1 }
        if sentence.kind == .listItem { factor *= 0.9 }
        if words < 3 { factor *= 0.3 } else if words > 60 { factor *= 0.8 }
        return factor
    }

    /// Words of headings weigh more.
    private mutating func emphasize(_ outline: TextOutline, _ vocabulary: inout Vocabulary) {
        var inHeadings: [Int32] = []
        for sentence in outline.sentences where sentence.kind == .heading {
            vocabulary.appendWords(of: sentence.range, in: outline.bytes, to: &inHeadings)
        }
        for word in Set(inHeadings) where Int(word) < weights.count { weights[Int(word)] *= 1.3 }
    }
}

/// Numbers the words of a text.
private struct Vocabulary {
    private var numbers: [UInt64: Int32] = [:]
    private(set) var frequencies: [Int32] = []

    /// Appends the numbers of the words in `range`, stop words left out. Scripts without spaces give a number to each
    /// pair of neighbouring characters.
    mutating func appendWords(of range: Range<Int>, in bytes: [UInt8], to words: inout [Int32]) {
        var hash = WordHash()
        var length = 0
        var previousUnspaced: UInt32?
        var index = range.lowerBound
        while index < range.upperBound {
            let (scalar, size) = bytes.scalar(at: index)
            switch ScalarKind(scalar) {
            case .letter, .digit:
                previousUnspaced = nil
                hash.add(scalar)
                length += 1
            case .unspaced:
                endWord(&hash, &length, to: &words)
                var pair = WordHash()
                pair.add(previousUnspaced ?? 0)
                pair.add(scalar)
                words.append(number(pair.value))
                previousUnspaced = scalar
            case .space, .other:
                previousUnspaced = nil
                endWord(&hash, &length, to: &words)
            }
            index += size
        }
        endWord(&hash, &length, to: &words)
    }

    private mutating func endWord(_ hash: inout WordHash, _ length: inout Int, to words: inout [Int32]) {
        guard length > 0 else { return }
        if length > 1, !StopWords.hashes.contains(hash.value) { words.append(number(hash.value)) }
        hash = WordHash()
        length = 0
    }

    private mutating func number(_ hash: UInt64) -> Int32 {
        if let known = numbers[hash] {
            frequencies[Int(known)] += 1
            return known
        }
        let number = Int32(frequencies.count)
        numbers[hash] = number
        frequencies.append(1)
        return number
    }
}

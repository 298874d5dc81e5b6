/// One thing that is wrong with the configuration, in words.
struct ConfigurationProblem: Error {
    var message: String

    /// A key, variable or `--set` that nobody knows. Its value is named too, unless it may be a misspelled secret.
    init(unknown entry: ConfigurationLayer.Entry, in layer: ConfigurationLayer) {
        let spelling = entry.spelling == "--set" ? entry.key : entry.spelling
        let near = nearest(to: spelling, among: layer.knownSpellings)
        let isSecret = [spelling, near ?? ""].contains { ConfigurationKeys.seemsSecret($0) }
        let value = isSecret ? "(not shown)" : "\"\(entry.text.prefix(100))\""
        var message =
            layer.origin == "environment"
            ? "unknown environment variable \(spelling) with the value \(value): "
            : "unknown key \(spelling) (from \(layer.sourceName(of: entry))) with the value \(value): "
        if let near { message += "did you mean \(near)? " }
        self.message = message + "allowed is what `orchestra config --describe` lists"
    }

    /// A known key with a value that is not allowed.
    init(bad entry: ConfigurationLayer.Entry, in layer: ConfigurationLayer, _ description: ConfigurationKeyDescription)
    {
        var value = description.isSecret ? "the given value" : "\"\(entry.text)\""
        if let fileType = entry.fileType, fileType != "text", fileType != description.fileType.rawValue {
            value = "the \(fileType) \(description.isSecret ? "" : entry.text + " ")"
        } else if entry.fileType == "text", description.fileType != .text {
            value = "the text \(value)"
        }
        message =
            "\(description.name) (from \(layer.sourceName(of: entry))) cannot be \(value): "
            + "allowed is \(description.allowed)"
    }
}

/// Everything that is wrong with the configuration.
package struct ConfigurationProblems: Error, CustomStringConvertible {
    package var messages: [String]

    package var description: String {
        messages.count == 1
            ? "bad configuration: \(messages[0])"
            : "bad configuration:\n" + messages.map { "  - \($0)" }.joined(separator: "\n")
    }
}

/// The known word that a misspelled one was most likely meant to be: the one with the smallest edit distance, if that
/// is at most a third of its length.
func nearest(to word: String, among known: [String]) -> String? {
    let candidates = known.map { (name: $0, distance: editDistance(word.lowercased(), $0.lowercased())) }
    guard let best = candidates.min(by: { ($0.distance, $0.name) < ($1.distance, $1.name) }) else { return nil }
    return best.distance * 3 <= best.name.count ? best.name : nil
}

/// The Levenshtein distance: how many characters must be put in, taken out or replaced.
func editDistance(_ left: String, _ right: String) -> Int {
    // Nobody misspells by hundreds of characters; the bound keeps a hostile variable name cheap.
    let left = Array(left.prefix(200))
    let right = Array(right.prefix(200))
    var previous = Array(0...right.count)
    for (row, character) in left.enumerated() {
        var current = [row + 1]
        for column in right.indices {
            let replaced = previous[column] + (character == right[column] ? 0 : 1)
            current.append(min(replaced, previous[column + 1] + 1, current[column] + 1))
        }
        previous = current
    }
    return previous[right.count]
}

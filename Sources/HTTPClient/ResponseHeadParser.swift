/// Puts a response's head together from the lines that libcurl delivers.
struct ResponseHeadParser {
    /// The largest head in bytes.
    static let maximumSize = 256 << 10

    enum Directive {
        case more
        case head(HTTPResponseHead)
        case tooLarge
    }

    private var head = HTTPResponseHead(status: 0, headers: [])
    private var size = 0
    private var isComplete = false

    /// - Parameter line: one line with its end.
    mutating func take(_ line: UnsafeRawBufferPointer) -> Directive {
        // Trailers come after the body; nobody asks for them.
        guard !isComplete else { return .more }
        size += line.count
        guard size <= ResponseHeadParser.maximumSize else { return .tooLarge }
        let text = String(decoding: line, as: UTF8.self)
        if text.hasPrefix("HTTP/") {
            head = HTTPResponseHead(
                status: text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0, headers: [])
            return .more
        }
        let content = text.prefix { !$0.isNewline }
        guard content.isEmpty else {
            if let colon = content.firstIndex(of: ":") {
                head.headers.append(
                    (name: String(content[..<colon]), value: content[content.index(after: colon)...].trimmed))
            }
            return .more
        }
        // 1xx announces another head.
        guard head.status >= 200 else { return .more }
        isComplete = true
        return .head(head)
    }
}

extension Substring {
    /// Without spaces and tabs at both ends.
    fileprivate var trimmed: String {
        var text = drop { $0 == " " || $0 == "\t" }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return String(text)
    }
}

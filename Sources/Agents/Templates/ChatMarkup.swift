/// Turns a rendered prompt into chat messages.
///
/// `<message role="system|developer|user|assistant|tool">…</message>` elements become messages in their order; text
/// before the first one is a system message, text between and after them user messages. Inside an element, entities
/// are decoded, `<![CDATA[…]]>` is copied, `<text>…</text>` is unwrapped, and every other tag is ordinary text.
/// A prompt without such elements, or whose elements are malformed (no end, no role, an unknown role, one inside
/// another), is plain text: one user message.
enum ChatMarkup {
    static func messages(in prompt: String) -> [ChatMessage] {
        var parser = Parser(prompt)
        guard let messages = parser.parse(), !messages.isEmpty else { return [.user(MarkupEncoding.decode(prompt))] }
        return messages
    }

    private struct Parser {
        private let bytes: [UInt8]
        private var cursor = 0

        init(_ prompt: String) { bytes = Array(prompt.utf8) }

        /// - Returns: `nil` if the markup is malformed; empty if there is no element at all.
        mutating func parse() -> [ChatMessage]? {
            var messages: [ChatMessage] = []
            var looseStart = 0
            while cursor < bytes.count {
                guard bytes[cursor] == UInt8(ascii: "<"), looking(at: "<message"), isTagEnd(cursor + 8) else {
                    cursor += 1
                    continue
                }
                appendLoose(looseStart..<cursor, to: &messages)
                guard let message = element() else { return nil }
                messages.append(message)
                looseStart = cursor
            }
            guard !messages.isEmpty else { return [] }
            appendLoose(looseStart..<bytes.count, to: &messages)
            return messages
        }

        private func appendLoose(_ range: Range<Int>, to messages: inout [ChatMessage]) {
            let text = MarkupEncoding.decode(String(decoding: bytes[range], as: UTF8.self)).trimmingWhiteSpace()
            guard !text.isEmpty else { return }
            messages.append(ChatMessage(messages.isEmpty ? .system : .user, text))
        }

        /// Called at `<message`.
        private mutating func element() -> ChatMessage? {
            cursor += 8
            guard let attributes = attributes(), let role = attributes["role"].flatMap(ChatMessage.Role.init(rawValue:))
            else { return nil }
            if looking(at: "/>") {
                cursor += 2
                return ChatMessage(role, "")
            }
            cursor += 1
            guard let content = content() else { return nil }
            return ChatMessage(role, content.trimmingWhiteSpace(), name: attributes["name"])
        }

        /// Reads `name="value"` pairs and stops at `>` or `/>`.
        private mutating func attributes() -> [String: String]? {
            var attributes: [String: String] = [:]
            while true {
                skipSpace()
                guard cursor < bytes.count else { return nil }
                if bytes[cursor] == UInt8(ascii: ">") || looking(at: "/>") { return attributes }
                let nameStart = cursor
                while cursor < bytes.count, bytes[cursor].isAttributeName { cursor += 1 }
                let name = String(decoding: bytes[nameStart..<cursor], as: UTF8.self)
                skipSpace()
                guard !name.isEmpty, looking(at: "=") else { return nil }
                cursor += 1
                skipSpace()
                guard cursor < bytes.count, bytes[cursor].isQuote,
                    let end = bytes[(cursor + 1)...].firstIndex(of: bytes[cursor])
                else { return nil }
                let value = String(decoding: bytes[(cursor + 1)..<end], as: UTF8.self)
                guard attributes.updateValue(MarkupEncoding.decode(value), forKey: name) == nil else { return nil }
                cursor = end + 1
            }
        }

        /// Reads up to and including `</message>`.
        private mutating func content() -> String? {
            var text = ""
            var start = cursor
            func pending(_ end: Int) -> String {
                MarkupEncoding.decode(String(decoding: bytes[start..<end], as: UTF8.self))
            }
            while cursor < bytes.count {
                guard bytes[cursor] == UInt8(ascii: "<") else {
                    cursor += 1
                    continue
                }
                if looking(at: "</message>") {
                    text += pending(cursor)
                    cursor += 10
                    return text
                }
                if looking(at: "<message"), isTagEnd(cursor + 8) { return nil }
                if looking(at: "<![CDATA[") {
                    text += pending(cursor)
                    guard let end = position(of: "]]>", from: cursor + 9) else { return nil }
                    text += String(decoding: bytes[(cursor + 9)..<end], as: UTF8.self)
                    cursor = end + 3
                    start = cursor
                } else if let tag = ["<text>", "</text>"].first(where: { looking(at: $0) }) {
                    text += pending(cursor)
                    cursor += tag.utf8.count
                    start = cursor
                } else {
                    cursor += 1
                }
            }
            return nil
        }

        private func looking(at text: String) -> Bool {
            bytes[cursor...].starts(with: text.utf8)
        }

        private func position(of text: String, from start: Int) -> Int? {
            let first = text.utf8.first
            return (start..<bytes.count).first { bytes[$0] == first && bytes[$0...].starts(with: text.utf8) }
        }

        private func isTagEnd(_ index: Int) -> Bool {
            index < bytes.count
                && (bytes[index].isMarkupSpace || bytes[index] == UInt8(ascii: ">")
                    || bytes[index] == UInt8(ascii: "/"))
        }

        private mutating func skipSpace() {
            while cursor < bytes.count, bytes[cursor].isMarkupSpace { cursor += 1 }
        }
    }
}

extension UInt8 {
    fileprivate var isMarkupSpace: Bool { self == 0x20 || (0x09...0x0d).contains(self) }

    fileprivate var isAttributeName: Bool { isTemplateNameByte || self == UInt8(ascii: "-") }
}

extension String {
    /// Without white space and newlines at both ends.
    func trimmingWhiteSpace() -> String {
        guard let start = unicodeScalars.firstIndex(where: { !$0.properties.isWhitespace }),
            let end = unicodeScalars.lastIndex(where: { !$0.properties.isWhitespace })
        else { return "" }
        return String(unicodeScalars[start...end])
    }
}

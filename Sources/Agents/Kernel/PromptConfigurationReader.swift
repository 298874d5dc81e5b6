/// Reads typed members of one object of a configuration file; every error names the file, the whole key and what is
/// allowed. A member that is `null` counts as missing.
struct PromptConfigurationReader {
    let values: [String: JSONValue]
    private let file: String
    private let path: String

    /// - Throws: ``KernelError`` with `badPromptFolder` if the value is not an object.
    init(_ value: JSONValue, file: String, path: String = "") throws(KernelError) {
        guard let values = value.objectValue else {
            let place = path.isEmpty ? file : "\(file): \(path)"
            throw KernelError(.badPromptFolder, "\(place): an object {…} is required, got \(value.kind)")
        }
        self.values = values.filter { $0.value != .null }
        self.file = file
        self.path = path
    }

    func problem(_ key: String, _ text: String) -> KernelError {
        KernelError(.badPromptFolder, "\(file): \(fullKey(key)): \(text)", nextStep: "correct this key")
    }

    /// - Throws: for a member with another name.
    func allowOnly(_ names: [String]) throws(KernelError) {
        for name in values.keys.sorted() where !names.contains(name) {
            throw problem(name, "unknown key; allowed are \(names.joined(separator: ", "))")
        }
    }

    func value(_ key: String) -> JSONValue? { values[key] }

    func string(_ key: String) throws(KernelError) -> String? {
        guard let value = values[key] else { return nil }
        guard let text = value.stringValue else { throw problem(key, "a string is required, got \(value.kind)") }
        return text
    }

    func bool(_ key: String) throws(KernelError) -> Bool? {
        guard let value = values[key] else { return nil }
        guard let truth = value.boolValue else { throw problem(key, "true or false is required, got \(value.kind)") }
        return truth
    }

    func number(_ key: String, in range: ClosedRange<Double>) throws(KernelError) -> Double? {
        guard let value = values[key] else { return nil }
        guard let number = value.doubleValue, range.contains(number) else {
            throw problem(
                key,
                "a number from \(JSONValue.number(range.lowerBound).text) to \(JSONValue.number(range.upperBound).text)"
                    + " is required, got \(value.jsonText)")
        }
        return number
    }

    func integer(_ key: String, in range: ClosedRange<Int64>) throws(KernelError) -> Int64? {
        guard let value = values[key] else { return nil }
        guard let number = value.integerValue, range.contains(number) else {
            throw problem(
                key,
                "a whole number from \(range.lowerBound) to \(range.upperBound) is required, got \(value.jsonText)")
        }
        return number
    }

    func strings(_ key: String) throws(KernelError) -> [String]? {
        guard let value = values[key] else { return nil }
        let texts = value.arrayValue?.compactMap(\.stringValue)
        guard let texts, texts.count == value.arrayValue?.count else {
            throw problem(key, "an array of strings is required")
        }
        return texts
    }

    func object(_ key: String) throws(KernelError) -> PromptConfigurationReader? {
        guard let value = values[key] else { return nil }
        return try PromptConfigurationReader(value, file: file, path: fullKey(key))
    }

    func objects(_ key: String) throws(KernelError) -> [PromptConfigurationReader] {
        guard let value = values[key] else { return [] }
        guard let elements = value.arrayValue else {
            throw problem(key, "an array of objects is required, got \(value.kind)")
        }
        var readers: [PromptConfigurationReader] = []
        for (index, element) in elements.enumerated() {
            readers.append(try PromptConfigurationReader(element, file: file, path: "\(fullKey(key))[\(index)]"))
        }
        return readers
    }

    /// A JSON schema: an object, or (as Semantic Kernel writes it) a string that contains one.
    func schema(_ key: String) throws(KernelError) -> JSONValue? {
        guard let value = values[key] else { return nil }
        if value.objectValue != nil { return value }
        if let text = value.stringValue {
            if text.trimmingWhiteSpace().isEmpty { return nil }
            if let parsed = try? JSONValue(parsing: text), parsed.objectValue != nil { return parsed }
        }
        throw problem(key, "a JSON schema (an object, or a string that contains one) is required, got \(value.kind)")
    }

    /// Every member as an object of its own, sorted by name.
    var members: [(key: String, value: PromptConfigurationReader)] {
        get throws(KernelError) {
            var members: [(key: String, value: PromptConfigurationReader)] = []
            for (name, value) in values.sorted(by: { $0.key < $1.key }) {
                members.append((name, try PromptConfigurationReader(value, file: file, path: fullKey(name))))
            }
            return members
        }
    }

    private func fullKey(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }
}

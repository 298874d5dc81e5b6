import Configuration
import Foundation
import OrchestraCore

/// The configuration that is in force: for every key its value and where it came from.
///
/// Precedence: flags, then `ORCHESTRA_*`, then the file, then defaults. Loading checks *everything* that was written
/// in any source, also values that a stronger source hides, and reports all problems at once.
struct ResolvedConfiguration: Sendable {
    /// One key with its value.
    struct Setting: Sendable {
        var description: ConfigurationKeyDescription
        /// `nil`: unset.
        var text: String?
        /// "default", "flag --kafka", "environment variable ORCHESTRA_LOG_LEVEL", "orchestra.json".
        var source: String

        /// The value for people and logs, with secrets covered.
        var displayText: String? {
            guard let text else { return nil }
            return description.isSecret ? "(secret)" : ResolvedConfiguration.coverUserInformation(in: text)
        }
    }

    /// In the table's order, then librdkafka's properties by name.
    private(set) var settings: [Setting]
    /// The configuration file that was read, if there is one.
    let filePath: String?

    /// - Parameter layers: the strongest first.
    /// - Throws: ``ConfigurationProblems`` with every unknown key and every bad value.
    init(layers: [ConfigurationLayer], filePath: String?) throws(ConfigurationProblems) {
        var problems = layers.flatMap(Self.unknownEntries(in:))
        settings = []
        self.filePath = filePath
        let properties = Set(layers.flatMap(\.entries).map(\.key).filter(Self.isKafkaProperty))
        for description in ConfigurationKeys.all + properties.sorted().map(ConfigurationKeys.kafkaProperty) {
            var setting = Setting(description: description, text: description.defaultText, source: "default")
            // The weakest first, so that the strongest is written last.
            for layer in layers.reversed() {
                guard let entry = layer.entries.last(where: { $0.key == description.name }) else { continue }
                do {
                    setting.text = try layer.text(of: entry, as: description)
                    setting.source = layer.sourceName(of: entry)
                } catch {
                    problems.append(error)
                }
            }
            settings.append(setting)
        }
        guard problems.isEmpty else { throw ConfigurationProblems(messages: problems.map(\.message)) }
    }

    /// The value of a key that has a default.
    subscript<Value>(key: ConfigurationKey<Value>) -> Value {
        guard let value = optional(key) else {
            preconditionFailure("\(key.description.name) has no default: read it with optional(_:)")
        }
        return value
    }

    /// The value of a key that may be unset.
    func optional<Value>(_ key: ConfigurationKey<Value>) -> Value? {
        guard let setting = settings.first(where: { $0.description.name == key.description.name }) else {
            preconditionFailure("\(key.description.name) is no property of ConfigurationKeys")
        }
        return setting.text.map { text in
            guard let value = key.parse(text) else {
                preconditionFailure("\(key.description.name)=\(text) was accepted when it was loaded")
            }
            return value
        }
    }

    func source(of key: ConfigurationKey<some Sendable>) -> String {
        settings.first { $0.description.name == key.description.name }?.source ?? "default"
    }

    /// librdkafka's properties, without the prefix.
    var kafkaProperties: [String: String] {
        var properties: [String: String] = [:]
        for setting in settings where Self.isKafkaProperty(setting.description.name) {
            properties[String(setting.description.name.dropFirst(ConfigurationKeys.kafkaPropertyPrefix.count))] =
                setting.text
        }
        return properties
    }

    private static func isKafkaProperty(_ name: String) -> Bool {
        name.hasPrefix(ConfigurationKeys.kafkaPropertyPrefix)
            && name.count > ConfigurationKeys.kafkaPropertyPrefix.count
    }

    private static func unknownEntries(in layer: ConfigurationLayer) -> [ConfigurationProblem] {
        let known = Set(ConfigurationKeys.all.map(\.name))
        return layer.entries.filter { !known.contains($0.key) && !isKafkaProperty($0.key) }.map { entry in
            ConfigurationProblem(unknown: entry, in: layer)
        }
    }

    /// `https://user:password@host` → `https://(secret)@host`.
    static func coverUserInformation(in text: String) -> String {
        guard let scheme = text.range(of: "://") else { return text }
        let authority = text[scheme.upperBound...].prefix { $0 != "/" }
        guard let at = authority.lastIndex(of: "@") else { return text }
        return text[..<scheme.upperBound] + "(secret)" + text[at...]
    }
}

extension ConfigurationLayer {
    /// The text form of an entry's value, checked against the table.
    fileprivate func text(
        of entry: Entry, as description: ConfigurationKeyDescription
    ) throws(ConfigurationProblem) -> String {
        let isProperty = description.name.hasPrefix(ConfigurationKeys.kafkaPropertyPrefix)
        if let fileType = entry.fileType, fileType != description.fileType.rawValue {
            // librdkafka's properties are text to it, but people write 10 and true for them.
            guard isProperty, ["integer", "number", "boolean"].contains(fileType) else {
                throw ConfigurationProblem(bad: entry, in: self, description)
            }
            return entry.text
        }
        let type: ConfigType = entry.fileType != nil && description.fileType == .integer ? .int : .string
        let found = try? snapshot.value(forKey: AbsoluteConfigKey(description.name.components), type: type)
        let text: String
        switch found?.value?.content {
        case .string(let value): text = value
        case .int(let value): text = "\(value)"
        default: throw ConfigurationProblem(bad: entry, in: self, description)
        }
        guard description.isAllowed(text) else { throw ConfigurationProblem(bad: entry, in: self, description) }
        return text
    }
}

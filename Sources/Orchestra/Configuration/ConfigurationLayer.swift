import Configuration
import Foundation
import OrchestraCore

/// One source of configuration: a swift-configuration snapshot to look values up in, and a list of everything that was
/// written there, so that nothing misspelled is silently ignored.
struct ConfigurationLayer: Sendable {
    /// Something that a person wrote into this source.
    struct Entry: Sendable {
        /// The key it sets; for a variable or flag that belongs to no key, its own spelling.
        var key: String
        /// How it is spelled in its source: `--kafka`, `ORCHESTRA_LOG_LEVEL`, `log.level`.
        var spelling: String
        var text: String
        /// The JSON type in a file; `nil` where everything is text.
        var fileType: String?
    }

    /// Where it comes from: `flag`, `environment` or the path of the file.
    var origin: String
    var snapshot: any ConfigSnapshot
    var entries: [Entry]
    /// Every spelling that would have been right here, for "did you mean".
    var knownSpellings: [String]

    /// What a person reads as the source of a value.
    func sourceName(of entry: Entry) -> String {
        switch origin {
        case "flag": "flag \(entry.spelling)"
        case "environment": "environment variable \(entry.spelling)"
        default: origin
        }
    }
}

// MARK: - Flags

/// A value that was given on the command line.
struct ConfigurationFlag: Sendable {
    var key: String
    /// `--kafka`, or `--set` for the general form.
    var spelling: String
    var text: String
}

extension ConfigurationLayer {
    /// Later flags win over earlier ones, as is usual on a command line.
    init(flags: [ConfigurationFlag]) {
        var values: [AbsoluteConfigKey: ConfigValue] = [:]
        var entries: [String: Entry] = [:]
        for flag in flags {
            values[AbsoluteConfigKey(flag.key.components)] = ConfigValue(.string(flag.text), isSecret: false)
            entries[flag.key] = Entry(key: flag.key, spelling: flag.spelling, text: flag.text)
        }
        self.init(
            origin: "flag", snapshot: InMemoryProvider(name: "flags", values: values).snapshot(),
            entries: entries.values.sorted { $0.key < $1.key },
            knownSpellings: ConfigurationKeys.all.map(\.name))
    }
}

// MARK: - Environment

extension ConfigurationLayer {
    static let environmentPrefix = "ORCHESTRA_"
    /// Names a configuration file, as `--config` does; it is no key itself.
    static let fileVariable = "ORCHESTRA_CONFIG"
    private static let propertyVariablePrefix = "ORCHESTRA_KAFKA_PROPERTIES_"

    /// - Parameter environment: the whole environment; only `ORCHESTRA_*` is looked at.
    init(environment: [String: String]) {
        let own = environment.filter { $0.key.hasPrefix(Self.environmentPrefix) && $0.key != Self.fileVariable }
        let keyOfVariable = Dictionary(
            uniqueKeysWithValues: ConfigurationKeys.all.map { ($0.environmentName, $0.name) })
        let provider = EnvironmentVariablesProvider(environmentVariables: own).prefixKeys(with: "orchestra")
        self.init(
            origin: "environment", snapshot: provider.snapshot(),
            entries: own.sorted { $0.key < $1.key }.map { name, text in
                Entry(key: keyOfVariable[name] ?? Self.propertyKey(name) ?? name, spelling: name, text: text)
            },
            knownSpellings: keyOfVariable.keys.sorted() + [Self.fileVariable])
    }

    /// `ORCHESTRA_KAFKA_PROPERTIES_SECURITY_PROTOCOL` sets `kafka.properties.security.protocol`: librdkafka's
    /// properties have dots and no underscores.
    private static func propertyKey(_ variable: String) -> String? {
        let name = variable.dropFirst(propertyVariablePrefix.count)
        guard variable.hasPrefix(propertyVariablePrefix), !name.isEmpty else { return nil }
        return ConfigurationKeys.kafkaPropertyPrefix + name.lowercased().replacing("_", with: ".")
    }
}

// MARK: - File

extension ConfigurationLayer {
    /// - Throws: ``OrchestraError`` with `badConfiguration` if `json` is not one JSON object.
    init(file path: String, json: Data) throws(OrchestraError) {
        let tree: JSONTree
        let snapshot: JSONSnapshot
        do {
            tree = try JSONDecoder().decode(JSONTree.self, from: json)
            guard case .object = tree else {
                throw OrchestraError(.badConfiguration, "it holds no JSON object", nextStep: "begin it with {")
            }
            snapshot = try json.withUnsafeBytes { bytes in
                try JSONSnapshot(data: bytes.bytes, providerName: path, parsingOptions: .default)
            }
        } catch {
            throw OrchestraError(
                .badConfiguration, "\(path) is not a configuration file: \(Self.reason(error))",
                nextStep: "write one JSON object, for example {\"gateway\": {\"listen\": \"127.0.0.1:8080\"}}")
        }
        var entries: [Entry] = []
        tree.flatten(into: &entries, path: "")
        self.init(
            origin: path, snapshot: snapshot, entries: entries.sorted { $0.key < $1.key },
            knownSpellings: ConfigurationKeys.all.map(\.name))
    }

    private static func reason(_ error: any Error) -> String {
        switch error {
        case let error as OrchestraError: error.message
        case DecodingError.dataCorrupted(let context):
            // Foundation's own description of the place ("Unexpected character … around line 2, column 5") is underneath.
            (context.underlyingError as NSError?)?.userInfo[NSDebugDescriptionErrorKey] as? String
                ?? context.debugDescription
        default: "\(error)"
        }
    }
}

/// JSON as it was written, with its types: swift-configuration's snapshot takes `true` for 1.
private enum JSONTree: Decodable {
    case object([String: JSONTree])
    case array([JSONTree])
    case text(String)
    case integer(Int)
    case number(Double)
    case boolean(Bool)
    case null

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .boolean(value)
        } else if let value = try? container.decode(Int.self) {
            self = .integer(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .text(value)
        } else if let value = try? container.decode([JSONTree].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSONTree].self))
        }
    }

    func flatten(into entries: inout [ConfigurationLayer.Entry], path: String) {
        func leaf(_ type: String, _ text: String) {
            entries.append(.init(key: path, spelling: path, text: text, fileType: type))
        }
        switch self {
        case .object(let members):
            for (name, member) in members {
                member.flatten(into: &entries, path: path.isEmpty ? name : "\(path).\(name)")
            }
        case .array: leaf("array", "[…]")
        case .text(let value): leaf("text", value)
        case .integer(let value): leaf("integer", "\(value)")
        case .number(let value): leaf("number", "\(value)")
        case .boolean(let value): leaf("boolean", "\(value)")
        case .null: leaf("null", "null")
        }
    }
}

extension String {
    /// The components of a dotted configuration key.
    var components: [String] { split(separator: ".", omittingEmptySubsequences: false).map(String.init) }
}

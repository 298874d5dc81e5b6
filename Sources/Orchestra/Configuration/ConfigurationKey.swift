import Transport

/// One entry of the table of keys: what may be configured, with which values, and who reads it.
///
/// The type parameter is what a reader gets; the text form is what people write, in every source.
struct ConfigurationKey<Value: Sendable>: Sendable, DescribedKey {
    let description: ConfigurationKeyDescription
    /// Reads the text form; `nil` for a text that is not allowed.
    let parse: @Sendable (String) -> Value?

    fileprivate init(_ description: ConfigurationKeyDescription, parse: @escaping @Sendable (String) -> Value?) {
        self.description = description
        self.parse = parse
    }
}

/// A key of any type of value.
protocol DescribedKey {
    var description: ConfigurationKeyDescription { get }
}

/// What is known of a key without its value's type: enough to validate, list and explain it.
struct ConfigurationKeyDescription: Sendable {
    /// The JSON type that `orchestra.json` must use. Flags and environment variables are always text.
    enum FileType: String, Sendable {
        case text, integer
    }

    /// Dotted, lower case: `gateway.listen`. The environment spells it `ORCHESTRA_GATEWAY_LISTEN`.
    let name: String
    let fileType: FileType
    /// `nil`: unset unless somebody sets it.
    let defaultText: String?
    /// What values there may be, for people: "an integer from 1 to 64".
    let allowed: String
    let isSecret: Bool
    let help: String
    /// The commands that read it.
    let usedBy: [String]
    let isAllowed: @Sendable (String) -> Bool

    var environmentName: String {
        "ORCHESTRA_" + String(name.uppercased().map { $0.isLetter || $0.isNumber ? $0 : "_" })
    }
}

extension HostAndPort {
    /// Reads `host:port` or `[ipv6]:port`; `nil` for anything else.
    init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"),
            let port = Int(text[text.index(after: colon)...]), (0...65535).contains(port)
        else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty, !host.contains(where: { $0.isWhitespace || $0 == "/" || $0 == "," }) else { return nil }
        self.init(host: String(host), port: port)
    }

    /// Where a client on the same machine reaches a server that listens here.
    var connectable: HostAndPort {
        switch host {
        case "0.0.0.0": HostAndPort(host: "127.0.0.1", port: port)
        case "::": HostAndPort(host: "::1", port: port)
        default: self
        }
    }
}

// MARK: - The kinds of value

extension ConfigurationKey {
    private static func make(
        _ name: String, fileType: ConfigurationKeyDescription.FileType = .text, default defaultText: String?,
        allowed: String, isSecret: Bool = false, usedBy: [String], help: String,
        parse: @escaping @Sendable (String) -> Value?
    ) -> ConfigurationKey<Value> {
        ConfigurationKey(
            ConfigurationKeyDescription(
                name: name, fileType: fileType, defaultText: defaultText, allowed: allowed, isSecret: isSecret,
                help: help, usedBy: usedBy, isAllowed: { parse($0) != nil }),
            parse: parse)
    }
}

extension ConfigurationKey where Value == String {
    static func text(
        _ name: String, default defaultText: String? = nil, allowed: String = "text", isSecret: Bool = false,
        usedBy: [String], help: String, isValid: @escaping @Sendable (String) -> Bool = { !$0.isEmpty }
    ) -> Self {
        make(name, default: defaultText, allowed: allowed, isSecret: isSecret, usedBy: usedBy, help: help) {
            isValid($0) ? $0 : nil
        }
    }

    static func choice(
        _ name: String, of choices: [String], default defaultText: String, usedBy: [String], help: String
    ) -> Self {
        make(
            name, default: defaultText, allowed: "one of " + choices.joined(separator: ", "), usedBy: usedBy, help: help
        ) { choices.contains($0) ? $0 : nil }
    }

    static func url(_ name: String, usedBy: [String], help: String) -> Self {
        text(name, allowed: "a URL such as http://host:8081", usedBy: usedBy, help: help) { text in
            guard let scheme = ["http://", "https://"].first(where: text.hasPrefix) else { return false }
            let rest = text.dropFirst(scheme.count)
            return !rest.isEmpty && !rest.hasPrefix("/") && !rest.contains(where: \.isWhitespace)
        }
    }
}

extension ConfigurationKey where Value == Int {
    static func integer(
        _ name: String, in range: ClosedRange<Int>, default defaultValue: Int, usedBy: [String], help: String
    ) -> Self {
        make(
            name, fileType: .integer, default: "\(defaultValue)",
            allowed: "an integer from \(range.lowerBound) to \(range.upperBound)", usedBy: usedBy, help: help
        ) { Int($0).flatMap { range.contains($0) ? $0 : nil } }
    }
}

extension ConfigurationKey where Value == HostAndPort {
    static func optionalAddress(_ name: String, usedBy: [String], help: String) -> Self {
        make(
            name, default: nil, allowed: "host:port (port 0 stands for the one that is listened on)", usedBy: usedBy,
            help: help
        ) { HostAndPort($0) }
    }

    static func address(_ name: String, default defaultText: String, usedBy: [String], help: String) -> Self {
        make(
            name, default: defaultText, allowed: "host:port, port 0 to 65535 (0 takes a free one)", usedBy: usedBy,
            help: help
        ) { HostAndPort($0) }
    }
}

extension ConfigurationKey where Value == [HostAndPort] {
    static func optionalAddresses(_ name: String, usedBy: [String], help: String) -> Self {
        make(name, default: nil, allowed: "host:port, or several separated by commas", usedBy: usedBy, help: help) {
            parseAll($0)
        }
    }

    static func addresses(_ name: String, default defaultText: String, usedBy: [String], help: String) -> Self {
        make(
            name, default: defaultText, allowed: "host:port, or several separated by commas", usedBy: usedBy, help: help
        ) { parseAll($0) }
    }

    private static func parseAll(_ text: String) -> [HostAndPort]? {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        let addresses = parts.compactMap { HostAndPort(String($0)) }
        return addresses.count == parts.count && addresses.allSatisfy { $0.port > 0 } ? addresses : nil
    }
}

extension ConfigurationKey where Value == Duration {
    static func duration(
        _ name: String, in range: ClosedRange<Duration>, default defaultText: String, usedBy: [String], help: String
    ) -> Self {
        make(
            name, default: defaultText,
            allowed: "a duration such as 500ms, 30s, 5m or 2h, from \(range.lowerBound) to \(range.upperBound)",
            usedBy: usedBy, help: help
        ) { text in
            Duration(configurationText: text).flatMap { range.contains($0) ? $0 : nil }
        }
    }
}

extension Duration {
    /// Reads a whole number with a unit: `ms`, `s`, `m`, `h` or `d`; `nil` for anything else.
    init?(configurationText text: String) {
        let units: [(String, Int64)] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)]
        guard let (suffix, milliseconds) = units.first(where: { text.hasSuffix($0.0) }),
            let count = Int64(text.dropLast(suffix.count)), count >= 0
        else { return nil }
        let (product, overflow) = count.multipliedReportingOverflow(by: milliseconds)
        guard !overflow else { return nil }
        self = .milliseconds(product)
    }
}

import Foundation
import Logging
import Synchronization

/// Writes log lines to standard error, each in one `write`, for people or as JSON.
///
/// ```
/// 2026-01-31T12:34:56.789Z info  [silo] partition restored partition=3 records=120
/// {"level":"info","logger":"silo","message":"partition restored","partition":"3","time":"2026-01-31T12:34:56.789Z"}
/// ```
struct NodeLogHandler: LogHandler {
    enum Format: String, Sendable { case human, json }

    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?
    var logLevel: Logger.Level
    private let label: String
    private let format: Format
    private let file: Int32

    /// - Parameters:
    ///   - label: the logger's name.
    ///   - level: the least severe level that is written.
    ///   - file: an open descriptor; lines that it does not take are lost.
    init(label: String, level: Logger.Level, format: Format, file: Int32 = STDERR_FILENO) {
        self.label = label
        self.logLevel = level
        self.format = format
        self.file = file
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { $1 } }
        if let own = event.metadata { all.merge(own) { $1 } }
        if let error = event.error { all["error"] = "\(error)" }
        let line: String
        switch format {
        case .human: line = humanLine(event.level, "\(event.message)", all)
        case .json: line = jsonLine(event.level, "\(event.message)", all)
        }
        Console.write(line + "\n", to: file)
    }

    private func humanLine(_ level: Logger.Level, _ message: String, _ metadata: Logger.Metadata) -> String {
        var line = "\(Self.now()) \(level.rawValue.padding(toLength: 8, withPad: " ", startingAt: 0)) [\(label)] "
        line += Self.oneLine(message)
        for (name, value) in metadata.sorted(by: { $0.key < $1.key }) {
            let text = Self.oneLine("\(value)")
            line += text.isEmpty || text.contains(" ") ? " \(name)=\"\(text)\"" : " \(name)=\(text)"
        }
        return line
    }

    private func jsonLine(_ level: Logger.Level, _ message: String, _ metadata: Logger.Metadata) -> String {
        var object: [String: String] = metadata.mapValues { "\($0)" }
        object["time"] = Self.now()
        object["level"] = level.rawValue
        object["logger"] = label
        object["message"] = message
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(object)).map { String(decoding: $0, as: UTF8.self) } ?? message
    }

    /// A line end inside a message would let one event look like two.
    private static func oneLine(_ text: String) -> String {
        text.contains(where: \.isNewline)
            ? text.split(whereSeparator: \.isNewline).joined(separator: " | ") : text
    }

    private static func now() -> String {
        Date.now.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }
}

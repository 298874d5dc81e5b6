/// Cuts a stream of bytes into the `data` of server-sent events, without any I/O.
///
/// Lines end with LF, CR or CRLF; lines that begin with `:` and fields other than `data` are skipped; several `data` lines
/// of one event are joined by LF.
struct ServerSentEvents {
    /// A line or event longer than this breaks the stream: 4 MiB.
    static let maximumEventSize = 4 << 20

    private var line: [UInt8] = []
    private var data: [UInt8] = []
    private var hasData = false
    private var endedWithCarriageReturn = false

    /// Takes the next bytes.
    ///
    /// - Returns: the data of the events that are complete now.
    /// - Throws: ``KernelError`` with `badResponse` for an event larger than ``maximumEventSize``.
    mutating func append(_ bytes: [UInt8]) throws(KernelError) -> [[UInt8]] {
        var events: [[UInt8]] = []
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                // The LF of a CRLF: its line has ended already.
                if !endedWithCarriageReturn { endLine(&events) }
                endedWithCarriageReturn = false
            } else if byte == UInt8(ascii: "\r") {
                endLine(&events)
                endedWithCarriageReturn = true
            } else {
                endedWithCarriageReturn = false
                line.append(byte)
                guard line.count + data.count <= ServerSentEvents.maximumEventSize else {
                    throw KernelError(
                        .badResponse, "the server sent an event of more than \(ServerSentEvents.maximumEventSize) bytes"
                    )
                }
            }
        }
        return events
    }

    /// Takes what is left when the stream has ended: some servers omit the last empty line.
    mutating func finish() -> [[UInt8]] {
        var events: [[UInt8]] = []
        if !line.isEmpty { endLine(&events) }
        endEvent(&events)
        return events
    }

    private mutating func endLine(_ events: inout [[UInt8]]) {
        defer { line.removeAll(keepingCapacity: true) }
        guard !line.isEmpty else { return endEvent(&events) }
        guard line.starts(with: "data".utf8) else { return }
        var value = line.dropFirst(4)
        guard value.isEmpty || value.first == UInt8(ascii: ":") else { return }
        value = value.dropFirst()
        if value.first == UInt8(ascii: " ") { value = value.dropFirst() }
        if hasData { data.append(UInt8(ascii: "\n")) }
        data += value
        hasData = true
    }

    private mutating func endEvent(_ events: inout [[UInt8]]) {
        guard hasData else { return }
        events.append(data)
        data.removeAll(keepingCapacity: true)
        hasData = false
    }
}

import NIOCore
import NIOPosix
import Synchronization

/// An HTTP server on the loopback interface that answers from a script, byte by byte, so that it can also break off.
final class ScriptedServer: Sendable {
    struct Request: Sendable {
        var method: String
        var path: String
        var headers: [String: String]
        var body: String
    }

    enum Step: Sendable {
        /// A whole response.
        case response(status: Int, headers: [(String, String)] = [], body: String)
        /// Raw bytes in pieces, then the connection closes.
        case raw([String])

        static func json(_ body: String) -> Step {
            .response(status: 200, headers: [("Content-Type", "application/json")], body: body)
        }

        /// Server-sent events in chunks of the given sizes; the connection closes behind them, whole or not.
        static func events(_ text: String, pieceSize: Int = 7, isWhole: Bool = true) -> Step {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            let bytes = Array(text.utf8)
            var pieces = [head]
            for start in stride(from: 0, to: bytes.count, by: pieceSize) {
                let piece = bytes[start..<min(start + pieceSize, bytes.count)]
                // Latin-1 keeps bytes of cut characters apart until they are written.
                let text = String(String.UnicodeScalarView(piece.map { Unicode.Scalar($0) }))
                pieces.append("\(String(piece.count, radix: 16))\r\n\(text)\r\n")
            }
            if isWhole { pieces.append("0\r\n\r\n") }
            return .raw(pieces)
        }
    }

    fileprivate struct State {
        var steps: [Step]
        var requests: [Request] = []
    }

    fileprivate let state: Mutex<State>
    private let channel: Mutex<(any Channel)?> = Mutex(nil)

    init(_ steps: [Step]) {
        state = Mutex(State(steps: steps))
    }

    var requests: [Request] { state.withLock { $0.requests } }

    /// Serves while `body` runs.
    ///
    /// - Parameter body: gets the server's base URL.
    func run<Result>(_ body: (String) async throws -> Result) async throws -> Result {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Handler(self))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        do {
            let result = try await body("http://127.0.0.1:\(channel.localAddress?.port ?? 0)")
            try await channel.close()
            return result
        } catch {
            try? await channel.close()
            throw error
        }
    }

    fileprivate func take(_ request: Request) -> Step {
        state.withLock { state in
            state.requests.append(request)
            guard !state.steps.isEmpty else { return .response(status: 500, body: "the script has ended") }
            return state.steps.removeFirst()
        }
    }
}

private final class Handler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let server: ScriptedServer
    private var received: [UInt8] = []

    init(_ server: ScriptedServer) {
        self.server = server
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received += Self.unwrapInboundIn(data).readableBytesView
        while let request = takeRequest() { answer(request, context) }
    }

    private func takeRequest() -> ScriptedServer.Request? {
        let text = String(decoding: received, as: UTF8.self)
        guard let end = text.firstRange(of: "\r\n\r\n") else { return nil }
        let lines = text[..<end.lowerBound].split(separator: "\r\n")
        let words = lines[0].split(separator: " ")
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            headers[parts[0].lowercased()] = parts[1].trimmingPrefix(" ").description
        }
        let headLength = text[..<end.upperBound].utf8.count
        let length = Int(headers["content-length"] ?? "0") ?? 0
        guard received.count >= headLength + length else { return nil }
        let body = String(decoding: received[headLength..<(headLength + length)], as: UTF8.self)
        received.removeFirst(headLength + length)
        return ScriptedServer.Request(method: String(words[0]), path: String(words[1]), headers: headers, body: body)
    }

    private func answer(_ request: ScriptedServer.Request, _ context: ChannelHandlerContext) {
        switch server.take(request) {
        case .response(let status, let headers, let body):
            var text = "HTTP/1.1 \(status) X\r\nContent-Length: \(body.utf8.count)\r\n"
            for (name, value) in headers { text += "\(name): \(value)\r\n" }
            write(Array((text + "\r\n" + body).utf8), context)
        case .raw(let pieces):
            for piece in pieces { write(piece.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }, context) }
            context.close(promise: nil)
        }
    }

    private func write(_ bytes: [UInt8], _ context: ChannelHandlerContext) {
        context.writeAndFlush(Self.wrapOutboundOut(context.channel.allocator.buffer(bytes: bytes)), promise: nil)
    }
}

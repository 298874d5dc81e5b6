import HTTPTypes
import Hummingbird
import NIOCore
import NIOHTTPTypes
import OrchestraCore

/// What Hummingbird leaves to its users on one HTTP/1.1 connection:
///
/// - `Expect: 100-continue` is answered, unless the announced body is too large anyway; curl waits a second for it;
/// - an answer with `Connection: close` closes the connection: first our side, so that the peer still reads the answer
///   while it sends, then all of it a moment later, however much the peer still has to send;
/// - bytes that are not HTTP get a 400 with a body, not an empty one.
///
/// Confined to its channel's event loop.
final class ConnectionHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    /// How long a peer may go on sending after it was told that the connection closes.
    private static let lingering = TimeAmount.seconds(2)

    private let maximumBodySize: Int
    private var closesAfterResponse = false
    private var isClosing = false
    private var isParserAnswer = false
    private var lastLook: Scheduled<Void>?

    init(maximumBodySize: Int) {
        self.maximumBodySize = maximumBodySize
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // What comes after the last answer is read, so that the peer is not reset before it has read it, and dropped.
        guard !isClosing else { return }
        if case .head(let head) = unwrapInboundIn(data), head.headerFields[.expect]?.lowercased() == "100-continue",
            head.headerFields[.contentLength].flatMap({ Int($0) }) ?? 0 <= maximumBodySize
        {
            context.writeAndFlush(wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(var head) where head.status == .badRequest && head.headerFields[.contentLength] == "0":
            // Hummingbird's own answer to a request that its parser refuses.
            let problem = ConnectionHandler.unparsable
            head.headerFields = problem.headers
            closesAfterResponse = true
            isParserAnswer = true
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .head(let head):
            if head.headerFields[.connection] == "close" { closesAfterResponse = true }
            context.write(data, promise: promise)
        case .body:
            context.write(data, promise: promise)
        case .end:
            if isParserAnswer {
                isParserAnswer = false
                context.write(wrapOutboundOut(.body(ConnectionHandler.unparsableBody)), promise: nil)
            }
            context.write(data, promise: promise)
            if closesAfterResponse { closeSoon(context) }
        }
    }

    private func closeSoon(_ context: ChannelHandlerContext) {
        isClosing = true
        context.flush()
        context.close(mode: .output, promise: nil)
        let channel = context.channel
        lastLook = context.eventLoop.scheduleTask(in: ConnectionHandler.lingering) {
            channel.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        lastLook?.cancel()
        context.fireChannelInactive()
    }

    private static let unparsableProblem = Problem(
        .badRequest, "invalidArgument", "the bytes received are not an HTTP/1.1 request",
        nextStep: "check the request line, the headers and their sizes")

    private static let unparsableBody = ByteBuffer(
        bytes: JSONOutput.object([
            ("type", .string("urn:orchestra:problem:\(unparsableProblem.code)")),
            ("title", .string(unparsableProblem.status.reasonPhrase)),
            ("status", .integer(unparsableProblem.status.code)),
            ("code", .string(unparsableProblem.code)),
            ("detail", .string(unparsableProblem.detail)),
            ("nextStep", .string(unparsableProblem.nextStep)),
        ]).encoded())

    private static let unparsable: Response = {
        var response = unparsableProblem.response(path: "")
        response.headers[.contentLength] = String(unparsableBody.readableBytes)
        response.headers[.connection] = "close"
        return response
    }()
}

import Certificates
import NIOCore
import NIOEmbedded
import TLS
import Testing

/// TLS in a pipeline, without a network.
@Suite struct TLSHandlerTests {
    /// The handler behind TLS: what it was told.
    private final class Application: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        var text = ""
        var errors: [any Error] = []
        var isInactive = false

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            text += String(buffer: unwrapInboundIn(data))
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { errors.append(error) }

        func channelInactive(context: ChannelHandlerContext) { isInactive = true }
    }

    /// Between TLS and the network: counts what is asked of the network.
    private final class ReadCounter: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer
        var count = 0

        func read(context: ChannelHandlerContext) {
            count += 1
            context.read()
        }
    }

    private struct Node {
        let channel = EmbeddedChannel()
        let application = Application()
        let reads = ReadCounter()

        init(_ side: TLSContext.Side, _ files: CertificateFiles = Certificates.cluster) throws {
            let context = try TLSContext.make(side, files)
            try channel.pipeline.syncOperations.addHandlers([reads, try TLSHandler(context), application])
        }

        func activate() throws {
            try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        }

        func write(_ text: String) -> EventLoopFuture<Void> {
            channel.writeAndFlush(ByteBuffer(string: text))
        }
    }

    /// Carries what there is to and fro until there is nothing more; a side that has closed takes nothing.
    private func exchange(_ client: Node, _ server: Node) throws {
        var isQuiet = false
        while !isQuiet {
            isQuiet = true
            for (from, to) in [(client, server), (server, client)] {
                while let bytes = try from.channel.readOutbound(as: ByteBuffer.self) {
                    isQuiet = false
                    if to.channel.isActive { try to.channel.writeInbound(bytes) }
                }
            }
        }
    }

    private func withNodes(
        client files: CertificateFiles = Certificates.cluster, _ body: (_ client: Node, _ server: Node) throws -> Void
    ) throws {
        let (client, server) = (try Node(.client, files), try Node(.server))
        try client.activate()
        try server.activate()
        try body(client, server)
        for node in [client, server] { _ = try? node.channel.finish(acceptAlreadyClosed: true) }
    }

    private func state(of future: EventLoopFuture<Void>, on node: Node) -> Result<Void, any Error>? {
        let box = NIOLoopBound<Outcome>(Outcome(), eventLoop: node.channel.eventLoop)
        future.whenComplete { box.value.result = $0 }
        node.channel.embeddedEventLoop.run()
        return box.value.result
    }

    private final class Outcome {
        var result: Result<Void, any Error>?
    }

    @Test func writesWaitForTheHandshake() throws {
        try withNodes { client, server in
            let (first, second) = (client.write("one, "), client.write("two"))
            let reply = server.write("three")
            #expect(state(of: first, on: client) == nil)
            try exchange(client, server)
            for (future, node) in [(first, client), (second, client), (reply, server)] {
                #expect(throws: Never.self) { try #require(state(of: future, on: node)).get() }
            }
            #expect(server.application.text == "one, two")
            #expect(client.application.text == "three")
            #expect(client.application.errors.isEmpty && server.application.errors.isEmpty)
        }
    }

    @Test func unflushedWritesWait() throws {
        try withNodes { client, server in
            client.channel.write(ByteBuffer(string: "later"), promise: nil)
            try exchange(client, server)
            #expect(server.application.text.isEmpty)
            client.channel.flush()
            try exchange(client, server)
            #expect(server.application.text == "later")
        }
    }

    @Test func closingIsTold() throws {
        try withNodes { client, server in
            try exchange(client, server)
            _ = client.write("the last words")
            let closed = client.channel.close()
            let late = client.write("too late")
            try exchange(client, server)
            #expect(state(of: closed, on: client) != nil)
            #expect(throws: ChannelError.self) { try #require(state(of: late, on: client)).get() }
            #expect(server.application.text == "the last words")
            #expect(server.application.isInactive && server.application.errors.isEmpty)
        }
    }

    @Test func closingDuringTheHandshakeFailsWhatWaits() throws {
        try withNodes { client, _ in
            let write = client.write("never")
            client.channel.close(promise: nil)
            #expect(throws: ChannelError.self) { try #require(state(of: write, on: client)).get() }
            #expect(client.application.isInactive)
        }
    }

    @Test func aPeerThatLeavesDuringTheHandshakeIsAnError() throws {
        try withNodes { client, server in
            let write = server.write("never")
            server.channel.pipeline.fireChannelInactive()
            #expect(server.application.errors.count == 1 && server.application.errors.first is TLSError)
            #expect(throws: ChannelError.self) { try #require(state(of: write, on: server)).get() }
        }
    }

    @Test func plainTextIsAnError() throws {
        try withNodes { _, server in
            try server.channel.writeInbound(ByteBuffer(string: "GET / HTTP/1.1\r\n\r\n"))
            #expect(server.application.errors.count == 1 && server.application.errors.first is TLSError)
            #expect(!server.channel.isActive)
        }
    }

    /// The refusing side says why, the refused side hears it, and both close.
    @Test func aRefusalIsAnErrorOnBothSides() throws {
        try withNodes(client: Certificates.stranger) { client, server in
            try exchange(client, server)
            #expect(server.application.errors.count == 1 && !server.channel.isActive)
            #expect("\(server.application.errors)".contains("certificate verify failed"))
            #expect(client.application.errors.count == 1 && !client.channel.isActive)
            #expect("\(client.application.errors)".contains("alert unknown ca"))
        }
    }

    @Test func halvesAreNotClosed() throws {
        try withNodes { client, server in
            try exchange(client, server)
            let half = client.channel.close(mode: .output)
            #expect(throws: ChannelError.self) { try #require(state(of: half, on: client)).get() }
            #expect(client.channel.isActive)
        }
    }

    /// Half a record is nothing for the application, so the network is asked for the rest.
    @Test func whoeverAskedForBytesGetsThem() throws {
        try withNodes { client, server in
            try exchange(client, server)
            _ = client.write("a record")
            var record = try #require(try client.channel.readOutbound(as: ByteBuffer.self))
            let slice = record.readSlice(length: 10)
            let half = try #require(slice)
            server.channel.read()
            let before = server.reads.count
            try server.channel.writeInbound(half)
            #expect(server.application.text.isEmpty)
            #expect(server.reads.count > before)
            try server.channel.writeInbound(record)
            #expect(server.application.text == "a record")
        }
    }
}

import NIOCore
import NIOPosix

#if os(Linux)
    /// `TCP_USER_TIMEOUT` of `<linux/tcp.h>`, which Glibc's module does not export.
    private let tcpUserTimeout = NIOBSDSocket.Option(rawValue: 18)
#endif

extension ServerBootstrap {
    func socketOptions(_ limits: TransportLimits) -> ServerBootstrap {
        var bootstrap = childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            .childChannelOption(.writeBufferWaterMark, value: .init(low: 1 << 18, high: 1 << 20))
            .childChannelOption(.recvAllocator, value: receiveAllocator)
            .childChannelOption(.maxMessagesPerRead, value: 4)
        #if os(Linux)
            bootstrap = bootstrap.childChannelOption(
                .tcpOption(tcpUserTimeout), value: .init(clamping: limits.tcpUserTimeout.components.seconds * 1000))
        #endif
        return bootstrap
    }
}

extension ClientBootstrap {
    func socketOptions(_ limits: TransportLimits) -> ClientBootstrap {
        var bootstrap = channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelOption(.writeBufferWaterMark, value: .init(low: 1 << 18, high: 1 << 20))
            .channelOption(.recvAllocator, value: receiveAllocator)
            .channelOption(.maxMessagesPerRead, value: 4)
        #if os(Linux)
            bootstrap = bootstrap.channelOption(
                .tcpOption(tcpUserTimeout), value: .init(clamping: limits.tcpUserTimeout.components.seconds * 1000))
        #endif
        return bootstrap
    }
}

/// Reads grow to 256 KiB, so that a thousand waiting calls come in a few system calls.
private var receiveAllocator: AdaptiveRecvByteBufferAllocator {
    AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: 16_384, maximum: 262_144)
}

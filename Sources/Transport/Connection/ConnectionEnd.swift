import NIOCore
import NIOPosix

/// Why a connection, or the attempt to make one, is over.
package enum ConnectionEnd: Error, Sendable, Hashable, CustomStringConvertible {
    /// Nobody listens there: the peer's machine said so.
    case refused
    /// No connection, or no word of the handshake, in time.
    case timedOut
    /// The name has no address, or there is no way to it.
    case unreachable(String)
    /// The two do not belong together, or somebody broke the protocol.
    case failed(WireError)
    /// The peer closed it, or it broke.
    case lost(String)
    /// This node closed it.
    case closed(String)

    package var description: String {
        switch self {
        case .refused: "cannot connect: refused, nobody listens there"
        case .timedOut: "cannot connect: nobody answered in time"
        case .unreachable(let detail): "cannot connect: \(detail)"
        case .failed(let error): error.description
        case .lost(let detail), .closed(let detail): detail
        }
    }

    /// What an attempt to connect that failed with `error` means.
    init(connecting error: any Error) {
        switch error {
        case let error as NIOConnectionError:
            self.init(error)
        case let error as IOError where error.errnoCode == ECONNREFUSED:
            self = .refused
        case let error as IOError where error.errnoCode == ETIMEDOUT:
            self = .timedOut
        case ChannelError.connectTimeout:
            self = .timedOut
        default:
            self = .unreachable("\(error)")
        }
    }

    /// Several addresses were tried: refused if all refused, timed out if one of them did not answer.
    private init(_ error: NIOConnectionError) {
        let ends = error.connectionErrors.map { ConnectionEnd(connecting: $0.error) }
        if !ends.isEmpty, ends.allSatisfy({ $0 == .refused }) {
            self = .refused
        } else if ends.contains(.timedOut) {
            self = .timedOut
        } else if let end = ends.first(where: { $0 != .refused }) {
            self = end
        } else {
            let cause = error.dnsAError ?? error.dnsAAAAError
            self = .unreachable("\(error.host) has no address\(cause.map { ": \($0)" } ?? "")")
        }
    }
}

package import Membership
package import Transport

// The protocol knows nothing of the transport, so each has its own words for roles and addresses.

extension NodeAddress {
    /// - Returns: `nil` for a port that is none, or a host that does not fit into a message.
    package init?(_ address: HostAndPort) {
        guard let port = UInt16(exactly: address.port), port > 0, (1...255).contains(address.host.utf8.count) else {
            return nil
        }
        self.init(host: address.host, port: port)
    }
}

extension HostAndPort {
    package init(_ address: NodeAddress) {
        self.init(host: address.host, port: Int(address.port))
    }
}

extension MemberRole {
    package init(_ role: NodeRole) {
        switch role {
        case .silo: self = .silo
        case .agent: self = .agent
        case .gateway: self = .gateway
        }
    }
}

extension MemberRole: CustomStringConvertible {
    package var description: String {
        switch self {
        case .silo: "silo"
        case .agent: "agent"
        case .gateway: "gateway"
        }
    }
}

extension MemberStatus: CustomStringConvertible {
    package var description: String {
        switch self {
        case .alive: "alive"
        case .suspect: "suspect"
        case .dead: "dead"
        case .left: "left"
        }
    }
}

import Logging
import OrchestraCore
import Transport

extension ResolvedConfiguration {
    /// The connections of a node as the `cluster.*` keys want them.
    ///
    /// - Parameters:
    ///   - listen: where other nodes reach it; `nil` for a node that only dials.
    ///   - takesGossip: whether it is a member.
    /// - Throws: ``OrchestraError`` with `badConfiguration` when the TLS keys are not all there or name files that
    ///   cannot be used.
    func makeNetwork(
        nodeID: String, generation: Int64 = 0, role: NodeRole, listen: HostAndPort? = nil,
        takesGossip: Bool = false, logger: Logger
    ) throws(OrchestraError) -> PeerNetwork {
        let identity = NodeIdentity(
            clusterName: self[ConfigurationKeys.clusterName], nodeID: nodeID, generation: generation, role: role)
        return try PeerNetwork(
            PeerNetworkConfiguration(
                identity: identity, listen: listen, advertise: optional(ConfigurationKeys.clusterAdvertise),
                secret: optional(ConfigurationKeys.clusterSecret).flatMap { ClusterSecret($0) }, tls: tlsFiles()),
            takesGossip: takesGossip, logger: logger)
    }

    func tlsFiles() throws(OrchestraError) -> TLSFiles? {
        let keys = [
            ConfigurationKeys.clusterTLSCertificate, ConfigurationKeys.clusterTLSKey, ConfigurationKeys.clusterTLSTrust,
        ]
        let paths = keys.compactMap { optional($0) }
        guard !paths.isEmpty else { return nil }
        guard paths.count == keys.count else {
            let missing = keys.filter { optional($0) == nil }.map(\.description.name).joined(separator: " and ")
            throw OrchestraError(
                .badConfiguration, "TLS between nodes is half configured: \(missing) not set",
                nextStep: "set cluster.tls.certificate, cluster.tls.key and cluster.tls.trust, or none of them")
        }
        return TLSFiles(certificate: paths[0], key: paths[1], trustRoots: paths[2])
    }
}

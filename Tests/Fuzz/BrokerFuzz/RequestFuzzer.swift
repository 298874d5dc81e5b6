#if DEBUG
    import FuzzSupport
    import NIOCore
    import SeededRandom

    @testable import LocalBroker

    /// Random bodies for every API and version. What is taken as a request must say the same when it is written and read
    /// again.
    struct RequestFuzzer {
        private typealias Decoder = (inout WireCodec) throws -> (inout WireCodec) throws -> Void

        private let decoders: [(api: API, decode: Decoder)]

        init() {
            func decoder<Request: WireRequest>(_ type: Request.Type) -> (API, Decoder) {
                (
                    type.api,
                    { wire in
                        var request = Request()
                        try wire.structure(&request)
                        return { writer in try writer.structure(&request) }
                    }
                )
            }
            decoders = [
                decoder(ProduceRequest.self), decoder(FetchRequest.self), decoder(ListOffsetsRequest.self),
                decoder(MetadataRequest.self), decoder(OffsetCommitRequest.self), decoder(OffsetFetchRequest.self),
                decoder(FindCoordinatorRequest.self), decoder(JoinGroupRequest.self), decoder(HeartbeatRequest.self),
                decoder(LeaveGroupRequest.self), decoder(SyncGroupRequest.self), decoder(DescribeGroupsRequest.self),
                decoder(ListGroupsRequest.self), decoder(ApiVersionsRequest.self), decoder(CreateTopicsRequest.self),
                decoder(DeleteTopicsRequest.self), decoder(InitProducerIDRequest.self),
                decoder(OffsetForLeaderEpochRequest.self), decoder(AddPartitionsToTxnRequest.self),
                decoder(AddOffsetsToTxnRequest.self), decoder(EndTxnRequest.self),
                decoder(TxnOffsetCommitRequest.self), decoder(DescribeConfigsRequest.self),
                decoder(CreatePartitionsRequest.self), decoder(DeleteGroupsRequest.self),
                decoder(DescribeClusterRequest.self), decoder(DeleteRecordsRequest.self),
                decoder(AlterConfigsRequest.self), decoder(IncrementalAlterConfigsRequest.self),
                decoder(OffsetDeleteRequest.self), decoder(DescribeProducersRequest.self),
                decoder(DescribeTransactionsRequest.self), decoder(ListTransactionsRequest.self),
            ]
            precondition(Set(decoders.map(\.api.key)) == Set(API.all.map(\.key)), "an API has no decoder here")
        }

        /// - Returns: whether the bytes were a request.
        func run(_ random: inout SeededGenerator) throws -> Bool {
            let (api, decode) = decoders[random.below(decoders.count)]
            let version = api.versions.lowerBound + Int16(random.below(api.versions.count))
            let bytes = Self.body(&random)
            var reader = codec(reading: ByteBuffer(bytes: bytes), api, version)
            let write: (inout WireCodec) throws -> Void
            do {
                write = try decode(&reader)
            } catch is WireError {
                return false
            }
            let first = try written(write, api, version)
            var second = codec(reading: first, api, version)
            let again = try written(try decode(&second), api, version)
            guard again == first else {
                throw FuzzFailure("\(api.key) version \(version) reads back differently: \(bytes)")
            }
            return true
        }

        static func body(_ random: inout SeededGenerator) -> [UInt8] {
            (0..<random.below(random.below(8) == 0 ? 400 : 60)).map { _ in random.lengthLikeByte() }
        }

        private func codec(reading buffer: ByteBuffer, _ api: API, _ version: Int16) -> WireCodec {
            WireCodec(reading: buffer, version: version, isFlexible: api.isFlexible(version))
        }

        private func written(
            _ write: (inout WireCodec) throws -> Void, _ api: API, _ version: Int16
        ) throws -> ByteBuffer {
            var wire = WireCodec(writingTo: ByteBuffer(), version: version, isFlexible: api.isFlexible(version))
            try write(&wire)
            return wire.takeBuffer()
        }
    }
#endif

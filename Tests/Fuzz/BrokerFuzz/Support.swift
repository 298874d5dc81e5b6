#if DEBUG
    import Foundation

    /// What the command line says.
    struct FuzzArguments {
        var seed: UInt64 = 1
        var count: UInt64 = 1_000_000
        var from: UInt64 = 0

        init(_ words: [String]) {
            for (option, value) in zip(words.dropFirst(), words.dropFirst(2)) {
                switch option {
                case "--seed": seed = UInt64(value) ?? seed
                case "--count": count = UInt64(value) ?? count
                case "--from": from = UInt64(value) ?? from
                default: continue
                }
            }
        }
    }

    /// How many cases were taken as valid: none at all would mean that the fuzzer tests nothing but the first check.
    struct FuzzTally {
        var requests = 0
        var batches = 0
    }

    /// What was found wrong.
    struct FuzzFailure: Error, CustomStringConvertible {
        var description: String
        init(_ description: String) { self.description = description }
    }

    /// SplitMix64: the whole sequence follows from the seed.
    struct SeededGenerator: RandomNumberGenerator {
        private var state: UInt64

        init(seed: UInt64) { state = seed }

        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
            return mixed ^ (mixed >> 31)
        }

        mutating func below(_ bound: Int) -> Int { Int(truncatingIfNeeded: next() % UInt64(bound)) }

        /// A byte as lengths, counts and flags are made of: mostly small, sometimes extreme.
        mutating func lengthLikeByte() -> UInt8 {
            switch below(20) {
            case 0..<9: return 0
            case 9..<13: return 1
            case 13..<15: return 2
            case 15: return 3
            case 16: return UInt8(below(12))
            case 17: return 0xff
            case 18: return 0x7f
            default: return UInt8(truncatingIfNeeded: next())
            }
        }

        /// Changes a few bytes, cuts or extends.
        mutating func mutate(_ bytes: inout [UInt8]) {
            for _ in 0...below(4) {
                guard !bytes.isEmpty else { return bytes.append(lengthLikeByte()) }
                let place = below(bytes.count)
                switch below(8) {
                case 0: bytes[place] = UInt8(truncatingIfNeeded: next())
                case 1: bytes[place] ^= 1 << UInt8(below(8))
                case 2: bytes[place] = lengthLikeByte()
                case 3: bytes.removeLast(1 + below(min(bytes.count, 9)))
                case 4: bytes.insert(lengthLikeByte(), at: place)
                case 5: bytes.remove(at: place)
                case 6:
                    for offset in place..<min(place + 4, bytes.count) { bytes[offset] = offset == place ? 0x7f : 0xff }
                default:
                    for offset in place..<min(place + 4, bytes.count) { bytes[offset] = 0xff }
                }
            }
        }
    }

    /// Names the case when the process traps.
    enum CrashReport {
        nonisolated(unsafe) private static let cell = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)

        static var current: UInt64 {
            get { cell.pointee }
            set { cell.pointee = newValue }
        }

        static func install() {
            current = 0
            for number in [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGABRT] {
                signal(number) { number in
                    // Only what a signal handler may do: no allocation, no print.
                    var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
                    withUnsafeMutableBytes(of: &digits) { buffer in
                        var rest = CrashReport.current
                        var end = buffer.count
                        buffer[end - 1] = 10
                        end -= 1
                        repeat {
                            end -= 1
                            buffer[end] = UInt8(48 + rest % 10)
                            rest /= 10
                        } while rest > 0
                        let title: StaticString = "broker-fuzz: trapped in case "
                        _ = write(2, title.utf8Start, title.utf8CodeUnitCount)
                        _ = write(2, buffer.baseAddress! + end, buffer.count - end)
                    }
                    signal(number, SIG_DFL)
                    raise(number)
                }
            }
        }
    }

    /// Small frames must not make the process large.
    enum MemoryBound {
        static let limitMegabytes = 1024

        static var peakMegabytes: Int {
            var usage = rusage()
            getrusage(Int32(RUSAGE_SELF.rawValue), &usage)
            return usage.ru_maxrss / 1024
        }

        static func check() throws {
            guard peakMegabytes <= limitMegabytes else {
                throw FuzzFailure("the process took \(peakMegabytes) MB; the limit is \(limitMegabytes)")
            }
        }
    }
#endif

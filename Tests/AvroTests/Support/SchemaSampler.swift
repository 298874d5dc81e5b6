import Avro
import SeededRandom

/// Random schemas and values of them, that a seed repeats. Made without a look at `avro_oracle.py`'s own generator, so
/// that each side also meets what the other thought of.
struct SchemaSampler {
    private var random: SeededGenerator
    private var lastName = 0
    /// The records around the place where a type is made; they may be referred to.
    private var enclosing: [String] = []
    /// Every enum and fixed type so far; they may be referred to, too.
    private var finished: [String] = []

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    // MARK: Schemas

    /// - Returns: a schema's JSON text.
    mutating func schema() -> String {
        chance(0.8) ? record(depth: 3) : type(depth: 3, inUnion: false)
    }

    private mutating func type(depth: Int, inUnion: Bool) -> String {
        guard depth > 0, chance(0.6) else { return primitive() }
        switch Int.random(in: 0..<(inUnion ? 6 : 7), using: &random) {
        case 0: return #"{"type":"array","items":\#(type(depth: depth - 1, inUnion: false))}"#
        case 1: return #"{"values":\#(type(depth: depth - 1, inUnion: false)),"type":"map"}"#
        case 2: return enumeration()
        case 3: return fixed()
        case 4:
            if let name = finished.randomElement(using: &random) { return "\"\(name)\"" }
            return primitive()
        case 5: return record(depth: depth - 1)
        default: return union(depth: depth - 1)
        }
    }

    private mutating func primitive() -> String {
        let name = AvroPrimitive.allCases.randomElement(using: &random)?.rawValue ?? "null"
        if chance(0.1) { return #"{"type":"\#(name)"}"# }
        return chance(0.05) ? #"{"logicalType":"x-own","type":"\#(name)"}"# : "\"\(name)\""
    }

    private mutating func union(depth: Int) -> String {
        if let outer = enclosing.randomElement(using: &random), chance(0.4) {
            return chance(0.5) ? #"["null","\#(outer)"]"# : #"["\#(outer)","null"]"#
        }
        var branches: [String] = []
        var keys: Set<String> = []
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let known = finished
            let branch = type(depth: depth, inUnion: true)
            // The same kind twice is not allowed; named types are new each time, unless they are referred to.
            let json = try? JSONParser.parse(branch)
            var key = branch
            if case .string(let kind) = json?["type"] { key = kind.isEmpty ? branch : kind }
            if case .string(let name) = json { key = name }
            if case .string(let name) = json?["name"] {
                key = name.hasPrefix("test.s.") ? name : "test.s.\(name)"
            }
            if keys.insert(key).inserted {
                branches.append(branch)
            } else {
                finished = known
            }
        }
        return "[\(branches.joined(separator: ","))]"
    }

    private mutating func name(_ prefix: String) -> String {
        lastName += 1
        return "\(prefix)_\(lastName)"
    }

    private mutating func enumeration() -> String {
        let name = name("E")
        let symbols = (0..<Int.random(in: 1...70, using: &random)).map { "\"S\($0)\"" }
        finished.append("test.s.\(name)")
        let list = symbols.joined(separator: ",")
        let head = #"{"type":"enum","namespace":"test.s","name":"\#(name)","symbols":[\#(list)]"#
        return head + (chance(0.3) ? #","default":\#(symbols[0])}"# : "}")
    }

    private mutating func fixed() -> String {
        let name = name("F")
        finished.append("test.s.\(name)")
        let size = [0, 1, 4, 16, 127].randomElement(using: &random) ?? 1
        return #"{"size":\#(size),"name":"test.s.\#(name)","type":"fixed"}"#
    }

    private mutating func record(depth: Int) -> String {
        let name = name("R")
        enclosing.append("test.s.\(name)")
        defer { enclosing.removeLast() }
        var fields: [String] = []
        for _ in 0..<Int.random(in: 0...6, using: &random) {
            let type = type(depth: depth, inUnion: false)
            var text = #"{"name":"\#(self.name("f"))","type":\#(type)"#
            if chance(0.2) { text += #","doc":"a\tb \"c\" ☃""# }
            if chance(0.1) { text += #","aliases":["\#(self.name("old"))"]"# }
            if type == "\"string\"", chance(0.3) { text += #","default":"\u0000 ä""# }
            if type == "\"double\"", chance(0.3) { text += #","default":-1.5e-3"# }
            fields.append(text + "}")
        }
        return #"{"type":"record","name":"\#(name)","namespace":"test.s","fields":[\#(fields.joined(separator: ","))]}"#
    }

    // MARK: Values

    mutating func value(of schema: AvroSchema) -> AvroValue { value(of: schema.root, schema, depth: 0) }

    private mutating func value(of type: AvroType, _ schema: AvroSchema, depth: Int) -> AvroValue {
        switch type {
        case .primitive(let primitive, _): return value(of: primitive)
        case .array(let element):
            let count = depth > 6 ? 0 : [0, 1, 3, 9].randomElement(using: &random) ?? 0
            return .array((0..<count).map { _ in value(of: element, schema, depth: depth + 1) })
        case .map(let element):
            var entries: [String: AvroValue] = [:]
            for _ in 0..<(depth > 6 ? 0 : Int.random(in: 0...4, using: &random)) {
                entries[text().replacing("\0", with: "")] = value(of: element, schema, depth: depth + 1)
            }
            return .map(entries)
        case .union(let branches):
            var branch = Int.random(in: branches.indices, using: &random)
            if depth > 6, let null = branches.firstIndex(of: .primitive(.null, logicalType: nil)) { branch = null }
            return .union(branch: branch, value(of: branches[branch], schema, depth: depth + 1))
        case .named(let index): return value(of: schema.definitions[index], schema, depth: depth)
        }
    }

    private mutating func value(of definition: AvroDefinition, _ schema: AvroSchema, depth: Int) -> AvroValue {
        switch definition.shape {
        case .record(let fields):
            return .record(
                fields.map { .init(name: $0.name, value: value(of: $0.type, schema, depth: depth + 1)) })
        case .enumeration(let symbols, _): return .enumeration(symbols.randomElement(using: &random) ?? "")
        case .fixed(let size, _): return .fixed(bytes(size))
        }
    }

    private mutating func value(of primitive: AvroPrimitive) -> AvroValue {
        switch primitive {
        case .null: return .null
        case .boolean: return .boolean(chance(0.5))
        case .int: return .int(Int32(truncatingIfNeeded: random.next()) >> Int32.random(in: 0...31, using: &random))
        case .long: return .long(Int64(bitPattern: random.next()) >> Int64.random(in: 0...63, using: &random))
        case .float:
            let special: [Float] = [0, -0.0, .infinity, -.infinity, .nan, .leastNonzeroMagnitude]
            if chance(0.3) { return .float(special.randomElement(using: &random)!) }
            return .float(.random(in: -1e9...1e9, using: &random))
        case .double:
            let special = [0, -0.0, .infinity, -.infinity, .nan, Double.leastNonzeroMagnitude]
            if chance(0.3) { return .double(special.randomElement(using: &random)!) }
            return .double(.random(in: -1e99...1e99, using: &random))
        case .bytes: return .bytes(bytes([0, 1, 63, 64, 500].randomElement(using: &random)!))
        case .string: return .string(text())
        }
    }

    private mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &random) }
    }

    private mutating func text() -> String {
        let scalars: [Unicode.Scalar] = ["a", "B", "7", "\0", "\t", "\"", "ä", "\u{301}", "漢", "🙂", "\u{10ffff}"]
        var text = String.UnicodeScalarView()
        for _ in 0..<([0, 1, 5, 15, 16, 100].randomElement(using: &random) ?? 0) {
            text.append(scalars.randomElement(using: &random) ?? "a")
        }
        return String(text)
    }

    private mutating func chance(_ probability: Double) -> Bool {
        Double.random(in: 0..<1, using: &random) < probability
    }
}

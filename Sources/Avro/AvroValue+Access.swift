public import OrchestraCore

/// How generated `init(resolving:)` initialisers take a value apart. Each throws ``AvroError`` with `malformed`
/// when the value is of another kind.
extension AvroValue {
    public func nullValue() throws(AvroError) {
        guard case .null = self else { throw mismatch("null") }
    }

    public func booleanValue() throws(AvroError) -> Bool {
        guard case .boolean(let value) = self else { throw mismatch("boolean") }
        return value
    }

    public func intValue() throws(AvroError) -> Int32 {
        guard case .int(let value) = self else { throw mismatch("int") }
        return value
    }

    public func longValue() throws(AvroError) -> Int64 {
        guard case .long(let value) = self else { throw mismatch("long") }
        return value
    }

    public func floatValue() throws(AvroError) -> Float {
        guard case .float(let value) = self else { throw mismatch("float") }
        return value
    }

    public func doubleValue() throws(AvroError) -> Double {
        guard case .double(let value) = self else { throw mismatch("double") }
        return value
    }

    public func bytesValue() throws(AvroError) -> [UInt8] {
        guard case .bytes(let value) = self else { throw mismatch("bytes") }
        return value
    }

    public func stringValue() throws(AvroError) -> String {
        guard case .string(let value) = self else { throw mismatch("string") }
        return value
    }

    /// - Parameter size: the size that the schema declares.
    public func fixedValue(size: Int) throws(AvroError) -> [UInt8] {
        guard case .fixed(let value) = self, value.count == size else { throw mismatch("fixed of \(size) bytes") }
        return value
    }

    /// A `timestamp-millis`.
    public func timestampValue() throws(AvroError) -> Timestamp {
        Timestamp(millisecondsSinceEpoch: try longValue())
    }

    /// - Parameter type: the Swift enum whose raw values are the symbols.
    public func enumerationValue<Symbol: RawRepresentable<String>>(of type: Symbol.Type) throws(AvroError) -> Symbol {
        guard case .enumeration(let name) = self, let symbol = type.init(rawValue: name) else {
            throw mismatch("enum \(type)")
        }
        return symbol
    }

    /// - Parameter element: takes one element apart.
    public func arrayValue<Element>(
        _ element: (AvroValue) throws(AvroError) -> Element
    ) throws(AvroError) -> [Element] {
        guard case .array(let values) = self else { throw mismatch("array") }
        var elements: [Element] = []
        elements.reserveCapacity(values.count)
        for value in values { elements.append(try element(value)) }
        return elements
    }

    /// - Parameter element: takes one value of the map apart.
    public func mapValue<Element>(
        _ element: (AvroValue) throws(AvroError) -> Element
    ) throws(AvroError) -> [String: Element] {
        guard case .map(let values) = self else { throw mismatch("map") }
        var elements: [String: Element] = [:]
        elements.reserveCapacity(values.count)
        for (key, value) in values { elements[key] = try element(value) }
        return elements
    }

    /// The value of a union of null and one other type.
    ///
    /// - Parameter some: takes the value apart when it is not null.
    public func optionalValue<Wrapped>(
        _ some: (AvroValue) throws(AvroError) -> Wrapped
    ) throws(AvroError) -> Wrapped? {
        guard case .union(_, let value) = self else { throw mismatch("union") }
        if case .null = value { return nil }
        return try some(value)
    }

    /// - Parameters:
    ///   - name: the field's name in the record's own schema.
    ///   - value: takes the field's value apart; its errors are thrown on with the field's name in front.
    public func field<Value>(
        _ name: String, _ value: (AvroValue) throws(AvroError) -> Value
    ) throws(AvroError) -> Value {
        guard case .record(let fields) = self else { throw mismatch("record") }
        guard let field = fields.first(where: { $0.name == name }) else {
            throw AvroError(.malformed, "the record has no field \"\(name)\"")
        }
        do throws(AvroError) {
            return try value(field.value)
        } catch {
            throw error.at("field \"\(name)\"")
        }
    }

    private func mismatch(_ expected: String) -> AvroError {
        AvroError(.malformed, "expected \(expected), found \(kind)")
    }
}

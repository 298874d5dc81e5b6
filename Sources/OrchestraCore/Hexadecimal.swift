/// Lower-case hexadecimal digits.
package enum Hexadecimal {
    /// - Parameter value: 0 to 15.
    package static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }

    /// Two digits for each byte.
    package static func text(of bytes: some Collection<UInt8>) -> String {
        String(unsafeUninitializedCapacity: 2 * bytes.count) { text in
            var end = 0
            for byte in bytes {
                text[end] = digit(byte >> 4)
                text[end + 1] = digit(byte & 15)
                end += 2
            }
            return end
        }
    }

    /// Sixteen digits.
    package static func text(of number: UInt64) -> String {
        String(unsafeUninitializedCapacity: 16) { text in
            for index in 0..<16 { text[index] = digit(UInt8(truncatingIfNeeded: number >> (60 - 4 * index)) & 15) }
            return 16
        }
    }
}

//! Protobuf's wire format, as far as spans need it: fields behind one another, and how long they are.
//!
//! Source: protobuf.dev, "Encoding". That it is right is shown by what the library's types read (`attributes`, `encode`).

/// A field whose content follows and has this length.
pub(super) fn begin(number: u32, length: usize, out: &mut Vec<u8>) {
    tag(number, DELIMITED, out);
    number_of_seven_bits(length as u64, out);
}

/// A string, bytes or a message that is written already.
pub(super) fn bytes(number: u32, content: &[u8], out: &mut Vec<u8>) {
    begin(number, content.len(), out);
    out.extend_from_slice(content);
}

pub(super) fn varint(number: u32, value: u64, out: &mut Vec<u8>) {
    tag(number, VARINT, out);
    number_of_seven_bits(value, out);
}

pub(super) fn fixed64(number: u32, value: u64, out: &mut Vec<u8>) {
    tag(number, FIXED64, out);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn fixed32(number: u32, value: u32, out: &mut Vec<u8>) {
    tag(number, FIXED32, out);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Bytes of a field below 16 with this much in it.
pub(super) fn field_length(content: usize) -> usize {
    1 + varint_length(content as u64) + content
}

fn tag(number: u32, kind: u32, out: &mut Vec<u8>) {
    number_of_seven_bits(u64::from(number << 3 | kind), out);
}

fn number_of_seven_bits(mut value: u64, out: &mut Vec<u8>) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes of this number.
pub(super) fn varint_length(value: u64) -> usize {
    let bits = u64::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// How a field is laid out.
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const DELIMITED: u32 = 2;
const FIXED32: u32 = 5;

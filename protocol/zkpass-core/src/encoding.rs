//! Byte encodings: unpadded base64url, standard base64, hexadecimal, and the
//! length-prefixed writer of canonical bytes.

use base64ct::{Base64, Base64UrlUnpadded, Encoding};

/// Writes bytes as base64url without padding (RFC 4648 section 5).
pub fn base64url(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

/// Reads canonical base64url without padding.
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    Base64UrlUnpadded::decode_vec(text).ok()
}

/// Writes bytes as base64 with padding (RFC 4648 section 4).
pub(crate) fn base64(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

/// Reads canonical base64 with padding.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    Base64::decode_vec(text).ok()
}

/// Writes bytes as lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads lower-case hexadecimal of exactly `N` bytes.
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let digits = text.bytes().map(digit).collect::<Option<Vec<u8>>>()?;
    let bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(high << 4 | low),
            _ => None,
        })
        .collect::<Option<_>>()?;
    bytes.try_into().ok()
}

/// Serde form of a digest: lower-case hexadecimal.
pub mod hex_digest {
    use serde::{Deserialize, Deserializer, Serializer, de};

    /// Writes a digest.
    pub fn serialize<S: Serializer>(digest: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::hex(digest))
    }

    /// Reads a digest.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        super::from_hex(&String::deserialize(deserializer)?)
            .ok_or_else(|| de::Error::custom("expected 64 lower-case hexadecimal digits"))
    }
}

/// Serde form of a byte string: unpadded base64url.
pub mod base64url_bytes {
    use serde::{Deserialize, Deserializer, Serializer, de};

    /// Writes bytes.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::base64url(bytes))
    }

    /// Reads bytes.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        super::from_base64url(&String::deserialize(deserializer)?)
            .ok_or_else(|| de::Error::custom("expected unpadded base64url"))
    }
}

/// Builds canonical bytes that are signed or hashed.
///
/// Integers are big-endian; a byte string is its length as `u32` and its
/// bytes; an option is a byte 0, or a byte 1 and the value. Every encoding
/// starts with a domain tag, itself a byte string.
pub(crate) struct Canonical(Vec<u8>);

impl Canonical {
    pub(crate) fn new(domain: &str) -> Self {
        let mut canonical = Self(Vec::new());
        canonical.text(domain);
        canonical
    }

    /// Bytes whose length is fixed by the format.
    pub(crate) fn fixed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A length or count. Limits keep these far below `u32::MAX`; a larger one
    /// is written as `u32::MAX` and can match no parsed value.
    pub(crate) fn count(&mut self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.fixed(&count.to_be_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.fixed(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(crate) fn option_text(&mut self, text: Option<&str>) {
        match text {
            None => self.fixed(&[0]),
            Some(text) => {
                self.fixed(&[1]);
                self.text(text);
            }
        }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn base64url_is_canonical() {
        assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
        // Padding, the other alphabet, white space, spare bits, a lone digit.
        for text in ["-_8=", "+/8", "-_ 8", "-_8\n", "-_9", "A"] {
            assert_eq!(from_base64url(text), None, "{text}");
        }
    }

    #[test]
    fn hex_is_canonical() {
        assert_eq!(from_hex::<2>("0aff"), Some([0x0a, 0xff]));
        for text in ["0AFF", "0af", "0aff00", "0aïf", "+aff", ""] {
            assert_eq!(from_hex::<2>(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn encodings_round_trip(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(from_base64url(&base64url(&bytes)), Some(bytes.clone()));
            prop_assert_eq!(from_base64(&base64(&bytes)), Some(bytes));
        }

        #[test]
        fn whatever_is_read_is_written_the_same(text in "[A-Za-z0-9_-]{0,12}") {
            if let Some(bytes) = from_base64url(&text) {
                prop_assert_eq!(base64url(&bytes), text);
            }
        }
    }
}

//! How values are written in policies, claims and inspections: lower-case hexadecimal and RFC 3339.

use serde::{Serialize, Serializer};
use zkpass_core::encoding::hex;

/// Bytes that serialise as lower-case hexadecimal.
#[derive(Clone, PartialEq, Eq)]
pub struct Hex<T>(pub T);

impl<T: AsRef<[u8]>> Serialize for Hex<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<T: AsRef<[u8]>> std::fmt::Display for Hex<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(self.0.as_ref()))
    }
}

impl<T: AsRef<[u8]>> std::fmt::Debug for Hex<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

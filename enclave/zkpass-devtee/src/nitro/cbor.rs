//! Writes CBOR in its shortest form (RFC 8949 section 4.2.1).

/// An unsigned integer.
pub fn unsigned(value: u64) -> Vec<u8> {
    head(0, value)
}

/// A byte string.
pub fn bytes(content: &[u8]) -> Vec<u8> {
    [&head(2, content.len() as u64), content].concat()
}

/// A text.
pub fn text(content: &str) -> Vec<u8> {
    [&head(3, content.len() as u64), content.as_bytes()].concat()
}

/// An array of items that are already written.
pub fn array(items: &[Vec<u8>]) -> Vec<u8> {
    let mut written = head(4, items.len() as u64);
    items.iter().for_each(|item| written.extend(item));
    written
}

/// A map of keys and values that are already written.
pub fn map(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut written = head(5, pairs.len() as u64);
    for (key, value) in pairs {
        written.extend(key);
        written.extend(value);
    }
    written
}

/// A map of members that are already written, without its length, as Nitro
/// documents have it since 2025.
pub fn members<'a>(members: impl IntoIterator<Item = (&'a str, Vec<u8>)>) -> Vec<u8> {
    let mut written = vec![0xbf];
    for (name, value) in members {
        written.extend(text(name));
        written.extend(value);
    }
    written.push(0xff);
    written
}

/// Bytes, or null for none.
pub fn optional_bytes(content: Option<&[u8]>) -> Vec<u8> {
    content.map_or(vec![0xf6], bytes)
}

/// The head of an item: its major type and its number (section 3).
fn head(major: u8, number: u64) -> Vec<u8> {
    let initial = major << 5;
    let [.., a, b, c, d] = number.to_be_bytes();
    match number {
        0..=23 => vec![initial | d],
        24..=0xff => vec![initial | 24, d],
        0x100..=0xffff => vec![initial | 25, c, d],
        0x1_0000..=0xffff_ffff => vec![initial | 26, a, b, c, d],
        _ => [vec![initial | 27], number.to_be_bytes().to_vec()].concat(),
    }
}

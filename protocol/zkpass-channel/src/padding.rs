//! Size buckets: what the operator sees of a body is its length in steps.

use zeroize::Zeroizing;

/// Bodies are padded to multiples of this many bytes before they are sealed.
pub const STEP: usize = 1024;

const LENGTH_BYTES: usize = 4;

/// Pads a body with its length in front and zeros behind; `None` when it cannot be padded to at most `limit` bytes.
pub(crate) fn pad(body: &[u8], limit: usize) -> Option<Zeroizing<Vec<u8>>> {
    let length = u32::try_from(body.len()).ok()?;
    let padded = body
        .len()
        .checked_add(LENGTH_BYTES)?
        .checked_next_multiple_of(STEP)?;
    if padded > limit {
        return None;
    }
    // Reserved in one piece: growing would leave copies of the body behind.
    let mut out = Zeroizing::new(Vec::with_capacity(padded));
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(body);
    out.resize(padded, 0);
    Some(out)
}

/// Returns the body inside a padded one; `None` unless it is exactly what [`pad`] makes.
pub(crate) fn unpad(padded: &[u8]) -> Option<&[u8]> {
    let (length, rest) = padded.split_first_chunk::<LENGTH_BYTES>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (body, zeros) = rest.split_at_checked(length)?;
    let minimal = zeros.len() < STEP && padded.len().is_multiple_of(STEP);
    (minimal && zeros.iter().all(|byte| *byte == 0)).then_some(body)
}

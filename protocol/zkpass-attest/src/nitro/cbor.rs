//! A reader of the CBOR that documents are made of (RFC 8949).
//!
//! The caller says what must come next, and that is read or refused. So the
//! reader needs no stack for nesting and no memory for lengths that it is told.

/// Why bytes are not the CBOR that was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CborError {
    /// The bytes end before the item does.
    #[error("the bytes end too early")]
    Truncated,
    /// More bytes follow the last item.
    #[error("bytes follow the end")]
    TrailingBytes,
    /// A number or length is written with more bytes than it needs.
    #[error("a number is longer than it needs to be")]
    NotCanonical,
    /// A string of indefinite length, which no part of a document is.
    #[error("a string has no length")]
    IndefiniteString,
    /// An initial byte that the standard does not define.
    #[error("a reserved initial byte")]
    Reserved,
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    NotUtf8,
    /// An item is of another type.
    #[error("expected {expected}")]
    WrongType {
        /// The type that was due.
        expected: &'static str,
    },
}

/// What is left of an item or of a sequence of items.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

/// How many items of an array or map are left.
pub(super) enum Remaining {
    /// So many.
    Count(u64),
    /// As many as come before the break.
    UntilBreak,
}

/// Major types (RFC 8949 section 3.1).
const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;

/// Initial bytes of simple values (section 3.3) and of the break (section 3.2.1).
const NULL: u8 = 0xf6;
const BREAK: u8 = 0xff;

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Nothing may be left.
    pub(super) fn finish(self) -> Result<(), CborError> {
        match self.rest {
            [] => Ok(()),
            _ => Err(CborError::TrailingBytes),
        }
    }

    pub(super) fn unsigned(&mut self) -> Result<u64, CborError> {
        self.number(UNSIGNED, "an unsigned integer")
    }

    /// A negative integer: n for -1 - n.
    pub(super) fn negative(&mut self) -> Result<u64, CborError> {
        self.number(NEGATIVE, "a negative integer")
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], CborError> {
        let length = self.number(BYTES, "a byte string")?;
        self.take(length)
    }

    /// A byte string: all of its encoding, which is its shortest, and its content.
    pub(super) fn encoded_bytes(&mut self) -> Result<(&'a [u8], &'a [u8]), CborError> {
        let all = self.rest;
        let content = self.bytes()?;
        let (encoded, _) = all
            .split_at_checked(all.len() - self.rest.len())
            .ok_or(CborError::Truncated)?;
        Ok((encoded, content))
    }

    /// Bytes, or null for none.
    pub(super) fn optional_bytes(&mut self) -> Result<Option<&'a [u8]>, CborError> {
        if self.take_if(NULL) {
            return Ok(None);
        }
        self.bytes().map(Some)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, CborError> {
        let length = self.number(TEXT, "a text")?;
        std::str::from_utf8(self.take(length)?).map_err(|_| CborError::NotUtf8)
    }

    pub(super) fn array(&mut self) -> Result<Remaining, CborError> {
        self.items(ARRAY, "an array")
    }

    pub(super) fn map(&mut self) -> Result<Remaining, CborError> {
        self.items(MAP, "a map")
    }

    /// The tag before an item, if it has one.
    pub(super) fn tag(&mut self) -> Result<Option<u64>, CborError> {
        match self.rest.first() {
            Some(initial) if initial >> 5 == TAG => self.number(TAG, "a tag").map(Some),
            _ => Ok(None),
        }
    }

    /// Whether another item (of a map: another pair) follows.
    pub(super) fn more(&mut self, remaining: &mut Remaining) -> bool {
        match remaining {
            Remaining::Count(0) => false,
            Remaining::Count(count) => {
                *count -= 1;
                true
            }
            Remaining::UntilBreak => !self.take_if(BREAK),
        }
    }

    fn items(&mut self, major: u8, expected: &'static str) -> Result<Remaining, CborError> {
        if self.take_if(major << 5 | 31) {
            return Ok(Remaining::UntilBreak);
        }
        self.number(major, expected).map(Remaining::Count)
    }

    /// The argument of an item of this major type (section 3), in its shortest form.
    fn number(&mut self, major: u8, expected: &'static str) -> Result<u64, CborError> {
        let (&initial, rest) = self.rest.split_first().ok_or(CborError::Truncated)?;
        if initial >> 5 != major {
            return Err(CborError::WrongType { expected });
        }
        self.rest = rest;
        let (size, least) = match initial & 31 {
            small @ 0..=23 => return Ok(u64::from(small)),
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            31 if matches!(major, BYTES | TEXT) => return Err(CborError::IndefiniteString),
            _ => return Err(CborError::Reserved),
        };
        let bytes = self.take(size)?;
        let value = bytes
            .iter()
            .fold(0, |value: u64, byte| value << 8 | u64::from(*byte));
        if value < least {
            return Err(CborError::NotCanonical);
        }
        Ok(value)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], CborError> {
        let length = usize::try_from(length).map_err(|_| CborError::Truncated)?;
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(CborError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn take_if(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }
}

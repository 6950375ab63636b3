//! Frames between service and enclave: encoder and incremental decoder, no I/O.
//!
//! A frame is a `u32` length and that many bytes: a version byte (1), a kind
//! byte, the request id as `u64`, and the body of the kind. Integers are
//! big-endian. Either side may have many requests in flight; an answer bears
//! the id of its request.
//!
//! ```text
//! kind        from      body
//! 1 Hello     enclave   EnclaveInfo as JSON: after connecting, on Info, on a new key
//! 2 Info      service   empty
//! 3 Prove     service   u64 deadline in ms, u16 length and UTF-8 of the key id, sealed request
//! 4 Cancel    service   empty; the id is that of the Prove
//! 5 Answer    enclave   sealed answer
//! 6 Failed    enclave   code in UTF-8
//! 7 Health    service   empty
//! 8 Healthy   enclave   u32 waiting, u32 running
//! 9 Attest    service   the client's nonce, 32 bytes
//! 10 Attested enclave   EnclaveOffer as JSON: what Hello says, with evidence for the nonce
//! 11 ProveJwe service   u64 deadline in ms, u32 length and user data JWE, DVR JWE
//! 12 Proof    enclave   the proof token: answer to ProveJwe, open to the service
//! ```

use std::fmt;

use thiserror::Error;

use crate::{
    api::{EnclaveInfo, EnclaveOffer},
    code::Code,
    evidence::Nonce,
    json,
    limits::MAX_FRAME_BYTES,
};

const VERSION: u8 = 1;
const LENGTH_BYTES: usize = 4;

/// A message with the request it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Chosen by the sender of a request, unique on the connection.
    pub request_id: u64,
    /// The message.
    pub message: Message,
}

/// What service and enclave tell each other. `Debug` shows sizes, not bytes.
#[derive(Clone, PartialEq, Eq)]
pub enum Message {
    /// The enclave introduces itself, or announces a new key.
    Hello {
        /// What it tells clients.
        info: Box<EnclaveInfo>,
    },
    /// The service asks for a `Hello`.
    Info,
    /// The service passes on a sealed request.
    Prove {
        /// Milliseconds from receipt after which nobody wants the answer.
        deadline_ms: u64,
        /// The HPKE key it is sealed to.
        key_id: String,
        /// The request.
        sealed: Vec<u8>,
    },
    /// Nobody wants the answer any more.
    Cancel,
    /// The sealed answer to a `Prove`: a proof or an error, only the holder knows.
    Answer {
        /// The answer.
        sealed: Vec<u8>,
    },
    /// A `Prove` that was not answered.
    Failed {
        /// Why.
        code: Code,
    },
    /// The service asks for a sign of life.
    Health,
    /// The sign of life.
    Healthy {
        /// Requests that wait.
        waiting: u32,
        /// Requests in work.
        running: u32,
    },
    /// The service passes on a client's question for evidence.
    Attest {
        /// Chosen by the client.
        nonce: Nonce,
    },
    /// The evidence.
    Attested {
        /// What the enclave tells clients, with evidence for the nonce.
        offer: Box<EnclaveOffer>,
    },
    /// The service passes on a request of an existing client.
    ProveJwe {
        /// Milliseconds from receipt after which nobody wants the answer.
        deadline_ms: u64,
        /// The user data token, encrypted (compact JWE).
        user_data: String,
        /// The DVR token, encrypted (compact JWE).
        dvr: String,
    },
    /// The answer to a `ProveJwe`: existing clients have no key to seal it to.
    Proof {
        /// The proof token.
        token: String,
    },
}

/// Why bytes are not a frame. The connection cannot go on after one.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    /// The length is above the limit.
    #[error("frame exceeds {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The frame ends before its fields do.
    #[error("frame is too short for its kind")]
    TooShort,
    /// Bytes follow the last field.
    #[error("frame has trailing bytes")]
    TrailingBytes,
    /// Another version of this protocol.
    #[error("frame version {version} is not supported")]
    UnsupportedVersion {
        /// Which.
        version: u8,
    },
    /// No such kind.
    #[error("frame kind {kind} is unknown")]
    UnknownKind {
        /// Which.
        kind: u8,
    },
    /// A text field is not UTF-8, not JSON of the right form, or no code.
    #[error("frame has a malformed text field")]
    BadText,
}

impl Frame {
    /// Writes the frame with its length.
    pub fn encode(&self) -> Result<Vec<u8>, FrameError> {
        let mut body = vec![VERSION, self.message.kind()];
        body.extend_from_slice(&self.request_id.to_be_bytes());
        self.message.write(&mut body)?;
        let limit = MAX_FRAME_BYTES;
        if body.len() > limit {
            return Err(FrameError::TooLarge { limit });
        }
        let length = u32::try_from(body.len()).map_err(|_| FrameError::TooLarge { limit })?;
        let mut frame = Vec::with_capacity(LENGTH_BYTES + body.len());
        frame.extend_from_slice(&length.to_be_bytes());
        frame.append(&mut body);
        Ok(frame)
    }

    /// Reads a frame without its length.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let mut reader = Reader(bytes);
        let version = reader.u8()?;
        if version != VERSION {
            return Err(FrameError::UnsupportedVersion { version });
        }
        let kind = reader.u8()?;
        let request_id = reader.u64()?;
        let message = Message::read(kind, &mut reader)?;
        match reader.0 {
            [] => Ok(Self {
                request_id,
                message,
            }),
            _ => Err(FrameError::TrailingBytes),
        }
    }
}

impl Message {
    fn kind(&self) -> u8 {
        match self {
            Self::Hello { .. } => 1,
            Self::Info => 2,
            Self::Prove { .. } => 3,
            Self::Cancel => 4,
            Self::Answer { .. } => 5,
            Self::Failed { .. } => 6,
            Self::Health => 7,
            Self::Healthy { .. } => 8,
            Self::Attest { .. } => 9,
            Self::Attested { .. } => 10,
            Self::ProveJwe { .. } => 11,
            Self::Proof { .. } => 12,
        }
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), FrameError> {
        match self {
            Self::Info | Self::Cancel | Self::Health => {}
            Self::Hello { info } => {
                let json = serde_json::to_vec(info).map_err(|_| FrameError::BadText)?;
                out.extend_from_slice(&json);
            }
            Self::Prove {
                deadline_ms,
                key_id,
                sealed,
            } => {
                let length = u16::try_from(key_id.len()).map_err(|_| FrameError::BadText)?;
                out.extend_from_slice(&deadline_ms.to_be_bytes());
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(key_id.as_bytes());
                out.extend_from_slice(sealed);
            }
            Self::Answer { sealed } => out.extend_from_slice(sealed),
            Self::Failed { code } => out.extend_from_slice(code.as_str().as_bytes()),
            Self::Healthy { waiting, running } => {
                out.extend_from_slice(&waiting.to_be_bytes());
                out.extend_from_slice(&running.to_be_bytes());
            }
            Self::Attest { nonce } => out.extend_from_slice(nonce),
            Self::Attested { offer } => {
                let json = serde_json::to_vec(offer).map_err(|_| FrameError::BadText)?;
                out.extend_from_slice(&json);
            }
            Self::ProveJwe {
                deadline_ms,
                user_data,
                dvr,
            } => {
                let length = u32::try_from(user_data.len()).map_err(|_| FrameError::BadText)?;
                out.extend_from_slice(&deadline_ms.to_be_bytes());
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(user_data.as_bytes());
                out.extend_from_slice(dvr.as_bytes());
            }
            Self::Proof { token } => out.extend_from_slice(token.as_bytes()),
        }
        Ok(())
    }

    fn read(kind: u8, reader: &mut Reader<'_>) -> Result<Self, FrameError> {
        Ok(match kind {
            1 => Self::Hello {
                info: json::decode(text(reader.rest())?).map_err(|_| FrameError::BadText)?,
            },
            2 => Self::Info,
            3 => {
                let deadline_ms = reader.u64()?;
                let length = u16::from_be_bytes(reader.array()?);
                Self::Prove {
                    deadline_ms,
                    key_id: text(reader.take(length.into())?)?.into(),
                    sealed: reader.rest().into(),
                }
            }
            4 => Self::Cancel,
            5 => Self::Answer {
                sealed: reader.rest().into(),
            },
            6 => Self::Failed {
                code: text(reader.rest())?
                    .parse()
                    .map_err(|_| FrameError::BadText)?,
            },
            7 => Self::Health,
            8 => Self::Healthy {
                waiting: u32::from_be_bytes(reader.array()?),
                running: u32::from_be_bytes(reader.array()?),
            },
            9 => Self::Attest {
                nonce: reader.array()?,
            },
            10 => Self::Attested {
                offer: json::decode(text(reader.rest())?).map_err(|_| FrameError::BadText)?,
            },
            11 => {
                let deadline_ms = reader.u64()?;
                let length = u32::from_be_bytes(reader.array()?);
                let length = usize::try_from(length).map_err(|_| FrameError::TooShort)?;
                Self::ProveJwe {
                    deadline_ms,
                    user_data: text(reader.take(length)?)?.into(),
                    dvr: text(reader.rest())?.into(),
                }
            }
            12 => Self::Proof {
                token: text(reader.rest())?.into(),
            },
            kind => return Err(FrameError::UnknownKind { kind }),
        })
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hello { info } => write!(f, "Hello({})", info.enclave_id),
            Self::Info => f.write_str("Info"),
            Self::Prove { key_id, sealed, .. } => {
                write!(f, "Prove({} bytes for key {key_id})", sealed.len())
            }
            Self::Cancel => f.write_str("Cancel"),
            Self::Answer { sealed } => write!(f, "Answer({} bytes)", sealed.len()),
            Self::Failed { code } => write!(f, "Failed({code})"),
            Self::Health => f.write_str("Health"),
            Self::Healthy { waiting, running } => {
                write!(f, "Healthy({waiting} waiting, {running} running)")
            }
            Self::Attest { .. } => f.write_str("Attest"),
            Self::Attested { offer } => write!(f, "Attested({})", offer.info.enclave_id),
            Self::ProveJwe { user_data, dvr, .. } => {
                write!(f, "ProveJwe({} bytes)", user_data.len() + dvr.len())
            }
            Self::Proof { token } => write!(f, "Proof({} bytes)", token.len()),
        }
    }
}

/// Cuts a stream of bytes into frames.
#[derive(Debug)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Bytes at the start of `buffer` that are used up.
    read: usize,
    limit: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(MAX_FRAME_BYTES)
    }
}

impl Decoder {
    /// A decoder for frames of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            buffer: Vec::new(),
            read: 0,
            limit,
        }
    }

    /// Takes bytes from the stream. Call [`Decoder::next_frame`] until it
    /// returns `None` before the next call, so that the buffer stays small.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.read);
        self.read = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete frame, if there is one. The length is checked as
    /// soon as it is there.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let unread = self.buffer.get(self.read..).unwrap_or_default();
        let Some((length, rest)) = unread.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let limit = self.limit;
        let length = usize::try_from(u32::from_be_bytes(*length))
            .ok()
            .filter(|length| *length <= limit)
            .ok_or(FrameError::TooLarge { limit })?;
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let frame = Frame::decode(body)?;
        self.read += LENGTH_BYTES + length;
        Ok(Some(frame))
    }

    /// Whether the stream may end here: no frame is incomplete.
    pub fn is_empty(&self) -> bool {
        self.read == self.buffer.len()
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], FrameError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(FrameError::TooShort)?;
        self.0 = rest;
        Ok(taken)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        self.take(N)?.try_into().map_err(|_| FrameError::TooShort)
    }

    fn u8(&mut self) -> Result<u8, FrameError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, FrameError> {
        Ok(u64::from_be_bytes(self.array()?))
    }
}

fn text(bytes: &[u8]) -> Result<&str, FrameError> {
    std::str::from_utf8(bytes).map_err(|_| FrameError::BadText)
}

#[cfg(test)]
mod tests;

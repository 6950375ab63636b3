//! Every limit of the protocol, with the reason for its value.
//!
//! Crossing a limit is an error value, never a panic.

/// Largest query script in bytes: scripts are written by people; 16 KiB is
/// several times the longest published one.
pub const MAX_SCRIPT_BYTES: usize = 16 * 1024;

/// Deepest nesting of expressions and statements in a script: bounds recursion
/// in parser, checker, evaluator and circuit compiler.
pub const MAX_SCRIPT_DEPTH: usize = 16;

/// Most statements in a script, nested ones included; also bounds the number
/// of outputs. Each costs constraints in the core circuit.
pub const MAX_STATEMENTS: usize = 64;

/// Most distinct data paths in a script: each is a slot in the circuit.
pub const MAX_FIELDS: usize = 32;

/// Most segments in one path: each is a level the scanner follows.
pub const MAX_PATH_SEGMENTS: usize = 8;

/// Longest string value in bytes that can be proven: a slot of 128 bytes less
/// a 4-byte length.
pub const MAX_STRING_BYTES: usize = 124;

/// Longest string literal in a script: a longer one can equal no value that
/// can be proven.
pub const MAX_LITERAL_BYTES: usize = MAX_STRING_BYTES;

/// Longest member name in bytes that a path can use, counted for the name of
/// its public flag (`_<name>_zkpass_public_`) too: names are matched in slots
/// of the same size as strings.
pub const MAX_NAME_BYTES: usize = MAX_STRING_BYTES;

/// Most documents (tags) in one DVR: each token is a full signature check in
/// the circuit.
pub const MAX_DOCUMENTS: usize = 4;

/// Longest tag in bytes: a short label is enough, and it stands in every path.
pub const MAX_TAG_BYTES: usize = 64;

/// Largest user data token in bytes of its compact form: 64 SHA-256 blocks,
/// and what proves in about a second.
pub const MAX_TOKEN_BYTES: usize = 4096;

/// Largest sum of user data tokens: the largest documents, as many as allowed.
pub const MAX_TOTAL_TOKEN_BYTES: usize = MAX_DOCUMENTS * MAX_TOKEN_BYTES;

/// Largest protected header of a token in base64url characters: the five
/// allowed members with a long `jku` fit; the header is public in the proof.
pub const MAX_HEADER_BYTES: usize = 1024;

/// Deepest nesting of any JSON text: user data is nested a few levels, and
/// the bound keeps the recursive parser within a small stack.
pub const MAX_JSON_DEPTH: usize = 64;

/// Longest free text in a DVR or statement (titles, ids, nonce, audience,
/// URLs): a URL of the usual maximum length fits.
pub const MAX_TEXT_BYTES: usize = 2048;

/// Largest DVR token: a script that is all quotes doubles when it becomes a
/// JSON string (32 KiB), the other fields take at most 20 KiB, and base64url
/// adds a third: 70 KiB, rounded up.
pub const MAX_DVR_TOKEN_BYTES: usize = 96 * 1024;

/// Largest zero-knowledge proof in bytes: a typical one has 100 KB and size
/// grows with the square root of the data; ten times that is hostile.
pub const MAX_PROOF_BYTES: usize = 1024 * 1024;

/// Largest proof token: the proof is base64url inside claims that are
/// base64url again (16/9), and 256 KiB is ample for statement and claims.
pub const MAX_PROOF_TOKEN_BYTES: usize = MAX_PROOF_BYTES / 9 * 16 + 256 * 1024;

/// Largest sealed request in bytes: all tokens, the DVR token, options and
/// padding.
pub const MAX_SEALED_REQUEST_BYTES: usize = MAX_TOTAL_TOKEN_BYTES + MAX_DVR_TOKEN_BYTES + 16 * 1024;

/// Largest sealed answer in bytes: a proof token, its JSON and padding.
pub const MAX_SEALED_ANSWER_BYTES: usize = MAX_PROOF_TOKEN_BYTES + 16 * 1024;

/// Largest JWE with user data: all tokens, the JSON around them with its
/// quotes escaped once (1 KiB), base64url, and the other four parts of a JWE.
pub const MAX_USER_DATA_JWE_BYTES: usize =
    (MAX_TOTAL_TOKEN_BYTES + 1024) / 3 * 4 + MAX_HEADER_BYTES + 64;

/// Largest JWE with a DVR token, by the same reckoning.
pub const MAX_DVR_JWE_BYTES: usize = (MAX_DVR_TOKEN_BYTES + 1024) / 3 * 4 + MAX_HEADER_BYTES + 64;

/// Largest HTTP request body: a sealed request in base64url (4/3) with the
/// few members around it.
pub const MAX_BODY_BYTES: usize = MAX_SEALED_REQUEST_BYTES / 3 * 4 + 4 * 1024;

/// Largest frame between service and enclave: the largest sealed answer and
/// the frame's own fields.
pub const MAX_FRAME_BYTES: usize = MAX_SEALED_ANSWER_BYTES + 4 * 1024;

/// Largest key file (PEM or JWK) in bytes: a P-256 key takes under 300.
pub const MAX_KEY_TEXT_BYTES: usize = 8 * 1024;

//! Keys: made new, or read from files.

use zeroize::Zeroizing;
use zkpass_core::keys::{KeyError, PublicKey, SigningKey};

use crate::failure::Failure;
use crate::files::Input;

/// Makes a new key.
pub fn generate() -> Result<SigningKey, Failure> {
    zkpass_client::keys::generate().map_err(|error| Failure::system(error.to_string()))
}

/// Reads a private key.
pub fn read_private(file: &Input) -> Result<SigningKey, Failure> {
    let text = Zeroizing::new(file.read()?);
    SigningKey::from_text(&text).map_err(|error| bad_key(file, "private", error))
}

/// Reads a public key.
pub fn read_public(file: &Input) -> Result<PublicKey, Failure> {
    let text = Zeroizing::new(file.read()?);
    PublicKey::from_text(&text).map_err(|error| bad_key(file, "public", error))
}

fn bad_key(file: &Input, kind: &str, error: KeyError) -> Failure {
    Failure::refused(
        error.code(),
        format!("cannot use {file} as a {kind} key: {error}"),
    )
}

//! `zkpass token sign`

use serde_json::json;
use zeroize::Zeroizing;
use zkpass_core::user_data::{Profile, sign_user_data};

use crate::args::TokenSign;
use crate::failure::Failure;
use crate::keys;
use crate::screen::Answer;

/// Signs user data.
pub fn sign(args: &TokenSign) -> Result<Answer, Failure> {
    let key = keys::read_private(&args.key)?;
    let data = Zeroizing::new(args.data.read()?);
    let profile = Profile::from(args.profile);
    let token = sign_user_data(&data, profile, &key, args.kid.as_deref())?;
    args.out.write_line(&token)?;
    Ok(Answer {
        text: format!("{}: {} bytes, profile {profile}", args.out, token.len()),
        json: json!({
            "token": args.out.to_string(),
            "bytes": token.len(),
            "profile": profile,
            "issuer_thumbprint": key.public().thumbprint(),
        }),
    })
}

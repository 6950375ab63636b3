//! `zkpass keygen`

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::args::Keygen;
use crate::failure::Failure;
use crate::files::{Access, write_file};
use crate::keys;
use crate::screen::Answer;

/// Makes a key and writes its three files.
pub fn run(args: &Keygen) -> Result<Answer, Failure> {
    let files = KeyFiles::beside(&args.out);
    if !args.force
        && let Some(path) = files.all().into_iter().find(|path| path.exists())
    {
        return Err(Failure::usage(format!(
            "`{}` exists; --force replaces it",
            path.display()
        )));
    }
    let key = keys::generate()?;
    let public = key.public();
    let jwk = serde_json::to_string(&public)
        .map_err(|error| Failure::system(format!("cannot write the key as JWK: {error}")))?;
    write_file(files.private, key.to_pem().as_bytes(), Access::Owner)?;
    write_file(&files.public, public.to_pem().as_bytes(), Access::Shared)?;
    write_file(&files.jwk, format!("{jwk}\n").as_bytes(), Access::Shared)?;

    let thumbprint = public.thumbprint();
    let [private, public, jwk] = files.all().map(|path| path.display().to_string());
    Ok(Answer {
        text: format!(
            "private key  {private}  (keep it secret)\n\
             public key   {public}, {jwk}\n\
             thumbprint   {thumbprint}"
        ),
        json: json!({
            "private_key": private,
            "public_key": public,
            "jwk": jwk,
            "thumbprint": thumbprint,
        }),
    })
}

struct KeyFiles<'a> {
    private: &'a Path,
    public: PathBuf,
    jwk: PathBuf,
}

impl<'a> KeyFiles<'a> {
    /// `KEY.pem` has `KEY.pub.pem` and `KEY.jwk.json` beside it.
    fn beside(private: &'a Path) -> Self {
        let stem = match private.extension() {
            Some(extension) if extension == "pem" => private.with_extension(""),
            _ => private.to_owned(),
        };
        let with = |ending: &str| {
            let mut name = stem.clone().into_os_string();
            name.push(ending);
            PathBuf::from(name)
        };
        Self {
            private,
            public: with(".pub.pem"),
            jwk: with(".jwk.json"),
        }
    }

    fn all(&self) -> [&Path; 3] {
        [self.private, &self.public, &self.jwk]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_files_stand_beside_the_private_one() {
        for (private, public, jwk) in [
            ("k.pem", "k.pub.pem", "k.jwk.json"),
            (
                "a.b/bank.v2.pem",
                "a.b/bank.v2.pub.pem",
                "a.b/bank.v2.jwk.json",
            ),
            ("key", "key.pub.pem", "key.jwk.json"),
            ("my.key", "my.key.pub.pem", "my.key.jwk.json"),
        ] {
            let files = KeyFiles::beside(Path::new(private));
            assert_eq!(files.all(), [private, public, jwk].map(Path::new));
        }
    }
}

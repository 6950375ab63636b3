//! The command line: what can be written, and the help that explains it.

pub mod attest;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use zkpass_core::date::Date;
use zkpass_core::user_data::Profile;

use self::attest::{Attest, DevelopmentTee};
use crate::files::{Input, Output, Tagged, TaggedText};
use crate::parse;

const EXIT_STATUS: &str = "\
Exit status:
  0  yes: done, or the proof is valid
  1  no: the query, a token or the proof was refused
  2  wrong usage, or the system failed (a file, the network)";

const ROOT_EXAMPLES: &str = "\
Examples:
  See everything at work, on this machine only:
      zkpass demo

  From signed data to a verified answer, step by step:
      zkpass keygen --out bank.pem
      zkpass keygen --out lender.pem
      zkpass token sign --key bank.pem --data data.json --out token.jws
      zkpass dvr sign --key lender.pem --query query.json --issuer-key bank.pub.pem \\
          --out request.jws
      zkpass prove --dvr request.jws --token token.jws --local --out proof.jws
      zkpass verify --proof proof.jws --dvr request.jws --verifier-key lender.pub.pem \\
          --issuer-key bank.pub.pem";

const FILES: &str = "\
Files:
  FILE may be `-`: standard input, or standard output after --out.
  TAG= may be left out when the request asks for a single document.
  Keys are read as PEM or JWK (P-256).";

/// Proofs about signed personal data, without showing the data.
///
/// An issuer signs data. A verifier signs a request (DVR): a small query and the issuer keys it
/// trusts. The holder of the data answers with a zero-knowledge proof that the query has this
/// answer on data signed by that issuer. Anyone can check the proof offline.
#[derive(Parser, Debug)]
#[command(
    name = "zkpass",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    propagate_version = true,
    after_help = EXIT_STATUS,
    after_long_help = format!("{ROOT_EXAMPLES}\n\n{FILES}\n\n{EXIT_STATUS}"),
)]
pub struct Cli {
    /// Print one JSON object instead of text
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,

    /// Print no notes and show no progress
    #[arg(long, short, global = true, help_heading = "Global options")]
    pub quiet: bool,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    Keygen(Keygen),
    /// Sign user data, as an issuer does
    #[command(subcommand)]
    Token(Token),
    /// Write, check, sign and try out a data verification request
    #[command(subcommand)]
    Dvr(Dvr),
    Prove(Prove),
    Verify(Verify),
    /// Verify and show evidence of trusted execution environments
    #[command(subcommand)]
    Attest(Attest),
    Inspect(Inspect),
    Serve(Serve),
    Demo(Demo),
    Completions(Completions),
    Man(Man),
}

impl Command {
    /// Where the command writes its result, if it names one file.
    pub fn output(&self) -> Option<&Output> {
        match self {
            Self::Token(Token::Sign(args)) => Some(&args.out),
            Self::Dvr(Dvr::New(args)) => Some(&args.out),
            Self::Dvr(Dvr::Sign(args)) => Some(&args.out),
            Self::Prove(args) => Some(&args.out),
            Self::Attest(Attest::Policy(args)) => Some(&args.out),
            _ => None,
        }
    }
}

/// Make a signing key
///
/// Writes a P-256 key as PKCS#8 PEM, readable by its owner only, and beside it the public key as
/// PEM and as JWK: `KEY.pem`, `KEY.pub.pem`, `KEY.jwk.json`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  zkpass keygen --out issuer.pem")]
pub struct Keygen {
    /// Where to write the private key
    #[arg(long, value_name = "KEY.pem")]
    pub out: PathBuf,

    /// Replace existing files
    #[arg(long)]
    pub force: bool,
}

#[derive(Subcommand, Debug)]
pub enum Token {
    Sign(TokenSign),
}

/// Sign user data
///
/// Reads a JSON document and writes a compact JWS (ES256). Member names must be unique. A member
/// `_NAME_zkpass_public_` set to true beside a member `NAME` allows requests to show its value.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  zkpass token sign --key bank.pem --data statement.json --out statement.jws
  zkpass token sign --key idp.pem --data claims.json --profile jwt --out id_token.jws
  generate-claims | zkpass token sign --key idp.pem --data - --out -")]
pub struct TokenSign {
    /// The issuer's private key
    #[arg(long, value_name = "KEY.pem")]
    pub key: Input,

    /// The data: a JSON document
    #[arg(long, value_name = "FILE.json")]
    pub data: Input,

    /// Where to write the token
    #[arg(long, value_name = "TOKEN.jws")]
    pub out: Output,

    /// How the data stands in the token: under the claim `data`, or as the claims themselves
    #[arg(long, value_enum, default_value_t = ProfileArg::Zkpass)]
    pub profile: ProfileArg,

    /// Key id for the header, which is public in every proof
    #[arg(long, value_name = "KID")]
    pub kid: Option<String>,
}

#[derive(Subcommand, Debug)]
pub enum Dvr {
    New(DvrNew),
    Check(DvrCheck),
    Sign(DvrSign),
    Eval(DvrEval),
}

/// The parts of a request.
#[derive(Args, Debug)]
pub struct Draft {
    /// Start from this request, complete or in part; the options below replace its fields
    #[arg(long, value_name = "DVR.json")]
    pub dvr: Option<Input>,

    /// The query
    #[arg(long, value_name = "Q.json", required_unless_present = "dvr")]
    pub query: Option<Input>,

    /// Public key of the issuer whose signature the data must have; once per document
    #[arg(long, value_name = "[TAG=]ISSUER.pub.pem")]
    pub issuer_key: Vec<Tagged>,

    /// Profile of a document's token: zkpass (the default) or jwt
    #[arg(long, value_name = "[TAG=]PROFILE", value_parser = parse::tagged_profile)]
    pub profile: Vec<(String, ProfileArg)>,

    /// Where the holder finds the document
    #[arg(long, value_name = "[TAG=]URL")]
    pub data_url: Vec<TaggedText>,

    /// Title shown to the holder
    #[arg(long, value_name = "T")]
    pub title: Option<String>,

    /// Identifier of the request; random unless given
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,

    /// A value that makes this request unique; the proof repeats it
    #[arg(long, value_name = "N")]
    pub nonce: Option<String>,

    /// Who may rely on the proof
    #[arg(long, value_name = "A")]
    pub audience: Option<String>,

    /// When the request expires: seconds since 1970, or how long from now as in 30m, 12h, 7d
    #[arg(long, value_name = "WHEN", value_parser = parse::moment, allow_negative_numbers = true)]
    pub expires: Option<parse::Moment>,

    /// How many days the proof's date may lie in the past when it is verified
    #[arg(long, value_name = "DAYS")]
    pub max_age_days: Option<u32>,
}

/// Write an unsigned request, to be read and edited
///
/// Puts the query, the issuer keys and the other parts together in one JSON document, after the
/// same checks as `dvr sign`. Sign it with `zkpass dvr sign --dvr DVR.json`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  zkpass dvr new --query query.json --issuer-key bank.pub.pem --title 'Loan' --out request.json
  zkpass dvr new --query q.json --issuer-key bank=b.pub.pem --issuer-key clinic=c.pub.pem --out -")]
pub struct DvrNew {
    #[command(flatten)]
    pub draft: Draft,

    /// Where to write the request
    #[arg(long, value_name = "DVR.json")]
    pub out: Output,
}

/// Check a query and report what its answers can reveal
///
/// The leakage report lists every output in every branch, the fields that decide it, an upper
/// bound of the bits it can reveal, and warns where yes/no answers pin down a value.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  zkpass dvr check --query query.json
  zkpass dvr check --query query.json --tag bank --tag hospital
  zkpass dvr check --dvr request.jws --json")]
pub struct DvrCheck {
    /// The query
    #[arg(long, value_name = "Q.json", required_unless_present = "dvr")]
    pub query: Option<Input>,

    /// A request, signed or not, complete or in part; its signature is not checked
    #[arg(long, value_name = "DVR")]
    pub dvr: Option<Input>,

    /// Tag of a document the query reads, when there are several
    #[arg(long, value_name = "TAG", conflicts_with = "dvr")]
    pub tag: Vec<String>,
}

/// Check and sign a request
///
/// Writes a compact JWS (ES256). The request is put together from --dvr, from options, or both, and
/// names the key that signs it. Nothing is signed that a proof could not answer.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  zkpass dvr sign --key lender.pem --query query.json --issuer-key bank.pub.pem \\
      --nonce 4711 --out request.jws
  zkpass dvr sign --key shop.pem --query age.json --issuer-key idp.pub.pem --profile jwt \\
      --expires 15m --out request.jws
  zkpass dvr sign --key lender.pem --dvr request.json --out request.jws")]
pub struct DvrSign {
    /// The verifier's private key
    #[arg(long, value_name = "KEY.pem")]
    pub key: Input,

    #[command(flatten)]
    pub draft: Draft,

    /// Where to write the signed request
    #[arg(long, value_name = "DVR.jws")]
    pub out: Output,
}

/// Answer a query on plain data, without any proof
///
/// The data is what an issuer would sign, before signing. With --json the answer is
/// {"output": {...}} or {"error": {"code", "pointer", "message"}}; the pointer leads into the query.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  zkpass dvr eval --query query.json --data statement.json
  zkpass dvr eval --query q.json --data bank=b.json --data hospital=h.json --as-of 2026-06-01 --json")]
pub struct DvrEval {
    /// The query
    #[arg(long, value_name = "Q.json")]
    pub query: Input,

    /// A document; once per document
    #[arg(long, value_name = "[TAG=]FILE.json", required = true)]
    pub data: Vec<Tagged>,

    /// The date that ages are counted to; today (UTC) unless given
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse::date)]
    pub as_of: Option<Date>,
}

/// Answer a request with a proof, as a holder does
///
/// With --local the proof is made on this machine. With --url the data is sealed to an enclave of
/// a service, which proves and sees the data only inside. The policy says which builds of the enclave
/// may see it: nothing is sent to an enclave whose evidence does not satisfy it. The evidence is kept
/// beside the proof, for later audits with `zkpass attest verify`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  zkpass prove --dvr request.jws --token statement.jws --local --out proof.jws
  zkpass prove --dvr request.jws --token bank=b.jws --token hospital=h.jws --local --out proof.jws
  zkpass prove --dvr request.jws --token statement.jws --url https://zkpass.example \\
      --policy policy.toml --out proof.jws")]
pub struct Prove {
    /// The signed request
    #[arg(long, value_name = "DVR.jws")]
    pub dvr: Input,

    /// A signed document; once per document
    #[arg(long, value_name = "[TAG=]TOKEN.jws", required = true)]
    pub token: Vec<Tagged>,

    #[command(flatten)]
    pub place: Place,

    /// The date that ages are counted to; today (UTC) unless given
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse::date, requires = "local")]
    pub as_of: Option<Date>,

    /// Accept a request signed by this key only; else the key named in the request
    #[arg(long, value_name = "KEY.pub.pem")]
    pub verifier_key: Option<Input>,

    /// Which enclaves may see the data (see `zkpass attest verify --help`)
    #[arg(
        long,
        value_name = "POLICY.toml",
        required_unless_present = "local",
        conflicts_with = "local"
    )]
    pub policy: Option<Input>,

    /// Trust a development TEE's own root, by its SHA-256 fingerprint, instead of the vendors' roots:
    /// whoever runs such a TEE can read the data. For development with data that is not real
    #[arg(long, value_name = "HEX", value_parser = parse::fingerprint, requires = "url")]
    pub danger_development_root: Option<[u8; 32]>,

    /// Where to keep the enclave's evidence; beside the proof, as PROOF.jws.evidence.json, unless given
    #[arg(long, value_name = "RECORD.json", requires = "url")]
    pub evidence_out: Option<PathBuf>,

    /// Where to write the proof
    #[arg(long, value_name = "PROOF.jws")]
    pub out: Output,
}

/// Where the proof is made.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct Place {
    /// Prove on this machine
    #[arg(long)]
    pub local: bool,

    /// Prove in an enclave behind this service
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
}

/// Check a proof, as a verifier does
///
/// Checks the proof against the verifier's own request and the issuer keys it trusts. Nothing in
/// the proof is believed before the zero-knowledge proof and every public value hold. With --json
/// the answer is {"verified": true, "output": {...}, ...} or {"verified": false, "error": {"code"}}.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  zkpass verify --proof proof.jws --dvr request.jws --verifier-key lender.pub.pem \\
      --issuer-key bank.pub.pem
  zkpass verify --proof proof.jws --dvr request.jws --verifier-key lender.pub.pem \\
      --issuer-key bank=b.pub.pem --issuer-key hospital=h.pub.pem --json
  zkpass verify ... --export DIR      # proof.bin and vk.bin, for an independent verifier")]
pub struct Verify {
    /// The proof
    #[arg(long, value_name = "PROOF.jws")]
    pub proof: Input,

    /// The signed request the proof answers
    #[arg(long, value_name = "DVR.jws")]
    pub dvr: Input,

    /// The public key that signed the request
    #[arg(long, value_name = "KEY.pub.pem")]
    pub verifier_key: Input,

    /// Public key of a trusted issuer; once per document
    #[arg(long, value_name = "[TAG=]ISSUER.pub.pem", required = true)]
    pub issuer_key: Vec<Tagged>,

    /// Expect this nonce; else the one in the request
    #[arg(long, value_name = "N")]
    pub nonce: Option<String>,

    /// Expect this audience; else the one in the request
    #[arg(long, value_name = "A")]
    pub audience: Option<String>,

    /// Earliest date the answer may be about
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse::date)]
    pub as_of_min: Option<Date>,

    /// Latest date the answer may be about
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse::date)]
    pub as_of_max: Option<Date>,

    /// Accept a proof only if this enclave signed it; may be repeated. Without it the token must be
    /// signed by the key it names, whichever that is: the answer is proven all the same
    #[arg(long, value_name = "KEY")]
    pub enclave_key: Vec<Input>,

    /// Also write DIR/proof.bin and DIR/vk.bin in the proof system's published serialisation
    #[arg(long, value_name = "DIR")]
    pub export: Option<PathBuf>,
}

/// Show what a token, request, proof or key file holds, without secrets
///
/// Nothing is verified. Of user data only the member names, types and public flags are shown; of a
/// private key only the public half.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  zkpass inspect token.jws
  zkpass inspect proof.jws --json
  curl -s https://verifier.example/request | zkpass inspect -")]
pub struct Inspect {
    /// A token, request, proof or key
    #[arg(value_name = "FILE")]
    pub file: Input,
}

/// Run the service with one enclave on this machine, for development
///
/// The enclave is a confined child process of a development TEE, which measures it and signs
/// evidence under a root of its own, made at first start and kept in --state. Clients accept it only
/// if they are told that root's fingerprint, which is printed, with a policy that accepts this build.
/// Whoever runs this machine can read what is sent to it. Stops on interrupt, after running jobs.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  zkpass serve
  zkpass serve --listen 127.0.0.1:0 --json
  zkpass serve --simulate sev-snp --state /var/lib/zkpass")]
pub struct Serve {
    /// Address to listen on; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: std::net::SocketAddr,

    /// Where the development root and the policy are kept; $XDG_STATE_HOME/zkpass or
    /// ~/.local/state/zkpass unless given
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,

    #[command(flatten)]
    pub tee: DevelopmentTee,
}

/// Run issuer, service, enclave, holder and verifier once and show each step
///
/// Starts a service and an enclave in a development TEE on a free loopback port, signs the bank-loan
/// example, asks, checks what the enclave proves of itself, proves, verifies, and prints what each
/// party saw and how long each step took. Then it starts a copy of the enclave with one byte more,
/// and shows that the client refuses it. Nothing is left behind.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  zkpass demo
  zkpass demo --simulate tdx --json")]
pub struct Demo {
    #[command(flatten)]
    pub tee: DevelopmentTee,
}

/// Print the completion script of a shell
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  zkpass completions bash > ~/.local/share/bash-completion/completions/zkpass
  zkpass completions zsh > ~/.zfunc/_zkpass
  zkpass completions fish > ~/.config/fish/completions/zkpass.fish")]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Print the manual page, or write the pages of all commands
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  zkpass man | man -l -
  zkpass man --out ~/.local/share/man/man1")]
pub struct Man {
    /// Write one page per command into this directory
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// A token's profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProfileArg {
    /// The data is the claim `data`
    Zkpass,
    /// The data is the set of claims, as in an OpenID id_token
    Jwt,
}

impl From<ProfileArg> for Profile {
    fn from(profile: ProfileArg) -> Self {
        match profile {
            ProfileArg::Zkpass => Self::Zkpass,
            ProfileArg::Jwt => Self::Jwt,
        }
    }
}

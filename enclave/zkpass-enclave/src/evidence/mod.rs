//! Evidence: documents in which the platform vouches for this enclave.
//!
//! The platform measured the program before it ran, and signs that measurement
//! together with 64 bytes of our choice, which bind it to the identity key and
//! to a client's nonce. Judging evidence is the work of `zkpass-attest`.

mod attester;
mod nsm;
mod tsm;

use std::{fmt, io, path::Path};

use aws_nitro_enclaves_nsm_api::api::ErrorCode;
use zkpass_core::evidence::{BINDING_BYTES, Nonce};

pub(crate) use attester::Attester;
use nsm::{DEVICE, Nsm};
use tsm::Tsm;

use crate::{
    args::{EvidenceChoice, Options},
    hardening::Needs,
};

/// What makes the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Platform {
    Nitro,
    SevSnp,
    Tdx,
}

/// Something that vouches for this enclave.
pub(crate) trait EvidenceSource: fmt::Debug + Send {
    fn platform(&self) -> Platform;

    /// `PLATFORM:HEX` of the launch measurement, as
    /// [`EnclaveInfo`](zkpass_core::api::EnclaveInfo) has it.
    fn measurement_id(&self) -> &str;

    /// Evidence that carries the binding, and the nonce where the platform has a place for it.
    fn evidence(
        &mut self,
        binding: &[u8; BINDING_BYTES],
        nonce: &Nonce,
    ) -> Result<Evidence, EvidenceUnavailable>;

    /// What of the system the source still needs once the enclave is confined.
    fn needs(&self) -> Needs<'_>;
}

/// Evidence as the platform gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// The signed document, report or quote.
    pub(crate) document: Vec<u8>,
    /// What helps to check it; may be empty.
    pub(crate) endorsements: Vec<u8>,
}

/// Why there is no evidence now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EvidenceUnavailable {
    /// The security module refused the request.
    #[error("the security module answers with the error {0:?}")]
    Refused(ErrorCode),
    /// The security module answered another request than ours.
    #[error("the security module answers another question")]
    WrongResponse,
    /// The answer is not the CBOR of a response.
    #[error("the answer of the security module cannot be read")]
    Malformed,
    /// More bytes than any answer has.
    #[error("the platform answers with more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// No answer in time.
    #[error("the platform does not answer in time")]
    TimedOut,
    /// An answer was given up, so that it is not known where the next begins.
    #[error("the connection to the security module was lost earlier")]
    Lost,
    /// The system call failed.
    #[error("the platform cannot be reached: {0}")]
    Io(#[from] io::Error),
    /// The measurement is not where, or not as long, as it should be.
    #[error("the platform gives no launch measurement")]
    NoMeasurement,
    /// The document speaks for other data than ours.
    #[error("the document does not carry the binding")]
    NotBound,
    /// Somebody else writes to our entry again and again.
    #[error("the entry for the report is written to by others")]
    Contended,
}

/// Why the source that was asked for cannot be used, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceSourceError {
    /// There is no NSM device.
    #[error(
        "`{DEVICE}` cannot be opened, so this is not a Nitro enclave: run it in one, name the \
         socket of a security module with `--nsm-socket PATH`, or choose `--evidence none`"
    )]
    NoNsmDevice,
    /// The socket of the security module cannot be used.
    #[error(
        "no security module at `{path}`, check that it runs and the path given to `--nsm-socket`: {source}"
    )]
    NsmSocket {
        /// The path.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// There is no configfs-tsm provider.
    #[error(
        "no report provider at `{path}`: this is no confidential guest of that kind, or configfs \
         is not mounted (`mount -t configfs none /sys/kernel/config`), or the guest driver is \
         missing (`modprobe sev-guest` or `modprobe tdx-guest`); name another place with \
         `--tsm-root PATH`, or choose `--evidence none`"
    )]
    NoTsmProvider {
        /// The path.
        path: String,
    },
    /// The provider is of another kind.
    #[error(
        "the report provider is `{found}`, and `--evidence {wanted}` needs `{needed}`: choose the \
         platform of this machine, or `auto`"
    )]
    OtherProvider {
        /// What was asked for.
        wanted: &'static str,
        /// Its provider.
        needed: &'static str,
        /// The provider that is there, as far as it is readable.
        found: String,
    },
    /// The source is there and does not work.
    #[error("the {platform} evidence source does not work: {cause}")]
    Broken {
        /// Which.
        platform: &'static str,
        /// The cause.
        cause: String,
    },
}

/// Opens the source that the options ask for; `None` when there is none and none is asked for.
pub(crate) fn open(
    options: &Options,
) -> Result<Option<Box<dyn EvidenceSource>>, EvidenceSourceError> {
    let tsm = |wanted| Tsm::open(&options.tsm_root, wanted).map(boxed);
    if let Some(socket) = &options.nsm_socket {
        return Nsm::connect(socket).map(boxed);
    }
    match options.evidence {
        EvidenceChoice::None => Ok(None),
        EvidenceChoice::Nitro => Nsm::open_device().map(boxed),
        EvidenceChoice::SevSnp => tsm(Some(Platform::SevSnp)),
        EvidenceChoice::Tdx => tsm(Some(Platform::Tdx)),
        EvidenceChoice::Auto if Path::new(DEVICE).exists() => Nsm::open_device().map(boxed),
        EvidenceChoice::Auto => match tsm(None) {
            Err(
                EvidenceSourceError::NoTsmProvider { .. }
                | EvidenceSourceError::OtherProvider { .. },
            ) => Ok(None),
            source => source,
        },
    }
}

fn boxed(source: impl EvidenceSource + 'static) -> Option<Box<dyn EvidenceSource>> {
    Some(Box::new(source))
}

impl Platform {
    /// As evidence and measurement ids name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nitro => "nitro",
            Self::SevSnp => "sev-snp",
            Self::Tdx => "tdx",
        }
    }
}

//! What a relying party knows after verification.

use zkpass_core::{
    date::Date,
    dvr::Dvr,
    keys::PublicKey,
    statement::{OutputEntry, Statement},
};

/// The checked content of a proof. Only [`Policy::verify`](crate::Policy::verify)
/// makes one.
///
/// `Debug` shows no value of the output.
#[derive(Clone, Debug)]
pub struct Claims {
    statement: Statement,
    dvr_id: String,
    dvr_title: String,
    time_stamp: i64,
    enclave: Option<PublicKey>,
}

impl Claims {
    /// For the end of a verification only.
    pub(crate) fn new(
        statement: Statement,
        dvr: &Dvr,
        time_stamp: i64,
        enclave: Option<PublicKey>,
    ) -> Self {
        Self {
            statement,
            dvr_id: dvr.dvr_id.clone(),
            dvr_title: dvr.dvr_title.clone(),
            time_stamp,
            enclave,
        }
    }

    /// The answer, in the order of the query's outputs.
    pub fn output(&self) -> &[OutputEntry] {
        &self.statement.output
    }

    /// The statement that was proven.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The date at which the query was answered.
    pub fn as_of(&self) -> Date {
        self.statement.as_of
    }

    /// The issuers' keys by tag.
    pub fn issuers(&self) -> impl Iterator<Item = (&str, &PublicKey)> {
        let tokens = self.statement.tokens.iter();
        tokens.map(|token| (&*token.tag, &token.issuer_key))
    }

    /// Id of the DVR that was answered.
    pub fn dvr_id(&self) -> &str {
        &self.dvr_id
    }

    /// Title of the DVR that was answered.
    pub fn dvr_title(&self) -> &str {
        &self.dvr_title
    }

    /// Nonce of the DVR.
    pub fn nonce(&self) -> Option<&str> {
        self.statement.nonce.as_deref()
    }

    /// Audience of the DVR.
    pub fn audience(&self) -> Option<&str> {
        self.statement.audience.as_deref()
    }

    /// When the proof was made, in Unix seconds. When [`Claims::enclave`] is
    /// `None` this is the word of whoever presented the proof.
    pub fn time_stamp(&self) -> i64 {
        self.time_stamp
    }

    /// The enclave that signed the proof; `None` when the policy ignores that.
    pub fn enclave(&self) -> Option<&PublicKey> {
        self.enclave.as_ref()
    }
}

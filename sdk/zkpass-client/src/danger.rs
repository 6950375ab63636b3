//! What weakens the promises of zkPass; each takes an explicit call.

/// Permission to send user data to an enclave that shows no evidence.
///
/// Only [`accept_unattested_development`] makes one.
#[derive(Debug, Clone, Copy)]
pub struct AcceptUnattestedDevelopment(());

/// Permits enclaves of the kind `unattested-development`.
///
/// Such an enclave is an ordinary process: whoever runs it can read the data
/// that is sent to it. Use it with data that is not real.
pub fn accept_unattested_development() -> AcceptUnattestedDevelopment {
    AcceptUnattestedDevelopment(())
}

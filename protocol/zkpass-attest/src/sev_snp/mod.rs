//! AMD SEV-SNP: attestation reports.
//!
//! A report is signed by an endorsement key: a chip's own (VCEK) or one that a
//! cloud provider loaded (VLEK). AMD certifies both, for one state of the
//! firmware each. The documents are AMD's: 56860 (firmware ABI), 57230
//! (certificates), 56421 (guest-host communication).

mod certificate;
mod chain;
mod endorsements;
mod error;
mod facts;
mod report;

use p384::ecdsa::{Signature, signature::Verifier as _};
use subtle::ConstantTimeEq as _;
use zkpass_core::encoding::hex;

use crate::{
    Binding, EvidenceError, Platform, Policy,
    evidence::Verified,
    policy::{MeasuredValues, SevSnpOptions},
};
use chain::Endorsed;
use endorsements::Endorsements;
use report::Report;

pub use error::{Role, SevSnpError, TcbComponent};
pub use facts::{Endorsement, Facts, PlatformInfo, Tcb};
pub use report::{GuestPolicyFacts, MAX_ENDORSEMENT_BYTES, Product, REPORT_BYTES, SigningKey};

/// Highest virtual machine privilege level; the field holds more when the host asked.
const LEAST_PRIVILEGED: u32 = 3;

pub(crate) fn verify(
    report: &[u8],
    endorsements: &[u8],
    policy: &Policy,
    binding: &Binding<'_>,
    now: i64,
) -> Result<Verified<Facts>, EvidenceError> {
    if binding.nonce.is_some() {
        return Err(EvidenceError::NonceNotSupported(Platform::SevSnp));
    }

    // 1. The report is one that this verifier can read (56860, ATTESTATION_REPORT).
    let report = Report::parse(report)?;
    let role = check_form(&report, &policy.sev_snp)?;

    // 2. An endorsement key stands under a trusted root (57230).
    let endorsements = Endorsements::find(endorsements)?;
    let endorsed = chain::verify(&endorsements, role, policy.roots(), now)?;

    // 3. It signed the report (56860, ATTESTATION_REPORT: SIGNATURE).
    check_signature(&report, &endorsed)?;

    // 4. It is the key of the chip and the TCB that the report names.
    check_endorsement(&report, &endorsed)?;

    // 5. The guest and its platform are as the relying party wants them.
    check_guest(&report, &policy.sev_snp)?;
    check_platform(&report, &endorsed, &policy.sev_snp)?;

    // 6. The guest is the right one.
    if report.measurement == [0; 48] {
        return Err(EvidenceError::ZeroMeasurement);
    }
    let is_equal = |values: &MeasuredValues| is_measured(&report, values);
    let entry = policy.matching(Platform::SevSnp, now, is_equal)?;

    // 7. The guest put the expected data into the report.
    if let Some(data) = binding.data {
        check_binding(&report, data)?;
    }

    Ok(Verified {
        facts: Facts::new(
            &report,
            Some(endorsed.product),
            Some(Endorsement::new(
                &endorsed.extensions,
                endorsed.vek_validity,
            )),
        ),
        measurement: entry.name.clone(),
        measurement_id: format!("{}:{}", Platform::SevSnp, hex(&report.measurement)),
        valid_until: policy.valid_until(entry, endorsed.valid_until),
    })
}

pub(crate) fn inspect(report: &[u8], endorsements: &[u8]) -> Result<Facts, EvidenceError> {
    let report = Report::parse(report)?;
    let endorsements = Endorsements::find(endorsements)?;
    let vek = endorsements.any_vek(report.signer.signing_key());
    let endorsement = vek.map(|(role, der)| Endorsement::read(role, der));
    let (endorsement, product) = endorsement.transpose()?.unzip();
    let product = product.flatten().or_else(|| report.product());
    Ok(Facts::new(&report, product, endorsement))
}

/// Says which key must have signed.
fn check_form(report: &Report<'_>, options: &SevSnpOptions) -> Result<Role, SevSnpError> {
    if !(2..=5).contains(&report.version) {
        return Err(SevSnpError::ReportVersion(report.version));
    }
    if report.signature_algorithm != 1 {
        return Err(SevSnpError::SignatureAlgorithm(report.signature_algorithm));
    }
    if !report.signer.reserved_is_right() {
        return Err(SevSnpError::SignerInfoReserved);
    }
    let role = match report.signer.signing_key() {
        SigningKey::Vcek => Role::Vcek,
        SigningKey::Vlek => Role::Vlek,
        SigningKey::None => return Err(SevSnpError::Unsigned),
        SigningKey::Reserved(number) => return Err(SevSnpError::SigningKeyReserved(number)),
    };
    // A host that masks the chip's key has the firmware sign with none (56860, MSG_REPORT_REQ).
    if role == Role::Vcek && report.signer.chip_key_masked() {
        return Err(SevSnpError::ChipKeyMasked);
    }
    if report.signer.author_key() == (report.author_key_digest == [0; 48]) {
        return Err(SevSnpError::AuthorKey);
    }
    if role == Role::Vlek && !options.allow_vlek {
        return Err(SevSnpError::VlekNotAllowed);
    }
    Ok(role)
}

fn check_signature(report: &Report<'_>, endorsed: &Endorsed) -> Result<(), SevSnpError> {
    let [r, s] = report.signature()?;
    let signature = Signature::from_scalars(r, s).map_err(|_| SevSnpError::SignatureRange)?;
    let wrong = |_| SevSnpError::ReportSignature;
    endorsed
        .key
        .verify(report.signed, &signature)
        .map_err(wrong)
}

fn check_endorsement(report: &Report<'_>, endorsed: &Endorsed) -> Result<(), SevSnpError> {
    let product = endorsed.product;
    if report.cpuid.is_some() && report.product() != Some(product) {
        return Err(SevSnpError::Cpuid);
    }
    let extensions = &endorsed.extensions;
    extensions.check_chip(product, &report.chip_id)?;
    extensions.check_tcb(product, report.reported_tcb)
}

fn check_guest(report: &Report<'_>, options: &SevSnpOptions) -> Result<(), EvidenceError> {
    if report.policy.debug() {
        return Err(EvidenceError::DebugMode);
    }
    if !report.policy.reserved_is_right() {
        return Err(SevSnpError::GuestPolicyReserved.into());
    }
    if report.policy.migration_agent() && !options.allow_migration_agent {
        return Err(SevSnpError::MigrationAgent.into());
    }
    if report.policy.smt() && !options.allow_smt {
        return Err(SevSnpError::Smt.into());
    }
    let max = options.max_vmpl.min(LEAST_PRIVILEGED);
    if report.vmpl > max {
        let vmpl = report.vmpl;
        return Err(SevSnpError::Vmpl { vmpl, max }.into());
    }
    if report.guest_svn < options.minimum_guest_svn {
        return Err(SevSnpError::GuestSvnTooLow {
            reported: report.guest_svn,
            minimum: options.minimum_guest_svn,
        }
        .into());
    }
    Ok(())
}

fn check_platform(
    report: &Report<'_>,
    endorsed: &Endorsed,
    options: &SevSnpOptions,
) -> Result<(), SevSnpError> {
    let lowest = match endorsed.product {
        Product::Milan => options.minimum_tcb.milan,
        Product::Genoa => options.minimum_tcb.genoa,
        Product::Turin => options.minimum_tcb.turin,
    };
    let tcb = endorsed.product.tcb(report.reported_tcb);
    for (component, reported, minimum) in [
        (TcbComponent::Fmc, tcb.fmc, lowest.fmc),
        (TcbComponent::Bootloader, tcb.bootloader, lowest.bootloader),
        (TcbComponent::Tee, tcb.tee, lowest.tee),
        (TcbComponent::Snp, tcb.snp, lowest.snp),
        (TcbComponent::Microcode, tcb.microcode, lowest.microcode),
    ] {
        if reported < minimum {
            return Err(SevSnpError::TcbTooLow {
                component,
                reported,
                minimum,
            });
        }
    }
    // A masked chip id is zero, and so is that of every chip which shows none.
    let chip_id = hex(&report.chip_id);
    let is_listed = report.chip_id != [0; 64] && options.chip_ids.contains(&chip_id);
    if options.chip_ids.is_empty() || is_listed {
        Ok(())
    } else {
        Err(SevSnpError::ChipNotAllowed)
    }
}

/// Whether a report has the values of an entry of the policy.
fn is_measured(report: &Report<'_>, values: &MeasuredValues) -> bool {
    let MeasuredValues::SevSnp {
        measurement,
        host_data,
        id_key_digest,
        author_key_digest,
    } = values
    else {
        return false;
    };
    *measurement == report.measurement
        && host_data.is_none_or(|value| value == report.host_data)
        && id_key_digest.is_none_or(|value| value == report.id_key_digest)
        && author_key_digest.is_none_or(|value| value == report.author_key_digest)
}

/// REPORT_DATA that is all zero is what a guest sends that binds nothing.
fn check_binding(report: &Report<'_>, data: &[u8]) -> Result<(), EvidenceError> {
    let is_equal = bool::from(report.report_data.ct_eq(data));
    if is_equal && report.report_data != [0; 64] {
        Ok(())
    } else {
        Err(EvidenceError::WrongBinding)
    }
}

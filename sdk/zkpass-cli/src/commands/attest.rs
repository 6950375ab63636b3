//! `zkpass attest`: evidence of trusted execution environments, offline.

use std::path::Path;

use serde_json::{Map, Value, json};
use zkpass_attest::{Binding, Claims, Evidence, Facts, Platform, inspect, verify};
use zkpass_client::attestation::{self, EnclaveError, Policy, Record, RecordError};
use zkpass_client::danger;
use zkpass_core::code::Code;
use zkpass_core::encoding::hex;

use crate::args::attest::{
    AttestFetch, AttestInspect, AttestMeasure, AttestPolicy, AttestShow, AttestVerify, Files,
};
use crate::clock;
use crate::enclave_process::WORD;
use crate::failure::Failure;
use crate::files::{Access, Input, write_file};
use crate::local_service::{self, block_on};
use crate::screen::{Answer, Screen};

/// Verifies evidence, or a record, by a policy.
pub fn verify_evidence(args: &AttestVerify) -> Result<Answer, Failure> {
    let policy = read_policy(&args.policy, args.danger_development_root)?;
    let evidence = Read::from(&args.files)?;
    let at = match (args.at, &evidence) {
        (Some(at), _) => at,
        (None, Read::Record(record)) => record.verified_at,
        (None, Read::Files { .. }) => clock::now()?,
    };
    let claims = match &evidence {
        Read::Record(record) => record.verify(&policy, at)?,
        Read::Files { .. } => {
            let mut binding = match &args.binding {
                Some(data) => Binding::to(&data.0),
                None => Binding::unbound(),
            };
            if let Some(nonce) = &args.nonce {
                binding = binding.with_nonce(&nonce.0);
            }
            verify(&evidence.evidence()?, &policy, &binding, at)
                .map_err(|error| Failure::refused_as(error.code(), error))?
        }
    };
    let bound = args.binding.is_some() || matches!(evidence, Read::Record(_));
    Ok(Answer {
        text: verdict(&claims, at, bound),
        json: json!({"verified": true, "claims": claims}),
    })
}

/// Reads a policy file; with a fingerprint it trusts that development root only.
pub fn read_policy(file: &Input, root: Option<[u8; 32]>) -> Result<Policy, Failure> {
    let policy = Policy::from_toml(&file.read()?)
        .map_err(|error| Failure::refused_as(error.code(), format!("{file}: {error}")))?;
    Ok(match root {
        Some(sha256) => danger::trust_development_root(policy, sha256),
        None => policy,
    })
}

/// Shows what evidence says.
pub fn inspect_evidence(args: &AttestInspect) -> Result<Answer, Failure> {
    let facts = facts(&Read::from(&args.files)?)?;
    let json = json!(facts);
    Ok(Answer {
        text: format!("{}\nnothing of this is verified", lines(&json, 0)),
        json,
    })
}

/// Shows a record.
pub fn show(args: &AttestShow) -> Result<Answer, Failure> {
    let record = read_record(&args.record)?;
    let evidence = Read::Record(Box::new(record));
    let facts = facts(&evidence)?;
    let Read::Record(record) = evidence else {
        return Err(Failure::system("the record is gone"));
    };
    let info = &record.enclave;
    let json = json!({
        "verified_at": record.verified_at,
        "enclave_id": info.enclave_id,
        "kind": info.kind,
        "measurement_id": info.measurement_id,
        "key_id": info.key_id,
        "not_before": info.not_before,
        "not_after": info.not_after,
        "nonce": hex(&record.evidence.nonce),
        "evidence": facts,
    });
    Ok(Answer {
        text: format!(
            "{}\nnothing of this is verified; `zkpass attest verify RECORD.json --policy \
             POLICY.toml` does that",
            lines(&json, 0)
        ),
        json,
    })
}

/// Writes a policy that accepts what evidence shows.
pub fn policy(args: &AttestPolicy) -> Result<Answer, Failure> {
    let facts = json!(facts(&Read::from(&args.files)?)?);
    let policy = policy_text(&facts, &args.name)?;
    Policy::from_toml(&policy).map_err(|error| {
        Failure::refused_as(
            error.code(),
            format!("no policy can accept this evidence: {error}"),
        )
    })?;
    args.out.write_line(policy.trim_end())?;
    Ok(Answer {
        text: format!(
            "{}: a policy that accepts this evidence; compare its measurements with those of a \
             build you trust",
            args.out
        ),
        json: json!({"policy": args.out.to_string(), "text": policy}),
    })
}

/// The measured fields that a policy pins by default, per platform.
fn policy_text(facts: &Value, name: &str) -> Result<String, Failure> {
    let platform = facts["platform"].as_str().unwrap_or_default();
    let fields: &[&str] = match platform {
        "sev-snp" => &["measurement"],
        "tdx" => &["mrtd", "rtmr0", "rtmr1", "rtmr2"],
        _ => &[],
    };
    let mut entry = toml::Table::new();
    entry.insert("name".into(), name.into());
    entry.insert("platform".into(), platform.into());
    if platform == "nitro" {
        let mut pcrs = toml::Table::new();
        // Image, kernel and application, and who signed the image, if anybody did.
        for index in ["0", "1", "2", "8"] {
            if let Some(value) = facts["pcrs"][index].as_str() {
                pcrs.insert(index.into(), value.into());
            }
        }
        entry.insert("pcrs".into(), pcrs.into());
    }
    for field in fields {
        let value = facts[field]
            .as_str()
            .ok_or_else(|| Failure::system(format!("the evidence has no `{field}`")))?;
        entry.insert((*field).into(), value.into());
    }
    let mut policy = toml::Table::new();
    policy.insert("version".into(), toml::Value::Integer(1));
    policy.insert(
        "measurements".into(),
        toml::Value::Array(vec![entry.into()]),
    );
    if platform == "nitro" {
        let mut options = toml::Table::new();
        options.insert("max_age_seconds".into(), toml::Value::Integer(300));
        options.insert("clock_skew_seconds".into(), toml::Value::Integer(60));
        policy.insert("nitro".into(), options.into());
    }
    toml::to_string(&policy)
        .map_err(|error| Failure::system(format!("cannot write the policy: {error}")))
}

/// Computes what a development TEE measures.
pub fn measure(args: &AttestMeasure) -> Result<Answer, Failure> {
    let (program, arguments) = match &args.program {
        Some(program) => (program.clone(), args.arguments.clone()),
        None => (local_service::own_program()?, vec![WORD.into()]),
    };
    let measured = local_service::expected(&program, &arguments, args.tee)?;
    let platform = args.tee.simulate;
    let policy = local_service::policy_text(&measured, platform, "measured here");
    let mut text: Vec<String> = [&measured.pcr0, &measured.pcr1, &measured.pcr2]
        .iter()
        .enumerate()
        .map(|(index, pcr)| format!("PCR{index} {}", hex(*pcr)))
        .collect();
    if let Some(path) = &args.out {
        write_file(path, policy.as_bytes(), Access::Shared)?;
        text.push(format!("{}: a policy that accepts it", path.display()));
    }
    Ok(Answer {
        text: text.join("\n"),
        json: json!({
            "program": program,
            "pcrs": [hex(&measured.pcr0), hex(&measured.pcr1), hex(&measured.pcr2)],
            "policy": policy,
        }),
    })
}

/// Fetches evidence from a service.
pub fn fetch(args: &AttestFetch, screen: Screen) -> Result<Answer, Failure> {
    let progress = screen.progress("asking for evidence");
    let offers = block_on(async { Ok(zkpass_client::holder::enclaves(&args.url).await?) })?;
    drop(progress);
    let count = offers.len();
    let wanted = |id: &str| args.enclave.as_deref().is_none_or(|wanted| wanted == id);
    let offer = offers
        .into_iter()
        .find(|offer| wanted(&offer.info.enclave_id))
        .ok_or_else(|| {
            Failure::system_with(
                Code::EnclaveUnavailable,
                "the service offers no such enclave",
            )
        })?;
    let kind = offer.info.kind.clone();
    let record = Record::of_offer(offer, clock::now()?)
        .ok_or_else(|| Failure::from(EnclaveError::NoEvidence { kind }))?;
    keep(&record, &args.out)?;
    let info = &record.enclave;
    Ok(Answer {
        text: format!(
            "{}: evidence of enclave {}, {}, not verified",
            args.out.display(),
            info.enclave_id,
            info.measurement_id
        ),
        json: json!({
            "record": args.out,
            "enclave_id": info.enclave_id,
            "measurement_id": info.measurement_id,
            "enclaves": count,
        }),
    })
}

/// Writes a record of evidence.
pub fn keep(record: &Record, path: &Path) -> Result<(), Failure> {
    write_file(
        path,
        format!("{}\n", record.to_json()).as_bytes(),
        Access::Shared,
    )
}

/// Evidence as it was read.
enum Read {
    Record(Box<Record>),
    Files {
        platform: Platform,
        evidence: Vec<u8>,
        endorsements: Vec<u8>,
    },
}

impl Read {
    fn from(files: &Files) -> Result<Self, Failure> {
        let (Some(platform), Some(evidence)) = (files.platform, &files.evidence) else {
            let record = files.record.as_ref();
            let record = record.ok_or_else(|| Failure::usage("name a record or evidence"))?;
            return Ok(Self::Record(Box::new(read_record(record)?)));
        };
        let platform = platform.into();
        let extra = match platform {
            Platform::Nitro => None,
            Platform::SevSnp => files.vek.as_ref(),
            Platform::Tdx => files.collateral.as_ref(),
        };
        let given = [&files.vek, &files.collateral]
            .into_iter()
            .flatten()
            .count();
        if given > usize::from(extra.is_some()) {
            return Err(Failure::usage(
                "--vek goes with --platform sev-snp, --collateral with --platform tdx",
            ));
        }
        Ok(Self::Files {
            platform,
            evidence: evidence.read_bytes()?,
            endorsements: extra
                .map(Input::read_bytes)
                .transpose()?
                .unwrap_or_default(),
        })
    }

    fn evidence(&self) -> Result<Evidence<'_>, Failure> {
        Ok(match self {
            Self::Record(record) => record.evidence()?,
            Self::Files {
                platform,
                evidence,
                endorsements,
            } => match platform {
                Platform::Nitro => Evidence::Nitro { document: evidence },
                Platform::SevSnp => Evidence::SevSnp {
                    report: evidence,
                    endorsements,
                },
                Platform::Tdx => Evidence::Tdx {
                    quote: evidence,
                    collateral: endorsements,
                },
            },
        })
    }
}

fn read_record(file: &Input) -> Result<Record, Failure> {
    Record::from_json(file.read()?.trim_end())
        .map_err(|error: RecordError| Failure::refused_as("bad-record", format!("{file}: {error}")))
}

fn facts(evidence: &Read) -> Result<Facts, Failure> {
    inspect(&evidence.evidence()?).map_err(|error| Failure::refused_as(error.code(), error))
}

fn verdict(claims: &Claims, at: i64, bound: bool) -> String {
    let mut text = format!(
        "verified at {at}\nmeasurement `{}` of the policy: {}\nverifies until {}",
        claims.measurement(),
        claims.measurement_id(),
        claims.valid_until()
    );
    if !bound {
        text.push_str(
            "\nnot bound: without --binding this shows that such a build ran, not for whom",
        );
    }
    if claims.is_development() {
        text.push_str("\ndevelopment root: whoever runs that TEE can read what is sent to it");
    }
    text
}

/// `name: value` on a line each, nested values indented.
fn lines(value: &Value, depth: usize) -> String {
    let empty = Map::new();
    let members = value.as_object().unwrap_or(&empty);
    let mut lines = Vec::new();
    for (name, member) in members {
        let indent = "  ".repeat(depth);
        lines.push(match member {
            Value::Object(inner) if !inner.is_empty() => {
                format!("{indent}{name}:\n{}", self::lines(member, depth + 1))
            }
            Value::String(text) => format!("{indent}{name}: {text}"),
            other => format!("{indent}{name}: {other}"),
        });
    }
    lines.join("\n")
}

impl From<EnclaveError> for Failure {
    fn from(error: EnclaveError) -> Self {
        Self::refused_as(error.cause(), error)
    }
}

impl From<attestation::PolicyError> for Failure {
    fn from(error: attestation::PolicyError) -> Self {
        Self::refused_as(error.code(), error)
    }
}

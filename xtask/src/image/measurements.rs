//! What an image will be measured as, in the form of an attestation policy.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::VM_COMMAND_LINE;
use super::eif::Register;
use crate::shell;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The tool that computes launch measurements, and how to get it.
const SEV_TOOL: &str = "sev-snp-measure";
const SEV_TOOL_HELP: &str = "`sev-snp-measure` is missing: `pip install sev-snp-measure==0.0.13`";

/// A policy that accepts a Nitro image.
pub fn nitro(registers: &[Register; 3]) -> String {
    let mut text = format!(
        "version = 1\n\n[[measurements]]\nname = \"zkpass-enclave {VERSION}, Nitro\"\n\
         platform = \"nitro\"\n"
    );
    for (index, register) in registers.iter().enumerate() {
        let _ = writeln!(text, "pcrs.{index} = \"{}\"", hex(register));
    }
    text
}

/// A policy that accepts a SEV-SNP guest.
pub fn sev_snp(launch_digest: &str, vcpus: u32, vcpu_type: &str) -> String {
    format!(
        "version = 1\n\n[[measurements]]\n\
         name = \"zkpass-enclave {VERSION}, SEV-SNP, {vcpus} x {vcpu_type}\"\n\
         platform = \"sev-snp\"\nmeasurement = \"{launch_digest}\"\n"
    )
}

/// Computes the launch measurement of the files in a folder under a firmware.
pub fn sev_snp_launch_digest(
    folder: &Path,
    ovmf: &Path,
    vcpus: u32,
    vcpu_type: &str,
) -> Result<String> {
    let version = shell::command(&format!("{SEV_TOOL} --version"));
    ensure!(shell::succeeds(version), SEV_TOOL_HELP);
    let mut command = shell::command(SEV_TOOL);
    // Paths are the caller's, not relative to the workspace.
    command.current_dir(std::env::current_dir()?);
    command.args(["--mode", "snp", "--output-format", "hex"]);
    command.arg(format!("--vcpus={vcpus}"));
    command.arg(format!("--vcpu-type={vcpu_type}"));
    command.arg("--ovmf").arg(ovmf);
    command.arg("--kernel").arg(folder.join("kernel"));
    command.arg("--initrd").arg(folder.join("ramdisk"));
    command.arg("--append").arg(VM_COMMAND_LINE);
    let digest = shell::capture(command).context("no launch measurement")?;
    let digest = digest.trim();
    let is_digest = digest.len() == 96 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    ensure!(is_digest, "`{SEV_TOOL}` printed no digest: {digest}");
    Ok(digest.to_lowercase())
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use zkpass_attest::{Policy, policy::MeasuredValues};

    use super::*;

    #[test]
    fn entries_are_policies() {
        let registers = [[1; 48], [2; 48], [3; 48]];
        let policy = Policy::from_toml(&nitro(&registers)).unwrap();
        let MeasuredValues::Nitro { pcrs } = &policy.measurements()[0].values else {
            panic!("not of a Nitro enclave");
        };
        assert!(pcrs.values().eq(&registers));

        let policy = Policy::from_toml(&sev_snp(&hex(&[4; 48]), 2, "EPYC-v4")).unwrap();
        let MeasuredValues::SevSnp { measurement, .. } = &policy.measurements()[0].values else {
            panic!("not of a SEV-SNP guest");
        };
        assert_eq!(measurement, &[4; 48]);
    }
}

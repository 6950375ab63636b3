//! The initial file system: all that there is in the machine.
//!
//! It has two parts, so that a Nitro Enclave measures them apart: what boots
//! (PCR1, with kernel and command line) and the program (PCR2).

use anyhow::Result;

use super::cpio::Archive;
use super::kernel::Module;

/// The part that boots: mount points, the console and the kernel's modules.
pub fn boot(modules: &[Module]) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for folder in ["dev", "proc", "sys", "modules"] {
        archive.folder(folder)?;
    }
    // The kernel opens it for /init, before anything is mounted.
    archive.character_device("dev/console", 5, 1)?;
    for (index, module) in modules.iter().enumerate() {
        // The enclave loads them in the order of their names.
        let name = format!("modules/{index:02}-{}.ko", module.name);
        archive.file(&name, 0o400, &module.bytes)?;
    }
    archive.finish()
}

/// The program and its arguments.
pub fn program(program: &[u8], arguments: &[String]) -> Result<Vec<u8>> {
    if let Some(bad) = arguments.iter().find(|text| text.contains('\n')) {
        anyhow::bail!("the argument `{bad}` has more than one line");
    }
    let mut lines = arguments.join("\n");
    lines.push('\n');
    let mut archive = Archive::default();
    archive.file("init", 0o555, program)?;
    archive.file("init.arguments", 0o444, lines.as_bytes())?;
    archive.finish()
}

/// Both parts, one after the other.
pub fn whole(modules: &[Module], binary: &[u8], arguments: &[String]) -> Result<Vec<u8>> {
    Ok([boot(modules)?, program(binary, arguments)?].concat())
}

//! `cargo xtask image`: what runs in a virtual machine, built so that anyone
//! who builds it again gets the same bytes.
//!
//! enclave/image/README.md says what the parts are and what is measured.

mod binary;
mod cpio;
mod eif;
mod kernel;
mod measurements;
mod ramdisk;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use sha2::{Digest, Sha384};

use crate::shell;

pub use binary::build as build_binary;
pub use kernel::{Kernel, Source as KernelSource, debian_package};
pub use ramdisk::whole as whole_ramdisk;

/// What to build.
#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the static enclave program
    Binary,
    /// Build everything twice, from two clones in two folders, and compare
    CheckReproducible(KernelSource),
    /// Build an enclave image file for AWS Nitro Enclaves
    Nitro(Image),
    /// Build kernel, ramdisk and command line for a SEV-SNP or TDX guest
    Vm(Vm),
}

#[derive(Args)]
struct Image {
    #[command(flatten)]
    kernel: KernelSource,
    /// The folder for the result; made when it is missing
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// An argument of the enclave, instead of the usual ones; may be repeated
    #[arg(long = "argument", value_name = "ARGUMENT", allow_hyphen_values = true)]
    arguments: Vec<String>,
}

#[derive(Args)]
struct Vm {
    #[command(flatten)]
    image: Image,
    /// The firmware of the SEV-SNP guest: computes its launch measurement with `sev-snp-measure`
    #[arg(long, value_name = "FILE")]
    ovmf: Option<PathBuf>,
    /// Number of virtual processors, which the measurement depends on
    #[arg(long, default_value_t = 2)]
    vcpus: u32,
    /// Type of the virtual processors, which the measurement depends on
    #[arg(long, default_value = "EPYC-v4")]
    vcpu_type: String,
}

/// Where the enclave listens in a virtual machine.
pub const VSOCK_PORT: u32 = 5000;

/// The kernel's command line in a Nitro Enclave: what the platform asks for.
/// The hypervisor appends its devices, so nothing of ours may follow ` -- `.
const NITRO_COMMAND_LINE: &str = "reboot=k panic=30 pci=off console=ttyS0 i8042.noaux \
     i8042.nomux i8042.nopnp i8042.dumbkbd random.trust_cpu=on";

/// The kernel's command line in a confidential virtual machine.
pub const VM_COMMAND_LINE: &str = "console=ttyS0 panic=-1 random.trust_cpu=on";

/// Modules of a Nitro Enclave and of the other machines, where they are not built in.
const NITRO_MODULES: &[&str] = &["virtio_mmio", "vmw_vsock_virtio_transport", "nsm"];
pub const VM_MODULES: &[&str] = &["sev-guest", "tdx-guest", "vmw_vsock_virtio_transport"];

/// Runs the chosen task.
pub fn run(options: &Options) -> Result<()> {
    match &options.task {
        Task::Binary => {
            let program = build_binary(shell::root(), &target_folder()?)?;
            println!("{}", program.display());
            print_digest("zkpass-enclave", &fs::read(program)?);
            binary::print_environment()
        }
        Task::CheckReproducible(source) => check_reproducible(source),
        Task::Nitro(image) => {
            image.kernel.warn_about_nitro()?;
            let kernel = image.kernel.read(NITRO_MODULES)?;
            let program = fs::read(build_binary(shell::root(), &target_folder()?)?)?;
            let built = nitro(&kernel, &program, &arguments(image))?;
            fs::create_dir_all(&image.out)?;
            write(&image.out, "zkpass-enclave.eif", &built.image)?;
            let entry = measurements::nitro(&built.registers);
            print!("{entry}");
            write(&image.out, "measurements.toml", entry.as_bytes())?;
            binary::print_environment()
        }
        Task::Vm(vm) => build_vm(vm),
    }
}

/// The arguments of the enclave in a virtual machine, one on a line.
pub fn usual_arguments() -> Vec<String> {
    vec!["--socket".to_owned(), format!("vsock:{VSOCK_PORT}")]
}

fn arguments(image: &Image) -> Vec<String> {
    if image.arguments.is_empty() {
        usual_arguments()
    } else {
        image.arguments.clone()
    }
}

fn nitro(kernel: &Kernel, program: &[u8], arguments: &[String]) -> Result<eif::Eif> {
    let boot = ramdisk::boot(&kernel.modules)?;
    let program = ramdisk::program(program, arguments)?;
    eif::build(kernel, NITRO_COMMAND_LINE, &[boot, program])
}

fn build_vm(vm: &Vm) -> Result<()> {
    let kernel = vm.image.kernel.read(VM_MODULES)?;
    let program = fs::read(build_binary(shell::root(), &target_folder()?)?)?;
    let ramdisk = ramdisk::whole(&kernel.modules, &program, &arguments(&vm.image))?;
    let out = &vm.image.out;
    fs::create_dir_all(out)?;
    write(out, "kernel", &kernel.image)?;
    write(out, "ramdisk", &ramdisk)?;
    write(out, "command-line", VM_COMMAND_LINE.as_bytes())?;
    print_digest("kernel", &kernel.image);
    print_digest("ramdisk", &ramdisk);
    match &vm.ovmf {
        Some(ovmf) => {
            let digest = measurements::sev_snp_launch_digest(out, ovmf, vm.vcpus, &vm.vcpu_type)?;
            let entry = measurements::sev_snp(&digest, vm.vcpus, &vm.vcpu_type);
            print!("{entry}");
            write(out, "measurements.toml", entry.as_bytes())?;
        }
        None => println!("no launch measurement: it needs the firmware, `--ovmf FILE`"),
    }
    binary::print_environment()
}

/// Builds from two clones of the last commit, in folders of different names.
pub fn check_reproducible(source: &KernelSource) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut images = Vec::new();
    for name in ["one", "a-second-and-longer-name"] {
        let clone = folder.path().join(name).join("zkpass");
        let mut command = shell::command("git clone --quiet --no-hardlinks .");
        command.arg(&clone);
        shell::run(command)?;
        let program = fs::read(build_binary(
            &clone,
            &folder.path().join(name).join("target"),
        )?)?;
        print_digest(name, &program);
        images.push(program);
    }
    let [first, second] = &images[..] else {
        anyhow::bail!("two builds were asked for");
    };
    anyhow::ensure!(first == second, "the two builds of zkpass-enclave differ");
    println!("zkpass-enclave: both builds have the same bytes");
    if source.is_given() {
        let kernel = source.read(NITRO_MODULES)?;
        let image = |program| nitro(&kernel, program, &usual_arguments());
        let (first, second) = (image(first)?, image(second)?);
        anyhow::ensure!(
            first.image == second.image && first.registers == second.registers,
            "the two image files differ"
        );
        println!("zkpass-enclave.eif: both builds have the same bytes and PCRs");
        print!("{}", measurements::nitro(&first.registers));
    }
    Ok(())
}

/// The folder of image builds, below the workspace's target folder.
pub fn target_folder() -> Result<PathBuf> {
    let metadata = cargo_metadata::MetadataCommand::new()
        .current_dir(shell::root())
        .no_deps()
        .exec()?;
    Ok(metadata
        .target_directory
        .join("enclave-image")
        .into_std_path_buf())
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, bytes).with_context(|| format!("cannot write `{}`", path.display()))?;
    println!("wrote {}", path.display());
    Ok(())
}

fn print_digest(name: &str, bytes: &[u8]) {
    println!(
        "{name}: {} bytes, SHA-384 {}",
        bytes.len(),
        measurements::hex(&Sha384::digest(bytes))
    );
}

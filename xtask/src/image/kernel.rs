//! The kernel: not built here, but taken from whoever builds it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::shell;

/// Where the kernel comes from.
#[derive(Args, Clone, Default)]
pub struct Source {
    /// A Debian package of a kernel; the modules are found in it
    #[arg(long, value_name = "FILE.deb")]
    kernel_package: Option<PathBuf>,
    /// A kernel (bzImage)
    #[arg(long, value_name = "FILE", conflicts_with = "kernel_package")]
    kernel: Option<PathBuf>,
    /// A module for it, in the order in which they are loaded; may be repeated
    #[arg(long = "module", value_name = "FILE.ko", requires = "kernel")]
    modules: Vec<PathBuf>,
}

/// A kernel and the modules to load.
pub struct Kernel {
    /// The bzImage.
    pub image: Vec<u8>,
    /// As the image says.
    pub version: String,
    /// In the order in which they are loaded.
    pub modules: Vec<Module>,
}

/// A kernel module, not compressed.
pub struct Module {
    /// The name of its file without ending.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Its only dependency is Debian's current kernel for virtual machines.
const DEBIAN_PACKAGE: &str = "linux-image-6.12-cloud-amd64";

/// Without this option a kernel does not see the devices of a Nitro Enclave.
const NITRO_OPTION: &str = "CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES=y";

impl Source {
    /// The kernel of a Debian package.
    pub fn package(file: PathBuf) -> Self {
        Self {
            kernel_package: Some(file),
            ..Self::default()
        }
    }

    /// Whether there is one.
    pub fn is_given(&self) -> bool {
        self.kernel_package.is_some() || self.kernel.is_some()
    }

    /// Reads the kernel and, from a package, the `wanted` modules with all they depend on.
    pub fn read(&self, wanted: &[&str]) -> Result<Kernel> {
        let (image, modules) = match (&self.kernel_package, &self.kernel) {
            (Some(package), _) => from_package(package, wanted)?,
            (None, Some(image)) => {
                let modules = self.modules.iter().map(|file| Module::read(file));
                (read(image)?, modules.collect::<Result<_>>()?)
            }
            (None, None) => bail!("a kernel is needed: `--kernel-package` or `--kernel`"),
        };
        let version = version(&image).context("the kernel is not a bzImage")?;
        Ok(Kernel {
            image,
            version,
            modules,
        })
    }

    /// Says so when a Nitro Enclave cannot start with this kernel.
    pub fn warn_about_nitro(&self) -> Result<()> {
        let Some(package) = &self.kernel_package else {
            return Ok(());
        };
        let folder = unpack(package)?;
        let config = read(&only_file(&folder.path().join("boot"), "config-")?)?;
        if !String::from_utf8_lossy(&config).contains(NITRO_OPTION) {
            eprintln!("warning: this kernel will not see the devices of a Nitro Enclave:");
            eprintln!("warning: it was built without {NITRO_OPTION}");
        }
        Ok(())
    }
}

impl Module {
    fn read(file: &Path) -> Result<Self> {
        let name = file.file_name().and_then(|name| name.to_str());
        let name = name
            .and_then(|name| name.strip_suffix(".xz").unwrap_or(name).strip_suffix(".ko"))
            .with_context(|| format!("`{}` is not called NAME.ko", file.display()))?;
        let bytes = if file.extension().is_some_and(|ending| ending == "xz") {
            let mut command = Command::new("xz");
            command.args(["--decompress", "--stdout"]).arg(file);
            output(command)?
        } else {
            read(file)?
        };
        Ok(Self {
            name: name.to_owned(),
            bytes,
        })
    }

    /// The names in its `depends=` field.
    fn dependencies(&self) -> Vec<String> {
        let fields = self.bytes.split(|byte| *byte == 0);
        let names = fields.filter_map(|field| field.strip_prefix(b"depends="));
        names
            .flat_map(|names| names.split(|byte| *byte == b','))
            .filter(|name| !name.is_empty())
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect()
    }
}

/// Downloads Debian's current kernel for virtual machines into a folder.
pub fn debian_package(folder: &Path) -> Result<PathBuf> {
    let line = format!("apt-cache show --no-all-versions {DEBIAN_PACKAGE}");
    let help = "cannot find Debian's kernel; `apt-get update` may help, or give a package with \
                `--kernel-package`";
    let text = shell::capture(shell::command(&line)).context(help)?;
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("Depends: "))
        .and_then(|names| names.split([' ', ',']).next())
        .context(help)?;
    fs::create_dir_all(folder)?;
    if let Ok(package) = only_file(folder, &format!("{name}_")) {
        return Ok(package);
    }
    let mut command = shell::command("apt-get download");
    command.arg(name).current_dir(folder);
    shell::run(command).context(help)?;
    only_file(folder, &format!("{name}_"))
}

fn from_package(package: &Path, wanted: &[&str]) -> Result<(Vec<u8>, Vec<Module>)> {
    let folder = unpack(package)?;
    let image = read(&only_file(&folder.path().join("boot"), "vmlinuz-")?)?;

    // With the usr-merge it is below one or the other.
    let libraries = ["usr/lib/modules", "lib/modules"].map(|name| folder.path().join(name));
    let library = libraries
        .iter()
        .find(|library| library.is_dir())
        .context("the package has no modules")?;
    let library = only_file(library, "")?;
    let mut files = BTreeMap::new();
    find_modules(&library.join("kernel"), &mut files)?;
    let built_in = read(&library.join("modules.builtin"))?;
    let built_in = String::from_utf8_lossy(&built_in);

    let mut order = Order {
        files: &files,
        built_in: built_in.lines().filter_map(plain_name).collect(),
        modules: Vec::new(),
    };
    for name in wanted {
        order.add(name)?;
    }
    Ok((image, order.modules))
}

struct Order<'a> {
    files: &'a BTreeMap<String, PathBuf>,
    built_in: Vec<String>,
    modules: Vec<Module>,
}

impl Order<'_> {
    /// Adds a module after those it depends on.
    fn add(&mut self, name: &str) -> Result<()> {
        let name = name.replace('-', "_");
        let is_there = |module: &Module| module.name.replace('-', "_") == name;
        if self.built_in.contains(&name) || self.modules.iter().any(is_there) {
            return Ok(());
        }
        let file = self.files.get(&name);
        let module = Module::read(file.with_context(|| format!("no module `{name}`"))?)?;
        for dependency in module.dependencies() {
            self.add(&dependency)?;
        }
        self.modules.push(module);
        Ok(())
    }
}

fn find_modules(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            find_modules(&entry.path(), files)?;
        } else if let Some(name) = entry.file_name().to_str().and_then(plain_name) {
            files.insert(name, entry.path());
        }
    }
    Ok(())
}

/// The name of a module's file as the kernel writes it: `a/b-c.ko.xz` is `b_c`.
fn plain_name(path: &str) -> Option<String> {
    let name = path.rsplit('/').next()?;
    let name = name.strip_suffix(".xz").unwrap_or(name);
    Some(name.strip_suffix(".ko")?.replace('-', "_"))
}

fn unpack(package: &Path) -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    let mut command = Command::new("dpkg-deb");
    command.arg("--extract").arg(package).arg(folder.path());
    shell::run(command)?;
    Ok(folder)
}

/// The one file of a folder whose name begins with `start`.
fn only_file(folder: &Path, start: &str) -> Result<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(start) {
            found.push(entry.path());
        }
    }
    match &found[..] {
        [file] => Ok(file.clone()),
        _ => bail!("`{}` does not have one `{start}*`", folder.display()),
    }
}

/// The first word of the version in a bzImage (Linux: arch/x86/boot.rst).
fn version(image: &[u8]) -> Option<String> {
    if image.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let pointer = image.get(0x20e..0x210)?.try_into().ok()?;
    let text = image.get(0x200 + usize::from(u16::from_le_bytes(pointer))..)?;
    let word = text.split(|byte| matches!(byte, 0 | b' ')).next()?;
    String::from_utf8(word.to_vec()).ok()
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))
}

fn output(mut command: Command) -> Result<Vec<u8>> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("could not start {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", output.status);
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_name_what_they_depend_on() {
        let module = |bytes: &[u8]| Module {
            name: "m".to_owned(),
            bytes: bytes.to_vec(),
        };
        let bytes = b"\x7fELF\0license=GPL\0depends=vsock,vmw_common\0name=m\0";
        assert_eq!(module(bytes).dependencies(), ["vsock", "vmw_common"]);
        assert!(module(b"\0depends=\0").dependencies().is_empty());
        assert_eq!(plain_name("a/b-c.ko.xz").as_deref(), Some("b_c"));
        assert_eq!(plain_name("modules.order"), None);
    }

    #[test]
    fn a_kernel_says_its_version() {
        let mut image = vec![0; 0x300];
        assert_eq!(version(&image), None);
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x20e..0x210].copy_from_slice(&[0x80, 0]);
        image[0x280..0x28c].copy_from_slice(b"6.1.2 (build");
        assert_eq!(version(&image).as_deref(), Some("6.1.2"));
    }
}

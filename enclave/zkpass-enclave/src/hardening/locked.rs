//! Keys on pages of their own that are never written to a disk.

use std::{fmt, io, ops::Deref};

/// Why a key could not be kept in memory, and what to do.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot lock memory for keys, allow some kilobytes (`ulimit -l`, `LimitMEMLOCK=` of systemd, \
     `--ulimit memlock=` of containers): {0}"
)]
pub struct LockError(#[source] io::Error);

/// A value on locked pages that it shares with nothing, wiped by its own `Drop`.
///
/// Locking counts per page and not per lock, hence no page is shared: else the
/// end of one key would unlock its neighbour.
pub(crate) struct Locked<T> {
    // Fields are dropped in this order: unlocked while the memory is still ours,
    // and wiped with it.
    _lock: region::LockGuard,
    page: Box<Page<T>>,
}

/// Aligned like the largest page of the processor's systems; its size is a multiple of that.
#[cfg_attr(target_arch = "x86_64", repr(align(4096)))]
#[cfg_attr(not(target_arch = "x86_64"), repr(align(65536)))]
struct Page<T>(T);

impl<T> Locked<T> {
    /// Makes the value in place as far as the compiler allows; what is left on
    /// the stack is scrubbed by the caller's thread.
    pub(crate) fn new(make: impl FnOnce() -> T) -> Result<Self, LockError> {
        let page = Box::new(Page(make()));
        let lock = region::lock(&raw const *page, size_of::<Page<T>>())
            .map_err(|error| LockError(error.into_io_error()))?;
        Ok(Self { _lock: lock, page })
    }
}

impl<T> Deref for Locked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.page.0
    }
}

impl<T> fmt::Debug for Locked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Locked(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, ptr};

    use super::*;

    /// Locked kilobytes of this process.
    fn locked_kilobytes() -> usize {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmLck:"));
        let number = line.unwrap().trim().trim_end_matches(" kB");
        number.parse().unwrap()
    }

    #[test]
    fn a_value_has_locked_pages_of_its_own() {
        let before = locked_kilobytes();
        let first = Locked::new(|| [1_u8; 32]).unwrap();
        let second = Locked::new(|| [2_u8; 32]).unwrap();
        let each = size_of::<Page<[u8; 32]>>() / 1024;
        assert_eq!(locked_kilobytes(), before + 2 * each);
        let distance = ptr::from_ref(&*first)
            .addr()
            .abs_diff(ptr::from_ref(&*second).addr());
        assert!(distance >= each * 1024);
        drop(first);
        assert_eq!(locked_kilobytes(), before + each);
        assert_eq!(*second, [2; 32]);
    }
}

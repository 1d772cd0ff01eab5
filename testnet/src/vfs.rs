//! The virtual file system through which SQLite reaches [`crate::sim::disk`].
//!
//! SQLite takes a file system as C functions on raw pointers; there is no safe way to give it one, so this file, and no
//! other of the workspace, has unsafe code. It translates arguments and results and decides nothing: each function calls
//! one safe method of the disk, and a panic in there becomes an I/O error, since none may unwind into C.
//!
//! There are no locks and no shared memory: the one connection of a file runs with `locking_mode=EXCLUSIVE`. Time stands
//! still and randomness is constant. Devices promise nothing: sectors of 512 bytes, no atomic or ordered writes.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;
use std::sync::Once;

use rusqlite::ffi;

use crate::sim::disk::{Create, Disk, Fault, OpenFile};

/// Name of the file system, for `Settings.vfs`.
pub const NAME: &str = "comity-sim";
const C_NAME: &CStr = c"comity-sim";
/// Bytes of the longest path, with the zero at its end.
const PATH_BYTES_MAX: c_int = 256;
/// 2026-01-01T12:00:00Z as a Julian day.
const NOW: f64 = 2_461_042.0;

/// A file as SQLite sees it: its own part, then ours.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    open: *mut OpenFile,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(lock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

/// Registers the file system with SQLite, beside the default one; once is enough.
pub(crate) fn register() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        let vfs = Box::leak(Box::new(ffi::sqlite3_vfs {
            iVersion: 1,
            szOsFile: c_int::try_from(size_of::<File>()).expect("two pointers"),
            mxPathname: PATH_BYTES_MAX,
            pNext: std::ptr::null_mut(),
            zName: C_NAME.as_ptr(),
            pAppData: std::ptr::null_mut(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: None,
            xCurrentTimeInt64: None,
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        }));
        // SAFETY: the structure is leaked and complete for version 1, and its functions keep to SQLite's contract.
        let code = unsafe { ffi::sqlite3_vfs_register(vfs, 0) };
        assert_eq!(code, ffi::SQLITE_OK, "SQLite starts");
    });
}

/// Does `what` and turns its outcome into a code; `failed` is the one for a failing disk.
fn answer(failed: c_int, what: impl FnOnce() -> Result<c_int, Fault>) -> c_int {
    match catch_unwind(AssertUnwindSafe(what)) {
        Ok(Ok(code)) => code,
        Ok(Err(Fault::Full)) => ffi::SQLITE_FULL,
        Ok(Err(Fault::Missing)) if failed == ffi::SQLITE_IOERR_DELETE => ffi::SQLITE_IOERR_DELETE_NOENT,
        Ok(Err(Fault::Missing | Fault::Failed)) | Err(_) => failed,
    }
}

/// Bytes or places, which SQLite never gives below zero.
fn unsigned(number: i64) -> Result<u64, Fault> {
    u64::try_from(number).map_err(|_| Fault::Failed)
}

/// Returns the path that `path` points to.
///
/// # Safety
/// `path` is a string of C that outlives `'a`.
unsafe fn text<'a>(path: *const c_char) -> Result<&'a str, Fault> {
    // SAFETY: by this function's own contract.
    unsafe { CStr::from_ptr(path) }.to_str().map_err(|_| Fault::Missing)
}

/// Returns our part of a file.
///
/// # Safety
/// `file` was set up by [`open`] and is not closed within `'a`.
unsafe fn opened<'a>(file: *mut ffi::sqlite3_file) -> &'a OpenFile {
    // SAFETY: by this function's own contract; `open` put a box there, and nothing has a mutable reference to it.
    unsafe { &*(*file.cast::<File>()).open }
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    path: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives `szOsFile` bytes, and asks for no methods to be left there when opening fails.
    unsafe { (*file).pMethods = std::ptr::null() };
    answer(ffi::SQLITE_CANTOPEN, || {
        let create = if flags & ffi::SQLITE_OPEN_CREATE == 0 { Create::Never } else { Create::IfMissing };
        let open = if path.is_null() {
            Disk::open_temporary()?
        } else {
            // SAFETY: a path that is not null is a string of C.
            Disk::open(unsafe { text(path) }?, create)?
        };
        // SAFETY: `file` as above; `flags_out` is null or a place for a number. The box is freed by `close`.
        unsafe {
            (*file.cast::<File>()).open = Box::into_raw(Box::new(open));
            (*file).pMethods = &raw const METHODS;
            if let Some(flags_out) = flags_out.as_mut() {
                *flags_out = flags;
            }
        }
        Ok(ffi::SQLITE_OK)
    })
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes a file that `open` set up, once, and does not use it afterwards.
    let open = unsafe { Box::from_raw((*file.cast::<File>()).open) };
    answer(ffi::SQLITE_IOERR_CLOSE, || {
        drop(open);
        Ok(ffi::SQLITE_OK)
    })
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, to: *mut c_void, length: c_int, at: i64) -> c_int {
    answer(ffi::SQLITE_IOERR_READ, || {
        let length = usize::try_from(length).map_err(|_| Fault::Failed)?;
        // SAFETY: an open file, and `length` bytes to write to that nobody else uses. They are zeroed first, which a
        // short read wants, and which makes them fit for a slice.
        let (file, to) = unsafe {
            to.cast::<u8>().write_bytes(0, length);
            (opened(file), slice::from_raw_parts_mut(to.cast::<u8>(), length))
        };
        let read = file.read(to, unsigned(at)?)?;
        Ok(if read < length { ffi::SQLITE_IOERR_SHORT_READ } else { ffi::SQLITE_OK })
    })
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, length: c_int, at: i64) -> c_int {
    answer(ffi::SQLITE_IOERR_WRITE, || {
        let length = usize::try_from(length).map_err(|_| Fault::Failed)?;
        // SAFETY: an open file, and `length` bytes that nobody changes meanwhile.
        let (file, from) = unsafe { (opened(file), slice::from_raw_parts(from.cast::<u8>(), length)) };
        file.write(from, unsigned(at)?).map(|()| ffi::SQLITE_OK)
    })
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, length: i64) -> c_int {
    // SAFETY: an open file.
    answer(ffi::SQLITE_IOERR_TRUNCATE, || unsafe { opened(file) }.truncate(unsigned(length)?).map(|()| ffi::SQLITE_OK))
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file.
    answer(ffi::SQLITE_IOERR_FSYNC, || unsafe { opened(file) }.sync().map(|()| ffi::SQLITE_OK))
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    answer(ffi::SQLITE_IOERR_FSTAT, || {
        // SAFETY: an open file.
        let length = i64::try_from(unsafe { opened(file) }.size()?).map_err(|_| Fault::Failed)?;
        // SAFETY: a place for a number.
        unsafe { *size = length };
        Ok(ffi::SQLITE_OK)
    })
}

unsafe extern "C" fn lock(_: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(_: *mut ffi::sqlite3_file, reserved: *mut c_int) -> c_int {
    // SAFETY: a place for a number.
    unsafe { *reserved = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    512
}

unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    0
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, path: *const c_char, sync: c_int) -> c_int {
    // SAFETY: a path is a string of C.
    answer(ffi::SQLITE_IOERR_DELETE, || Disk::delete(unsafe { text(path) }?, sync != 0).map(|()| ffi::SQLITE_OK))
}

unsafe extern "C" fn access(_: *mut ffi::sqlite3_vfs, path: *const c_char, _: c_int, found: *mut c_int) -> c_int {
    answer(ffi::SQLITE_IOERR_ACCESS, || {
        // SAFETY: a path is a string of C.
        let exists = Disk::exists(unsafe { text(path) }?)?;
        // SAFETY: a place for a number.
        unsafe { *found = c_int::from(exists) };
        Ok(ffi::SQLITE_OK)
    })
}

unsafe extern "C" fn full_pathname(
    _: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    room: c_int,
    to: *mut c_char,
) -> c_int {
    answer(ffi::SQLITE_CANTOPEN, || {
        // SAFETY: a path is a string of C.
        let full = CString::new(Disk::full_path(unsafe { text(path) }?)?).map_err(|_| Fault::Missing)?;
        let full = full.to_bytes_with_nul();
        if usize::try_from(room).is_ok_and(|room| full.len() > room) {
            return Err(Fault::Missing);
        }
        // SAFETY: at least that many bytes to write to, apart from the path.
        unsafe { to.copy_from_nonoverlapping(full.as_ptr().cast(), full.len()) };
        Ok(ffi::SQLITE_OK)
    })
}

unsafe extern "C" fn randomness(_: *mut ffi::sqlite3_vfs, length: c_int, to: *mut c_char) -> c_int {
    // SAFETY: `length` bytes to write to.
    unsafe { to.write_bytes(0x5a, usize::try_from(length).unwrap_or(0)) };
    length
}

unsafe extern "C" fn sleep(_: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    microseconds
}

unsafe extern "C" fn current_time(_: *mut ffi::sqlite3_vfs, now: *mut f64) -> c_int {
    // SAFETY: a place for a number.
    unsafe { *now = NOW };
    ffi::SQLITE_OK
}

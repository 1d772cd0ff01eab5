//! A walk over one column of a change: runs are counted, never expanded.

use super::number::Bytes;
use crate::guard::VoidReason;
use crate::limits::CHANGE_OPS_MAX;

/// What a run of rows holds.
pub(super) enum Cell {
    /// Nothing.
    Null,
    /// An unsigned number.
    Uint(u64),
    /// The difference to the row before.
    Int(i64),
    /// A text of this many bytes.
    Text(usize),
}

const KIND_DELTA: u64 = 3;
const KIND_BOOL: u64 = 4;
const KIND_TEXT: u64 = 5;

/// Calls `each` with every run of a column of this kind and returns how many rows it has in all.
///
/// # Errors
/// [`VoidReason::TooManyRows`] as soon as a run would lead beyond the bound, before any of its rows is looked at; or
/// what `each` returns.
pub(super) fn walk(
    kind: u64,
    bytes: &[u8],
    mut each: impl FnMut(u64, Cell) -> Result<(), VoidReason>,
) -> Result<u64, VoidReason> {
    let mut rest = Bytes::new(bytes);
    let mut rows = 0;
    while !rest.is_empty() {
        if kind == KIND_BOOL {
            grow(&mut rows, rest.uleb()?)?;
            continue;
        }
        let count = rest.sleb()?;
        let length = count.unsigned_abs();
        match count {
            0 => {
                let nulls = rest.uleb()?;
                grow(&mut rows, nulls)?;
                each(nulls, Cell::Null)?;
            }
            1.. => {
                grow(&mut rows, length)?;
                each(length, cell(kind, &mut rest)?)?;
            }
            _ => {
                grow(&mut rows, length)?;
                for _ in 0..length {
                    each(1, cell(kind, &mut rest)?)?;
                }
            }
        }
    }
    Ok(rows)
}

fn grow(rows: &mut u64, by: u64) -> Result<(), VoidReason> {
    *rows = rows.checked_add(by).ok_or(VoidReason::TooManyRows)?;
    if usize::try_from(*rows).is_ok_and(|rows| rows <= CHANGE_OPS_MAX) { Ok(()) } else { Err(VoidReason::TooManyRows) }
}

fn cell(kind: u64, rest: &mut Bytes<'_>) -> Result<Cell, VoidReason> {
    match kind {
        KIND_DELTA => Ok(Cell::Int(rest.sleb()?)),
        KIND_TEXT => {
            let length = usize::try_from(rest.uleb()?).map_err(|_| VoidReason::Truncated)?;
            rest.take(length)?;
            Ok(Cell::Text(length))
        }
        _ => Ok(Cell::Uint(rest.uleb()?)),
    }
}

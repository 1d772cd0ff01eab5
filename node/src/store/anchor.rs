//! The anchor: the charter version that no later record can undo (PROTOCOL 4.5.1), a row of `meta` with its own hash.

use comity_protocol::charter::Anchor;
use comity_protocol::ids::{AllianceId, CharterId};
use rusqlite::{Connection, OptionalExtension, params};

use super::damage::Damage;
use super::held::check32;

const KEY: &str = "anchor";

/// Writes the anchor in place of the one before.
pub(super) fn save(connection: &Connection, anchor: &Anchor) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("INSERT OR REPLACE INTO meta(key, value) VALUES (?1, ?2)")?;
    statement.execute(params![KEY, column(anchor)]).map(|_| ())
}

/// Reads the anchor; the founding if none was saved yet, or if the row is damaged. It advances again with the witnesses held.
pub(super) fn read(
    connection: &Connection,
    alliance: AllianceId,
    damage: &mut Vec<Damage>,
) -> rusqlite::Result<Anchor> {
    let founding = Anchor::founding(alliance);
    let mut statement = connection.prepare("SELECT value FROM meta WHERE key = ?1")?;
    let saved = statement.query_row([KEY], |row| row.get::<_, Vec<u8>>(0)).optional()?;
    let Some(saved) = saved else { return Ok(founding) };
    let anchor = parse(alliance, &saved);
    if anchor.is_none() {
        damage.push(Damage::Row { table: "meta", key: KEY.to_owned() });
    }
    Ok(anchor.unwrap_or(founding))
}

fn column(anchor: &Anchor) -> Vec<u8> {
    let mut column = anchor.height.to_be_bytes().to_vec();
    column.extend_from_slice(anchor.charter.as_bytes());
    let check = check32(KEY, &[anchor.alliance.as_bytes(), &column]);
    column.extend_from_slice(check.as_bytes());
    column
}

fn parse(alliance: AllianceId, saved: &[u8]) -> Option<Anchor> {
    let (height, rest) = saved.split_first_chunk::<4>()?;
    let (charter, _) = rest.split_first_chunk::<32>()?;
    let anchor = Anchor { alliance, height: u32::from_be_bytes(*height), charter: CharterId::new(*charter) };
    (column(&anchor) == saved).then_some(anchor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_anchor_is_read_again_and_a_rotten_one_is_named() {
        let connection = Connection::open_in_memory().expect("opens");
        super::super::schema::create_tables(&connection).expect("tables");
        let alliance = AllianceId::new([1; 32]);
        let read = |damage: &mut Vec<Damage>| read(&connection, alliance, damage).expect("reads");
        let mut damage = Vec::new();
        assert_eq!(read(&mut damage), Anchor::founding(alliance));
        for height in [1, 7] {
            let anchor = Anchor { alliance, height, charter: CharterId::new([2; 32]) };
            save(&connection, &anchor).expect("saves");
            assert_eq!(read(&mut damage), anchor);
        }
        assert!(damage.is_empty());
        for byte in [0, 10, 40] {
            let mut column = column(&Anchor { alliance, height: 7, charter: CharterId::new([2; 32]) });
            column[byte] ^= 1;
            connection.execute("UPDATE meta SET value = ?1 WHERE key = 'anchor'", [column]).expect("writes");
            let mut damage = Vec::new();
            assert_eq!(read(&mut damage), Anchor::founding(alliance));
            assert_eq!(damage, [Damage::Row { table: "meta", key: KEY.to_owned() }]);
        }
    }
}

//! Audit bundles and the files they share with couriers: `comity export bundle` and `comity verify`.

pub mod file;
mod report;
mod verify;
mod votes;
mod words;

use std::path::Path;

use comity_node::home::{Home, HomeError};
use comity_node::store::{OpenError, Settings, Store};
use comity_protocol::bundle::{Export, Kind, Sealed, Wanted, export};
use comity_protocol::charter::Anchor;
use comity_protocol::evaluate::evaluate;
use comity_protocol::ids::hex;
use comity_protocol::message::pack::Packed;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Api;
use crate::failure::Failure;
use crate::output::{Output, now};
use crate::table::{counted, number};
use file::NewFile;

pub use report::BundleReport;
pub use verify::{VerifyArgs, audit, run as verify};

/// What `comity export bundle` is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The file to write.
    pub out: &'a Path,
    /// Which signatures.
    pub packed: Packed,
    /// Whether the node signs it.
    pub sign: bool,
}

/// A file of records that was written.
#[derive(Serialize, ToSchema)]
pub struct Streamed {
    /// The file.
    pub file: String,
    /// Its bytes.
    pub bytes: u64,
    /// SHA-256 of everything before its seal.
    pub hash: String,
    /// Whether the exporting node signed it.
    pub signed: bool,
    /// Id of the alliance.
    pub alliance: String,
    /// Control records in it.
    pub control: u64,
    /// Envelopes in it, with or without their body.
    pub envelopes: u64,
    /// Bodies in it.
    pub bodies: u64,
    /// Signatures over envelopes in it.
    pub signatures: u64,
    /// Digest of the state it evaluates to; `null` for a courier file, which is a part of something.
    pub state: Option<String>,
}

impl Streamed {
    /// Describes a file that was read back as it was written.
    pub fn of(path: &Path, sealed: &Sealed) -> Self {
        let manifest = &sealed.manifest;
        Self {
            file: path.display().to_string(),
            bytes: sealed.bytes,
            hash: hex(sealed.seal.hash.as_bytes()),
            signed: sealed.seal.signature.is_some(),
            alliance: manifest.alliance.hex(),
            control: manifest.counts.control,
            envelopes: manifest.counts.headers,
            bodies: manifest.counts.bodies,
            signatures: manifest.counts.signatures,
            state: manifest.digests.map(|digests| digests.state.hex()),
        }
    }

    /// The same in words.
    pub fn text(&self) -> String {
        format!(
            "{} and {} in {}, {} bytes",
            counted(self.envelopes, "envelope"),
            counted(self.control, "control record"),
            self.file,
            number(self.bytes)
        )
    }
}

/// Writes an audit bundle of everything the node of `home` holds, whether it runs or not.
///
/// # Errors
/// [`Failure`]; no file is left behind then, and none is ever overwritten.
pub fn write(home: &Home, asked: &Asked<'_>, output: &Output) -> Result<(), Failure> {
    let sealed = match home.lock() {
        Ok(lock) => {
            let store = Store::open(&home.store(), Settings::default(), lock)?;
            from_store(home, &store, asked)?
        }
        Err(HomeError::Store(OpenError::Locked { .. })) => from_node(home, asked)?,
        Err(error) => return Err(error.into()),
    };
    let written = Streamed::of(asked.out, &sealed);
    output.result(&written, || {
        let by = if written.signed { "signed by this node" } else { "not signed; every record in it is by its author" };
        format!("{}\n{by}\nsha256 before the seal {}", written.text(), written.hash)
    });
    Ok(())
}

fn from_node(home: &Home, asked: &Asked<'_>) -> Result<Sealed, Failure> {
    const PATH: &str = "/v1/bundle";
    let all = [("all_signatures", "true")];
    let query: &[(&str, &str)] = if asked.packed == Packed::AllSignatures { &all } else { &[] };
    let api = Api::of(home)?;
    let mut file = NewFile::create(asked.out)?;
    if asked.sign {
        file.take(&api, |client| async move { client.post_download(PATH, query, Vec::new()).await })?;
    } else {
        file.take(&api, |client| async move { client.download(PATH, query).await })?;
    }
    file.finish()
}

fn from_store(home: &Home, store: &Store, asked: &Asked<'_>) -> Result<Sealed, Failure> {
    let loaded = store.load()?;
    let exporter = loaded.identity.author();
    let alliance = loaded.identity.alliance;
    let (elements, _) = loaded.into_elements();
    let state = evaluate(Anchor::founding(alliance), elements);
    let request = Export {
        kind: Kind::Bundle,
        wanted: Wanted::All,
        packed: asked.packed,
        exporter,
        created_ms: now().0,
        software: concat!("comity ", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    let key = if asked.sign { Some(home.node_key()?) } else { None };
    let mut file = NewFile::create(asked.out)?;
    export(&state, &request, key.as_ref(), |bytes| file.write(bytes))?;
    file.finish()
}

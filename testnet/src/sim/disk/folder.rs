//! Files as a disk keeps them: what was synced, what was written since, and what a power cut leaves of that.

use std::collections::{BTreeMap, BTreeSet};

/// Bytes that a disk writes all or none of.
pub(super) const SECTOR_BYTES: usize = 512;

/// One change of a file that no sync has made durable.
#[derive(Debug)]
enum Change {
    /// Bytes written at a place.
    Write { at: usize, bytes: Vec<u8> },
    /// The length was set.
    Resize { length: usize },
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => overwrite(image, *at, bytes),
            Self::Resize { length } => image.resize(*length, 0),
        }
    }
}

fn overwrite(image: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[at..end].copy_from_slice(bytes);
}

/// One file.
#[derive(Debug, Default)]
pub(super) struct File {
    /// What a program reads.
    now: Vec<u8>,
    /// What was there at the last sync.
    durable: Vec<u8>,
    /// What leads from there to here, in order.
    unsynced: Vec<Change>,
}

impl File {
    fn durable(bytes: &[u8]) -> Self {
        Self { now: bytes.to_vec(), durable: bytes.to_vec(), unsynced: Vec::new() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.now
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.now);
        self.unsynced.push(change);
    }

    /// Writes at a place; a gap before it reads as zeros.
    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.change(Change::Write { at, bytes: bytes.to_vec() });
        }
    }

    pub(super) fn resize(&mut self, length: usize) {
        self.change(Change::Resize { length });
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// Loses what `keeps` does not keep: it is asked for every part of a sector that was written and for every resize.
    fn cut(&mut self, keeps: &mut impl FnMut() -> bool) {
        for change in self.unsynced.drain(..) {
            match &change {
                Change::Write { at, bytes } => {
                    let (mut at, mut rest) = (*at, bytes.as_slice());
                    while !rest.is_empty() {
                        let (part, later) = rest.split_at(rest.len().min(SECTOR_BYTES - at % SECTOR_BYTES));
                        if keeps() {
                            overwrite(&mut self.durable, at, part);
                        }
                        (at, rest) = (at + part.len(), later);
                    }
                }
                Change::Resize { .. } => {
                    if keeps() {
                        change.apply(&mut self.durable);
                    }
                }
            }
        }
        self.now.clone_from(&self.durable);
    }

    /// Inverts a bit of the stored bytes, as they are now and as they were synced.
    pub(super) fn flip(&mut self, bit: usize) {
        for image in [&mut self.now, &mut self.durable] {
            if let Some(byte) = image.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }
}

/// One change of the names that no sync has made durable.
#[derive(Debug)]
enum Naming {
    Created { name: String, file: u64 },
    Deleted { name: String },
}

impl Naming {
    fn name(&self) -> &str {
        match self {
            Self::Created { name, .. } | Self::Deleted { name } => name,
        }
    }

    fn apply(self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Created { name, file } => names.insert(name, file),
            Self::Deleted { name } => names.remove(&name),
        };
    }
}

/// The files of one disk and their names.
#[derive(Debug, Default)]
pub(super) struct Folder {
    files: BTreeMap<u64, File>,
    now: BTreeMap<String, u64>,
    durable: BTreeMap<String, u64>,
    unsynced: Vec<Naming>,
    created: u64,
}

impl Folder {
    /// Returns a folder in which everything is durable.
    pub(super) fn of(content: &BTreeMap<String, Vec<u8>>) -> Self {
        let mut folder = Self::default();
        for (name, bytes) in content {
            let file = folder.create(name);
            folder.files.insert(file, File::durable(bytes));
        }
        folder.sync_names();
        folder
    }

    pub(super) fn find(&self, name: &str) -> Option<u64> {
        self.now.get(name).copied()
    }

    pub(super) fn file(&mut self, file: u64) -> Option<&mut File> {
        self.files.get_mut(&file)
    }

    /// Makes an empty file, whose bytes and name are there after a power cut only once it was synced.
    pub(super) fn create(&mut self, name: &str) -> u64 {
        self.forget_nameless();
        self.created += 1;
        self.files.insert(self.created, File::default());
        self.now.insert(name.to_owned(), self.created);
        self.unsynced.push(Naming::Created { name: name.to_owned(), file: self.created });
        self.created
    }

    /// Takes a name away; its file goes with the next that is made, once nothing can bring it back.
    pub(super) fn delete(&mut self, name: &str) {
        self.now.remove(name);
        self.unsynced.push(Naming::Deleted { name: name.to_owned() });
    }

    /// Makes a file durable and, as journaling file systems do for a new one, every name with it.
    pub(super) fn sync(&mut self, file: u64) {
        if let Some(file) = self.files.get_mut(&file) {
            file.sync();
        }
        if self.unsynced.iter().any(|change| matches!(change, Naming::Created { file: new, .. } if *new == file)) {
            self.sync_names();
        }
    }

    pub(super) fn sync_names(&mut self) {
        for change in self.unsynced.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// Loses what `keeps` does not keep; of the changes of one name it keeps the first few.
    pub(super) fn cut(&mut self, mut keeps: impl FnMut() -> bool) {
        let mut ended = BTreeSet::new();
        for change in self.unsynced.drain(..) {
            if !ended.contains(change.name()) && keeps() {
                change.apply(&mut self.durable);
            } else {
                ended.insert(change.name().to_owned());
            }
        }
        self.now.clone_from(&self.durable);
        self.forget_nameless();
        for file in self.files.values_mut() {
            file.cut(&mut keeps);
        }
    }

    fn forget_nameless(&mut self) {
        let created = self.unsynced.iter().filter_map(|change| match change {
            Naming::Created { file, .. } => Some(file),
            Naming::Deleted { .. } => None,
        });
        let named: BTreeSet<u64> = self.now.values().chain(self.durable.values()).chain(created).copied().collect();
        self.files.retain(|file, _| named.contains(file));
    }

    /// Bytes of all files that have a name.
    pub(super) fn bytes(&self) -> usize {
        self.now.values().filter_map(|file| self.files.get(file)).map(|file| file.now.len()).sum()
    }

    /// Returns what a program reads, by name.
    pub(super) fn content(&self) -> BTreeMap<String, Vec<u8>> {
        let named = self.now.iter().filter_map(|(name, file)| Some((name, self.files.get(file)?)));
        named.map(|(name, file)| (name.clone(), file.now.clone())).collect()
    }
}

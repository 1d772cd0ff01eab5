//! Founds an alliance with the product's own commands, as the nations' staff would.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{Layout, Member, TestnetError, TestnetFile, node};
use crate::files::{read_text, write_json};

/// How the folder of an unfinished founding begins.
pub(super) const DRAFT: &str = "founding-";

/// Founds an alliance of `nations` (code and name), one node each, with every roster in every home.
///
/// Everything is built in a folder of its own and moved into place at the end; an interrupted founding leaves only that.
/// # Errors
/// [`TestnetError`] if a command fails.
pub(crate) async fn found(
    exe: &Path,
    layout: &Layout,
    nations: &[(String, String)],
) -> Result<TestnetFile, TestnetError> {
    let draft = layout.dir().join(format!("{DRAFT}{}", std::process::id()));
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| TestnetError::Folder { path, source }
    };
    for entry in std::fs::read_dir(layout.dir()).map_err(failed(layout.dir()))? {
        let entry = entry.map_err(failed(layout.dir()))?;
        if entry.file_name().to_string_lossy().starts_with(DRAFT) {
            std::fs::remove_dir_all(entry.path()).map_err(failed(&entry.path()))?;
        }
    }
    std::fs::create_dir(&draft).map_err(failed(&draft))?;
    let building = Layout::open(&draft)?;
    building.create_parts()?;
    let members = Founding { exe, layout: &building, nations }.run().await?;
    layout.create_parts()?;
    for part in nations.iter().map(|(code, _)| building.home(code)).chain([building.alliance()]) {
        let target = layout.dir().join(part.file_name().unwrap_or_default());
        if target.is_dir() && std::fs::read_dir(&target).map_err(failed(&target))?.next().is_none() {
            std::fs::remove_dir(&target).map_err(failed(&target))?;
        }
        std::fs::rename(&part, &target).map_err(failed(&target))?;
    }
    std::fs::remove_dir_all(&draft).map_err(failed(&draft))?;
    let testnet = TestnetFile { members };
    write_json(&layout.testnet_path(), &testnet)?;
    Ok(testnet)
}

struct Founding<'a> {
    exe: &'a Path,
    layout: &'a Layout,
    nations: &'a [(String, String)],
}

impl Founding<'_> {
    async fn run(&self) -> Result<Vec<Member>, TestnetError> {
        self.genesis().await?;
        let mut members = Vec::new();
        for (code, _) in self.nations {
            members.push(Member { code: code.clone(), node: self.member(code).await? });
        }
        let rosters: Vec<OsString> = self.nations.iter().map(|(code, _)| self.roster(code).into()).collect();
        for (code, _) in self.nations {
            let mut args = vec!["--home".into(), self.layout.home(code).into(), "roster".into(), "import".into()];
            args.extend(rosters.iter().cloned());
            self.comity(args).await?;
        }
        Ok(members)
    }

    async fn genesis(&self) -> Result<(), TestnetError> {
        let draft = self.file("genesis.draft");
        let mut args: Vec<OsString> = ["genesis", "draft", "--name", "Testnet", "--out"].map(OsString::from).into();
        args.push(draft.clone().into());
        let mut signing = Vec::new();
        for (code, name) in self.nations {
            let root = self.file(&format!("{code}.root"));
            let printed = self.comity(["root".into(), "new".into(), code.into(), "--out".into(), root.into()]).await?;
            args.extend(["--founder".into(), format!("{code}={}={name}", key_in(&printed, code)?).into()]);
            signing.push(code);
        }
        self.comity(args).await?;
        let mut args: Vec<OsString> = vec!["genesis".into(), "assemble".into(), draft.clone().into()];
        for code in signing {
            let signature = self.file(&format!("{code}.signature"));
            let root = self.file(&format!("{code}.root"));
            let sign = ["genesis".into(), "sign".into(), draft.clone().into()];
            let with = ["--root".into(), root.into(), "--out".into(), signature.clone().into()];
            self.comity(sign.into_iter().chain(with)).await?;
            args.push(signature.into());
        }
        args.extend(["--out".into(), self.file("genesis").into()]);
        self.comity(args).await?;
        Ok(())
    }

    /// Makes one nation's home and signed roster; returns its node's key.
    async fn member(&self, code: &str) -> Result<String, TestnetError> {
        let (home, genesis, draft) =
            (self.layout.home(code), self.file("genesis"), self.file(&format!("{code}.draft")));
        let request = home.join("node.request");
        let of = ["--genesis".into(), genesis.into(), "--nation".into(), code.into()];
        let init = ["--home".into(), home.into(), "init".into()];
        self.comity(init.into_iter().chain(of.clone()).chain(["--label".into(), label(code).into()])).await?;
        let enrol = ["roster".into(), "enrol".into()].into_iter().chain(of);
        let with = ["--request".into(), request.clone().into(), "--out".into(), draft.clone().into()];
        self.comity(enrol.chain(with)).await?;
        let root = self.file(&format!("{code}.root"));
        let sign = ["roster".into(), "sign".into(), draft.into(), "--root".into(), root.into()];
        self.comity(sign.into_iter().chain(["--out".into(), self.roster(code).into()])).await?;
        key_in(&read_text(&request)?, code)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.layout.alliance().join(name)
    }

    fn roster(&self, code: &str) -> PathBuf {
        self.file(&format!("{code}.roster"))
    }

    /// Runs one command of the product; returns what it printed.
    async fn comity(&self, args: impl IntoIterator<Item = OsString>) -> Result<String, TestnetError> {
        node::comity(self.exe, args.into_iter().collect()).await?.succeeded()
    }
}

fn label(code: &str) -> String {
    format!("{}-1", code.to_lowercase())
}

/// Returns the first 64 hexadecimal digits that stand as a word of their own.
pub(crate) fn key_in(text: &str, code: &str) -> Result<String, TestnetError> {
    let is_key = |word: &&str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split(|c: char| !c.is_ascii_alphanumeric()).find(is_key).map(str::to_owned).ok_or_else(|| {
        let said = format!("no key of {code} in its output");
        TestnetError::Founding { command: "root new or init".to_owned(), said }
    })
}

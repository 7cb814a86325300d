//! Models by name from the Hugging Face Hub, kept in a cache (feature `hub`).
//!
//! A snapshot is a folder with the files of one commit. Every file is written under another name first,
//! checked against the size and checksum that the server states, and renamed; a list of all files is written
//! last. A folder without that list, or whose files have other sizes, is not used, so a download that was
//! interrupted never is.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use ureq::http::{Response, header};
use ureq::{Agent, Body};

use crate::error::{Error, Result};
use crate::files::{persist, write_atomic};

/// The public server.
const ENDPOINT: &str = "https://huggingface.co";

/// The files that are downloaded where a model has them, beside its weights.
const FILES: [&str; 6] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
];

const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The list of a snapshot's files. It exists only if all of them do.
const LIST: &str = "snapshot.json";

/// Upper limit of the size of descriptions, in bytes.
const MAX_DESCRIPTION: u64 = 16 << 20;

/// Upper limit of the number of redirections of one request.
const MAX_REDIRECTIONS: usize = 5;

/// A model's name: `owner/name`, or `owner/name@revision`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubName {
    /// Owner and name.
    pub model: String,
    /// A branch, a tag or a commit.
    pub revision: String,
}

impl HubName {
    /// Parses a name; `None` if the text has another form.
    pub fn parse(text: &str) -> Option<Self> {
        let (model, revision) = text.split_once('@').unwrap_or((text, "main"));
        let (owner, name) = model.split_once('/')?;
        let is_plain = |part: &str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !part.is_empty() && !part.starts_with('.') && part.chars().all(allowed)
        };
        let is_name = [owner, name, revision].into_iter().all(is_plain);
        is_name.then(|| Self { model: model.to_string(), revision: revision.to_string() })
    }

    /// Whether the revision is a commit, which never changes.
    fn is_commit(&self) -> bool {
        is_commit(&self.revision)
    }
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// A server and a cache.
#[derive(Debug)]
pub struct Hub {
    endpoint: String,
    token: Option<String>,
    cache: PathBuf,
    agent: Agent,
}

/// A model on the server.
#[derive(Deserialize)]
struct Description {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

/// The index of a sharded model.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Hub {
    /// A server at `endpoint`, whose private models need a token, with a cache folder.
    pub fn new(endpoint: &str, token: Option<String>, cache: &Path) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(Duration::from_secs(30)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .user_agent(concat!("proxmo/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            endpoint: endpoint.trim_end_matches('/').to_string(),
            token: token.filter(|token| !token.is_empty()),
            cache: cache.to_path_buf(),
            agent: config.new_agent(),
        }
    }

    /// The public server, or that of `HF_ENDPOINT`, with the token of `HF_TOKEN`, if there is one.
    pub fn from_environment(cache: &Path) -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let endpoint = variable("HF_ENDPOINT");
        Self::new(endpoint.as_deref().unwrap_or(ENDPOINT), variable("HF_TOKEN"), cache)
    }

    /// The folder of a model: from the cache if it is whole there, else downloaded. `told` is called with
    /// each file that is downloaded and its size in bytes, if the server states it. A branch or a tag is
    /// looked up on the server; if that cannot be reached, the commit that it had last is used.
    ///
    /// # Errors
    /// Returns an error if the server cannot be reached or has no such model, the model has no safetensors,
    /// a file arrives incomplete or with another checksum, or the cache cannot be written.
    pub fn folder(
        &self,
        name: &HubName,
        told: &mut dyn FnMut(&str, Option<u64>),
    ) -> Result<PathBuf> {
        let own = self.cache.join(name.model.replace('/', "--"));
        let reference = own.join(format!("{}.commit", name.revision));
        if name.is_commit() && is_whole(&own.join(&name.revision)) {
            return Ok(own.join(&name.revision));
        }
        let described = match self.describe(name) {
            Err(error @ Error::Run(_)) => {
                let last = fs::read_to_string(&reference).unwrap_or_default();
                let folder = own.join(last.trim());
                let is_usable = is_commit(last.trim()) && is_whole(&folder);
                return if is_usable { Ok(folder) } else { Err(error) };
            }
            described => described?,
        };
        if !is_commit(&described.sha) {
            let message = format!("the server states the commit '{}'", described.sha);
            return Err(Error::input(&name.model, message));
        }
        let folder = own.join(&described.sha);
        if !is_whole(&folder) {
            remove_broken(&folder);
            self.download(name, &described, &folder, told)?;
        }
        if !name.is_commit() {
            write_atomic(&reference, described.sha.as_bytes())?;
        }
        Ok(folder)
    }

    fn describe(&self, name: &HubName) -> Result<Description> {
        let HubName { model, revision } = name;
        let url = format!("{}/api/models/{model}/revision/{revision}", self.endpoint);
        let (response, _) = self.get(model, &url)?;
        let text = response.into_body().into_with_config().limit(MAX_DESCRIPTION).read_to_vec();
        let text = text.map_err(|error| unreachable(&url, &error))?;
        let invalid = |error: serde_json::Error| {
            Error::input(model.as_str(), format!("the server's description is invalid: {error}"))
        };
        serde_json::from_slice(&text).map_err(invalid)
    }

    fn download(
        &self,
        name: &HubName,
        described: &Description,
        folder: &Path,
        told: &mut dyn FnMut(&str, Option<u64>),
    ) -> Result<()> {
        let has = |file: &str| described.siblings.iter().any(|one| one.rfilename == file);
        if !has("config.json") || !(has(WEIGHTS) || has(INDEX)) {
            let message = format!("has no config.json with {WEIGHTS} or {INDEX}");
            return Err(Error::input(name.model.as_str(), message));
        }
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let mut files: Vec<String> =
            FILES.into_iter().filter(|file| has(file)).map(String::from).collect();
        let mut sizes = BTreeMap::new();
        match has(WEIGHTS) {
            true => files.push(WEIGHTS.into()),
            false => {
                let size = self.fetch(name, &described.sha, INDEX, folder, told)?;
                sizes.insert(INDEX.to_string(), size);
                files.extend(shards(&folder.join(INDEX))?);
            }
        }
        for file in files {
            let size = self.fetch(name, &described.sha, &file, folder, told)?;
            sizes.insert(file, size);
        }
        let list = serde_json::json!({ "files": sizes }).to_string();
        write_atomic(&folder.join(LIST), list.as_bytes())
    }

    /// Downloads one file, unless it is there, and returns its size.
    fn fetch(
        &self,
        name: &HubName,
        commit: &str,
        file: &str,
        folder: &Path,
        told: &mut dyn FnMut(&str, Option<u64>),
    ) -> Result<u64> {
        let path = folder.join(file);
        // A file has its name only after it was checked.
        if let Ok(metadata) = path.metadata() {
            return Ok(metadata.len());
        }
        let url = format!("{}/{}/resolve/{commit}/{file}", self.endpoint, name.model);
        let (response, stated) = self.get(&name.model, &url)?;
        told(file, stated.size);
        let mut partial =
            tempfile::NamedTempFile::new_in(folder).map_err(Error::io("create", folder))?;
        let (size, sum) = copy(response.into_body(), partial.as_file_mut(), &url, &path)?;
        if stated.size.is_some_and(|stated| stated != size) {
            let stated = stated.size.unwrap_or_default();
            let message = format!("{url}: {size} of {stated} bytes arrived; try again");
            return Err(Error::Run(message));
        }
        if stated.sha256.as_ref().is_some_and(|stated| *stated != sum) {
            let message = format!("{url}: arrived with another checksum than stated; try again");
            return Err(Error::Run(message));
        }
        partial.as_file().sync_all().map_err(Error::io("sync", &path))?;
        persist(partial.into_temp_path(), &path).map_err(Error::io("write", &path))?;
        Ok(size)
    }

    /// Requests a URL, follows redirections, and collects what the responses state of the file. The token
    /// goes to the server alone, not to others that it refers to.
    fn get(&self, model: &str, url: &str) -> Result<(Response<Body>, Stated)> {
        let mut url = url.to_string();
        let mut stated = Stated::default();
        for _ in 0..=MAX_REDIRECTIONS {
            let mut request = self.agent.get(&url);
            let is_own = url.strip_prefix(&self.endpoint).is_some_and(|rest| rest.starts_with('/'));
            if let Some(token) = self.token.as_ref().filter(|_| is_own) {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            let response = request.call().map_err(|error| unreachable(&url, &error))?;
            stated.add(&response);
            let status = response.status();
            let target = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok());
            url = match (status.as_u16(), target) {
                (200, _) => {
                    stated.size = stated.size.or_else(|| length(&response));
                    return Ok((response, stated));
                }
                (300..=399, Some(target)) if target.starts_with('/') => {
                    let start = url.find("://").map_or(0, |at| at + 3);
                    let end = url[start..].find('/').map_or(url.len(), |at| start + at);
                    format!("{}{target}", &url[..end])
                }
                (300..=399, Some(target)) => target.to_string(),
                (401 | 403, _) => {
                    let message = "the server refuses access: a private or gated model needs a token in \
                                   HF_TOKEN, or there is no such model";
                    return Err(Error::input(model, message));
                }
                (404, _) => {
                    return Err(Error::input(model, "there is no such model, revision or file"));
                }
                (status, _) => return Err(Error::Run(format!("{url}: HTTP status {status}"))),
            };
        }
        Err(Error::Run(format!("{url}: more than {MAX_REDIRECTIONS} redirections")))
    }
}

/// What responses state of a file.
#[derive(Debug, Default)]
struct Stated {
    size: Option<u64>,
    /// Of files in large storage, hexadecimal.
    sha256: Option<String>,
}

impl Stated {
    fn add(&mut self, response: &Response<Body>) {
        let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        if let Some(size) = text("x-linked-size").and_then(|size| size.parse().ok()) {
            self.size = Some(size);
        }
        let tag = text("x-linked-etag").map(|tag| tag.trim_matches('"').to_lowercase());
        let is_sum = |tag: &String| tag.len() == 64 && tag.chars().all(|c| c.is_ascii_hexdigit());
        self.sha256 = self.sha256.take().or(tag.filter(is_sum));
    }
}

fn length(response: &Response<Body>) -> Option<u64> {
    response.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Writes a body to a file; returns its size and its SHA-256 checksum.
fn copy(body: Body, file: &mut File, url: &str, path: &Path) -> Result<(u64, String)> {
    let mut reader = body.into_reader();
    let (mut sum, mut size) = (Sha256::new(), 0);
    let mut piece = vec![0; 1 << 16];
    loop {
        let count = reader.read(&mut piece).map_err(|error| {
            Error::Run(format!(
                "{url}: the connection broke after {size} bytes: {error}; try again"
            ))
        })?;
        if count == 0 {
            let sum = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
            return Ok((size, sum));
        }
        sum.update(&piece[..count]);
        size += count as u64;
        file.write_all(&piece[..count]).map_err(Error::io("write", path))?;
    }
}

fn unreachable(url: &str, error: &ureq::Error) -> Error {
    Error::Run(format!("{url}: {error}"))
}

/// The files that an index names.
fn shards(path: &Path) -> Result<Vec<String>> {
    let text = fs::read(path).map_err(Error::io("read", path))?;
    let index: Index =
        serde_json::from_slice(&text).map_err(|error| Error::file(path, error.to_string()))?;
    let mut files: Vec<String> = index.weight_map.into_values().collect();
    files.sort();
    files.dedup();
    let is_plain =
        |file: &String| Path::new(file).file_name().is_some_and(|own| own == file.as_str());
    match files.iter().find(|file| !is_plain(file)) {
        Some(file) => Err(Error::file(path, format!("'{file}' is not a file name"))),
        None => Ok(files),
    }
}

/// The list of a snapshot, if there is one.
fn list(folder: &Path) -> Option<BTreeMap<String, u64>> {
    #[derive(Deserialize)]
    struct List {
        files: BTreeMap<String, u64>,
    }
    let text = fs::read(folder.join(LIST)).ok()?;
    serde_json::from_slice::<List>(&text).ok().map(|list| list.files)
}

/// Whether a file has a size.
fn has_size(path: &Path, size: u64) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.len() == size)
}

/// Whether all files of a snapshot are there with their sizes.
fn is_whole(folder: &Path) -> bool {
    list(folder)
        .is_some_and(|files| files.iter().all(|(file, &size)| has_size(&folder.join(file), size)))
}

/// Removes what was changed after its download. What cannot be removed is found again when it is read.
fn remove_broken(folder: &Path) {
    for (file, size) in list(folder).unwrap_or_default() {
        let path = folder.join(file);
        if !has_size(&path, size) {
            let _ = fs::remove_file(path);
        }
    }
    let _ = fs::remove_file(folder.join(LIST));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_an_owner_and_may_have_a_revision() {
        let name = HubName::parse("HuggingFaceTB/SmolLM2-135M-Instruct").unwrap();
        assert_eq!((name.model.len(), name.revision.as_str()), (35, "main"));
        assert_eq!(HubName::parse("a/b@v1.0").unwrap().revision, "v1.0");
        for other in ["model", "a/b/c", "../b", "a/..", "a/b@", "a/b@../c", "a b/c", "/a", "a/"] {
            assert_eq!(HubName::parse(other), None, "{other}");
        }
    }
}

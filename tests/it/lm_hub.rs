//! Models by name, from a server on this machine.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use proxmo::device::{Backend, open};
use proxmo::lm::hub::{Hub, HubName};
use proxmo::lm::{Decoder, ModelConfig, SaveOptions, save_as};
use serde_json::json;
use sha2::{Digest, Sha256};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// An answer: status, headers, body, and the length that is stated.
#[derive(Clone)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    stated: usize,
}

impl Answer {
    fn new(body: Vec<u8>) -> Self {
        Self { status: 200, headers: Vec::new(), stated: body.len(), body }
    }
}

/// A server whose answers can be changed. It keeps the requests: path and token.
#[derive(Clone)]
struct Server {
    address: String,
    answers: Arc<Mutex<BTreeMap<String, Answer>>>,
    requests: Arc<Mutex<Vec<(String, String)>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { address, answers: Arc::default(), requests: Arc::default() };
        let own = server.clone();
        std::thread::spawn(move || {
            listener.incoming().flatten().for_each(|stream| own.answer(stream));
        });
        server
    }

    fn answer(&self, mut stream: TcpStream) {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let path = first.split(' ').nth(1).unwrap().to_string();
        let head: Vec<String> = lines.map_while(Result::ok).take_while(|x| !x.is_empty()).collect();
        let token = head.iter().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("authorization").then(|| value.to_string())
        });
        self.requests.lock().unwrap().push((path.clone(), token.unwrap_or_default()));
        let answer = self.answers.lock().unwrap().get(&path).cloned();
        let missing = Answer { status: 404, ..Answer::new(Vec::new()) };
        let Answer { status, headers, body, stated } = answer.unwrap_or(missing);
        let headers = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        let headers: String = headers.collect();
        let head = format!(
            "HTTP/1.1 {status} x\r\n{headers}Content-Length: {stated}\r\nConnection: close\r\n\r\n"
        );
        let _ = stream.write_all(&[head.as_bytes(), &body].concat());
    }

    fn put(&self, path: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(path.into(), answer);
    }

    fn change(&self, path: &str, change: impl FnOnce(&mut Answer)) {
        change(self.answers.lock().unwrap().get_mut(path).unwrap());
    }

    /// The paths of the requests since the last call.
    fn requested(&self) -> Vec<String> {
        self.requests.lock().unwrap().drain(..).map(|(path, _)| path).collect()
    }

    /// Offers a folder's files as the model `tiny/model`. Its first file of weights is redirected to
    /// `storage`, as large files are.
    fn offer(&self, folder: &Path, storage: &Self) {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let (path, name) = (entry.as_ref().unwrap().path(), entry.unwrap().file_name());
            let (body, name) = (std::fs::read(path).unwrap(), name.into_string().unwrap());
            let own = format!("/tiny/model/resolve/{COMMIT}/{name}");
            if name == large(folder) {
                let sum: String =
                    Sha256::digest(&body).iter().map(|x| format!("{x:02x}")).collect();
                let headers = vec![
                    ("Location", format!("{}/blob", storage.address)),
                    ("X-Linked-Size", body.len().to_string()),
                    ("X-Linked-ETag", format!("\"{sum}\"")),
                ];
                self.put(&own, Answer { status: 302, headers, ..Answer::new(Vec::new()) });
                storage.put("/blob", Answer::new(body));
            } else {
                self.put(&own, Answer::new(body));
            }
            names.push(json!({ "rfilename": name }));
        }
        let description = json!({ "sha": COMMIT, "siblings": names }).to_string();
        for revision in ["main", COMMIT] {
            let path = format!("/api/models/tiny/model/revision/{revision}");
            self.put(&path, Answer::new(description.clone().into_bytes()));
        }
    }
}

/// The name of a folder's first file of weights.
fn large(folder: &Path) -> String {
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.unwrap().file_name().into_string().unwrap()
    };
    let names = std::fs::read_dir(folder).unwrap().map(name);
    names.filter(|name| name.ends_with(".safetensors")).min().unwrap()
}

/// A folder with an untrained model, in one file of weights or in several.
fn model(is_sharded: bool) -> tempfile::TempDir {
    let config = json!({
        "model_type": "llama", "vocab_size": 50, "hidden_size": 16, "intermediate_size": 24,
        "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 32,
    });
    let config = ModelConfig::parse(&config.to_string()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let model = Decoder::untrained(&config, 3, &open(Backend::Flex, 0).unwrap().device).unwrap();
    let shard_bytes = if is_sharded { 3_000 } else { 1 << 30 };
    let options = SaveOptions { shard_bytes, ..SaveOptions::default() };
    save_as(&model, folder.path(), None, &options).unwrap();
    folder
}

fn name() -> HubName {
    HubName::parse("tiny/model").unwrap()
}

fn same_files(one: &Path, other: &Path) -> bool {
    std::fs::read_dir(one).unwrap().all(|entry| {
        let name = entry.unwrap().file_name();
        std::fs::read(one.join(&name)).unwrap() == std::fs::read(other.join(&name)).unwrap()
    })
}

#[test]
fn a_model_is_downloaded_once_and_then_taken_from_the_cache() {
    for is_sharded in [false, true] {
        let (folder, cache) = (model(is_sharded), tempfile::tempdir().unwrap());
        let (server, storage) = (Server::start(), Server::start());
        server.offer(folder.path(), &storage);
        let hub = Hub::new(&server.address, None, cache.path());
        let mut told = BTreeMap::new();
        let found = hub.folder(&name(), &mut |file, size| {
            told.insert(file.to_string(), size);
        });
        let found = found.unwrap();
        assert!(same_files(folder.path(), &found));
        let size = std::fs::metadata(folder.path().join("config.json")).unwrap().len();
        assert_eq!(told["config.json"], Some(size));
        assert_eq!(told.len(), std::fs::read_dir(folder.path()).unwrap().count());
        Decoder::open(&found, &open(Backend::Flex, 0).unwrap().device).unwrap();
        server.requested();
        assert_eq!(hub.folder(&name(), &mut |_, _| {}).unwrap(), found);
        assert_eq!(server.requested(), ["/api/models/tiny/model/revision/main"]);
        let commit = HubName { revision: COMMIT.into(), ..name() };
        assert_eq!(hub.folder(&commit, &mut |_, _| {}).unwrap(), found);
        assert_eq!(server.requested(), [""; 0]);
        let gone = Hub::new("http://127.0.0.1:1", None, cache.path());
        assert_eq!(gone.folder(&name(), &mut |_, _| {}).unwrap(), found);
    }
}

#[test]
fn an_incomplete_or_altered_download_is_never_used() {
    let (folder, cache) = (model(false), tempfile::tempdir().unwrap());
    let (server, storage) = (Server::start(), Server::start());
    server.offer(folder.path(), &storage);
    let hub = Hub::new(&server.address, None, cache.path());
    let fetch = || hub.folder(&name(), &mut |_, _| {});
    let refused = |says: &str| {
        let error = fetch().unwrap_err();
        assert!(error.to_string().contains(says), "{error} does not contain {says}");
        assert_eq!(error.exit_code(), 1);
    };
    let whole = storage.answers.lock().unwrap()["/blob"].clone();
    // The connection ends before the stated length; the server states a shorter one; the content differs.
    storage.change("/blob", |answer| answer.body.truncate(100));
    refused("/blob");
    storage.change("/blob", |answer| answer.stated = 100);
    refused("100 of ");
    storage.change("/blob", |answer| *answer = Answer::new(vec![7; whole.body.len()]));
    refused("another checksum");
    let gone = Hub::new("http://127.0.0.1:1", None, cache.path());
    assert_eq!(gone.folder(&name(), &mut |_, _| {}).unwrap_err().exit_code(), 1);
    storage.put("/blob", whole);
    let found = fetch().unwrap();
    assert!(same_files(folder.path(), &found));
    // A file that was cut short in the cache is downloaded again.
    std::fs::write(found.join("model.safetensors"), "cut").unwrap();
    assert!(same_files(folder.path(), &fetch().unwrap()));
}

#[test]
fn a_model_that_is_not_there_is_refused_and_the_token_goes_to_the_server_alone() {
    let (folder, cache) = (model(false), tempfile::tempdir().unwrap());
    let (server, storage) = (Server::start(), Server::start());
    server.offer(folder.path(), &storage);
    let hub = Hub::new(&server.address, Some("secret".into()), cache.path());
    hub.folder(&name(), &mut |_, _| {}).unwrap();
    let tokens = |server: &Server| -> Vec<String> {
        server.requests.lock().unwrap().iter().map(|(_, token)| token.clone()).collect()
    };
    assert!(tokens(&server).iter().all(|token| token == "Bearer secret"));
    assert_eq!(tokens(&storage), [""]);
    let other = HubName::parse("tiny/other").unwrap();
    let error = hub.folder(&other, &mut |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("tiny/other: there is no such model"), "{error}");
    assert_eq!(error.exit_code(), 2);
    let path = "/api/models/tiny/model/revision/main";
    server.change(path, |answer| answer.status = 401);
    let error = hub.folder(&name(), &mut |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("needs a token in HF_TOKEN"), "{error}");
    let nothing = json!({ "sha": COMMIT.replace('0', "f"), "siblings": [] }).to_string();
    server.put(path, Answer::new(nothing.into_bytes()));
    let error = hub.folder(&name(), &mut |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("has no config.json with model.safetensors"), "{error}");
}

#[test]
fn the_command_takes_a_name_and_says_what_it_downloads() {
    let (folder, cache) = (model(false), tempfile::tempdir().unwrap());
    let server = Server::start();
    server.offer(folder.path(), &server);
    let mut command = assert_cmd::Command::cargo_bin("proxmo").unwrap();
    command.env("HF_ENDPOINT", &server.address).env("XDG_CACHE_HOME", cache.path());
    command.env_remove("HF_TOKEN");
    command.args(["lm", "info", "--model", "tiny/model"]);
    let assert = command.assert().success();
    let told = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    assert!(told.contains("downloading model.safetensors ("), "{told}");
}

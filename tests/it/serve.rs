//! `proxmo serve`: answers, streams, batches, refusals, limits and the end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use assert_cmd::cargo::CommandCargoExt;
use serde_json::{Value, json};

use crate::support::shared::shared;

/// A server, ended when it is dropped.
struct Server {
    child: Child,
    address: String,
    errors: BufReader<ChildStderr>,
}

/// A server of a model, or `None` without the shared models.
fn server(model: &str, arguments: &[&str]) -> Option<Server> {
    let model = shared(&format!("lm/models/{model}"))?;
    let mut command = Command::cargo_bin("proxmo").unwrap();
    command.args(["serve", "--model"]).arg(model).args(arguments);
    Some(started(command))
}

/// A server of a free port.
fn started(mut command: Command) -> Server {
    command.args(["--backend", "flex", "--port", "0"]).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    let address = line.split("http://").nth(1).unwrap_or_else(|| panic!("{line}"));
    let address = address.split('/').next().unwrap().to_string();
    Server { child, address, errors }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Sends a request and returns the status and the body, with its chunks joined.
    fn send(&self, method: &str, path: &str, more: &str, body: &str) -> (u16, String) {
        let mut stream = self.connect();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n{more}\r\n{body}",
            body.len()
        )
        .unwrap();
        received(stream)
    }

    fn ask(&self, path: &str, body: &Value) -> (u16, Value) {
        let (status, body) = self.send("POST", path, "", &body.to_string());
        (status, serde_json::from_str(&body).unwrap_or_else(|_| panic!("{body}")))
    }

    /// The answer of status 200.
    fn answer(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(path, body);
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// The text of the first answer to a prompt.
    fn text(&self, body: &Value) -> String {
        let answer = self.answer("/v1/completions", body);
        answer["choices"][0]["text"].as_str().unwrap().to_string()
    }

    /// The pieces of a streamed answer, without the last line.
    fn pieces(&self, path: &str, body: &Value) -> Vec<Value> {
        let (status, text) = self.send("POST", path, "", &body.to_string());
        assert_eq!(status, 200, "{text}");
        let mut pieces: Vec<&str> = text
            .split("\n\n")
            .filter(|piece| !piece.is_empty())
            .map(|piece| piece.strip_prefix("data: ").unwrap())
            .collect();
        assert_eq!(pieces.pop(), Some("[DONE]"));
        pieces.iter().map(|piece| serde_json::from_str(piece).unwrap()).collect()
    }

    /// Ends the server as Ctrl-C does, and returns its exit code and what it told.
    #[cfg(unix)]
    fn interrupt(mut self) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let mut told = String::new();
        self.errors.read_to_string(&mut told).unwrap();
        (self.child.wait().unwrap().code(), told)
    }
}

/// The status and the body of an answer, read to the end of the connection.
fn received(mut stream: TcpStream) -> (u16, String) {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    if !head.to_lowercase().contains("transfer-encoding: chunked") {
        return (status, body.to_string());
    }
    let (mut rest, mut joined) = (body, String::new());
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        joined.push_str(&after[..size]);
        rest = after[size..].trim_start_matches("\r\n");
    }
    (status, joined)
}

/// What `proxmo lm generate` writes for a line.
fn generated(model: &str, arguments: &[&str], line: &Value) -> Value {
    let model = shared(&format!("lm/models/{model}")).unwrap();
    let mut command = assert_cmd::Command::cargo_bin("proxmo").unwrap();
    command.args(["lm", "generate", "--backend", "flex", "--input", "-", "--model"]).arg(model);
    let assert = command.args(arguments).write_stdin(line.to_string()).assert().success();
    serde_json::from_slice(&assert.get_output().stdout).unwrap()
}

const CHAT: &str = "/v1/chat/completions";
const TEXT: &str = "/v1/completions";

fn go() -> Value {
    json!([{ "role": "user", "content": "go" }])
}

#[test]
fn an_answer_is_that_of_lm_generate_with_the_same_seed_whole_or_in_pieces() {
    let Some(server) = server("qwen2", &["--quiet"]) else { return };
    for seed in [0, 7] {
        let flags = ["--max-tokens", "12", "--seed", &seed.to_string(), "--top-p", "0.9"];
        let expected = generated("qwen2", &flags, &json!({ "messages": go() }));
        let ask = json!({ "messages": go(), "max_tokens": 12, "seed": seed, "top_p": 0.9 });
        let answer = server.answer(CHAT, &ask);
        let choice = &answer["choices"][0];
        assert_eq!(choice["message"]["content"], expected["text"]);
        let is_stopped = expected["end"] == "stop-token";
        assert_eq!(choice["finish_reason"], if is_stopped { "stop" } else { "length" });
        let count = expected["ids"].as_array().unwrap().len();
        assert_eq!(answer["usage"]["completion_tokens"], count);

        let mut streamed = ask.clone();
        streamed["stream"] = true.into();
        streamed["stream_options"] = json!({ "include_usage": true });
        let pieces = server.pieces(CHAT, &streamed);
        let content = |piece: &Value| {
            let text = &piece["choices"][0]["delta"]["content"];
            text.as_str().unwrap_or_default().to_string()
        };
        let joined: String = pieces.iter().map(content).collect();
        assert_eq!(joined, expected["text"].as_str().unwrap());
        assert_eq!(pieces[0]["choices"][0]["delta"]["role"], "assistant");
        let [.., last, usage] = &pieces[..] else { panic!("{pieces:?}") };
        assert_eq!(last["choices"][0]["finish_reason"], choice["finish_reason"]);
        assert_eq!(usage["usage"], answer["usage"]);
    }
}

#[test]
fn requests_that_run_together_get_what_each_gets_alone() {
    let Some(server) = server("llama", &["--batch", "4", "--quiet"]) else { return };
    let ask = |seed: usize| {
        let prompt = ["go to", "open the", "look"][seed % 3].repeat(1 + seed % 4);
        json!({ "prompt": prompt, "max_tokens": 8 + 5 * (seed % 5), "seed": seed })
    };
    let together: Vec<String> = thread::scope(|scope| {
        let asked: Vec<_> = (0..12).map(|seed| scope.spawn(move || ask(seed))).collect();
        let asked: Vec<Value> = asked.into_iter().map(|one| one.join().unwrap()).collect();
        let server = &server;
        let running: Vec<_> =
            asked.into_iter().map(|one| scope.spawn(move || server.text(&one))).collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let alone: Vec<String> = (0..12).map(|seed| server.text(&ask(seed))).collect();
    assert_eq!(together, alone);
    let several = json!({ "prompt": ["go to", "look"], "n": 2, "seed": 3, "max_tokens": 6 });
    let answer = server.answer(TEXT, &several);
    assert_eq!(answer["choices"].as_array().unwrap().len(), 4);
    let first = server.text(&json!({ "prompt": "go to", "seed": 3, "max_tokens": 6 }));
    assert_eq!(answer["choices"][0]["text"], first);
    #[cfg(unix)]
    {
        let (code, told) = server.interrupt();
        assert_eq!(code, Some(0));
        assert!(told.contains("26 requests (0 refused, 0 left"), "{told}");
    }
}

#[test]
fn stops_choices_and_log_probabilities_are_those_of_lm_generate() {
    let Some(server) = server("llama", &["--quiet"]) else { return };
    let prompt = json!({ "text": "go to" });
    let greedy = ["--temperature", "0", "--max-tokens", "12"];
    let free = generated("llama", &greedy, &prompt);
    let text = free["text"].as_str().unwrap();
    let ask = json!({ "prompt": "go to", "temperature": 0, "max_tokens": 12, "logprobs": 0 });
    let answer = server.answer(TEXT, &ask);
    assert_eq!(answer["choices"][0]["text"], text);
    let found = answer["choices"][0]["logprobs"]["token_logprobs"].as_array().unwrap();
    let expected = free["log_probs"].as_array().unwrap();
    for (found, expected) in found.iter().zip(expected) {
        assert!((found.as_f64().unwrap() - expected.as_f64().unwrap()).abs() < 1e-4);
    }
    let stop: String = text.chars().skip(3).take(2).collect();
    let mut stopped = ask.clone();
    stopped["stop"] = json!([stop]);
    let answer = server.answer(TEXT, &stopped);
    assert_eq!(answer["choices"][0]["text"], text[..text.find(&stop).unwrap()]);
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");

    let choices = ["go to shelf 1", "go to shelf 12", "go to shelf 2", "look"];
    for seed in 0..4 {
        let line = json!({ "text": "> ", "choices": choices });
        let expected = generated("llama", &["--seed", &seed.to_string()], &line);
        let ask = json!({ "prompt": "> ", "guided_choice": choices, "seed": seed });
        assert_eq!(server.text(&ask), expected["text"].as_str().unwrap());
    }
}

#[test]
fn what_is_wrong_with_a_request_is_said_in_openais_form() {
    let arguments = ["--api-key-env", "PROXMO_TEST_KEY", "--quiet"];
    // Another variable than any user's; the process of the test has it for its children.
    let Some(model) = shared("lm/models/llama") else { return };
    let mut command = assert_cmd::Command::cargo_bin("proxmo").unwrap();
    command.args(["serve", "--backend", "flex", "--port", "0", "--model"]).arg(model);
    command.args(arguments).env_remove("PROXMO_TEST_KEY");
    command.assert().code(2).stderr(predicates::str::contains("PROXMO_TEST_KEY has no key"));

    let Some(server) = server("llama", &["--name", "small/one", "--max-cache", "64", "--quiet"])
    else {
        return;
    };
    let prompt = |members: &str| format!(r#"{{"prompt":"go"{members}}}"#);
    let long = format!(r#"{{"prompt":{}}}"#, json!("go to ".repeat(20_000)));
    for (method, path, more, body, status, says) in [
        ("GET", "/v2", "", String::new(), 404, "not_found"),
        ("GET", TEXT, "", String::new(), 405, "method_not_allowed"),
        ("POST", "/v1/models", "", String::new(), 405, "method_not_allowed"),
        ("GET", "/v1/models/other", "", String::new(), 404, "model_not_found"),
        ("POST", TEXT, "", "{".into(), 400, "expected a JSON object"),
        ("POST", TEXT, "", prompt(r#","model":"other""#), 404, "model_not_found"),
        ("POST", TEXT, "", prompt(r#","temperature":-1"#), 400, r#""param":"temperature""#),
        ("POST", TEXT, "", prompt(r#","tools":[1]"#), 400, r#""param":"tools""#),
        ("POST", TEXT, "", prompt(r#","max_tokens":1000000"#), 400, "context_length_exceeded"),
        ("POST", TEXT, "", long, 400, "context_length_exceeded"),
        ("POST", TEXT, "", r#"{"prompt":[100000]}"#.into(), 400, "is out of range"),
        ("POST", TEXT, "", prompt(r#","guided_choice":["go","go"]"#), 400, "guided_choice"),
        ("POST", TEXT, "Content-Type: text/plain\r\n", prompt(""), 415, "application/json"),
    ] {
        let (found, answer) = server.send(method, path, more, &body);
        assert_eq!(found, status, "{method} {path} {body:.80}: {answer}");
        let error: Value = serde_json::from_str(&answer).unwrap();
        for member in ["message", "type", "param", "code"] {
            assert!(error["error"].get(member).is_some(), "{answer}");
        }
        assert!(answer.contains(says), "{answer}");
    }
    let head = "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n";
    let mut stream = server.connect();
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(received(stream).0, 413);
    assert_eq!(server.send("GET", "/health", "", "").0, 200);
    for path in ["/v1/models/small/one", "/v1/models/small%2Fone", "/v1/models"] {
        let (status, body) = server.send("GET", path, "", "");
        assert!(status == 200 && body.contains(r#""id":"small/one""#), "{body}");
    }
}

#[test]
fn a_key_is_needed_if_the_server_has_one() {
    let Some(model) = shared("lm/models/llama") else { return };
    let mut command = Command::cargo_bin("proxmo").unwrap();
    command.args(["serve", "--quiet", "--api-key-env", "PROXMO_TEST_KEY", "--model"]).arg(model);
    command.env("PROXMO_TEST_KEY", "secret");
    let server = started(command);
    let status = |more: &str| server.send("GET", "/v1/models", more, "").0;
    assert_eq!(status(""), 401);
    assert_eq!(status("Authorization: Bearer secre\r\n"), 401);
    assert_eq!(status("Authorization: Bearer secret\r\n"), 200);
    assert_eq!(server.send("GET", "/health", "", "").0, 200);
}

#[test]
fn slow_and_hostile_clients_hold_up_no_other() {
    let Some(server) = server("llama", &["--client-timeout", "2", "--quiet"]) else { return };
    let mut held: Vec<TcpStream> = (0..40).map(|_| server.connect()).collect();
    for (number, stream) in held.iter_mut().enumerate() {
        let part: &[u8] = match number % 4 {
            0 => b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nX-Long: ",
            1 => b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
            2 => b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
            _ => b"\x00\xff\x16\x03garbage\r\n\r\n",
        };
        stream.write_all(part).unwrap();
    }
    let ask = json!({ "prompt": "go", "max_tokens": 4, "seed": 1 });
    let expected = server.text(&ask);
    // A head without an end, and a body in chunks without an end, are cut off.
    let mut endless = server.connect();
    let line = format!("X-{}: y\r\n", "a".repeat(1000));
    let _ = endless.write_all(b"GET / HTTP/1.1\r\n");
    while endless.write_all(line.as_bytes()).is_ok() {}
    let mut chunks = server.connect();
    let head = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    chunks.write_all(head).unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    while chunks.write_all(chunk.as_bytes()).is_ok() {}
    assert_eq!(server.text(&ask), expected);
    // Those that were slow are ended.
    for mut stream in held {
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert_eq!(server.text(&ask), expected);
}

/// A request that runs for long: as many tokens as the context holds.
fn endless() -> Value {
    json!({ "prompt": "go", "max_tokens": 200, "temperature": 100, "stream": true,
            "seed": 1, "n": 100 })
}

fn begin(server: &Server, body: &Value) -> TcpStream {
    let mut stream = server.connect();
    let body = body.to_string();
    let length = body.len();
    write!(stream, "POST {TEXT} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}")
        .unwrap();
    stream
}

#[test]
fn a_client_that_leaves_frees_its_place() {
    let Some(mut server) = server("llama", &["--batch", "1", "--queue", "1"]) else { return };
    // The first piece shows that its sequence runs; the others of its request wait.
    let mut stream = begin(&server, &endless());
    let mut first = [0; 16];
    stream.read_exact(&mut first).unwrap();
    let ask = json!({ "prompt": "go", "max_tokens": 4, "seed": 1 });
    let (status, body) = server.ask(TEXT, &ask);
    assert_eq!((status, &body["error"]["code"]), (503, &json!("overloaded")));
    stream.shutdown(Shutdown::Both).unwrap();
    drop(stream);
    let begun = Instant::now();
    while server.ask(TEXT, &ask).0 != 200 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the place is still taken");
        thread::sleep(Duration::from_millis(20));
    }
    let mut told = String::new();
    while !told.contains(" left ") {
        told.clear();
        assert!(server.errors.read_line(&mut told).unwrap() > 0, "no line of the request");
    }
}

#[test]
#[cfg(unix)]
fn ctrl_c_lets_answers_end_refuses_those_that_wait_and_exits_with_a_summary() {
    let Some(server) = server("llama", &["--batch", "1"]) else { return };
    let ask = json!({ "prompt": "go", "max_tokens": 150, "temperature": 0, "stream": true });
    let mut running = begin(&server, &ask);
    let mut first = [0; 16];
    running.read_exact(&mut first).unwrap();
    let mut waiting = begin(&server, &endless());
    thread::sleep(Duration::from_millis(20));
    let (code, told) = server.interrupt();
    assert_eq!(code, Some(0), "{told}");
    let mut rest = String::new();
    running.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("[DONE]"), "the answer was cut");
    let mut refused = String::new();
    let _ = waiting.read_to_string(&mut refused);
    assert!(!refused.contains("[DONE]"));
    let summary = told.lines().last().unwrap();
    assert!(summary.starts_with("proxmo: 2 requests ("), "{told}");
}

/// A run that was trained for a moment.
fn trained(folder: &Path, arguments: &[&str]) -> PathBuf {
    let run = folder.join("run");
    let mut train = assert_cmd::Command::cargo_bin("proxmo").unwrap();
    train.args(["train", "--train-tasks", "4", "--held-out", "2", "--groups", "1"]);
    train.args(["--group-size", "2", "--iterations", "1", "--max-steps", "4", "--quiet"]);
    train.args(["--backend", "flex", "--run"]).arg(&run).args(arguments).assert().success();
    run
}

#[test]
fn a_run_of_the_scorer_is_not_served_as_a_language_model() {
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path(), &[]);
    let mut serve = assert_cmd::Command::cargo_bin("proxmo").unwrap();
    serve.args(["serve", "--port", "0", "--backend", "flex", "--run"]).arg(&run);
    let says = "of kind 'scorer', which chooses among actions and writes no text: `proxmo act`";
    serve.assert().code(2).stderr(predicates::str::contains(says));
}

#[test]
fn a_run_of_a_language_model_is_served_and_acts() {
    let folder = tempfile::tempdir().unwrap();
    let small = ["--lm-layers", "1", "--lm-width", "32", "--lm-heads", "2"];
    let run = trained(
        folder.path(),
        &[&["--policy", "lm", "--lm-vocabulary", "400"], &small[..]].concat(),
    );
    let mut command = Command::cargo_bin("proxmo").unwrap();
    command.args(["serve", "--quiet", "--name", "player", "--run"]).arg(&run);
    let server = started(command);
    let ask = json!({ "model": "player", "messages": go(), "max_tokens": 8 });
    assert!(server.answer(CHAT, &ask)["choices"][0]["message"]["content"].is_string());

    let mut act = assert_cmd::Command::cargo_bin("proxmo").unwrap();
    act.args(["act", "--backend", "flex", "--run"]).arg(&run);
    let steps = [
        json!({ "goal": "find the mug", "observation": "a room", "admissible": ["look", "go on"] }),
        json!({ "observation": "a shelf", "admissible": ["look", "take mug 1 from shelf 2"] }),
    ];
    let input: String = steps.iter().map(|step| format!("{step}\n")).collect();
    let assert = act.write_stdin(input).assert().success();
    let output = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    let answers: Vec<Value> =
        output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 2);
    for (step, answer) in steps.iter().zip(answers) {
        let index = answer["index"].as_u64().unwrap_or_else(|| panic!("{answer}")) as usize;
        assert_eq!(step["admissible"][index], answer["action"]);
    }
}

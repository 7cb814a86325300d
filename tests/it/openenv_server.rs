//! A server in OpenEnv's form: its messages, its tasks, its limits.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use proxmo::env::household::HouseholdConfig;
use proxmo::env::openenv::{OpenEnvServer, ServerOptions};
use proxmo::env::{Environment, Session};
use serde_json::{Value, json};

use crate::support::alfworld::{admissible, observation};
use crate::support::socket::{Socket, request};

/// A server of household tasks, which stops when this is dropped.
pub struct Served {
    pub address: SocketAddr,
    stops: Arc<AtomicBool>,
    thread: Option<JoinHandle<proxmo::Result<usize>>>,
}

impl Served {
    pub fn new(max_sessions: usize, idle: Duration) -> Self {
        let config = HouseholdConfig { tasks: 20, held_out: 5, ..HouseholdConfig::default() };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stops = Arc::new(AtomicBool::new(false));
        let environment = Arc::new(config.generate(None).unwrap());
        let options = ServerOptions { max_sessions, idle };
        let server = OpenEnvServer::new(listener, environment, &options, stops.clone());
        let thread = Some(std::thread::spawn(move || server.run()));
        Self { address, stops, thread }
    }

    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Stops the server. Returns the number of sessions that it served.
    fn stop(mut self) -> usize {
        self.stops.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stops.store(true, Ordering::Relaxed);
    }
}

const LONG: Duration = Duration::from_secs(600);

fn reset(data: Value) -> Value {
    json!({ "type": "reset", "data": data })
}

fn step(action: &str) -> Value {
    json!({ "type": "step", "data": { "action": action } })
}

#[test]
fn an_episode_is_that_of_the_environment_itself() {
    let served = Served::new(4, LONG);
    let config = HouseholdConfig { tasks: 20, held_out: 5, ..HouseholdConfig::default() };
    let world = config.generate(None).unwrap();
    let mut socket = Socket::open(served.address);
    let begun = socket.ask(&reset(json!({ "split": "train", "index": 3, "episode_id": "e" })));
    let mut session = world.session(3, 0).unwrap();
    let seen = &begun["data"]["observation"];
    assert_eq!(begun["type"], "observation");
    assert_eq!(seen["observation"], observation(&session));
    assert_eq!(seen["goal"], session.goal());
    assert_eq!(seen["task"], world.task_name(3));
    assert_eq!((&begun["data"]["reward"], &begun["data"]["done"]), (&Value::Null, &json!(false)));
    let actions = world.walkthrough(3);
    for (number, action) in actions.iter().enumerate() {
        let done = session.step(action).unwrap();
        let stepped = socket.ask(&step(action));
        let seen = &stepped["data"]["observation"];
        assert_eq!(seen["observation"], observation(&session));
        assert_eq!(seen["admissible"], json!(admissible(&session)));
        assert_eq!(stepped["data"]["reward"], done.reward);
        assert_eq!(stepped["data"]["done"], number + 1 == actions.len());
        assert_eq!(seen["success"], number + 1 == actions.len());
    }
    let state = socket.ask(&json!({ "type": "state" }));
    let expected = json!({
        "episode_id": "e", "step_count": actions.len(), "task": world.task_name(3),
    });
    assert_eq!((&state["type"], &state["data"]), (&json!("state"), &expected));
    socket.send(r#"{"type":"close"}"#);
    assert_eq!(socket.receive(), None);
    assert_eq!(served.stop(), 1);
}

#[test]
fn a_seed_and_an_index_start_the_same_task_every_time_and_a_reset_without_them_any() {
    let served = Served::new(4, LONG);
    let mut socket = Socket::open(served.address);
    let mut begin = |data: Value| socket.ask(&reset(data))["data"]["observation"].take();
    for data in [json!({ "seed": 7 }), json!({ "split": "valid", "index": 2, "seed": 3 })] {
        assert_eq!(begin(data.clone()), begin(data));
    }
    let tasks: std::collections::BTreeSet<String> =
        (0..30).map(|_| begin(json!({}))["task"].to_string()).collect();
    assert!(tasks.len() > 5, "{tasks:?}");
    let first = begin(json!({}));
    let again = begin(json!({ "seed": first["seed"] }));
    assert_eq!(first, again, "the seed that an observation names starts it again");
    let named = begin(json!({ "task": first["task"] }));
    assert_eq!(named["observation"], first["observation"]);
}

#[test]
fn messages_that_fail_are_answered_with_a_code_and_the_session_goes_on() {
    let served = Served::new(4, LONG);
    let mut socket = Socket::open(served.address);
    let mut begin = |message: &str| {
        socket.send(message);
        socket.receive().unwrap()
    };
    for (message, code, says) in [
        ("nonsense", "INVALID_JSON", "is not JSON"),
        ("{}", "UNKNOWN_TYPE", "is null"),
        (r#"{"type":"mcp","data":{}}"#, "UNKNOWN_TYPE", "expected"),
        (r#"{"type":"step","data":{"action":"look"}}"#, "EXECUTION_ERROR", "reset it first"),
        (r#"{"type":"reset","data":[]}"#, "VALIDATION_ERROR", "not an object"),
        (r#"{"type":"reset","data":{"seed":-1}}"#, "VALIDATION_ERROR", "u64"),
        (r#"{"type":"reset","data":{"split":"x"}}"#, "VALIDATION_ERROR", "expected 'train' or"),
        (r#"{"type":"reset","data":{"split":"valid","index":5}}"#, "VALIDATION_ERROR", "5 tasks"),
        (r#"{"type":"reset","data":{"task":"x"}}"#, "VALIDATION_ERROR", "no task 'x'"),
        (r#"{"type":"step","data":{"message":"look"}}"#, "VALIDATION_ERROR", "unknown field"),
        (r#"{"type":"step"}"#, "VALIDATION_ERROR", "not an action"),
    ] {
        let answer = begin(message);
        assert_eq!((&answer["type"], &answer["data"]["code"]), (&json!("error"), &json!(code)));
        let message = answer["data"]["message"].as_str().unwrap();
        assert!(message.contains(says), "{message} does not say {says}");
    }
    assert_eq!(begin(r#"{"type":"reset"}"#)["type"], "observation");
    let stepped = begin(r#"{"type":"step","data":{"action":"fly","metadata":{"x":1}}}"#);
    assert_eq!(stepped["data"]["observation"]["valid"], false, "not admissible is no error");
}

#[test]
fn a_full_server_refuses_sessions_until_one_ends() {
    let served = Served::new(2, LONG);
    let mut first = Socket::open(served.address);
    let mut second = Socket::open(served.address);
    for socket in [&mut first, &mut second] {
        assert_eq!(socket.ask(&reset(json!({ "seed": 1 })))["type"], "observation");
    }
    let mut third = Socket::open(served.address);
    let refused = third.receive().unwrap();
    assert_eq!(refused["data"]["code"], "CAPACITY_REACHED");
    assert_eq!((&refused["data"]["max_sessions"], &refused["type"]), (&json!(2), &json!("error")));
    assert_eq!(third.receive(), None);
    first.send(r#"{"type":"close"}"#);
    assert_eq!(first.receive(), None);
    let mut fourth = Socket::open(served.address);
    assert_eq!(fourth.ask(&reset(json!({ "seed": 1 })))["type"], "observation");
}

#[test]
fn a_session_that_says_nothing_for_too_long_is_ended() {
    let served = Served::new(1, Duration::from_millis(300));
    let mut socket = Socket::open(served.address);
    assert_eq!(socket.receive(), None);
    assert_eq!(Socket::open(served.address).ask(&reset(json!({})))["type"], "observation");
}

#[test]
fn the_schema_and_the_lists_of_tasks_are_given() {
    let served = Served::new(4, LONG);
    let ask = |path: &str, body: Option<&str>| request(served.address, path, body);
    assert_eq!(ask("/health", None), (200, json!({ "status": "healthy" })));
    assert_eq!(ask("/metadata", None).1["name"], "household");
    let (status, schema) = ask("/schema", None);
    assert_eq!(status, 200);
    assert_eq!(schema["action"]["required"], json!(["action"]));
    assert_eq!(schema["action"]["properties"]["action"]["type"], "string");
    let fields = schema["observation"]["properties"].as_object().unwrap();
    let begun = ask("/reset", Some(r#"{"seed":1}"#)).1;
    for field in begun["observation"].as_object().unwrap().keys() {
        assert!(fields.contains_key(field), "{field} is not in the schema");
    }
    assert_eq!(ask("/state", None).1["step_count"], 0);
    assert_eq!(ask("/list_environments", None), (200, json!(["household"])));
    let splits = json!([
        { "name": "train", "type": "train" }, { "name": "valid", "type": "validation" },
    ]);
    assert_eq!(ask("/household/splits", None), (200, splits));
    let (split, valid) = (r#"{"split":"train"}"#, r#"{"split":"valid"}"#);
    assert_eq!(ask("/household/num_tasks", Some(split)).1["num_tasks"], 20);
    let tasks = ask("/Household/tasks", Some(valid)).1;
    assert_eq!(tasks["tasks"].as_array().unwrap().len(), 5);
    let one = ask("/household/task", Some(r#"{"split":"valid","index":4}"#)).1;
    assert_eq!(one["task"], tasks["tasks"][4]);
    let last = ask("/household/task_range", Some(r#"{"split":"valid","start":-2}"#)).1;
    assert_eq!(last["tasks"].as_array().unwrap()[..], tasks["tasks"].as_array().unwrap()[3..]);
    let played = reset(json!({ "split": "valid", "index": 4 }));
    let played = Socket::open(served.address).ask(&played);
    assert_eq!(played["data"]["observation"]["task"], one["task"]["id"]);
}

#[test]
fn requests_that_fail_have_a_status_and_a_reason() {
    let served = Served::new(4, LONG);
    for (path, body, status, says) in [
        ("/nowhere", None, 404, "there is no '/nowhere'"),
        ("/health", Some("{}"), 405, "POST is no method"),
        ("/mars/splits", None, 404, "no environment 'mars'"),
        ("/household/num_tasks", Some("{}"), 422, "missing field `split`"),
        ("/household/num_tasks", Some(r#"{"split":"x"}"#), 400, "no split 'x'"),
        ("/household/task", Some(r#"{"split":"valid","index":5}"#), 400, "5 tasks"),
        ("/step", Some("{}"), 400, "needs a session"),
        ("/reset", Some(r#"{"seed":"x"}"#), 422, "invalid type"),
        ("/ws", None, 426, "expected a WebSocket"),
    ] {
        let (found, answer) = request(served.address, path, body);
        let detail = answer["detail"].as_str().unwrap();
        assert!(found == status && detail.contains(says), "{path}: {found} {detail}");
    }
}

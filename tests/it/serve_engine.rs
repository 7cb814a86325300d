//! The engine of `proxmo serve`, without a network.

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use proxmo::device::{Backend, open};
use proxmo::lm::{Bpe, BpeOptions, Cache, Decoder, NewModelConfig, Sampling, Tokenizer};
use proxmo::serve::engine::{Counts, door};
use proxmo::serve::{Door, Engine, EngineLimits, Event, Failure, Finish, Job, Listener};
use proxmo::stream::{Purpose, Stream};

/// Sends events to the test. It leaves after some tokens.
struct Watch {
    events: Sender<Event>,
    tokens: usize,
}

impl Listener for Watch {
    fn tell(&mut self, event: Event) -> ControlFlow<()> {
        let _ = self.events.send(event);
        self.tokens = self.tokens.saturating_sub(1);
        if self.is_gone() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn is_gone(&self) -> bool {
        self.tokens == 0
    }
}

fn model() -> (Decoder, Tokenizer) {
    let options = BpeOptions { vocabulary: 270, ..BpeOptions::default() };
    let json = Bpe::train(["go to the shelf"].iter(), &options).unwrap().to_json().unwrap();
    let tokenizer = Bpe::parse(&json).unwrap().tokenizer().unwrap();
    let shape = NewModelConfig { layers: 1, width: 32, heads: 2, ..NewModelConfig::default() };
    let shape = shape.shape(tokenizer.size()).unwrap();
    let device = open(Backend::Flex, 0).unwrap().device;
    (Decoder::untrained(&shape, 0, &device).unwrap(), tokenizer)
}

/// A greedy job.
fn job(max_tokens: usize, seed: u64, leaves_after: usize) -> (Job, Receiver<Event>) {
    let (events, received) = channel();
    let job = Job {
        ids: vec![70, 71, 72, 73],
        sampling: Sampling::greedy(),
        rng: Stream::new(seed, Purpose::Tokens).rng(),
        max_tokens,
        stops: Vec::new(),
        choices: None,
        listener: Box::new(Watch { events, tokens: leaves_after }),
    };
    (job, received)
}

/// Works on what `hand_in` hands in until all is done, or until it is to stop.
fn worked(limits: EngineLimits, hand_in: impl FnOnce(&Door), stops: &dyn Fn() -> bool) -> Counts {
    let (model, tokenizer) = model();
    let (door, inbox) = door(64);
    hand_in(&door);
    drop(door);
    let (counts, worked) = Engine::new(&model, &tokenizer, limits, inbox).work(stops);
    worked.unwrap();
    counts
}

fn limits(tokens: usize) -> EngineLimits {
    let (model, _) = model();
    let cache_bytes = Cache::new(model.config(), &model.device()).bytes_of(tokens);
    EngineLimits { batch: 8, cache_bytes, grace: Duration::ZERO }
}

#[test]
fn a_job_waits_until_the_cache_has_room_for_all_of_it() {
    let (jobs, received): (Vec<Job>, Vec<_>) = (0..5).map(|seed| job(28, seed, usize::MAX)).unzip();
    let (large, refused) = job(100, 9, usize::MAX);
    let counts = worked(
        limits(64),
        |door| {
            door.hand_in(jobs).unwrap_or_else(|_| panic!("the door is closed"));
            door.hand_in(vec![large]).unwrap_or_else(|_| panic!("the door is closed"));
            assert_eq!(door.waiting(), 6);
        },
        &|| false,
    );
    assert_eq!((counts.most_together, counts.sequences), (2, 5));
    for events in received {
        let last = events.iter().last();
        assert!(matches!(last, Some(Event::End { tokens: 1..=28, .. })), "{last:?}");
    }
    let event = refused.recv().unwrap();
    assert!(matches!(event, Event::Failed(Failure::Run(_))), "{event:?}");
}

#[test]
fn a_listener_that_leaves_ends_its_job_alone() {
    let (leaving, some) = job(20, 0, 2);
    let (staying, all) = job(20, 0, usize::MAX);
    let (gone, none) = job(20, 0, 0);
    worked(
        limits(1024),
        |door| {
            let jobs = vec![leaving, staying, gone];
            door.hand_in(jobs).unwrap_or_else(|_| panic!("the door is closed"));
        },
        &|| false,
    );
    let all: Vec<Event> = all.iter().collect();
    assert!(all.len() > 2);
    assert!(matches!(all.last(), Some(Event::End { finish: Finish::Length | Finish::Stop, .. })));
    assert_eq!(some.iter().collect::<Vec<_>>(), all[..2]);
    assert_eq!(none.iter().count(), 0);
}

#[test]
fn an_engine_that_stops_gives_up_what_waits_and_what_outlasts_its_grace() {
    let (jobs, received): (Vec<Job>, Vec<_>) =
        (0..3).map(|seed| job(200, seed, usize::MAX)).unzip();
    let looks = std::cell::Cell::new(0);
    let stops = || {
        looks.set(looks.get() + 1);
        looks.get() > 4
    };
    let one = EngineLimits { batch: 1, ..limits(4096) };
    let hand_in = |door: &Door| {
        door.hand_in(jobs).unwrap_or_else(|_| panic!("the door is closed"));
    };
    let counts = worked(one, hand_in, &stops);
    assert_eq!(counts.sequences, 1);
    let stopped = Event::Failed(Failure::Stopping);
    let events: Vec<Vec<Event>> = received.iter().map(|events| events.iter().collect()).collect();
    assert!(events.iter().all(|events| events.last() == Some(&stopped)), "{events:?}");
    assert_eq!([1, 2].map(|place| events[place].len()), [1, 1]);
    assert!(events[0].len() > 2, "no token was drawn before");
}

#[test]
fn a_full_queue_gives_jobs_back() {
    let (door, _inbox) = door(2);
    for seed in 0..2 {
        assert!(door.hand_in(vec![job(1, seed, 1).0]).is_ok());
    }
    let given_back = door.hand_in(vec![job(1, 2, 1).0, job(1, 3, 1).0]);
    assert_eq!(given_back.map_err(|jobs| jobs.len()), Err(2));
    assert_eq!(door.waiting(), 2);
}

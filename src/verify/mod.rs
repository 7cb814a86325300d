//! Tests of every backend of this machine.
//!
//! [`TESTS`] compare a device with definitions in 64 bits ([`oracle`]): [`cases`] for proximity and its
//! gradients, [`EpisodeCase`] for returns and the episode part of advantages, [`oracle::TokenCase`] for the
//! log-probabilities of tokens, and layers of language models with their gradients. A small [`training`]
//! is compared with flex's, update by update. [`run`] runs them on adapters of this machine, for `proxmo
//! verify`; the crate's own tests run the same.
//!
//! ```
//! use proxmo::device::{Backend, open};
//! use proxmo::verify::TESTS;
//!
//! # fn main() -> proxmo::Result<()> {
//! let device = open(Backend::Flex, 0)?.device;
//! let returns = TESTS.iter().find(|test| test.name == "returns");
//! for test in returns {
//!     assert!(test.on(&device).ok);
//! }
//! # Ok(())
//! # }
//! ```

pub mod cases;
mod comparisons;
mod episodes;
mod layers;
pub mod oracle;
mod proximity;
mod report;
mod shader_runs;
mod token_log_probs;
pub mod training;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;

use burn::tensor::Device;
use web_time::Instant;

use crate::device::{Adapter, open};
use crate::device_check::panic_message;
use crate::error::Result;
#[cfg(feature = "wgpu")]
use crate::kernels::Prefilled;

pub use comparisons::{Comparisons, distance};
pub use episodes::{EpisodeCase, configs as episode_configs};
pub use report::{Absent, AdapterReport, Report, TestResult, select};
pub use shader_runs::shader_runs;

/// One test of a device.
#[derive(Debug, Clone, Copy)]
pub struct Test {
    /// Its name.
    pub name: &'static str,
    check: for<'a> fn(&'a Device) -> Checking<'a>,
}

/// A test that is running.
type Checking<'a> = Pin<Box<dyn Future<Output = Result<Comparisons>> + 'a>>;

const fn test(name: &'static str, check: for<'a> fn(&'a Device) -> Checking<'a>) -> Test {
    Test { name, check }
}

/// All tests, kernels first.
pub const TESTS: [Test; 24] = [
    test("proximity, shapes", |device| Box::pin(proximity::shapes(device))),
    test("proximity, settings", |device| Box::pin(proximity::settings(device))),
    test("proximity, extremes", |device| Box::pin(proximity::extremes(device))),
    test("proximity, NaN and infinity", |device| Box::pin(proximity::non_finite(device))),
    test("proximity gradients, shapes", |device| Box::pin(proximity::gradients_of_shapes(device))),
    test("proximity gradients, settings", |device| {
        Box::pin(proximity::gradients_of_settings(device))
    }),
    test("proximity gradients, extremes", |device| {
        Box::pin(proximity::gradients_of_extremes(device))
    }),
    test("proximity gradients, NaN and infinity", |device| {
        Box::pin(proximity::gradients_of_non_finite(device))
    }),
    test("returns", |device| Box::pin(episodes::returns(device))),
    test("episode advantages", |device| Box::pin(episodes::advantages(device))),
    test("returns and advantages, NaN and infinity", |device| {
        Box::pin(episodes::non_finite(device))
    }),
    test("token log-probabilities", |device| Box::pin(token_log_probs::scores(device))),
    test("token log-probabilities, gradients", |device| {
        Box::pin(token_log_probs::gradients(device))
    }),
    test("token log-probabilities, NaN and infinity", |device| {
        Box::pin(token_log_probs::non_finite(device))
    }),
    test("layers, SwiGLU", |device| Box::pin(layers::swiglu(device))),
    test("layers, normalisation", |device| Box::pin(layers::rms_norm(device))),
    test("layers, causal softmax", |device| Box::pin(layers::causal_softmax(device))),
    test("layers, rotation", |device| Box::pin(layers::rotation(device))),
    test("layers, NaN and infinity", |device| Box::pin(layers::non_finite(device))),
    test("AdamW", |device| Box::pin(layers::adamw(device))),
    test("training, gradients", |device| Box::pin(training::gradients(device))),
    test("training, losses", |device| Box::pin(training::losses(device))),
    test("training, weights", |device| Box::pin(training::trained_weights(device))),
    test("training, device credit", |device| Box::pin(training::device_credit(device))),
];

impl Test {
    /// Runs the test. It fails if the device does, or its driver panics.
    pub fn on(&self, device: &Device) -> TestResult {
        let begun = Instant::now();
        let run = AssertUnwindSafe(|| pollster::block_on(self.on_async(device)));
        catch_unwind(run).unwrap_or_else(|panic| {
            let message = format!("it {}", panic_message(&*panic));
            TestResult::broken(self.name, message, begun.elapsed().as_secs_f64())
        })
    }

    /// [`Test::on`] without blocking the thread. A panic of the driver is passed on.
    pub async fn on_async(&self, device: &Device) -> TestResult {
        #[cfg(feature = "wgpu")]
        let _prefilled = Prefilled::new();
        let begun = Instant::now();
        let comparisons = (self.check)(device).await;
        let seconds = begun.elapsed().as_secs_f64();
        match comparisons {
            Ok(comparisons) => TestResult::of(self.name, comparisons, seconds),
            Err(error) => TestResult::broken(self.name, error.to_string(), seconds),
        }
    }
}

/// Runs tests on adapters, one after the other, and calls `observe` before each.
pub fn run(
    adapters: &[Adapter],
    tests: &[Test],
    observe: &mut dyn FnMut(&Adapter, &Test),
) -> Vec<AdapterReport> {
    let mut verify = |adapter: &Adapter| match open(adapter.backend, adapter.index) {
        Ok(opened) => {
            let tests = tests.iter().map(|test| {
                observe(adapter, test);
                test.on(&opened.device)
            });
            AdapterReport { adapter: adapter.clone(), tests: tests.collect() }
        }
        Err(error) => {
            let opening = TestResult::broken("opening the device", error.to_string(), 0.0);
            AdapterReport { adapter: adapter.clone(), tests: vec![opening] }
        }
    };
    adapters.iter().map(&mut verify).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn a_device_that_breaks_fails_the_test_and_not_the_process() {
        let on =
            |check: for<'a> fn(&'a Device) -> Checking<'a>| test("it", check).on(&Device::flex());
        let lost = on(|_| Box::pin(async { Err(Error::Run("the device is lost".into())) }));
        assert!(!lost.ok && lost.failures == ["the device is lost"]);
        let gone = on(|_| Box::pin(async { panic!("no memory") }));
        assert!(!gone.ok && gone.failures == ["it panicked: no memory"]);
        assert!(
            !on(|_| Box::pin(async { Ok(Comparisons::default()) })).ok,
            "a test that compared nothing"
        );
    }

    #[test]
    fn tests_have_names_of_their_own() {
        for (place, one) in TESTS.iter().enumerate() {
            assert!(TESTS[..place].iter().all(|other| other.name != one.name), "{}", one.name);
        }
    }
}

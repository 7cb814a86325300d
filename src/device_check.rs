//! Whether a device computes correctly: a short computation, compared with the CPU's.
//!
//! Some drivers compute wrong numbers and report no error. A training on such a device learns nothing, or
//! something else than it should. [`DeviceCheck::open`] opens a GPU only if the computation agrees with the
//! CPU's. It takes a fraction of a second and finds what is wrong everywhere; `proxmo verify` compares
//! everything that is computed.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::credit::{CreditConfig, Temperature};
use crate::device::{Adapter, Backend, Opened, auto_candidates, candidates, choose, open, read};
use crate::episodes::Layout;
use crate::error::{Error, Result};
use crate::kernels::proximity;

/// The bound of an error, as a share of the largest number. Sums in another order are off by about 1e-6
/// here, products that are rounded to 10 bits by about 3e-4.
const BOUND: f64 = 1e-3;

/// A check of a device, which says what is wrong.
type Check = fn(&Device) -> Result<(), String>;

/// The check of a GPU before it is used.
#[derive(Debug, Clone, Copy)]
pub struct DeviceCheck(Option<Check>);

impl Default for DeviceCheck {
    /// [`check_device`].
    fn default() -> Self {
        Self(Some(check_device))
    }
}

/// A GPU that is not used, because it computes wrongly.
#[derive(Debug, Clone, PartialEq)]
pub struct RefusedDevice {
    /// The GPU.
    pub adapter: Adapter,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for RefusedDevice {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { adapter, reason } = self;
        write!(f, "{} on {} computes wrongly: {reason}", adapter.backend, adapter.name)
    }
}

/// An open device, and the GPUs that were refused before.
#[derive(Debug)]
pub struct CheckedDevice {
    /// The device.
    pub opened: Opened,
    /// GPUs that [`Backend::Auto`] would have taken if they computed correctly.
    pub refused: Vec<RefusedDevice>,
}

impl DeviceCheck {
    /// No check.
    pub const NONE: Self = Self(None);

    /// A check by another function, which says what is wrong.
    pub fn by(check: fn(&Device) -> Result<(), String>) -> Self {
        Self(Some(check))
    }

    /// Opens the device for `backend` and `index` as [`open`] does, and checks it if it
    /// is a GPU. [`Backend::Auto`] passes over GPUs that compute wrongly, in the end to flex.
    ///
    /// # Errors
    /// Fails if there is no such device, its driver fails, or a GPU that is named computes wrongly.
    pub fn open(self, backend: Backend, index: usize) -> Result<CheckedDevice> {
        self.open_among(backend, index, false)
    }

    /// [`DeviceCheck::open`]; with `software`, [`Backend::Auto`] takes software GPUs too, as in tests.
    pub(crate) fn open_among(
        self,
        backend: Backend,
        index: usize,
        software: bool,
    ) -> Result<CheckedDevice> {
        if backend != Backend::Auto {
            let opened = open(backend, index)?;
            return match self.refusal(&opened) {
                None => Ok(CheckedDevice { opened, refused: Vec::new() }),
                Some(refused) => Err(Error::WrongDevice(refused.to_string())),
            };
        }
        let here = candidates(backend);
        let gpus = auto_candidates(&here, index, software);
        let mut refused = Vec::new();
        for adapter in gpus.iter().filter(|adapter| adapter.max_invocations > 0) {
            let opened = open(adapter.backend, adapter.index)?;
            match self.refusal(&opened) {
                None => return Ok(CheckedDevice { opened, refused }),
                Some(wrong) => refused.push(wrong),
            }
        }
        let flex = choose(&here, Backend::Flex, 0)?;
        Ok(CheckedDevice { opened: open(flex.backend, flex.index)?, refused })
    }

    /// Those of some adapters that are GPUs and compute wrongly. One that cannot be opened is left to the
    /// caller, who gets the error when opening it.
    pub(crate) fn refusals(self, adapters: &[Adapter]) -> Vec<RefusedDevice> {
        let opened = adapters.iter().filter_map(|one| open(one.backend, one.index).ok());
        opened.filter_map(|opened| self.refusal(&opened)).collect()
    }

    /// Why a device is not used. Only GPUs are checked.
    fn refusal(self, opened: &Opened) -> Option<RefusedDevice> {
        let check = self.0.filter(|_| opened.adapter.max_invocations > 0)?;
        let reason = check(&opened.device).err()?;
        Some(RefusedDevice { adapter: opened.adapter.clone(), reason })
    }
}

/// Compares a short computation on a device with the CPU's: a product of matrices, a softmax, a selection
/// of rows, and this crate's own kernel for proximity.
///
/// # Errors
/// Says which part is wrong, or that the driver failed.
pub fn check_device(device: &Device) -> Result<(), String> {
    compare(device, &|device, part| part.on(device))
}

/// [`check_device`] with numbers from `compute`.
fn compare(
    device: &Device,
    compute: &dyn Fn(&Device, Part) -> Result<Vec<f32>>,
) -> Result<(), String> {
    for part in Part::ALL {
        let expected = part.on(&Device::flex()).map_err(|error| error.to_string())?;
        // A driver may panic instead of failing.
        let found = catch_unwind(AssertUnwindSafe(|| compute(device, part)));
        let found = match found {
            Ok(found) => found.map_err(|error| error.to_string())?,
            Err(panic) => return Err(format!("{} {}", part.name(), panic_message(&*panic))),
        };
        part.judge(&found, &expected)?;
    }
    Ok(())
}

/// The message of a panic, on one line.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("no message").replace('\n', " "))
}

/// A part of the computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Product,
    Softmax,
    Selection,
    Proximity,
}

impl Part {
    const ALL: [Self; 4] = [Self::Product, Self::Softmax, Self::Selection, Self::Proximity];

    fn name(self) -> &'static str {
        match self {
            Self::Product => "a product of matrices",
            Self::Softmax => "a softmax",
            Self::Selection => "a selection of rows",
            Self::Proximity => "the proximity kernel",
        }
    }

    /// Its numbers on a device. Sizes are no multiples of the tiles of kernels.
    fn on(self, device: &Device) -> Result<Vec<f32>> {
        const ROWS: usize = 37;
        const WIDTH: usize = 45;
        let rows = matrix(ROWS, WIDTH, 1, device);
        match self {
            Self::Product => read(rows.matmul(matrix(WIDTH, 29, 2, device))),
            Self::Softmax => read(log_softmax(rows * 3.0, 1)),
            Self::Selection => {
                let places: Vec<i32> = (0..50).map(|place| place * 11 % ROWS as i32).collect();
                let places = Tensor::<1, Int>::from_data(TensorData::from(&places[..]), device);
                read(rows.select(0, places))
            }
            Self::Proximity => {
                let layout = Layout::new(&[0, 2, 3], &[0, 10, 20, ROWS])?;
                let config = CreditConfig {
                    temperature: Temperature::Fixed(0.5),
                    ..CreditConfig::default()
                };
                let values = matrix(ROWS, 1, 3, device);
                read(proximity(rows, values, &layout, &config)?.means)
            }
        }
    }

    /// Compares its numbers with the CPU's. An error that is NaN is too large.
    fn judge(self, found: &[f32], expected: &[f32]) -> Result<(), String> {
        let name = self.name();
        if found.len() != expected.len() {
            return Err(format!("{name} has {} numbers of {}", found.len(), expected.len()));
        }
        let largest = expected.iter().fold(0.0, |largest: f64, &one| largest.max(one.abs().into()));
        let wrong = found.iter().zip(expected).find(|&(&found, &expected)| {
            let error = (f64::from(found) - f64::from(expected)).abs();
            error.is_nan() || error > BOUND * largest
        });
        match wrong {
            None => Ok(()),
            Some((found, expected)) => {
                Err(format!("{name} has {found} where the CPU has {expected}"))
            }
        }
    }
}

/// Numbers in [−1, 1] that look random: `[rows, columns]`.
fn matrix(rows: usize, columns: usize, seed: usize, device: &Device) -> Tensor<2> {
    let number = |place: usize| ((place * 7919 + seed * 104_729) % 2003) as f32 / 1001.0 - 1.0;
    let numbers: Vec<f32> = (0..rows * columns).map(number).collect();
    Tensor::from_data(TensorData::new(numbers, [rows, columns]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_computes_any_part_wrongly_is_found() {
        let poisons: [fn(&mut Vec<f32>); 4] = [
            |numbers| numbers[3] += 0.1,
            |numbers| numbers[0] = f32::NAN,
            |numbers| numbers.fill(0.0),
            |numbers| numbers.truncate(1),
        ];
        for wrong in Part::ALL {
            for poison in poisons {
                let poisoned = |device: &Device, part: Part| {
                    let mut numbers = part.on(device)?;
                    if part == wrong {
                        poison(&mut numbers);
                    }
                    Ok(numbers)
                };
                let message = compare(&Device::flex(), &poisoned).unwrap_err();
                assert!(message.starts_with(wrong.name()), "{message}");
            }
        }
    }

    #[test]
    fn a_driver_that_fails_or_panics_is_refused() {
        let failed = compare(&Device::flex(), &|_, _| Err(Error::Run("lost".into())));
        assert_eq!(failed.unwrap_err(), "lost");
        let panicked = compare(&Device::flex(), &|_, _| panic!("no memory"));
        assert_eq!(panicked.unwrap_err(), "a product of matrices panicked: no memory");
    }

    #[test]
    fn the_message_of_a_panic_is_reported_on_one_line() {
        let panic = |panics: fn()| panic_message(&*catch_unwind(panics).unwrap_err());
        assert_eq!(panic(|| std::panic::panic_any("a".to_string())), "panicked: a");
        assert_eq!(panic(|| std::panic::panic_any("b\nc")), "panicked: b c");
        assert_eq!(panic(|| std::panic::panic_any(3)), "panicked: no message");
    }

    #[test]
    fn auto_passes_over_gpus_that_compute_wrongly() {
        let gpus = auto_candidates(&candidates(Backend::Auto), 0, true);
        let gpus = &gpus[..gpus.len() - 1];
        let right = DeviceCheck::by(|_| Ok(())).open_among(Backend::Auto, 0, true).unwrap();
        assert_eq!(right.opened.adapter.max_invocations > 0, !gpus.is_empty());
        let wrong = DeviceCheck::by(|_| Err("a number is off".into()));
        let checked = wrong.open_among(Backend::Auto, 0, true).unwrap();
        assert_eq!(checked.opened.adapter.backend, Backend::Flex);
        let refused: Vec<&Adapter> = checked.refused.iter().map(|one| &one.adapter).collect();
        assert_eq!(refused, gpus.iter().collect::<Vec<_>>());
    }
}

//! Launch parameters: what an operation needs of [`CreditConfig`], in the precision of a device.
//!
//! Every body of an operation (WGSL, CPU, portable) reads these and nothing else of the settings.

use std::sync::Arc;

use crate::credit::{
    Beta, CreditConfig, Curve, Inclusion, Modulation, Normalize, Statistics, SuccessPrior,
    Temperature,
};
use crate::episodes::Layout;
use crate::error::{Error, Result};

/// Added to a standard deviation before it divides.
pub(super) const EPSILON: f32 = 1e-6;

/// The neighbours of every row, and how fast their weight falls with distance.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbourhood {
    pub(super) layout: Layout,
    /// Whether a row is a neighbour of itself.
    pub(super) self_weight: Inclusion,
    /// Whether the rows of a row's own episode, itself among them, are its neighbours.
    pub(super) same_episode: Inclusion,
    pub(super) temperature: f32,
}

impl Neighbourhood {
    /// The neighbourhood that `config` asks for, at its fixed temperature.
    ///
    /// # Errors
    /// Fails if a setting is out of range, or the temperature is `auto`.
    pub(super) fn of(layout: &Layout, config: &CreditConfig) -> Result<Self> {
        config.validate()?;
        let Temperature::Fixed(temperature) = config.temperature else {
            let message = "is 'auto', expected a number: only whole credit assignment chooses one";
            return Err(Error::setting("credit.temperature", message));
        };
        Ok(Self::at(layout, config, temperature))
    }

    /// The neighbourhood that a checked `config` asks for, at another temperature.
    pub(super) fn at(layout: &Layout, config: &CreditConfig, temperature: f64) -> Self {
        Self {
            layout: layout.clone(),
            self_weight: config.self_weight,
            same_episode: config.same_episode,
            temperature: temperature as f32,
        }
    }

    /// The same without the row itself.
    pub(super) fn without_itself(&self) -> Self {
        Self { self_weight: Inclusion::Exclude, ..self.clone() }
    }

    /// The neighbours of every row.
    pub(super) fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::with_capacity(self.layout.rows());
        for episodes in self.layout.group_episodes() {
            let group = self.layout.rows_of(episodes.clone());
            let (begin, end) = (group.start as u32, group.end as u32);
            for episode in episodes {
                let rows = self.layout.rows_of(episode..episode + 1);
                let own = [rows.start as u32, rows.end as u32];
                spans.extend(rows.map(|row| {
                    let row = row as u32;
                    let hole = match (self.same_episode, self.self_weight) {
                        (Inclusion::Exclude, _) => own,
                        (Inclusion::Include, Inclusion::Exclude) => [row, row + 1],
                        (Inclusion::Include, Inclusion::Include) => [row, row],
                    };
                    Span { begin, end, hole }
                }));
            }
        }
        spans
    }
}

/// The neighbours of one row: the rows from `begin` to `end`, except those from `hole[0]` to
/// `hole[1]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub begin: u32,
    pub end: u32,
    pub hole: [u32; 2],
}

impl Span {
    pub(super) fn contains(&self, row: u32) -> bool {
        (self.begin..self.end).contains(&row) && !(self.hole[0]..self.hole[1]).contains(&row)
    }

    /// As kernels read it, counted from the row `first`.
    #[cfg(feature = "wgpu")]
    pub(super) fn words(&self, first: u32) -> [u32; 4] {
        [self.begin, self.end, self.hole[0], self.hole[1]].map(|row| row - first)
    }

    /// Whether the row has no neighbours.
    pub(super) fn is_isolated(&self) -> bool {
        self.hole[1] - self.hole[0] == self.end - self.begin
    }
}

/// How the episodes of a group are compared.
#[derive(Debug, Clone, PartialEq)]
pub struct EpisodeComparison {
    pub(super) layout: Layout,
    pub(super) statistics: Statistics,
    /// Never `auto`.
    pub(super) normalize: Normalize,
    pub(super) modulation: Option<Curve>,
    pub(super) prior: Option<Beta>,
}

impl EpisodeComparison {
    /// The comparison that `config` asks for.
    ///
    /// # Errors
    /// Fails if a setting is out of range, or the prior has yet to be fitted to a batch.
    pub(super) fn of(layout: &Layout, config: &CreditConfig) -> Result<Self> {
        config.validate()?;
        let config = config.resolved();
        let prior = match config.success_prior {
            SuccessPrior::None => None,
            SuccessPrior::Beta(beta) => Some(beta),
            SuccessPrior::Fitted => {
                let message = "is 'fitted', expected 'none' or a table: only whole credit \
                               assignment fits it to a batch";
                return Err(Error::setting("credit.success_prior", message));
            }
        };
        Ok(Self {
            layout: layout.clone(),
            statistics: config.statistics,
            normalize: config.normalize,
            modulation: match config.modulation {
                Modulation::On(curve) => Some(curve),
                Modulation::Off | Modulation::Auto => None,
            },
            prior: prior.filter(|beta| beta.successes + beta.failures > 0.0),
        })
    }

    /// Values less their group's mean, nothing else.
    pub(super) fn plain(layout: Layout, normalize: Normalize) -> Self {
        let statistics = Statistics::Episode;
        Self { layout, statistics, normalize, modulation: None, prior: None }
    }

    pub(super) fn by_step(&self) -> bool {
        self.statistics == Statistics::Step
    }

    pub(super) fn scaled(&self) -> bool {
        self.normalize == Normalize::MeanStd
    }

    /// Pseudo-episodes that succeeded and that failed.
    pub(super) fn pseudo_episodes(&self) -> [f64; 2] {
        self.prior.map_or([0.0; 2], |beta| [beta.successes, beta.failures])
    }
}

/// `range / (σ(1) − ½)`, the factor of the modulation's signal.
pub(super) fn modulation_factor(curve: Curve) -> f32 {
    (curve.range / (1.0 / (1.0 + (-1f64).exp()) - 0.5)) as f32
}

/// The tokens that are scored, one a row, and the gradients that are asked for.
#[derive(Debug, Clone)]
pub struct Targets {
    tokens: Arc<[u32]>,
    /// Whether the gradient of the hidden states is computed.
    pub to_hidden: bool,
    /// Whether the gradient of the head is computed.
    pub to_head: bool,
}

impl Targets {
    /// A row without a target.
    pub const NONE: u32 = u32::MAX;

    /// One token a row, or [`Targets::NONE`].
    pub fn new(tokens: Vec<u32>) -> Self {
        Self { tokens: tokens.into(), to_hidden: true, to_head: true }
    }

    /// The same with other gradients.
    pub fn with_gradients(self, to_hidden: bool, to_head: bool) -> Self {
        Self { to_hidden, to_head, ..self }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.tokens.len()
    }

    /// The token of each row.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_the_group_without_the_row_or_its_episode() {
        use Inclusion::{Exclude, Include};
        let layout = Layout::new(&[0, 2, 3], &[0, 2, 3, 4]).unwrap();
        let spans = |self_weight, same_episode| {
            let config = CreditConfig { self_weight, same_episode, ..CreditConfig::default() };
            Neighbourhood::of(&layout, &config).unwrap().spans()
        };
        let rows = |span: &Span| (0..4).filter(|&row| span.contains(row)).collect::<Vec<u32>>();
        let all = spans(Include, Include);
        assert_eq!(
            all.iter().map(rows).collect::<Vec<_>>()[1..],
            [vec![0, 1, 2], vec![0, 1, 2], vec![3]]
        );
        let others = spans(Exclude, Include);
        assert_eq!(rows(&others[1]), [0, 2]);
        assert!(others[3].is_isolated() && !others[2].is_isolated());
        let episodes = spans(Include, Exclude);
        assert_eq!((rows(&episodes[0]), rows(&episodes[2])), (vec![2], vec![0, 1]));
        assert!(episodes[3].is_isolated());
        assert_eq!(spans(Exclude, Exclude), episodes);
    }

    #[test]
    fn settings_that_need_a_batch_are_refused_by_key() {
        let layout = Layout::of_groups(&[0, 1]).unwrap();
        let config = CreditConfig {
            temperature: Temperature::Auto,
            success_prior: SuccessPrior::Fitted,
            ..CreditConfig::default()
        };
        let error = Neighbourhood::of(&layout, &config).unwrap_err().to_string();
        assert!(error.starts_with("setting 'credit.temperature': is 'auto'"), "{error}");
        let error = EpisodeComparison::of(&layout, &config).unwrap_err().to_string();
        assert!(error.starts_with("setting 'credit.success_prior': is 'fitted'"), "{error}");
    }
}

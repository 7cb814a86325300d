//! Which engine assigns credit: the host's, in 64 bits, or the device's kernels.

use std::fmt;

use burn::tensor::Device;

use crate::credit::{CreditConfig, Embedding, Engine, Estimator};
use crate::device;
use crate::error::{Error, Result};

/// Why the device engine cannot run a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsupported {
    /// The estimator's step part or normalization has no kernel.
    Estimator(Estimator),
    /// The estimator compares embeddings, and these are computed on the host.
    Embedding(Embedding),
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Estimator(estimator) => write!(
                f,
                "estimator '{estimator}' has no kernels; those of proxmo, gigpo, grpo, dr-grpo and \
                 rloo do"
            ),
            Self::Embedding(_) => f.write_str(
                "the embeddings are computed on the host; with credit.embedding = \"policy\" they are \
                 on the device",
            ),
        }
    }
}

/// Why the kernels cannot express `config`, given embeddings on the device; `None` if they can.
///
/// They express ProxMO (with a fixed or automatic temperature), GiGPO (clusters of equal or similar
/// observations are found on the host, and their means computed on the device), GRPO, Dr. GRPO and RLOO,
/// with every setting of the episode part.
pub fn unsupported(config: &CreditConfig) -> Option<Unsupported> {
    match config.estimator {
        Estimator::Proxmo
        | Estimator::Gigpo
        | Estimator::Grpo
        | Estimator::DrGrpo
        | Estimator::Rloo => None,
        Estimator::Hgpo
        | Estimator::G2po
        | Estimator::Graphgpo
        | Estimator::ReinforcePp
        | Estimator::ReinforcePpBaseline
        | Estimator::Ppo => Some(Unsupported::Estimator(config.estimator)),
    }
}

/// Why training cannot run `config` on the device; `None` if it can.
fn unsupported_in_training(config: &CreditConfig) -> Option<Unsupported> {
    let embeds = config.estimator == Estimator::Proxmo;
    unsupported(config).or_else(|| {
        let on_host = embeds && config.embedding != Embedding::Policy;
        on_host.then_some(Unsupported::Embedding(config.embedding))
    })
}

/// Checks that training can follow `credit.engine` and `credit.embedding`.
///
/// # Errors
/// Fails if `credit.engine` is `device` and the device engine cannot run the settings, and gives the
/// reason. Fails if `credit.embedding` is `given`, which is for episode files.
pub fn check_training(config: &CreditConfig) -> Result<()> {
    if config.embedding == Embedding::Given {
        let message = "is 'given', but only episode files give vectors; in training expected \
                       'policy' (the policy's own encoder), 'tfidf' or 'hashed'";
        return Err(Error::setting("credit.embedding", message));
    }
    match (config.engine, unsupported_in_training(config)) {
        (Engine::Device, Some(reason)) => {
            Err(Error::setting("credit.engine", format!("is 'device', but {reason}")))
        }
        _ => Ok(()),
    }
}

/// The engine that assigns credit in training with the policy on `device`: [`Engine::Host`] or
/// [`Engine::Device`].
///
/// `auto` takes the engine that was measured to be faster. The bench `credit_engine` measures both, from
/// embeddings of width 64 on the device to [`Credit`] on the host, for an iteration of 16 groups of 8
/// episodes of 30 steps and for one of 32 × 16 × 50 (milliseconds; 2 shared CPU cores, no hardware GPU):
///
/// | backend | 16 × 8 × 30: host | device | 32 × 16 × 50: host | device | `auto` |
/// |---|---|---|---|---|---|
/// | flex | 33 | 6.6 | 860 | 170 | device |
/// | Vulkan on llvmpipe (software) | 22 | 140 | 520 | 3,900 | host |
/// | OpenGL on llvmpipe (software) | 42 | 300 | 300 | 5,600 | host |
///
/// On a CPU backend the device engine computes in 32 bits with the backend's matrix products. A software
/// GPU computes slowly, and reading its memory back is cheap. A hardware GPU was not measured: `auto`
/// takes its device engine, because the embeddings are there and the work is that of one forward pass.
/// Without embeddings on a device (other estimators than ProxMO, and other embeddings than the policy's)
/// `auto` takes the host.
///
/// [`Credit`]: crate::credit::Credit
///
/// # Errors
/// As [`check_training`].
pub fn choose_engine(config: &CreditConfig, device: &Device) -> Result<Engine> {
    check_training(config)?;
    let embeds = config.estimator == Estimator::Proxmo;
    Ok(match config.engine {
        Engine::Auto if !embeds || unsupported_in_training(config).is_some() => Engine::Host,
        Engine::Auto if device::is_software_gpu(device) => Engine::Host,
        Engine::Auto => Engine::Device,
        chosen => chosen,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(estimator: Estimator, embedding: Embedding, engine: Engine) -> CreditConfig {
        CreditConfig { estimator, embedding, engine, ..CreditConfig::default() }
    }

    #[test]
    fn the_device_engine_says_what_it_cannot_run() {
        let message = |estimator, embedding| {
            check_training(&config(estimator, embedding, Engine::Device)).unwrap_err().to_string()
        };
        let hgpo = message(Estimator::Hgpo, Embedding::Policy);
        assert!(hgpo.starts_with("setting 'credit.engine': is 'device', but estimator 'hgpo'"));
        let given = message(Estimator::Proxmo, Embedding::Given);
        assert!(given.contains("is 'given'") && given.contains("expected 'policy'"), "{given}");
        let tfidf = message(Estimator::Proxmo, Embedding::Tfidf);
        assert!(tfidf.contains("computed on the host; with credit.embedding = \"policy\""));
        check_training(&config(Estimator::Proxmo, Embedding::Policy, Engine::Device)).unwrap();
        check_training(&config(Estimator::Grpo, Embedding::Tfidf, Engine::Device)).unwrap();
        check_training(&config(Estimator::Hgpo, Embedding::Tfidf, Engine::Auto)).unwrap();
    }

    #[test]
    fn auto_takes_the_device_on_a_cpu_if_embeddings_are_there() {
        let cpu = Device::flex();
        let tfidf = config(Estimator::Proxmo, Embedding::Tfidf, Engine::Auto);
        assert_eq!(choose_engine(&tfidf, &cpu).unwrap(), Engine::Host);
        let grpo = config(Estimator::Grpo, Embedding::Policy, Engine::Auto);
        assert_eq!(choose_engine(&grpo, &cpu).unwrap(), Engine::Host);
        for (engine, expected) in [
            (Engine::Auto, Engine::Device),
            (Engine::Host, Engine::Host),
            (Engine::Device, Engine::Device),
        ] {
            let config = config(Estimator::Proxmo, Embedding::Policy, engine);
            assert_eq!(choose_engine(&config, &cpu).unwrap(), expected);
            assert_eq!(choose_engine(&config, &cpu.clone().autodiff()).unwrap(), expected);
        }
    }
}

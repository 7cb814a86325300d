//! Log-probabilities and entropies of tokens, and their gradients.

/// Hidden states, an output head, and a target a row.
#[derive(Debug, Clone)]
pub struct TokenCase {
    /// What the case tests.
    pub name: String,
    /// The length of a hidden state.
    pub width: usize,
    /// `[rows, width]`
    pub hidden: Vec<f32>,
    /// `[vocabulary, width]`
    pub head: Vec<f32>,
    /// `[rows]`
    pub targets: Vec<u32>,
}

/// The expected scores of a case. Builds the matrix of logits.
#[derive(Debug)]
pub struct TokenOracle {
    /// `[rows]`
    pub log_probs: Vec<f64>,
    /// `[rows]`
    pub entropies: Vec<f64>,
    /// The logarithm of the softmax: `[rows, vocabulary]`.
    log_softmax: Vec<f64>,
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

impl TokenCase {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.targets.len()
    }

    /// The number of tokens.
    pub fn vocabulary(&self) -> usize {
        self.head.len() / self.width
    }

    /// The largest magnitude of a finite logit, or 1.
    pub fn largest_logit(&self) -> f64 {
        let logits = self.logits();
        let finite = logits.iter().filter(|logit| logit.is_finite());
        finite.fold(1.0, |most, logit| most.max(logit.abs()))
    }

    /// The product of hidden states and head: `[rows, vocabulary]`.
    pub fn logits(&self) -> Vec<f64> {
        let (hidden, head) = (wide(&self.hidden), wide(&self.head));
        let rows = hidden.chunks_exact(self.width);
        let products = rows.flat_map(|row| {
            let tokens = head.chunks_exact(self.width);
            tokens.map(move |token| row.iter().zip(token).map(|(a, b)| a * b).sum())
        });
        products.collect()
    }
}

impl TokenOracle {
    /// The scores of a case.
    pub fn of(case: &TokenCase) -> Self {
        let vocabulary = case.vocabulary();
        let mut oracle =
            Self { log_probs: Vec::new(), entropies: Vec::new(), log_softmax: Vec::new() };
        for (logits, &target) in case.logits().chunks_exact(vocabulary).zip(&case.targets) {
            if logits.iter().any(|logit| !logit.is_finite()) {
                oracle.log_probs.push(f64::NAN);
                oracle.entropies.push(f64::NAN);
                oracle.log_softmax.extend(vec![f64::NAN; vocabulary]);
                continue;
            }
            let greatest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = logits.iter().map(|logit| (logit - greatest).exp()).sum();
            let log_probs = logits.iter().map(|logit| logit - greatest - total.ln());
            let log_probs: Vec<f64> = log_probs.collect();
            oracle.log_probs.push(log_probs[target as usize]);
            oracle.entropies.push(-log_probs.iter().map(|log_p| log_p.exp() * log_p).sum::<f64>());
            oracle.log_softmax.extend(log_probs);
        }
        oracle
    }

    /// The gradients of `Σ a · log_probs + Σ b · entropies` with respect to hidden states and head.
    pub fn gradients(&self, case: &TokenCase, a: &[f32], b: &[f32]) -> (Vec<f64>, Vec<f64>) {
        let (width, vocabulary) = (case.width, case.vocabulary());
        let (hidden, head) = (wide(&case.hidden), wide(&case.head));
        let (mut to_hidden, mut to_head) = (vec![0.0; hidden.len()], vec![0.0; head.len()]);
        for row in 0..case.rows() {
            let (a, b) = (f64::from(a[row]), f64::from(b[row]));
            for token in 0..vocabulary {
                let log_p = self.log_softmax[row * vocabulary + token];
                let own = if case.targets[row] as usize == token { 1.0 } else { 0.0 };
                let p = log_p.exp();
                let slope = a * (own - p) - b * p * (log_p + self.entropies[row]);
                for k in 0..width {
                    to_hidden[row * width + k] += slope * head[token * width + k];
                    to_head[token * width + k] += slope * hidden[row * width + k];
                }
            }
        }
        (to_hidden, to_head)
    }
}

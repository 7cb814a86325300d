//! The texts of the shaders: their files, with the numbers of each variant filled in.

/// A shader as it is launched, its template filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shader {
    /// The file's name, and what the template was filled with.
    pub name: String,
    /// WGSL.
    pub source: String,
}

impl Shader {
    fn new(name: &str, source: String) -> Self {
        Self { name: name.to_string(), source }
    }

    /// The name as that of a file, without an extension.
    pub fn file_name(&self) -> String {
        file_name(&self.name)
    }
}

/// The name of a shader as that of a file, without an extension.
pub(crate) fn file_name(shader: &str) -> String {
    let words = shader.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
}

/// Every shader, in every variant that a device can be given.
pub fn shaders() -> Vec<Shader> {
    let mut shaders = vec![
        Shader::new("proximity_rows", proximity_rows()),
        Shader::new("proximity_gradient_rows", proximity_gradient_rows()),
        Shader::new("returns", returns()),
        Shader::new("modulation", modulation()),
        Shader::new("token_log_probs_rows", token_log_probs_rows()),
    ];
    for side in [8, 16] {
        for chunk in [1, 2, 4, 8] {
            let name = format!("proximity (side {side}, chunk {chunk})");
            shaders.push(Shader::new(&name, proximity(side, chunk)));
        }
        let mut add = |name: &str, source| {
            shaders.push(Shader::new(&format!("{name} (side {side})"), source));
        };
        add("proximity_gradient", proximity_gradient(side));
        add("token_log_probs", token_log_probs(side));
        add("token_log_probs_gradient", token_log_probs_gradient(side));
    }
    shaders
}

/// A shader's file and those that it includes. Declarations may come in any order in WGSL, so the header
/// of the first stays on top.
macro_rules! files {
    ($file:literal $(+ $include:literal)*) => {
        concat!(
            include_str!(concat!("../../shaders/", $file, ".wgsl")),
            $("\n", include_str!(concat!("../../shaders/", $include, ".wgsl")),)*
        )
    };
}

/// The template with numbers in the place of their names.
fn filled(template: &str, numbers: &[(&str, usize)]) -> String {
    numbers.iter().fold(template.to_string(), |text, (name, number)| {
        text.replace(&format!("{{{{ {name} }}}}"), &number.to_string())
    })
}

/// [`filled`] with the sizes that the tiled kernels share: 16 columns of 4 rows an invocation, padded by
/// one.
fn tiled(template: &str, side: usize, numbers: &[(&str, usize)]) -> String {
    filled(&filled(template, &[("side", side), ("slots", 16 * (side + 1))]), numbers)
}

pub(super) fn proximity_rows() -> String {
    files!("proximity_rows" + "bits").into()
}

pub(super) fn proximity(side: usize, chunk: usize) -> String {
    let numbers = [("chunk", chunk), ("weighed", chunk * side)];
    tiled(files!("proximity" + "pairs" + "tile"), side, &numbers)
}

pub(super) fn proximity_gradient_rows() -> String {
    files!("proximity_gradient_rows" + "bits").into()
}

pub(super) fn proximity_gradient(side: usize) -> String {
    let numbers = [("pairs", 4 * side * (side + 1))];
    tiled(files!("proximity_gradient" + "pairs" + "tile"), side, &numbers)
}

pub(super) fn returns() -> String {
    files!("returns" + "bits").into()
}

pub(super) fn modulation() -> String {
    files!("modulation" + "bits").into()
}

pub(super) fn token_log_probs(side: usize) -> String {
    tiled(files!("token_log_probs" + "logits" + "tile" + "bits"), side, &[])
}

pub(super) fn token_log_probs_rows() -> String {
    files!("token_log_probs_rows").into()
}

pub(super) fn token_log_probs_gradient(side: usize) -> String {
    tiled(files!("token_log_probs_gradient" + "logits" + "tile" + "bits"), side, &[])
}

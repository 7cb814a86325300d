//! The shaders, and runs of them with their expected results, as files for the checks outside Rust
//! (`checks/run`), which translate them and run them on another WebGPU.

use std::collections::BTreeMap;
use std::path::Path;

use proxmo::kernels::shaders;
use proxmo::verify::shader_runs;

#[test]
fn shaders_and_runs_of_all_of_them_are_written_for_the_checks_outside() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shaders");
    std::fs::remove_dir_all(&folder).ok();
    std::fs::create_dir_all(&folder).unwrap();
    let runs = shader_runs().unwrap();
    let mut used: BTreeMap<String, usize> = BTreeMap::new();
    for pass in runs.iter().flat_map(|run| run["passes"].as_array().unwrap()) {
        *used.entry(pass["shader"].as_str().unwrap().to_string()).or_default() += 1;
    }
    for shader in shaders() {
        let name = shader.file_name();
        assert!(used.remove(&name).is_some(), "no run uses {name}");
        std::fs::write(folder.join(format!("{name}.wgsl")), shader.source).unwrap();
    }
    assert!(used.is_empty(), "runs use shaders that are not there: {used:?}");
    std::fs::write(folder.join("runs.json"), serde_json::to_vec(&runs).unwrap()).unwrap();
}

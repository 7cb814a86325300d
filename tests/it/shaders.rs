//! Every shader as it is launched, held against what core WebGPU grants to all.

use proxmo::kernels::{Shader, shaders};
use regex::Regex;

const WORKGROUP_MEMORY: usize = 16 << 10;
const INVOCATIONS: usize = 256;
const STORAGE_BUFFERS: usize = 8;

fn number(text: &str) -> usize {
    text.trim_end_matches('u').parse().unwrap()
}

/// The sizes of the types that stand in workgroup memory.
fn size(of: &str, source: &str) -> usize {
    match of {
        "f32" | "u32" => 4,
        "vec2<u32>" => 8,
        "vec4<f32>" | "vec4<u32>" => 16,
        name => {
            let body = Regex::new(&format!(r"struct {name} \{{([^}}]*)\}}")).unwrap();
            let body = body.captures(source).unwrap_or_else(|| panic!("{name} is of unknown size"));
            let members = Regex::new(r": ([a-z0-9<>]+),").unwrap();
            members.captures_iter(&body[1]).map(|member| size(&member[1], source)).sum()
        }
    }
}

fn workgroup_memory(source: &str) -> usize {
    let variables = Regex::new(r"var<workgroup> \w+: (?:array<(.+), (\d+)>|(.+));").unwrap();
    let sizes = variables.captures_iter(source).map(|variable| match variable.get(1) {
        Some(element) => size(element.as_str(), source) * number(&variable[2]),
        None => size(&variable[3], source),
    });
    sizes.sum()
}

#[test]
fn shaders_keep_within_the_limits_of_core_webgpu() {
    let workgroup = Regex::new(r"@workgroup_size\((\d+), (\d+), (\d+)\)").unwrap();
    let all = shaders();
    assert!(all.len() >= 6);
    for Shader { name, source } in &all {
        let sides = workgroup.captures(source).unwrap_or_else(|| panic!("{name} has no workgroup"));
        let invocations: usize = (1..=3).map(|side| number(&sides[side])).product();
        assert!(invocations <= INVOCATIONS, "{name} has {invocations} invocations");
        let buffers = source.matches("var<storage, read_write>").count();
        assert!(buffers < STORAGE_BUFFERS, "{name} has {buffers} buffers");
        assert_eq!(source.matches("var<storage").count(), buffers, "{name} binds one read only");
        assert_eq!(source.matches("var<uniform>").count(), 1, "{name}");
        let memory = workgroup_memory(source);
        // The large variant of the gradients goes to devices with room for it.
        let room = if name == "proximity_gradient (side 16)" { 2 } else { 1 } * WORKGROUP_MEMORY;
        assert!(memory <= room, "{name} has {memory} bytes of workgroup memory");
        let code: String = source.lines().filter_map(|line| line.split("//").next()).collect();
        for extra in ["enable ", "requires ", "subgroup", "f16", "atomic", "{{"] {
            assert!(!code.contains(extra), "{name} has '{extra}'");
        }
    }
}

#[test]
fn shaders_say_what_they_compute() {
    for Shader { name, source } in shaders() {
        let header: Vec<&str> = source.lines().take_while(|line| line.starts_with("//")).collect();
        let header = header.join("\n");
        for word in ["Shapes ", "Result", "Limits "] {
            assert!(header.contains(word), "{name}'s header lacks '{}'", word.trim());
        }
    }
}

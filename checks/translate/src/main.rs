//! `translate SHADERS OUT`: every WGSL file of a folder as SPIR-V, HLSL, GLSL and MSL.
//!
//! Each shader must pass naga's validator with the features of core WebGPU. It is written twice: `plain`,
//! as wgpu launches it for burn natively, and `guarded`, with bounds checks and zeroed workgroup memory,
//! as wgpu launches shaders that it does not trust.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use naga::back::{glsl, hlsl, msl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{Module, ShaderStage};

/// The entry point of every shader.
const ENTRY: &str = "main";

type Done<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [shaders, out] = &arguments[..] else {
        eprintln!("usage: translate SHADERS OUT");
        return ExitCode::from(2);
    };
    match translate_all(shaders, out) {
        Ok(0) => {
            eprintln!("there is no .wgsl file in {}", shaders.display());
            ExitCode::from(2)
        }
        Ok(count) => {
            println!("{count} shaders are valid and were translated to SPIR-V, HLSL, GLSL and MSL");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn translate_all(shaders: &Path, out: &Path) -> Done<usize> {
    fs::create_dir_all(out)?;
    let mut files: Vec<PathBuf> =
        fs::read_dir(shaders)?.map(|file| Ok(file?.path())).collect::<Done<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "wgsl"));
    files.sort();
    for file in &files {
        let source = fs::read_to_string(file)?;
        let failed = |error: Box<dyn Error>| format!("{}: {error}", file.display());
        let (module, info) = valid(&source).map_err(failed)?;
        for guarded in [false, true] {
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            let target = out.join(format!("{name}.{}", if guarded { "guarded" } else { "plain" }));
            write(&module, &info, guarded, &target).map_err(failed)?;
        }
    }
    Ok(files.len())
}

/// The shader, if it keeps to core WebGPU.
fn valid(source: &str) -> Done<(Module, ModuleInfo)> {
    let module =
        naga::front::wgsl::parse_str(source).map_err(|error| error.emit_to_string(source))?;
    let info = Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(&module)
        .map_err(|error| error.emit_to_string(source))?;
    match &module.entry_points[..] {
        [only] if only.name == ENTRY && only.stage == ShaderStage::Compute => Ok((module, info)),
        _ => Err(format!("expected one compute entry point named {ENTRY}").into()),
    }
}

/// Writes a shader in every language, beside `target`.
fn write(module: &Module, info: &ModuleInfo, guarded: bool, target: &Path) -> Done<()> {
    let save = |extension: &str, text: &[u8]| {
        let mut name = target.as_os_str().to_owned();
        name.push(extension);
        fs::write(name, text)
    };
    let policy = if guarded { BoundsCheckPolicy::Restrict } else { BoundsCheckPolicy::Unchecked };
    let policies = BoundsCheckPolicies {
        index: policy,
        buffer: policy,
        image_load: policy,
        binding_array: policy,
    };
    save(".spv", &spirv(module, info, guarded, policies)?)?;
    save(".hlsl", hlsl(module, info, guarded)?.as_bytes())?;
    save(".metal", metal(module, info, guarded, policies)?.as_bytes())?;
    // What OpenGL ES and what desktops speak.
    let embedded = glsl::Version::Embedded { version: 310, is_webgl: false };
    save(".es.comp", glsl(module, info, guarded, policies, embedded)?.as_bytes())?;
    let desktop = glsl::Version::Desktop(430);
    save(".gl.comp", glsl(module, info, guarded, policies, desktop)?.as_bytes())?;
    Ok(())
}

fn spirv(
    module: &Module,
    info: &ModuleInfo,
    guarded: bool,
    bounds_check_policies: BoundsCheckPolicies,
) -> Done<Vec<u8>> {
    let zeroed = match guarded {
        true => spv::ZeroInitializeWorkgroupMemoryMode::Polyfill,
        false => spv::ZeroInitializeWorkgroupMemoryMode::None,
    };
    let options = spv::Options {
        bounds_check_policies,
        zero_initialize_workgroup_memory: zeroed,
        force_loop_bounding: guarded,
        ..spv::Options::default()
    };
    let entry =
        spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: ENTRY.into() };
    let words = spv::write_vec(module, info, &options, Some(&entry))?;
    Ok(words.iter().flat_map(|word| word.to_le_bytes()).collect())
}

fn hlsl(module: &Module, info: &ModuleInfo, guarded: bool) -> Done<String> {
    let options = hlsl::Options {
        shader_model: hlsl::ShaderModel::V6_0,
        fake_missing_bindings: true,
        zero_initialize_workgroup_memory: guarded,
        restrict_indexing: guarded,
        force_loop_bounding: guarded,
        ..hlsl::Options::default()
    };
    let mut text = String::new();
    let entry = hlsl::PipelineOptions::default();
    let written = hlsl::Writer::new(&mut text, &options, &entry).write(module, info, None)?;
    match &written.entry_point_names[..] {
        [Ok(name)] if name == ENTRY => Ok(text),
        names => Err(format!("in HLSL the entry point is called {names:?}").into()),
    }
}

fn metal(
    module: &Module,
    info: &ModuleInfo,
    guarded: bool,
    bounds_check_policies: BoundsCheckPolicies,
) -> Done<String> {
    let options = msl::Options {
        lang_version: (2, 4),
        fake_missing_bindings: true,
        bounds_check_policies,
        zero_initialize_workgroup_memory: guarded,
        force_loop_bounding: guarded,
        ..msl::Options::default()
    };
    let entry = msl::PipelineOptions::default();
    let (text, written) = msl::write_string(module, info, &options, &entry)?;
    for name in written.entry_point_names {
        name?;
    }
    Ok(text)
}

fn glsl(
    module: &Module,
    info: &ModuleInfo,
    guarded: bool,
    policies: BoundsCheckPolicies,
    version: glsl::Version,
) -> Done<String> {
    let options = glsl::Options {
        version,
        zero_initialize_workgroup_memory: guarded,
        ..glsl::Options::default()
    };
    let entry = glsl::PipelineOptions {
        shader_stage: ShaderStage::Compute,
        entry_point: ENTRY.into(),
        multiview: None,
    };
    let mut text = String::new();
    glsl::Writer::new(&mut text, module, info, &options, &entry, policies)?.write()?;
    Ok(text)
}

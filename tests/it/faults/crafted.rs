//! Crafted checkpoints: their checksums are right, their content is not.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::tensor::{Bytes, DType, Shape};
use burn_pack::{Reader, Scalar, Tensor, Writer};
use proxmo::runs::checkpoint;
use serde_json::{Value, json};

use super::checkpoints::{load, three_checkpoints};
use crate::support::checkpoint::replace;

/// The error of a checkpoint with a changed file. The file is restored afterwards.
fn refused(folder: &Path, name: &str, change: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let whole = fs::read(folder.join(name)).unwrap();
    load(folder).unwrap();
    replace(folder, name, &change(&whole));
    let error = load(folder).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    assert!(error.to_string().contains(name), "{error}");
    replace(folder, name, &whole);
    error.to_string()
}

/// A safetensors file with its header changed.
fn with_header(file: &[u8], change: impl FnOnce(&mut Value, &mut Vec<u8>)) -> Vec<u8> {
    let end = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&file[8..end]).unwrap();
    let mut data = file[end..].to_vec();
    change(&mut header, &mut data);
    let header = header.to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
}

#[test]
fn weights_with_invalid_tensors_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let newest = checkpoint::folder(&three_checkpoints(folder.path()), 4);
    for file in ["weights.safetensors", "reference.safetensors"] {
        let refused = |change: &dyn Fn(&mut Value, &mut Vec<u8>)| {
            refused(&newest, file, |whole| with_header(whole, change))
        };
        let bias = "network.state_bias";
        let said = refused(&|_, data| data[..4].copy_from_slice(&f32::NAN.to_le_bytes()));
        assert!(said.contains("holds NaN, expected finite values"), "{said}");
        let said = refused(&|header, _| header[bias]["dtype"] = json!("I32"));
        assert!(said.contains(&format!("weight '{bias}' is of type I32, expected F32")), "{said}");
        // Half as many values of twice the size.
        let said = refused(&|header, _| {
            header[bias]["dtype"] = json!("F64");
            header[bias]["shape"] = json!([4]);
        });
        assert!(said.contains("is of type F64"), "{said}");
        let said = refused(&|header, _| header[bias]["shape"] = json!([2, 4]));
        assert!(said.contains("network.state_bias"), "{said}");
        let said = refused(&|header, _| header[bias]["data_offsets"] = json!([0, u64::MAX]));
        assert!(said.contains(file), "{said}");
        let said = refused(&|header, _| {
            let weight = header.as_object_mut().unwrap().remove(bias).unwrap();
            header["network.other_bias"] = weight;
        });
        assert!(said.contains("network."), "{said}");
    }
    // A header that claims to be far longer than the file.
    let said = refused(&newest, "weights.safetensors", |_| vec![0xff; 64]);
    assert!(said.contains("weights.safetensors"), "{said}");
    load(&newest).unwrap();
}

type Parts = (String, DType, Shape, Option<u64>, Bytes);

/// An optimizer's file with its scalars and tensors changed.
fn repacked(
    file: &[u8],
    change: impl FnOnce(&mut BTreeMap<String, Scalar>, &mut Vec<Parts>),
) -> Vec<u8> {
    let reader = Reader::from_bytes(Bytes::from_bytes_vec(file.to_vec())).unwrap();
    let (mut scalars, metadata) = (reader.scalars().clone(), reader.metadata().clone());
    let tensors = reader.into_tensors().unwrap().into_iter();
    let mut tensors: Vec<Parts> = tensors.map(|one| one.into_parts().unwrap()).collect();
    change(&mut scalars, &mut tensors);
    let tensors = tensors.into_iter().map(|(name, dtype, shape, parameter, bytes)| {
        Tensor::new(name, dtype, shape, parameter, bytes)
    });
    let mut writer = Writer::new(tensors.collect());
    for (key, value) in scalars {
        writer = writer.with_scalar(&key, value);
    }
    for (key, value) in &metadata {
        writer = writer.with_metadata(key, value);
    }
    writer.into_bytes().unwrap().to_vec()
}

#[test]
fn an_optimizer_state_of_another_policy_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let newest = checkpoint::folder(&three_checkpoints(folder.path()), 4);
    type Change = fn(&mut BTreeMap<String, Scalar>, &mut Vec<Parts>);
    let cases: [(Change, &str); 12] = [
        (|_, tensors| tensors[0].3 = None, "names parameter None"),
        (|_, tensors| tensors[0].3 = Some(2), "names parameter Some(2)"),
        (
            |_, tensors| tensors[0].0 = "99.momentum.moment_1".into(),
            "does not belong to a parameter",
        ),
        (|_, tensors| tensors[0].0 = "moment".into(), "\"moment\" does not belong to a parameter"),
        (|_, tensors| tensors[0].2 = Shape::from([1, tensors[0].4.len() / 4]), "has the shape"),
        (|_, tensors| tensors[0].1 = DType::I32, "is of type I32, expected F32"),
        (
            |_, tensors| {
                let mut bytes = tensors[0].4.to_vec();
                bytes[..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
                tensors[0].4 = Bytes::from_bytes_vec(bytes);
            },
            "holds inf",
        ),
        (|scalars, _| _ = scalars.insert("1.__rank".into(), Scalar::UInt(77)), "out of range"),
        (|scalars, _| _ = scalars.insert("1.__rank".into(), Scalar::UInt(1)), "out of range"),
        (|scalars, _| _ = scalars.insert("55.__rank".into(), Scalar::UInt(2)), "does not belong"),
        (
            |scalars, _| _ = scalars.insert("1.momentum.time".into(), Scalar::Int(-1)),
            "\"1.momentum.time\" is Int(-1), which is out of range",
        ),
        (|_, tensors| drop(tensors.pop()), "tensors fit this optimizer"),
    ];
    for (change, says) in cases {
        let said = refused(&newest, "optimizer.bpk", |whole| repacked(whole, change));
        assert!(said.contains(says), "{said} does not say {says}");
    }
    load(&newest).unwrap();
}

#[test]
fn invalid_states_and_policy_descriptions_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let newest = checkpoint::folder(&three_checkpoints(folder.path()), 4);
    let changed = |name: &str, change: &dyn Fn(&mut Value)| {
        refused(&newest, name, |whole| {
            let mut value: Value = serde_json::from_slice(whole).unwrap();
            change(&mut value);
            value.to_string().into_bytes()
        })
    };
    let said = changed("state.json", &|state| state["iteration"] = json!(5));
    assert!(said.contains("has iteration 5, its folder is named 000004"), "{said}");
    let said = changed("state.json", &|state| state["elapsed"] = json!(-1.0));
    assert!(said.contains("elapsed is -1"), "{said}");
    let said = changed("state.json", &|state| state["more"] = json!(1));
    assert!(said.contains("unknown field `more`"), "{said}");
    let said =
        changed("policy.json", &|policy| policy["spec"]["size"]["hidden"] = json!(1_u64 << 40));
    assert!(said.contains("'size.hidden'"), "{said}");
    let said = changed("policy.json", &|policy| policy["spec"]["size"]["hidden"] = json!(2048));
    assert!(said.contains("bytes of weights"), "{said}");
    let said = changed("policy.json", &|policy| policy["kind"] = json!("oracle"));
    assert!(said.contains("policy kind 'oracle' is unknown"), "{said}");
}

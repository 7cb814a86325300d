//! Proximity as one scan over all rows, to measure the gain of scanning only a row's group.

use burn::backend::Cube;
use burn::backend::DispatchTensorKind;
use burn::backend::ops::FloatTensorOps;
use burn::backend::wgpu::{
    CubeTensor, KernelSource, SourceKernel, SourceTemplate, into_contiguous,
};
use burn::tensor::{Shape, Tensor};
use cubecl::prelude::KernelId;
use cubecl::server::{KernelArguments, MetadataBindingInfo};
use cubecl::{CubeCount, CubeDim};

#[derive(Debug)]
struct Scan;

impl KernelSource for Scan {
    fn source(&self) -> SourceTemplate {
        SourceTemplate::new(include_str!("scan.wgsl"))
    }

    fn id(&self) -> KernelId {
        KernelId::new::<Self>()
    }

    fn lang(&self) -> &'static str {
        "wgsl"
    }
}

fn primitive<const D: usize>(tensor: &Tensor<D>) -> CubeTensor {
    match tensor.clone().into_dispatch().kind {
        DispatchTensorKind::Cube(tensor) => into_contiguous(tensor.float()),
        _ => panic!("the scan runs on a GPU"),
    }
}

/// The means of one column of values, from embeddings of unit length and each row's group.
pub fn scan(
    unit: &Tensor<2>,
    values: &Tensor<2>,
    group_of: &Tensor<1>,
    temperature: f32,
) -> Vec<f32> {
    let [rows, width] = unit.dims();
    let (unit, values, group_of) = (primitive(unit), primitive(values), primitive(group_of));
    let memory = unit.client.empty(4 * rows);
    let (client, device) = (unit.client.clone(), unit.device.clone());
    let means = CubeTensor::new_contiguous(client, device, Shape::from([rows]), memory, unit.dtype);
    let buffers = [&unit, &values, &group_of, &means];
    let buffers = buffers.map(|tensor| tensor.handle.clone().binding());
    let parameters = MetadataBindingInfo::custom(vec![
        rows as u64 | (width as u64) << 32,
        u64::from(temperature.recip().to_bits()),
    ]);
    unit.client.launch(
        Box::new(SourceKernel::new(Scan, CubeDim::new_2d(16, 16))),
        CubeCount::Static(rows.div_ceil(16) as u32, 1, 1),
        KernelArguments::new().with_buffers(buffers.into()).with_info(parameters),
    );
    let data = pollster::block_on(<Cube as FloatTensorOps<Cube>>::float_into_data(means));
    data.expect("the device answers").try_into_vec().expect("the means are 32 bits wide")
}

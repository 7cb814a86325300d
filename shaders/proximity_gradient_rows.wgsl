// Each row's terms in the proximity gradients.
//
// Result     terms, five numbers a row:
//     power, factor    as in proximity_rows.wgsl, but the factor is −1 for a row whose gradients are NaN
//     nearest, inverse the state that the forward kernel wrote, (0, 0) for such a row
//     expected         Σ_c g_c b_c, the gradient along the row's own means, 0 for such a row
//
// Shapes     the gradient [rows, columns] as bits, means [rows, columns],
//            scales [rows, 2] of proximity_rows.wgsl, state [rows, 2] of proximity.wgsl. A launch
//            takes a window of rows from `first` on; scales and terms hold the window alone.
// Work       64 rows a workgroup, one invocation a row. Grids are folded into x and y.
// Limits     core WebGPU: 64 invocations, no workgroup memory, 5 storage buffers.
// Includes   bits.wgsl

struct Params {
    rows: u32,
    columns: u32,
    first: u32,
}

@group(0) @binding(0) var<storage, read_write> scales: array<f32>;   // [rows, 2]
@group(0) @binding(1) var<storage, read_write> state: array<f32>;    // [rows, 2]
@group(0) @binding(2) var<storage, read_write> means: array<f32>;    // [rows, columns]
@group(0) @binding(3) var<storage, read_write> gradient: array<u32>; // [rows, columns], bits
@group(0) @binding(4) var<storage, read_write> terms: array<f32>;    // [rows, 5]
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let row = (group.y * groups.x + group.x) * 64u + local.x;
    if (row >= params.rows) {
        return;
    }
    let place = params.first + row;
    let inverse = state[2u * place + 1u];
    var finite = inverse >= 0.0;
    var expected = 0.0;
    if (finite) {
        for (var c = 0u; c < params.columns; c++) {
            let bits = gradient[place * params.columns + c];
            finite = finite && is_finite(bits);
            expected += bitcast<f32>(bits) * means[place * params.columns + c];
        }
        finite = finite && is_finite(bitcast<u32>(expected));
    }
    let at = 5u * row;
    terms[at] = scales[2u * row];
    if (finite) {
        terms[at + 1u] = scales[2u * row + 1u];
        terms[at + 2u] = state[2u * place];
        terms[at + 3u] = inverse;
        terms[at + 4u] = expected;
    } else {
        terms[at + 1u] = -1.0;
        terms[at + 2u] = 0.0;
        terms[at + 3u] = 0.0;
        terms[at + 4u] = 0.0;
    }
}
